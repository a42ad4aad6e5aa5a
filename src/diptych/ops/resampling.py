"""Averages over windows and interpolation: along each axis a banded linear map, and its adjoint.

Each output element is a weighted sum of a run of neighbours, the same along an axis for all rows:
pooling by averages, nearest, linear and cubic interpolation, with or without antialiasing. The
adjoint has the same form, so one operation is its own gradient.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from diptych.core import call
from diptych.core.dtypes import FLOATS, REAL, float64
from diptych.core.layout import Layout, Shape, layout
from diptych.core.operation import BadCall, Params, Primitive, Sample, record
from diptych.core.tensor import Tensor
from diptych.errors import ShapeError, UnsupportedDTypeError
from diptych.ops.families import primitive
from diptych.ops.window import Window, batch_spatial, spans

Array = np.ndarray[Any, Any]


@record
class Band(NamedTuple):
    """A map along one axis from ``extent`` elements to ``out``; ``adjoint`` turns it round.

    ``kind`` with its ``numbers``: "mean" (kernel, stride, padding, whether padding counts, the
    divisor or 0 for the count), "nearest" and "nearest-exact" (scale), "linear" and "cubic"
    (scale, whether corners align), the same with "-antialias", and "lanczos-antialias". A scale is
    input over output elements. A kernel of 0 cuts the axis into nearly equal parts.
    """

    kind: str
    extent: int
    out: int
    numbers: tuple[Any, ...]
    adjoint: bool = False

    @property
    def source(self) -> int:
        """The extent that is read."""
        return self.out if self.adjoint else self.extent

    @property
    def target(self) -> int:
        """The extent that is written."""
        return self.extent if self.adjoint else self.out


Bands = tuple[Band, ...]


class Table(NamedTuple):
    """Of each target element: the first source element, how many, and their weights.

    ``weights`` (a row each, zeros after the count) is None where all are 1. ``divisors`` are those
    of the elements that were averages: targets, of an adjoint map sources; else None.
    """

    first: Array
    length: Array
    weights: Array | None
    divisors: Array | None


@functools.lru_cache(maxsize=1024)
def table(band: Band, wide: bool) -> Table:
    """The numbers of a map; ``wide`` computes weights in float64, as PyTorch does for such data."""
    if band.adjoint:
        return _turned(table(band._replace(adjoint=False), wide), band.extent)
    kind, extent, out, numbers = band[:4]
    if kind == "mean":
        return _mean(extent, out, *numbers)
    if kind in ("nearest", "nearest-exact"):
        return _nearest(extent, out, numbers[0], kind == "nearest-exact")
    scalar: Any = np.float64 if wide else np.float32
    if kind == "linear":
        return _linear(extent, out, scalar, *numbers)
    if kind == "cubic":
        return _cubic(extent, out, scalar, *numbers)
    return _antialias(extent, out, numbers[0], kind, scalar)


def _mean(
    extent: int, out: int, kernel: int, stride: int, padding: int, with_padding: bool, fixed: int
) -> Table:
    first, count = spans(Window(extent, out, kernel, stride, padding))
    divisors = count
    if with_padding and kernel:
        start = np.arange(out) * stride - padding
        divisors = np.minimum(start + kernel, extent + padding) - start
    if fixed:
        divisors = np.full(out, fixed)
    return Table(first, count, None, np.maximum(divisors, 1))


def _nearest(extent: int, out: int, scale: float, exact: bool) -> Table:
    # PyTorch computes these positions in float32 whatever the data.
    position = np.arange(out).astype(np.float32)
    position = (position + np.float32(0.5 if exact else 0.0)) * np.float32(scale)
    first = np.minimum(np.floor(position).astype(np.int64), extent - 1)
    if out == extent and not exact:
        first = np.arange(out)
    return Table(first, np.ones(out, np.int64), None, None)


def _positions(out: int, scale: float, aligned: bool, scalar: Any) -> Array:
    """Where output elements lie among those of the input."""
    o = np.arange(out).astype(scalar)
    factor = scalar(scale)
    made: Array = o * factor if aligned else factor * (o + scalar(0.5)) - scalar(0.5)
    return made


def _linear(extent: int, out: int, scalar: Any, scale: float, aligned: bool) -> Table:
    if extent == out:
        return Table(np.arange(out), np.ones(out, np.int64), np.ones((out, 1)), None)
    position = np.maximum(_positions(out, scale, aligned, scalar), scalar(0))
    first = np.minimum(position.astype(np.int64), extent - 1)
    upper = np.clip(position - first.astype(scalar), scalar(0), scalar(1))
    count = np.where(first < extent - 1, 2, 1)
    last = first == extent - 1
    weights = np.stack([np.where(last, scalar(1), scalar(1) - upper), upper], 1)
    weights[last, 1] = 0
    return Table(first, count, weights.astype(np.float64), None)


def _cubic_weights(t: Array, a: float, scalar: Any) -> list[Any]:
    """The cubic convolution's weights of the four neighbours, ``t`` after the second."""
    one, two, factor = scalar(1), scalar(2), scalar(a)

    def near(x: Array) -> Any:
        return ((factor + two) * x - (factor + scalar(3))) * x * x + one

    def far(x: Array) -> Any:
        return ((factor * x - scalar(5) * factor) * x + scalar(8) * factor) * x - scalar(4) * factor

    return [far(t + one), near(t), near(one - t), far(two - t)]


def _cubic(extent: int, out: int, scalar: Any, scale: float, aligned: bool) -> Table:
    position = _positions(out, scale, aligned, scalar)
    below = np.floor(position)
    parts = _cubic_weights(position - below, -0.75, scalar)
    places = below.astype(np.int64)[:, None] + np.arange(-1, 3)
    inside = np.clip(places, 0, extent - 1)
    first = inside[:, 0]
    weights = np.zeros((out, 4))
    for tap in range(4):  # what lies outside is what lies at the border
        np.add.at(weights, (np.arange(out), inside[:, tap] - first), parts[tap].astype(np.float64))
    return Table(first, inside[:, 3] - first + 1, weights, None)


def _lanczos(x: Array) -> Any:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


def _keys(x: Array) -> Any:
    """The cubic convolution with the slope that image libraries use when they shrink."""
    x, a = np.abs(x), -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


# kind -> half width of the filter, the filter
_FILTERS: dict[str, tuple[float, Callable[[Array], Any]]] = {
    "linear-antialias": (1.0, lambda x: np.maximum(0.0, 1.0 - np.abs(x))),
    "cubic-antialias": (2.0, _keys),
    "lanczos-antialias": (3.0, _lanczos),
}


def _antialias(extent: int, out: int, scale: float, kind: str, scalar: Any) -> Table:
    half, function = _FILTERS[kind]
    factor = scalar(scale)
    support = scalar(half) * max(factor, scalar(1))
    inverse = scalar(1) / factor if factor >= 1 else scalar(1)
    center = factor * (np.arange(out).astype(scalar) + scalar(0.5))
    first = np.maximum((center - support + scalar(0.5)).astype(np.int64), 0)
    end = np.minimum((center + support + scalar(0.5)).astype(np.int64), extent)
    count = np.clip(end - first, 0, math.ceil(support) * 2 + 1)
    along = np.arange(int(count.max(initial=1)))
    offset = (along + first[:, None]).astype(scalar) - center[:, None] + scalar(0.5)
    weights = np.where(along < count[:, None], function(offset * inverse), 0.0)
    total = weights.sum(1, keepdims=True)
    return Table(first, count, weights / np.where(total == 0, 1, total), None)


def _turned(given: Table, extent: int) -> Table:
    """The adjoint's numbers: of each source element, the run of targets that read it."""
    first, end = given.first, given.first + given.length
    inputs = np.arange(extent)
    low = np.searchsorted(np.maximum.accumulate(end), inputs, "right")
    high = np.searchsorted(first, inputs, "right")
    count = np.maximum(high - low, 0)
    low = np.minimum(low, max(len(first) - 1, 0))
    weights = None
    if given.weights is not None:
        weights = np.zeros((extent, int(count.max(initial=1))))
        for tap in range(weights.shape[1]):
            reader = np.minimum(low + tap, max(len(first) - 1, 0))
            column = np.clip(inputs - first[reader], 0, given.weights.shape[1] - 1)
            inside = (tap < count) & (inputs >= first[reader]) & (inputs < end[reader])
            weights[:, tap] = np.where(inside, given.weights[reader, column], 0)
    return Table(low, count, weights, given.divisors)


# ---- the operation


def _infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    place, (bands, first) = layouts[0], params
    have = place.shape[first : first + len(bands)]
    if first < 0 or not bands or have != tuple(band.source for band in bands):
        raise ShapeError(
            op="resample", argument="bands", got=bands,
            expected=f"to lie on the axes of {list(place.shape)} from {first} on",
        )  # fmt: skip
    plain = ("mean", "nearest", "nearest-exact")
    whole = all(band.kind in plain and not band.adjoint for band in bands)
    if place.dtype not in (REAL if whole else FLOATS):
        raise UnsupportedDTypeError(
            f"\"resample\" not implemented for '{place.dtype}'", op="resample", got=place.dtype
        )
    if any(band.target and not band.source and not band.adjoint for band in bands):
        raise ShapeError(op="resample", argument="bands", got=bands, expected="elements to read")
    return layout(place.dtype, resampled_shape(place, bands, first))


def resampled_shape(place: Layout, bands: Bands, first: int) -> Shape:
    """The shape with the targets' extents on the axes from ``first`` on."""
    outs = tuple(band.target for band in bands)
    return (*place.shape[:first], *outs, *place.shape[first + len(bands) :])


def divisor(tables: Iterable[Table]) -> Any:
    """The product of the axes' divisors, an array over them; None where there are none."""
    made: Any = None
    for entry in tables:
        if entry.divisors is not None:
            made = entry.divisors if made is None else np.multiply.outer(made, entry.divisors)
    return made


def _along(x: Array, entry: Table, axis: int) -> Any:
    """One axis mapped."""
    made: Any = None
    shape = [-1 if k == axis else 1 for k in range(x.ndim)]
    for tap in range(int(entry.length.max(initial=1))):
        inside = (tap < entry.length).reshape(shape)
        part = np.take(x, np.minimum(entry.first + tap, x.shape[axis] - 1), axis)
        if entry.weights is not None:
            part = part * entry.weights[:, tap].reshape(shape).astype(x.dtype)
        part = np.where(inside, part, x.dtype.type(0))
        made = part if made is None else made + part
    return made


def _resample(x: Array, bands: Bands, first: int) -> Array:
    shape = (*x.shape[:first], *[b.target for b in bands], *x.shape[first + len(bands) :])
    if 0 in shape or not x.size:
        return np.zeros(shape, x.dtype)
    tables = [table(band, x.dtype == np.float64) for band in bands]
    divided = divisor(tables)
    if divided is not None:
        divided = divided.reshape(divided.shape + (1,) * (x.ndim - first - len(bands)))
    whole = x.dtype.kind != "f"
    x = x.astype(np.int64) if whole else x.astype(np.float32) if x.itemsize == 2 else x
    if divided is not None and bands[0].adjoint:
        x = x / divided.astype(x.dtype)
    for k, entry in enumerate(tables):
        x = _along(x, entry, first + k)
    if divided is not None and not bands[0].adjoint:
        x = np.trunc(x / divided).astype(np.int64) if whole else x / divided.astype(x.dtype)
    return x


def adjoint(bands: Bands) -> Bands:
    """The maps turned round."""
    return tuple(band._replace(adjoint=not band.adjoint) for band in bands)


def _samples() -> Iterable[Sample]:
    def draw(*shape: int) -> Any:
        return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)

    def mean(extent: int, out: int, *numbers: Any) -> Band:
        return Band("mean", extent, out, numbers)

    two = (mean(6, 3, 2, 2, 0, True, 0), mean(5, 3, 3, 2, 1, False, 0))
    yield Sample((draw(2, 6, 5),), (two, 1))
    yield Sample((draw(2, 3, 3),), (adjoint(two), 1))
    yield Sample((draw(2, 6, 5, 3),), (two, 1))
    yield Sample(
        (draw(2, 9, 40),), ((mean(9, 4, 0, 1, 0, True, 0), mean(40, 20, 2, 2, 0, True, 5)), 1)
    )
    bilinear = (Band("linear", 4, 7, (4 / 7, False)), Band("linear", 9, 20, (8 / 19, True)))
    yield Sample((draw(2, 4, 9),), (bilinear, 1))
    yield Sample((draw(3, 7, 20),), (adjoint(bilinear), 1))
    yield Sample((draw(2, 4, 9, 5),), (bilinear, 1))
    yield Sample((draw(3, 8),), ((Band("cubic", 8, 5, (1.6, False)),), 1))
    yield Sample((draw(2, 6),), ((Band("cubic", 6, 21, (6 / 21, False)),), 1))
    nearest = (Band("nearest", 5, 3, (5 / 3,)), Band("nearest-exact", 4, 9, (4 / 9,)),
               Band("nearest", 6, 12, (0.5,)))  # fmt: skip
    yield Sample((draw(2, 5, 4, 6),), (nearest, 1))
    yield Sample((draw(2, 3, 9, 12),), (adjoint(nearest), 1))
    for kind in _FILTERS:
        yield Sample((draw(2, 11),), ((Band(kind, 11, 4, (11 / 4,)),), 1))
    yield Sample((draw(2, 8).astype(np.float64),), ((Band("linear", 8, 3, (8 / 3, False)),), 1))
    yield Sample((np.arange(12).reshape(2, 6),), ((mean(6, 3, 2, 2, 0, True, 0),), 1))
    yield Sample((np.zeros((0, 6), np.float32),), ((mean(6, 3, 2, 2, 0, True, 0),), 1))
    yield Sample((draw(2, 8).astype(np.float16),), ((mean(8, 4, 2, 2, 0, True, 0),), 1))


RESAMPLE: Primitive = primitive(
    "resample", "window", params=("bands", "first"), infer=_infer, reference=_resample,
    lower="bands", batch=batch_spatial,
    vjp=lambda ctx, ct: (
        call.current.apply1(RESAMPLE, ct, (adjoint(ctx.params[0]), ctx.params[1])),
    ),
    samples=_samples,
    errors=lambda: [
        BadCall((np.zeros((2, 4), np.float32),), ShapeError, "to lie on the axes",
                ((Band("nearest", 5, 2, (2.5,)),), 1)),
        BadCall((np.zeros((2, 0), np.float32),), ShapeError, "elements to read",
                ((Band("nearest", 0, 2, (2.5,)),), 1)),
        BadCall((np.zeros((2, 4), np.int64),), UnsupportedDTypeError, "not implemented",
                ((Band("linear", 4, 2, (2.0, False)),), 1)),
    ],
)  # fmt: skip


def resample(x: Tensor, bands: Bands, first: int) -> Tensor:
    """``x`` with a banded map along each of the axes from ``first`` on."""
    made: Tensor = call.current.apply1(RESAMPLE, x, (bands, first))
    return made


def linear_scale(extent: int, out: int, aligned: bool, factor: float | None) -> float:
    """Input elements per output element: of a given factor, of aligned corners, or of the sizes."""
    if aligned:
        return (extent - 1) / (out - 1) if out > 1 else 0.0
    return 1.0 / factor if factor is not None and factor > 0 else extent / out


def is_wide(place: Layout) -> bool:
    """Whether weights are computed in float64 for data of this layout."""
    return place.dtype is float64
