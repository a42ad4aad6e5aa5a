"""Gather and scatter nodes to kernels: operands as spaces ``[A, B, J, I]``, work cut into tasks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from diptych.compiler.indexing.guard import GUARD, STATUS_WORDS
from diptych.compiler.indexing.kernels import Indexed, text
from diptych.compiler.lazy import Lazy, Number, Stored
from diptych.compiler.nests.conversion import memory_type
from diptych.compiler.steps import HostStep, KernelStep, Place
from diptych.compiler.unit import CodeUnit
from diptych.core.dtypes import float32, float64, int32, int64
from diptych.core.layout import Shape, broadcast_strides, row_major
from diptych.graph.graph import Node

if TYPE_CHECKING:
    from diptych.compiler.lower import Lowering

_TASK_ELEMENTS = 1 << 14
_ROW_BYTES = 32  # from this size on rows are moved whole
_SUMMED = (float32, float64, int32, int64)
_RANGES = 8  # of the indexed axis, at most: each walks over all indices
_MANY_SLABS = 32  # tasks enough without cutting the axis

Four = tuple[int, int, int, int]


def lower(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    """The results of a gather or scatter; None where NumPy runs it."""
    maker = {
        "take_along": _take_along, "index_select": _select, "index": _select,
        "scatter": _scatter, "index_add": _index_add, "index_put": _index_put,
    }.get(node.op.name)  # fmt: skip
    if maker is None:
        return None
    layouts = [lowering.graph.layouts[value] for value in (*node.operands, *node.results)]
    if any(place.size == 0 or place.dtype.is_complex for place in layouts) or not layouts[0].ndim:
        return None
    made = maker(lowering, node)
    return None if made is None else (made,)


# ---- spaces


def merged(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> tuple[list[int], Any]:
    """Axes joined wherever the strides of all operands allow; axes of one element dropped."""
    extents: list[int] = []
    steps: list[list[int]] = [[] for _ in strides]
    for axis, extent in enumerate(shape):
        if extent == 1:
            continue
        if extents and all(
            have[-1] == given[axis] * extent for have, given in zip(steps, strides, strict=True)
        ):
            extents[-1] *= extent
            for have, given in zip(steps, strides, strict=True):
                have[-1] = given[axis]
            continue
        extents.append(extent)
        for have, given in zip(steps, strides, strict=True):
            have.append(given[axis])
    return extents, steps


class Space:
    """The axes before, along and after the indexed one, as ``[A, B, J, I]``; ``fits`` if they do.

    ``strides`` has one entry per operand: its strides along the axes.
    """

    def __init__(self, before: Shape, along: int, after: Shape, operands: Any) -> None:
        count = len(before)
        outer, outer_steps = merged(before, [steps[:count] for steps in operands])
        inner, inner_steps = merged(after, [steps[count + 1 :] for steps in operands])
        self.fits = len(outer) <= 2 and len(inner) <= 1
        if not self.fits:
            return
        lead = [1] * (2 - len(outer))
        self.extents: Four = (*lead, *outer, along, *(inner or [1]))  # type: ignore[assignment]
        self.strides: list[Four] = [
            (*[0] * len(lead), *have, steps[count], *(rest or [0]))
            for have, steps, rest in zip(outer_steps, operands, inner_steps, strict=True)
        ]


def contiguous(lowering: Lowering, lazy: Lazy) -> Place:
    """A value stored row-major."""
    stored = lowering.store(lazy)
    if not stored.place.layout.contiguous:
        stored = lowering.copied(stored)
    return stored.place


def _emit(
    lowering: Lowering, kind: Indexed, space: Space, extent: int, axis: int, cut: Sequence[int],
    operands: Sequence[Place],
) -> None:  # fmt: skip
    """The kernel, and the step that raises for an index out of range."""
    status = lowering.fresh(int64, (STATUS_WORDS,))
    table, index, rows = space.strides
    desc = (*space.extents, extent, *table, *index, *rows, *cut)
    key = kind.key()
    name = "indexed_" + hashlib.sha256(key.encode()).hexdigest()[:16]
    target = lowering.target
    unit = CodeUnit(name, (("kind", "indexed"), ("indexed", key)), lambda: text(kind, target, name))
    lowering.result.steps.append(KernelStep(unit, desc, (*operands, status)))
    node = Node(GUARD, (), (extent, axis, kind.wrap), (), "")
    lowering.result.steps.append(HostStep(node, (status,), ()))


def inner_of(space: Space) -> str:
    """What a kernel finds along I, and whether it can count along J."""
    if space.extents[3] > 1:
        return "many"
    return "unit" if all(steps[2] == 1 for steps in space.strides) else "one"


def _tasks(pieces: int, work: int) -> int:
    """How many of ``pieces`` of ``work`` elements each go into one task."""
    return max(1, min(pieces, _TASK_ELEMENTS // max(work, 1)))


# ---- gather


def _gather(
    lowering: Lowering, node: Node, table: Place, index: Place, space: Space, axis: int, wrap: bool
) -> Lazy:
    out = lowering.fresh(table.dtype, lowering.shape(node))
    a, b, j, i = space.extents
    size = table.dtype.itemsize
    rows = space.strides[1][3] == 0 and space.strides[0][3] == 1 and i * size >= _ROW_BYTES
    kind = Indexed(
        "gather",
        memory_type(table.dtype),
        size,
        memory_type(index.dtype),
        rows,
        inner_of(space),
        wrap,
    )
    chunk = _tasks(j, i)
    chunks = -(-j // chunk)
    group = _tasks(a * b, i * j) if chunks == 1 else 1
    tasks = chunks * -(-a * b // group)
    extent = table.shape[axis]
    _emit(
        lowering, kind, space, extent, axis, (group, chunk, chunks, tasks, 0), (table, index, out)
    )
    return Stored(out)


def scattered_rows(space: Space, itemsize: int) -> bool:
    """Whether an index names whole rows whose elements lie apart: a copy brings them together."""
    table, index = space.strides[:2]
    return index[3] == 0 and table[3] > 1 and space.extents[3] * itemsize >= _ROW_BYTES


def _take_along(lowering: Lowering, node: Node) -> Lazy | None:
    axis = node.params[0]
    x, index = (lowering.store(lazy).place for lazy in lowering.operands(node))
    shape = index.shape
    for again in range(2):
        given = (x.strides, index.strides, row_major(shape))
        space = Space(shape[:axis], shape[axis], shape[axis + 1 :], given)
        if space.fits and (again or not scattered_rows(space, x.dtype.itemsize)):
            return _gather(lowering, node, x, index, space, axis, False)
        if not again:
            read = (*shape[:axis], x.shape[axis], *shape[axis + 1 :])  # no more than that
            x = contiguous(lowering, Stored(Place(x.storage, x.offset, x.dtype, read, x.strides)))
            if not space.fits:
                index = contiguous(lowering, Stored(index))
    return None


def _select(lowering: Lowering, node: Node) -> Lazy | None:
    wrap = node.op.name == "index"
    x, *indices = lowering.operands(node)
    if len(indices) != 1:
        return None
    axis = node.params[0][0] if wrap else node.params[0]
    table, index = lowering.store(x).place, contiguous(lowering, indices[0])
    count = lowering.graph.layouts[node.operands[1]].size
    before, after = table.shape[:axis], table.shape[axis + 1 :]
    for again in range(2):
        space = Space(before, count, after, _row_strides(table, axis, count))
        if space.fits:
            return _gather(lowering, node, table, index, space, axis, wrap)
        if not again:
            table = contiguous(lowering, Stored(table))
    return None


def _row_strides(table: Place, axis: int, count: int) -> Any:
    """Strides of a table, of the index that all its rows share, and of rows one after another."""
    before, after = table.shape[:axis], table.shape[axis + 1 :]
    shared = (*[0] * len(before), 1, *[0] * len(after))
    return table.strides, shared, row_major((*before, count, *after))


# ---- scatter


def _scattered(
    lowering: Lowering, x: Lazy, index: Place, source: Place, out: Place, space: Space, axis: int,
    mode: str, wrap: bool, whole: bool,
) -> Lazy:  # fmt: skip
    """The kernel over ``out``, which it fills first where ``x`` is zero and it owns all of it."""
    zero = isinstance(x, Number) and x.value == 0 and whole
    if not zero:
        lowering.write_anew(x, out)
    a, b, j, i = space.extents
    size, extent = out.dtype.itemsize, out.shape[axis]
    table, shared, beside = (steps[3] for steps in space.strides)
    rows = shared == 0 and table == 1 and beside == 1 and i * size >= _ROW_BYTES
    kind = Indexed(
        mode, memory_type(out.dtype), size, memory_type(index.dtype), rows, inner_of(space), wrap
    )
    # Every range of the axis means another walk over the indices: few, and only of long rows.
    ranges = max(1, min(_RANGES, extent, i // 4, i * j // _TASK_ELEMENTS)) if rows else 1
    if a * b >= _MANY_SLABS:
        ranges = 1
    chunk = -(-extent // ranges)
    chunks = -(-extent // chunk)
    group = _tasks(a * b, i * (j + extent)) if chunks == 1 else 1
    tasks = chunks * -(-a * b // group)
    cut = (group, chunk, chunks, tasks, int(zero))
    _emit(lowering, kind, space, extent, axis, cut, (index, source, out))
    return Stored(out)


def _accepted(lowering: Lowering, node: Node, mode: str) -> bool:
    return mode == "set" or (mode == "add" and lowering.dtype(node) in _SUMMED)


def _scatter(lowering: Lowering, node: Node) -> Lazy | None:
    axis, mode = node.params
    if not _accepted(lowering, node, mode):
        return None
    x, index_lazy, source_lazy = lowering.operands(node)
    index, source = lowering.store(index_lazy).place, lowering.store(source_lazy).place
    out = lowering.fresh(x.dtype, x.shape)
    shape = index.shape
    whole = shape[:axis] == x.shape[:axis] and shape[axis + 1 :] == x.shape[axis + 1 :]
    for again in range(2):
        given = (out.strides, index.strides, source.strides)
        space = Space(shape[:axis], shape[axis], shape[axis + 1 :], given)
        if space.fits:
            return _scattered(
                lowering, x, index, source, out, space, axis, mode, wrap=False, whole=whole
            )
        if not again:
            index = contiguous(lowering, Stored(index))
            source = contiguous(lowering, Stored(source))
    return None


def _index_add(lowering: Lowering, node: Node) -> Lazy | None:
    axis = node.params[0]
    if not _accepted(lowering, node, "add"):
        return None
    x, index, source = lowering.operands(node)
    return _add_rows(lowering, x, contiguous(lowering, index), source, axis, "add", wrap=False)


def _index_put(lowering: Lowering, node: Node) -> Lazy | None:
    axes, accumulate = node.params
    mode = "add" if accumulate else "set"
    x, values, *indices = lowering.operands(node)
    if len(indices) != 1 or not _accepted(lowering, node, mode):
        return None
    axis = axes[0]
    index = indices[0]
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    place = lowering.store(values).place
    steps = broadcast_strides(place.shape, place.strides, shape)
    spread = Stored(Place(place.storage, place.offset, place.dtype, shape, steps))
    return _add_rows(lowering, x, contiguous(lowering, index), spread, axis, mode, wrap=True)


def _add_rows(
    lowering: Lowering, x: Lazy, index: Place, source: Lazy, axis: int, mode: str, wrap: bool
) -> Lazy | None:
    """Slices written, or added, where an index of one axis names: all of them share it."""
    count = index.layout.size
    rows = contiguous(lowering, source)
    out = lowering.fresh(x.dtype, x.shape)
    table, shared, beside = _row_strides(out, axis, count)
    space = Space(x.shape[:axis], count, x.shape[axis + 1 :], (table, shared, beside))
    if not space.fits:
        return None
    return _scattered(lowering, x, index, rows, out, space, axis, mode, wrap, whole=True)
