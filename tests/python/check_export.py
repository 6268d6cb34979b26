"""Runs what tests/model/export_onnx.rs exported in programs that are not ours.

check_export.py onnx FOLDER    ONNX Runtime (and onnx.checker) on NAME.onnx; needs onnxruntime, onnx
check_export.py opencv FOLDER  OpenCV's dnn on NAME.onnx; needs cv2
check_export.py torch FOLDER   PyTorch on NAME.pt, torchvision on ARCHITECTURE.{backbone,torchvision}; needs torch, torchvision

NAME.safetensors has the images and the student's own outputs: images_1, embedding_1, features_1, images_5, …; with --probe only
says whether what is needed is there.
"""

import json
import sys
from pathlib import Path

import numpy as np

ALIKE = 0.9999
failures = []


def read_safetensors(path):
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    kinds = {"F32": np.float32, "U8": np.uint8, "I64": np.int64}
    tensors = {}
    for name, about in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in about["data_offsets"])
        tensors[name] = np.frombuffer(raw[begin:end], kinds[about["dtype"]]).reshape(about["shape"])
    return tensors


def compare(what, found, expected):
    if found.shape != expected.shape or found.dtype != np.float32:
        failures.append(f"{what}: {found.dtype}{found.shape}, expected float32{expected.shape}")
        return
    a, b = found.astype(np.float64), expected.astype(np.float64)
    cosine = ((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min()
    error = np.abs(a - b).max() / np.abs(b).max()
    print(f"{what}: cosine {cosine:.7f}, largest difference {error:.2e}")
    if not (cosine >= ALIKE and error < 1e-3):
        failures.append(f"{what}: cosine {cosine}, error {error}")


def check_onnx(folder):
    import onnx
    import onnxruntime

    for path in sorted(folder.glob("*.onnx")):
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        if model.opset_import[0].version < 17:
            failures.append(f"{path.stem}: operator set {model.opset_import[0].version}")
        texts = {entry.key: entry.value for entry in model.metadata_props}
        if json.loads(texts["provenance"])["teacher"] != "a teacher":
            failures.append(f"{path.stem}: provenance {texts}")
        if texts["filter"] != "bilinear, antialiased" or texts["resize"] not in ("whole", "letterbox", "centre"):
            failures.append(f"{path.stem}: filter {texts['filter']}, resize {texts['resize']}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        if names != texts["outputs"].split(","):
            failures.append(f"{path.stem}: outputs {names}, expected {texts['outputs']}")
        given = read_safetensors(path.with_suffix(".safetensors"))
        for batch in (1, 5):
            found = session.run(None, {"images": given[f"images_{batch}"]})
            for name, rows in zip(names, found):
                compare(f"{path.stem} ({batch}) {name}", rows, given[f"{name}_{batch}"])


def check_opencv(folder):
    import cv2

    cv2.setNumThreads(1)
    for path in sorted(folder.glob("*.onnx")):
        # Said before: a file that OpenCV dies of is then the last one.
        print(f"{path.stem} in OpenCV {cv2.__version__}", flush=True)
        given = read_safetensors(path.with_suffix(".safetensors"))
        for batch in (1, 5):
            net = cv2.dnn.readNetFromONNX(str(path))
            names = net.getUnconnectedOutLayersNames()
            net.setInput(given[f"images_{batch}"], "images")
            for name, rows in zip(names, net.forward(names), strict=True):
                expected = given[f"{name}_{batch}"]
                compare(f"{path.stem} ({batch}) {name}", rows, expected)
                # Where this is near 0, the comparison says little of what the network sees.
                spread = np.linalg.norm(expected - expected.mean(0)) / np.linalg.norm(expected)
                print(f"    the images differ by {spread:.1e} of their length")


def network(architecture):
    import torchvision
    from torchvision.models.resnet import BasicBlock, ResNet

    if architecture == "resnet10":
        return ResNet(BasicBlock, [1, 1, 1, 1])
    return torchvision.models.get_model(architecture, weights=None)


def set_last(net, module):
    """In place of the last linear layer."""
    if hasattr(net, "fc"):
        net.fc = module
    else:
        net.classifier[-1] = module


def check_torch(folder):
    import torch
    from torch.nn import Identity, Linear, ReLU, Sequential

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    for path in sorted(folder.glob("*.pt")):
        extra = {"libseed.json": ""}
        module = torch.jit.load(path, _extra_files=extra)
        texts = json.loads(extra["libseed.json"])
        if json.loads(texts["provenance"])["teacher"] != "a teacher":
            failures.append(f"{path.stem}: provenance {texts}")
        module.eval()
        given = read_safetensors(path.with_suffix(".safetensors"))
        for batch in (1, 5):
            found = module(torch.tensor(given[f"images_{batch}"]))
            found = found if isinstance(found, tuple) else (found,)
            for name, rows in zip(texts["outputs"].split(","), found, strict=True):
                compare(f"{path.stem}.pt ({batch}) {name}", rows.numpy(), given[f"{name}_{batch}"])
    for path in sorted(folder.glob("*.backbone")):
        architecture = path.stem
        given = read_safetensors(folder / f"{architecture}.normalised.safetensors")
        images = torch.tensor(given["images_5"])

        def loaded(last, weights):
            net = network(architecture)
            set_last(net, last)
            state = {name: torch.tensor(value) for name, value in read_safetensors(weights).items()}
            net.load_state_dict(state, strict=True)
            return net.eval()(images)

        compare(f"{architecture} backbone", loaded(Identity(), path).numpy(), given["features_5"])
        whole = path.with_suffix(".torchvision")
        names = read_safetensors(whole)
        last = {"resnet": "fc", "mobilenet_v3": "classifier.3"}
        key = next((key for start, key in last.items() if architecture.startswith(start)), "classifier.1")
        first, second = (names[f"{key}.{layer}.weight"].shape for layer in (0, 2))
        head = Sequential(Linear(*first[::-1]), ReLU(), Linear(*second[::-1]))
        rows = torch.nn.functional.normalize(loaded(head, whole))
        compare(f"{architecture} torchvision", rows.numpy(), given["embedding_5"])


def main():
    kind, folder = sys.argv[1], sys.argv[2]
    if folder == "--probe":
        modules = {"onnx": ["onnx", "onnxruntime"], "opencv": ["cv2"], "torch": ["torch", "torchvision"]}[kind]
        for module in modules:
            __import__(module)
        return
    {"onnx": check_onnx, "opencv": check_opencv, "torch": check_torch}[kind](Path(folder))
    if failures:
        sys.exit("\n".join(failures))


main()
