"""Recurrences of a graph to kernels: places, the tile, the descriptor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from diptych.compiler.contraction.blocking import Tile, panel_for, tiles_for, up
from diptych.compiler.contraction.spec import Contraction
from diptych.compiler.lazy import Lazy, Number, Stored
from diptych.compiler.llvm.writer import Module
from diptych.compiler.recurrence.spec import Recurrence, Slot
from diptych.compiler.steps import KernelStep, Place, Storage
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit, emitter
from diptych.core.dtypes import DType
from diptych.core.layout import Layout
from diptych.graph.graph import Node
from diptych.ops.recurrence import GATES, GRADIENT, walk

if TYPE_CHECKING:
    from diptych.compiler.lower import Lowering

_FEW, _SOME = 2, 16  # sequences up to which one row, four rows are a tile
_PACKING_STEPS = 6  # steps that pay for packing the weights
_TASK_ROWS = 32  # sequences of a task: their gates should stay in the L2 cache
_ACROSS_WEIGHTS = 100_000  # weights from which one step of one sequence is cut into tasks
_ALIASING = 1024  # rows a multiple of these bytes apart fall into few sets of the caches:
_SPACE = 256  # the products that read them by columns are 5 % quicker with this in between
_PARALLEL_PRODUCTS = 700_000  # multiplications below which the pool is not asked


def lower(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    """The results of one recurrence, or of its gradient, by one kernel."""
    backward = node.op is GRADIENT
    kind, steps, reverse = node.params[:3]
    given = lowering.operands(node)
    incoming = backward and not _is_zero(given[3])
    if backward and not incoming:
        given[3] = given[0]  # y has no cotangent: no kernel reads this place
    places = [_dense(lowering, x) for x in given]
    base = {"lstm": 6, "gru": 5}.get(kind, 5) if backward else {"lstm": 4}.get(kind, 3)
    extra = len(places) > base
    weights = places[0] if backward else places[1]
    width, state = weights.shape
    keep = not backward and node.params[3]
    spec = structure(
        kind, weights.dtype, steps, state, lowering.target,
        backward=backward, keep=keep, extra=extra, incoming=incoming,
    )  # fmt: skip
    layouts = [lowering.graph.layouts[value] for value in node.results]
    pitch = _pitch(width, weights.dtype.itemsize) if backward else width
    spaced = {0, 2} if kind == "gru" else {0}  # the cotangents of the gates
    results = [
        _place(lowering, layout, pitch if backward and number in spaced else layout.shape[1])
        for number, layout in enumerate(layouts)
    ]
    desc = descriptor(spec, steps, reverse, width, state, pitch)
    operands = (*places, *results)
    assert len(operands) == len(spec.pointers), "every pointer has a place"
    lowering.result.steps.append(KernelStep(unit(spec, lowering.target), tuple(desc), operands))
    return tuple([Stored(place) for place in results])


def _pitch(width: int, size: int) -> int:
    """Elements from one row of the gates' cotangents to the next."""
    return width if width * size % _ALIASING else width + _SPACE // size


def _place(lowering: Lowering, layout: Layout, pitch: int) -> Place:
    """Room for a result whose rows are ``pitch`` elements apart."""
    nbytes = layout.shape[0] * pitch * layout.dtype.itemsize
    storage = lowering.add_storage(Storage("temporary", nbytes))
    return Place(storage, 0, layout.dtype, layout.shape, (pitch, 1))


def structure(
    kind: str, dtype: DType, steps: Sequence[int], state: int, target: Target, *,
    backward: bool, keep: bool, extra: bool, incoming: bool,
) -> Recurrence:  # fmt: skip
    """The kernel for recurrences of these sizes."""
    tile, packed = choose(dtype, steps[0], len(steps), backward, state, target)
    projected = extra and kind == "lstm"
    weights = state * state * GATES[kind]
    across = (
        tile.dot and 0 < steps[0] <= _FEW and steps[0] == steps[-1] and not projected
        and weights >= _ACROSS_WEIGHTS
    )  # fmt: skip
    return Recurrence(kind, dtype, backward, keep, extra, incoming, tile, packed, across)


def _is_zero(lazy: Lazy) -> bool:
    return isinstance(lazy, Number) and lazy.value == 0


def _dense(lowering: Lowering, lazy: Lazy) -> Place:
    """The value in memory, row by row."""
    stored = lowering.store(lazy)
    return (stored if stored.place.layout.contiguous else lowering.copied(stored)).place


def choose(
    dtype: DType, batch: int, steps: int, backward: bool, state: int, target: Target
) -> tuple[Tile, bool]:
    """The register tile, and whether the weights are packed for it.

    Few sequences read the weights where they lie: forward along k (dots), backward along columns.
    It follows from shapes alone, so results do not depend on the number of threads.
    """
    main, few, single, dots = tiles_for(Contraction(dtype, dtype, dtype), target)
    tile = main if batch > _SOME else few
    if backward:
        whole = target.vector_bytes >= 64 or state % main.lanes == 0  # no masks below AVX-512
        if batch <= _FEW and whole:
            return single, False
        return tile, steps >= _PACKING_STEPS or not whole
    if batch <= _FEW or steps < _PACKING_STEPS:
        return dots, False
    return tile, True


def descriptor(
    spec: Recurrence, steps: Sequence[int], reverse: bool, width: int, state: int, pitch: int
) -> list[int]:  # fmt: skip
    """The words of ``spec.Slot`` and the table of time steps, in the order of the steps taken."""
    tile, size = spec.tile, spec.dtype.itemsize
    hidden, batch = width // spec.gates, steps[0]
    columns, depth = (state, width) if spec.backward else (width, state)
    second = (hidden, state) if spec.backward else (state, hidden)
    table = list(walk(tuple(steps), reverse))
    if spec.backward:
        table.reverse()
    d = [0] * Slot.TABLE
    d[Slot.STEPS], d[Slot.BATCH] = len(steps), batch
    d[Slot.HIDDEN], d[Slot.STATE], d[Slot.WIDTH] = hidden, state, width
    d[Slot.PITCH] = pitch
    d[Slot.PARALLEL] = int(sum(steps) * state * width > _PARALLEL_PRODUCTS)
    equal = steps[0] == steps[-1]
    d[Slot.TASK_TILES] = max(1, _TASK_ROWS // tile.rows) if equal else 1
    d[Slot.PANEL], d[Slot.PACKED] = panel_for(columns, tile), _room(columns, depth, tile, size)
    if spec.projected:
        d[Slot.SECOND_PANEL] = panel_for(second[0], tile)
        d[Slot.SECOND_PACKED] = _room(*second, tile, size)
    return d + [word for entry in table for word in entry]


def _room(columns: int, depth: int, tile: Tile, size: int) -> int:
    """Bytes of packed weights."""
    return up(up(columns, tile.lanes) * tile.lanes * depth * size, 64) * 64


def unit(spec: Recurrence, target: Target) -> CodeUnit:
    """The kernel of this structure."""
    name = "recurrence"

    def text() -> str:
        module = Module("recurrence " + " ".join("=".join(part) for part in spec.key()))
        writer = emitter("recurrence.driver").KernelWriter(module, name, spec, target)
        if spec.across:
            emitter("recurrence.across").AcrossWriter(writer).write()
        else:
            writer.write()
        return module.text()

    return CodeUnit(name, spec.key(), text)
