"""anomaly.safetensors: feature maps by torchvision, PatchCore's scores written down from the paper, PRO by its definition.

Made with torch 2.11.0, torchvision 0.26, SciPy 1.17.1 and safetensors, in float64:
    python tests/golden/make_anomaly.py
Read by tests/model/models.rs (maps), src/infer/anomaly/golden.rs (scores) and tests/eval/regions.rs (PRO).
"""

import pathlib
import sys

import numpy as np
import torch
from safetensors.numpy import save_file
from scipy.ndimage import gaussian_filter, label
from torch.nn.functional import avg_pool2d, interpolate

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))
from make_models import GAIN, build, fill, images  # noqa: E402

STAGES = {
    "resnet10": ["layer1", "layer2", "layer3", "layer4"],
    "resnet50": ["layer1", "layer2", "layer3", "layer4"],
    "mobilenet_v2": ["features.1", "features.3", "features.6", "features.13", "features.17"],
    "mobilenet_v3_small": ["features.1", "features.3", "features.8", "features.11"],
    "efficientnet_b0": ["features.1", "features.2", "features.3", "features.5", "features.7"],
}
out = {}
with torch.no_grad():
    for name, stages in STAGES.items():
        model = build(name)
        fill(model, GAIN.get(name, 2.0))
        model = model.double().eval()
        maps = {}
        for stage in stages:
            keep = lambda _, __, value, stage=stage: maps.__setitem__(stage, value)  # noqa: E731
            model.get_submodule(stage).register_forward_hook(keep)
        model(images(5, 1, 75, 101).double())
        for stage in stages:  # along both sides, since a mean over all would not see a shifted map
            out[f"{name}.{stage}.rows"] = maps[stage][0].mean(2).numpy()
            out[f"{name}.{stage}.columns"] = maps[stage][0].mean(1).numpy()

# PatchCore (Roth et al., CVPR 2022): §3.1 patches, equations 6 and 7, heat map.
rng = np.random.default_rng(3)
first, second = rng.normal(size=(2, 5, 7, 9)), rng.normal(size=(2, 6, 4, 5))
smooth = [avg_pool2d(torch.from_numpy(m), 3, 1, 1) for m in (first, second)]
patches = torch.cat([smooth[0], interpolate(smooth[1], size=(7, 9), mode="bilinear")], 1).permute(0, 2, 3, 1).numpy()
memory = rng.normal(size=(30, 11)) * 0.5
scores, heats = [], []
for image in patches:
    distances = np.linalg.norm(image.reshape(-1, 1, 11) - memory, axis=2)
    s_star, p_star = distances.min(1).max(), distances.min(1).argmax()
    m_star = memory[distances[p_star].argmin()]
    near = np.argsort(np.linalg.norm(memory - m_star, axis=1))[:9]
    away = np.linalg.norm(memory[near] - image.reshape(-1, 11)[p_star], axis=1)
    scores.append((1 - np.exp(s_star) / np.exp(away).sum()) * s_star)
    heat = interpolate(torch.from_numpy(distances.min(1).reshape(1, 1, 7, 9)), size=(28, 36), mode="bilinear")
    heats.append(gaussian_filter(heat[0, 0].numpy(), 2.0, mode="mirror", truncate=4.0))
out |= {"first": first, "second": second, "patches": patches, "memory": memory}
out |= {"scores": np.array(scores), "heats": np.array(heats)}

# PRO, threshold by threshold; scores are rounded so that there are ties.
masks = np.zeros((3, 20, 24), np.uint8)
masks[0, 2:5, 3:9] = masks[0, 5, 9] = masks[0, 15:17, 1:4] = masks[1, 10:18, 12:20] = 1
heat = np.round(rng.normal(size=masks.shape) + 1.2 * masks, 2).astype(np.float32)
regions = [(i, labels == r) for i, m in enumerate(masks) for labels, n in [label(m, np.ones((3, 3)))] for r in range(1, n + 1)]
points = [(0.0, 0.0)]
for t in np.unique(heat)[::-1]:
    points.append(((heat[masks == 0] >= t).mean(), np.mean([(heat[i][r] >= t).mean() for i, r in regions])))
x, y = np.array(points).T
grid = np.linspace(0, 0.3, 300_001)
out |= {"masks": masks, "heat": heat, "regions": np.array([len(regions)]), "pro": np.array([np.interp(grid, x, y).mean()])}
out = {k: np.ascontiguousarray(v.astype(np.float32) if v.dtype == np.float64 and v.size > 1 else v) for k, v in out.items()}
save_file(out, HERE / "anomaly.safetensors")
