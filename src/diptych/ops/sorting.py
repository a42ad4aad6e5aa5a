"""Order along an axis: sort, topk, order statistics, mode; unique values, counts, binary search."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from diptych.core import call, dtypes
from diptych.core.dtypes import REAL, bool_, int64
from diptych.core.layout import Layout, Shape, layout
from diptych.core.operation import (
    BadCall,
    Composite,
    NoBatching,
    NotDifferentiable,
    Params,
    Primitive,
    Sample,
    Tolerance,
)
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import ArgumentError, AxisError, DTypeError, ShapeError
from diptych.ops.families import primitive
from diptych.ops.indexing import concrete, scatter, take_along, zeros
from diptych.ops.movement import reshape
from diptych.ops.reduction import argmax, argmin
from diptych.ops.scan import along_axis_batch, axis_samples, require_axis

Array = np.ndarray[Any, Any]
EXACT = Tolerance({"float32": 0.0, "float64": 0.0, "float16": 0.0, "bfloat16": 0.0})


def _require_order(place: Layout, axis: int, op: str) -> None:
    require_axis(place, axis, op)
    if place.dtype not in REAL and place.dtype is not bool_:
        raise DTypeError(f"\"{op}\" not implemented for '{place.dtype}'", op=op, got=place.dtype)


def _order(x: Array, axis: int, descending: bool) -> Any:
    """Positions that sort ``x`` stably; NaN counts as the greatest value."""
    if not descending:
        return np.argsort(x, axis=axis, kind="stable")
    # Reversed twice, equal elements keep their order.
    backwards = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(backwards, axis)


def _scattered(ctx: Any, ct: Tensor, axis: int) -> Tensor:
    """A cotangent of chosen elements, back at the positions they were chosen from."""
    place = ctx.layout(0)
    if not place.ndim:
        return reshape(ct, ())
    return scatter(zeros(place.shape, ct.layout.dtype), ctx.y[1], ct, axis, "set")


def _pair_batch(
    op: Primitive, operands: tuple[Any, ...], axes: tuple[int | None, ...], params: Params
) -> tuple[Any, tuple[int, int]]:
    result, axis = along_axis_batch(op, operands, axes, params)
    return result, (axis, axis)


def _samples(params: Callable[[int, Any], Params]) -> Iterable[Sample]:
    """Operands with ties, and with NaN."""
    yield from axis_samples((bool_, *REAL), params, (-3.0, 3.0))
    ties = np.array([[2, 1, 2], [0, 1, 2]], np.float32)
    yield Sample((ties,), params(1, dtypes.float32))
    broken = np.array([1.0, np.nan, -np.inf, np.nan, np.inf, 0.0], np.float32)
    yield Sample((broken,), params(0, dtypes.float32))


def _errors(name: str, *rest: Any) -> Callable[[], Iterable[BadCall]]:
    return lambda: [
        BadCall((np.zeros(3, np.complex64),), DTypeError, "not implemented", (0, *rest)),
        BadCall((np.zeros(3, np.float32),), AxisError, name, (1, *rest)),
    ]


# ---- sort and topk: values and positions


def _sort_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    place = layouts[0]
    _require_order(place, params[0], "sort")
    return layout(place.dtype, place.shape), layout(int64, place.shape)


def _sort(x: Array, axis: int, descending: bool) -> Any:
    row = np.atleast_1d(x)
    order = _order(row, axis, descending)
    return np.take_along_axis(row, order, axis), order


SORT = primitive(
    "sort", "ordering", lower="ordering", params=("axis", "descending"), infer=_sort_infer,
    reference=_sort, saves="o",
    vjp=lambda ctx, ct, _: _scattered(ctx, ct, ctx.params[0]), batch=_pair_batch, tolerance=EXACT,
    samples=lambda: [
        *_samples(lambda axis, _: (axis, False)), *_samples(lambda axis, _: (axis, True)),
    ],
    errors=_errors("sort", False),
)  # fmt: skip


def _topk_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, ...]:
    axis, k, _ = params
    place = layouts[0]
    _require_order(place, axis, "topk")
    extent = place.shape[axis] if place.ndim else 1
    if not (0 <= k <= extent and (place.ndim or k == 1)):
        raise ArgumentError(
            f"selected index k out of range: topk got k={k} for dimension {axis} of size {extent}",
            op="topk", argument="k", got=k,
        )  # fmt: skip
    shape = (*place.shape[:axis], k, *place.shape[axis + 1 :]) if place.ndim else ()
    return layout(place.dtype, shape), layout(int64, shape)


def _topk(x: Array, axis: int, k: int, largest: bool) -> Any:
    rows = np.moveaxis(np.atleast_1d(x), axis, -1)
    order = _partition(rows, k, largest)
    if order is None:
        order = _order(rows, -1, largest)[..., :k]
    values = np.take_along_axis(rows, order, -1)
    return np.moveaxis(values, -1, axis), np.moveaxis(order, -1, axis)


def _partition(rows: Array, k: int, largest: bool) -> Any:
    """The first ``k`` positions without sorting all; None where ties or NaN could tell."""
    count = rows.shape[-1]
    if not 0 < 8 * k < count or not rows.size or (rows != rows).any():
        return None
    if largest:
        chosen = np.argpartition(rows, count - k, -1)[..., count - k :]
    else:
        chosen = np.argpartition(rows, k - 1, -1)[..., :k]
    chosen = np.sort(chosen, -1)
    values = np.take_along_axis(rows, chosen, -1)
    edge = values.min(-1, keepdims=True) if largest else values.max(-1, keepdims=True)
    if ((rows == edge).sum(-1) != (values == edge).sum(-1)).any():
        return None
    return np.take_along_axis(chosen, _order(values, -1, largest), -1)


TOPK = primitive(
    "topk", "ordering", lower="ordering", params=("axis", "k", "largest"), infer=_topk_infer,
    reference=_topk, saves="o",
    vjp=lambda ctx, ct, _: _scattered(ctx, ct, ctx.params[0]), batch=_pair_batch, tolerance=EXACT,
    samples=lambda: [
        Sample((np.array([[2, 1, 2], [0, 1, 2]], np.float32),), (1, 2, True)),
        Sample((np.array([[2, 1, 2], [0, 1, 2]], np.int32),), (0, 1, False)),
        Sample((np.array([1, np.nan, 3], np.float32),), (0, 2, True)),
        Sample((np.float32(2),), (0, 1, True)), Sample((np.ones(3, np.float32),), (0, 0, True)),
    ],
    errors=lambda: [
        *_errors("topk", 1, True)(),
        BadCall((np.ones(3, np.float32),), ArgumentError, "k out of range", (0, 4, True)),
        BadCall((np.float32(1),), ArgumentError, "k out of range", (0, 0, True)),
    ],
)  # fmt: skip


# ---- the extremum along an axis and where it stands, compiled whole


def _picked_vjp(ctx: Any, ct: Any, _: Any) -> Any:
    """The cotangent of one element of each line, back where that stood."""
    place, axis = ctx.layout(0), ctx.params[0]
    if not place.ndim:
        return ct
    shape = (*place.shape[:axis], 1, *place.shape[axis + 1 :])
    index, part = reshape(ctx.y[1], shape), reshape(ct, shape)
    return scatter(zeros(place.shape, ct.layout.dtype), index, part, axis, "set")


def _extremum_along(name: str, position: Callable[[Tensor, int], Tensor]) -> Composite:
    def forward(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        _require_order(x.layout, axis, name)
        places = position(x, axis)
        shape = x.layout.shape
        grown = reshape(places, (*shape[:axis], 1, *shape[axis + 1 :]))
        return reshape(take_along(x, grown, axis), places.layout.shape), places

    def samples() -> Iterable[Sample]:
        for sample in _samples(lambda axis, _: (axis,)):
            if sample.operands[0].ndim and sample.operands[0].shape[sample.params[0]]:
                yield sample

    return Composite(
        name, forward=forward, outputs=2, params=("axis",), samples=samples, tolerance=EXACT,
        vjp=lambda ctx, ct, other: (_picked_vjp(ctx, ct, other),), saves="o",
        errors=_errors(name),
        batch=NoBatching("it is batched through the operations it is made of"),
    )  # fmt: skip


MAX_ALONG = _extremum_along("max_along", argmax)
MIN_ALONG = _extremum_along("min_along", argmin)


# ---- one element of each row: kthvalue, median, mode


def _kept(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])


def _choice(
    name: str, params: tuple[str, ...], choose: Callable[..., Any], example: tuple[Any, ...],
    lower: str = "ordering",
) -> Primitive:  # fmt: skip
    """Declare an operation that picks one element of each row; ``choose`` gives its position.

    ``choose(rows, order, *rest)`` sees rows along the last axis and the positions that sort them.
    """

    def infer(layouts: tuple[Layout, ...], given: Params) -> tuple[Layout, ...]:
        place, axis = layouts[0], given[0]
        _require_order(place, axis, name)
        extent = place.shape[axis] if place.ndim else 1
        if extent == 0:
            raise ArgumentError(
                f"{name}(): Expected reduction dim {axis} to have non-zero size.", op=name
            )
        if params[1:] == ("k",) and not 1 <= given[1] <= extent:
            raise ArgumentError(
                f"kthvalue(): selected number k out of range for dimension {axis}: got "
                f"k={given[1]} for size {extent}",
                op=name, argument="k", got=given[1],
            )  # fmt: skip
        shape = _kept(place.shape, axis)
        return layout(place.dtype, shape), layout(int64, shape)

    def reference(x: Array, axis: int, *rest: Any) -> Any:
        rows = np.moveaxis(np.atleast_1d(x), axis, -1)
        order = np.argsort(rows, axis=-1, kind="stable")
        chosen = np.asarray(choose(rows, order, *rest))
        return np.take_along_axis(rows, chosen[..., None], -1)[..., 0], chosen

    def samples() -> Iterable[Sample]:
        for sample in _samples(lambda axis, _: (axis, *example)):
            array, axis = sample.operands[0], sample.params[0]
            if array.ndim == 0 and params[1:] == ("k",):
                continue
            if array.ndim == 0 or array.shape[axis]:
                yield sample

    return primitive(
        name, "ordering", lower=lower, params=params, infer=infer,
        reference=reference, vjp=_picked_vjp, saves="o", samples=samples, batch=_pair_batch,
        tolerance=EXACT,
        errors=lambda: [
            *_errors(name, *example)(),
            BadCall((np.zeros((0, 2), np.float32),), ArgumentError, "non-zero size", (0, *example)),
        ],
    )  # fmt: skip


def _kth(rows: Array, order: Array, k: int) -> Any:
    return order[..., k - 1]


def _median(rows: Array, order: Array, ignore_nan: bool) -> Any:
    """The lower of the two middle elements; a NaN wins unless ignored."""
    nan = rows != rows
    numbers = rows.shape[-1] - nan.sum(-1)
    middle = np.maximum(numbers - 1, 0) // 2
    chosen = np.take_along_axis(order, middle[..., None], -1)[..., 0]
    return chosen if ignore_nan else np.where(nan.any(-1), np.argmax(nan, -1), chosen)


def _mode(rows: Array, order: Array) -> Any:
    """The last position of the most frequent value, the smallest of equally frequent ones."""
    ordered = np.take_along_axis(rows, order, -1)
    ends = np.ones(ordered.shape, bool)
    ends[..., :-1] = ordered[..., 1:] != ordered[..., :-1]
    places = np.arange(ordered.shape[-1])
    ended = np.maximum.accumulate(np.where(ends, places, -1), axis=-1)
    before = np.concatenate([np.full((*ordered.shape[:-1], 1), -1), ended[..., :-1]], axis=-1)
    count = np.where(ends, places - before, 0)
    best = np.argmax(count, axis=-1)
    return np.take_along_axis(order, best[..., None], -1)[..., 0]


KTHVALUE = _choice("kthvalue", ("axis", "k"), _kth, (2,))
MEDIAN = _choice("median", ("axis", "ignore_nan"), _median, (False,))
MODE = _choice("mode", ("axis",), _mode, (), "host")


# ---- binary search


def _searchsorted_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    edges, values = layouts
    if edges.dtype is not values.dtype or edges.dtype not in REAL:
        raise DTypeError(
            "torch.searchsorted(): boundary tensor and input value tensor should have same dtype, "
            f"a real one, but got {edges.dtype} and {values.dtype}",
            op="searchsorted",
        )
    if edges.ndim == 0 or (edges.ndim > 1 and edges.shape[:-1] != values.shape[:-1]):
        raise ShapeError(
            "searchsorted: boundaries tensor should be 1 dimension or the first N-1 dimensions of "
            f"boundaries tensor and input value tensor must match, but we got {list(edges.shape)} "
            f"and {list(values.shape)}",
            op="searchsorted", argument="boundaries", got=edges.shape,
        )  # fmt: skip
    return layout(int64, values.shape)


def _searchsorted(edges: Array, values: Array, right: bool) -> Any:
    side: Any = "right" if right else "left"
    if edges.ndim == 1:
        return np.searchsorted(edges, values, side)
    result = np.empty(values.shape, np.int64)
    for place in np.ndindex(edges.shape[:-1]):
        result[place] = np.searchsorted(edges[place], values[place], side)
    return result


_EDGES = np.array([[1, 3, 5, 7], [2, 4, 6, 8]], np.float32)
SEARCHSORTED = primitive(
    "searchsorted", "host", params=("right",), infer=_searchsorted_infer, reference=_searchsorted,
    vjp=NotDifferentiable("its result is a position"),
    samples=lambda: [
        Sample((_EDGES[0], np.array([[3, 0], [9, 6]], np.float32)), (False,)),
        Sample((_EDGES, np.array([[3, 0, 5], [9, 6, 4]], np.float32)), (True,)),
        Sample((np.arange(4), np.int64(2)), (True,)),
        Sample((np.zeros(0, np.float32), _EDGES), (False,)),
    ],
    errors=lambda: [
        BadCall((_EDGES, _EDGES[0]), ShapeError, "must match", (False,)),
        BadCall((_EDGES[0], np.arange(3)), DTypeError, "same dtype", (False,)),
    ],
)  # fmt: skip


# ---- the functions: ``axis`` counted from the front


def sort(x: Tensor, axis: int, descending: bool = False) -> tuple[Tensor, Tensor]:
    """Sorted values along ``axis`` and where they stood; stable; NaN counts as the greatest."""
    return call.current.apply1(SORT, x, (axis, descending))


def argsort(x: Tensor, axis: int, descending: bool = False) -> Tensor:
    """The positions that sort ``x`` along ``axis``, stably."""
    return sort(x, axis, descending)[1]


def topk(x: Tensor, k: int, axis: int, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The ``k`` greatest (or least) elements along ``axis`` in order, and where they stood."""
    return call.current.apply1(TOPK, x, (axis, k, largest))


def kthvalue(x: Tensor, k: int, axis: int) -> tuple[Tensor, Tensor]:
    """The ``k``-th least element along ``axis`` (the first is 1) and where it stood."""
    return call.current.apply1(KTHVALUE, x, (axis, k))


def median(x: Tensor, axis: int, ignore_nan: bool = False) -> tuple[Tensor, Tensor]:
    """The (lower) median along ``axis`` and where it stood."""
    return call.current.apply1(MEDIAN, x, (axis, ignore_nan))


def mode(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """The most frequent element along ``axis``, the smallest of several, and its last position."""
    return call.current.apply1(MODE, x, (axis,))


def searchsorted(edges: Tensor, values: Tensor, right: bool = False) -> Tensor:
    """Where each value would go in the sorted ``edges``: one row, or one for each row of values."""
    return call.current.apply2(SEARCHSORTED, edges, values, (right,))


# ---- results whose size depends on the values: not while tracing, and off the tape


def unique(x: Tensor, axis: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Sorted distinct elements (or slices along ``axis``), the place of each among them, counts."""
    array = concrete(x, "unique")
    values, inverse, counts = np.unique(
        array, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    inverse = inverse.reshape(array.shape if axis is None else -1)
    return _results(x, values, inverse, counts)


def unique_consecutive(x: Tensor, axis: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`unique`, but only neighbours are compared, and the order is kept."""
    array = concrete(x, "unique_consecutive")
    rows = array.reshape(-1) if axis is None else np.moveaxis(array, axis, 0)
    count = rows.shape[0]
    starts = np.ones(count, bool)
    if count:
        differs = rows[1:] != rows[:-1]
        starts[1:] = differs.any(tuple(range(1, differs.ndim)))
    values = rows[starts]
    inverse = np.cumsum(starts) - 1
    counts = np.diff(np.append(np.flatnonzero(starts), count))
    if axis is None:
        return _results(x, values, inverse.reshape(array.shape), counts)
    return _results(x, np.moveaxis(values, 0, axis), inverse, counts)


def _results(
    x: Tensor, values: Array, inverse: Array, counts: Array
) -> tuple[Tensor, Tensor, Tensor]:
    cls = x.result_type
    return (
        copy_array(values, cls, x.layout.dtype),
        copy_array(inverse, cls, int64),
        copy_array(counts, cls, int64),
    )


def bincount(x: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each whole number from 0 occurs (or the sum of its weights, in float64)."""
    array = concrete(x, "bincount")
    if array.ndim != 1 or not x.layout.dtype.is_integer or (array.size and array.min() < 0):
        raise ArgumentError(
            "bincount only supports 1-d non-negative integral inputs.", op="bincount", got=x.layout
        )
    if minlength < 0:
        raise ArgumentError("minlength should be >= 0", op="bincount", got=minlength)
    if weights is None:
        return copy_array(np.bincount(array, None, minlength), x.result_type, int64)
    if not isinstance(weights, Tensor):
        raise TypeError(f"bincount(): weights must be a Tensor, not {type(weights).__name__}")
    if weights.layout.shape != x.layout.shape:
        raise ShapeError(
            "weights should be 1-d and have the same length as input", op="bincount",
            got=weights.layout.shape,
        )  # fmt: skip
    own = weights.layout.dtype
    counted = np.bincount(array, concrete(weights, "bincount"), minlength)
    dtype = own if own is dtypes.float32 else dtypes.float64
    return copy_array(counted, x.result_type, dtype)
