"""Normalisations under their old names, which give the statistics too: ``native_layer_norm``."""

from __future__ import annotations

import math
from typing import Any

from diptych.core.tensor import Tensor as CoreTensor
from diptych.ops import arithmetic, movement, reduction
from diptych.torch.tensor import face


def _scaled(x: Any, weight: Any, bias: Any, shape: tuple[int, ...]) -> Any:
    for factor, op in ((weight, arithmetic.mul), (bias, arithmetic.add)):
        if isinstance(factor, CoreTensor):
            x = op(x, movement.reshape(factor, shape))
    return x


def _standard(x: Any, axes: tuple[int, ...], eps: float) -> tuple[Any, Any, Any]:
    """``x`` of mean 0 and variance 1 over axes, and the mean and 1 / deviation, axes kept as 1."""
    kept = reduction.ones_shape(x.layout.shape, axes)
    mean = movement.reshape(reduction.mean(x, axes), kept)
    spread = movement.reshape(reduction.variance(x, axes, 0.0), kept)
    scale = arithmetic.rsqrt(arithmetic.add(spread, eps))
    return arithmetic.mul(arithmetic.sub(x, mean), scale), mean, scale


def _constant(x: Any, shape: tuple[int, ...]) -> Any:
    """A statistic off the tape, as PyTorch gives it."""
    return face(movement.reshape(x, shape), "native").detach()


def native_layer_norm(
    input: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float
) -> tuple[Any, Any, Any]:
    """Layer normalisation, its means and the inverses of its deviations."""
    x = face(input, "native_layer_norm")
    tail = tuple(normalized_shape)
    if not tail or x.layout.shape[-len(tail) :] != tail:
        raise RuntimeError(
            f"Given normalized_shape={list(tail)}, expected input with shape [*, "
            f"{', '.join(map(str, tail))}], but got input of size{list(x.layout.shape)}"
        )
    axes = tuple(range(x.layout.ndim - len(tail), x.layout.ndim))
    made, mean, scale = _standard(x, axes, eps)
    made = face(_scaled(made, weight, bias, tail), "native_layer_norm")
    return made, _constant(mean, mean.layout.shape), _constant(scale, scale.layout.shape)


def native_group_norm(
    input: Any, weight: Any, bias: Any, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Any, Any, Any]:
    """Group normalisation, its means and the inverses of its deviations."""
    x = face(input, "native_group_norm")
    if C % group:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(x.layout.shape)} and num_groups={group}"
        )
    rows = movement.reshape(x, (N, group, C // group * HxW))
    made, mean, scale = _standard(rows, (2,), eps)
    made = movement.reshape(made, x.layout.shape)
    shape = (1, C, *[1] * (x.layout.ndim - 2))
    made = face(_scaled(made, weight, bias, shape), "native_group_norm")
    return made, movement.reshape(mean, (N, group)), movement.reshape(scale, (N, group))


def native_batch_norm(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, training: bool,
    momentum: float, eps: float, *, out: Any = None,
) -> tuple[Any, Any, Any]:  # fmt: skip
    """Batch normalisation, its means and the inverses of its deviations (none in evaluation)."""
    x: Any = face(input, "native_batch_norm")
    channels = x.layout.shape[1]
    shape = (1, channels, *[1] * (x.layout.ndim - 2))
    if not training:
        centre, spread = (movement.reshape(v, shape) for v in (running_mean, running_var))
        scale = arithmetic.rsqrt(arithmetic.add(spread, eps))
        made = arithmetic.mul(arithmetic.sub(x, centre), scale)
        nothing = x.new_empty((0,))
        return face(_scaled(made, weight, bias, shape), "native_batch_norm"), nothing, nothing
    axes = (0, *range(2, x.layout.ndim))
    made, mean, scale = _standard(x, axes, eps)
    if running_mean is not None:
        count = math.prod(x.layout.shape[axis] for axis in axes)
        unbiased = reduction.variance(x.detach(), axes, 1.0 if count > 1 else 0.0)
        fresh = movement.reshape(mean, (channels,)).detach()  # type: ignore[attr-defined]
        running_mean.mul_(1 - momentum).add_(fresh * momentum)
        running_var.mul_(1 - momentum).add_(arithmetic.mul(unbiased, momentum))
    made = face(_scaled(made, weight, bias, shape), "native_batch_norm")
    return made, _constant(mean, (channels,)), _constant(scale, (channels,))
