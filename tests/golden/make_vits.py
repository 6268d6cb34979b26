"""Writes what Hugging Face's Vision Transformers compute, for tests/model/vits.rs: run `python make_vits.py` beside this file.

Needs torch 2.11, transformers 5, timm, numpy, safetensors. As in make_models.py the weights are hashed, tensor number i in
state order (DINO's own names and order) from (i, element), and computed with in float64. The script checks that timm gives
the same at the trained size under DINO's names, and that float32 comes close enough for the tests' tolerance.

  vit_keys.txt      per architecture its name, then "key side,side,…" per tensor of the state
  vits.safetensors  per architecture and size "NAME.HEIGHTxWIDTH": the normalised class tokens (2, D); "NAME@GRID.HEIGHTxWIDTH" of
                    one whose positions are of another grid; "resampled.GRID.TO" every 48th column of the positions
                    (1, 1 + TO², 8) that timm makes of vit_small_patch16@GRID's when a model with a grid of TO loads them
"""
import math
import pathlib

import timm
import torch
import transformers
from make_models import between, images
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
# Width, depth, patch, side of the trained grid, registers, LayerScale, name in timm, sizes (the first is the trained one).
NETWORKS = {
    "vit_small_patch16": (384, 12, 16, 14, 0, False, "vit_small_patch16_224", [(224, 224), (96, 160), (320, 64)]),
    "vit_small_patch8": (384, 12, 8, 28, 0, False, "vit_small_patch8_224", [(224, 224), (40, 64)]),
    "vit_base_patch16": (768, 12, 16, 14, 0, False, "vit_base_patch16_224", [(224, 224), (64, 96)]),
    "vit_small_patch14_dinov2": (384, 12, 14, 37, 0, True, "vit_small_patch14_dinov2", [(518, 518), (98, 140), (560, 42)]),
    "vit_small_patch14_reg4_dinov2":
        (384, 12, 14, 37, 4, True, "vit_small_patch14_reg4_dinov2", [(518, 518), (98, 140), (560, 42)]),
}
# Published at other image sizes than the architecture's: ViT-S/16 at 384² (AugReg); and one that is fine-tuned at 224².
OTHER_GRIDS = [("vit_small_patch16", 24, [(384, 384), (224, 224), (96, 160)]),
               ("vit_small_patch14_reg4_dinov2", 16, [(224, 224), (98, 140), (280, 266)])]


def shapes(width, depth, patch, grid, registers, scaled):
    """DINO's and DINOv2's names with their shapes, in their order."""
    found = {"cls_token": (1, 1, width), "pos_embed": (1, 1 + grid * grid, width)}
    if registers:
        found["register_tokens"] = (1, registers, width)
    found |= {"patch_embed.proj.weight": (width, 3, patch, patch), "patch_embed.proj.bias": (width,)}
    for block in range(depth):
        layers = [("norm1", (width,)), ("attn.qkv", (3 * width, width)), ("attn.proj", (width, width)), ("ls1", None),
                  ("norm2", (width,)), ("mlp.fc1", (4 * width, width)), ("mlp.fc2", (width, 4 * width)), ("ls2", None)]
        for layer, shape in layers:
            if shape is not None:
                found |= {f"blocks.{block}.{layer}.weight": shape, f"blocks.{block}.{layer}.bias": shape[:1]}
            elif scaled:
                found[f"blocks.{block}.{layer}.gamma"] = (width,)
    return found | {"norm.weight": (width,), "norm.bias": (width,)}


def weights(found):
    state = {}
    for number, (name, shape) in enumerate(found.items()):
        if len(shape) == 3:  # tokens and positions
            low, high = -1.0, 1.0
        elif len(shape) > 1:
            high = math.sqrt(3.0 / math.prod(shape[1:]))
            low = -high
        elif name.endswith(("weight", "gamma")):
            low, high = 0.5, 1.5
        else:
            low, high = -0.2, 0.2
        state[name] = between(number, shape, low, high)
    return state


def hugging_face(state, width, depth, patch, grid, registers, scaled):
    """The model of that kind, with the weights under its names."""
    common = dict(hidden_size=width, num_hidden_layers=depth, num_attention_heads=width // 64, image_size=grid * patch,
                  patch_size=patch, layer_norm_eps=1e-6)
    if scaled and registers:
        config = transformers.Dinov2WithRegistersConfig(num_register_tokens=registers, **common)
        model = transformers.Dinov2WithRegistersModel(config)
    elif scaled:
        model = transformers.Dinov2Model(transformers.Dinov2Config(**common))
    else:
        config = transformers.ViTConfig(intermediate_size=4 * width, **common)
        model = transformers.ViTModel(config, add_pooling_layer=False)
    plain = {
        "cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings",
        "register_tokens": "embeddings.register_tokens", "patch_embed.proj": "embeddings.patch_embeddings.projection",
        "norm": "layernorm",
        "norm1": "norm1" if scaled else "layernorm_before", "norm2": "norm2" if scaled else "layernorm_after",
        "attn.proj": "attention.o_proj", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2",
        "ls1.gamma": "layer_scale1.lambda1", "ls2.gamma": "layer_scale2.lambda1",
    }
    theirs = {}
    for name, tensor in state.items():
        stem, _, leaf = name.rpartition(".")
        if name in plain:
            theirs[plain[name]] = tensor
        elif not name.startswith("blocks."):
            theirs[f"{plain[stem]}.{leaf}"] = tensor
        else:
            _, block, rest = name.split(".", 2)
            layer, _, leaf = rest.rpartition(".")
            prefix = f"encoder.layer.{block}" if scaled else f"layers.{block}"
            if layer == "attn.qkv":
                for part, piece in zip("qkv", tensor.chunk(3)):
                    theirs[f"{prefix}.attention.{part}_proj.{leaf}"] = piece
            elif rest in plain:
                theirs[f"{prefix}.{plain[rest]}"] = tensor
            else:
                theirs[f"{prefix}.{plain[layer]}.{leaf}"] = tensor
    missing, unexpected = model.load_state_dict(theirs, strict=False)
    assert not unexpected and set(missing) <= {"embeddings.mask_token"}, (missing, unexpected)
    return model.eval()


def in_timm(state, name, registers, **size):
    """timm's model; it has DINO's names, and with registers the class token holds its position already."""
    model = timm.create_model(name, num_classes=0, **size)
    state = dict(state)
    if registers:
        state["reg_token"] = state.pop("register_tokens")
        positions = state["pos_embed"]
        state["cls_token"], state["pos_embed"] = state["cls_token"] + positions[:, :1], positions[:, 1:]
    model.load_state_dict(state, strict=True)
    return model.eval()


def class_tokens(case, network, sizes, size=None):
    """What a network gives, by "CASE.HEIGHTxWIDTH"; `size` is the image's where it is not the architecture's."""
    width, depth, patch, grid, registers, scaled, timms = network
    state = weights(shapes(width, depth, patch, grid, registers, scaled))
    model = hugging_face(state, width, depth, patch, grid, registers, scaled)
    other = in_timm(state, timms, registers, **({"img_size": size} if size else {})).double()
    golden = {}
    with torch.no_grad():
        for number, (height, across) in enumerate(sizes):
            batch = images(number, 1 if height > 360 else 2, height, across)
            extra = {} if scaled else {"interpolate_pos_encoding": True}
            run = lambda kind: model.to(kind)(batch.to(kind), **extra).last_hidden_state[:, 0]
            single, exact = run(torch.float32), run(torch.float64)
            error = float((single - exact).abs().max() / exact.abs().max())
            line = f"{case} {height}x{across}: float32 {error:.0e}"
            if number == 0:
                second = float((other(batch.double()) - exact).abs().max() / exact.abs().max())
                line += f", timm {second:.0e}"
                assert second < 1e-9, "timm and Hugging Face differ"
            print(line, flush=True)
            assert error < 2e-5, "badly conditioned weights"
            golden[f"{case}.{height}x{across}"] = exact.float().contiguous()
    return golden


def resampled(grid, to):
    """The positions of a ViT-S/16 with a grid of `grid` as timm loads them into a model with a grid of `to`."""
    state = weights(shapes(384, 12, 16, grid, 0, False))
    model = timm.create_model("vit_small_patch16_224", num_classes=0, img_size=16 * to)
    model.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(state, model), strict=True)
    return model.pos_embed.detach()[..., ::48].contiguous()


def main():
    keys, golden = [], {}
    for name, (*network, sizes) in NETWORKS.items():
        keys.append(name)
        keys += [f"{key} {','.join(map(str, shape))}" for key, shape in shapes(*network[:6]).items()]
        golden |= class_tokens(name, network, sizes)
    for name, grid, sizes in OTHER_GRIDS:
        width, depth, patch, _, *rest, _ = NETWORKS[name]
        golden |= class_tokens(f"{name}@{grid}", (width, depth, patch, grid, *rest), sizes, grid * patch)
    golden |= {f"resampled.{grid}.14": resampled(grid, 14) for grid in (24, 10)}
    (HERE / "vit_keys.txt").write_text("\n".join(keys) + "\n")
    save_file(golden, HERE / "vits.safetensors")


if __name__ == "__main__":
    main()
