"""Sampling images at points of a grid: bilinear, nearest or bicubic, whatever lies outside."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from diptych.core import call
from diptych.core.dtypes import FLOATS, DType, float32, float64, int32
from diptych.core.operation import BadCall, Composite, NoBatching, Sample, Tolerance
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import ArgumentError, DTypeError, ShapeError
from diptych.ops.arithmetic import abs_, add, div, floor, fmod, mul, remainder, round_, sub
from diptych.ops.comparison import eq, ge, le, logical_and
from diptych.ops.creation import iota
from diptych.ops.movement import broadcast_to, concatenate, narrow, reshape
from diptych.ops.sections import sections
from diptych.ops.select import cast, constant, where
from diptych.ops.taps import read_taps

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")
_SLOPE = -0.75  # of the cubic convolution
_POSITIONS = 1 << 31


class _Axis(NamedTuple):
    """The numbers of one axis, as tensors: other extents are no other code."""

    last: Tensor  # the outermost pixel
    scale: Tensor  # pixels for a coordinate of 1
    span: Tensor  # between two reflections
    far: Tensor  # the place of the second
    step: Tensor  # pixels of a plane from one of this axis to the next
    flat: bool  # whether there is no span


def _axes(extents: tuple[int, ...], aligned: bool, dtype: DType) -> list[_Axis]:
    numbers, steps, step = [], [], 1
    for extent in extents[::-1]:
        span = float(extent - 1 if aligned else extent)
        numbers.append((extent - 1, span if aligned else extent, span, span + _low(aligned)))
        steps.append(step)
        step *= extent
    table = copy_array(np.array(numbers[::-1], dtype.numpy).ravel(), Tensor)
    counts = copy_array(np.array(steps[::-1], np.int32), Tensor)
    return [
        _Axis(
            narrow(table, 0, 4 * axis, 1), narrow(table, 0, 4 * axis + 1, 1),
            narrow(table, 0, 4 * axis + 2, 1), narrow(table, 0, 4 * axis + 3, 1),
            narrow(counts, 0, axis, 1), aligned and extent == 1,
        )
        for axis, extent in enumerate(extents)
    ]  # fmt: skip


def _low(aligned: bool) -> float:
    """Where coordinates are first reflected."""
    return 0.0 if aligned else -0.5


def _pixels(point: Tensor, axis: _Axis, aligned: bool) -> Any:
    """Coordinates from -1 to 1 in pixels: of the corners' centers, or of the corners' edges."""
    made = mul(add(point, 1.0), axis.scale)
    return mul(made if aligned else sub(made, 1.0), 0.5)


def _clipped(x: Tensor, axis: _Axis) -> Any:
    """Coordinates kept inside; at the border and beyond no gradient flows."""
    return where(le(x, 0.0), 0.0, where(ge(x, axis.last), axis.last, x))


def _reflected(x: Tensor, axis: _Axis, aligned: bool) -> Any:
    """Coordinates folded back at the centers, or the edges, of the outermost pixels."""
    if axis.flat:
        return mul(x, 0.0)
    low = _low(aligned)
    x = abs_(sub(x, low))
    rest = fmod(x, axis.span)
    even = eq(remainder(floor(div(x, axis.span)), 2.0), 0.0)
    return _clipped(where(even, add(rest, low), sub(axis.far, rest)), axis)


def _padded(x: Tensor, axis: _Axis, padding: str, aligned: bool) -> Any:
    if padding == "border":
        return _clipped(x, axis)
    return _reflected(x, axis, aligned) if padding == "reflection" else x


def _cubic_weight(t: Any) -> Any:
    """The cubic convolution at a distance from -2 to 2."""
    d = abs_(t)
    inner = sub(mul(d, _SLOPE + 2.0), _SLOPE + 3.0)
    near = add(mul(mul(inner, d), d), 1.0)
    inner = add(mul(sub(mul(d, _SLOPE), 5.0 * _SLOPE), d), 8.0 * _SLOPE)
    far = sub(mul(inner, d), 4.0 * _SLOPE)
    return where(le(d, 1.0), near, far)


def _coordinates(grid: Tensor, axes: list[_Axis], mode: str, padding: str, aligned: bool) -> Any:
    """Points in pixels, brought inside where whole pixels are not: ``[N, axes, P]``."""
    count = len(axes)
    flat = (grid.layout.shape[0], 1, math.prod(grid.layout.shape[1:-1]))
    made = []
    given = sections(grid, count + 1, [1] * count)
    for point, axis in zip(given[::-1], axes, strict=True):  # the last is of the first axis
        x = _pixels(reshape(point, flat), axis, aligned)
        made.append(x if mode == "bicubic" else _padded(x, axis, padding, aligned))
    return concatenate(made, 1)  # which stores them: every tap reads them all


def _taps(x: Tensor, axis: _Axis, mode: str, padding: str, aligned: bool) -> Any:
    """The whole coordinates around points along one axis and their weights: ``[N, taps, P]``."""
    dtype = x.layout.dtype
    if mode == "bicubic":
        below = floor(x)
        step = cast(iota((4, 1), 0), dtype)
        places = add(below, sub(step, 1.0))
        weight = _cubic_weight(sub(sub(x, below), sub(step, 1.0)))
        return _padded(places, axis, padding, aligned), weight
    if mode == "nearest":
        return round_(x), None
    below = floor(x)
    step = cast(iota((2, 1), 0), dtype)
    weight = where(eq(step, 0.0), sub(add(below, 1.0), x), sub(x, below))
    return add(below, step), weight


def _combined(parts: list[Any], join: Any) -> Any:
    """Values along each axis' taps, for all combinations of taps: ``[N, taps, ..., P]``."""
    made: Any = None
    for axis, part in enumerate(parts):
        batch, taps, points = part.layout.shape
        shape = [batch, *[1] * len(parts), points]
        shape[1 + axis] = taps
        part = reshape(part, tuple(shape))
        made = part if made is None else join(made, part)
    return made


def _positions(places: list[Any], axes: list[_Axis]) -> Any:
    """Flat positions of pixels at whole coordinates, -1 outside: ``[N, taps, ..., P]``, int32."""
    inside, along = [], []
    for place, axis in zip(places, axes, strict=True):
        here = logical_and(ge(place, 0.0), le(place, axis.last))
        inside.append(here)
        # What is far outside, or NaN, fits no integer: it counts as 0 until it is dropped below.
        along.append(mul(cast(where(here, place, 0.0), int32), axis.step))
    return where(_combined(inside, logical_and), _combined(along, add), -1)


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
    if math.prod(a.shape[2:]) >= _POSITIONS:
        raise ShapeError(
            op="grid_sample", argument="input", got=a.shape, expected="pixels that int32 can count"
        )
    if a.dtype not in FLOATS or b.dtype is not a.dtype:
        raise DTypeError(
            f"grid_sample: expected input and grid of one float dtype, got {a.dtype} and {b.dtype}"
        )


def _forward(x: Tensor, grid: Tensor, mode: str, padding: str, aligned: bool) -> Tensor:
    _check(x, grid, mode, padding)
    batch, channels, *extents = x.layout.shape
    dtype = x.layout.dtype
    if dtype is not float64:
        x, grid = cast(x, float32), cast(grid, float32)
    outs = grid.layout.shape[1:-1]
    points, size = math.prod(outs), math.prod(extents)
    axes = _axes(tuple(extents), aligned, x.layout.dtype)
    places, weights = [], []
    at = sections(_coordinates(grid, axes, mode, padding, aligned), 1, [1] * len(axes))
    for axis, along in zip(axes, at, strict=True):
        place, weight = _taps(along, axis, mode, padding, aligned)
        places.append(place)
        weights.append(weight)
    position = _positions(places, axes)
    flat = (batch, math.prod(position.layout.shape[1:-1]), points)
    weight = (
        broadcast_to(constant(1.0, x.layout.dtype), flat)
        if mode == "nearest"
        else _combined(weights, mul)
    )
    made = read_taps(
        reshape(x, (batch, channels, size)), reshape(weight, flat), reshape(position, flat)
    )
    return cast(reshape(made, (batch, channels, *outs)), dtype)


def _samples() -> Iterable[Sample]:
    random = np.random.default_rng(3)
    x = random.normal(size=(2, 3, 5, 4)).astype(np.float32)
    grid = random.uniform(-1.4, 1.4, (2, 3, 4, 2)).astype(np.float32)
    for mode, padding, aligned in (
        ("bilinear", "reflection", True), ("nearest", "border", True), ("bicubic", "border", False),
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
