"""The spine's cases, written for PyTorch: products, eager training steps, row operations."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

SIZES = {torch.float32: 4, torch.bfloat16: 2}


def gemm(size, dtype):
    def setup():
        torch.manual_seed(0)
        a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
        return lambda: a @ b

    return {"setup": setup, "flops": 2 * size**3}


def training_step(widths, batch):
    """Forward, loss, backward and Adam's step of an MLP with ReLU between its layers."""

    def setup():
        torch.manual_seed(0)
        layers = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        model = nn.Sequential(*layers[:-1])
        loss_of, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters())
        images = torch.randn(batch, widths[0])
        labels = torch.randint(0, widths[-1], (batch,))

        def step():
            optimizer.zero_grad()
            loss_of(model(images), labels).backward()
            optimizer.step()

        return step

    products = sum(i * o for i, o in pairwise(widths))
    # three products a layer, but for the first, whose input needs no gradient
    return {"setup": setup, "flops": 2 * batch * (3 * products - widths[0] * widths[1])}


def recorded_add():
    x, b = torch.randn(32, 32), torch.randn(32, requires_grad=True)
    return lambda: x + b


def rows(function):
    def setup():
        torch.manual_seed(0)
        x = torch.randn(4096, 1024)
        return lambda: function(x)

    return {"setup": setup, "bytes": 2 * 4 * 4096 * 1024}


CASES = {
    **{f"gemm float32 {size}": gemm(size, torch.float32) for size in (1024, 2048, 4096)},
    "gemm bfloat16 2048": gemm(2048, torch.bfloat16),
    "step 784-512-512-10 batch 64": training_step((784, 512, 512, 10), 64),
    "step 784-128-10 batch 100": training_step((784, 128, 10), 100),
    "step 784-128-10 batch 1000": training_step((784, 128, 10), 1000),
    "step 16-32-2 batch 32": training_step((16, 32, 2), 32),
    "x + b recording a gradient": {"setup": recorded_add},
    "softmax 4096x1024": rows(lambda x: torch.softmax(x, dim=1)),
    "layer_norm 4096x1024": rows(lambda x: F.layer_norm(x, (1024,))),
    "gelu 4096x1024": rows(F.gelu),
}
