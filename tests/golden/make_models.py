"""Writes what torchvision (and for the EfficientNets of TensorFlow timm) computes, for tests/model/models.rs: run `python make_models.py` beside this file.

Needs torch 2.11, torchvision 0.26, timm, numpy, safetensors. The weights are not stored: both sides fill tensor number i (in state
order) from a hash of (i, element), computed exactly in float32. Noise of the training mode comes from ChaCha8 with
the key (noise, layer, 0, 5), as src/model/noise.rs draws it. torchvision computes in float64, so that the numbers do not
depend on the machine's kernels; the script checks that float32 comes close enough for the tests' tolerance of 1e-4.

  torchvision_keys.txt  per architecture its name, then "key side,side,…" per tensor of the state (10 classes)
  models.safetensors    per architecture: logits in eval (square and odd input), features, logits in
                        training, and each batch norm's running statistics after it, summed
"""
import copy
import math
import pathlib

import numpy as np
import timm
import torch
import torchvision
from safetensors.torch import save_file

ARCHITECTURES = ["resnet10", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnet50w2", "mobilenet_v2",
                 "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "resnet18_w0.5",
                 "resnet34_w0.75", "resnet50_w0.25", "mobilenet_v2_w0.5", "mobilenet_v2_w0.75", "mobilenet_v3_small_w0.5",
                 "mobilenet_v3_large_w0.75", "mobilenet_v3_large_w0.25", "seed_mobilenet_v3_large", "tf_efficientnet_b0",
                 "tf_efficientnet_b1", "tf_efficientnet_b2", "tf_efficientnet_b3", "tf_efficientnet_lite0"]
CLASSES, NOISE, IMAGE = 10, 77, 1_000_000  # IMAGE: the number under which pixels are hashed
# Variance of a weight times its fan-in. 2 suits ReLU; where that makes float32 itself wrong by 1e-4, a smaller one is taken.
GAIN = {"mobilenet_v2": 1.5, "mobilenet_v3_large": 1.5, "efficientnet_b1": 1.7, "seed_mobilenet_v3_large": 1.5,
        "tf_efficientnet_b1": 1.7, "efficientnet_b2": 1.7, "tf_efficientnet_b2": 1.7, "efficientnet_b3": 1.8,
        "tf_efficientnet_b3": 1.8}
# So deep that training on so small a batch amplifies float32's rounding beyond the tolerance: eval mode only. timm's
# EfficientNets have noise layers of another kind and batch norms of another momentum: eval mode only, too.
EVAL_ONLY = {"resnet101", "resnet152", "tf_efficientnet_b0", "tf_efficientnet_b1", "tf_efficientnet_b2", "tf_efficientnet_b3",
             "tf_efficientnet_lite0"}
HERE = pathlib.Path(__file__).parent


def build(name):
    """torchvision's network of that name; of its classes those that it has no name for."""
    from torchvision.models import mobilenetv3, resnet

    name, _, width = name.partition("_w")
    width = float(width or 1)
    depths = {"resnet10": [1, 1, 1, 1], "resnet18": [2, 2, 2, 2], "resnet34": [3, 4, 6, 3], "resnet50": [3, 4, 6, 3]}
    if name == "resnet10" or name in depths and width != 1:
        return wide_resnet(resnet.Bottleneck if name == "resnet50" else resnet.BasicBlock, depths[name], width)
    if name == "resnet50w2":  # SwAV's: every width doubled, the stem's too
        return wide_resnet(resnet.Bottleneck, depths["resnet50"], 2)
    if name == "mobilenet_v2":
        return torchvision.models.mobilenet_v2(num_classes=CLASSES, width_mult=width)
    if name.startswith("mobilenet_v3"):
        rows, last = mobilenetv3._mobilenet_v3_conf(name, width_mult=width)
        return mobilenetv3.MobileNetV3(rows, last, num_classes=CLASSES)
    if name == "seed_mobilenet_v3_large":
        return seeds_mobilenet()
    if name == "efficientnet_lite0":
        return without_gates(torchvision.models.efficientnet_b0(num_classes=CLASSES))
    if name.startswith("tf_"):
        return timm.create_model(name, num_classes=CLASSES)
    return getattr(torchvision.models, name)(weights=None, num_classes=CLASSES)


def wide_resnet(block, depths, width):
    """torchvision's ResNet with all channels times `width`."""
    model = torchvision.models.ResNet(block, depths, num_classes=CLASSES)
    stem = int(64 * width)
    model.inplanes = stem
    model.conv1 = torch.nn.Conv2d(3, stem, 7, 2, 3, bias=False)
    model.bn1 = torch.nn.BatchNorm2d(stem)
    for stage, depth in enumerate(depths):
        setattr(model, f"layer{stage + 1}", model._make_layer(block, stem << stage, depth, 2 if stage else 1))
    model.fc = torch.nn.Linear((stem << 3) * block.expansion, CLASSES)
    return model


def without_gates(model):
    """torchvision's EfficientNet without squeeze and excitation: what Lite0's tensors are called, not what it computes."""
    for block in model.modules():
        if type(block).__name__ == "MBConv":
            layers = (layer for layer in block.block if type(layer).__name__ != "SqueezeExcitation")
            block.block = torch.nn.Sequential(*layers)
    return model


def seeds_mobilenet():
    """torchvision's MobileNetV3-Large, changed as SEED has it: squeeze and excitation before the activation, torch's norms."""
    model = torchvision.models.mobilenet_v3_large(weights=None, num_classes=CLASSES, norm_layer=torch.nn.BatchNorm2d)
    for block in model.features:
        layers = getattr(block, "block", ())
        for before, squeeze in zip(layers, list(layers)[1:]):
            if type(squeeze).__name__ == "SqueezeExcitation":
                activation = before[2]
                before[2] = torch.nn.Identity()
                squeeze.register_forward_hook(lambda _, inputs, output, late=activation: late(output))
    return model


def unit(number, count):
    """`count` float32 in [0, 1): the upper 24 bits of a 32-bit hash."""
    x = np.uint32(number * 0x9E3779B1 & 0xFFFFFFFF) + np.arange(count, dtype=np.uint32) * np.uint32(0x85EBCA77)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return (x >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)


def between(number, shape, low, high):
    low, high = np.float32(low), np.float32(high)
    values = low + (high - low) * unit(number, math.prod(shape))
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def fill(model, gain):
    """timm's EfficientNets have torchvision's order, so the same tensors get the same numbers under other names."""
    for number, (name, tensor) in enumerate(model.state_dict().items()):
        shape = tuple(tensor.shape)
        if name.endswith("num_batches_tracked"):
            continue
        if len(shape) > 1:  # convolution or linear
            bound = math.sqrt(3.0 * gain / math.prod(shape[1:]))
            low, high = -bound, bound
        elif name.endswith("running_var") or name.endswith("weight"):
            low, high = 0.5, 1.5
        else:
            low, high = -0.2, 0.2
        tensor.copy_(between(number, shape, low, high))


def chacha8_words(noise, layer, count):
    """The first `count` 32-bit words of ChaCha8 with the key (noise, layer, 0, 5), counter and stream 0."""
    key = np.array([noise, layer, 0, 5], dtype="<u8").view("<u4")
    blocks = -(-count // 16)
    state = np.zeros((16, blocks), dtype=np.uint32)
    state[:4] = np.array([0x61707865, 0x3320646E, 0x79622D32, 0x6B206574], dtype=np.uint32)[:, None]
    state[4:12] = key[:, None]
    state[12] = np.arange(blocks, dtype=np.uint32)
    x = state.copy()

    def quarter(a, b, c, d):
        for p, q, r, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[p] += x[q]
            x[r] ^= x[p]
            x[r] = (x[r] << np.uint32(turn)) | (x[r] >> np.uint32(32 - turn))

    for _ in range(4):
        for lane in range(4):
            quarter(lane, 4 + lane, 8 + lane, 12 + lane)
        for lane in range(4):
            quarter(lane, 4 + (lane + 1) % 4, 8 + (lane + 2) % 4, 12 + (lane + 3) % 4)
    return (x + state).T.reshape(-1)[:count]


class Mask(torch.nn.Module):
    """Dropout or stochastic depth with a mask that can be replayed."""

    def __init__(self, probability, layer, rows):
        super().__init__()
        self.survival, self.layer, self.rows = 1.0 - probability, layer, rows

    def forward(self, x):
        if not self.training or self.survival == 1.0:
            return x
        shape = [len(x)] + [1] * (x.dim() - 1) if self.rows else list(x.shape)
        kept = chacha8_words(NOISE, self.layer, math.prod(shape)).astype(np.float64) < self.survival * 2.0**32
        mask = kept.astype(np.float32) * np.float32(1.0 / self.survival)
        return x * torch.from_numpy(mask.reshape(shape))


def replace_noise(model):
    """Numbers the noise layers in the order of the modules, stochastic depth before the classifier's dropout."""
    found = [(n, m) for n, m in model.named_modules() if type(m).__name__ in ("StochasticDepth", "Dropout")]
    for layer, (name, module) in enumerate(found):
        parent = model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], Mask(module.p, layer, type(module).__name__ == "StochasticDepth"))


def features_of(model, images):
    """The input of the last linear layer, before its dropout."""
    last = model.fc if hasattr(model, "fc") else model.classifier
    last = last if isinstance(last, torch.nn.Linear) else last[-1]
    caught = []
    handle = last.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    model(images)
    handle.remove()
    return caught[0]


def images(number, batch, height, width):
    return between(IMAGE + number, (batch, 3, height, width), -2.0, 2.0)


def outputs(model, kind):
    """What the test compares, computed in the floating-point type `kind`; the model is left trained by one batch."""
    model = model.to(kind).eval()
    square, odd, batch = (images(*size).to(kind) for size in ((0, 2, 96, 96), (1, 1, 75, 101), (2, 4, 64, 64)))
    found = {"eval": model(square), "odd": model(odd), "features": features_of(model, square)[1]}
    found["train"] = model.train()(batch)
    for part in ("running_mean", "running_var"):
        sums = [tensor.double().sum() for key, tensor in model.state_dict().items() if key.endswith(part)]
        found[part] = torch.stack(sums)
    return found


def main():
    keys, golden = [], {}
    for name in ARCHITECTURES:
        model = build(name)
        keys.append(name)
        names = build(name.removeprefix("tf_")).state_dict() if name.startswith("tf_") else model.state_dict()
        shapes = zip(names, (tuple(tensor.shape) for tensor in model.state_dict().values()), strict=True)
        keys += [f"{key} {','.join(map(str, shape))}" for key, shape in shapes]
        with torch.no_grad():
            fill(model, GAIN.get(name, 2.0))
            replace_noise(model)
            exact, single = (outputs(copy.deepcopy(model), kind) for kind in (torch.float64, torch.float32))
        if name in EVAL_ONLY:
            exact = {key: exact[key] for key in ("eval", "odd", "features")}
        errors = {key: float((single[key] - exact[key]).abs().max() / exact[key].abs().max()) for key in exact}
        first, second = exact["eval"].unbind()
        apart = float((first - second).abs().max() / first.abs().max())
        print(name, f"two images differ by {apart:.3f};", ", ".join(f"{key} {error:.0e}" for key, error in errors.items()))
        assert max(errors.values()) < 6e-5 and apart > 0.02, "badly conditioned weights"
        golden.update({f"{name}.{key}": tensor.float().contiguous() for key, tensor in exact.items()})
    (HERE / "torchvision_keys.txt").write_text("\n".join(keys) + "\n")
    save_file(golden, HERE / "models.safetensors")


if __name__ == "__main__":
    main()
