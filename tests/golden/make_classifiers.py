"""classifiers.safetensors: logistic regression, temperatures and AUROC by scikit-learn and SciPy.

Made with scikit-learn 1.9.1, SciPy 1.17.1, torch 2.11.0 and safetensors:
    python tests/golden/make_classifiers.py
Read by tests/train/finetune_linear.rs.
"""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.utils.class_weight import compute_class_weight

rng = np.random.default_rng(7)
count, dim, classes = 90, 6, 3
truth = rng.choice(classes, count, p=[0.6, 0.3, 0.1])
truth[:classes] = np.arange(classes)
features = rng.normal(size=(count, dim)) * [1, 1, 5, 0.2, 1, 1] + 0.8 * truth[:, None] * rng.normal(size=dim)
out = {"features": features, "truth": truth.astype(np.int64)}

for name, weight in [("none", None), ("balanced", "balanced")]:
    for penalty in [0.1, 10.0]:
        fit = LogisticRegression(C=1 / penalty, class_weight=weight, tol=1e-10, max_iter=100_000).fit(features, truth)
        out[f"weight_{name}_{penalty:g}"] = fit.coef_
        out[f"bias_{name}_{penalty:g}"] = fit.intercept_ - fit.intercept_.mean()
        out[f"probabilities_{name}_{penalty:g}"] = fit.predict_proba(features)
out["balanced"] = compute_class_weight("balanced", classes=np.arange(classes), y=truth)

logits = rng.normal(size=(200, 4)).astype(np.float32) * 6
answer = np.where(rng.random(200) < 0.6, logits.argmax(1), rng.integers(0, 4, 200))


def nll(log_t):
    return -log_softmax(logits.astype(np.float64) / np.exp(log_t), axis=1)[np.arange(200), answer].mean()


targets = np.full((200, 4), 1 / 202 / 3)  # Platt's
targets[np.arange(200), answer] = 201 / 202


def loss(log_t):
    return -(targets * log_softmax(logits.astype(np.float64) / np.exp(log_t), axis=1)).sum(1).mean()


best = minimize_scalar(loss, bounds=(-4, 6), method="bounded", options={"xatol": 1e-12})
out |= {"logits": logits, "answer": answer.astype(np.int64), "temperature": np.array([np.exp(best.x)]), "nll": np.array([nll(best.x), nll(0.0)])}
p = np.exp(log_softmax(logits.astype(np.float64) / np.exp(best.x), axis=1))
out["auroc"] = np.array([np.mean([roc_auc_score(answer == c, p[:, c]) for c in range(4)])])

scores = np.round(rng.normal(size=300) + 0.7 * (np.arange(300) % 3 == 0), 1).astype(np.float32)  # many ties
out |= {"scores": scores, "auroc_of_scores": np.array([roc_auc_score(np.arange(300) % 3 == 0, scores)])}
save_file({k: np.ascontiguousarray(v) for k, v in out.items()}, Path(__file__).parent / "classifiers.safetensors")
