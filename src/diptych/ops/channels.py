"""Normalization per channel and per group of channels, as composites that are compiled whole.

Statistics are taken in two levels where a channel's elements lie in runs: mean and centred squares
of every run while it is in cache, then those of the runs together (Chan, Golub, LeVeque, Updating
formulae and a pairwise algorithm for computing sample variances, 1979). So a statistic costs one
pass over memory and loses no digits where the mean is large.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import FLOATS, DType, float32
from diptych.core.operation import BadCall, Composite, NoBatching, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import DTypeError, ShapeError, UnsupportedDTypeError
from diptych.ops.arithmetic import add, div, mul, neg, rsqrt, square, sub
from diptych.ops.families import draw
from diptych.ops.movement import narrow, pad, reshape
from diptych.ops.reduction import spread, sum_
from diptych.ops.select import cast
from diptych.ops.transcendental import exp, log

_LEAST_RUN = 8  # channels whose elements lie in shorter runs are reduced across runs first
_BATCH = NoBatching("it is batched through the operations it is made of")
_TOLERANCE = Tolerance({"float32": 1e-4})


def _wide(dtype: DType) -> DType:
    """The dtype that statistics of a dtype are computed in."""
    return dtype if dtype.itemsize > 2 else float32


def _check_float(x: Tensor, op: str) -> None:
    if x.layout.dtype not in FLOATS:
        raise UnsupportedDTypeError(f"\"{op}\" not implemented for '{x.layout.dtype}'", op=op)


def _in_channels(x: Tensor, axis: int) -> Tensor:
    """(outer, channels, inner)"""
    shape = x.layout.shape
    return reshape(x, (math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])))


def _along(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """One value for each channel, over (outer, channels, inner)."""
    return spread(values, shape, (0, 2))


def _sums(parts: Sequence[Tensor]) -> list[Tensor]:
    """The sums over (0, 2) of values (outer, channels, inner), in steps that run along memory."""
    outer, channels, inner = parts[0].layout.shape
    if inner >= _LEAST_RUN:
        runs = [sum_(part, (2,)) for part in parts]
        return [sum_(run, (0,)) for run in runs] if outer > 1 else [
            reshape(run, (channels,)) for run in runs
        ]  # fmt: skip
    flat = [sum_(reshape(part, (outer, channels * inner)), (0,)) for part in parts]
    if inner == 1:
        return flat
    return [sum_(reshape(row, (channels, inner)), (1,)) for row in flat]


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and mean squared deviation of each channel of (outer, channels, inner)."""
    outer, channels, inner = shape = x.layout.shape
    count = float(outer * inner)
    if inner < _LEAST_RUN:
        mean = div(_sums([x])[0], count)
        return mean, div(_sums([square(sub(x, _along(mean, shape)))])[0], count)
    run = (outer, channels)
    level = div(sum_(x, (2,)), float(inner))
    squares = sum_(square(sub(x, spread(level, shape, (2,)))), (2,))
    mean = div(sum_(level, (0,)), float(outer))
    between = mul(square(sub(level, spread(mean, run, (0,)))), float(inner))
    return mean, div(sum_(add(squares, between), (0,)), count)


def _scaled(
    x: Tensor, mean: Tensor, scale: Tensor, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    """(x - mean) * scale * weight + bias over (outer, channels, inner)."""
    shape = x.layout.shape
    factor = scale if weight is None else mul(scale, weight)
    y = mul(sub(x, _along(mean, shape)), _along(factor, shape))
    return y if bias is None else add(y, _along(bias, shape))


def _affine(operands: Sequence[Any], given: str, dtype: DType) -> tuple[Any, Any]:
    """(weight, bias) in a dtype; ``given`` names those that there are, "w" and "b"."""
    found: dict[str, Tensor] = dict(zip(given, operands, strict=True))
    return tuple([cast(found[k], dtype) if k in found else None for k in "wb"])  # type: ignore[return-value]


def _pulled_affine(ctx: Any, given: str, first: int, weight: Tensor, bias: Tensor) -> list[Any]:
    """The gradients of the affine operands in their order and dtypes."""
    found = {"w": weight, "b": bias}
    return [
        cast(found[name], ctx.layout(place).dtype) if ctx.needs[place] else None
        for place, name in enumerate(given, first)
    ]


# ---- batch norm, training: statistics of the batch


def _batch_norm(x: Tensor, *rest: Any) -> Any:
    *affine, axis, eps, given = rest
    _check_float(x, "batch_norm")
    dtype = _wide(x.layout.dtype)
    flat = cast(_in_channels(x, axis), dtype)
    mean, variance = moments(flat)
    scale = rsqrt(add(variance, eps))
    y = _scaled(flat, mean, scale, *_affine(affine, given, dtype))
    unbiased = mul(variance, _bessel(flat))
    return reshape(cast(y, x.layout.dtype), x.layout.shape), mean, unbiased, scale


def _bessel(flat: Tensor) -> float:
    """count / (count - 1), by which the variance of a sample is too small."""
    outer, _, inner = flat.layout.shape
    return outer * inner / max(outer * inner - 1, 1)


def _batch_norm_vjp(ctx: Any, ct: Any, ct_mean: Any, ct_variance: Any) -> Any:
    axis, _, given = ctx.params
    _, mean, _, scale = ctx.y
    place = ctx.layout(0)
    dtype = mean.layout.dtype
    flat, up = (cast(_in_channels(v, axis), dtype) for v in (ctx.x[0], ct))
    weight, _ = _affine(ctx.x[1:], given, dtype)
    shape = flat.layout.shape
    count = float(max(shape[0] * shape[2], 1))
    centred = sub(flat, _along(mean, shape))
    total, slope = _sums([up, mul(up, centred)])
    pulled: Any = None
    if ctx.needs[0]:
        factor = scale if weight is None else mul(scale, weight)
        # dx = factor (ct - mean(ct) - normal mean(ct normal)), and what came for the statistics
        bend = mul(mul(mul(factor, square(scale)), slope), -1.0 / count)
        bend = add(bend, mul(ct_variance, 2.0 * _bessel(flat) / count))
        level = mul(sub(ct_mean, mul(factor, total)), 1.0 / count)
        pulled = add(mul(up, _along(factor, shape)), mul(centred, _along(bend, shape)))
        pulled = add(pulled, _along(level, shape))
        pulled = reshape(cast(pulled, place.dtype), place.shape)
    return (pulled, *_pulled_affine(ctx, given, 1, mul(slope, scale), total))


def _batch_samples() -> Iterable[Sample]:
    generator = np.random.default_rng(0)
    for shape, axis in [((5, 3), 1), ((4, 3, 5), 1), ((2, 3, 4, 5), 1), ((2, 3, 4, 3), 3)]:
        x = draw(generator, shape, float32, (-2.0, 2.0))
        weight, bias = (draw(generator, shape[axis : axis + 1], float32, (0.5, 2.0)) for _ in "wb")
        yield Sample((x, weight, bias), (axis, 1e-5, "wb"))
    yield Sample((x, weight), (axis, 1e-5, "w"))
    yield Sample((x,), (axis, 1e-5, ""))


def _whole_numbers(*params: Any) -> list[BadCall]:
    return [BadCall((np.ones((2, 3, 2), np.int32),), DTypeError, "not implemented", params)]


BATCH_NORM = Composite(
    "batch_norm", forward=_batch_norm, vjp=_batch_norm_vjp, saves="*r", outputs=3, residuals=1,
    params=("axis", "eps", "given"), samples=_batch_samples, tolerance=_TOLERANCE, batch=_BATCH,
    errors=lambda: _whole_numbers(1, 1e-5, ""),
)  # fmt: skip


# ---- batch norm with statistics that are given


def _fixed_norm(x: Tensor, mean: Tensor, variance: Tensor, *rest: Any) -> Any:
    *affine, axis, eps, given = rest
    _check_float(x, "batch_norm")
    dtype = _wide(x.layout.dtype)
    flat = cast(_in_channels(x, axis), dtype)
    scale = rsqrt(add(cast(variance, dtype), eps))
    y = _scaled(flat, cast(mean, dtype), scale, *_affine(affine, given, dtype))
    return reshape(cast(y, x.layout.dtype), x.layout.shape)


def _fixed_norm_vjp(ctx: Any, ct: Any) -> Any:
    axis, eps, given = ctx.params
    place = ctx.layout(0)
    dtype = _wide(place.dtype)
    flat, up = (cast(_in_channels(v, axis), dtype) for v in (ctx.x[0], ct))
    mean, variance = (cast(v, dtype) for v in ctx.x[1:3])
    weight, _ = _affine(ctx.x[3:], given, dtype)
    shape = flat.layout.shape
    scale = rsqrt(add(variance, eps))
    factor = scale if weight is None else mul(scale, weight)
    pulled: list[Any] = [None, None, None]
    if ctx.needs[0]:
        pulled[0] = reshape(cast(mul(up, _along(factor, shape)), place.dtype), place.shape)
    if not any(ctx.needs[1:]):
        return (*pulled, *[None] * len(given))
    total, slope = _sums([up, mul(up, sub(flat, _along(mean, shape)))])
    if ctx.needs[1]:
        pulled[1] = cast(neg(mul(factor, total)), ctx.layout(1).dtype)
    if ctx.needs[2]:
        bent = mul(mul(mul(factor, square(scale)), slope), -0.5)
        pulled[2] = cast(bent, ctx.layout(2).dtype)
    return (*pulled, *_pulled_affine(ctx, given, 3, mul(slope, scale), total))


def _fixed_samples() -> Iterable[Sample]:
    generator = np.random.default_rng(1)
    for sample in _batch_samples():
        x, *affine = sample.operands
        width = x.shape[sample.params[0]]
        mean, variance = (draw(generator, (width,), float32, (0.5, 2.0)) for _ in range(2))
        yield Sample((x, mean, variance, *affine), sample.params)


FIXED_NORM = Composite(
    "fixed_norm", forward=_fixed_norm, vjp=_fixed_norm_vjp, saves="*", tolerance=_TOLERANCE,
    params=("axis", "eps", "given"), samples=_fixed_samples, batch=_BATCH,
    errors=lambda: [
        BadCall(
            (np.ones((2, 3), np.int32), np.ones(3, np.float32), np.ones(3, np.float32)),
            DTypeError, "not implemented", (1, 1e-5, ""),
        )
    ],
)  # fmt: skip


# ---- group norm over (N, C, ...): instance norm is as many groups as channels


def _in_groups(x: Tensor, groups: int) -> tuple[int, int, int, int]:
    """(N, groups, channels of a group, elements of a channel)"""
    shape = x.layout.shape
    return shape[0], groups, shape[1] // groups, math.prod(shape[2:])


def _group_norm(x: Tensor, *rest: Any) -> Any:
    *affine, groups, eps, given = rest
    _check_float(x, "group_norm")
    dtype = _wide(x.layout.dtype)
    shape = _in_groups(x, groups)
    place, width = shape[:2], shape[2] * shape[3]
    flat = reshape(cast(x, dtype), (*place, width))
    mean = div(sum_(flat, (2,)), float(width))
    centred = sub(flat, spread(mean, flat.layout.shape, (2,)))
    scale = rsqrt(add(div(sum_(square(centred), (2,)), float(width)), eps))
    if not given:
        y = mul(centred, spread(scale, flat.layout.shape, (2,)))
    else:
        y = reshape(cast(x, dtype), shape)
        y = mul(sub(y, spread(mean, shape, (2, 3))), spread(scale, shape, (2, 3)))
        for operand, combine in zip(_affine(affine, given, dtype), (mul, add), strict=True):
            if operand is not None:
                y = combine(y, spread(reshape(operand, shape[1:3]), shape, (0, 3)))
    return reshape(cast(y, x.layout.dtype), x.layout.shape), mean, scale


def _group_norm_vjp(ctx: Any, ct: Any) -> Any:
    groups, _, given = ctx.params
    place = ctx.layout(0)
    _, mean, scale = ctx.y
    dtype = mean.layout.dtype
    shape = _in_groups(ctx.x[0], groups)
    count = float(shape[2] * shape[3])
    flat, up = (reshape(cast(v, dtype), shape) for v in (ctx.x[0], ct))
    weight, _ = _affine(ctx.x[1:], given, dtype)
    centred = sub(flat, spread(mean, shape, (2, 3)))
    totals, slopes = sum_(up, (3,)), sum_(mul(up, centred), (3,))  # (N, groups, channels)
    pulled: Any = None
    if ctx.needs[0]:
        inner = up
        sums = [totals, slopes]
        if weight is not None:
            weight = reshape(weight, shape[1:3])
            inner = mul(up, spread(weight, shape, (0, 3)))
            sums = [mul(part, spread(weight, shape[:3], (0,))) for part in sums]
        total, slope = (div(sum_(part, (2,)), count) for part in sums)
        bend = spread(mul(mul(square(scale), scale), slope), shape, (2, 3))
        pulled = mul(inner, spread(scale, shape, (2, 3)))
        pulled = sub(pulled, mul(centred, bend))
        pulled = sub(pulled, spread(mul(scale, total), shape, (2, 3)))
        pulled = reshape(cast(pulled, place.dtype), place.shape)
    if not given:
        return (pulled,)
    channels = (shape[1] * shape[2],)
    grown = mul(slopes, spread(scale, shape[:3], (2,)))
    weight_grad, bias_grad = (reshape(sum_(part, (0,)), channels) for part in (grown, totals))
    return (pulled, *_pulled_affine(ctx, given, 1, weight_grad, bias_grad))


def _group_samples() -> Iterable[Sample]:
    generator = np.random.default_rng(2)
    for shape, groups in [((3, 4, 5), 2), ((2, 3, 3, 2), 3), ((2, 6), 2), ((1, 4, 3), 1)]:
        x = draw(generator, shape, float32, (-2.0, 2.0))
        weight, bias = (draw(generator, shape[1:2], float32, (0.5, 2.0)) for _ in "wb")
        yield Sample((x, weight, bias), (groups, 1e-5, "wb"))
        yield Sample((x,), (groups, 1e-5, ""))
    yield Sample((x, bias), (groups, 1e-5, "b"))


GROUP_NORM = Composite(
    "group_norm", forward=_group_norm, vjp=_group_norm_vjp, saves="*r", residuals=2,
    params=("groups", "eps", "given"), samples=_group_samples, tolerance=_TOLERANCE, batch=_BATCH,
    errors=lambda: _whole_numbers(1, 1e-5, ""),
)  # fmt: skip


# ---- local response norm


def _local_response(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Any:
    _check_float(x, "local_response_norm")
    shape = x.layout.shape
    channels = shape[1]
    wide = [(0, 0)] * len(shape)
    # Further neighbours than there are channels add nothing.
    before, after = (min(n, max(channels - 1, 0)) for n in (size // 2, (size - 1) // 2))
    wide[1] = (before, after)
    squares = pad(square(x), tuple(wide))
    total = narrow(squares, 1, 0, channels)
    for start in range(1, before + after + 1):
        total = add(total, narrow(squares, 1, start, channels))
    level = add(mul(total, alpha / size), k)
    return mul(x, exp(mul(log(level), -beta)))


LOCAL_RESPONSE = Composite(
    "local_response_norm", forward=_local_response, params=("size", "alpha", "beta", "k"),
    tolerance=_TOLERANCE, batch=_BATCH, errors=lambda: _whole_numbers(2, 1e-4, 0.75, 1.0),
    samples=lambda: [
        Sample((draw(np.random.default_rng(size), (2, 5, 3), float32, (-2.0, 2.0)),),
               (size, 0.1, 0.75, 1.0))
        for size in (1, 2, 3, 5)
    ],
)  # fmt: skip


# ---- the functions


def _operands(
    x: Tensor, channels: int, weight: Tensor | None, bias: Tensor | None, op: str
) -> tuple[list[Tensor], str]:
    """The affine operands that there are, checked, and the letters that name them."""
    operands, given = [], ""
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            if value.layout.shape != (channels,):
                raise ShapeError(
                    f"Expected {name} to be a vector of size equal to the number of channels in "
                    f"input, but got {name} of shape {list(value.layout.shape)} and input of shape "
                    f"{list(x.layout.shape)}",
                    op=op, argument=name, got=value.layout.shape,
                )  # fmt: skip
            operands.append(value)
            given += name[0]
    return operands, given


def batch_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, axis: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Every channel along ``axis`` to mean 0 and variance 1, scaled and shifted; its statistics.

    Gives (result, mean, unbiased variance). Source: Ioffe, Szegedy, arXiv 1502.03167.
    """
    affine, given = _operands(x, x.layout.shape[axis], weight, bias, "batch_norm")
    made: tuple[Tensor, Tensor, Tensor] = call.current.apply(
        BATCH_NORM, (x, *affine), (axis, eps, given)
    )
    return made


def fixed_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    axis: int,
    eps: float,
) -> Tensor:
    """Batch norm with given statistics: (x - mean) / sqrt(variance + eps), scaled and shifted."""
    channels = x.layout.shape[axis]
    affine, given = _operands(x, channels, weight, bias, "batch_norm")
    for name, value in (("running_mean", mean), ("running_var", variance)):
        if value.layout.shape != (channels,):
            raise ShapeError(
                f"{name} should contain {channels} elements not {value.layout.size}",
                op="batch_norm", argument=name, got=value.layout.shape,
            )  # fmt: skip
    return call.current.apply(FIXED_NORM, (x, mean, variance, *affine), (axis, eps, given))


def group_norm(
    x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Every group of channels of every example to mean 0 and variance 1, scaled and shifted.

    Source: Wu, He, arXiv 1803.08494.
    """
    affine, given = _operands(x, x.layout.shape[1], weight, bias, "group_norm")
    return call.current.apply(GROUP_NORM, (x, *affine), (groups, eps, given))


def local_response_norm(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """x / (k + alpha * mean of squares over ``size`` neighbouring channels) ** beta.

    Source: Krizhevsky, Sutskever, Hinton, ImageNet classification with deep convolutional neural
    networks, 2012.
    """
    params = (int(size), float(alpha), float(beta), float(k))
    return call.current.apply1(LOCAL_RESPONSE, x, params)
