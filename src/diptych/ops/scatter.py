"""One index for each element: gather and scatter along an axis, and what all indexing shares."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import ALL, NUMERIC, REAL, DType, bool_, int32, int64
from diptych.core.layout import Layout, Shape, layout
from diptych.core.operation import BadCall, Params, Primitive, Sample
from diptych.core.tensor import Tensor
from diptych.errors import (
    ArgumentError,
    DTypeError,
    GraphError,
    IndexTypeError,
    OutOfRangeError,
    ShapeError,
)
from diptych.graph.trace import Traced
from diptych.ops.arithmetic import div, mul
from diptych.ops.comparison import eq, logical_and
from diptych.ops.families import primitive
from diptych.ops.movement import broadcast_to, move_axis, narrow, pad, reshape
from diptych.ops.select import cast, constant, where

Array = np.ndarray[Any, Any]

# ---- what all of them share


def require_index(place: Layout, op: str) -> None:
    """Raise IndexTypeError unless a layout can hold indices: int32 or int64."""
    if place.dtype is not int64 and place.dtype is not int32:
        raise IndexTypeError(
            f"{op}(): Expected dtype int32/int64 for index; got {place.dtype}. Cast it first.",
            op=op, argument="index", got=place.dtype, expected="int32 or int64",
        )  # fmt: skip


def checked(index: Array, extent: int, axis: int, wrap: bool) -> Array:
    """The indices as NumPy's own integers, proven to lie within ``extent``; OutOfRangeError if not.

    With ``wrap``, indices below zero count from the end.
    """
    index = np.asarray(index).astype(np.intp, copy=False)
    if index.size:
        least = -extent if wrap else 0
        lowest, highest = int(index.min()), int(index.max())
        if lowest < least or highest >= extent:
            bad = index[(index < least) | (index >= extent)].flat[0]
            raise OutOfRangeError(
                f"index {int(bad)} is out of bounds for dimension {axis} with size {extent}",
                argument="index", got=int(bad), expected=f"{least} to {extent - 1}",
            )  # fmt: skip
        if lowest < 0:
            index = np.where(index < 0, index + extent, index)
    return index


def concrete(x: Tensor, op: str) -> Array:
    """The values of ``x``; GraphError under tracing, where no shape can depend on them."""
    if isinstance(x, Traced):
        raise GraphError(
            op=op, argument="the result's shape", got="depends on the values of its operand",
            expected="known while a function is traced",
            hint="call it outside the compiled function, or use where/masked_fill",
        )  # fmt: skip
    return x.values()


def zeros(shape: Shape, dtype: DType) -> Tensor:
    """A broadcast zero: no memory of its own."""
    return broadcast_to(constant(0, dtype), shape)


def floats(*shape: int) -> Any:
    size = int(np.prod(shape))
    return (np.arange(size, dtype=np.float32) * 7 % 11 - 4.25).reshape(shape)


def places(*rows: Any) -> Any:
    return np.array(rows, np.int64)


NOT_AN_INDEX = "Expected dtype int32/int64"


# ---- take_along and scatter: one index for each element (torch.gather, torch.scatter_reduce)


def _fits_within(place: Layout, index: Layout, axis: int, op: str) -> None:
    require_index(index, op)
    if place.ndim != index.ndim:
        raise ShapeError(
            "Index tensor must have the same number of dimensions as input tensor: "
            f"got {list(index.shape)} for {list(place.shape)}",
            op=op, argument="index", got=index.shape,
        )  # fmt: skip
    for k, (have, limit) in enumerate(zip(index.shape, place.shape, strict=True)):
        if k != axis and have > limit and index.size:
            raise ShapeError(
                f"Size does not match at dimension {k} expected index {list(index.shape)} to be no "
                f"larger than self {list(place.shape)} apart from dimension {axis}",
                op=op, argument="index", got=index.shape,
            )  # fmt: skip


def flat_positions(index: Array, shape: Shape, axis: int) -> Any:
    """The row-major position in ``shape`` of each element that ``index`` names along ``axis``."""
    positions: Any = np.zeros((), np.intp)
    step = 1
    for k in range(len(shape) - 1, -1, -1):
        if k == axis:
            along = index
        else:
            along = np.arange(index.shape[k], dtype=np.intp)
            along = along.reshape([-1 if j == k else 1 for j in range(len(shape))])
        positions = positions + along * step
        step *= shape[k]
    return np.broadcast_to(positions, index.shape)


def _take_along_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    x, index = layouts
    _fits_within(x, index, params[0], "gather")
    return layout(x.dtype, index.shape)


def _take_along(x: Array, index: Array, axis: int) -> Any:
    if x.ndim == 0:
        checked(index, 1, 0, wrap=False)
        return x.copy()
    index = checked(index, x.shape[axis], axis, wrap=False)
    grid: list[Any] = list(np.ogrid[tuple(slice(0, extent) for extent in index.shape)])
    grid[axis] = index
    return x[tuple(grid)]


def _pair_batch(
    op: Primitive, operands: tuple[Any, ...], axes: tuple[int | None, ...], params: Params
) -> tuple[Any, int]:
    """Batch operands of equal rank: the mapped axis to the front of each, the others repeated."""
    extent = next(
        x.layout.shape[axis] for x, axis in zip(operands, axes, strict=True) if axis is not None
    )
    moved = [
        broadcast_to(x, (extent, *x.layout.shape)) if axis is None else move_axis(x, axis, 0)
        for x, axis in zip(operands, axes, strict=True)
    ]
    if moved[0].layout.ndim == 1:  # each slice is 0-d, which counts as a row of one
        moved = [reshape(x, (extent, 1)) for x in moved]
        return reshape(call.current.apply(op, moved, (1, *params[1:])), (extent,)), 0
    return call.current.apply(op, moved, (params[0] + 1, *params[1:])), 0


TAKE_ALONG = primitive(
    "take_along", "gather", lower="indexed", params=("axis",), infer=_take_along_infer,
    reference=_take_along,
    saves=("1", ""), batch=_pair_batch,
    vjp=lambda ctx, ct: (
        scatter(zeros(ctx.layout(0).shape, ct.layout.dtype), ctx.x[1], ct, ctx.params[0], "add"),
        None,
    ),
    samples=lambda: [
        Sample((floats(3, 4), places([0, 2, 1], [2, 2, 0])), (0,)),
        Sample((floats(3, 4), places([3], [0], [1])), (1,)),
        Sample((floats(2, 3, 2), np.zeros((2, 0, 1), np.int32)), (1,)),
        Sample((floats(), np.int64(0)), (0,)),
        Sample((np.arange(6).reshape(2, 3), places([1, 0, 1])), (0,)),
    ],
    errors=lambda: [
        BadCall((floats(3), places(0, 7)), OutOfRangeError,
                "index 7 is out of bounds for dimension 0 with size 3", (0,)),
        BadCall((floats(3), places(-1)), OutOfRangeError, "index -1 is out of bounds", (0,)),
        BadCall((floats(3), np.zeros(2, np.int16)), DTypeError, NOT_AN_INDEX, (0,)),
        BadCall((floats(3, 2), places(0)), ShapeError, "same number of dimensions", (0,)),
        BadCall((floats(1, 2), places([0, 0], [1, 1])), ShapeError, "no larger than", (1,)),
    ],
)  # fmt: skip

_AT = {"add": np.add, "multiply": np.multiply, "min": np.minimum, "max": np.maximum}
SCATTER_MODES = ("set", *_AT)


def _accepts_mode(dtype: DType, mode: str, op: str) -> None:
    if mode not in SCATTER_MODES:
        raise ArgumentError(
            op=op, argument="mode", got=repr(mode), expected=f"one of {SCATTER_MODES}"
        )
    allowed = {"set": ALL, "add": (bool_, *NUMERIC), "multiply": (bool_, *NUMERIC)}
    if dtype not in allowed.get(mode, (bool_, *REAL)):
        raise DTypeError(f"\"{op}\" with mode '{mode}' not implemented for '{dtype}'", op=op)


def _scatter_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    x, index, src = layouts
    axis, mode = params
    _accepts_mode(x.dtype, mode, "scatter")
    _fits_within(x, index, axis, "scatter")
    if src.dtype is not x.dtype:
        raise DTypeError(
            f"scatter(): Expected self.dtype ({x.dtype}) to be equal to src.dtype ({src.dtype})",
            op="scatter", argument="src", got=src.dtype,
        )  # fmt: skip
    if src.ndim != x.ndim or any(
        have > limit for have, limit in zip(index.shape, src.shape, strict=False)
    ):
        raise ShapeError(
            f"Expected index {list(index.shape)} to be no larger than src {list(src.shape)}",
            op="scatter", argument="src", got=src.shape,
        )  # fmt: skip
    return layout(x.dtype, x.shape)


def put_flat(flat: Array, positions: Array, values: Array, mode: str) -> None:
    """Write ``values`` at ``positions`` of a flat array, in order."""
    positions, values = positions.reshape(-1), values.reshape(-1)
    if mode == "set":
        flat[positions] = values
    else:
        with np.errstate(all="ignore"):
            _AT[mode].at(flat, positions, values)


def _scatter(x: Array, index: Array, src: Array, axis: int, mode: str) -> Any:
    extent = x.shape[axis] if x.ndim else 1
    index = checked(index, extent, axis, wrap=False)
    flat = np.array(x, order="C").reshape(-1)
    part = src[tuple(slice(0, extent) for extent in index.shape)]
    put_flat(flat, flat_positions(index, x.shape, axis), part, mode)
    return flat.reshape(x.shape)


def _to_src(value: Tensor, shape: Shape) -> Tensor:
    """A cotangent of the part of ``src`` that was used, in a border of zeros up to all of it."""
    have = value.layout.shape
    if have == shape:
        return value
    return pad(value, tuple((0, whole - part) for part, whole in zip(have, shape, strict=True)))


def _used(src: Tensor, shape: Shape) -> Tensor:
    for axis, extent in enumerate(shape):
        if src.layout.shape[axis] != extent:
            src = narrow(src, axis, 0, extent)
    return src


def _scatter_vjp(ctx: Any, ct: Any) -> Any:
    index = ctx.x[1]
    axis, mode = ctx.params
    dx = dsrc = None
    if mode == "set":
        if ctx.needs[0]:
            dx = scatter(ct, index, zeros(index.layout.shape, ct.layout.dtype), axis, "set")
        if ctx.needs[2]:
            dsrc = take_along(ct, index, axis)
    elif mode == "add":
        dx, dsrc = ct, take_along(ct, index, axis) if ctx.needs[2] else None
    elif mode == "multiply":
        dx, dsrc = _scatter_multiply_vjp(ctx, ct)
    else:
        dx, dsrc = _scatter_extremum_vjp(ctx, ct)
    return dx, None, _to_src(dsrc, ctx.layout(2).shape) if dsrc is not None else None


def _scatter_multiply_vjp(ctx: Any, ct: Any) -> Any:
    """Each factor's slope is the product of the others: by division only where no zero is."""
    x, index = ctx.x[0], ctx.x[1]
    axis = ctx.params[0]
    src = _used(ctx.x[2], index.layout.shape)
    dtype = ct.layout.dtype
    dx = dsrc = None
    if ctx.needs[0]:
        ones = broadcast_to(constant(1, dtype), x.layout.shape)
        dx = mul(ct, scatter(ones, index, src, axis, "multiply"))
    if ctx.needs[2]:
        zero = eq(src, 0.0)
        without = where(zero, 1.0, src)
        product = take_along(scatter(x, index, without, axis, "multiply"), index, axis)
        count = scatter(zeros(x.layout.shape, int64), index, cast(zero, int64), axis, "add")
        count = take_along(count, index, axis)
        alone = where(logical_and(zero, eq(count, 1)), product, 0.0)
        slope = where(eq(count, 0), div(product, without), alone)
        dsrc = mul(take_along(ct, index, axis), slope)
    return dx, dsrc


def _scatter_extremum_vjp(ctx: Any, ct: Any) -> Any:
    """The cotangent shared evenly among all that attain the extremum, as in PyTorch."""
    x, index, y = ctx.x[0], ctx.x[1], ctx.y[0]
    axis = ctx.params[0]
    dtype = ct.layout.dtype
    src = _used(ctx.x[2], index.layout.shape)
    own = cast(eq(x, y), dtype)
    hit = cast(eq(src, take_along(y, index, axis)), dtype)
    share = div(ct, scatter(own, index, hit, axis, "add"))
    share = where(eq(share, share), share, 0.0)  # nobody attains a NaN
    return mul(own, share), mul(hit, take_along(share, index, axis))


SCATTER = primitive(
    "scatter", "scatter", lower="indexed", params=("axis", "mode"), infer=_scatter_infer,
    reference=_scatter,
    vjp=_scatter_vjp, saves="*o", batch=_pair_batch,
    samples=lambda: [
        *(
            Sample((floats(3, 4), places([0, 2, 1], [2, 2, 0]), floats(2, 3) * 0.5), (0, mode))
            for mode in SCATTER_MODES[1:]
        ),
        Sample((floats(3, 4), places([0, 2], [1, 3]), floats(3, 4)), (1, "set")),
        Sample((floats(3), np.zeros(0, np.int32), floats(2)), (0, "add")),
        Sample((floats(), np.int64(0), floats()), (0, "add")),
        Sample((np.arange(4), places(1, 1, 2), np.arange(3)), (0, "max")),
    ],
    errors=lambda: [
        BadCall((floats(3), places(7), floats(1)), OutOfRangeError,
                "index 7 is out of bounds for dimension 0 with size 3", (0, "add")),
        BadCall((floats(3), places(0, 1), floats(1)), ShapeError, "larger than src", (0, "set")),
        BadCall((floats(3), places(0), np.ones(1)), DTypeError, "src.dtype", (0, "set")),
        BadCall((floats(3), np.ones(1, bool), floats(1)), DTypeError, NOT_AN_INDEX, (0, "set")),
        BadCall((floats(3), places(0), floats(1)), ArgumentError, "one of", (0, "mean")),
    ],
)  # fmt: skip


# ---- the functions


def take_along(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """``x`` at one index per element along ``axis``: ``torch.gather``."""
    return call.current.apply2(TAKE_ALONG, x, index, (axis,))


def scatter(x: Tensor, index: Tensor, src: Tensor, axis: int, mode: str = "set") -> Tensor:
    """``x`` with ``src`` written at one index per element: ``torch.scatter`` and its kin.

    ``mode`` says how it meets what is there: "set", "add", "multiply", "min" or "max". ``src`` may
    be larger than ``index``.
    """
    return call.current.apply(SCATTER, (x, index, src), (axis, mode))
