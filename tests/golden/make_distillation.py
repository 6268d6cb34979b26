"""distillation.json: the loss of logit distillation and its gradient by torch's autograd in float64.

Made with torch 2.11.0:
    python tests/golden/make_distillation.py
Read by tests/train/distillation.rs.
"""

import json
from pathlib import Path

import torch
from torch.nn.functional import kl_div, log_softmax

torch.manual_seed(3)
cases = []
for images, classes, temperature in [(1, 2, 1.0), (5, 3, 4.0), (7, 10, 0.5), (3, 4, 20.0)]:
    teacher = torch.randn(images, classes, dtype=torch.float64) * 3
    student = (torch.randn(images, classes, dtype=torch.float64) * 2).requires_grad_()
    wanted, found = log_softmax(teacher / temperature, 1), log_softmax(student / temperature, 1)
    loss = kl_div(found, wanted, reduction="batchmean", log_target=True) * temperature**2
    loss.backward()
    cases.append({
        "temperature": temperature, "classes": classes, "teacher": teacher.flatten().tolist(),
        "student": student.detach().flatten().tolist(), "loss": loss.item(), "gradient": student.grad.flatten().tolist(),
    })

# At a high temperature it is the squared difference of centred logits (Hinton et al., 2015, §2.1).
teacher, student = torch.tensor(cases[3]["teacher"]).view(3, 4), torch.tensor(cases[3]["student"]).view(3, 4)
centred = (student - student.mean(1, keepdim=True)) - (teacher - teacher.mean(1, keepdim=True))
assert abs(cases[3]["loss"] - (centred**2).sum().item() / (2 * 4 * 3)) < 0.1 * cases[3]["loss"]
Path(__file__).with_name("distillation.json").write_text(json.dumps(cases, indent=1) + "\n")
