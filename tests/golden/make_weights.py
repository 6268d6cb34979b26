"""Torch checkpoints in every layout that tests/weights.rs reads, with the values beside. Needs torch 2.11, safetensors."""
import argparse
import collections
import torch
from safetensors.torch import save_file

torch.manual_seed(0)
base = torch.randn(4, 6)
state = collections.OrderedDict(
    [
        ("conv.weight", torch.randn(3, 2, 3, 3)),
        ("half", torch.randn(5).half()),
        ("bfloat", torch.randn(2, 2).bfloat16()),
        ("double", torch.randn(3).double()),
        ("steps", torch.tensor(1234567890123)),
        ("flags", torch.tensor([True, False, True])),
        ("bytes", torch.arange(7, dtype=torch.uint8)),
        ("transposed", base.t()),
        ("row", base[2]),  # shares the storage of "transposed"
        ("column", base[:, 1]),
        ("parameter", torch.nn.Parameter(torch.randn(2, 3))),
        ("empty", torch.zeros(0, 3)),
        ("channels_last", torch.randn(1, 3, 2, 2).contiguous(memory_format=torch.channels_last)),
    ]
)
state._metadata = {"": {"version": 1}}
model = torch.nn.Linear(2, 2)
optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
model(torch.ones(1, 2)).sum().backward()
optimiser.step()
nested = {
    "epoch": 7,
    "arch": "resnet50",
    "loss": 0.25,
    "state_dict": {"module." + k: v for k, v in state.items()},
    "optimizer": optimiser.state_dict(),
    "args": argparse.Namespace(lr=0.1, data="x", size=(1, 2)),
    "set": {1, 2},
}
for name, content in (("flat", state), ("nested", nested)):
    torch.save(content, f"weights_{name}_zip.pt")
    torch.save(content, f"weights_{name}_legacy.pt", _use_new_zipfile_serialization=False)
save_file({k: v.detach().clone().contiguous() for k, v in state.items()}, "weights_expected.safetensors")
