"""fpn.safetensors: what torchvision's feature pyramid makes of the stages c2 to c5 of torchvision's networks, for
tests/model/export_stages.rs.

Made with torch 2.11.0, torchvision 0.26 and safetensors, in float64:
    python tests/golden/make_fpn.py

Weights of network and pyramid are not stored: make_models.py says how both sides make them. The pyramid's tensor i has the number 2,000,000 + i.
"""

import math
import pathlib
import sys

import torch
from safetensors.torch import save_file
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.feature_extraction import create_feature_extractor
from torchvision.ops import FeaturePyramidNetwork

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
from make_models import GAIN, between, build, fill, images  # noqa: E402

NETWORKS = {
    "resnet10": (["layer1", "layer2", "layer3", "layer4"], [64, 128, 256, 512]),
    "mobilenet_v2": (["features.3", "features.6", "features.13", "features.17"], [24, 32, 96, 320]),
}
WIDTH = 16
out = {}
with torch.no_grad():
    for name, (modules, channels) in NETWORKS.items():
        model = build(name)
        fill(model, GAIN.get(name, 2.0))
        model = model.double().eval()
        stages = {module: f"c{2 + number}" for number, module in enumerate(modules)}
        batch = images(5, 1, 75, 101).double()
        maps = create_feature_extractor(model, stages)(batch)
        if name == "resnet10":  # whose stages are the network's own children
            again = IntermediateLayerGetter(model, stages)(batch)
            assert all(torch.equal(maps[stage], again[stage]) for stage in maps)
        pyramid = FeaturePyramidNetwork(channels, WIDTH)
        for number, tensor in enumerate(pyramid.state_dict().values()):
            shape = tuple(tensor.shape)
            bound = math.sqrt(3.0 / math.prod(shape[1:])) if len(shape) > 1 else 0.2
            tensor.copy_(between(2_000_000 + number, shape, -bound, bound))
        for stage, level in pyramid.double().eval()(maps).items():
            out[f"{name}.{stage}"] = level[0].float().contiguous()
            print(name, stage, tuple(level.shape), float(level.abs().mean()))
save_file(out, HERE / "fpn.safetensors")
