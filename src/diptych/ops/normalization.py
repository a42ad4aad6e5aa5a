"""Softmax and the normalizations, as composites that are compiled whole."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import FLOATS, float32
from diptych.core.operation import BadCall, Composite, NoBatching, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import DTypeError, ShapeError
from diptych.ops.arithmetic import add, div, mul, rsqrt, square, sub
from diptych.ops.families import draw
from diptych.ops.movement import reshape
from diptych.ops.reduction import max_, spread, sum_
from diptych.ops.transcendental import exp, log

ROWS = Tolerance({"float32": 2e-5})


def _check_float(x: Tensor, op: str) -> None:
    if x.layout.dtype not in FLOATS:
        raise DTypeError(f"\"{op}\" not implemented for '{x.layout.dtype}'", op=op)


def _row_samples() -> Iterable[Sample]:
    for dtype in FLOATS[2:]:
        generator = np.random.default_rng(dtype.index)
        for shape, axis in [((5, 37), 1), ((4, 6), 0), ((2, 3, 70), 2), ((2, 3, 4), 1), ((1,), 0)]:
            yield Sample((draw(generator, shape, dtype, (-8.0, 8.0)),), (axis,))
    for axis in (0, 1):
        yield Sample((np.zeros((0, 4), np.float32),), (axis,))


def _integers(op: str) -> list[BadCall]:
    return [BadCall((np.ones(3, np.int32),), DTypeError, f'"{op}" not implemented', (0,))]


def _softmax(x: Tensor, axis: int) -> Tensor:
    _check_float(x, "softmax")
    shape = x.layout.shape
    if not x.layout.size:  # no row, or rows without a largest element
        return exp(x)
    weights = exp(sub(x, spread(max_(x, (axis,)), shape, (axis,))))
    return div(weights, spread(sum_(weights, (axis,)), shape, (axis,)))


def _softmax_vjp(ctx: Any, ct: Any) -> Any:
    y, axis = ctx.y[0], ctx.params[0]
    along = sum_(mul(ct, y), (axis,))
    return (mul(y, sub(ct, spread(along, y.layout.shape, (axis,)))),)


def _log_softmax(x: Tensor, axis: int) -> Tensor:
    _check_float(x, "log_softmax")
    shape = x.layout.shape
    if not x.layout.size:
        return exp(x)
    centred = sub(x, spread(max_(x, (axis,)), shape, (axis,)))
    return sub(centred, spread(log(sum_(exp(centred), (axis,))), shape, (axis,)))


def _log_softmax_vjp(ctx: Any, ct: Any) -> Any:
    y, axis = ctx.y[0], ctx.params[0]
    total = spread(sum_(ct, (axis,)), y.layout.shape, (axis,))
    return (sub(ct, mul(exp(y), total)),)


def _rows_composite(name: str, forward: Callable[..., Any], vjp: Callable[..., Any]) -> Composite:
    return Composite(
        name, forward=forward, vjp=vjp, saves="o", params=("axis",), samples=_row_samples,
        errors=lambda: _integers(name), tolerance=ROWS,
        batch=NoBatching("it is batched through the operations it is made of"),
    )  # fmt: skip


SOFTMAX = _rows_composite("softmax", _softmax, _softmax_vjp)
LOG_SOFTMAX = _rows_composite("log_softmax", _log_softmax, _log_softmax_vjp)


# ---- layer norm over the last axes


def _flat(x: Tensor, count: int) -> Tensor:
    """(rows, elements): the normalized axes joined into one."""
    shape = x.layout.shape
    cut = len(shape) - count
    return reshape(x, (math.prod(shape[:cut]), math.prod(shape[cut:])))


def _layer_norm(x: Tensor, *rest: Any) -> Any:
    *affine, count, eps = rest
    _check_float(x, "layer_norm")
    shape = x.layout.shape
    flat = _flat(x, count)
    rows, width = flat.layout.shape
    mean = div(sum_(flat, (1,)), float(width))
    centred = sub(flat, spread(mean, (rows, width), (1,)))
    variance = div(sum_(square(centred), (1,)), float(width))
    scale = rsqrt(add(variance, eps))
    y = mul(centred, spread(scale, (rows, width), (1,)))
    for operand, combine in zip(affine, (mul, add), strict=False):
        y = combine(y, reshape(operand, (width,)))
    return reshape(y, shape), mean, scale


def _layer_norm_vjp(ctx: Any, ct: Any) -> Any:
    count = ctx.params[0]
    x, (_, mean, scale) = ctx.x[0], ctx.y
    shape = ctx.layout(0).shape
    flat, up = _flat(x, count), _flat(ct, count)
    rows, width = flat.layout.shape
    full = (rows, width)
    normal = mul(sub(flat, spread(mean, full, (1,))), spread(scale, full, (1,)))
    pulled: list[Any] = [None] * len(ctx.x)
    if ctx.needs[0]:
        inner = mul(up, reshape(ctx.x[1], (width,))) if len(ctx.x) > 1 else up
        along = spread(div(sum_(mul(inner, normal), (1,)), float(width)), full, (1,))
        level = spread(div(sum_(inner, (1,)), float(width)), full, (1,))
        slope = sub(sub(inner, level), mul(normal, along))
        pulled[0] = reshape(mul(slope, spread(scale, full, (1,))), shape)
    if len(ctx.x) > 1 and ctx.needs[1]:
        pulled[1] = reshape(sum_(mul(up, normal), (0,)), ctx.layout(1).shape)
    if len(ctx.x) > 2 and ctx.needs[2]:
        pulled[2] = reshape(sum_(up, (0,)), ctx.layout(2).shape)
    return tuple(pulled)


def _layer_norm_samples() -> Iterable[Sample]:
    generator = np.random.default_rng(0)
    for shape, count in [((5, 37), 1), ((2, 3, 4), 2), ((3, 1), 1)]:
        x = draw(generator, shape, float32, (-2.0, 2.0))
        affine = [draw(generator, shape[-count:], float32, (0.5, 2.0)) for _ in range(2)]
        for used in (affine, affine[:1], []):
            yield Sample((x, *used), (count, 1e-5))


LAYER_NORM = Composite(
    "layer_norm", forward=_layer_norm, vjp=_layer_norm_vjp, saves="*r", residuals=2,
    params=("count", "eps"), samples=_layer_norm_samples, tolerance=Tolerance({"float32": 1e-4}),
    errors=lambda: [
        BadCall((np.ones((2, 3), np.int32),), DTypeError, "not implemented", (1, 1e-5))
    ],
    batch=NoBatching("it is batched through the operations it is made of"),
)  # fmt: skip


def _rms_norm(x: Tensor, *rest: Any) -> Any:
    *affine, count, eps = rest
    _check_float(x, "rms_norm")
    flat = _flat(x, count)
    rows, width = flat.layout.shape
    scale = rsqrt(add(div(sum_(square(flat), (1,)), float(width)), eps))
    y = mul(flat, spread(scale, (rows, width), (1,)))
    if affine:
        y = mul(y, reshape(affine[0], (width,)))
    return reshape(y, x.layout.shape)


RMS_NORM = Composite(
    "rms_norm", forward=_rms_norm, params=("count", "eps"), tolerance=Tolerance({"float32": 1e-4}),
    samples=lambda: [s for s in _layer_norm_samples() if len(s.operands) < 3],
    errors=lambda: [
        BadCall((np.ones((2, 3), np.int32),), DTypeError, "not implemented", (1, 1e-5))
    ],
    batch=NoBatching("it is batched through the operations it is made of"),
)  # fmt: skip


# ---- the functions


def softmax(x: Tensor, axis: int) -> Tensor:
    """exp(x) over its sum along an axis (counted from the front), without overflow."""
    return call.current.apply1(SOFTMAX, x, (axis,))


def log_softmax(x: Tensor, axis: int) -> Tensor:
    """The logarithm of softmax, computed without leaving the logarithm."""
    return call.current.apply1(LOG_SOFTMAX, x, (axis,))


def _check_affine(x: Tensor, operands: list[Any], count: int, op: str) -> None:
    normalized = x.layout.shape[x.layout.ndim - count :]
    for operand in operands:
        if not isinstance(operand, Tensor):
            given = type(operand).__name__
            raise TypeError(f"{op}(): weight and bias must be Tensors, not {given}")
        if operand.layout.shape != normalized:
            raise ShapeError(
                f"Expected weight to be of same shape as normalized_shape, but got weight of shape "
                f"{list(operand.layout.shape)} and normalized_shape = {list(normalized)}",
                op=op,
            )


def layer_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, count: int, eps: float
) -> Tensor:
    """Normalize over the last ``count`` axes to mean 0 and variance 1, then scale and shift.

    Source: Ba, Kiros, Hinton, Layer Normalization, arXiv 1607.06450.
    """
    affine = [operand for operand in (weight, bias) if operand is not None]
    _check_affine(x, affine, count, "layer_norm")
    if weight is None and bias is not None:
        return add(layer_norm(x, None, None, count, eps), bias)
    return call.current.apply(LAYER_NORM, (x, *affine), (count, eps))


def rms_norm(x: Tensor, weight: Tensor | None, count: int, eps: float) -> Tensor:
    """Scale over the last axes to root mean square 1 (Zhang, Sennrich, arXiv 1910.07467)."""
    affine = [] if weight is None else [weight]
    _check_affine(x, affine, count, "rms_norm")
    return call.current.apply(RMS_NORM, (x, *affine), (count, eps))
