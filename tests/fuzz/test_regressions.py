"""What drawn calls found, one line each: the error a user expects, or an answer."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import diptych.torch as torch
import diptych.torch.nn.functional as F
from diptych.companions.torchvision.transforms import functional as vision
from diptych.torch import nn

X = torch.ones(2, 3)
MASK = torch.ones(2, 3, dtype=torch.bool)
PLACES = torch.zeros(2, dtype=torch.int64)

NO_TENSOR: dict[str, Callable[[], Any]] = {
    "linear weight": lambda: F.linear(X, 1.0),
    "linear bias": lambda: F.linear(X, X, True),
    "bilinear": lambda: F.bilinear(X, X, [1]),
    "batch_norm": lambda: F.batch_norm(X, torch.zeros(3), torch.ones(3), 5),
    "group_norm": lambda: F.group_norm(X, 1, 5),
    "layer_norm": lambda: F.layer_norm(X, (3,), 5),
    "nll_loss": lambda: F.nll_loss(X, PLACES, weight=True),
    "cross_entropy": lambda: F.cross_entropy(X, X, weight=()),
    "linear_cross_entropy": lambda: F.linear_cross_entropy(X, range(3), PLACES),
    "margin_ranking_loss": lambda: F.margin_ranking_loss(X, X, [[1]]),
    "cosine_embedding_loss": lambda: F.cosine_embedding_loss(X, X, 5),
    "triplet_margin_loss": lambda: F.triplet_margin_loss(X, 1, 2),
    "mse_loss weight": lambda: F.mse_loss(X, X, weight=-2.5),
    "embedding_bag": lambda: F.embedding_bag(PLACES[None], X, per_sample_weights=1, mode="sum"),
    "relu_": lambda: F.relu_(0),
    "masked_scatter": lambda: X.masked_scatter(MASK, 0),
    "put_": lambda: X.clone().put_(PLACES, -1),
    "index_put_": lambda: X.clone().index_put_((PLACES,), [[1.0]]),
    "index_add": lambda: X.index_add(0, PLACES, 4),
    "index_add_": lambda: X.clone().index_add_(0, PLACES, 4, alpha=2),
    "hinge_embedding_loss": lambda: F.hinge_embedding_loss(X, 5),
    "view_as": lambda: X.view_as(1),
    "put": lambda: torch.put(X, PLACES, -1),
    "take": lambda: X.take(0.5),
    "take_along_dim": lambda: X.take_along_dim(None, 1),
    "scatter_reduce": lambda: X.scatter_reduce(0, PLACES[None], 4, "sum"),
    "index_reduce": lambda: X.index_reduce(0, PLACES, 4, "mean"),
    "bincount": lambda: torch.bincount(PLACES, 3),
    "expand_as": lambda: X.expand_as(5),
    "type_as": lambda: X.type_as(1.0),
    "is_same_size": lambda: X.is_same_size(b"ab"),
    "from_dlpack": lambda: torch.from_dlpack((2,)),
    "meshgrid": lambda: torch.meshgrid(1, X),
    "block_diag": lambda: torch.block_diag(1, X),
    "fliplr": lambda: torch.fliplr(1),
    "parameters_to_vector": lambda: nn.utils.parameters_to_vector({"dim": 1}),
    "remove_weight_norm": lambda: nn.utils.remove_weight_norm(0),
    "prune": lambda: nn.utils.prune.l1_unstructured(0, "weight", 1),
    "encoder": lambda: nn.TransformerEncoderLayer(4, 2)(0),
}


@pytest.mark.parametrize("name", sorted(NO_TENSOR))
def test_what_is_no_tensor_is_a_type_error(name: str) -> None:
    with pytest.raises(TypeError, match="Tensor|Module|__dlpack__"):
        NO_TENSOR[name]()


def test_the_storages_of_all_dtypes() -> None:
    assert torch.zeros(2).storage_type() is torch.FloatStorage
    assert torch.zeros(2, dtype=torch.uint16).storage_type() is None


def test_batch_norm_of_no_elements_has_gradients_of_zero() -> None:
    x = torch.ones(1, 4, 0, requires_grad=True)
    weight = torch.ones(4, requires_grad=True)
    F.batch_norm(x, torch.zeros(4), torch.ones(4), weight, None, True).sum().backward()
    assert x.grad.shape == (1, 4, 0) and weight.grad.tolist() == [0.0] * 4


def test_a_state_dict_without_its_keys_says_which() -> None:
    made = torch.optim.NAdam([nn.Parameter(X.clone())])
    with pytest.raises(KeyError, match="param_groups"):
        made.load_state_dict({})
    with pytest.raises(KeyError, match="'params'"):
        torch.optim.SGD([{"lr": 1.0}], lr=0.1)


def test_a_giant_sample_size_is_refused_at_once() -> None:
    one = torch.distributions.Normal(torch.zeros(2), torch.ones(2))
    with pytest.raises((MemoryError, RuntimeError)):
        one.sample((2**50,))


def test_files_of_digits_that_lie(tmp_path: Path) -> None:
    from diptych.companions.torchvision.datasets.mnist import read_idx

    path = tmp_path / "images"
    path.write_bytes(bytes((0, 0, 8, 3)) + (2**32 - 1).to_bytes(4, "big") + bytes((0, 0, 0, 4)) * 2)
    with pytest.raises(ValueError, match="does not fit"):
        read_idx(path)
    packed = tmp_path / "images.gz"
    packed.write_bytes(gzip.compress(bytes(100))[:-9])
    with pytest.raises(ValueError, match="damaged|IDX"):
        read_idx(packed)


def test_an_optimizer_state_of_another_shape_is_refused() -> None:
    made = torch.optim.Adam([nn.Parameter(X.clone())])
    made.param_groups[0]["params"][0].grad = X
    made.step()
    state = made.state_dict()
    state["state"][0]["exp_avg"] = torch.zeros(5)
    made.load_state_dict(state)
    with pytest.raises(RuntimeError, match="exp_avg"):
        made.step()


def test_frequencies_of_nothing() -> None:
    assert torch.fft.rfftfreq(0).numel() <= 1
    assert torch.fft.fftfreq(2, 0.0).isinf().any()


def test_dropout_of_one_number() -> None:
    for dtype in (torch.float32, torch.float64, torch.float16):
        x = torch.tensor(2.0, dtype=dtype)
        assert {F.dropout(x).item() for _ in range(30)} <= {0.0, 4.0}


def test_sections_of_none() -> None:
    with pytest.raises(RuntimeError, match="larger than 0"):
        torch.hsplit(X[0], 0)
    smooth = F.cross_entropy(X[:, :0], X[:, :0], reduction="none", label_smoothing=0.1)
    assert smooth.tolist() == [0.0, 0.0]


def test_groups_of_none() -> None:
    with pytest.raises(ValueError, match="divisible"):
        nn.GroupNorm(0, 4)


def test_more_neighbours_than_channels() -> None:
    x = torch.ones(1, 3, 2)
    wide = F.local_response_norm(x, 1 << 32, alpha=float(1 << 32))
    assert torch.allclose(wide, torch.full((1, 3, 2), 4.0**-0.75))


def test_samples_that_nothing_would_be() -> None:
    never = torch.distributions.VonMises(0.0, torch.tensor([1.0, -7.0]), validate_args=False)
    with pytest.raises(ValueError, match="positive, finite concentration"):
        never.sample()
    with pytest.raises(ValueError, match="no sides"):
        vision.resize(torch.zeros(1, 8, 0, dtype=torch.uint8), 3)
