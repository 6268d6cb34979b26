"""Writes map.safetensors: embeddings on curved sheets, their principal components and trustworthiness by scikit-learn, for tests/eval/map.rs.

python tests/golden/make_map.py
"""
import pathlib

import numpy as np
from safetensors.numpy import save_file
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE, trustworthiness

generator = np.random.default_rng(5)
CLASSES, EACH, DIM = 6, 50, 16
rows, labels = [], []
for label in range(CLASSES):
    # An arc in a plane of its own, around a centre of its own, with noise in all directions.
    plane = np.linalg.qr(generator.normal(size=(DIM, 2)))[0].T
    angle = generator.uniform(0, 3, EACH)
    arc = np.stack([np.cos(angle), np.sin(angle)], 1) @ plane
    rows.append(0.9 * generator.normal(size=DIM) / 2 + arc + 0.05 * generator.normal(size=(EACH, DIM)))
    labels += [label] * EACH
rows = np.concatenate(rows).astype(np.float32)
unit = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
pca = PCA(2, svd_solver="full").fit(unit)
# More numbers a row than rows: the other matrix of inner products.
wide = generator.normal(size=(12, 40)).astype(np.float32)
wide_unit = wide.astype(np.float64) / np.linalg.norm(wide.astype(np.float64), axis=1, keepdims=True)
wide_pca = PCA(2, svd_solver="full").fit(wide_unit)
plane = pca.transform(unit)
tsne = [TSNE(2, init="pca", random_state=seed, perplexity=30).fit_transform(unit) for seed in range(3)]
trust = [trustworthiness(unit, points, n_neighbors=12) for points in [plane, *tsne]]
out = dict(
    rows=rows, labels=np.array(labels, np.int64), plane=plane, explained=pca.explained_variance_ratio_,
    wide=wide, wide_plane=wide_pca.transform(wide_unit), trust=np.array(trust),
)
path = pathlib.Path(__file__).with_name("map.safetensors")
save_file({key: np.ascontiguousarray(value) for key, value in out.items()}, path)
print("explained", pca.explained_variance_ratio_, "trustworthiness of PCA and t-SNE", trust, path.stat().st_size, "bytes")
