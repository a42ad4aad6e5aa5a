"""Writes the descriptor of a convolution kernel for given extents and strides."""

from __future__ import annotations

from collections.abc import Sequence

from diptych.compiler.contraction.blocking import Tile, up
from diptych.compiler.convolution.blocking import Box, Cuts, box_of, cuts, tile_for
from diptych.compiler.convolution.descriptor import Slot
from diptych.compiler.convolution.problem import Four, Problem
from diptych.compiler.llvm.writer import Module
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit, emitter
from diptych.core import dtypes
from diptych.core.dtypes import DType

LARGEST = 1 << 31  # offsets in a task's tables stay below this
_ALIASING = 2048  # bytes: channels a multiple of this apart fall into few sets of the cache
_LINE = 64


class TooLarge(Exception):
    """A unit's offsets do not fit the tables: NumPy's reference has to do it."""


def plan(problem: Problem, target: Target) -> tuple[CodeUnit, tuple[int, ...]]:
    """The kernel and its descriptor. Pointers: X, B, the bias if there is one, C."""
    tile = tile_for(problem.dtype, target)
    chosen = cuts(problem, tile)
    return unit_for(problem, tile, target), descriptor(problem, chosen, tile)


def unit_for(problem: Problem, tile: Tile, target: Target) -> CodeUnit:
    """The kernel's code: it depends on the dtype, the bias and what k runs over."""
    dtype, bias, over_taps = problem.dtype, problem.bias, problem.over_taps
    key = (
        ("kernel", "convolution.tile"), ("dtype", dtype.name), ("bias", str(int(bias))),
        ("over", "taps" if over_taps else "pixels"), ("tile", tile.name),
    )  # fmt: skip

    def text() -> str:
        module = Module("convolution " + " ".join("=".join(part) for part in key))
        driver = emitter("convolution.driver")
        driver.DriverWriter(module, "convolution", dtype, tile, target, bias, over_taps).write()
        return module.text()

    return CodeUnit("convolution", key, text)


def reads_x_itself(problem: Problem, chosen: Cuts) -> bool:
    """Whether the tile may read X where it lies: no zeros around it, no conversion, no aliasing."""
    if dtypes.accumulator(problem.dtype) is not problem.dtype:
        return False
    for size, places, step, taps, dilation, before in zip(
        problem.sizes, problem.places, problem.step, problem.taps, problem.dilation,
        problem.before, strict=True,
    ):  # fmt: skip
        if before > 0 or (places - 1) * step + max(taps - 1, 0) * dilation - before >= size:
            return False
    apart = problem.x.lane * problem.dtype.itemsize
    return problem.channels < 8 or apart % _ALIASING != 0


def merged_levels(levels: Four, extents: Sequence[int]) -> tuple[int, int]:
    """(levels from the innermost that make one run, elements from one step of it to the next).

    Extents of zero stand for ones that differ between blocks: their level starts a run of its own.
    """
    run = 1  # steps so far
    stride = 0
    merged = 0
    for level in range(3, -1, -1):
        extent = extents[level]
        if extent != 1:
            if run == 1:
                stride = levels[level]
            elif levels[level] != stride * run:
                break
            run *= extent
        merged += 1
    return merged, stride if stride else 1


def _align(number: int) -> int:
    return up(number, _LINE) * _LINE


def descriptor(problem: Problem, chosen: Cuts, tile: Tile) -> tuple[int, ...]:
    """All words of the descriptor."""
    words = [0] * Slot.WORDS
    size = problem.dtype.itemsize

    def put(slot: int, *values: int) -> None:
        words[slot : slot + len(values)] = values

    put(Slot.OVER_TAPS, int(problem.over_taps), problem.images, problem.groups, problem.channels,
        problem.lanes, problem.window)  # fmt: skip
    put(Slot.SIZE, *problem.sizes)
    put(Slot.PLACES, *problem.places)
    put(Slot.TAPS, *problem.taps)
    put(Slot.STEP, *problem.step)
    put(Slot.BEFORE, *problem.before)
    for first, operand in ((Slot.X_GROUP, problem.x),):
        put(first, operand.group * size, operand.lane * size, *[s * size for s in operand.levels])
    for first, operand in ((Slot.B_OFFSET, problem.b),):
        put(first, operand.offset * size, operand.group * size, operand.lane * size,
            *[s * size for s in operand.levels])  # fmt: skip
    c = problem.c
    put(Slot.C_OFFSET, c.offset * size, c.group * size, c.lane * size,
        *[s * size for s in c.levels])  # fmt: skip
    # Images, and bands where there are several, differ in number between units.
    inner = problem.places if problem.over_taps else problem.taps
    put(Slot.B_MERGED, *merged_levels(problem.b.levels, _k_extents(problem, chosen, inner)))
    box = box_of(problem, chosen.axis, chosen.band, chosen.chunk_channels, tile)
    _put_box(words, problem, chosen, box, tile)
    put(Slot.AXIS, chosen.axis, chosen.band, chosen.bands, chosen.unit_images, chosen.units,
        chosen.chunk_units, chosen.chunks, chosen.chunk_channels,
        up(max(1, problem.channels), chosen.chunk_channels), chosen.chunk_panels,
        up(chosen.panels, chosen.chunk_panels), chosen.panel, chosen.panels, chosen.block,
        int(chosen.shared_b), int(chosen.split))  # fmt: skip
    _put_scratch(words, problem, chosen, box, tile)
    put(Slot.PARALLEL, int(chosen.parallel))
    return tuple(words)


def _k_extents(problem: Problem, chosen: Cuts, inner: Sequence[int]) -> list[int]:
    """The extents of k's levels, for merging: the outermost may be any number."""
    outermost = problem.images if problem.over_taps else max(1, problem.channels)
    return [outermost, *inner]


def _put_box(words: list[int], problem: Problem, chosen: Cuts, box: Box, tile: Tile) -> None:
    """Strides of the box, or of X itself, and of the tables."""
    size = problem.dtype.itemsize
    direct = reads_x_itself(problem, chosen)
    if direct:
        axes = [s * size for s in problem.x.levels[1:]]
        channel, image = problem.x.lane * size, problem.x.levels[0] * size
    else:
        axes = [s * tile.unit_bytes for s in box.axes]
        channel, image = box.channel * tile.unit_bytes, box.image * tile.unit_bytes
    words[Slot.FILL] = int(not direct)
    words[Slot.BOX : Slot.BOX + 3] = box.extents
    words[Slot.BOX_IMAGE] = image
    words[Slot.BOX_CHANNEL] = channel
    words[Slot.BOX_AXES : Slot.BOX_AXES + 3] = axes
    places = [image, *[s * a for s, a in zip(problem.step, axes, strict=True)]]
    taps = [channel, *[d * a for d, a in zip(problem.dilation, axes, strict=True)]]
    words[Slot.PIXEL_STRIDES : Slot.PIXEL_STRIDES + 4] = places
    words[Slot.TAP_STRIDES : Slot.TAP_STRIDES + 4] = taps
    counts = [chosen.unit_images, *problem.places]
    reach = sum(abs(s) * n for s, n in zip(places, counts, strict=True))
    reach += sum(
        abs(s) * n for s, n in zip(taps, (chosen.chunk_channels, *problem.taps), strict=True)
    )
    levels = (chosen.chunk_channels, *problem.taps) if problem.over_taps else counts
    results = sum(abs(s) * size * n for s, n in zip(problem.c.levels, levels, strict=True))
    if max(reach, results) >= LARGEST:
        raise TooLarge


def _put_scratch(words: list[int], problem: Problem, chosen: Cuts, box: Box, tile: Tile) -> None:
    """Where everything lies in the shared and in a task's own scratch."""
    counts = [chosen.band if k == chosen.axis else n for k, n in enumerate(problem.places)]
    pixels = chosen.unit_images * counts[0] * counts[1] * counts[2]
    taps = chosen.chunk_channels * problem.window
    rows = taps if problem.over_taps else pixels
    words[Slot.TABLE_PIXELS], words[Slot.TABLE_TAPS] = pixels, taps
    at_taps = _align(4 * pixels)
    at_rows = at_taps + _align(4 * taps)
    at_b = at_rows + _align(4 * rows)
    lanes = up(problem.lanes, tile.lanes) * tile.lanes
    width = chosen.panel * tile.lanes * tile.unit_bytes
    depth = max(1, problem.channels) * problem.window
    shared_b = problem.groups * lanes * depth * tile.unit_bytes if chosen.shared_b else 0
    at_partial = at_b + _align(shared_b)
    panel_sums = up(rows, tile.rows) * tile.rows * width
    task_sums = panel_sums * chosen.chunk_panels if problem.over_taps else panel_sums
    areas = problem.groups * words[Slot.PANEL_CHUNKS] * words[Slot.CHANNEL_CHUNKS]
    partial = areas * chosen.chunks * task_sums if chosen.split else 0
    filled = box.bytes(chosen.unit_images, tile) if words[Slot.FILL] else 0
    steps = pixels if problem.over_taps else chosen.block * problem.window
    block = 0 if chosen.shared_b else steps * width
    at_block = _align(filled)
    at_sums = at_block + _align(block)
    words[Slot.PARTIAL_PANEL] = panel_sums if problem.over_taps else 0
    words[Slot.PARTIAL_TASK] = task_sums
    words[Slot.SHARED_BYTES] = at_partial + _align(partial)
    words[Slot.AT_TAPS], words[Slot.AT_ROWS] = at_taps, at_rows
    words[Slot.AT_B], words[Slot.AT_PARTIAL] = at_b, at_partial
    words[Slot.PRIVATE_BYTES] = at_sums + (0 if chosen.split else task_sums)
    words[Slot.AT_BLOCK], words[Slot.AT_SUMS] = at_block, at_sums


__all__ = ["DType", "TooLarge", "plan"]
