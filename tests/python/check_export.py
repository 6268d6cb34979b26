"""Runs what tests/model/export_onnx.rs exported in programs that are not ours.

check_export.py onnx FOLDER    ONNX Runtime (and onnx.checker) on NAME.onnx; needs onnxruntime, onnx
check_export.py judges FOLDER  the same on classifiers and anomaly detectors (tests/model/export_judges.rs)
check_export.py stages FOLDER  ONNX Runtime on NAME.onnx with the outputs c2 to c5 (tests/model/export_stages.rs); writes what it gives to
                               NAME.found
check_export.py fpn FOLDER     torchvision's feature pyramid and a detector on the same files and on ARCHITECTURE.backbone; needs torch,
                               torchvision, onnxruntime
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


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, array in tensors.items():
        begin, data = len(data), data + np.ascontiguousarray(array, np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def compare(what, found, expected):
    if found.shape != expected.shape or found.dtype != np.float32:
        failures.append(f"{what}: {found.dtype}{found.shape}, expected float32{expected.shape}")
        return
    a, b = (rows.astype(np.float64).reshape(len(rows), -1) for rows in (found, expected))
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


def placement(resize, frame, view):
    """Left, top, width, height of the part of a frame that is seen, and of what shows it in the resized image (docs/export.md)."""
    (frame_w, frame_h), (view_w, view_h) = frame, view
    if resize == "letterbox":
        width = min(max(round(frame_w / frame_h * view_h), 1), view_w) if frame_w / frame_h < view_w / view_h else view_w
        height = min(max(round(frame_h / frame_w * view_w), 1), view_h) if frame_w / frame_h > view_w / view_h else view_h
        left, top = round((view_w - width) * 0.5), round((view_h - height) * 0.5)
        return (0, 0, frame_w, frame_h), (left, top, width, height)
    if resize == "centre":
        cover_w, cover_h = view_w * 256 // 224, view_h * 256 // 224
        if frame_w * cover_h <= frame_h * cover_w:
            resized = (cover_w, cover_w * frame_h // frame_w)
        else:
            resized = (cover_h * frame_w // frame_h, cover_h)
        scale = (frame_w / resized[0], frame_h / resized[1])
        left, top = (round((have - want) / 2) * by for have, want, by in zip(resized, view, scale))
        return (left, top, view_w * scale[0], view_h * scale[1]), (0, 0, view_w, view_h)
    return (0, 0, frame_w, frame_h), (0, 0, view_w, view_h)


def in_frame(heat, resize, frame):
    """A map (H, W) of the resized image in the pixels of its frame, (width, height); what is not seen is 0."""
    source, target = placement(resize, frame, heat.shape[::-1])
    axes = []
    for side, start, length, first, places in zip(frame, source[:2], source[2:], target[:2], target[2:]):
        at = (np.arange(side) + 0.5 - start) * places / length
        seen = (at >= 0) & (at <= places)
        at = np.clip(at - 0.5, 0, places - 1)
        low = np.minimum(np.floor(at).astype(int), places - 1)
        axes.append((first + low, first + np.minimum(low + 1, places - 1), at - low, seen))
    (x0, x1, right, seen_x), (y0, y1, down, seen_y) = axes
    rows = heat[y0] * (1 - down)[:, None] + heat[y1] * down[:, None]
    return (rows[:, x0] * (1 - right) + rows[:, x1] * right) * np.outer(seen_y, seen_x)


def check_judges(folder):
    import onnx
    import onnxruntime

    largest = {"probabilities": (5e-5, 1), "confidence": (5e-5, 1), "score": (5e-5, None), "map": (5e-5, None)}
    paths = sorted(folder.glob("*.onnx"))
    if not paths:
        failures.append("there is no file to check")
    for path in paths:
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        if [(opset.domain, opset.version) for opset in model.opset_import] != [("", 17)]:
            failures.append(f"{path.stem}: operator sets {model.opset_import}")
        texts = {entry.key: entry.value for entry in model.metadata_props}
        for key, expected in json.loads(path.with_suffix(".json").read_text()).items():
            found = json.loads(texts[key]) if not isinstance(expected, str) else texts[key]
            if found != expected:
                failures.append(f"{path.stem}: {key} is {found}, expected {expected}")
        if json.loads(texts["provenance"])["teacher"] != "a teacher" or texts["filter"] != "bilinear, antialiased":
            failures.append(f"{path.stem}: metadata {texts}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        if names != texts["outputs"].split(",") or names not in (
            ["probabilities", "class", "confidence", "unsure"],
            ["score", "alarm", "map"],
        ):
            failures.append(f"{path.stem}: outputs {names}, metadata {texts['outputs']}")
        given = read_safetensors(path.with_suffix(".safetensors"))
        frame = tuple(int(side) for side in given["frame_size"][::-1])
        for batch in (1, 5):
            for name, found in zip(names, session.run(None, {"images": given[f"images_{batch}"]})):
                what, expected = f"{path.stem} ({batch}) {name}", given[f"{name}_{batch}"]
                if name == "map":
                    size = (batch, int(texts["height"]), int(texts["width"]))
                    if found.shape != size:
                        failures.append(f"{what}: {found.shape}, expected {size}")
                    found = np.stack([in_frame(one, texts["resize"], frame) for one in found]).astype(np.float32)
                kinds = {"class": np.int64, "unsure": np.bool_, "alarm": np.bool_}
                if found.shape != expected.shape or found.dtype != kinds.get(name, np.float32):
                    failures.append(f"{what}: {found.dtype}{found.shape}, expected {expected.shape}")
                elif name in kinds:
                    if (found != expected).any():
                        failures.append(f"{what}: {found}, expected {expected}")
                else:
                    tolerance, scale = largest[name]
                    scale = scale or np.abs(expected).max()
                    error = np.abs(found.astype(np.float64) - expected).max() / scale
                    print(f"{what}: largest difference {error:.2e} of {scale:.3g}")
                    if not error <= tolerance:
                        failures.append(f"{what}: largest difference {error} of {scale}")


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


STAGES = ["c2", "c3", "c4", "c5"]


def stages_of(path):
    """What ONNX Runtime gives for the images of an exported student, and what its metadata says of the stages."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    about = json.loads(session.get_modelmeta().custom_metadata_map["stages"])
    names = [output.name for output in session.get_outputs()]
    given = read_safetensors(path.with_suffix(".safetensors"))
    found = dict(zip(names, session.run(None, {"images": given["images"]})))
    if names != STAGES or [row["name"] for row in about] != STAGES:
        failures.append(f"{path.stem}: outputs {names}, metadata {about}")
    for output, row in zip(session.get_outputs(), about):
        batch, _, height, width = given["images"].shape
        sides = [row["channels"], -(-height // row["stride"]), -(-width // row["stride"])]
        if output.shape[1:] != sides or found[output.name].shape != (batch, *sides):
            failures.append(f"{path.stem} {output.name}: {output.shape}, {found[output.name].shape}, expected {sides}")
        compare(f"{path.stem} {output.name}", found[output.name], given[output.name])
    return found, about, given


def check_stages(folder):
    import onnx

    for path in sorted(folder.glob("*.onnx")):
        onnx.checker.check_model(onnx.load(path), full_check=True)
        write_safetensors(path.with_suffix(".found"), stages_of(path)[0])


def check_fpn(folder):
    import torch
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import BackboneWithFPN
    from torchvision.models.feature_extraction import create_feature_extractor
    from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign

    torch.set_num_threads(1)
    torch.manual_seed(0)
    for path in sorted(folder.glob("*.onnx")):
        found, about, given = stages_of(path)
        channels = [row["channels"] for row in about]
        pyramid = FeaturePyramidNetwork(channels, 16).eval()
        levels = pyramid({name: torch.tensor(found[name]) for name in STAGES})

        # The same student as weights: torchvision's network, whose stages the detector's training may change.
        net = network(path.stem)
        set_last(net, torch.nn.Identity())
        state = read_safetensors(path.with_suffix(".backbone"))
        net.load_state_dict({name: torch.tensor(value) for name, value in state.items()}, strict=True)
        stages = create_feature_extractor(net.eval(), {row["module"]: row["name"] for row in about})
        maps = stages(torch.tensor(given["images"]))
        again = pyramid(maps)
        for name in STAGES:
            compare(f"{path.stem} {name} by weights", maps[name].detach().numpy(), given[name])
            compare(f"{path.stem} {name} pyramid", levels[name].detach().numpy(), again[name].detach().numpy())
        sum(level.square().mean() for level in again.values()).backward()
        first = next(net.parameters()).grad
        if not (torch.isfinite(first).all() and first.abs().sum() > 0):
            failures.append(f"{path.stem}: no gradient reaches the first layer")

        # A whole detector takes one step. Its stages are children of `body`, torchvision's own way.
        body = net if hasattr(net, "layer1") else net.features
        layers = {row["module"].removeprefix("features."): row["name"] for row in about}
        backbone = BackboneWithFPN(body, layers, channels, 16)
        anchors = AnchorGenerator(tuple((side,) for side in (16, 32, 64, 96, 128)), ((0.5, 1.0, 2.0),) * 5)
        pool = MultiScaleRoIAlign(STAGES, output_size=7, sampling_ratio=2)
        sizes = {"min_size": 64, "max_size": 96}
        detector = FasterRCNN(backbone, 3, rpn_anchor_generator=anchors, box_roi_pool=pool, **sizes).train()
        target = {"boxes": torch.tensor([[10.0, 8.0, 60.0, 50.0]]), "labels": torch.tensor([1])}
        optimiser = torch.optim.SGD(detector.parameters(), lr=1e-3)
        losses = detector([torch.tensor(image) for image in given["images"]], [target, target])
        sum(losses.values()).backward()
        optimiser.step()
        print(f"{path.stem} detector:", {name: round(float(value), 4) for name, value in losses.items()})
        if not all(torch.isfinite(value) for value in losses.values()):
            failures.append(f"{path.stem}: losses {losses}")


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
        runtime, torch = ["onnx", "onnxruntime"], ["torch", "torchvision"]
        modules = {"opencv": ["cv2"], "torch": torch, "fpn": [*torch, "onnxruntime"]}
        for module in modules.get(kind, runtime):
            __import__(module)
        return
    checks = {"onnx": check_onnx, "judges": check_judges, "stages": check_stages, "fpn": check_fpn, "opencv": check_opencv}
    {**checks, "torch": check_torch}[kind](Path(folder))
    if failures:
        sys.exit("\n".join(failures))


main()
