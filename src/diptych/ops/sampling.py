"""Sampling images at points of a grid: bilinear, nearest or bicubic, whatever lies outside."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import FLOATS, int64
from diptych.core.operation import BadCall, Composite, NoBatching, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import ArgumentError, DTypeError, ShapeError
from diptych.ops.arithmetic import abs_, add, div, floor, fmod, mul, remainder, round_, sub
from diptych.ops.comparison import eq, ge, le, logical_and
from diptych.ops.indexing import take_along
from diptych.ops.movement import broadcast_to, narrow, reshape
from diptych.ops.select import cast, where

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")
_SLOPE = -0.75  # of the cubic convolution


def _pixels(point: Tensor, extent: int, aligned: bool) -> Any:
    """Coordinates from -1 to 1 in pixels: of the corners' centers, or of the corners' edges."""
    if aligned:
        return mul(add(point, 1.0), (extent - 1) / 2.0)
    return div(sub(mul(add(point, 1.0), float(extent)), 1.0), 2.0)


def _clipped(x: Tensor, extent: int) -> Any:
    """Coordinates kept inside; at the border and beyond no gradient flows."""
    last = float(extent - 1)
    return where(le(x, 0.0), 0.0, where(ge(x, last), last, x))


def _reflected(x: Tensor, extent: int, aligned: bool) -> Any:
    """Coordinates folded back at the centers, or the edges, of the outermost pixels."""
    low = 0.0 if aligned else -0.5
    span = float(extent - 1 if aligned else extent)
    if not span:
        return mul(x, 0.0)
    x = abs_(sub(x, low))
    rest = fmod(x, span)
    even = eq(remainder(floor(div(x, span)), 2.0), 0.0)
    return _clipped(where(even, add(rest, low), sub(span + low, rest)), extent)


def _padded(x: Tensor, extent: int, padding: str, aligned: bool) -> Any:
    if padding == "border":
        return _clipped(x, extent)
    return _reflected(x, extent, aligned) if padding == "reflection" else x


def _read(flat: Tensor, places: list[Any], extents: tuple[int, ...]) -> Any:
    """The pixels at whole coordinates, zeros outside: ``[N, C, points]``."""
    inside: Any = None
    position: Any = None
    for place, extent in zip(places, extents, strict=True):
        here = logical_and(ge(place, 0.0), le(place, float(extent - 1)))
        inside = here if inside is None else logical_and(inside, here)
        # What is far outside, or NaN, fits no integer: it reads pixel 0 and is dropped below.
        along = cast(where(here, place, 0.0), int64)
        position = along if position is None else add(mul(position, extent), along)
    batch, channels = flat.layout.shape[:2]
    points = position.layout.shape[-1]
    shape = (batch, channels, points)
    index = broadcast_to(reshape(position, (batch, 1, points)), shape)
    mask = broadcast_to(reshape(inside, (batch, 1, points)), shape)
    return where(mask, take_along(flat, index, 2), 0.0)


def _weigh(values: Any, weights: list[Any]) -> Any:
    weight = weights[0]
    for other in weights[1:]:
        weight = mul(weight, other)
    batch, points = weight.layout.shape
    return mul(values, reshape(weight, (batch, 1, points)))


def _cubic(t: Any) -> list[Any]:
    """The weights of the four neighbours of a point ``t`` after the second."""

    def near(x: Any) -> Any:
        inner = sub(mul(x, _SLOPE + 2.0), _SLOPE + 3.0)
        return add(mul(mul(inner, x), x), 1.0)

    def far(x: Any) -> Any:
        inner = add(mul(sub(mul(x, _SLOPE), 5.0 * _SLOPE), x), 8.0 * _SLOPE)
        return sub(mul(inner, x), 4.0 * _SLOPE)

    return [far(add(t, 1.0)), near(t), near(sub(1.0, t)), far(sub(2.0, t))]


def _taps(point: Tensor, extent: int, mode: str, padding: str, aligned: bool) -> Any:
    """The whole coordinates around a point along one axis, each with its weight."""
    x = _pixels(point, extent, aligned)
    if mode == "bicubic":
        below = floor(x)
        weights = _cubic(sub(x, below))
        return [
            (_padded(add(below, tap - 1.0), extent, padding, aligned), weights[tap])
            for tap in range(4)
        ]
    x = _padded(x, extent, padding, aligned)
    if mode == "nearest":
        return [(round_(x), None)]
    below = floor(x)
    above = add(below, 1.0)
    return [(below, sub(above, x)), (above, sub(x, below))]


def _check(x: Tensor, grid: Tensor, mode: str, padding: str) -> None:
    if mode not in MODES or padding not in PADDINGS:
        raise ArgumentError(
            op="grid_sample", argument="mode", got=(mode, padding),
            expected=f"one of {MODES} with one of {PADDINGS}",
        )  # fmt: skip
    a, b = x.layout, grid.layout
    if a.ndim not in (4, 5) or b.ndim != a.ndim or b.shape[0] != a.shape[0]:
        raise ShapeError(
            op="grid_sample", argument="grid", got=b.shape,
            expected=f"as many dimensions and the batch of {list(a.shape)}",
        )  # fmt: skip
    if b.shape[-1] != a.ndim - 2 or 0 in a.shape[2:]:
        raise ShapeError(
            op="grid_sample", argument="grid", got=b.shape,
            expected=f"{a.ndim - 2} coordinates in the last dimension, and pixels to read",
        )  # fmt: skip
    if a.dtype not in FLOATS or b.dtype is not a.dtype:
        raise DTypeError(
            f"grid_sample: expected input and grid of one float dtype, got {a.dtype} and {b.dtype}"
        )


def _forward(x: Tensor, grid: Tensor, mode: str, padding: str, aligned: bool) -> Tensor:
    _check(x, grid, mode, padding)
    batch, channels, *extents = x.layout.shape
    count = len(extents)
    outs = grid.layout.shape[1:-1]
    points = size = 1
    for out in outs:
        points *= out
    for extent in extents:
        size *= extent
    flat = reshape(x, (batch, channels, size))
    axes = []
    for axis, extent in enumerate(extents):  # the last coordinate is that of the first axis
        point = reshape(narrow(grid, count + 1, count - 1 - axis, 1), (batch, points))
        axes.append(_taps(point, extent, mode, padding, aligned))
    total: Any = None
    for corner in itertools.product(*axes):
        values = _read(flat, [place for place, _ in corner], tuple(extents))
        weights = [weight for _, weight in corner if weight is not None]
        part = _weigh(values, weights) if weights else values
        total = part if total is None else add(total, part)
    return reshape(total, (batch, channels, *outs))


def _samples() -> Iterable[Sample]:
    random = np.random.default_rng(3)
    x = random.normal(size=(2, 3, 5, 4)).astype(np.float32)
    grid = random.uniform(-1.4, 1.4, (2, 3, 4, 2)).astype(np.float32)
    for mode, padding, aligned in (
        ("bilinear", "zeros", False), ("bilinear", "reflection", True),
        ("nearest", "border", True), ("bicubic", "border", False),
    ):  # fmt: skip
        yield Sample((x[:, :2], grid), (mode, padding, aligned))
    volume = random.normal(size=(1, 2, 3, 2, 4)).astype(np.float32)
    points = random.uniform(-1.2, 1.2, (1, 2, 1, 3, 3)).astype(np.float32)
    yield Sample((volume, points), ("bilinear", "zeros", False))
    yield Sample((x[:0], grid[:0]), ("bilinear", "zeros", False))


GRID_SAMPLE = Composite(
    "grid_sample", params=("mode", "padding", "aligned"), forward=_forward,
    batch=NoBatching("grid_sample: no batching rule is written yet"), samples=_samples,
    tolerance=Tolerance({"float32": 1e-4}),
    errors=lambda: [
        BadCall((np.zeros((1, 1, 2, 2)), np.zeros((2, 1, 1, 2))), ShapeError, "the batch of",
                ("bilinear", "zeros", False)),
        BadCall((np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 1, 3))), ShapeError, "2 coordinates",
                ("bilinear", "zeros", False)),
        BadCall((np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 1, 2))), ArgumentError, "one of",
                ("cubic", "zeros", False)),
        BadCall((np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 1, 2), np.float32)), DTypeError,
                "one float dtype", ("bilinear", "zeros", False)),
    ],
)  # fmt: skip


def grid_sample(x: Tensor, grid: Tensor, mode: str, padding: str, aligned: bool) -> Tensor:
    """``x`` ``[N, C, ...]`` at the points of ``grid`` ``[N, ..., 2 or 3]``, from -1 to 1."""
    made: Tensor = call.current.apply2(GRID_SAMPLE, x, grid, (mode, padding, aligned))
    return made
