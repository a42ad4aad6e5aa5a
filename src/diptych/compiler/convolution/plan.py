"""Writes the descriptor of a convolution kernel for given extents and strides."""

from __future__ import annotations

from collections.abc import Sequence

from diptych.compiler.contraction.blocking import Tile, up
from diptych.compiler.convolution.blocking import Box, Cuts, box_of, cuts, tile_for
from diptych.compiler.convolution.descriptor import PHASE_WORDS, Slot
from diptych.compiler.convolution.problem import Four, Problem
from diptych.compiler.llvm.writer import Module
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit, emitter
from diptych.core import dtypes

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
    for size, places, step, reach, before in zip(
        problem.sizes, problem.places, problem.step, problem.reach, problem.before, strict=True
    ):
        if before > 0 or (places - 1) * step + reach - before >= size:
            return False
    apart = problem.x.lane * problem.dtype.itemsize
    return problem.channels < 8 or apart % _ALIASING != 0


def merged_levels(levels: Four, extents: Sequence[int]) -> tuple[int, int]:
    """(levels from the innermost that make one run, elements from one step of it to the next)."""
    run, merged = 1, 0  # steps and levels so far
    stride: int | None = None
    for level in range(3, -1, -1):
        extent = extents[level]
        if extent != 1:
            if stride is None:
                stride = levels[level]
            elif levels[level] != stride * run:
                break
            run *= extent
        merged += 1
    return merged, 1 if stride is None else stride


def _align(number: int) -> int:
    return up(number, _LINE) * _LINE


def descriptor(problem: Problem, chosen: Cuts, tile: Tile) -> tuple[int, ...]:
    """All words of the descriptor, and those of the phases behind them."""
    words = [0] * (Slot.WORDS + PHASE_WORDS * len(problem.phases))
    size = problem.dtype.itemsize

    def put(slot: int, *values: int) -> None:
        words[slot : slot + len(values)] = values

    put(Slot.OVER_TAPS, int(problem.over_taps), problem.images, problem.groups, problem.channels,
        problem.lanes, sum(p.window for p in problem.phases), len(problem.phases))  # fmt: skip
    put(Slot.SIZE, *problem.sizes)
    put(Slot.PLACES, *problem.places)
    put(Slot.STEP, *problem.step)
    put(Slot.BEFORE, *problem.before)
    for first, operand in (
        (Slot.X_GROUP, problem.x), (Slot.B_GROUP, problem.b), (Slot.C_GROUP, problem.c),
    ):  # fmt: skip
        put(first, operand.group * size, operand.lane * size, *[s * size for s in operand.levels])
    put(Slot.RESIDUES, *problem.residues)
    put(Slot.OUT_STEP, *problem.out_step)
    put(Slot.OUT_SIZE, *problem.out_sizes)
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
    counts = [chosen.unit_images, *_counts(problem, chosen)]
    reach = sum(abs(s) * n for s, n in zip(places, counts, strict=True))
    reach += abs(channel) * chosen.chunk_channels
    reach += sum(abs(a) * (far + 1) for a, far in zip(axes, problem.reach, strict=True))
    levels = (chosen.chunk_channels, *problem.phases[0].taps) if problem.over_taps else counts
    results = sum(
        abs(s) * size * n for s, n in zip(_row_strides(problem, chosen), levels, strict=True)
    )
    if max(reach, results) >= LARGEST:
        raise TooLarge


def _counts(problem: Problem, chosen: Cuts) -> list[int]:
    """Places of a unit along the three axes."""
    return [chosen.band if k == chosen.axis else n for k, n in enumerate(problem.places)]


def _row_strides(problem: Problem, chosen: Cuts) -> tuple[int, ...]:
    """Elements between rows of a tile's results: in C, or where phases wait to interleave."""
    if len(problem.phases) == 1:
        return problem.c.levels
    counts = _counts(problem, chosen)
    return counts[0] * counts[1] * counts[2], counts[1] * counts[2], counts[2], 1


def _put_scratch(words: list[int], problem: Problem, chosen: Cuts, box: Box, tile: Tile) -> None:
    """Where everything lies in the shared and in a task's own scratch."""
    size, unit = problem.dtype.itemsize, tile.unit_bytes
    counts = _counts(problem, chosen)
    pixels = chosen.unit_images * counts[0] * counts[1] * counts[2]
    taps = chosen.chunk_channels * problem.window
    rows = taps if problem.over_taps else pixels
    strides = [s * size for s in _row_strides(problem, chosen)]
    words[Slot.ROW_STRIDES : Slot.ROW_STRIDES + 4] = strides
    at = _align(4 * pixels)
    before = 0
    for index, phase in enumerate(problem.phases):
        axes = words[Slot.BOX_AXES : Slot.BOX_AXES + 3]
        inner = problem.places if problem.over_taps else phase.taps
        outermost = problem.images if problem.over_taps else problem.channels
        start = Slot.WORDS + PHASE_WORDS * index
        words[start : start + PHASE_WORDS] = [
            *phase.taps, phase.window, sum(a * s for a, s in zip(axes, phase.shift, strict=True)),
            phase.b_offset * size, at, before,
            *merged_levels(problem.b.levels, (outermost, *inner)),
        ]  # fmt: skip
        at += _align(4 * chosen.chunk_channels * phase.window)
        before += phase.window
    words[Slot.AT_ROWS] = at
    words[Slot.AT_B] = at_b = at + _align(4 * rows)
    lanes = up(problem.lanes, tile.lanes) * tile.lanes
    width = chosen.panel * tile.lanes * unit
    shared_b = problem.groups * lanes * problem.depth * unit if chosen.shared_b else 0
    words[Slot.AT_PARTIAL] = at_partial = at_b + _align(shared_b)
    panel_sums = up(rows, tile.rows) * tile.rows * width
    task_sums = panel_sums * chosen.chunk_panels if problem.over_taps else panel_sums
    areas = problem.groups * words[Slot.PANEL_CHUNKS] * words[Slot.CHANNEL_CHUNKS]
    partial = areas * chosen.chunks * task_sums if chosen.split else 0
    words[Slot.SHARED_BYTES] = at_partial + _align(partial)
    words[Slot.PARTIAL_PANEL] = panel_sums if problem.over_taps else 0
    words[Slot.PARTIAL_TASK] = task_sums
    filled = box.bytes(chosen.unit_images, tile) if words[Slot.FILL] else 0
    steps = pixels if problem.over_taps else chosen.block * problem.window
    words[Slot.AT_BLOCK] = at_block = _align(filled)
    words[Slot.AT_SUMS] = at_sums = at_block + _align(0 if chosen.shared_b else steps * width)
    words[Slot.AT_RESULT] = at_result = at_sums + _align(0 if chosen.split else task_sums)
    results = 0
    if len(problem.phases) > 1:  # interleaving reads whole vectors, past the last row's end
        words[Slot.RESULT_LANE] = _align(pixels * size + tile.lanes * size)
        words[Slot.RESULT_PHASE] = words[Slot.RESULT_LANE] * chosen.panel * tile.lanes
        results = words[Slot.RESULT_PHASE] * len(problem.phases)
    words[Slot.PRIVATE_BYTES] = at_result + results
