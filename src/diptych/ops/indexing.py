"""Reading and writing by index: selection along an axis, advanced indexing, masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.core import call, tape
from diptych.core.dtypes import DType, bool_, int64, uint8
from diptych.core.layout import Layout, Shape, broadcast_shapes, layout
from diptych.core.operation import BadCall, Params, Primitive, Sample
from diptych.core.tensor import Tensor, copy_array, from_array
from diptych.errors import (
    ArgumentError,
    DTypeError,
    IndexShapeError,
    IndexTypeError,
    OutOfRangeError,
    ShapeError,
)
from diptych.ops import creation
from diptych.ops.arithmetic import add
from diptych.ops.comparison import eq
from diptych.ops.families import primitive
from diptych.ops.movement import broadcast_to, concatenate, move_axis, narrow, reshape, sum_to
from diptych.ops.scatter import NOT_AN_INDEX, floats, places
from diptych.ops.scatter import SCATTER as SCATTER
from diptych.ops.scatter import SCATTER_MODES as SCATTER_MODES
from diptych.ops.scatter import TAKE_ALONG as TAKE_ALONG
from diptych.ops.scatter import checked as checked
from diptych.ops.scatter import concrete as concrete
from diptych.ops.scatter import flat_positions as flat_positions
from diptych.ops.scatter import put_flat as put_flat
from diptych.ops.scatter import require_index as require_index
from diptych.ops.scatter import scatter as scatter
from diptych.ops.scatter import take_along as take_along
from diptych.ops.scatter import zeros as zeros
from diptych.ops.select import cast, constant, where

Array = np.ndarray[Any, Any]
_MANY = 1 << 12

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
        Sample((floats(5, 3), places(4, 0, 4)), (0,)),
        Sample((floats(2, 5, 3), places([1, 0], [3, 3])), (1,)),
        Sample((floats(4), np.zeros(0, np.int32)), (0,)),
        Sample((floats(4, 2), np.int64(3)), (0,)),
    ],
    errors=lambda: [
        BadCall((floats(3), places(0, 7)), OutOfRangeError, "index 7 is out of bounds", (0,)),
        BadCall((floats(3), places(-1)), OutOfRangeError, "index -1 is out of bounds", (0,)),
        BadCall((floats(3), floats(2)), DTypeError, NOT_AN_INDEX, (0,)),
        BadCall((floats(), places(0)), ShapeError, "at least one dimension", (0,)),
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
        Sample((floats(5, 3), places(4, 0, 4), floats(3, 3)), (0,)),
        Sample((floats(2, 5, 3), places([1, 0], [3, 3]), floats(2, 2, 2, 3)), (1,)),
        Sample((floats(4), np.zeros(0, np.int32), floats(0)), (0,)),
    ],
    errors=lambda: [
        BadCall((floats(3), places(3), floats(1)), OutOfRangeError, "index 3 is out of", (0,)),
        BadCall((floats(3), places(0), floats(2)), ShapeError, "does not match", (0,)),
        BadCall((floats(3), places(0), np.ones(1)), DTypeError, "same dtype", (0,)),
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
        Sample((floats(5, 3), places(4, -1, 0)), ((0,),)),
        Sample((floats(4, 3, 2), places([0], [1]), places(1, -1, 0)), ((1, 2),)),
        Sample((floats(4, 3, 2), places(0, 3), places(1, 1)), ((0, 2),)),
        Sample((floats(4, 3), np.zeros((0, 2), np.int32)), ((1,),)),
        Sample((floats(4, 3), np.int64(2)), ((0,),)),
    ],
    errors=lambda: [
        BadCall((floats(3), places(7)), OutOfRangeError,
                "index 7 is out of bounds for dimension 0 with size 3", ((0,),)),
        BadCall((floats(3), places(-4)), OutOfRangeError, "index -4 is out of bounds", ((0,),)),
        BadCall((floats(3, 3), places(0, 1), places(0, 1, 2)), IndexShapeError,
                "could not be broadcast", ((0, 1),)),
        BadCall((floats(3), floats(2)), IndexTypeError, NOT_AN_INDEX, ((0,),)),
        BadCall((floats(3), places(0), places(0)), IndexShapeError, "too many indices", ((0, 1),)),
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
        Sample((floats(5, 3), floats(3), places(4, -2, 0)), ((0,), False)),
        Sample((floats(5, 3), floats(3, 3), places(4, -1, 0)), ((0,), True)),
        Sample(
            (floats(4, 3, 2), floats(2, 1), places([0], [1]), places(1, -1, 0)), ((1, 2), True)
        ),
        Sample((floats(4, 3, 2), floats(2, 3), places(0, 3), places(1, 1)), ((0, 2), False)),
        Sample((floats(4), floats(), np.zeros(0, np.int32)), ((0,), True)),
    ],
    errors=lambda: [
        BadCall((floats(3), floats(), places(7)), OutOfRangeError, "index 7 is", ((0,), False)),
        BadCall((floats(3), floats(3), places(1, 2)), ShapeError, "cannot be broadcast",
                ((0,), False)),
        BadCall((floats(3), np.float64(1), places(1)), DTypeError, "dtypes match", ((0,), False)),
    ],
)  # fmt: skip


# ---- the functions


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
    array = concrete(x, "nonzero")
    if array.ndim > 1 and array.size >= _MANY:
        # Positions in row-major order first, which NumPy finds quickly, then their coordinates.
        rest = np.flatnonzero(array)
        rows = np.empty((rest.size, array.ndim), np.int64)
        for axis in range(array.ndim - 1, 0, -1):
            rest, rows[:, axis] = np.divmod(rest, array.shape[axis])
        rows[:, 0] = rest
    else:
        columns = (array.reshape(1) if not array.ndim else array).nonzero()
        rows = np.empty((columns[0].size, array.ndim), np.int64)
        for axis in range(array.ndim):
            rows[:, axis] = columns[axis]
    if not rows.size:
        return copy_array(rows, x.result_type, int64)
    return from_array(rows, x.result_type)


def masked_fill(x: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``value`` (a number or a 0-d tensor) where the mask holds, else ``x``; both broadcast."""
    dtype = x.layout.dtype
    if not isinstance(value, Tensor):
        value = constant(value, dtype)
    return where(mask, value, x, dtype)


def masked(x: Tensor, mask: Tensor) -> Tensor:
    """:func:`masked_select` of one shape, off the tape."""
    chosen = concrete(x, "masked_select")[concrete(mask, "masked_select").astype(bool, copy=False)]
    return copy_array(chosen, x.result_type, x.layout.dtype)


def masked_select(x: Tensor, mask: Tensor) -> Tensor:
    """The elements of ``x`` where the mask holds, both broadcast, in one row. Not while tracing."""
    shape = broadcast_shapes((x.layout.shape, mask.layout.shape), "masked_select")
    x, mask = broadcast_to(x, shape), broadcast_to(mask, shape)
    if not shape:
        x, mask = reshape(x, (1,)), reshape(mask, (1,))
    if not (x.node is not None and tape.mode.enabled):
        # How many are chosen is in the values: a plan for each count would seldom serve twice.
        return masked(x, mask)
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
