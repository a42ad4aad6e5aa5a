"""torch.nn.utils: parametrize, prune, rnn packing, clipping, stateless calls."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import diptych.torch as torch
from diptych.torch import nn
from diptych.torch.nn import utils
from diptych.torch.nn.utils import parametrizations, parametrize, prune, rnn, stateless


class Symmetric(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.triu() + x.triu(1).T

    def right_inverse(self, x: torch.Tensor) -> torch.Tensor:
        return x.triu()


def test_a_parametrized_weight_is_computed_trained_set_cached_and_removed() -> None:
    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert type(layer).__name__ == "ParametrizedLinear" and isinstance(layer, nn.Linear)
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    assert torch.equal(layer.weight, layer.weight.T)
    layer(torch.ones(1, 3)).sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
    with parametrize.cached():
        assert layer.weight is layer.weight
    layer.weight = torch.eye(3)
    assert torch.equal(layer.weight, torch.eye(3))
    assert torch.equal(copy.deepcopy(layer).weight, torch.eye(3))
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and isinstance(layer.weight, nn.Parameter)


def test_ready_parametrizations() -> None:
    torch.manual_seed(0)
    orthogonal = parametrizations.orthogonal(nn.Linear(4, 6)).weight
    assert torch.allclose(orthogonal.T @ orthogonal, torch.eye(4), atol=1e-5)
    spectral = parametrizations.spectral_norm(nn.Linear(4, 6), n_power_iterations=30)
    assert abs(np.linalg.norm(spectral.weight.detach().numpy(), 2) - 1) < 1e-3
    plain = nn.Linear(4, 6)
    wanted = plain.weight.detach().clone()
    assert torch.allclose(parametrizations.weight_norm(plain).weight, wanted)


def test_pruning_masks_entries_and_can_be_made_final() -> None:
    layer = nn.Linear(4, 3)
    prune.l1_unstructured(layer, "weight", amount=5)
    assert int((layer.weight == 0).sum()) == 5 and prune.is_pruned(layer)
    prune.ln_structured(layer, "weight", amount=1, n=2, dim=0)
    assert bool((layer.weight_mask.sum(1) == 0).any())
    layer(torch.ones(1, 4)).sum().backward()
    assert bool((layer.weight_orig.grad[layer.weight_mask == 0] == 0).all())
    prune.remove(layer, "weight")
    assert list(dict(layer.named_parameters())) == ["bias", "weight"]
    with pytest.raises(ValueError, match="has to be pruned before"):
        prune.remove(layer, "weight")


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("lengths", [[4, 2, 1], [2, 4, 1], [4, 4, 4]])
def test_packing_and_padding_are_inverse(batch_first: bool, lengths: list[int]) -> None:
    x = torch.arange(24.0).reshape(3, 4, 2).requires_grad_()
    given = x if batch_first else x.transpose(0, 1)
    packed = rnn.pack_padded_sequence(given, lengths, batch_first, enforce_sorted=False)
    assert packed.data.shape == (sum(lengths), 2)
    padded, sizes = rnn.pad_packed_sequence(packed, batch_first, padding_value=-1.0, total_length=5)
    assert sizes.tolist() == lengths
    rows = padded if batch_first else padded.transpose(0, 1)
    for row, original, length in zip(rows, x, lengths, strict=True):
        assert torch.equal(row[:length], original[:length])
        assert bool((row[length:] == -1).all())
    padded.sum().backward()
    assert x.grad.sum(2).sum(1).tolist() == [2.0 * length for length in lengths]


def test_bad_packing_says_what_is_wrong() -> None:
    with pytest.raises(RuntimeError, match="sorted in decreasing order"):
        rnn.pack_padded_sequence(torch.zeros(3, 2, 1), [1, 3])
    with pytest.raises(RuntimeError, match="greater than 0"):
        rnn.pack_padded_sequence(torch.zeros(3, 2, 1), [3, 0])
    with pytest.raises(RuntimeError, match="a length is 9"):
        rnn.pack_padded_sequence(torch.zeros(3, 2, 1), [9, 1])


def test_clipping_scales_all_gradients_together() -> None:
    parameters = [torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([4.0])
    assert utils.clip_grad_norm_(parameters, 1.0).item() == 5.0
    np.testing.assert_allclose(parameters[0].grad.numpy(), [0.6, 0.0], rtol=1e-5)
    before = parameters[1].grad.clone()
    utils.clip_grad_norm_(parameters, 100.0)
    assert torch.equal(parameters[1].grad, before)
    parameters[0].grad[0] = float("nan")
    with pytest.raises(RuntimeError, match="non-finite"):
        utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)


def test_functional_call_uses_other_tensors_and_hands_back_the_changed() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    given = {name: torch.ones_like(value) for name, value in module.state_dict().items()}
    stateless.functional_call(module, given, torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    assert module[1].num_batches_tracked.item() == 0
    assert given["1.num_batches_tracked"].item() == 2
    with pytest.raises(RuntimeError, match="Missing key"):
        stateless.functional_call(module, {}, torch.ones(2, 2), strict=True)


def test_batch_norm_folds_into_the_layer_before_it() -> None:
    layer, norm = nn.Linear(3, 2), nn.BatchNorm1d(2)
    norm(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    layer.eval()
    norm.eval()
    x = torch.ones(2, 3)
    assert torch.allclose(utils.fuse_linear_bn_eval(layer, norm)(x), norm(layer(x)), atol=1e-6)
