"""Writes knn.safetensors: inputs and results of weighted kNN by PyTorch, for tests/eval/knn.rs.

The vote is that of the project's PyTorch reference (SEED_ORACLE, the path of seed_torch.py), called, not rewritten.
    SEED_ORACLE=.../seed_torch.py python tests/golden/make_knn.py
"""
import importlib.util, os, pathlib, torch
from safetensors.torch import save_file

spec = importlib.util.spec_from_file_location("oracle", os.environ["SEED_ORACLE"])
oracle = importlib.util.module_from_spec(spec)
spec.loader.exec_module(oracle)

g = torch.Generator().manual_seed(5)
CLASSES, DIM, GALLERY, QUERIES = 4, 16, 240, 90
centres = torch.randn(CLASSES, DIM, generator=g)
share = torch.tensor([.55, .25, .15, .05])  # unbalanced, as inspection data is


def draw(n):
    labels = torch.multinomial(share, n, replacement=True, generator=g)
    rows = .45 * centres[labels] + torch.randn(n, DIM, generator=g)
    return rows * torch.rand(n, 1, generator=g).add(.1) * 20, labels  # any length: rows are normalised inside


feats, labels = draw(GALLERY)
queries, query_labels = draw(QUERIES)
out = dict(gallery=feats, gallery_labels=labels, queries=queries, query_labels=query_labels)
settings = [(1, .07), (10, .07), (10, 1.), (50, .02), (200, .07)]
out["settings"] = torch.tensor(settings, dtype=torch.float64)
out["scores"] = torch.tensor([oracle.knn(feats, labels, queries, query_labels, k, tau) for k, tau in settings], dtype=torch.float64)
unit = torch.nn.functional.normalize(feats, dim=1)
sims = unit @ unit.T
out["self_neighbours"] = sims.fill_diagonal_(-2).topk(7, 1).indices
path = pathlib.Path(__file__).with_name("knn.safetensors")
save_file({k: v.contiguous() for k, v in out.items()}, path)
print(out["scores"], path.stat().st_size, "bytes")
