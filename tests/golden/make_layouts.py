"""Writes what timm, transformers and torchvision compute from weights under their own names, for tests/model/layouts.rs.

    python tests/golden/make_layouts.py

Needs torch 2.11, torchvision 0.26, timm 1.0, transformers 5, numpy, safetensors. The weights are not stored: both sides fill each
tensor from a hash of its name and element, in float32. Outputs are computed in float64.

  layouts.txt           per case "# case architecture side", then "name side,side,…" per tensor, with the names of the publisher's file
  layouts.safetensors   per case the features of one square image, before any head; of moco_v1 the embedding
  transformers.txt      per case of a small ViT "# case", then "name side,side,…" per tensor of the file, and
                        "= name side,side,…" per tensor that must come of it
  checkpoints/          small files in torch's formats: the wrappers of MoCo-v1, MoCo-v2, SwAV, SEED, DINO and timm around a ResNet-10
"""

import argparse
import collections
import pathlib
import tempfile
import zlib

import numpy as np
import timm
import torch
import torchvision
import transformers
from safetensors import safe_open
from safetensors.torch import save_file

from make_models import build, features_of, images

HERE = pathlib.Path(__file__).parent
CASES = [
    ("timm.resnet18", "resnet18"),
    ("timm.efficientnet_b0", "efficientnet_b0"),
    ("timm.efficientnet_b1", "efficientnet_b1"),
    ("timm.efficientnet_b2", "efficientnet_b2"),
    ("timm.efficientnet_b3", "efficientnet_b3"),
    ("timm.tf_efficientnet_lite0", "tf_efficientnet_lite0"),
    ("timm.mobilenetv2_100", "mobilenet_v2"),
    ("timm.mobilenetv3_small_100", "mobilenet_v3_small"),
    ("timm.mobilenetv3_large_100", "mobilenet_v3_large"),
    ("hugging_face.resnet18", "resnet18"),
    ("hugging_face.resnet34", "resnet34"),
    ("hugging_face.resnet50", "resnet50"),
]
# Transformers, on images of their own size: positions of other sizes are resampled by rules that differ.
TRANSFORMERS = [
    ("hugging_face.vit", "vit_small_patch16", 224),
    ("timm.vit_small_patch14_reg4_dinov2", "vit_small_patch14_reg4_dinov2", 518),
]


def unit(name, count):
    """`count` float32 in [0, 1): the upper 24 bits of a 32-bit hash of the name's CRC-32 and the element's number."""
    seed = zlib.crc32(name.encode())
    x = np.uint32(seed) + np.arange(count, dtype=np.uint32) * np.uint32(0x85EBCA77)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    x ^= x >> np.uint32(16)
    return (x >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24)


def filled(name, shape):
    """Weights that keep activations in range: U(±√(4.5/fan-in)) for matrices, around 1 or 0 for norms and biases."""
    count = int(np.prod(shape)) if shape else 1
    if len(shape) > 1:
        bound = float(np.sqrt(np.float32(4.5) / np.float32(np.prod(shape[1:]))))
        low, high = -bound, bound
    elif name.endswith("running_var") or name.endswith("weight"):
        low, high = 0.5, 1.5
    else:
        low, high = -0.2, 0.2
    low, high = np.float32(low), np.float32(high)
    return torch.from_numpy((low + (high - low) * unit(name, count)).reshape(shape))


def fill(model, names=lambda name: name):
    for name, tensor in model.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            tensor.copy_(filled(names(name), tuple(tensor.shape)))


def resnet(depth):
    basic = depth < 50
    return transformers.ResNetForImageClassification(
        transformers.ResNetConfig(
            layer_type="basic" if basic else "bottleneck",
            hidden_sizes=[64, 128, 256, 512] if basic else [256, 512, 1024, 2048],
            depths={18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3]}[depth],
            num_labels=10,
        )
    )


def convolutional(case):
    """The publisher's network and what gives its features, (B, 3, H, W) → (B, d)."""
    publisher, name = case.split(".")
    if publisher == "timm":
        model = timm.create_model(name, num_classes=10)
        return model, lambda x: model.forward_head(model.forward_features(x), pre_logits=True)
    model = resnet(int(name.removeprefix("resnet")))
    return model, lambda x: model.resnet(x).pooler_output.flatten(1)


def names_on_disk(model):
    """Names and shapes as save_pretrained writes them, which may differ from those in memory."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        with safe_open(pathlib.Path(folder) / "model.safetensors", "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}


def listing(shapes):
    return [f"{name} {','.join(map(str, shape))}" for name, shape in shapes.items()]


def check_against_torchvision(case, architecture, theirs, features):
    """The publisher's network is torchvision's: with the same numbers, in the order of definition, both give the same."""
    ours = build(architecture)
    kept = list(theirs.state_dict().items())
    if case.startswith("hugging_face"):  # defines a block's shortcut first, torchvision last
        order = {}
        block = lambda name: name.split(".layer.")[0].split(".shortcut.")[0]
        for name, _ in kept:
            order.setdefault(block(name), len(order))
        kept.sort(key=lambda item: (order[block(item[0])], ".shortcut." in item[0]))
    matched = zip(ours.state_dict().items(), kept, strict=True)
    for (our_name, ours_tensor), (their_name, their_tensor) in matched:
        assert our_name.rsplit(".")[-1] == their_name.rsplit(".")[-1], (case, our_name, their_name)
        ours_tensor.copy_(their_tensor.reshape(ours_tensor.shape))
    if case.startswith("timm.mobilenetv3"):  # timm adds 1e-5 to the variance, torchvision 1e-3
        for module in ours.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = 1e-5
    found = features_of(ours.double().eval(), images(0, 1, 96, 96).double())
    error = float((found - features).abs().max() / features.abs().max())
    assert error < 1e-9, (case, error)
    return error


def transformer(case, side):
    """Names and shapes of a transformer's file, and the normalised class token of one image."""
    if case.startswith("timm."):
        model = timm.create_model(case.removeprefix("timm."), num_classes=0)
        fill(model)
        shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        token = model.double().eval().forward_features(images(0, 1, side, side).double())[:, 0]
        return shapes, token.float().contiguous()
    config = transformers.ViTConfig(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, intermediate_size=1536, layer_norm_eps=1e-6
    )
    with tempfile.TemporaryDirectory() as folder:
        transformers.ViTModel(config).save_pretrained(folder)
        path = pathlib.Path(folder) / "model.safetensors"
        with safe_open(path, "pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
        # Names on disk differ from those in memory, and those on disk are filled.
        save_file({name: filled(name, shape) for name, shape in shapes.items()}, path, metadata={"format": "pt"})
        model = transformers.ViTModel.from_pretrained(folder)
    token = model.double().eval()(images(0, 1, side, side).double()).last_hidden_state[:, 0]
    return shapes, token.float().contiguous()


def our_name(name):
    """DINO's name of a tensor of a Hugging Face transformer on disk, and which third of it the tensor is."""
    name = name.removeprefix("vit.")
    third = next((i for i, part in enumerate(("query", "key", "value")) if f".{part}." in name), None)
    for theirs, ours in (
        ("embeddings.position_embeddings", "pos_embed"),
        ("embeddings.patch_embeddings.projection", "patch_embed.proj"),
        ("embeddings.", ""),
        ("encoder.layer.", "blocks."),
        ("attention.attention.query", "attn.qkv"),
        ("attention.attention.key", "attn.qkv"),
        ("attention.attention.value", "attn.qkv"),
        ("attention.output.dense", "attn.proj"),
        ("intermediate.dense", "mlp.fc1"),
        ("output.dense", "mlp.fc2"),
        ("layernorm_before", "norm1"),
        ("layernorm_after", "norm2"),
        ("layer_scale1.lambda1", "ls1.gamma"),
        ("layer_scale2.lambda1", "ls2.gamma"),
        ("layernorm", "norm"),
    ):
        name = name.replace(theirs, ours)
    return name, third


def check_against_timm(model, file):
    """A Hugging Face transformer and timm's, which has DINO's names, give the same with tensors paired by `our_name`."""
    registers = file.get("embeddings.register_tokens")
    dino2 = any("layer_scale" in name for name in file)
    theirs = timm.models.VisionTransformer(
        embed_dim=12, depth=2, num_heads=2, img_size=28, patch_size=14, num_classes=0,
        init_values=1.0 if dino2 else None,
        reg_tokens=0 if registers is None else registers.shape[1], no_embed_class=registers is not None,
    )
    ours = {}
    for name, tensor in sorted(file.items(), key=lambda item: our_name(item[0])[1] or 0):
        if name.startswith(("pooler", "classifier", "embeddings.mask_token")):
            continue
        target, third = our_name(name)
        ours[target] = tensor if not third else torch.cat([ours[target], tensor])
    shapes = {name: tuple(tensor.shape) for name, tensor in ours.items()}
    state = {name: tensor.double() for name, tensor in ours.items()}
    if registers is not None:  # timm adds no position to the class and calls the registers otherwise
        state["reg_token"] = state.pop("register_tokens")
        state["cls_token"] = state["cls_token"] + state["pos_embed"][:, :1]
        state["pos_embed"] = state["pos_embed"][:, 1:]
    theirs.double().load_state_dict(state, strict=True)
    batch = images(0, 2, 28, 28).double()
    bare = getattr(model, "vit", model)
    found = theirs.eval().forward_features(batch)[:, 0]
    expected = bare.double().eval()(batch).last_hidden_state[:, 0]
    error = float((found - expected).abs().max() / expected.abs().max())
    assert error < 1e-9, error
    print(f"{type(model).__name__}: timm's differs by {error:.0e}")
    return shapes


def transformer_cases():
    """Small transformers: case, names and shapes in their file, and names and shapes that must come of it."""
    small = dict(hidden_size=12, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14, num_labels=3,
                 layer_norm_eps=1e-6)
    models = {
        "hugging_face.vit": transformers.ViTForImageClassification(
            transformers.ViTConfig(**small, intermediate_size=48)),
        "hugging_face.dinov2": transformers.Dinov2Model(transformers.Dinov2Config(**small)),
        "hugging_face.dinov2_with_registers": transformers.Dinov2WithRegistersModel(
            transformers.Dinov2WithRegistersConfig(**small, num_register_tokens=4)),
    }
    for case, model in models.items():
        fill(model)
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            with safe_open(pathlib.Path(folder) / "model.safetensors", "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        ours = check_against_timm(model, tensors)
        yield case, {name: tuple(tensor.shape) for name, tensor in tensors.items()}, ours
        if case == "hugging_face.vit":  # torch.save of what transformers 5 has in memory
            state = {name.removeprefix("vit."): tuple(tensor.shape) for name, tensor in model.state_dict().items()}
            yield "hugging_face.vit_in_memory", state, ours
    options = dict(embed_dim=12, depth=2, num_heads=2, img_size=28, patch_size=14, num_classes=3)
    plain = timm.models.VisionTransformer(**options)
    reg4 = timm.models.VisionTransformer(**options, reg_tokens=4, no_embed_class=True, init_values=1e-5)
    for case, model in (("timm.vit", plain), ("timm.vit_reg4", reg4)):
        theirs = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        ours = {name.replace("reg_token", "register_tokens"): shape for name, shape in theirs.items() if "head." not in name}
        yield case, theirs, {**ours, "pos_embed": (1, 5, 12)}


def moco_v1():
    """MoCo-v1's query encoder, torchvision's network with 128 outputs: names and shapes of its file, and the embedding of one image."""
    model = build("resnet10")
    model.fc = torch.nn.Linear(512, 128)
    fill(model, lambda name: f"module.encoder_q.{name}")
    shapes = {f"module.encoder_q.{name}": tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    rows = model.double().eval()(images(0, 1, 96, 96).double())
    return shapes, torch.nn.functional.normalize(rows).float().contiguous()


def expanded(shapes, prefix="", kind=torch.float16):
    """Tensors of the shapes whose storage is one number."""
    number = lambda name: (torch.tensor(0) if name.endswith("tracked") else torch.ones((), dtype=kind))
    return collections.OrderedDict((prefix + name, number(name).expand(shape)) for name, shape in shapes.items())


def wrapped(name, content):
    folder = HERE / "checkpoints"
    torch.save(content, folder / f"{name}.zip.pth")
    torch.save(content, folder / f"{name}.legacy.pth.tar", _use_new_zipfile_serialization=False)


def checkpoints():
    """Wrappers around a ResNet-10, complete in one network; of second networks a few tensors, since sizes are limited."""
    (HERE / "checkpoints").mkdir(exist_ok=True)
    model = build("resnet10")
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if not name.startswith("fc.")}
    mlp = {"fc.0.weight": (512, 512), "fc.0.bias": (512,), "fc.2.weight": (128, 512), "fc.2.bias": (128,)}
    part = dict(list(shapes.items())[:12])
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.03, momentum=0.9)
    optimizer.param_groups[0]["params"][0].grad = torch.ones(2)
    optimizer.step()
    beside = {"epoch": 800, "arch": "resnet10", "optimizer": optimizer.state_dict()}
    moco = expanded({**shapes, **mlp}, "module.encoder_q.")
    moco.update(expanded(part, "module.encoder_k."))
    moco.update({"module.queue": torch.zeros(128, 4), "module.queue_ptr": torch.zeros(1, dtype=torch.long)})
    wrapped("moco_v2", {**beside, "state_dict": moco})
    linear = {"fc.weight": (128, 512), "fc.bias": (128,)}
    moco = expanded({**shapes, **linear}, "module.encoder_q.")
    moco.update(expanded({**part, **linear}, "module.encoder_k."))
    moco.update({"module.queue": torch.zeros(128, 4), "module.queue_ptr": torch.zeros(1, dtype=torch.long)})
    wrapped("moco_v1", {**beside, "state_dict": moco})
    head = {"0.weight": (64, 512), "0.bias": (64,), "3.weight": (128, 64), "3.bias": (128,)}
    head.update({f"1.{leaf}": (64,) for leaf in ("weight", "bias", "running_mean", "running_var")})
    swav = expanded({**shapes, **{f"projection_head.{name}": shape for name, shape in head.items()}}, "module.")
    swav["module.prototypes.weight"] = torch.zeros(3, 128)
    wrapped("swav", swav)
    simclr = {**shapes, **{f"fc.{name}": shape for name, shape in head.items()}}
    wrapped("simclr", expanded(simclr))
    wrapped("simclr_of_seed", {"model": expanded(simclr, "module.module.module."), "epoch": 1})
    student = expanded({**shapes, **mlp}, "module.student.", torch.bfloat16)
    student.update(expanded(part, "module.teacher.module."))
    student["module.queue"] = torch.zeros(128, 4)
    wrapped("seed_student", {**beside, "state_dict": student})
    dino = {
        "student": expanded({f"module.backbone.{name}": shape for name, shape in part.items()}),
        "teacher": expanded({**{f"backbone.{name}": shape for name, shape in shapes.items()}, "head.last_layer.weight_v": (7, 3)}),
        "args": argparse.Namespace(arch="resnet10", patch_size=16, output_dir=pathlib.PurePosixPath("out")),
        "epoch": 100,
        "fp16_scaler": {"scale": 65536.0},
        "dino_loss": collections.OrderedDict(center=torch.zeros(1, 4)),
    }
    wrapped("dino", dino)
    trained = {**beside, "state_dict": expanded({**shapes, "fc.weight": (10, 512), "fc.bias": (10,)}), "version": 2}
    wrapped("timm", {**trained, "args": argparse.Namespace(model="resnet10", lr=0.5), "metric": 71.5})


def main():
    torch.set_grad_enabled(False)
    names, golden = [], {}
    for case, architecture in CASES:
        model, features = convolutional(case)
        fill(model)
        model.double().eval()
        found = features(images(0, 1, 96, 96).double())
        error = check_against_torchvision(case, architecture, model, found)
        print(f"{case}: features of {found.abs().mean():.2f}, torchvision's differ by {error:.0e}")
        golden[case] = found.float().contiguous()
        if case.startswith("timm."):
            shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        else:
            shapes = names_on_disk(model.float())
            assert shapes.keys() == model.state_dict().keys()
        names += [f"# {case} {architecture} 96", *listing(shapes)]
    for case, architecture, side in TRANSFORMERS:
        shapes, golden[case] = transformer(case, side)
        names += [f"# {case} {architecture} {side}", *listing(shapes)]
    shapes, golden["moco_v1.resnet10"] = moco_v1()
    names += ["# moco_v1.resnet10 resnet10 96", *listing(shapes)]
    (HERE / "layouts.txt").write_text("\n".join(names) + "\n")
    save_file(golden, HERE / "layouts.safetensors")
    lines = []
    for case, shapes, ours in transformer_cases():
        lines += [f"# {case}", *listing(shapes), *(f"= {line}" for line in listing(ours))]
    (HERE / "transformers.txt").write_text("\n".join(lines) + "\n")
    torch.set_grad_enabled(True)
    checkpoints()


if __name__ == "__main__":
    main()
