"""When a convolution goes plane by plane, and the descriptor of that kernel."""

from __future__ import annotations

import math

from diptych.compiler.contraction.blocking import PARALLEL_CYCLES, Tile, up
from diptych.compiler.convolution.blocking import box_of, tile_for
from diptych.compiler.convolution.descriptor import PlaneSlot, Slot
from diptych.compiler.convolution.problem import Problem, Three
from diptych.compiler.llvm.writer import Module
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit, emitter

_BOX_BYTES = 512 << 10
_ONCE_BYTES = 2 << 20
_TASK_CYCLES = 20_000
_TASKS = 8
_FEATURES = 4
_ROWS_OF_TAPS = (3, 5, 7)
_ALIASING = 4096  # bytes: planes so far apart fall into few sets of the cache


def _items(problem: Problem, tile: Tile) -> tuple[int, int]:
    """(whole vectors of a plane of results, last parts of its rows)."""
    rows = problem.places[0] * problem.places[1]
    return rows * (problem.places[2] // tile.lanes), rows * (problem.places[2] % tile.lanes > 0)


def features_for(problem: Problem) -> int:
    """How many features the register tile takes at once."""
    return 1 if problem.over_taps else min(problem.lanes, _FEATURES)


def rows_of_taps(problem: Problem) -> int:
    """Rows of taps where sums may share rows of the box (one channel, one feature), or 0."""
    taps = problem.phases[0].taps
    plain = problem.step[1] == problem.dilation[1] == problem.places[0] == taps[0] == 1
    alone = not problem.over_taps and problem.channels == problem.lanes == 1
    return taps[1] if plain and alone and taps[1] in _ROWS_OF_TAPS else 0


def cycles(problem: Problem, factor: Three, tile: Tile) -> tuple[float, float]:
    """About how many cycles the kernel by planes takes, and the one by tiles.

    Fitted by eye on Zen 5; only comparisons matter.
    """
    vectors, features = sum(_items(problem, tile)), features_for(problem)
    kernel = problem.channels * problem.window
    box = math.prod(box_of(problem, 2, problem.places[2], problem.channels, tile).extents)
    each = 0.52 * features + (0.13 if problem.step[2] == 1 else 0.78)
    planes: float = up(problem.lanes, features) * kernel * (vectors * each + 2)
    full, tails = _items(problem, tile)
    planes += (3 * full + 8 * tails) * problem.lanes
    if problem.over_taps:
        taps = up(kernel, 9) * 9
        planes = problem.lanes * taps * (vectors * (1.4 if problem.step[2] == 1 else 2) + 5)
    filling = problem.channels * box * (0.25 if factor[2] == 1 else 0.5)
    images = problem.images * problem.groups
    pixels = math.prod(problem.places) * math.prod(problem.residues)
    lanes = up(problem.lanes, tile.lanes)
    # One vector of lanes asks for more loads; planes that alias are stored slowly.
    each = max(0.56 if lanes > 1 else 0.72, 0.5 * tile.lanes / 16)
    alone = len(problem.phases) == 1
    aliasing = alone and problem.c.lane * problem.dtype.itemsize % _ALIASING == 0
    each = max(each * problem.depth / len(problem.phases) + 6, 38 if aliasing else 0)
    tiles = pixels * lanes * each + filling
    if problem.over_taps:
        tiles = pixels * (lanes * 0.56 * up(kernel, tile.rows) * tile.rows + 4 * lanes) + filling
    return images * (planes + filling + 60), images * tiles


def spread(problem: Problem, factor: Three, spread_problem: Problem, target: Target) -> bool:
    """Whether the kernel by planes takes a problem, and is the quicker one."""
    tile = tile_for(problem.dtype, target)
    y = problem.b if problem.over_taps else problem.c
    if spread_problem.step[2] > 2 or (y.levels[3] != 1 and problem.places[2] > 1):
        return False
    box = box_of(spread_problem, 2, spread_problem.places[2], spread_problem.channels, tile)
    once = problem.lanes <= _FEATURES  # the box is read
    if box.bytes(1, tile) > (_ONCE_BYTES if once else _BOX_BYTES) or spread_problem.x.levels[3] < 1:
        return False
    planes, _ = cycles(spread_problem, factor, tile)
    _, tiles = cycles(problem, (1, 1, 1), tile)
    tasks = problem.groups if problem.over_taps else problem.images * problem.groups
    if tasks < _TASKS // 2 and planes >= PARALLEL_CYCLES:
        planes *= 2  # too few tasks for several threads
    return planes < 0.9 * tiles


def plan(problem: Problem, factor: Three, target: Target) -> tuple[CodeUnit, tuple[int, ...]]:
    """The kernel and its descriptor. Pointers: X, B, the bias if there is one, C."""
    tile = tile_for(problem.dtype, target)
    dtype, bias, over_taps, step = (
        problem.dtype, problem.bias, problem.over_taps, problem.step[2],
    )  # fmt: skip
    apart, features = factor != (1, 1, 1), features_for(problem)
    rows = rows_of_taps(problem)
    key = (
        ("kernel", "convolution.planes"), ("dtype", dtype.name), ("bias", str(int(bias))),
        ("over", "taps" if over_taps else "pixels"), ("tile", tile.name), ("step", str(step)),
        ("spread", str(int(apart))),
        ("features", str(features)),
        ("rows", str(rows)),
    )  # fmt: skip

    def text() -> str:
        module = Module("convolution " + " ".join("=".join(part) for part in key))
        emitter("convolution.planes").PlaneWriter(
            module,
            "convolution_planes",
            dtype,
            tile,
            target,
            bias,
            over_taps,
            step,
            apart,
            features,
            rows,
        ).write()
        return module.text()

    unit = CodeUnit("convolution_planes", key, text)
    return unit, _descriptor(problem, factor, tile)


def _descriptor(problem: Problem, factor: Three, tile: Tile) -> tuple[int, ...]:
    words = [0] * (Slot.WORDS + PlaneSlot.WORDS)
    size, unit, base = problem.dtype.itemsize, tile.unit_bytes, int(Slot.WORDS)
    box = box_of(problem, 2, problem.places[2], problem.channels, tile)
    full, tails = _items(problem, tile)
    kernel = problem.channels * problem.window
    y, weight = (problem.b, problem.c) if problem.over_taps else (problem.c, problem.b)

    def put(slot: int, *values: int) -> None:
        words[slot : slot + len(values)] = values

    put(Slot.IMAGES, problem.images, problem.groups, problem.channels, problem.lanes)
    put(Slot.SIZE, *problem.sizes)
    put(Slot.BEFORE, *problem.before)
    put(Slot.FACTOR, *factor)
    for first, operand in ((Slot.X_GROUP, problem.x), (Slot.B_GROUP, y), (Slot.C_GROUP, y)):
        put(first, operand.group * size, operand.lane * size, *[s * size for s in operand.levels])
    put(Slot.BOX, *box.extents)
    put(Slot.BOX_IMAGE, box.image * unit, box.channel * unit, *[s * unit for s in box.axes])
    axes = [s * unit for s in box.axes]
    columns, rest = divmod(problem.places[2], tile.lanes)
    put(base + PlaneSlot.KERNEL, kernel, full, tails, rest)
    planes = problem.groups * (1 if problem.over_taps else problem.images)
    total, _ = cycles(problem, factor, tile)
    group = max(1, min(int(_TASK_CYCLES / max(1.0, total / planes)), up(planes, _TASKS)))
    put(base + PlaneSlot.TASK_PLANES, group, up(planes, group))
    put(base + PlaneSlot.W_GROUP, weight.group * size, weight.lane * size,
        *[s * size for s in weight.levels], problem.phases[0].b_offset * size)  # fmt: skip
    rows = problem.places[:2]
    put(base + PlaneSlot.FULL_EXTENTS, 1, *rows, columns)
    put(base + PlaneSlot.TAIL_EXTENTS, 1, *rows, int(rest > 0))
    step = [s * a for s, a in zip(problem.step, axes, strict=True)]
    put(base + PlaneSlot.X_STRIDES, 0, step[0], step[1], step[2] * tile.lanes)
    put(base + PlaneSlot.Y_STRIDES, 0, y.levels[1] * size, y.levels[2] * size, tile.lanes * size)
    put(base + PlaneSlot.K_EXTENTS, problem.channels, *problem.phases[0].taps)
    put(base + PlaneSlot.K_STRIDES, box.channel * unit,
        *[d * a for d, a in zip(problem.dilation, axes, strict=True)])  # fmt: skip
    put(base + PlaneSlot.X_TAIL, columns * step[2] * tile.lanes, columns * tile.lanes * size)
    at_x = up(4 * kernel, 64) * 64
    at_y = at_x + up(4 * (full + tails), 64) * 64
    shared = at_y + up(4 * (full + tails), 64) * 64
    # Vectors are read past the last row's end: by one, or two where every second place counts.
    filled = up(box.bytes(1, tile) + 4 * tile.lanes * unit, 64) * 64
    weights = kernel * problem.lanes * unit
    if problem.over_taps:  # a group's sums, each a vector until the end
        put(base + PlaneSlot.AT_X, at_x, at_y, filled)
        words[Slot.SHARED_BYTES] = shared
        words[Slot.PRIVATE_BYTES] = filled + weights * tile.lanes
    else:  # all groups' weights, for all tasks
        put(base + PlaneSlot.AT_X, at_x, at_y, shared)
        words[Slot.SHARED_BYTES] = shared + up(weights * problem.groups, 64) * 64
        words[Slot.PRIVATE_BYTES] = filled
    words[Slot.PARALLEL] = int(total >= PARALLEL_CYCLES)
    return tuple(words)
