"""Weighted sums of a few elements at given positions, and the two adjoints of that map.

What interpolation at any points comes down to: each result reads ``T`` elements of a plane. The
three operations are each other's gradients, so every order of differentiation stays among them.
Operands are planes ``[N, C, S]``, results ``[N, C, P]``, weights and int32 positions ``[N, T, P]``
that all channels share. A position outside of ``[0, S)`` reads and adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import DType, float32, float64, int32
from diptych.core.layout import Layout, layout
from diptych.core.operation import BadCall, Params, Primitive, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import DTypeError, ShapeError
from diptych.ops.families import primitive
from diptych.ops.movement import broadcast_to, move_axis, reshape

Array = np.ndarray[Any, Any]
TOLERANCE = Tolerance({"float32": 2e-5})
_WIDE = (float32, float64)


def _check(op: str, place: Layout, weight: Layout | None, position: Layout) -> DType:
    dtype = place.dtype
    if dtype not in _WIDE or position.dtype is not int32:
        raise DTypeError(
            op=op, argument="operands", got=(dtype, position.dtype),
            expected="float32 or float64 values and int32 positions",
        )  # fmt: skip
    fits = place.ndim == position.ndim == 3 and place.shape[0] == position.shape[0]
    if weight is not None:
        fits = fits and weight.shape == position.shape and weight.dtype is dtype
    if not fits:
        raise ShapeError(
            op=op, argument="operands", got=(place.shape, position.shape),
            expected="planes (N, C, S) and of one dtype with them weights and positions (N, T, P)",
        )  # fmt: skip
    return dtype


def _inside(position: Array, size: int) -> tuple[Array, Array]:
    """Which positions exist, and the positions with 0 for the others."""
    exists = (position >= 0) & (position < size)
    return exists, np.where(exists, position, 0)


# ---- reading: [N, C, S] -> [N, C, P]


def _read_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    x, weight, position = layouts
    dtype = _check("read_taps", x, weight, position)
    return layout(dtype, (*x.shape[:2], position.shape[2]))


def _read(x: Array, weight: Array, position: Array) -> Array:
    n, channels, size = x.shape
    made = np.zeros((n, channels, position.shape[2]), x.dtype)
    if not size:
        return made
    exists, place = _inside(position, size)
    for tap in range(position.shape[1]):
        part = np.take_along_axis(x, place[:, None, tap].astype(np.int64), 2)
        made += np.where(exists[:, None, tap], part * weight[:, None, tap], 0)
    return made


def _read_vjp(ctx: Any, ct: Any) -> Any:
    x, weight, position = ctx.x
    return (
        add_taps(ct, weight, position, ctx.layout(0).shape[2]) if ctx.needs[0] else None,
        match_taps(ct, x, position) if ctx.needs[1] else None,
        None,
    )


# ---- adding: [N, C, P] -> [N, C, S]


def _add_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    values, weight, position = layouts
    dtype = _check("add_taps", values, weight, position)
    if values.shape[2] != position.shape[2] or params[0] < 0:
        raise ShapeError(
            op="add_taps", argument="values", got=values.shape,
            expected=f"one value for each of {position.shape[2]} points, and a size",
        )  # fmt: skip
    return layout(dtype, (*values.shape[:2], params[0]))


def _add(values: Array, weight: Array, position: Array, size: int) -> Array:
    n, channels, _ = values.shape
    made = np.zeros((n, size, channels), values.dtype)
    exists, place = _inside(position, size)
    for k in range(n):
        for tap in range(position.shape[1]):
            here = exists[k, tap]
            part = (values[k] * weight[k, tap]).T
            np.add.at(made[k], place[k, tap][here], part[here])
    return np.ascontiguousarray(np.swapaxes(made, 1, 2))


def _add_vjp(ctx: Any, ct: Any) -> Any:
    values, weight, position = ctx.x
    return (
        read_taps(ct, weight, position) if ctx.needs[0] else None,
        match_taps(values, ct, position) if ctx.needs[1] else None,
        None,
    )


# ---- matching: [N, C, P] with [N, C, S] -> [N, T, P]


def _match_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    values, x, position = layouts
    dtype = _check("match_taps", x, None, position)
    wanted = (*x.shape[:2], position.shape[2])
    if values.shape != wanted or values.dtype is not dtype:
        raise ShapeError(
            op="match_taps", argument="values", got=values.shape, expected=f"{wanted} of {dtype}"
        )
    return layout(dtype, position.shape)


def _match(values: Array, x: Array, position: Array) -> Array:
    made = np.zeros(position.shape, x.dtype)
    if not x.shape[2]:
        return made
    exists, place = _inside(position, x.shape[2])
    for tap in range(position.shape[1]):
        part = np.take_along_axis(x, place[:, None, tap].astype(np.int64), 2)
        made[:, tap] = np.where(exists[:, tap], (part * values).sum(1), 0)
    return made


def _match_vjp(ctx: Any, ct: Any) -> Any:
    values, x, position = ctx.x
    return (
        read_taps(x, ct, position) if ctx.needs[0] else None,
        add_taps(values, ct, position, ctx.layout(1).shape[2]) if ctx.needs[1] else None,
        None,
    )


# ---- the declarations


def _batch(
    op: Primitive, operands: tuple[Any, ...], axes: tuple[int | None, ...], params: Params
) -> tuple[Any, Any]:
    """The batch joins N."""
    batch = next(
        x.layout.shape[a] for x, a in zip(operands, axes, strict=True) if a is not None
    )  # fmt: skip
    joined = []
    for x, axis in zip(operands, axes, strict=True):
        if axis is None:
            moved = broadcast_to(reshape(x, (1, *x.layout.shape)), (batch, *x.layout.shape))
        else:
            moved = move_axis(x, axis, 0)
        shape = moved.layout.shape
        joined.append(reshape(moved, (batch * shape[1], *shape[2:])))
    made = call.apply(op, *joined, params=params)
    shape = made.layout.shape
    return reshape(made, (batch, shape[0] // max(batch, 1), *shape[1:])), 0


def _drawn() -> Iterable[tuple[Array, Array, Array, Array]]:
    """Planes, weights, positions (some outside), values at the points."""
    random = np.random.default_rng(11)
    for dtype, (n, c, s, t, p) in (
        (np.float32, (2, 3, 20, 4, 7)), (np.float64, (1, 5, 6, 8, 19)),
        (np.float32, (1, 9, 3, 1, 33)), (np.float64, (2, 1, 40, 16, 5)),
        (np.float32, (2, 2, 5, 3, 4)), (np.float32, (0, 2, 5, 4, 4)), (np.float32, (1, 2, 0, 4, 4)),
    ):  # fmt: skip
        x = random.normal(size=(n, c, s)).astype(dtype)
        weight = random.normal(size=(n, t, p)).astype(dtype)
        position = random.integers(-2, s + 2, (n, t, p)).astype(np.int32)
        yield x, weight, position, random.normal(size=(n, c, p)).astype(dtype)


def _errors(op: str) -> list[BadCall]:
    x, index = np.zeros((1, 2, 5), np.float32), np.zeros((1, 4, 3), np.int32)
    values, weight = np.zeros((1, 2, 3), np.float32), np.zeros((1, 4, 3), np.float32)
    first, params = {
        "read": ((x, weight), ()), "add": ((values, weight), (5,)), "match": ((values, x), ()),
    }[op]  # fmt: skip
    return [
        BadCall((*first, index.astype(np.int64)), DTypeError, "int32 positions", params),
        BadCall((*first, np.concatenate([index, index])), ShapeError, r"\(N, T, P\)", params),
    ]


READ_TAPS: Primitive = primitive(
    "read_taps", "taps", infer=_read_infer, reference=_read, vjp=_read_vjp, lower="read",
    saves=("12", "02", ""), batch=_batch, tolerance=TOLERANCE,
    samples=lambda: [Sample((x, w, i)) for x, w, i, _ in _drawn()], errors=lambda: _errors("read"),
)  # fmt: skip
ADD_TAPS: Primitive = primitive(
    "add_taps", "taps", params=("size",), infer=_add_infer, reference=_add, vjp=_add_vjp,
    lower="add", saves=("12", "02", ""), batch=_batch, tolerance=TOLERANCE,
    samples=lambda: [Sample((v, w, i), (x.shape[2],)) for x, w, i, v in _drawn()],
    errors=lambda: [
        *_errors("add"),
        BadCall((np.zeros((1, 2, 5), np.float32), np.zeros((1, 4, 3), np.float32),
                 np.zeros((1, 4, 3), np.int32)), ShapeError, "one value for each of 3", (5,)),
    ],
)  # fmt: skip
MATCH_TAPS: Primitive = primitive(
    "match_taps", "taps", infer=_match_infer, reference=_match, vjp=_match_vjp, lower="match",
    saves=("12", "02", ""), batch=_batch, tolerance=TOLERANCE,
    samples=lambda: [Sample((v, x, i)) for x, _, i, v in _drawn()],
    errors=lambda: [
        *_errors("match"),
        BadCall((np.zeros((1, 2, 5), np.float32), np.zeros((1, 2, 5), np.float32),
                 np.zeros((1, 4, 3), np.int32)), ShapeError, "match_taps", ()),
    ],
)  # fmt: skip


def read_taps(x: Tensor, weight: Tensor, position: Tensor) -> Tensor:
    """For each point the sum over its taps of weight times the element read, in every channel."""
    made: Tensor = call.apply(READ_TAPS, x, weight, position, params=())
    return made


def add_taps(values: Tensor, weight: Tensor, position: Tensor, size: int) -> Tensor:
    """Each point's value times its weights, added up at its positions in planes of ``size``."""
    made: Tensor = call.apply(ADD_TAPS, values, weight, position, params=(size,))
    return made


def match_taps(values: Tensor, x: Tensor, position: Tensor) -> Tensor:
    """For each tap the sum over channels of the point's value times the element read."""
    made: Tensor = call.apply(MATCH_TAPS, values, x, position, params=())
    return made
