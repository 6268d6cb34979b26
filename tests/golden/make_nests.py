"""Writes tests/golden/weights/nest.*.pt: checkpoints whose state dict lies under the keys that training scripts use. Needs Python alone.

    python3 tests/golden/make_nests.py

torch's zip format is written by hand, as torch.save writes it: a pickle of protocol 2 whose tensors are calls of
torch._utils._rebuild_tensor_v2 on storages named by persistent ids, and the storages beside it. torch.load reads the files.

| file | what it holds |
|---|---|
| KEY.pt | {"epoch": 3, KEY: state dict, "optimizer": {...}} |
| both.pt | "model" and, later in the file, "model_ema", whose names begin with "module." and stand beside "n_averaged" |
| deep.pt | {"model_ema": {"state_dict": state dict}} |
| nothing.pt | no tensor anywhere |
"""

import collections
import io
import pathlib
import pickle
import struct
import sys
import types
import zipfile

FOLDER = pathlib.Path(__file__).parent / "weights"
KEYS = [
    "state_dict_ema", "model_ema", "ema_state_dict", "params_ema", "module", "params", "weights", "backbone", "encoder",
]

torch = types.ModuleType("torch")
utils = types.ModuleType("torch._utils")


def _rebuild_tensor_v2(*_):
    """Stands for torch's function, by its name."""


class FloatStorage:
    """Stands for torch's class, by its name."""


_rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
FloatStorage.__module__, FloatStorage.__qualname__ = "torch", "FloatStorage"
utils._rebuild_tensor_v2, torch.FloatStorage, torch._utils = _rebuild_tensor_v2, FloatStorage, utils
sys.modules["torch"], sys.modules["torch._utils"] = torch, utils


class Storage:
    def __init__(self, values):
        self.values = values


class Tensor:
    def __init__(self, *values):
        self.storage = Storage(values)

    def __reduce__(self):
        count = len(self.storage.values)
        return _rebuild_tensor_v2, (self.storage, 0, (count,), (1,), False, collections.OrderedDict())


class Pickler(pickle.Pickler):
    def __init__(self, file, storages):
        super().__init__(file, protocol=2)
        self.storages = storages

    def persistent_id(self, item):
        if not isinstance(item, Storage):
            return None
        self.storages.append(item.values)
        return "storage", FloatStorage, str(len(self.storages) - 1), "cpu", len(item.values)


def save(name, content):
    pickled, storages = io.BytesIO(), []
    Pickler(pickled, storages).dump(content)
    with zipfile.ZipFile(FOLDER / f"nest.{name}.pt", "w", zipfile.ZIP_STORED) as file:
        entry = lambda inner: zipfile.ZipInfo(f"archive/{inner}", (1980, 1, 1, 0, 0, 0))
        file.writestr(entry("data.pkl"), pickled.getvalue())
        file.writestr(entry("byteorder"), b"little")
        for number, values in enumerate(storages):
            file.writestr(entry(f"data/{number}"), struct.pack(f"<{len(values)}f", *values))
        file.writestr(entry("version"), b"3\n")


def state(first, prefix=""):
    return collections.OrderedDict({f"{prefix}layer.weight": Tensor(first, 2.0), f"{prefix}layer.bias": Tensor(0.5)})


def main():
    for key in KEYS:
        save(key, {"epoch": 3, key: state(7.0), "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}})
    average = state(7.0, "module.")
    average["n_averaged"] = Tensor(4.0)
    save("both", {"model": state(1.0), "model_ema": average, "epoch": 3})
    save("deep", {"model_ema": {"state_dict": state(7.0), "decay": 0.999}})
    save("nothing", {"epoch": 3, "optimizer": {"state": {}, "param_groups": []}, "arch": "tiny", "weird": {}})


main()
