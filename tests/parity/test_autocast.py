"""autocast on the CPU against real PyTorch: the dtype of results by the dtypes of operands."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import diptych.torch as ours

theirs = pytest.importorskip("torch")

pytestmark = [pytest.mark.oracle, pytest.mark.slow]

X, Y, V = (3, 4), (4, 3), (4,)
B, C = (3, 4, 5), (3, 5, 4)
# name -> the call, and the shapes of its floating operands
CALLS: dict[str, tuple[Any, list[tuple[int, ...]]]] = {
    "linear": (lambda t, f: f.linear, [X, (5, 4), (5,)]),
    "matmul": (lambda t, f: t.matmul, [X, Y]), "@": (lambda t, f: lambda a, b: a @ b, [X, Y]),
    "mm": (lambda t, f: t.mm, [X, Y]), "bmm": (lambda t, f: t.bmm, [B, C]),
    "method": (lambda t, f: lambda a, b: a.matmul(b), [X, Y]),
    "addmm": (lambda t, f: t.addmm, [(3, 3), X, Y]),
    "baddbmm": (lambda t, f: t.baddbmm, [(3, 4, 4), B, C]),
    "einsum": (lambda t, f: lambda a, b: t.einsum("ij,jk", a, b), [X, Y]),
    "conv1d": (lambda t, f: f.conv1d, [(1, 2, 8), (3, 2, 3)]),
    "conv2d": (lambda t, f: f.conv2d, [(1, 2, 8, 8), (3, 2, 3, 3)]),
    "conv_transpose2d": (lambda t, f: f.conv_transpose2d, [(1, 2, 8, 8), (2, 3, 3, 3)]),
    "prelu": (lambda t, f: f.prelu, [X, (1,)]),
    "module": (lambda t, f: t.nn.Linear(4, 2), [X]),
    "convolution": (lambda t, f: t.nn.Conv2d(2, 3, 3), [(1, 2, 8, 8)]),
    "add": (lambda t, f: t.add, [X, X]), "sum": (lambda t, f: t.sum, [X]),
    "softmax": (lambda t, f: lambda a: f.softmax(a, -1), [X]), "exp": (lambda t, f: t.exp, [X]),
    "relu": (lambda t, f: f.relu, [X]), "gelu": (lambda t, f: f.gelu, [X]),
    "layer_norm": (lambda t, f: lambda a: f.layer_norm(a, (4,)), [X]),
    "prod": (lambda t, f: t.prod, [X]), "trace": (lambda t, f: t.trace, [X]),
    "cdist": (lambda t, f: t.cdist, [X, (2, 4)]), "fft": (lambda t, f: t.fft.fft, [X]),
    "inv": (lambda t, f: lambda a: t.linalg.inv(a @ a.T.detach() * 0 + t.eye(3)), [X]),
    "cat": (lambda t, f: lambda a, b: t.cat([a, b]), [X, X]),
    "stack": (lambda t, f: lambda a, b: t.stack([a, b]), [X, X]),
    "cross_entropy": (lambda t, f: lambda a: f.cross_entropy(a, t.tensor([0, 1, 2])), [X]),
    "nll_loss": (lambda t, f: lambda a: f.nll_loss(a, t.tensor([0, 1, 2])), [X]),
    "mse_loss": (lambda t, f: f.mse_loss, [X, X]), "l1_loss": (lambda t, f: f.l1_loss, [X, X]),
    "smooth_l1_loss": (lambda t, f: f.smooth_l1_loss, [X, X]),
    "binary_cross_entropy": (lambda t, f: f.binary_cross_entropy, [X, X]),
    "bce with logits": (lambda t, f: f.binary_cross_entropy_with_logits, [X, X]),
    "kl_div": (lambda t, f: f.kl_div, [X, X]),
    "pad constant": (lambda t, f: lambda a: f.pad(a, (1, 1)), [(1, 2, 4)]),
    "pad reflect": (lambda t, f: lambda a: f.pad(a, (1, 1), mode="reflect"), [(1, 2, 4)]),
    "embedding": (lambda t, f: lambda w: f.embedding(t.tensor([0, 1]), w), [X]),
    "mv": (lambda t, f: t.mv, [X, V]), "dot": (lambda t, f: t.dot, [V, V]),
}  # fmt: skip


def dtypes_of(torch: Any, name: str) -> list[str]:
    """The dtype of the result with operands in float32, in bfloat16, and in both."""
    make, shapes = CALLS[name]
    draw, found = np.random.default_rng(0), []
    arrays = [draw.uniform(0.1, 0.6, shape).astype(np.float32) for shape in shapes]
    function = make(torch, torch.nn.functional)  # taken before the block, as programs do
    for mix in ("float32", "bfloat16", "both"):
        kinds = [
            torch.bfloat16 if mix == "bfloat16" or (mix == "both" and i % 2 == 0) else torch.float32
            for i in range(len(arrays))
        ]
        operands = [torch.tensor(a).to(k) for a, k in zip(arrays, kinds, strict=True)]
        try:
            with warnings.catch_warnings(), torch.autocast("cpu"):
                warnings.simplefilter("ignore")
                result = function(*operands)
            found.append(str(result.dtype).removeprefix("torch."))
        except RuntimeError:
            found.append("refused")
    return found


@pytest.mark.parametrize("name", CALLS)
def test_results_have_pytorchs_dtypes(name: str) -> None:
    mine, real = dtypes_of(ours, name), dtypes_of(theirs, name)
    for a, b in zip(mine, real, strict=True):
        assert a == b or b == "refused"  # where PyTorch mixes no dtypes, we may


def test_a_model_trained_under_autocast_follows_pytorchs() -> None:
    losses = []
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(16, 8)).astype(np.float32), draw.integers(0, 4, 16)
    for torch in (ours, theirs):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4))
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        scaler = torch.amp.GradScaler("cpu", init_scale=128.0, growth_interval=5)
        row = []
        for _ in range(20):
            optimizer.zero_grad()
            with torch.autocast("cpu"):
                loss = torch.nn.functional.cross_entropy(model(torch.tensor(x)), torch.tensor(y))
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            row.append(loss.item())
        losses.append([*row, scaler.get_scale()])
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-2)
    assert losses[0][-1] == losses[1][-1] and losses[0][-2] < losses[0][0] / 2
