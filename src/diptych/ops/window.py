"""Maxima over sliding windows, with the positions that attain them; windows taken out and folded.

Spatial axes are neighbours, anywhere in the shape: ``first`` says where they start, so images may
have their channels before or after them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from diptych.core import call
from diptych.core.dtypes import NUMERIC, REAL, int32, int64
from diptych.core.layout import Layout, Shape, layout
from diptych.core.operation import BadCall, Params, Primitive, Sample, record
from diptych.core.tensor import Tensor, cast_class
from diptych.errors import ShapeError, UnsupportedDTypeError
from diptych.ops.families import primitive, ulp
from diptych.ops.indexing import scatter, zeros
from diptych.ops.movement import move_axis, reshape

Array = np.ndarray[Any, Any]
_INT32_LIMIT = 1 << 31


@record
class Window(NamedTuple):
    """The windows along one axis of ``extent`` elements: ``out`` of them.

    Window o reads ``kernel`` elements, ``dilation`` apart, from ``o * stride - padding`` on, as far
    as they exist. A kernel of 0 means windows that cut the axis into ``out`` nearly equal parts.
    """

    extent: int
    out: int
    kernel: int = 0
    stride: int = 1
    padding: int = 0
    dilation: int = 1


Windows = tuple[Window, ...]


@functools.lru_cache(maxsize=1024)
def spans(window: Window) -> tuple[Array, Array]:
    """Of each window, the first element that exists, and how many do."""
    extent, out, kernel, stride, padding, dilation = window
    o = np.arange(out, dtype=np.int64)
    if not kernel:
        start = o * extent // max(out, 1)
        return start, -((-(o + 1) * extent) // max(out, 1)) - start
    start = o * stride - padding
    skipped = np.maximum(0, -(start // dilation))
    start = start + skipped * dilation
    count = np.minimum(kernel - skipped, -((start - extent) // dilation))
    return np.clip(start, 0, max(extent - 1, 0)), np.maximum(count, 0)


def _outer(axis: int, values: Array, count: int) -> Any:
    """Values along one of ``count`` axes, shaped to broadcast with those of the others."""
    return values.reshape([-1 if k == axis else 1 for k in range(count)])


def _trailing(x: Array, ndim: int) -> Any:
    return x.reshape(x.shape + (1,) * ndim)


def check_windows(place: Layout, windows: Windows, first: int, op: str) -> None:
    """Raise ShapeError unless windows fit the axes of a layout from ``first`` on."""
    have = place.shape[first : first + len(windows)]
    if first < 0 or have != tuple(window.extent for window in windows) or not windows:
        raise ShapeError(
            op=op, argument="windows", got=windows,
            expected=f"to lie on the axes of {list(place.shape)} from {first} on",
        )  # fmt: skip
    for window in windows:
        low = min(window.kernel, window.padding, window.out, window.stride - 1, window.dilation - 1)
        if low < 0 or (window.out and not window.extent):
            raise ShapeError(
                op=op, argument="window", got=window,
                expected="no negative sizes, and elements to read",
            )  # fmt: skip


def windowed_shape(place: Layout, windows: Windows, first: int) -> Shape:
    """The shape with the windows' numbers in place of the spatial extents."""
    outs = tuple(window.out for window in windows)
    return (*place.shape[:first], *outs, *place.shape[first + len(windows) :])


def batch_spatial(
    op: Primitive, operands: tuple[Any, ...], axes: tuple[int | None, ...], params: Params
) -> tuple[Any, Any]:
    """Batch by one more axis in front of the spatial ones."""
    x = move_axis(operands[0], axes[0] or 0, 0)
    result = call.current.apply1(op, x, (params[0], params[1] + 1, *params[2:]))
    return result, (0, 0) if isinstance(result, tuple) else 0


# ---- maxima


def _max_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    place, (windows, first) = layouts[0], params
    if place.dtype not in REAL:
        raise UnsupportedDTypeError(
            f"\"max_window\" not implemented for '{place.dtype}'", op="max_window", got=place.dtype
        )
    check_windows(place, windows, first, "max_window")
    return layout(place.dtype, windowed_shape(place, windows, first))


def _max_index_infer(layouts: tuple[Layout, ...], params: Params) -> tuple[Layout, Layout]:
    values = _max_infer(layouts, params)
    size = 1
    for window in params[0]:
        size *= window.extent
    return values, layout(int32 if size < _INT32_LIMIT else int64, values.shape)


def _max_index(x: Array, windows: Windows, first: int) -> tuple[Array, Array]:
    """The first element that attains the maximum of each window; the last NaN if there is one."""
    count = len(windows)
    inner = x.ndim - first - count
    shape = tuple(window.out for window in windows)
    tables = [spans(window) for window in windows]
    lowest: Any = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    best = np.full((*x.shape[:first], *shape, *x.shape[first + count :]), lowest, x.dtype)
    index = np.zeros(best.shape, np.int64)
    taps = [int(number.max(initial=1)) for _, number in tables]
    started = False
    for tap in itertools.product(*map(range, taps)):
        position: Any = np.zeros((1,) * count, np.int64)
        inside: Any = np.ones((1,) * count, bool)
        places = []
        for k, (window, (start, number)) in enumerate(zip(windows, tables, strict=True)):
            along = start + np.minimum(tap[k], np.maximum(number - 1, 0)) * window.dilation
            places.append(along)
            position = position * window.extent + _outer(k, along, count)
            inside = inside & _outer(k, tap[k] < number, count)
        part = x[(slice(None),) * first + np.ix_(*places)]
        position = _trailing(np.broadcast_to(position, shape), inner)
        if not started:
            index[...], started = position, True
        inside = _trailing(np.broadcast_to(inside, shape), inner)
        with np.errstate(invalid="ignore"):
            better = inside & ((part > best) | (part != part))
        best = np.where(better, part, best)
        index = np.where(better, position, index)
    return best, index


def _unpool(
    values: Tensor, index: Tensor, shape: Shape, first: int, count: int, mode: str
) -> Tensor:
    joined = 1
    for extent in shape[first : first + count]:
        joined *= extent
    outer, inner = shape[:first], shape[first + count :]
    have = 1
    for extent in values.layout.shape[first : first + count]:
        have *= extent
    flat = (*outer, have, *inner)
    made = scatter(
        zeros((*outer, joined, *inner), values.layout.dtype),
        reshape(index, flat), reshape(values, flat), first, mode,
    )  # fmt: skip
    return reshape(made, shape)


def _samples() -> Iterable[Sample]:
    def draw(*shape: int) -> Any:
        return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)

    ties = np.array([[[1, 3, 3, 0, 3], [2, 2, np.nan, 2, 0], [-np.inf] * 5]], np.float32)
    yield Sample((draw(2, 6, 5),), ((Window(6, 3, 2, 2), Window(5, 2, 2, 2)), 1))
    yield Sample((draw(2, 5, 37),), ((Window(5, 3, 3, 2, 1), Window(37, 19, 3, 2, 1)), 1))
    yield Sample((draw(1, 3, 20),), ((Window(20, 18, 3, 1, 1, 2),), 2))
    yield Sample((draw(2, 9, 6, 3),), ((Window(9, 4), Window(6, 4)), 1))
    yield Sample((draw(2, 5, 4, 19),), ((Window(5, 2, 3, 2), Window(4, 3, 2)), 1))
    yield Sample((draw(2, 3, 4, 5),), ((Window(3, 2, 2), Window(4, 2, 2, 2), Window(5, 3, 3)), 1))
    yield Sample((ties,), ((Window(3, 2, 2), Window(5, 4, 2)), 1))
    yield Sample((draw(2, 40).astype(np.float64),), ((Window(40, 9, 7, 4),), 1))
    yield Sample((np.zeros((0, 4), np.float32),), ((Window(4, 2, 2, 2),), 1))
    yield Sample((np.arange(8).reshape(2, 4)[:, ::-1].copy(),), ((Window(4, 2, 2, 2),), 1))
    yield Sample((draw(2, 8).astype(np.float16),), ((Window(8, 4, 2, 2),), 1))


def _errors() -> Iterable[BadCall]:
    x = np.zeros((2, 4), np.float32)
    yield BadCall((x,), ShapeError, "to lie on the axes", ((Window(5, 2, 2),), 1))
    yield BadCall((x,), ShapeError, "to lie on the axes", ((Window(4, 2, 2),), 2))
    yield BadCall((x,), ShapeError, "no negative sizes", ((Window(4, 2, 2, 0),), 1))
    yield BadCall((x > 0,), UnsupportedDTypeError, "not implemented", ((Window(4, 2, 2),), 1))


MAX_WINDOW = primitive(
    "max_window", "window", params=("windows", "first"), infer=_max_index_infer,
    reference=_max_index, lower="max", batch=batch_spatial, tolerance=ulp(0), saves="o",
    vjp=lambda ctx, ct, _: (
        _unpool(ct, ctx.y[1], ctx.layout(0).shape, ctx.params[1], len(ctx.params[0]), "add"),
    ),
    samples=_samples, errors=_errors,
)  # fmt: skip


def _values_vjp(ctx: Any, ct: Any) -> Any:
    windows, first = ctx.params
    _, index = max_window(ctx.x[0], windows, first)
    return (_unpool(ct, index, ctx.layout(0).shape, first, len(windows), "add"),)


WINDOW_MAX = primitive(
    "window_max", "window", params=("windows", "first"), infer=_max_infer,
    reference=lambda x, windows, first: _max_index(x, windows, first)[0], lower="max",
    batch=batch_spatial, tolerance=ulp(0), saves="0", vjp=_values_vjp, samples=_samples,
    errors=_errors,
)  # fmt: skip


# ---- windows taken out of a tensor, and added back into one


def _extract_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    place, (windows, first) = layouts[0], params
    check_windows(place, windows, first, "extract_windows")
    if any(not window.kernel for window in windows):
        raise ShapeError(op="extract_windows", argument="kernel", got=0, expected="at least 1")
    kernels = tuple(window.kernel for window in windows)
    shape = windowed_shape(place, windows, first)
    return layout(place.dtype, (*shape[:first], *kernels, *shape[first:]))


def padded_extent(window: Window) -> int:
    """How far the elements reach that the windows read, from ``-padding`` on."""
    reach = (window.out - 1) * window.stride + (window.kernel - 1) * window.dilation + 1
    return max(window.extent + window.padding, reach)


def _tap_slices(windows: Windows, first: int, tap: tuple[int, ...]) -> tuple[slice, ...]:
    """The elements of a padded tensor that a tap of all windows reads."""
    along = [
        slice(t * w.dilation, t * w.dilation + (w.out - 1) * w.stride + 1, w.stride)
        if w.out else slice(0, 0)
        for t, w in zip(tap, windows, strict=True)
    ]  # fmt: skip
    return (slice(None),) * first + tuple(along)


def _extract(x: Array, windows: Windows, first: int) -> Array:
    widths = [(0, 0)] * x.ndim
    for k, window in enumerate(windows):
        after = padded_extent(window) - window.padding - window.extent
        widths[first + k] = (window.padding, after)
    padded = np.pad(x, widths)
    taps = itertools.product(*[range(window.kernel) for window in windows])
    parts = np.stack([padded[_tap_slices(windows, first, tap)] for tap in taps], first)
    kernels = tuple(window.kernel for window in windows)
    return parts.reshape(parts.shape[:first] + kernels + parts.shape[first + 1 :])


def _fold_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    place, (windows, first) = layouts[0], params
    count = len(windows)
    wanted = tuple(w.kernel for w in windows) + tuple(w.out for w in windows)
    if place.shape[first : first + 2 * count] != wanted:
        raise ShapeError(
            op="fold_windows", argument="windows", got=windows,
            expected=f"of the kernels and numbers in {list(place.shape)} from axis {first} on",
        )  # fmt: skip
    if place.dtype not in NUMERIC:
        raise UnsupportedDTypeError(f"\"fold_windows\" not implemented for '{place.dtype}'")
    extents = tuple(window.extent for window in windows)
    return layout(place.dtype, (*place.shape[:first], *extents, *place.shape[first + 2 * count :]))


def _fold(x: Array, windows: Windows, first: int) -> Array:
    count = len(windows)
    reach = tuple(padded_extent(window) for window in windows)
    computed = np.float32 if x.dtype == np.float16 else x.dtype
    made = np.zeros((*x.shape[:first], *reach, *x.shape[first + 2 * count :]), computed)
    for tap in itertools.product(*[range(window.kernel) for window in windows]):
        made[_tap_slices(windows, first, tap)] += x[(slice(None),) * first + tap]
    inside = tuple(slice(w.padding, w.padding + w.extent) for w in windows)
    return made[(slice(None),) * first + inside]


def _extract_samples() -> Iterable[Sample]:
    def draw(*shape: int) -> Any:
        return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)

    yield Sample((draw(2, 3, 5, 6),), ((Window(5, 4, 2), Window(6, 3, 3, 2, 1)), 2))
    yield Sample((draw(2, 9),), ((Window(9, 3, 2, 2, 0, 3),), 1))
    yield Sample((draw(1, 7, 4),), ((Window(7, 2, 2, 4),), 1))
    yield Sample((np.zeros((0, 4), np.float32),), ((Window(4, 2, 2, 2),), 1))


def _fold_samples() -> Iterable[Sample]:
    for sample in _extract_samples():
        yield Sample((_extract(sample.operands[0], *sample.params),), sample.params)


EXTRACT: Primitive = primitive(
    "extract_windows", "window", params=("windows", "first"), infer=_extract_infer,
    reference=_extract, lower="extract", batch=batch_spatial, tolerance=ulp(0),
    vjp=lambda ctx, ct: (call.current.apply1(FOLD, ct, ctx.params),),
    samples=_extract_samples,
    errors=lambda: [
        BadCall((np.zeros((2, 4)),), ShapeError, "to lie on", ((Window(5, 2, 2),), 1)),
        BadCall((np.zeros((2, 4)),), ShapeError, "at least 1", ((Window(4, 2),), 1)),
    ],
)  # fmt: skip

FOLD: Primitive = primitive(
    "fold_windows", "window", params=("windows", "first"), infer=_fold_infer, reference=_fold,
    lower="fold", batch=batch_spatial,
    vjp=lambda ctx, ct: (call.current.apply1(EXTRACT, ct, ctx.params),),
    samples=_fold_samples,
    errors=lambda: [
        BadCall((np.zeros((2, 2, 4)),), ShapeError, "from axis 1", ((Window(5, 3, 2),), 1)),
    ],
)  # fmt: skip


# ---- the functions


def max_window(x: Tensor, windows: Windows, first: int) -> tuple[Tensor, Tensor]:
    """The maxima of windows, and their flat positions in the spatial axes."""
    values, index = call.current.apply1(MAX_WINDOW, x, (windows, first))
    return values, index


def window_max(x: Tensor, windows: Windows, first: int) -> Tensor:
    """The maxima of windows alone: for results that no gradient is wanted of."""
    made: Tensor = call.current.apply1(WINDOW_MAX, x, (windows, first))
    return made


def extract_windows(x: Tensor, windows: Windows, first: int) -> Tensor:
    """The windows' elements, zeros where there are none: kernel axes in front of the numbers."""
    made: Tensor = call.current.apply1(EXTRACT, x, (windows, first))
    return made


def fold_windows(x: Tensor, windows: Windows, first: int) -> Tensor:
    """Windows' elements added up where they came from: the adjoint of :func:`extract_windows`."""
    made: Tensor = call.current.apply1(FOLD, x, (windows, first))
    return made


def scatter_spatial(
    values: Tensor, index: Tensor, extents: Shape, first: int, mode: str = "set"
) -> Tensor:
    """Zeros with values written at flat positions in the spatial axes, now of ``extents``."""
    count = len(extents)
    shape = values.layout.shape
    whole = (*shape[:first], *extents, *shape[first + count :])
    return cast_class(_unpool(values, index, whole, first, count, mode), values.result_type)
