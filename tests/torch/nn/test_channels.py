"""Batch, instance and group norm: values, running statistics, gradients, layouts, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import diptych.torch as torch
from diptych.torch import nn
from diptych.torch.nn import functional as F


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(1.0, 2.0, shape).astype(np.float32)


def normalized(x: np.ndarray, axes: tuple[int, ...], eps: float = 1e-5) -> np.ndarray:
    wide = x.astype(np.float64)
    mean, variance = wide.mean(axes, keepdims=True), wide.var(axes, keepdims=True)
    return (wide - mean) / np.sqrt(variance + eps)


@pytest.mark.parametrize("shape", [(6, 3), (5, 3, 4), (4, 3, 5, 7), (2, 3, 17, 33)])
def test_batch_norm_and_its_running_statistics(shape: tuple[int, ...]) -> None:
    x = drawn(*shape)
    axes = (0, *range(2, len(shape)))
    layer = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)](3)
    out = layer(torch.tensor(x))
    np.testing.assert_allclose(out.detach().numpy(), normalized(x, axes), atol=2e-5)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.mean(axes), atol=1e-6)
    unbiased = x.astype(np.float64).var(axes, ddof=1)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * unbiased, rtol=1e-6)
    assert layer.num_batches_tracked.item() == 1


def test_no_momentum_averages_all_batches() -> None:
    layer = nn.BatchNorm1d(2, momentum=None)
    batches = [drawn(5, 2, seed=seed) for seed in range(3)]
    for batch in batches:
        layer(torch.tensor(batch))
    wanted = np.mean([batch.mean(0) for batch in batches], axis=0)
    np.testing.assert_allclose(layer.running_mean.numpy(), wanted, rtol=1e-5)


def test_evaluation_uses_the_running_statistics_and_leaves_them() -> None:
    layer = nn.BatchNorm1d(2)
    layer(torch.tensor(drawn(5, 2)))
    layer.eval()
    kept = layer.running_mean.clone()
    out = layer(torch.zeros(1, 2))
    wanted = -layer.running_mean / torch.sqrt(layer.running_var + 1e-5)
    assert torch.allclose(out[0], wanted)
    assert torch.equal(layer.running_mean, kept) and layer.num_batches_tracked.item() == 1
    assert nn.BatchNorm1d(2, track_running_stats=False).eval()(torch.ones(3, 2)).abs().max() == 0


def test_a_large_mean_costs_no_digits() -> None:
    x = (drawn(8, 2, 40) * 0.01 + 1000.0).astype(np.float32)
    out = F.batch_norm(torch.tensor(x), None, None, training=True, eps=1e-9)
    np.testing.assert_allclose(out.numpy(), normalized(x, (0, 2), 1e-9), atol=2e-2)


def test_channels_last_memory_gives_the_same_values_and_gradients() -> None:
    x = drawn(2, 3, 4, 5)
    results = []
    for permuted in (False, True):
        layer = nn.BatchNorm2d(3)
        given = torch.tensor(np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if permuted else x)
        given.requires_grad_()
        out = layer(given.permute(0, 3, 1, 2) if permuted else given)
        if permuted:
            assert out.stride() == (60, 1, 15, 3)
        (out * torch.arange(120.0).reshape(2, 3, 4, 5)).sum().backward()
        grad = given.grad.permute(0, 3, 1, 2) if permuted else given.grad
        results.append([out.detach().numpy(), grad.numpy(), layer.weight.grad.numpy()])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_group_and_instance_norm() -> None:
    x = drawn(2, 4, 3, 5)
    groups = normalized(x.reshape(2, 2, 30), (2,)).reshape(x.shape)
    np.testing.assert_allclose(F.group_norm(torch.tensor(x), 2).numpy(), groups, atol=1e-5)
    one = nn.InstanceNorm2d(4)(torch.tensor(x))
    np.testing.assert_allclose(one.numpy(), normalized(x, (2, 3)), atol=1e-5)
    single = nn.InstanceNorm2d(4)(torch.tensor(x[0]))
    np.testing.assert_allclose(single.numpy(), normalized(x, (2, 3))[0], atol=1e-5)


def test_instance_norm_tracks_the_mean_of_the_examples_statistics() -> None:
    x = drawn(2, 4, 3, 5)
    layer = nn.InstanceNorm2d(4, track_running_stats=True)
    layer(torch.tensor(x))
    unbiased = x.astype(np.float64).var((2, 3), ddof=1).mean(0)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.9 + 0.1 * unbiased, rtol=1e-6)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.1 * x.mean((0, 2, 3)), atol=1e-6)


def test_half_precision_beside_float32_parameters() -> None:
    layer = nn.BatchNorm1d(3)
    out = layer(torch.tensor(drawn(4, 3)).bfloat16())
    assert out.dtype == torch.bfloat16 and layer.running_mean.dtype == torch.float32
    with pytest.raises(RuntimeError, match="mixed dtype"):
        layer.double()(torch.tensor(drawn(4, 3)))


def test_nothing_to_normalize() -> None:
    assert nn.BatchNorm1d(3)(torch.zeros(0, 3)).shape == (0, 3)
    assert nn.GroupNorm(1, 3)(torch.zeros(0, 3, 2)).shape == (0, 3, 2)
    assert nn.InstanceNorm1d(3)(torch.zeros(0, 3, 2)).shape == (0, 3, 2)


def test_bad_calls_name_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        nn.BatchNorm1d(3)(torch.zeros(1, 3))
    with pytest.raises(RuntimeError, match="running_mean should contain 4 elements not 3"):
        nn.BatchNorm1d(3)(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="expected 4D input"):
        nn.BatchNorm2d(3)(torch.zeros(2, 3))
    with pytest.raises(RuntimeError, match="divisible by num_groups"):
        F.group_norm(torch.zeros(2, 3), 2)
    with pytest.raises(NotImplementedError, match="not implemented"):
        F.batch_norm(torch.zeros(2, 3, dtype=torch.int32), None, None, training=True)


def test_old_files_without_a_counter_load() -> None:
    layer = nn.BatchNorm1d(2)
    saved = {k: v for k, v in layer.state_dict().items() if k != "num_batches_tracked"}
    layer.load_state_dict(saved)  # as from before PyTorch 0.4.1


def test_lazy_layers_learn_their_sizes_once() -> None:
    with pytest.warns(UserWarning, match="Lazy modules"):
        layer = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    with pytest.raises(RuntimeError, match="Can't access the shape"):
        _ = layer[0].weight.shape
    with pytest.raises(ValueError, match="uninitialized parameter"):
        layer[0].weight + 1
    layer.double()
    layer(torch.zeros(4, 5, dtype=torch.float64))
    assert type(layer[0]) is nn.Linear and layer[0].weight.shape == (3, 5)
    assert type(layer[1]) is nn.BatchNorm1d and layer[1].weight.dtype == torch.float64
    with pytest.warns(UserWarning):
        other = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    other.load_state_dict(layer.state_dict())
    assert other[0].weight.shape == (3, 5)


def test_batch_norm_of_no_channels_gives_nothing() -> None:
    for training in (True, False):
        y = F.batch_norm(torch.empty(0), torch.zeros(0), torch.ones(0), training=training)
        assert tuple(y.shape) == (0,)
    with pytest.raises(ValueError, match="at least 2D"):
        F.batch_norm(torch.ones(3), torch.zeros(3), torch.ones(3))


def test_silu_of_complex_numbers_has_no_gradient() -> None:
    z = torch.tensor([1 + 2j, -1j])
    wanted = z / (1 + torch.exp(-z))
    assert torch.allclose(F.silu(z), wanted)
    with pytest.raises(RuntimeError, match="does not support automatic differentiation"):
        F.silu(z.requires_grad_())
