"""segmentation.json: intersection over union, and logistic regression on rows that are shared among classes, in float64.

Made with numpy 2 alone:
    python tests/golden/make_segmentation.py
Read by tests/infer/segment.rs. The regression is solved by Newton's method with the exact Hessian, to a gradient below 1e-12.
"""

import json
from pathlib import Path

import numpy as np

random = np.random.default_rng(5)

# Masks of three images of other sizes; class 3 is in no truth and in no prediction, class 2 in no truth.
CLASSES, IGNORED = 5, 255
images = []
for height, width in ((7, 5), (4, 9), (6, 6)):
    truth = random.choice([0, 1, 4, IGNORED], (height, width), p=[0.6, 0.2, 0.1, 0.1])
    wrong = random.random((height, width)) < 0.3
    predicted = np.where(wrong | (truth == IGNORED), random.choice([0, 1, 2, 4], (height, width)), truth)
    images.append((predicted.ravel(), truth.ravel()))
predicted, truth = (np.concatenate(part) for part in zip(*images))
known = truth != IGNORED
p, t = predicted[known], truth[known]
ious = []
for c in range(CLASSES):
    union = np.count_nonzero((p == c) | (t == c))
    ious.append(np.count_nonzero((p == c) & (t == c)) / union if union else None)
overlap = {
    "classes": CLASSES, "predicted": [image[0].tolist() for image in images], "truth": [image[1].tolist() for image in images],
    "ious": ious, "mean": float(np.mean([iou for iou in ious if iou is not None])), "accuracy": float((p == t).mean()),
}

# L = Σ w_i Σ_c a_c q_ic (−log p_ic) / S + λ/2 ‖W‖² / S, S = Σ w_i Σ_c a_c q_ic
ROWS, WIDTH, K, PENALTY = 40, 3, 3, 0.7
x = random.standard_normal((ROWS, WIDTH))
q = random.dirichlet([0.4] * K, ROWS)
q[:10] = np.eye(K)[random.integers(0, K, 10)]
w, a = random.random(ROWS) + 0.1, np.array([0.5, 2.0, 1.3])
scale = (w[:, None] * a * q).sum()
aq = w[:, None] * a * q / scale  # what each −log p counts
ones = np.concatenate([x, np.ones((ROWS, 1))], 1)
ridge = np.tile(np.append(np.full(WIDTH, PENALTY / scale), 0.0), K)


def probabilities(theta):
    z = ones @ theta.reshape(K, WIDTH + 1).T
    z = np.exp(z - z.max(1, keepdims=True))
    return z / z.sum(1, keepdims=True)


def loss(theta):
    return -(aq * np.log(probabilities(theta))).sum() + 0.5 * (ridge * theta**2).sum()


theta = np.zeros(K * (WIDTH + 1))
for _ in range(60):
    prob = probabilities(theta)
    of_row = aq.sum(1)
    gradient = ((of_row[:, None] * prob - aq).T @ ones).ravel() + ridge * theta
    hessian = np.diag(ridge)
    for i in range(ROWS):
        core = of_row[i] * (np.diag(prob[i]) - np.outer(prob[i], prob[i]))
        hessian += np.kron(core, np.outer(ones[i], ones[i]))
    if np.abs(gradient).max() < 1e-13:
        break
    # The sum of all b is free: the shortest step leaves it alone.
    theta = theta - np.linalg.pinv(hessian) @ gradient
assert np.abs(gradient).max() < 1e-12
for _ in range(50):  # nowhere near is it lower
    assert loss(theta + 1e-3 * random.standard_normal(theta.size)) > loss(theta)
layer = theta.reshape(K, WIDTH + 1)
bias = layer[:, WIDTH] - layer[:, WIDTH].mean()
fit = {
    "width": WIDTH, "classes": K, "penalty": PENALTY, "features": x.ravel().tolist(), "shares": q.ravel().tolist(), "weights": w.tolist(),
    "class_weights": a.tolist(), "weight": layer[:, :WIDTH].ravel().tolist(), "bias": bias.tolist(),
    "loss": float(-(aq * np.log(probabilities(theta))).sum()),
}
Path(__file__).with_name("segmentation.json").write_text(json.dumps({"overlap": overlap, "fit": fit}, indent=1) + "\n")
