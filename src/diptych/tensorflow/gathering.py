"""Indexing: ``x[...]``, gather and scatter, masks, and choosing by a condition."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.core import dtypes
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import copy_array
from diptych.errors import DiptychError, ShapeError
from diptych.ops import indexing, movement, select
from diptych.ops.select import cast
from diptych.tensorflow import elementwise as table
from diptych.tensorflow import errors
from diptych.tensorflow.conversion import (
    filled,
    integer,
    integers,
    python_scalar,
    shape_argument,
    tensor_as,
    tensor_of,
)
from diptych.tensorflow.errors import dims, invalid
from diptych.tensorflow.tensor import EagerTensor
from diptych.tensorflow.tensor_shape import TensorShape

INDICES = (dtypes.int16, dtypes.int32, dtypes.int64)
_OP = "StridedSlice"


class Region:
    """What an index picks: a slice of every axis, and the shape of the result."""

    __slots__ = ("limits", "shape")

    def __init__(self, limits: tuple[tuple[int, int, int], ...], shape: tuple[int, ...]) -> None:
        self.limits = limits
        self.shape = shape


def region_of(extents: tuple[int, ...], key: Any) -> Region:
    """The region that ``x[key]`` means, for a key of ints, slices, None and one ellipsis."""
    keys = list(key) if isinstance(key, (tuple, list)) else [key]
    ellipses = [position for position, item in enumerate(keys) if item is Ellipsis]
    if len(ellipses) > 1:
        raise _refused("Multiple ellipses in slice spec not allowed")
    given = sum(item is not None and item is not Ellipsis for item in keys)
    if given > len(extents):
        if not extents:
            raise _refused("Attempting to slice scalar input.")
        raise _refused(
            f"Index out of range using input dim {len(extents)}; input has only {len(extents)} dims"
        )
    rest = [slice(None)] * (len(extents) - given)
    if ellipses:
        keys[ellipses[0] : ellipses[0] + 1] = rest
    else:
        keys += rest
    limits: list[tuple[int, int, int]] = []
    shape: list[int] = []
    for item in keys:
        if item is None:
            shape.append(1)
            continue
        axis = len(limits)
        extent = extents[axis]
        if isinstance(item, slice):
            limit = _limit(item, extent, axis)
            shape.append(len(range(*limit)))
        else:
            position = _position(item)
            wrapped = position + extent if position < 0 else position
            if not 0 <= wrapped < extent:
                named = wrapped if position < 0 else position
                raise _refused(f"slice index {named} of dimension {axis} out of bounds.")
            limit = (wrapped, wrapped + 1, 1)
        limits.append(limit)
    return Region(tuple(limits), tuple(shape))


def _refused(message: str) -> errors.OpError:
    return errors.invalid(_OP, message, "strided_slice/")


def _limit(item: slice, extent: int, axis: int) -> tuple[int, int, int]:
    """A slice's start, stop and step within an extent."""
    step = 1 if item.step is None else _position(item.step)
    if step == 0:
        raise _refused(f"strides[{axis}] must be non-zero")
    start = None if item.start is None else _position(item.start)
    stop = None if item.stop is None else _position(item.stop)
    return slice(start, stop, step).indices(extent)


def _position(item: Any) -> int:
    """An index as an int; TypeError in TensorFlow's words for what is none."""
    if type(item) is int:
        return item
    ok = isinstance(item, (int, np.integer)) and not isinstance(item, (bool, np.bool_))
    if isinstance(item, CoreTensor) and not item.layout.ndim:
        ok = item.layout.dtype.is_integer
    elif isinstance(item, np.ndarray) and not item.ndim:
        ok = item.dtype.kind in "iu"
    if not ok:
        raise TypeError(
            "Only integers, slices (`:`), ellipsis (`...`), tf.newaxis (`None`) and scalar "
            f"tf.int32/tf.int64 tensors are valid indices, got {item!r}"
        )
    return int(tensor_of(item).values() if isinstance(item, CoreTensor) else item)


def getitem(x: Any, key: Any) -> Any:
    """``x[key]``."""
    if type(key) is int:
        extents = x.layout.shape
        if extents and -extents[0] <= key < extents[0]:
            start = key + extents[0] if key < 0 else key
            return movement.reshape(movement.narrow(x, 0, start, 1), extents[1:])
    if isinstance(key, (bool, np.bool_)) or (
        isinstance(key, (CoreTensor, np.ndarray)) and is_mask(key)
    ):
        return boolean_mask(x, key)
    region = region_of(x.layout.shape, key)
    return movement.reshape(slice_view(x, region.limits), region.shape)


def is_mask(key: Any) -> bool:
    """Whether an index is a tensor or array of truth values."""
    if isinstance(key, CoreTensor):
        return key.layout.dtype is dtypes.bool_
    return bool(key.dtype == np.bool_)


def slice_view(x: Any, limits: tuple[tuple[int, int, int], ...]) -> Any:
    """Slices with steps, negative ones too."""
    extents = x.layout.shape
    if all(limit == (0, extent, 1) for limit, extent in zip(limits, extents, strict=True)):
        return x
    flipped = tuple(axis for axis, (_, _, step) in enumerate(limits) if step < 0)
    if flipped:
        forward = []
        for start, stop, step in limits:
            if step < 0:
                count = len(range(start, stop, step))
                low = start + (count - 1) * step if count else 0
                forward.append((low, start + 1 if count else 0, -step))
            else:
                forward.append((start, max(start, stop), step))
        return movement.flip(movement.slice_(x, tuple(forward)), flipped)
    return movement.slice_(x, tuple([(a, max(a, b), c) for a, b, c in limits]))


def strided_slice(
    input_: Any, begin: Any, end: Any, strides: Any = None, begin_mask: int = 0, end_mask: int = 0,
    ellipsis_mask: int = 0, new_axis_mask: int = 0, shrink_axis_mask: int = 0, var: Any = None,
    name: Any = None,
) -> Any:  # fmt: skip
    """Slices given as lists of starts, stops and steps, with masks of what to make of each."""
    starts, stops = integers(begin), integers(end)
    steps = [1] * len(starts) if strides is None else integers(strides)
    keys: list[Any] = []
    for position, (start, stop, step) in enumerate(zip(starts, stops, steps, strict=True)):
        bit = 1 << position
        if ellipsis_mask & bit:
            keys.append(Ellipsis)
        elif new_axis_mask & bit:
            keys.append(None)
        elif shrink_axis_mask & bit:
            keys.append(start)
        else:
            keys.append(
                slice(None if begin_mask & bit else start, None if end_mask & bit else stop, step)
            )
    return getitem(tensor_of(input_), tuple(keys))


def slice_(input_: Any, begin: Any, size: Any, name: Any = None) -> Any:
    """A box: its lowest corner and its extents, -1 for all that is left."""
    x = tensor_of(input_)
    starts, sizes = integers(begin), integers(size)
    extents = x.layout.shape
    if len(starts) != len(extents) or len(sizes) != len(extents):
        raise invalid(
            "Slice",
            "Expected begin and size arguments to be 1-D tensors of size "
            f"{len(extents)}, but got shapes [{len(starts)}] and [{len(sizes)}] instead.",
        )
    limits = []
    for axis, (start, count, extent) in enumerate(zip(starts, sizes, extents, strict=True)):
        if not 0 <= start <= extent:
            raise invalid("Slice", f"Expected begin[{axis}] in [0, {extent}], but got {start}")
        count = extent - start if count == -1 else count
        if not 0 <= count <= extent - start:
            raise invalid(
                "Slice", f"Expected size[{axis}] in [0, {extent - start}], but got {count}"
            )
        limits.append((start, start + count, 1))
    return movement.slice_(x, tuple(limits))


# ---- gather


def index_tensor(indices: Any, op: str) -> Any:
    """Indices as an int64 tensor."""
    index = tensor_of(indices)
    if index.layout.dtype not in INDICES:
        raise table.not_allowed(op, index.layout.dtype, INDICES, attribute="Tindices")
    return cast(index, dtypes.int64)


def check_range(index: Any, extent: int, op: str) -> None:
    """InvalidArgumentError naming the first index outside 0 to ``extent`` - 1."""
    values = index.array()
    bad = (values < 0) | (values >= extent)
    if bad.any():
        first = np.unravel_index(int(np.argmax(bad)), values.shape)
        where_ = "".join(f"[{','.join(map(str, first))}]" if first else "")
        raise invalid(op, f"indices{where_} = {values[first]} is not in [0, {extent})")


def gather(
    params: Any, indices: Any, validate_indices: Any = None, axis: Any = None, batch_dims: Any = 0,
    name: Any = None,
) -> Any:  # fmt: skip
    """The slices along an axis that the indices name."""
    x = tensor_of(params)
    index = index_tensor(indices, "GatherV2")
    ndim = x.layout.ndim
    batch = integer(python_scalar(batch_dims))
    batch = batch + index.layout.ndim if batch < 0 else batch
    along = batch if axis is None else integer(python_scalar(axis))
    if not -ndim <= along < ndim:
        raise invalid("GatherV2", f"Expected axis in the range [{-ndim}, {ndim}), but got {along}")
    along %= ndim
    check_range(index, x.layout.shape[along], "GatherV2")
    if not batch:
        return indexing.index_select(x, index, along)
    return _batch_gather(x, index, along, batch)


def _batch_gather(x: Any, index: Any, axis: int, batch: int) -> Any:
    """A gather whose leading axes go together in both operands."""
    extents, wanted = x.layout.shape, index.layout.shape
    if extents[:batch] != wanted[:batch] or axis < batch:
        raise invalid(
            "GatherV2",
            f"batch_dims = {batch} needs equal leading extents, and an axis after them; got params "
            f"{dims(extents)}, indices {dims(wanted)}, axis {axis}",
        )
    count = math.prod(extents[:batch])
    between, after = extents[batch:axis], extents[axis + 1 :]
    # (batch, between, axis, after) -> rows of (batch * axis), so that one index picks both.
    moved = movement.move_axis(x, axis, batch)
    flat = movement.reshape(moved, (count * extents[axis], *between, *after))
    offset = copy_array(np.arange(count) * extents[axis], EagerTensor, dtypes.int64)
    inner = movement.reshape(index, (count, math.prod(wanted[batch:])))
    rows = table.add(inner, movement.reshape(offset, (count, 1)))
    picked = indexing.index_select(flat, movement.reshape(rows, wanted), 0)
    # (batch, indices, between, after) -> (batch, between, indices, after)
    order = [*range(batch)]
    first = len(wanted)
    order += [*range(first, first + len(between)), *range(batch, first)]
    order += [*range(first + len(between), picked.layout.ndim)]
    return movement.transpose(picked, tuple(order))


def nd_columns(index: Any, extents: tuple[int, ...], op: str, wording: str) -> list[Any]:
    """The columns of an index matrix (its last axis names axes of the tensor), checked."""
    depth = index.layout.shape[-1]
    if depth > len(extents):
        raise invalid(
            op,
            f"index innermost dimension length must be <= params rank; saw: {depth} vs. "
            f"{len(extents)}",
        )
    values = index.array().reshape(-1, depth)
    bad = ((values < 0) | (values >= np.array(extents[:depth], np.int64))).any(axis=1)
    if bad.any():
        row = int(np.argmax(bad))
        listed = ", ".join(map(str, values[row]))
        raise invalid(
            op, f"indices[{row}] = [{listed}] does not index into {wording} {dims(extents)}"
        )
    last = index.layout.ndim - 1
    outer = index.layout.shape[:-1]
    return [movement.reshape(movement.narrow(index, last, k, 1), outer) for k in range(depth)]


def gather_nd(params: Any, indices: Any, batch_dims: int = 0, name: Any = None) -> Any:
    """The elements or slices that rows of indices name."""
    if batch_dims:
        raise NotImplementedError("tf.gather_nd with batch_dims is not there yet")
    x = tensor_of(params)
    index = index_tensor(indices, "GatherNd")
    columns = nd_columns(index, x.layout.shape, "GatherNd", "param shape")
    if not columns:
        return movement.broadcast_to(x, (*index.layout.shape[:-1], *x.layout.shape))
    return indexing.index(x, columns)


# ---- scatter


def _scattered(base: Any, indices: Any, updates: Any, op: str, accumulate: bool) -> Any:
    x = tensor_of(base)
    index = index_tensor(indices, op)
    values = tensor_as(updates, x.layout.dtype)
    columns = nd_columns(index, x.layout.shape, op, "shape")
    wanted = (*index.layout.shape[:-1], *x.layout.shape[len(columns) :])
    if values.layout.shape != wanted:
        raise invalid(
            op,
            f"Dimensions [0,{index.layout.ndim - 1}) of indices[shape={dims(index.layout.shape)}] "
            f"must match dimensions [0,{index.layout.ndim - 1}) of updates[shape="
            f"{dims(values.layout.shape)}]",
        )
    return indexing.index_put(x, columns, values, accumulate)


def tensor_scatter_nd_update(tensor: Any, indices: Any, updates: Any, name: Any = None) -> Any:
    """The tensor with the named elements or slices replaced."""
    return _scattered(tensor, indices, updates, "TensorScatterUpdate", accumulate=False)


def tensor_scatter_nd_add(tensor: Any, indices: Any, updates: Any, name: Any = None) -> Any:
    """The tensor with updates added at the named elements or slices."""
    return _scattered(tensor, indices, updates, "TensorScatterAdd", accumulate=True)


def tensor_scatter_nd_sub(tensor: Any, indices: Any, updates: Any, name: Any = None) -> Any:
    """The tensor with updates taken away at the named elements or slices."""
    x = tensor_of(tensor)
    return _scattered(
        x, indices, table.negative(tensor_as(updates, x.layout.dtype)), "TensorScatterSub", True
    )


def scatter_nd(indices: Any, updates: Any, shape: Any, name: Any = None) -> Any:
    """Zeros with updates added at the named elements or slices."""
    values = tensor_of(updates)
    base = filled(shape_argument(shape, "ScatterNd"), 0, values.layout.dtype)
    return _scattered(base, indices, values, "ScatterNd", accumulate=True)


# ---- masks and conditions


def boolean_mask(tensor: Any, mask: Any, axis: Any = None, name: str = "boolean_mask") -> Any:
    """The elements (or slices) where a mask holds."""
    x = tensor_of(tensor)
    chosen = tensor_of(mask) if isinstance(mask, CoreTensor) else tensor_as(mask, dtypes.bool_)
    if not chosen.layout.ndim:
        raise ValueError("mask cannot be scalar.")
    first = 0 if axis is None else integer(python_scalar(axis))
    first = first + x.layout.ndim if first < 0 else first
    covered = x.layout.shape[first : first + chosen.layout.ndim]
    if covered != chosen.layout.shape:
        raise ValueError(
            f"Shapes {TensorShape(covered)} and {TensorShape(chosen.layout.shape)} are incompatible"
        )
    return indexing.index(x, [*[None] * first, chosen])


def where(condition: Any, x: Any = None, y: Any = None, name: Any = None) -> Any:
    """x where the condition holds, else y; without them, where it holds."""
    chosen = (
        tensor_of(condition)
        if isinstance(condition, CoreTensor)
        else tensor_as(condition, dtypes.bool_)
        if x is not None
        else tensor_of(condition)
    )
    if x is None and y is None:
        return indexing.nonzero(chosen)
    if x is None or y is None:
        raise ValueError("x and y must both be non-None or both be None.")
    if chosen.layout.dtype is not dtypes.bool_:
        raise table.mismatch("SelectV2", 0, dtypes.bool_, chosen.layout.dtype)
    a, b = table.operands(x, y, strict=True)
    if a.layout.dtype is not b.layout.dtype:
        raise table.mismatch("SelectV2", 2, a.layout.dtype, b.layout.dtype)
    try:
        return select.where(chosen, a, b)
    except ShapeError:
        shapes = ", ".join(dims(t.layout.shape) for t in (chosen, a, b))
        raise invalid(
            "SelectV2",
            "condition, then, and else must be broadcastable. They have shapes " + shapes,
        ) from None
    except DiptychError as error:
        raise errors.translated(error, "SelectV2") from error
