"""stfpm.json: the loss of student–teacher feature pyramid matching, its gradient and its heat map by torch in float64.

Written down from Wang et al., "Student-teacher feature pyramid matching for anomaly detection", BMVC 2021, equations 1 to 4.
Made with torch 2.11.0:
    python tests/golden/make_stfpm.py
Read by tests/infer/anomaly_stfpm.rs.
"""

import json
from pathlib import Path

import torch
from torch.nn.functional import interpolate, mse_loss, normalize

torch.manual_seed(11)
images, size = 2, (8, 10)
shapes = [(3, 4, 5), (4, 2, 3)]
teacher = [torch.randn(images, *shape, dtype=torch.float64) for shape in shapes]
student = [torch.randn(images, *shape, dtype=torch.float64) for shape in shapes]
teacher[0][0, :, 1, 2] = 0  # a place where nothing answers
for tensor in student:
    tensor.requires_grad_()

loss, heat = 0, torch.ones(images, 1, *size, dtype=torch.float64)
for t, s in zip(teacher, student):
    t, s = normalize(t, dim=1), normalize(s, dim=1)
    loss = loss + 0.5 * mse_loss(s, t, reduction="sum") / (images * t.shape[2] * t.shape[3])
    heat = heat * interpolate(0.5 * torch.linalg.vector_norm(t - s, dim=1, keepdim=True) ** 2, size, mode="bilinear")
loss.backward()
flat = lambda tensors: [x.detach().flatten().tolist() for x in tensors]  # noqa: E731
Path(__file__).with_name("stfpm.json").write_text(json.dumps({
    "images": images, "size": size, "shapes": shapes, "teacher": flat(teacher), "student": flat(student),
    "loss": loss.item(), "gradient": flat([s.grad for s in student]), "heat": heat.detach().flatten().tolist(),
}) + "\n")
