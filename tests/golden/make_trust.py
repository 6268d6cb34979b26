"""Golden numbers for tests/eval/trust.rs: fidelity by PyTorch and scikit-learn, energy distance and bootstrap by SciPy.

    python tests/golden/make_trust.py     (torch, numpy, scipy, scikit-learn; writes tests/golden/trust.json)
"""

import json
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.distance import cdist, pdist
from scipy.stats import bootstrap
from sklearn.neighbors import NearestNeighbors

rng = np.random.default_rng(11)
N, C, K, k = 24, 6, 30, 4
TAU_S, TAU_T = 0.2, 0.01


def rows(count, shift=0.0):
    values = rng.normal(size=(count, C))
    values[:, 0] += shift
    return np.round(values, 3).astype(np.float32)


def unit(values):
    values = values.astype(np.float64)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


teacher, queue = rows(N), rows(K)
student = (teacher + np.round(rng.normal(size=(N, C)) * 0.4, 3)).astype(np.float32)
s, t, d = (torch.from_numpy(unit(v)) for v in (student, teacher, queue))


def log_p(values, tau):
    return torch.log_softmax(torch.cat([(values * t).sum(1, keepdim=True), values @ d.T], 1) / tau, 1)


kl = torch.nn.functional.kl_div(log_p(s, TAU_S), log_p(t, TAU_T), reduction="none", log_target=True).sum(1)


def neighbours(values):
    found = NearestNeighbors(n_neighbors=k + 1, metric="cosine", algorithm="brute").fit(values).kneighbors(values)[1]
    return [set(row.tolist()) - {i} for i, row in enumerate(found)]


overlap = [len(a & b) / k for a, b in zip(neighbours(teacher), neighbours(student))]
cosine = (s * t).sum(1)


def interval(values):
    values = np.asarray(values)
    found = bootstrap((np.asarray(values),), np.mean, method="percentile", n_resamples=20000, random_state=1)
    return [float(np.mean(values)), float(found.confidence_interval.low), float(found.confidence_interval.high)]


reference, batch = rows(60, 0.5), rows(12, 1.5)
r, x = unit(reference), unit(batch)
# Whitened as src/eval/drift.rs says, by NumPy.
values, vectors = np.linalg.eigh(np.cov(r.T))
r_white, x_white = (v @ vectors / np.sqrt(values + max(0.1, C / len(r)) * values.mean()) for v in (r, x))
energy = 2 * cdist(x_white, r_white).mean() - pdist(x_white).mean() - pdist(r_white).mean()

# Permutations of the reference alone, by SciPy's distances and NumPy's generator.
null = []
for _ in range(4000):
    order = rng.permutation(len(r))
    a, b = r_white[order[:12]], r_white[order[12:]]
    null.append(2 * cdist(a, b).mean() - pdist(a).mean() - pdist(b).mean())



def short(values):
    """As they were rounded: each text is the float32 it was."""
    return [round(float(value), 3) for value in values.ravel()]


golden = {
    "dim": C,
    "k": k,
    "student": short(student),
    "teacher": short(teacher),
    "queue": short(queue),
    "kl_rows": kl.tolist(),
    "kl": interval(kl),
    "overlap": interval(overlap),
    "cosine": interval(cosine),
    "reference": short(reference),
    "batch": short(batch),
    "energy": float(energy),
    "threshold": float(np.quantile(null, 0.99)),
    "nearest": float((1 - (x @ r.T).max(1)).mean()),
}
text = json.dumps(golden)
(Path(__file__).parent / "trust.json").write_text(text + "\n")
