"""The namespace's own layers, whose arguments come in another order than nn.functional's."""

from __future__ import annotations

import pytest

import diptych.torch as torch
from diptych.torch.nn import functional as F


def test_weights_come_before_statistics() -> None:
    x = torch.arange(12.0).reshape(4, 3)
    weight, bias = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, 2.0])
    mean, variance = torch.ones(3), torch.full((3,), 4.0)
    ours = torch.batch_norm(x, weight, bias, mean, variance, False, 0.1, 1e-5, False)
    assert torch.equal(ours, F.batch_norm(x, mean, variance, weight, bias))
    assert torch.equal(torch.embedding(x, torch.tensor([2, 0])), x[[2, 0]])


def test_reductions_are_numbers() -> None:
    x, y = torch.tensor([1.0, -2.0]), torch.tensor([1.0, -1.0])
    for number, name in enumerate(("none", "mean", "sum")):
        ours = torch.hinge_embedding_loss(x, y, 1.0, number)
        assert torch.equal(ours, F.hinge_embedding_loss(x, y, reduction=name))
    with pytest.raises(ValueError, match="not a valid value for reduction"):
        torch.kl_div(x, y, 7)
