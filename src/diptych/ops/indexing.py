"""Reading and writing by index: gather, scatter, selection along an axis, masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import ALL, NUMERIC, REAL, DType, bool_, int32, int64, uint8
from diptych.core.layout import Layout, Shape, broadcast_shapes, layout
from diptych.core.operation import BadCall, Params, Primitive, Sample
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import (
    ArgumentError,
    DTypeError,
    GraphError,
    IndexShapeError,
    IndexTypeError,
    OutOfRangeError,
    ShapeError,
)
from diptych.graph.trace import Traced
from diptych.ops import creation
from diptych.ops.arithmetic import add, div, mul
from diptych.ops.comparison import eq, logical_and
from diptych.ops.families import primitive
from diptych.ops.movement import broadcast_to, concatenate, move_axis, narrow, pad, reshape, sum_to
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


def _floats(*shape: int) -> Any:
    size = int(np.prod(shape))
    return (np.arange(size, dtype=np.float32) * 7 % 11 - 4.25).reshape(shape)


def _index(*rows: Any) -> Any:
    return np.array(rows, np.int64)


_NOT_AN_INDEX = "Expected dtype int32/int64"


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
        Sample((_floats(3, 4), _index([0, 2, 1], [2, 2, 0])), (0,)),
        Sample((_floats(3, 4), _index([3], [0], [1])), (1,)),
        Sample((_floats(2, 3, 2), np.zeros((2, 0, 1), np.int32)), (1,)),
        Sample((_floats(), np.int64(0)), (0,)),
        Sample((np.arange(6).reshape(2, 3), _index([1, 0, 1])), (0,)),
    ],
    errors=lambda: [
        BadCall((_floats(3), _index(0, 7)), OutOfRangeError,
                "index 7 is out of bounds for dimension 0 with size 3", (0,)),
        BadCall((_floats(3), _index(-1)), OutOfRangeError, "index -1 is out of bounds", (0,)),
        BadCall((_floats(3), np.zeros(2, np.int16)), DTypeError, _NOT_AN_INDEX, (0,)),
        BadCall((_floats(3, 2), _index(0)), ShapeError, "same number of dimensions", (0,)),
        BadCall((_floats(1, 2), _index([0, 0], [1, 1])), ShapeError, "no larger than", (1,)),
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
            Sample((_floats(3, 4), _index([0, 2, 1], [2, 2, 0]), _floats(2, 3) * 0.5), (0, mode))
            for mode in SCATTER_MODES[1:]
        ),
        Sample((_floats(3, 4), _index([0, 2], [1, 3]), _floats(3, 4)), (1, "set")),
        Sample((_floats(3), np.zeros(0, np.int32), _floats(2)), (0, "add")),
        Sample((_floats(), np.int64(0), _floats()), (0, "add")),
        Sample((np.arange(4), _index(1, 1, 2), np.arange(3)), (0, "max")),
    ],
    errors=lambda: [
        BadCall((_floats(3), _index(7), _floats(1)), OutOfRangeError,
                "index 7 is out of bounds for dimension 0 with size 3", (0, "add")),
        BadCall((_floats(3), _index(0, 1), _floats(1)), ShapeError, "larger than src", (0, "set")),
        BadCall((_floats(3), _index(0), np.ones(1)), DTypeError, "src.dtype", (0, "set")),
        BadCall((_floats(3), np.ones(1, bool), _floats(1)), DTypeError, _NOT_AN_INDEX, (0, "set")),
        BadCall((_floats(3), _index(0), _floats(1)), ArgumentError, "one of", (0, "mean")),
    ],
)  # fmt: skip


# ---- index_select and index_add: one index for each slice along an axis (embedding)


def _select_shape(x: Layout, index: Layout, axis: int) -> Shape:
    return (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _index_select_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    x, index = layouts
    require_index(index, "index_select")
    if not x.ndim:
        raise ShapeError(
            op="index_select", argument="x", got=x.shape, expected="at least one dimension"
        )
    return layout(x.dtype, _select_shape(x, index, params[0]))


def _index_select_batch(
    op: Primitive, operands: tuple[Any, ...], axes: tuple[int | None, ...], params: Params
) -> tuple[Any, int]:
    x, chosen = operands
    axis = params[0]
    if axes[1] is None:
        return index_select(move_axis(x, axes[0] or 0, 0), chosen, axis + 1), 0
    chosen = move_axis(chosen, axes[1], 0)
    if axes[0] is None:
        return index_select(x, chosen, axis), axis
    # Both: pair each row of indices with its own x, the indexed axis next to the mapped one.
    x = move_axis(move_axis(x, axes[0], 0), axis + 1, 1)
    extent, rank = x.layout.shape[0], chosen.layout.ndim - 1
    rows = reshape(iota(extent), (extent, *([1] * rank)))
    result = index(x, (rows, chosen))
    for k in range(axis):  # the axes that stood before the indexed one go back there
        result = move_axis(result, 1 + rank + k, 1 + k)
    return result, 0


INDEX_SELECT = primitive(
    "index_select", "gather", lower="indexed", params=("axis",), infer=_index_select_infer,
    reference=lambda x, index, axis: np.take(
        x, checked(index, x.shape[axis], axis, wrap=False), axis
    ),
    saves=("1", ""), batch=_index_select_batch,
    vjp=lambda ctx, ct: (
        index_add(zeros(ctx.layout(0).shape, ct.layout.dtype), ctx.x[1], ct, ctx.params[0]), None
    ),
    samples=lambda: [
        Sample((_floats(5, 3), _index(4, 0, 4)), (0,)),
        Sample((_floats(2, 5, 3), _index([1, 0], [3, 3])), (1,)),
        Sample((_floats(4), np.zeros(0, np.int32)), (0,)),
        Sample((_floats(4, 2), np.int64(3)), (0,)),
    ],
    errors=lambda: [
        BadCall((_floats(3), _index(0, 7)), OutOfRangeError, "index 7 is out of bounds", (0,)),
        BadCall((_floats(3), _index(-1)), OutOfRangeError, "index -1 is out of bounds", (0,)),
        BadCall((_floats(3), _floats(2)), DTypeError, _NOT_AN_INDEX, (0,)),
        BadCall((_floats(), _index(0)), ShapeError, "at least one dimension", (0,)),
    ],
)  # fmt: skip


def _index_add_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    x, index, src = layouts
    require_index(index, "index_add")
    if not x.ndim or src.shape != _select_shape(x, index, params[0]):
        raise ShapeError(
            f"index_add: source of shape {list(src.shape)} does not match {list(x.shape)} indexed "
            f"by {list(index.shape)} along dimension {params[0]}",
            op="index_add", argument="src", got=src.shape,
        )  # fmt: skip
    if src.dtype is not x.dtype:
        raise DTypeError(
            f"index_add: self ({x.dtype}) and source ({src.dtype}) must have the same dtype",
            op="index_add",
        )
    return layout(x.dtype, x.shape)


def _index_add(x: Array, index: Array, src: Array, axis: int) -> Any:
    index = checked(index, x.shape[axis], axis, wrap=False)
    flat = np.array(x, order="C").reshape(-1)
    inner = int(np.prod(x.shape[axis + 1 :]))
    outer = int(np.prod(x.shape[:axis]))
    # Flat positions keep NumPy on its fast path for one index array.
    rows = (np.arange(outer) * x.shape[axis])[:, None] + index.reshape(-1)
    positions = rows[:, :, None] * inner + np.arange(inner)
    put_flat(flat, positions, np.ascontiguousarray(src), "add")
    return flat.reshape(x.shape)


INDEX_ADD = primitive(
    "index_add", "scatter", lower="indexed", params=("axis",), infer=_index_add_infer,
    reference=_index_add,
    saves=("", "", "1"),
    vjp=lambda ctx, ct: (
        ct, None, index_select(ct, ctx.x[1], ctx.params[0]) if ctx.needs[2] else None
    ),
    samples=lambda: [
        Sample((_floats(5, 3), _index(4, 0, 4), _floats(3, 3)), (0,)),
        Sample((_floats(2, 5, 3), _index([1, 0], [3, 3]), _floats(2, 2, 2, 3)), (1,)),
        Sample((_floats(4), np.zeros(0, np.int32), _floats(0)), (0,)),
    ],
    errors=lambda: [
        BadCall((_floats(3), _index(3), _floats(1)), OutOfRangeError, "index 3 is out of", (0,)),
        BadCall((_floats(3), _index(0), _floats(2)), ShapeError, "does not match", (0,)),
        BadCall((_floats(3), _index(0), np.ones(1)), DTypeError, "same dtype", (0,)),
    ],
)  # fmt: skip


# ---- index and index_put: integer tensors for some of the axes (NumPy's advanced indexing)


def _index_shapes(x: Layout, indices: Sequence[Layout], axes: Shape, op: str) -> tuple[Shape, int]:
    """The common shape of the index tensors, and where it stands in the result."""
    for place in indices:
        require_index(place, op)
    if len(axes) > x.ndim or any(axis >= x.ndim for axis in axes):
        raise IndexShapeError(
            f"too many indices for tensor of dimension {x.ndim}", op=op, argument="axes", got=axes
        )
    try:
        common = broadcast_shapes(tuple(place.shape for place in indices), op)
    except ShapeError:
        listed = ", ".join(str(list(place.shape)) for place in indices)
        raise IndexShapeError(
            "shape mismatch: indexing tensors could not be broadcast together with shapes "
            + listed,
            op=op,
        ) from None
    adjacent = axes[-1] - axes[0] == len(axes) - 1
    return common, axes[0] if adjacent else 0


def _indexed_shape(x: Layout, indices: Sequence[Layout], axes: Shape, op: str) -> Shape:
    common, position = _index_shapes(x, indices, axes, op)
    kept = [extent for axis, extent in enumerate(x.shape) if axis not in axes]
    return (*kept[:position], *common, *kept[position:])


def _selection(shape: Shape, indices: Sequence[Array], axes: Shape) -> tuple[Any, ...]:
    """NumPy's index tuple, every index checked against its extent first."""
    selection: list[Any] = [slice(None)] * len(shape)
    for axis, index in zip(axes, indices, strict=True):
        selection[axis] = checked(index, shape[axis], axis, wrap=True)
    return tuple(selection)


def _index_reference(x: Array, *rest: Any) -> Any:
    *indices, axes = rest
    return x[_selection(x.shape, indices, axes)]


INDEX: Primitive = primitive(
    "index", "gather", lower="indexed", params=("axes",), reference=_index_reference,
    infer=lambda layouts, params: layout(
        layouts[0].dtype, _indexed_shape(layouts[0], layouts[1:], params[0], "index")
    ),
    saves="1+",
    vjp=lambda ctx, ct: (
        call.current.apply(
            INDEX_PUT, (zeros(ctx.layout(0).shape, ct.layout.dtype), ct, *ctx.x[1:]),
            (ctx.params[0], True),
        ),
        *([None] * (len(ctx.x) - 1)),
    ),
    samples=lambda: [
        Sample((_floats(5, 3), _index(4, -1, 0)), ((0,),)),
        Sample((_floats(4, 3, 2), _index([0], [1]), _index(1, -1, 0)), ((1, 2),)),
        Sample((_floats(4, 3, 2), _index(0, 3), _index(1, 1)), ((0, 2),)),
        Sample((_floats(4, 3), np.zeros((0, 2), np.int32)), ((1,),)),
        Sample((_floats(4, 3), np.int64(2)), ((0,),)),
    ],
    errors=lambda: [
        BadCall((_floats(3), _index(7)), OutOfRangeError,
                "index 7 is out of bounds for dimension 0 with size 3", ((0,),)),
        BadCall((_floats(3), _index(-4)), OutOfRangeError, "index -4 is out of bounds", ((0,),)),
        BadCall((_floats(3, 3), _index(0, 1), _index(0, 1, 2)), IndexShapeError,
                "could not be broadcast", ((0, 1),)),
        BadCall((_floats(3), _floats(2)), IndexTypeError, _NOT_AN_INDEX, ((0,),)),
        BadCall((_floats(3), _index(0), _index(0)), IndexShapeError, "too many indices", ((0, 1),)),
    ],
)  # fmt: skip


def _index_put_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    x, values, *indices = layouts
    shape = _indexed_shape(x, indices, params[0], "index_put")
    if values.dtype is not x.dtype:
        raise DTypeError(
            "Index put requires the source and destination dtypes match, got "
            f"{x.dtype} for the destination and {values.dtype} for the source.",
            op="index_put", argument="values", got=values.dtype,
        )  # fmt: skip
    have = values.shape
    fits = len(have) <= len(shape) and all(
        extent in (1, wanted) for extent, wanted in zip(have[::-1], shape[::-1], strict=False)
    )
    if not fits:
        raise ShapeError(
            f"shape mismatch: value tensor of shape {list(have)} cannot be broadcast to indexing "
            f"result of shape {list(shape)}",
            op="index_put", argument="values", got=have,
        )  # fmt: skip
    return layout(x.dtype, x.shape)


def _index_put_reference(x: Array, values: Array, *rest: Any) -> Any:
    *indices, axes, accumulate = rest
    selection = _selection(x.shape, indices, axes)
    result = np.array(x, order="C")
    if not accumulate:
        result[selection] = values
        return result
    flat = result.reshape(-1)
    positions = np.arange(flat.size, dtype=np.intp).reshape(x.shape)[selection]
    put_flat(flat, positions, np.broadcast_to(values, positions.shape), "add")
    return result


def _index_put_vjp(ctx: Any, ct: Any) -> Any:
    indices = ctx.x[2:]
    axes, accumulate = ctx.params
    dx = dvalues = None
    if ctx.needs[0]:
        dx = ct
        if not accumulate:
            zero = constant(0, ct.layout.dtype)
            dx = call.current.apply(INDEX_PUT, (ct, zero, *indices), (axes, False))
    if ctx.needs[1]:
        read = call.current.apply(INDEX, (ct, *indices), (axes,))
        dvalues = sum_to(read, ctx.layout(1).shape)
    return dx, dvalues, *([None] * len(indices))


INDEX_PUT: Primitive = primitive(
    "index_put", "scatter", lower="indexed", params=("axes", "accumulate"), infer=_index_put_infer,
    reference=_index_put_reference, vjp=_index_put_vjp, saves="2+",
    samples=lambda: [
        Sample((_floats(5, 3), _floats(3), _index(4, -2, 0)), ((0,), False)),
        Sample((_floats(5, 3), _floats(3, 3), _index(4, -1, 0)), ((0,), True)),
        Sample(
            (_floats(4, 3, 2), _floats(2, 1), _index([0], [1]), _index(1, -1, 0)), ((1, 2), True)
        ),
        Sample((_floats(4, 3, 2), _floats(2, 3), _index(0, 3), _index(1, 1)), ((0, 2), False)),
        Sample((_floats(4), _floats(), np.zeros(0, np.int32)), ((0,), True)),
    ],
    errors=lambda: [
        BadCall((_floats(3), _floats(), _index(7)), OutOfRangeError, "index 7 is", ((0,), False)),
        BadCall((_floats(3), _floats(3), _index(1, 2)), ShapeError, "cannot be broadcast",
                ((0,), False)),
        BadCall((_floats(3), np.float64(1), _index(1)), DTypeError, "dtypes match", ((0,), False)),
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


def index_select(x: Tensor, index: Tensor, axis: int) -> Tensor:
    """The slices of ``x`` along ``axis`` that ``index`` names: an embedding's forward.

    The axes of ``index``, any number of them, stand where ``axis`` was.
    """
    return call.current.apply2(INDEX_SELECT, x, index, (axis,))


def index_add(x: Tensor, index: Tensor, src: Tensor, axis: int) -> Tensor:
    """``x`` with the slices of ``src`` added where ``index`` names: the adjoint of index_select."""
    return call.current.apply(INDEX_ADD, (x, index, src), (axis,))


Indices = Sequence["Tensor | None"]


def integer_indices(x: Layout, indices: Indices) -> tuple[tuple[Tensor, ...], Shape]:
    """Index tensors and the axes they index, with masks (bool, uint8) replaced by their positions.

    One entry of ``indices`` per axis of ``x``, None for a whole axis; a mask stands for as many
    axes as it has. What :data:`INDEX` and :data:`INDEX_PUT` take, for callers that change in place.
    """
    tensors: list[Tensor] = []
    axes: list[int] = []
    axis = 0
    for entry in indices:
        if entry is None:
            axis += 1
            continue
        place = entry.layout
        if place.dtype is not bool_ and place.dtype is not uint8:
            tensors.append(entry)
            axes.append(axis)
            axis += 1
            continue
        if place.shape != x.shape[axis : axis + place.ndim]:
            raise IndexShapeError(
                f"The shape of the mask {list(place.shape)} at index {len(axes)} does not match "
                f"the shape of the indexed tensor {list(x.shape)} at index {axis}",
                op="index", argument="mask", got=place.shape,
            )  # fmt: skip
        for column in np.nonzero(concrete(entry, "indexing by a mask")):
            tensors.append(copy_array(column, entry.result_type, int64))
            axes.append(axis)
            axis += 1
    if axis > x.ndim:
        raise IndexShapeError(f"too many indices for tensor of dimension {x.ndim}", op="index")
    return tuple(tensors), tuple(axes)


def index(x: Tensor, indices: Indices) -> Tensor:
    """``x[indices]``: integer tensors broadcast together, masks, None for a whole axis.

    The axes of the result follow NumPy: those of the indices stand where the indexed axes were when
    these are neighbours, else first.
    """
    tensors, axes = integer_indices(x.layout, indices)
    if not axes:
        return x
    return call.current.apply(INDEX, (x, *tensors), (axes,))


def index_put(x: Tensor, indices: Indices, values: Tensor, accumulate: bool = False) -> Tensor:
    """``x`` with ``x[indices]`` replaced by ``values`` (broadcast), or increased by them.

    One mask over the leading axes and a single value make an elementwise choice, which can be
    traced.
    """
    only = indices[0] if len(indices) == 1 else None
    if (
        only is not None
        and values.layout.ndim == 0
        and only.layout.dtype is bool_
        and only.layout.shape == x.layout.shape[: only.layout.ndim]
    ):
        trailing = x.layout.ndim - only.layout.ndim
        mask = reshape(only, (*only.layout.shape, *([1] * trailing)))
        return where(mask, add(x, values) if accumulate else values, x, x.layout.dtype)
    tensors, axes = integer_indices(x.layout, indices)
    if not axes:
        filled = broadcast_to(values, x.layout.shape)
        return add(x, filled) if accumulate else filled
    return call.current.apply(INDEX_PUT, (x, values, *tensors), (axes, accumulate))


def take(x: Tensor, index_: Tensor) -> Tensor:
    """Elements of ``x`` by their position in row-major order; negative ones count from the end."""
    return index(reshape(x, (x.layout.size,)), (index_,))


def nonzero(x: Tensor) -> Tensor:
    """The positions of the nonzero elements, one row each (int64). Not while tracing."""
    found = np.argwhere(concrete(x, "nonzero") != 0)
    return copy_array(found, x.result_type, int64)


def masked_fill(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``value`` (a number or a 0-d tensor) where the mask holds, else ``x``; both broadcast."""
    dtype = x.layout.dtype
    if not isinstance(value, Tensor):
        value = constant(value, dtype)
    return where(mask, value, x, dtype)


def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    """The elements of ``x`` where the mask holds, both broadcast, in one row. Not while tracing."""
    shape = broadcast_shapes((x.layout.shape, mask.layout.shape), "masked_select")
    x, mask = broadcast_to(x, shape), broadcast_to(mask, shape)
    if not shape:
        x, mask = reshape(x, (1,)), reshape(mask, (1,))
    return index(x, (mask,))


def one_hot(index_: Tensor, depth: int, dtype: DType = int64) -> Tensor:
    """A new last axis of ``depth`` classes, 1 at each index; an index out of range gives zeros."""
    require_index(index_.layout, "one_hot")
    grown = reshape(index_, (*index_.layout.shape, 1))
    return cast(eq(grown, iota(depth, index_.layout.dtype)), dtype)


def repeat_interleave(x: Tensor, repeats: int | Tensor, axis: int) -> Tensor:
    """Each slice along ``axis`` repeated: a number of times, or (not while tracing) its own."""
    if isinstance(repeats, Tensor):
        counts = concrete(repeats, "repeat_interleave").reshape(-1)
        if (counts < 0).any():
            raise ArgumentError("repeats can not be negative", op="repeat_interleave")
        if counts.size not in (1, x.layout.shape[axis]):
            raise ShapeError(
                f"repeats must have the same size as input along dim, but got repeats.size(0) = "
                f"{counts.size} and input.size({axis}) = {x.layout.shape[axis]}",
                op="repeat_interleave",
            )
        positions = np.repeat(np.arange(x.layout.shape[axis]), counts)
        return index_select(x, copy_array(positions, x.result_type, int64), axis)
    if repeats < 0:
        raise ArgumentError("repeats can not be negative", op="repeat_interleave", got=repeats)
    shape = x.layout.shape
    before, after = shape[: axis + 1], shape[axis + 1 :]
    wide = broadcast_to(reshape(x, (*before, 1, *after)), (*before, repeats, *after))
    return reshape(wide, (*shape[:axis], shape[axis] * repeats, *after))


def roll(x: Tensor, shifts: Sequence[int], axes: Sequence[int]) -> Tensor:
    """``x`` with what leaves one end of an axis coming in at the other."""
    for shift, axis in zip(shifts, axes, strict=True):
        extent = x.layout.shape[axis]
        shift = shift % extent if extent else 0
        if shift:
            tail = narrow(x, axis, extent - shift, shift)
            x = concatenate((tail, narrow(x, axis, 0, extent - shift)), axis)
    return x


def iota(count: int, dtype: DType = int64) -> Tensor:
    """0 to ``count`` - 1."""
    return creation.iota((count,), 0, dtype)
