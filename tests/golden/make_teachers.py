"""Writes teachers as PyTorch and NumPy write them, for tests/train/teachers.rs: run `python make_teachers.py` beside this file.

Needs torch 2.11, numpy, safetensors, onnx. Into teachers/:

  tensor.pt, dict.pt, tuple.pt  TorchScript: the same small network, giving (B,6); {"tokens": (B,4,6), "pooled": (B,6)}; and the
                                named tuple (tokens, pooled)
  map.pt, bfloat16.pt           the same, giving (B,6,1,1); and with weights in bfloat16
  expected.safetensors          images (3,3,16,20) and what the network gives for them, in eval mode
  half.npy, single.npy, double.npy, named.safetensors   a table (5,3), the last with the names e, d, c, b, a
  bytes.onnx                    a network that takes bytes (B,H,W,3) and gives (B,8), for tests/capi/onnx_teacher.rs
"""
import io
import json
import pathlib
import zipfile
from typing import NamedTuple

import numpy as np
import onnx
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent / "teachers"


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 6, 3, 2, 1)
        self.norm = torch.nn.BatchNorm2d(6)
        self.drop = torch.nn.Dropout(.5)  # shows that eval mode is set

    def map(self, x):
        return self.drop(torch.relu(self.norm(self.conv(x))))

    def forward(self, x):
        return self.map(x).mean((2, 3))


class Map(Net):
    def forward(self, x):
        return self.map(x).mean((2, 3), keepdim=True)


class Output(NamedTuple):
    tokens: torch.Tensor
    pooled: torch.Tensor


class Dict(Net):
    def forward(self, x):
        return {"tokens": self.map(x).flatten(2).transpose(1, 2)[:, :4], "pooled": self.map(x).mean((2, 3))}


class Tuple(Net):
    def forward(self, x):
        return Output(self.map(x).flatten(2).transpose(1, 2)[:, :4], self.map(x).mean((2, 3)))


def save(module, path):
    """torch.jit.save, without the debug files, which name folders of this machine."""
    buffer = io.BytesIO()
    torch.jit.save(module, buffer)
    with zipfile.ZipFile(buffer) as archive, zipfile.ZipFile(path, "w") as out:
        for name in archive.namelist():
            if not name.endswith(".debug_pkl"):
                out.writestr(zipfile.ZipInfo(name), archive.read(name))


def bytes_model():
    """Cast, convolution, ReLU, mean: what an exporter writes for a model that takes pixels."""
    node, random = onnx.helper.make_node, np.random.default_rng(7)
    nodes = [node("Cast", ["image"], ["numbers"], to=onnx.TensorProto.FLOAT),
             node("Transpose", ["numbers"], ["planes"], perm=[0, 3, 1, 2]),
             node("Conv", ["planes", "weight", "bias"], ["map"], strides=[2, 2]),
             node("Relu", ["map"], ["positive"]),
             node("GlobalAveragePool", ["positive"], ["pooled"]),
             node("Flatten", ["pooled"], ["embedding"])]
    weights = [onnx.numpy_helper.from_array(random.normal(size=(8, 3, 4, 4)).astype(np.float32), "weight"),
               onnx.numpy_helper.from_array(random.normal(size=8).astype(np.float32), "bias")]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(nodes, "bytes", [value("image", onnx.TensorProto.UINT8, ["B", "H", "W", 3])],
                                   [value("embedding", onnx.TensorProto.FLOAT, ["B", 8])], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def main():
    OUT.mkdir(exist_ok=True)
    torch.manual_seed(5)
    net = Net()
    net.norm.running_mean.uniform_(-.5, .5)
    net.norm.running_var.uniform_(.5, 2)
    images = torch.randn(3, 3, 16, 20)
    kinds = {"tensor": Net(), "map": Map(), "dict": Dict(), "tuple": Tuple(), "bfloat16": Net()}
    for name, kind in kinds.items():
        kind.load_state_dict(net.state_dict())
        if name == "bfloat16":
            kind.bfloat16()
        # In training mode, as a careless author saves it.
        save(torch.jit.script(kind.train()), OUT / f"{name}.pt")
    net.eval()
    save_file({"images": images, "embeddings": net(images).detach()}, OUT / "expected.safetensors")

    table = np.random.default_rng(5).normal(size=(5, 3))
    for name, kind in (("half", np.float16), ("single", np.float32), ("double", np.float64)):
        np.save(OUT / f"{name}.npy", table.astype(kind))
    save_file({"embeddings": torch.tensor(table[::-1].astype(np.float32))}, OUT / "named.safetensors",
              metadata={"names": json.dumps(list("edcba"))})
    (OUT / "bytes.onnx").write_bytes(bytes_model())


if __name__ == "__main__":
    main()
