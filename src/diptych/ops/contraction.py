"""Contractions: the batched matrix product, and the linear layer made of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import FLOATS, NUMERIC, bool_, float32
from diptych.core.layout import Layout, broadcast_shapes, layout
from diptych.core.operation import BadCall, Composite, NoBatching, Params, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import DTypeError, ShapeError
from diptych.ops.arithmetic import add, conj
from diptych.ops.families import draw, primitive
from diptych.ops.movement import reshape, sum_to, swap_axes, transpose
from diptych.ops.reduction import sum_

CONTRACTION = Tolerance({"float32": 5e-5, "complex64": 5e-5}, half=2e-2)


def _dot_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    a, b = layouts
    if a.dtype is not b.dtype:
        raise DTypeError(
            f"expected m1 and m2 to have the same dtype, but got: {a.dtype} != {b.dtype}", op="dot"
        )
    if a.dtype is bool_:
        raise DTypeError("\"dot\" not implemented for 'bool'", op="dot")
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            f"mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, a.shape))} and "
            f"{'x'.join(map(str, b.shape))})",
            op="dot", got=(a.shape, b.shape),
        )  # fmt: skip
    batch = broadcast_shapes((a.shape[:-2], b.shape[:-2]), "dot")
    return layout(a.dtype, (*batch, a.shape[-2], b.shape[-1]))


def _dot_vjp(ctx: Any, ct: Any) -> Any:
    left = right = None
    if ctx.needs[0]:
        left = sum_to(dot(ct, swap_axes(conj(ctx.x[1]), -1, -2)), ctx.layout(0).shape)
    if ctx.needs[1]:
        right = sum_to(dot(swap_axes(conj(ctx.x[0]), -1, -2), ct), ctx.layout(1).shape)
    return left, right


def _ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


def _dot_samples() -> Iterable[Sample]:
    for dtype in (*FLOATS[2:], *NUMERIC[:8], *NUMERIC[-2:]):
        generator = np.random.default_rng(dtype.index)
        for a, b in [((3, 4), (4, 5)), ((1, 7), (7, 1)), ((17, 33), (33, 49)), ((2, 3, 4), (4, 5)),
                     ((2, 1, 3, 4), (3, 4, 2)), ((3, 0), (0, 2)), ((0, 3), (3, 2))]:  # fmt: skip
            pair = tuple(draw(generator, shape, dtype, (-1.0, 1.0)) for shape in (a, b))
            yield Sample(pair)


def _dot(a: Any, b: Any) -> Any:
    return np.matmul(a.astype(np.float32), b) if a.dtype == np.float16 else np.matmul(a, b)


DOT = primitive(
    "dot", "contraction", infer=_dot_infer, reference=_dot, vjp=_dot_vjp, saves=("1", "0"),
    samples=_dot_samples, lower="dot", tolerance=CONTRACTION,
    errors=lambda: [
        BadCall((_ones(2, 3), _ones(4, 5)), ShapeError, "2x3 and 4x5"),
        BadCall((_ones(2, 3), np.ones((3, 5))), DTypeError, "same dtype"),
    ],
)  # fmt: skip


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The matrix product over the last two axes, batched over the broadcast others."""
    return call.current.apply2(DOT, a, b, ())


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """NumPy's ``matmul``: vectors are rows on the left and columns on the right."""
    left, right = a.layout, b.layout
    if left.ndim == 0 or right.ndim == 0:
        raise ShapeError(
            "both arguments to matmul need to be at least 1D, but they are "
            f"{left.ndim}D and {right.ndim}D",
            op="matmul",
        )
    if left.ndim >= 2 and right.ndim >= 2:
        if right.ndim == 2 and left.ndim > 2 and left.contiguous:
            flat = dot(reshape(a, (_rows(left.shape), left.shape[-1])), b)
            return reshape(flat, (*left.shape[:-1], right.shape[-1]))
        return dot(a, b)
    wide = reshape(a, (1, left.shape[0])) if left.ndim == 1 else a
    tall = reshape(b, (right.shape[0], 1)) if right.ndim == 1 else b
    if left.ndim == 1 and right.ndim == 1 and left.shape != right.shape:
        raise ShapeError(
            f"inconsistent tensor size, expected tensor {list(left.shape)} and src "
            f"{list(right.shape)} to have the same number of elements",
            op="matmul",
        )
    product = dot(wide, tall)
    shape = product.layout.shape
    if left.ndim == 1:
        shape = (*shape[:-2], *shape[-1:])
    if right.ndim == 1:
        shape = shape[:-1]
    return reshape(product, shape)


# ---- the linear layer: x W^T + b


def _linear_forward(x: Tensor, weight: Tensor, *bias: Tensor) -> Tensor:
    shape = x.layout.shape
    if len(shape) != 2:
        rows = x.layout.size // shape[-1] if shape[-1] else _rows(shape)
        x = reshape(x, (rows, shape[-1]))
    y = dot(x, transpose(weight, (1, 0)))
    if bias:
        y = add(y, bias[0])
    return y if len(shape) == 2 else reshape(y, (*shape[:-1], weight.layout.shape[0]))


def _rows(shape: tuple[int, ...]) -> int:
    rows = 1
    for extent in shape[:-1]:
        rows *= extent
    return rows


def _linear_vjp(ctx: Any, ct: Any) -> Any:
    shape = ctx.layout(0).shape
    rows = _rows(shape)
    flat = reshape(ct, (rows, ct.layout.shape[-1]))
    x = weight = None
    if ctx.needs[0]:
        x = reshape(dot(flat, ctx.x[1]), shape)
    if ctx.needs[1]:
        weight = dot(transpose(flat, (1, 0)), reshape(ctx.x[0], (rows, shape[-1])))
    if len(ctx.x) == 2:
        return x, weight
    return x, weight, sum_(flat, (0,)) if ctx.needs[2] else None


def _linear_samples() -> Iterable[Sample]:
    generator = np.random.default_rng(0)
    for shape, out in [((5, 7), 3), ((2, 3, 4), 6), ((4,), 2), ((0, 3), 2)]:
        arrays = [
            draw(generator, s, float32, (-1.0, 1.0)) for s in (shape, (out, shape[-1]), (out,))
        ]
        yield Sample(tuple(arrays))
        yield Sample(tuple(arrays[:2]))


LINEAR = Composite(
    "linear", forward=_linear_forward, vjp=_linear_vjp, params=(), samples=_linear_samples,
    saves="01", tolerance=CONTRACTION, batch=NoBatching("it is batched through its dot"),
    errors=lambda: [
        BadCall((_ones(2, 3), _ones(4, 5)), ShapeError, "2x3 and 5x4"),
    ],
)  # fmt: skip


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias`` over the last axis of ``x``; weight is (out, in)."""
    if bias is None:
        return call.current.apply2(LINEAR, x, weight, ())
    return call.current.apply(LINEAR, (x, weight, bias), ())
