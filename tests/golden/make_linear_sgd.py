"""linear_sgd.json: a linear layer that learns by SGD with momentum and weight decay, in float64.

Made with numpy 2 alone, gradients by hand and checked by differences:
    python tests/golden/make_linear_sgd.py
Read by tests/train/linear_sgd.rs. The rule is torch.optim.SGD's: v = m·v + (g + λ·p), p = p − lr·v. The learning rate is that of the
linear protocol: lr·B/256, a tenth of it after three fifths of the passes, a hundredth after four fifths.
"""

import json
from pathlib import Path

import numpy as np

IMAGES, WIDTH, CLASSES, BATCH, EPOCHS = 24, 6, 4, 8, 10
RATE, MOMENTUM, DECAY = 30.0, 0.9, 1e-3

random = np.random.default_rng(11)
features = random.standard_normal((IMAGES, WIDTH))
truth = (features @ random.standard_normal((WIDTH, CLASSES)) + random.standard_normal((IMAGES, CLASSES))).argmax(1)
weight, bias = random.standard_normal((CLASSES, WIDTH)) * 0.01, np.zeros(CLASSES)
# What is stored must be the numbers that were computed with, in float32 too.
features, weight = features.astype(np.float32).astype(np.float64), weight.astype(np.float32).astype(np.float64)


def loss_of(w, b, x, t):
    z = x @ w.T + b
    z = z - z.max(1, keepdims=True)
    logs = z - np.log(np.exp(z).sum(1, keepdims=True))
    return -logs[np.arange(len(t)), t].mean(), np.exp(logs)


def gradient(w, b, x, t):
    _, p = loss_of(w, b, x, t)
    p[np.arange(len(t)), t] -= 1
    return p.T @ x / len(t), p.mean(0)


step = 1e-6
own = gradient(weight, bias, features, truth)[0]
for place in [(0, 0), (1, 3), (3, 5)]:
    there = np.zeros_like(weight)
    there[place] = step
    slope = (loss_of(weight + there, bias, features, truth)[0] - loss_of(weight - there, bias, features, truth)[0]) / (2 * step)
    assert abs(slope - own[place]) < 1e-8

first = weight.copy()
batches, losses, velocity = [], [], None
for epoch in range(EPOCHS):
    order = random.permutation(IMAGES)
    rate = RATE * BATCH / 256 * (0.01 if epoch >= EPOCHS * 4 // 5 else 0.1 if epoch >= EPOCHS * 3 // 5 else 1)
    for begin in range(0, IMAGES, BATCH):
        rows = order[begin:begin + BATCH]
        x, t = features[rows], truth[rows]
        losses.append(loss_of(weight, bias, x, t)[0])
        g = [one + DECAY * p for one, p in zip(gradient(weight, bias, x, t), (weight, bias))]
        velocity = g if velocity is None else [MOMENTUM * v + one for v, one in zip(velocity, g)]
        weight, bias = weight - rate * velocity[0], bias - rate * velocity[1]
        batches.append(rows.tolist())

assert losses[-1] < losses[0] / 2, "it learns"
Path(__file__).with_name("linear_sgd.json").write_text(json.dumps({
    "classes": CLASSES, "width": WIDTH, "batch": BATCH, "rate": RATE, "momentum": MOMENTUM, "decay": DECAY,
    "features": features.flatten().tolist(), "truth": truth.tolist(), "first": first.flatten().tolist(), "batches": batches,
    "losses": losses, "weight": weight.flatten().tolist(), "bias": bias.tolist(),
}, indent=1) + "\n")
