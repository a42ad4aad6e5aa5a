"""Losses and activations: gradients against finite differences, values against their definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

import diptych.torch as torch
from diptych.torch import nn
from diptych.torch.autograd import gradcheck, gradgradcheck
from diptych.torch.nn import functional as F


def rows(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0):
    drawn = np.random.default_rng(seed).uniform(low, high, shape)
    return torch.tensor(drawn, dtype=torch.float64, requires_grad=True)


TARGET = torch.tensor([2, 0, 1])
WEIGHT = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
LOSSES = {
    "cross entropy": lambda x: F.cross_entropy(x, TARGET),
    "weighted": lambda x: F.cross_entropy(x, TARGET, WEIGHT, label_smoothing=0.1),
    "probabilities": lambda x: F.cross_entropy(x, F.softmax(rows(3, 3, seed=2), 1).detach()),
    "nll": lambda x: F.nll_loss(F.log_softmax(x, 1), TARGET, WEIGHT, reduction="none"),
    "mse": lambda x: F.mse_loss(x, rows(3, 3, seed=3)),
    "huber": lambda x: F.huber_loss(x, rows(3, 3, seed=3), delta=0.7),
    "smooth": lambda x: F.smooth_l1_loss(x, rows(3, 3, seed=3), beta=0.5),
    "bce": lambda x: F.binary_cross_entropy(x.sigmoid(), rows(3, 3, low=0, high=1).detach()),
    "logits": lambda x: F.binary_cross_entropy_with_logits(x, (x.detach() > 0).double()),
    "kl": lambda x: F.kl_div(x, rows(3, 3, low=0.1, high=1).detach(), reduction="sum"),
    "triplet": lambda x: F.triplet_margin_loss(x, rows(3, 3, seed=4), rows(3, 3, seed=5)),
    "cosine": lambda x: F.cosine_similarity(x, rows(3, 3, seed=4)),
    "layer norm": lambda x: F.layer_norm(x, (3,), WEIGHT, WEIGHT),
    "rms norm": lambda x: F.rms_norm(x, (3,), WEIGHT),
    "gelu": F.gelu, "mish": F.mish, "silu": F.silu, "glu": lambda x: F.glu(x[:, :2]),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_gradients(name: str) -> None:
    assert gradcheck(LOSSES[name], (rows(3, 3),))


@pytest.mark.parametrize("name", ["cross entropy", "bce", "layer norm", "gelu", "weighted"])
def test_second_derivatives(name: str) -> None:
    assert gradgradcheck(LOSSES[name], (rows(3, 3),))


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_classes() -> None:
    assert F.cross_entropy(torch.zeros(4, 5), torch.tensor([0, 1, 2, 3])).item() == pytest.approx(
        math.log(5)
    )


def test_ignored_rows_count_neither_above_nor_below() -> None:
    x = rows(3, 3)
    some = F.cross_entropy(x, torch.tensor([2, -100, 1]))
    kept = F.cross_entropy(x[torch.tensor([0, 2])], torch.tensor([2, 1]))
    assert some.item() == pytest.approx(kept.item())


def test_bad_calls_say_what_is_wrong() -> None:
    with pytest.raises(IndexError, match="Target 7 is out of bounds"):
        F.cross_entropy(torch.zeros(1, 3), torch.tensor([7]))
    with pytest.raises(ValueError, match="batch_size"):
        F.cross_entropy(torch.zeros(2, 3), torch.tensor([0]))
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        F.binary_cross_entropy(torch.tensor([1.5]), torch.tensor([1.0]))
    with pytest.raises(ValueError, match="dropout probability"):
        F.dropout(torch.ones(2), 1.5)
    with pytest.warns(UserWarning, match="different to the input size"):
        F.mse_loss(torch.ones(2, 1), torch.ones(2))


def test_in_place_activations_keep_the_gradient() -> None:
    for function in (F.relu, F.elu, F.silu, F.leaky_relu):
        x, y = rows(3), rows(3)
        function(x * 1.0, inplace=True).sum().backward()
        function(y * 1.0).sum().backward()
        assert torch.equal(x.grad, y.grad)


def test_embedding_sends_no_gradient_to_the_padding() -> None:
    table = torch.ones(4, 2, requires_grad=True)
    F.embedding(torch.tensor([1, 2, 2]), table, padding_idx=2).sum().backward()
    assert table.grad.tolist() == [[0, 0], [1, 1], [0, 0], [0, 0]]
    with pytest.raises(IndexError, match="index out of range in self"):
        F.embedding(torch.tensor([4]), table)


def test_dropout_scales_what_it_keeps() -> None:
    torch.manual_seed(0)
    out = F.dropout(torch.ones(1000), 0.25)
    assert sorted(set(out.tolist())) == pytest.approx([0.0, 1 / 0.75])
    assert 700 < int((out > 0).sum().item()) < 800


def test_ctc_sums_over_alignments() -> None:
    """Two steps, classes blank, a: the label a alone is (a,a), (a,_) or (_,a)."""
    probabilities = torch.tensor([[[0.4, 0.6]], [[0.3, 0.7]]])
    loss = F.ctc_loss(probabilities.log(), torch.tensor([[1]]), [2], [1], reduction="sum")
    assert abs(loss.item() + math.log(0.6 * 0.7 + 0.6 * 0.3 + 0.4 * 0.7)) < 1e-6
    x = torch.zeros(1, 1, 2, requires_grad=True)  # two labels do not fit one step
    F.ctc_loss(x.log_softmax(2), torch.tensor([[1, 1]]), [1], [2], zero_infinity=True).backward()
    assert x.grad.abs().sum().item() == 0
    with pytest.raises(IndexError, match=r"outside of \[0, 2\)"):
        F.ctc_loss(x, torch.tensor([[7]]), [1], [1])


def test_bags_of_embeddings() -> None:
    table = torch.arange(8.0).reshape(4, 2).requires_grad_()
    index, offsets = torch.tensor([0, 3, 3, 1]), torch.tensor([0, 3, 3])
    assert F.embedding_bag(index, table, offsets, mode="sum").tolist() == [[12, 15], [0, 0], [2, 3]]
    assert F.embedding_bag(index, table, offsets, mode="max").tolist() == [[6, 7], [0, 0], [2, 3]]
    F.embedding_bag(index, table, offsets, mode="mean", padding_idx=0).sum().backward()
    assert table.grad.tolist() == [[0, 0], [1, 1], [0, 0], [1, 1]]
    with pytest.raises(RuntimeError, match="takes value 9"):
        F.embedding_bag(torch.tensor([9]), table, torch.tensor([0]))


def test_adaptive_softmax_agrees_with_its_own_log_probabilities() -> None:
    torch.manual_seed(0)
    layer = nn.AdaptiveLogSoftmaxWithLoss(6, 9, [3, 6], div_value=2.0)
    x, target = torch.randn(4, 6), torch.tensor([0, 8, 4, 2])
    full = layer.log_prob(x)
    assert torch.allclose(full.exp().sum(1), torch.ones(4), atol=1e-5)
    assert torch.allclose(layer(x, target).output, full[torch.arange(4), target], atol=1e-5)
    assert torch.equal(layer.predict(x), full.argmax(1))
