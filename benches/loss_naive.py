"""Time and memory of the PyTorch reference's loss with autograd's gradient, for one size in one process.

One line of JSON on standard output: the median time in ms, and how much memory beyond the inputs was resident at the
peak, in MiB. The queue belongs to the inputs.
"""
import argparse, ctypes, importlib.util, json, time
import torch

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--oracle", required=True, help="the file of the PyTorch reference")
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--queue", type=int, default=65536)
parser.add_argument("--dim", type=int, default=128)
parser.add_argument("--repeats", type=int, default=10)
options = parser.parse_args()
spec = importlib.util.spec_from_file_location("reference", options.oracle)
reference = importlib.util.module_from_spec(spec)
spec.loader.exec_module(reference)


def unit(rows):
    numbers = torch.randn(rows, options.dim)
    return numbers.div_(numbers.norm(dim=1, keepdim=True))


def inputs(capacity):
    return unit(options.batch).requires_grad_(), unit(options.batch), unit(capacity)


def once(student, teacher, queue):
    start = time.perf_counter()
    student.grad = None
    reference.seed_loss(student, teacher, queue, .2, .01).backward()
    return (time.perf_counter() - start) * 1e3


def status_mib(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith(key))


once(*inputs(64))  # PyTorch's own first-time memory is not the loss's
tensors = inputs(options.queue)
ctypes.CDLL(None).malloc_trim(0)
with open("/proc/self/clear_refs", "w") as clear:
    clear.write("5")
before = status_mib("VmRSS:")
once(*tensors)
times = sorted(once(*tensors) for _ in range(options.repeats))
peak = status_mib("VmHWM:") - before
print(json.dumps(dict(ms=round(times[len(times) // 2], 4), peak_mib=round(peak, 2))))
