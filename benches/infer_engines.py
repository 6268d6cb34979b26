"""torchvision's network in ONNX Runtime or as frozen TorchScript: latency of one frame, frames a second of a batch.

Whole is frame (bytes in memory) -> resized, cropped, normalised by torchvision on PIL -> network -> features. The network
alone, on a tensor that is ready, is timed too. One line of JSON on standard output.
"""
import argparse, json, os, tempfile, time
import torch, torchvision
import torchvision.transforms as T
from PIL import Image

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--engine", choices=("onnxruntime", "torchscript"), required=True)
parser.add_argument("--network", default="resnet18")
parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--repeats", type=int, default=100)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--device", default="cpu")
parser.add_argument("--cudnn_benchmark", action="store_true")
options = parser.parse_args()
torch.set_num_threads(options.threads)
torch.backends.cudnn.benchmark = options.cudnn_benchmark
device = torch.device(options.device)
kind = torch.bfloat16 if options.precision == "bf16" else torch.float32

network = getattr(torchvision.models, options.network)(weights=None).eval()
if hasattr(network, "fc"):
    network.fc = torch.nn.Identity()
elif isinstance(network.classifier[0], torch.nn.Linear):
    network.classifier = network.classifier[:2]  # MobileNetV3: the features come after the first layer and its Hardswish
else:
    network.classifier = torch.nn.Identity()

if options.engine == "onnxruntime":
    import onnxruntime
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "network.onnx")
        sample = torch.zeros(1, 3, options.size, options.size)
        torch.onnx.export(network, sample, path, dynamo=False, input_names=["images"], output_names=["features"],
                          dynamic_axes={"images": {0: "batch"}, "features": {0: "batch"}})
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = options.threads
        providers = ["CUDAExecutionProvider"] if device.type == "cuda" else ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(path, settings, providers=providers)
    run = lambda images: session.run(None, {"images": images.numpy()})[0]
else:
    network = network.to(device, kind, memory_format=torch.channels_last)
    sample = torch.zeros(1, 3, options.size, options.size, device=device, dtype=kind)
    with torch.no_grad():
        frozen = torch.jit.freeze(torch.jit.trace(network, sample.contiguous(memory_format=torch.channels_last)))

    def run(images):
        images = images.to(device, kind, memory_format=torch.channels_last)
        return frozen(images).float().cpu().numpy()

prepare = T.Compose([T.Resize(options.size * 256 // 224), T.CenterCrop(options.size), T.ToTensor(),
                     T.Normalize([.485, .456, .406], [.229, .224, .225])])
length = options.size * options.size * 3
frames = [bytes((i * 7 + place) % 251 for i in range(length)) for place in range(min(options.batch, 4))]


def images(count):
    views = [Image.frombytes("RGB", (options.size, options.size), frames[i % len(frames)]) for i in range(count)]
    return torch.stack([prepare(view) for view in views])


def times(repeats, call):
    found = []
    for n in range(5 + repeats):
        start = time.perf_counter()
        call()
        if n >= 5:
            found.append((time.perf_counter() - start) * 1e3)
    return sorted(found)


def at(sorted_times, share):
    return sorted_times[round((len(sorted_times) - 1) * share)]


with torch.no_grad():
    few = max(1, -(-options.repeats // 10))
    one, many = images(1), images(options.batch)
    whole_one = times(options.repeats, lambda: run(images(1)))
    whole_many = times(few, lambda: run(images(options.batch)))
    network_one = times(options.repeats, lambda: run(one))
    network_many = times(few, lambda: run(many))
print(json.dumps(dict(p50_ms=round(at(whole_one, .5), 3), p99_ms=round(at(whole_one, .99), 3),
                      images_per_s=round(options.batch / at(whole_many, .5) * 1e3, 2),
                      network_p50_ms=round(at(network_one, .5), 3),
                      network_images_per_s=round(options.batch / at(network_many, .5) * 1e3, 2))))
