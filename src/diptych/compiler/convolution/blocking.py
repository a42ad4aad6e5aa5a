"""Sizes: how a convolution is cut into units of pixels, blocks of k, chunks and tasks.

Every number follows from the shapes and the target, never from the number of threads: the cuts
decide in which order partial sums are added.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from diptych.compiler.contraction.blocking import PARALLEL_CYCLES, Tile, even, up
from diptych.compiler.contraction.spec import LLVM_TYPES
from diptych.compiler.convolution.problem import Problem, Three
from diptych.compiler.target import Target
from diptych.core import dtypes
from diptych.core.dtypes import DType

BOX_BYTES = 384 << 10  # a task's box of X: it should stay in the L2 cache beside a block of B
SUMS_BYTES = 288 << 10  # a task's partial sums
_DEPTH = 640  # steps along k of a block: with a panel of B they stay in the L2 cache
_UNIT_PIXELS = 512  # pixels of a unit over taps: k of its block
_TASKS = 8  # at least so many, that a few threads all have some
_LINE = 64


def tile_for(dtype: DType, target: Target) -> Tile:
    """The register tile: 8 x 3 vectors of AVX-512, 6 x 2 of AVX2, 4 x 3 of 16 bytes."""
    acc = dtypes.accumulator(dtype)
    rows, vectors = {64: (8, 3), 32: (6, 2)}.get(target.vector_bytes, (4, 3))
    return Tile(rows, vectors, target.lanes(acc.itemsize), LLVM_TYPES[acc.name], False)


@dataclass(frozen=True)
class Box:
    """The part of X that a unit reads: extents, and strides in elements."""

    extents: Three
    axes: Three
    channel: int
    image: int

    def bytes(self, images: int, tile: Tile) -> int:
        """Room for so many images; rows are written in whole vectors, past the last one's end."""
        return (images * self.image + tile.lanes) * tile.unit_bytes


@dataclass(frozen=True)
class Cuts:
    """How one problem is cut: see the slots of the same names in ``descriptor``."""

    axis: int
    band: int
    bands: int
    unit_images: int
    units: int
    chunk_units: int
    chunk_channels: int
    chunk_panels: int
    panel: int
    panels: int
    block: int
    shared_b: bool
    split: bool
    parallel: bool

    @property
    def chunks(self) -> int:
        return up(self.units, self.chunk_units)


def cut_axis(places: Three) -> int:
    """The outermost axis with more than one place: rows of a table then stay in order."""
    return next((axis for axis in range(3) if places[axis] > 1), 2)


def box_of(problem: Problem, axis: int, band: int, channels: int, tile: Tile) -> Box:
    """The box of a unit with ``band`` places along ``axis`` and so many channels."""
    counts = [band if k == axis else n for k, n in enumerate(problem.places)]
    extents = [
        (n - 1) * s + far + 1 for n, s, far in zip(counts, problem.step, problem.reach, strict=True)
    ]
    pitch = extents[2]
    plane = extents[1] * pitch
    # Channels lie an odd number of cache lines apart, so that a place's channels do not all fall
    # into the same few sets of the cache.
    line = _LINE // tile.unit_bytes
    channel = extents[0] * plane
    if problem.x.lane == 1 and problem.x.levels[3] != 1:  # see ``FillWriter._turned``
        channel += tile.lanes
    if channel >= 4 * line:
        channel = up(channel, line) * line
        channel += line if channel // line % 2 == 0 else 0
    made = (extents[0], extents[1], extents[2])
    return Box(made, (plane, pitch, 1), channel, channel * channels)


def work(problem: Problem, tile: Tile) -> float:
    """About how many cycles the register tile takes."""
    per_pixel = problem.depth * up(problem.lanes, tile.lanes)
    return problem.pixels * problem.groups * per_pixel / 2.0


def cuts(problem: Problem, tile: Tile) -> Cuts:
    """Cut a problem."""
    vectors = up(problem.lanes, tile.lanes)
    panels = up(vectors, tile.vectors)
    panel = up(vectors, panels)
    panels = up(vectors, panel)
    parallel = work(problem, tile) >= PARALLEL_CYCLES
    make = _over_taps if problem.over_taps else _over_pixels
    return make(problem, tile, panel, panels, parallel)


def _units(problem: Problem, tile: Tile, channels: int, pixels: int) -> tuple[int, int, int, int]:
    """(axis, band, bands, images of a unit) for about so many pixels in a box that fits."""
    axis, plane = cut_axis(problem.places), math.prod(problem.places)
    whole = problem.places[axis]
    row = plane // max(1, whole)
    band = max(1, min(whole, up(pixels, max(1, row))))
    while band > 1:
        if box_of(problem, axis, band, channels, tile).bytes(1, tile) <= BOX_BYTES:
            break
        band -= max(1, band // 8)
    band = even(whole, band, 1)
    images = 1
    if band == whole:
        box = box_of(problem, axis, band, channels, tile)
        most = max(1, min(pixels // max(1, plane), BOX_BYTES // max(1, box.bytes(1, tile))))
        images = even(problem.images, most, 1)
    return axis, band, up(whole, band), images


def _over_pixels(problem: Problem, tile: Tile, panel: int, panels: int, parallel: bool) -> Cuts:
    """Rows are pixels: a unit is a task, with some or all panels."""
    wanted = max(16 * tile.rows, up(problem.pixels * problem.groups, _TASKS))
    axis, band, bands, images = _units(problem, tile, problem.channels, wanted)
    units = up(problem.images, images) * bands
    chunk_panels = panels
    while parallel and units * problem.groups * up(panels, chunk_panels) < _TASKS:
        if chunk_panels == 1:
            break
        chunk_panels = up(chunk_panels, 2)
    deep = max(1, _DEPTH // max(1, problem.window))
    block = even(problem.channels, deep, 1)
    return Cuts(
        axis=axis, band=band, bands=bands, unit_images=images, units=units, chunk_units=1,
        chunk_channels=max(1, problem.channels), chunk_panels=chunk_panels, panel=panel,
        panels=panels, block=block, shared_b=units > 1, split=False, parallel=parallel,
    )  # fmt: skip


def _over_taps(problem: Problem, tile: Tile, panel: int, panels: int, parallel: bool) -> Cuts:
    """Rows are taps: units of pixels are summed within tasks, and chunks of them afterwards."""
    width = panel * tile.lanes * tile.unit_bytes
    chunk_panels = panels
    channels = max(1, problem.channels)
    chunk_channels = channels

    def sums() -> int:
        rows = up(chunk_channels * problem.window, tile.rows) * tile.rows
        return rows * chunk_panels * width

    while sums() > SUMS_BYTES:
        if chunk_channels * problem.window > 4 * tile.rows and chunk_channels > 1:
            chunk_channels = up(chunk_channels, 2)
        elif chunk_panels > 1:
            chunk_panels = up(chunk_panels, 2)
        else:
            break
    axis, band, bands, images = _units(problem, tile, chunk_channels, _UNIT_PIXELS)
    units = up(problem.images, images) * bands

    def areas() -> int:
        return problem.groups * up(channels, chunk_channels) * up(panels, chunk_panels)

    chunks = 1
    if parallel and areas() < _TASKS:
        chunks = min(units, up(_TASKS, areas()))
        while areas() * chunks < _TASKS and chunk_channels * problem.window > 4 * tile.rows:
            if chunk_channels == 1:
                break
            chunk_channels = up(chunk_channels, 2)
    chunk_units = up(units, chunks)
    return Cuts(
        axis=axis, band=band, bands=bands, unit_images=images, units=units,
        chunk_units=chunk_units, chunk_channels=chunk_channels, chunk_panels=chunk_panels,
        panel=panel, panels=panels, block=channels, shared_b=False,
        split=up(units, chunk_units) > 1, parallel=parallel,
    )  # fmt: skip
