"""Writes the torch checkpoints that tests/model/weights.rs reads, and what they must give as safetensors beside them.

    python tests/golden/make_weights.py

Needs torch, numpy and safetensors. Contents come from a fixed seed; the bytes of a checkpoint depend on torch's version.
"""

import argparse
import collections
import inspect
import pathlib
import struct

import numpy
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent / "weights"


class Scale(torch.nn.Module):
    """A module of our own: the legacy format saves its source along, and torch's must not end up here."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.ones(2))

    def forward(self, x):
        return self.factor * x


def network():
    """A few layers with convolution, BatchNorm's integer counter and a linear layer."""
    return torch.nn.Sequential(
        collections.OrderedDict(
            conv=torch.nn.Conv2d(3, 4, 3, bias=False), bn=torch.nn.BatchNorm2d(4), fc=torch.nn.Linear(4, 5)
        )
    )


def kinds():
    """Every element type, a scalar, an empty tensor and views of all sorts."""
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return {
        "f32": torch.randn(2, 3),
        "f64": torch.randn(3, dtype=torch.float64),
        "f16": torch.randn(5).half(),
        "bf16": torch.randn(7).bfloat16(),
        "i64": torch.tensor([-(2**62), 3]),
        "i32": torch.tensor([-5, 7], dtype=torch.int32),
        "i16": torch.tensor([-300, 300], dtype=torch.int16),
        "i8": torch.tensor([-128, 127], dtype=torch.int8),
        "u8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(3.5),
        "empty": torch.empty(0, 4),
        "shared.whole": base,
        "shared.row": base[2],
        "shared.column": base[:, 1],
        "transposed": base.t(),
        "strided": base[1::2, ::3],
        "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 3),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.randn(3)),
    }


def training(state, prefix=""):
    """What a training script saves: the state beside optimiser, arguments, random states and a loss."""
    net = network()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net.conv(torch.randn(2, 3, 3, 3)).sum().backward()
    optimizer.step()
    return {
        "epoch": 7,
        "arch": "tiny",
        "best": 0.5,
        "state_dict": collections.OrderedDict((prefix + name, value) for name, value in state.items()),
        "optimizer": optimizer.state_dict(),
        "args": argparse.Namespace(lr=0.1, data=pathlib.PurePosixPath("frames"), seed=None),
        "metric": numpy.float64(0.25),
        "history": numpy.arange(3.0),
        "rng": torch.get_rng_state()[:16].clone(),
        "big": 2**200,
        "loss": torch.tensor(1.5),
        "tags": {"a", "b"},
        "device": torch.device("cpu"),
        "size": torch.Size([1, 2]),
        "half": torch.float16,
    }


def expect(name, state):
    contiguous = {key: value.detach().clone().contiguous() for key, value in state.items()}
    save_file(contiguous, HERE / f"{name}.safetensors", metadata={"made_by": "make_weights.py"})


def both(name, content, state):
    torch.save(content, HERE / f"{name}.zip.pt")
    torch.save(content, HERE / f"{name}.legacy.pt", _use_new_zipfile_serialization=False)
    expect(name, state)


def zip64(name, source):
    """Rewrites a checkpoint's directory as files above 4 GiB have it: every size and offset in zip64 fields."""
    content = (HERE / source).read_bytes()
    end = content.rindex(b"PK\x05\x06")
    count, size, start = struct.unpack_from("<HII", content, end + 10)
    directory, at = b"", start
    for _ in range(count):
        fields = bytearray(content[at : at + 46])
        packed, unpacked, name_length, extra_length, comment_length = struct.unpack_from("<IIHHH", fields, 20)
        (offset,) = struct.unpack_from("<I", fields, 42)
        extra = struct.pack("<HHQQQ", 1, 24, unpacked, packed, offset)
        struct.pack_into("<II", fields, 20, 0xFFFFFFFF, 0xFFFFFFFF)
        struct.pack_into("<HH", fields, 30, len(extra), 0)
        struct.pack_into("<I", fields, 42, 0xFFFFFFFF)
        directory += fields + content[at + 46 : at + 46 + name_length] + extra
        at += 46 + name_length + extra_length + comment_length
    record = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, len(directory), start)
    locator = struct.pack("<IIQI", 0x07064B50, 0, start + len(directory), 1)
    tail = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (HERE / name).write_bytes(content[:start] + directory + record + locator + tail)
    torch.load(HERE / name)


def main():
    torch.manual_seed(0)
    # The legacy format keeps the source's full path, which says nothing on another machine.
    source = lambda thing: (inspect.getsource(thing).splitlines(True), 0, "make_weights.py")
    torch.serialization.get_source_lines_and_file = source
    HERE.mkdir(exist_ok=True)
    state = network().state_dict()  # an OrderedDict with _metadata
    both("plain", state, state)
    every = kinds()
    both("kinds", every, every)
    both("training", training(state, "module."), state)
    teacher = {"head.weight": torch.randn(2, 2)}
    both("dino", {"student": {"head.weight": torch.zeros(2, 2)}, "teacher": teacher, "center": torch.zeros(2)}, teacher)
    both("nested", {"model": {"state_dict": teacher}, "epoch": 1}, teacher)
    for protocol in (3, 4, 5):
        torch.save(state, HERE / f"plain.protocol{protocol}.pt", pickle_protocol=protocol)
        torch.save(
            state, HERE / f"plain.legacy{protocol}.pt", pickle_protocol=protocol, _use_new_zipfile_serialization=False
        )
    torch.serialization.set_crc32_options(False)
    torch.save(state, HERE / "plain.nocrc.pt")
    torch.serialization.set_crc32_options(True)
    zip64("plain.zip64.pt", "plain.zip.pt")
    # A dtype without a storage class of its own goes through _rebuild_tensor_v3.
    torch.save({"a": torch.ones(3, dtype=torch.uint16)}, HERE / "unread.uint16.pt")
    torch.save({"a": torch.ones(3, dtype=torch.complex64)}, HERE / "unread.complex.pt")
    torch.save(Scale(), HERE / "unread.module.pt")
    torch.save(Scale(), HERE / "unread.module.legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"model": Scale(), "epoch": 3}, HERE / "unread.nested_module.pt")
    torch.save({"epoch": 3}, HERE / "unread.no_tensors.pt")
    torch.save(torch.ones(2), HERE / "unread.tensor.pt")
    quantised = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    torch.save({"a": torch.ones(2), "q": quantised}, HERE / "unread.quantised.pt")
    torch.jit.save(torch.jit.script(Scale()), HERE / "unread.torchscript.pt")


if __name__ == "__main__":
    main()
