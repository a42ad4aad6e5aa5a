"""Rearrangement: broadcast, reshape, transpose, slice as views; pad, concatenate as copies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from diptych.core import call, inplace, tape
from diptych.core.layout import (
    Layout,
    Shape,
    broadcast_strides,
    check_shape,
    layout,
    normalize_axis,
    reshape_strides,
    row_major,
)
from diptych.core.operation import BadCall, Params, Primitive, Sample
from diptych.core.tensor import Tensor
from diptych.errors import ArgumentError, AxisError, OutOfRangeError, ShapeError
from diptych.ops.families import hooks, movement, primitive
from diptych.ops.reduction import sum_
from diptych.ops.select import cast, constant, copy

View = tuple[Layout, int] | None


def _array(*shape: int) -> Any:
    size = int(np.prod(shape))
    return np.arange(size, dtype=np.float32).reshape(shape)


# ---- broadcast


def _broadcast_shape(place: Layout, params: Params) -> Shape:
    shape = check_shape(params[0], "broadcast")
    pad = len(shape) - place.ndim
    if pad < 0 or any(
        old not in (1, new) for old, new in zip(place.shape, shape[pad:], strict=True)
    ):
        raise ShapeError(
            f"The expanded size of the tensor {list(shape)} must match the existing size "
            f"{list(place.shape)} at non-singleton dimensions",
            op="broadcast", got=place.shape,
        )  # fmt: skip
    return shape


def _broadcast_view(place: Layout, params: Params) -> View:
    shape = _broadcast_shape(place, params)
    return layout(place.dtype, shape, broadcast_strides(place.shape, place.strides, shape)), 0


BROADCAST = movement(
    "broadcast", params=("shape",), shape=_broadcast_shape, view=_broadcast_view,
    reference=lambda x, shape: np.broadcast_to(x, shape),
    vjp=lambda ctx, ct: sum_to(ct, ctx.layout(0).shape),
    samples=lambda: [Sample((_array(3, 1),), ((2, 3, 4),)), Sample((_array(),), ((2, 0),))],
    errors=lambda: [BadCall((_array(3),), ShapeError, "expanded size", ((4,),))],
)  # fmt: skip


# ---- reshape


def _reshape_shape(place: Layout, params: Params) -> Shape:
    shape = check_shape(params[0], "reshape")
    size = 1
    for extent in shape:
        size *= extent
    if size != place.size:
        raise ShapeError(
            f"shape '{list(shape)}' is invalid for input of size {place.size}",
            op="reshape", got=place.shape,
        )  # fmt: skip
    return shape


def _reshape_view(place: Layout, params: Params) -> View:
    shape = _reshape_shape(place, params)
    strides = (
        row_major(shape) if place.contiguous else reshape_strides(place.shape, place.strides, shape)
    )
    return None if strides is None else (layout(place.dtype, shape, strides), 0)


RESHAPE = movement(
    "reshape", params=("shape",), shape=_reshape_shape, view=_reshape_view,
    reference=lambda x, shape: np.reshape(x, shape),
    vjp=lambda ctx, ct: reshape(ct, ctx.layout(0).shape),
    samples=lambda: [
        Sample((_array(4, 6),), ((3, 8),)), Sample((_array(0, 3),), ((3, 0, 2),)),
        Sample((_array(4, 6).T,), ((24,),)),
    ],
    errors=lambda: [BadCall((_array(4),), ShapeError, "invalid for input of size 4", ((3,),))],
)  # fmt: skip


# ---- transpose


def _permutation(place: Layout, params: Params) -> Shape:
    axes: Shape = params[0]
    if sorted(axes) != list(range(place.ndim)):
        raise ShapeError(
            op="transpose", argument="axes", got=axes,
            expected=f"a permutation of 0 to {place.ndim - 1} for shape {list(place.shape)}",
        )  # fmt: skip
    return tuple([place.shape[axis] for axis in axes])


def _transpose_view(place: Layout, params: Params) -> View:
    shape = _permutation(place, params)
    return layout(place.dtype, shape, tuple([place.strides[axis] for axis in params[0]])), 0


def _inverse(axes: Shape) -> Shape:
    inverse = [0] * len(axes)
    for position, axis in enumerate(axes):
        inverse[axis] = position
    return tuple(inverse)


TRANSPOSE = movement(
    "transpose", params=("axes",), shape=_permutation, view=_transpose_view,
    reference=lambda x, axes: np.transpose(x, axes),
    vjp=lambda ctx, ct: transpose(ct, _inverse(ctx.params[0])),
    samples=lambda: [Sample((_array(2, 3, 4),), ((2, 0, 1),)), Sample((_array(),), ((),))],
    errors=lambda: [BadCall((_array(2, 3),), ShapeError, "a permutation", ((0, 0),))],
)  # fmt: skip


# ---- slice: (start, stop, step) per axis, start and stop within the extent, step not zero


def _slice_shape(place: Layout, params: Params) -> Shape:
    limits = params[0]
    if len(limits) != place.ndim:
        raise ShapeError(
            op="slice", argument="limits", got=f"for {len(limits)} axes",
            expected=f"one (start, stop, step) for each axis of shape {list(place.shape)}",
        )  # fmt: skip
    shape = []
    for extent, (start, stop, step) in zip(place.shape, limits, strict=True):
        if step == 0:
            raise ArgumentError("slice step cannot be zero", op="slice", got=limits)
        count = len(range(start, stop, step))
        if count and not (0 <= start < extent and 0 <= start + (count - 1) * step < extent):
            raise OutOfRangeError(
                op="slice",
                argument="limits",
                got=limits,
                expected=f"indices within {list(place.shape)}",
            )
        shape.append(count)
    return tuple(shape)


def _slice_view(place: Layout, params: Params) -> View:
    shape = _slice_shape(place, params)
    offset = 0
    strides = []
    for extent, stride, (start, _, step) in zip(shape, place.strides, params[0], strict=True):
        if extent:
            offset += start * stride
        strides.append(stride * step)
    return layout(place.dtype, shape, tuple(strides)), offset


def as_slices(limits: Iterable[tuple[int, int, int]]) -> tuple[slice, ...]:
    """NumPy's slices of (start, stop, step) triples; a stop below zero means past the front."""
    return tuple(
        slice(start, stop if stop >= 0 else None, step)
        if len(range(start, stop, step))
        else slice(0, 0)
        for start, stop, step in limits
    )


def _slice_vjp(ctx: Any, ct: Any) -> Any:
    """Zeros around the cotangent, laid out as the operand is if its axes only changed places."""
    place, limits = ctx.layout(0), ctx.params[0]
    if place.contiguous:
        return unslice(ct, place.shape, limits)
    order = tuple(sorted(range(place.ndim), key=lambda axis: (-place.strides[axis], axis)))
    inside = tuple(place.shape[axis] for axis in order)
    if tuple(place.strides[axis] for axis in order) != row_major(inside):
        return unslice(ct, place.shape, limits)
    made = unslice(transpose(ct, order), inside, tuple(limits[axis] for axis in order))
    return transpose(made, tuple(order.index(axis) for axis in range(place.ndim)))


def _add_part(whole: Tensor, part: Tensor, params: Params) -> None:
    """``whole[limits] += part`` for the tape, whose own the memory is."""
    with tape.recording(False):
        tape.arithmetic.add_into(slice_(whole, params[0]), part)


SLICE = movement(
    "slice", params=("limits",), shape=_slice_shape, view=_slice_view,
    reference=lambda x, limits: x[as_slices(limits)],
    vjp=_slice_vjp,
    samples=lambda: [
        Sample((_array(5, 6),), (((1, 5, 2), (4, -1, -1)),)), Sample((_array(4),), (((2, 2, 1),),)),
    ],
    errors=lambda: [
        BadCall((_array(4),), OutOfRangeError, "within", (((2, 9, 1),),)),
        BadCall((_array(4),), ArgumentError, "step cannot be zero", (((0, 4, 0),),)),
    ],
)  # fmt: skip


tape.adders[SLICE] = _add_part


def _unslice_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    shape, limits = params
    place = layout(layouts[0].dtype, shape)
    if _slice_shape(place, (limits,)) != layouts[0].shape:
        raise ShapeError(op="unslice", argument="shape", got=layouts[0].shape, expected=f"{limits}")
    return place


def _unslice(x: Any, shape: Shape, limits: Any) -> Any:
    result = np.zeros(shape, x.dtype)
    result[as_slices(limits)] = x
    return result


UNSLICE = primitive(
    "unslice", "movement", params=("shape", "limits"), infer=_unslice_infer, reference=_unslice,
    vjp=lambda ctx, ct: slice_(ct, ctx.params[1]), lower="unslice",
    samples=lambda: [
        Sample((_array(2, 6),), ((5, 6), ((1, 5, 2), (5, -1, -1)))),
        Sample((_array(0),), ((4,), ((2, 2, 1),))),
    ],
    errors=lambda: [BadCall((_array(3),), ShapeError, "unslice", ((4,), ((0, 4, 1),)))],
)  # fmt: skip


# ---- as_strided: any view of the memory; the face has checked the bounds


def _as_strided_view(place: Layout, params: Params) -> View:
    shape, strides, offset = params
    return layout(place.dtype, shape, strides), offset


def _as_strided(x: Any, shape: Shape, strides: Shape, offset: int) -> Any:
    flat = np.ascontiguousarray(x).reshape(-1)
    return flat[strided_positions(shape, strides, offset)]


def strided_positions(shape: Shape, strides: Shape, offset: int) -> Any:
    """The position in memory (in elements) of each element of a strided view."""
    positions: Any = np.full((), offset, np.int64)
    for extent, stride in zip(shape, strides, strict=True):
        positions = positions[..., None] + np.arange(extent, dtype=np.int64) * stride
    return np.broadcast_to(positions, shape)


AS_STRIDED = movement(
    "as_strided", params=("shape", "strides", "offset"), shape=lambda place, params: params[0],
    view=_as_strided_view, reference=_as_strided,
    vjp=lambda ctx, ct: call.apply(UNSTRIDED, ct, params=(ctx.layout(0).shape, *ctx.params)),
    samples=lambda: [
        Sample((_array(12),), ((3, 2), (2, 1), 1)), Sample((_array(5),), ((3, 3), (1, 1), 0)),
    ],
    errors=lambda: [],
)  # fmt: skip


def _unstrided(x: Any, base: Shape, shape: Shape, strides: Shape, offset: int) -> Any:
    flat = np.zeros(int(np.prod(base)), x.dtype)
    np.add.at(flat, strided_positions(shape, strides, offset), x)
    return flat.reshape(base)


UNSTRIDED: Primitive = primitive(
    "unstrided", "movement", params=("base", "shape", "strides", "offset"),
    infer=lambda layouts, params: layout(layouts[0].dtype, params[0]), reference=_unstrided,
    vjp=lambda ctx, ct: call.apply(AS_STRIDED, contiguous(ct), params=ctx.params[1:]),
    samples=lambda: [Sample((_array(3, 3),), ((5,), (3, 3), (1, 1), 0))], errors=lambda: [],
)  # fmt: skip


def _put_strided(x: Any, part: Any, shape: Shape, strides: Shape, offset: int) -> Any:
    flat = np.array(x, copy=True).reshape(-1)
    flat[strided_positions(shape, strides, offset)] = part
    return flat.reshape(x.shape)


def _put_strided_vjp(ctx: Any, ct: Any) -> Any:
    ct = contiguous(ct)
    kept = part = None
    if ctx.needs[0]:
        zero = broadcast_to(constant(0, ct.layout.dtype), ctx.params[0])
        kept = call.apply(PUT_STRIDED, ct, zero, params=ctx.params)
    if ctx.needs[1]:
        part = call.apply(AS_STRIDED, ct, params=ctx.params)
    return kept, part


PUT_STRIDED: Primitive = primitive(
    "put_strided", "movement", params=("shape", "strides", "offset"),
    infer=lambda layouts, params: layout(layouts[0].dtype, layouts[0].shape),
    reference=_put_strided, vjp=_put_strided_vjp,
    samples=lambda: [Sample((_array(3, 4), _array(2, 2)), ((2, 2), (4, 2), 1))], errors=lambda: [],
)  # fmt: skip
inplace.rearrangement.as_strided = AS_STRIDED
inplace.rearrangement.put_strided = PUT_STRIDED


def contiguous(x: Tensor) -> Tensor:
    """``x`` itself when its elements lie in row-major order, else a copy that does."""
    return x if x.layout.contiguous else copy(x)


def _diagonal_shape(place: Layout, params: Params) -> Shape:
    offset, first, second = params
    if first == second or not (0 <= first < place.ndim and 0 <= second < place.ndim):
        raise AxisError(
            op="diagonal", argument="axes", got=(first, second),
            expected=f"two of the {place.ndim} axes of {list(place.shape)}",
        )  # fmt: skip
    rows, columns = place.shape[first], place.shape[second]
    count = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    kept = [extent for axis, extent in enumerate(place.shape) if axis not in (first, second)]
    return (*kept, count)


def _diagonal_view(place: Layout, params: Params) -> View:
    offset, first, second = params
    shape = _diagonal_shape(place, params)
    kept = [stride for axis, stride in enumerate(place.strides) if axis not in (first, second)]
    start = offset * place.strides[second] if offset >= 0 else -offset * place.strides[first]
    strides = (*kept, place.strides[first] + place.strides[second])
    return layout(place.dtype, shape, strides), start if shape[-1] else 0


DIAGONAL = movement(
    "diagonal", params=("offset", "axis1", "axis2"), shape=_diagonal_shape, view=_diagonal_view,
    reference=lambda x, offset, first, second: np.diagonal(x, offset, first, second),
    vjp=lambda ctx, ct: call.apply(UNDIAGONAL, ct, params=(ctx.layout(0).shape, *ctx.params)),
    samples=lambda: [
        Sample((_array(3, 4),), (1, 0, 1)), Sample((_array(2, 3, 4),), (-1, 2, 0)),
        Sample((_array(2, 2),), (5, 0, 1)),
    ],
    errors=lambda: [
        BadCall((_array(3),), AxisError, "two of the 1 axes", (0, 0, 1)),
        BadCall((_array(3),), AxisError, "two of the 1 axes", (0, -2, -1)),
        BadCall((_array(3, 3),), AxisError, "two of the 2 axes", (0, 1, 1)),
    ],
)  # fmt: skip


def _undiagonal(x: Any, shape: Shape, offset: int, first: int, second: int) -> Any:
    result = np.zeros(shape, x.dtype)
    count = x.shape[-1]
    rows = np.arange(count) + max(-offset, 0)
    columns = np.arange(count) + max(offset, 0)
    moved = np.moveaxis(result, (first, second), (-2, -1))
    moved[..., rows, columns] = x
    return result


UNDIAGONAL: Primitive = primitive(
    "undiagonal", "movement", params=("shape", "offset", "axis1", "axis2"),
    infer=lambda layouts, params: layout(layouts[0].dtype, params[0]), reference=_undiagonal,
    vjp=lambda ctx, ct: diagonal(ct, *ctx.params[1:]),
    samples=lambda: [Sample((_array(3),), ((3, 4), 1, 0, 1))], errors=lambda: [],
)  # fmt: skip


# ---- pad with a constant: (before, after) per axis, not negative


def _pad_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    widths = params[0]
    place = layouts[0]
    if len(widths) != place.ndim or any(before < 0 or after < 0 for before, after in widths):
        raise ShapeError(
            op="pad", argument="widths", got=widths, expected="(before, after) >= 0 for each axis"
        )
    pairs = zip(place.shape, widths, strict=True)
    return layout(
        place.dtype, check_shape([n + before + after for n, (before, after) in pairs], "pad")
    )


PAD = primitive(
    "pad", "movement", params=("widths",), infer=_pad_infer, lower="pad",
    reference=lambda x, value, widths: np.pad(x, widths, constant_values=np.asarray(value)[()]),
    vjp=lambda ctx, ct: (_unpad(ctx, ct), sum_(sub_pad(ctx, ct)) if ctx.needs[1] else None),
    samples=lambda: [Sample((_array(2, 3), np.float32(7)), (((1, 0), (2, 3)),))],
    errors=lambda: [BadCall((_array(2), np.float32(0)), ShapeError, "widths", (((-1, 0),),))],
)  # fmt: skip


def _unpad(ctx: Any, ct: Any) -> Tensor:
    shape = ctx.layout(0).shape
    limits = [(b, b + n, 1) for (b, _), n in zip(ctx.params[0], shape, strict=True)]
    return slice_(ct, tuple(limits))


def sub_pad(ctx: Any, ct: Any) -> Tensor:
    """The cotangent with the part that came from the padded tensor set to zero."""
    inside = constant(0, ct.layout.dtype)
    shape = ctx.layout(0).shape
    limits = tuple((b, b + n, 1) for (b, _), n in zip(ctx.params[0], shape, strict=True))
    return call.apply(PUT_SLICE, ct, broadcast_to(inside, shape), params=(limits,))


def _put_slice(x: Any, part: Any, limits: Any) -> Any:
    result = x.copy()
    result[as_slices(limits)] = part
    return result


def _put_slice_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    if _slice_shape(layouts[0], params) != layouts[1].shape:
        raise ShapeError(
            op="put_slice", argument="part", got=layouts[1].shape, expected=f"{params[0]}"
        )
    return layout(layouts[0].dtype, layouts[0].shape)


def _put_slice_vjp(ctx: Any, ct: Any) -> Any:
    zero = broadcast_to(constant(0, ct.layout.dtype), ctx.layout(1).shape)
    kept = call.apply(PUT_SLICE, ct, zero, params=ctx.params) if ctx.needs[0] else None
    return kept, slice_(ct, ctx.params[0]) if ctx.needs[1] else None


PUT_SLICE = primitive(
    "put_slice", "movement", params=("limits",), infer=_put_slice_infer, reference=_put_slice,
    vjp=_put_slice_vjp, lower="put_slice",
    samples=lambda: [Sample((_array(4, 5), _array(2, 5)), (((1, 4, 2), (0, 5, 1)),))],
    errors=lambda: [BadCall((_array(4), _array(3)), ShapeError, "part", (((0, 2, 1),),))],
)  # fmt: skip


# ---- concatenate


def _concatenate_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    axis = params[0]
    first = layouts[0]
    total = 0
    for index, place in enumerate(layouts):
        same = place.ndim == first.ndim and all(
            a == b or k == axis
            for k, (a, b) in enumerate(zip(place.shape, first.shape, strict=False))
        )
        if not same:
            raise ShapeError(
                f"Sizes of tensors must match except in dimension {axis}. Expected size "
                f"{list(first.shape)} but got size {list(place.shape)} for tensor number {index} "
                "in the list.",
                op="concatenate", got=place.shape,
            )  # fmt: skip
        total += place.shape[axis]
    return layout(first.dtype, (*first.shape[:axis], total, *first.shape[axis + 1 :]))


def _concatenate_vjp(ctx: Any, ct: Any) -> Any:
    axis = ctx.params[0]
    position = 0
    parts = []
    for index, need in enumerate(ctx.needs):
        extent = ctx.layout(index).shape[axis]
        parts.append(narrow(ct, axis, position, extent) if need else None)
        position += extent
    return tuple(parts)


CONCATENATE = primitive(
    "concatenate", "movement", params=("axis",), infer=_concatenate_infer, lower="concatenate",
    reference=lambda *arrays: np.concatenate(arrays[:-1], arrays[-1]), vjp=_concatenate_vjp,
    samples=lambda: [
        Sample((_array(2, 3), _array(4, 3)), (0,)), Sample((_array(2, 3), _array(2, 0)), (1,)),
        Sample((_array(2), _array(1), _array(3)), (0,)),
    ],
    errors=lambda: [
        BadCall((_array(2, 3), _array(2, 4)), ShapeError, "except in dimension 0", (0,))
    ],
)  # fmt: skip


# ---- the functions


def broadcast_to(x: Tensor, shape: Shape) -> Tensor:
    """A view of ``x`` repeated along new axes and axes of extent 1."""
    if x.layout.shape == shape:
        return x
    return call.current.apply1(BROADCAST, x, (shape,))


def reshape(x: Tensor, shape: Shape) -> Tensor:
    """The elements in row-major order under another shape: a view where strides allow."""
    if x.layout.shape == shape:
        return x
    return call.current.apply1(RESHAPE, x, (shape,))


def transpose(x: Tensor, axes: Shape) -> Tensor:
    """A view with the axes in another order; they are counted from the front."""
    return call.current.apply1(TRANSPOSE, x, (axes,))


def swap_axes(x: Tensor, first: int, second: int) -> Tensor:
    """A view with two axes exchanged; negative axes count from the back."""
    ndim = x.layout.ndim
    first, second = (
        normalize_axis(first, ndim, "transpose"),
        normalize_axis(second, ndim, "transpose"),
    )
    axes = list(range(ndim))
    if ndim:
        axes[first], axes[second] = axes[second], axes[first]
    return transpose(x, tuple(axes))


def move_axis(x: Tensor, source: int, target: int) -> Tensor:
    """A view with one axis moved to another place."""
    if source == target:
        return x
    axes = [axis for axis in range(x.layout.ndim) if axis != source]
    axes.insert(target, source)
    return transpose(x, tuple(axes))


def slice_(x: Tensor, limits: tuple[tuple[int, int, int], ...]) -> Tensor:
    """A view of (start, stop, step) along each axis."""
    return call.current.apply1(SLICE, x, (limits,))


def narrow(x: Tensor, axis: int, start: int, length: int) -> Tensor:
    """A view of ``length`` entries of one axis from ``start``."""
    limits = [(0, extent, 1) for extent in x.layout.shape]
    limits[axis] = (start, start + length, 1)
    return slice_(x, tuple(limits))


def flip(x: Tensor, axes: Shape) -> Tensor:
    """A view with some axes reversed."""
    limits = [
        (extent - 1, -1, -1) if axis in axes else (0, extent, 1)
        for axis, extent in enumerate(x.layout.shape)
    ]
    return slice_(x, tuple(limits))


def unslice(x: Tensor, shape: Shape, limits: tuple[tuple[int, int, int], ...]) -> Tensor:
    """Zeros of ``shape`` with ``x`` where ``slice_(…, limits)`` would read."""
    return call.current.apply1(UNSLICE, x, (shape, limits))


def put_slice(x: Tensor, part: Tensor, limits: tuple[tuple[int, int, int], ...]) -> Tensor:
    """A copy of ``x`` with ``part`` where ``slice_(…, limits)`` would read."""
    return call.current.apply2(PUT_SLICE, x, part, (limits,))


def as_strided(x: Tensor, shape: Shape, strides: Shape, offset: int) -> Tensor:
    """Any strided view from element zero; the caller has checked that it stays in the buffer."""
    return call.current.apply1(AS_STRIDED, x, (shape, strides, offset))


def diagonal(x: Tensor, offset: int = 0, first: int = 0, second: int = 1) -> Tensor:
    """A view of a diagonal, as the last axis."""
    return call.current.apply1(DIAGONAL, x, (offset, first, second))


def expand_axis(x: Tensor, axis: int, count: int = 1) -> Tensor:
    """A view with ``count`` new axes of extent 1 before ``axis``."""
    shape = x.layout.shape
    return reshape(x, (*shape[:axis], *([1] * count), *shape[axis:]))


def squeeze_axes(x: Tensor, axes: Shape) -> Tensor:
    """A view without these axes of extent 1."""
    return reshape(x, tuple(n for axis, n in enumerate(x.layout.shape) if axis not in axes))


def pad(x: Tensor, widths: tuple[tuple[int, int], ...], value: Any = 0) -> Tensor:
    """``x`` inside a border of ``value``, (before, after) wide along each axis."""
    fill = (
        cast(value, x.layout.dtype)
        if isinstance(value, Tensor)
        else constant(value, x.layout.dtype)
    )
    return call.current.apply2(PAD, x, fill, (widths,))


def concatenate(tensors: Any, axis: int) -> Tensor:
    """Tensors of one dtype joined along an axis (counted from the front)."""
    tensors = tuple(tensors)
    if not tensors:
        raise ArgumentError("concatenate: expected a non-empty list of Tensors")
    return call.current.apply(CONCATENATE, tensors, (axis,))


def sum_to(x: Tensor, shape: Shape) -> Tensor:
    """``x`` summed over the axes along which ``shape`` was broadcast: broadcast's adjoint."""
    have = x.layout.shape
    if have == shape:
        return x
    pad_count = len(have) - len(shape)
    axes = tuple(
        axis for axis, extent in enumerate(have)
        if axis < pad_count or (shape[axis - pad_count] == 1 and extent != 1)
    )  # fmt: skip
    return reshape(sum_(x, axes) if axes else x, shape)


hooks.sum_to = sum_to
hooks.reshape = reshape
hooks.broadcast_to = broadcast_to
hooks.move_axis = move_axis
hooks.expand_axis = expand_axis
