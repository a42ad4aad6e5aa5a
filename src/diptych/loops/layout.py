"""The run-time numbers of a nest: collapsing index spaces, cutting work into tasks, descriptors.

Everything here follows from extents, strides and the nest's structure, never from the number of
threads, so that results do not depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from diptych.loops.nest import Access, ColumnNest, Nest, RowNest, cost

DIRECT_WORK = 1 << 17  # cost units under which a nest runs on the calling thread
LEAST_TASK = 1 << 16  # cost units of the smallest task
MOST_TASK = 1 << 19  # of the largest: long runs of memory keep the prefetchers going
TASKS = 16  # tasks that work between those bounds is cut into
SPLIT_ROWS = 8  # with fewer rows than this, long reduced rows are cut
SPLIT_CHUNK = 1 << 14  # elements of the shortest piece of a cut reduction
MAX_SPLITS = 256  # pieces of a cut row; their partial results lie on the stack
STREAM_BYTES = 1 << 25  # outputs from this size on, larger than caches, are stored past them
PIECE = 1 << 10  # pieces of rows are multiples of it, whole vectors in every dtype
TILE = 256  # elements of a row worked on at a time where an operand is strided
PANEL = 128  # columns of the narrowest task of a column nest
PARTIAL_BYTES = 1 << 18  # stack bytes for the partial results of a cut column reduction


@dataclass(frozen=True)
class Layout:
    """An index space ready for a nest.

    ``extents`` are the outer axes, outermost first, at least one; ``strides`` holds, for each
    operand, its outer strides and then its inner one (for columns: reduced and inner one), in
    elements. ``reduced`` is the reduced extent of a column nest, else 1.
    """

    extents: tuple[int, ...]
    inner: int
    strides: tuple[tuple[int, ...], ...]
    accesses: tuple[Access, ...]
    reduced: int = 1


def access_of(stride: int, extent: int) -> Access:
    """The access kind of an inner stride. An axis of one element takes the most common kind."""
    if stride == 0:
        return Access.BROADCAST
    return Access.CONTIGUOUS if stride == 1 or extent <= 1 else Access.STRIDED


def pointwise(shape: Sequence[int], strides: Sequence[Sequence[int]], outputs: int = 1) -> Layout:
    """The layout of an elementwise nest over ``shape``.

    Args:
        shape: the common (broadcast) shape.
        strides: per operand, inputs first, one stride in elements per axis, 0 where broadcast.
        outputs: how many of the operands, at the end, are outputs: their order in memory decides.
    """
    axes = [axis for axis, extent in enumerate(shape) if extent != 1]
    axes.sort(key=lambda axis: _locality(axis, strides, outputs), reverse=True)
    merged = _merge([shape[a] for a in axes], [[s[a] for a in axes] for s in strides])
    extents, moved = merged
    if not extents:
        extents, moved = [1], [[1] for _ in strides]
    return _layout(extents, moved)


def rows(
    shape: Sequence[int],
    strides: Sequence[Sequence[int]],
    axes: Sequence[int],
    ordered: bool = False,
    outputs: int = 1,
) -> Layout | None:
    """The layout of a RowNest whose inner axis is ``axes`` of ``shape`` merged into one.

    Operands with one element per row have stride 0 on ``axes``. ``ordered`` says that positions
    along the inner axis matter (argmax, InnerIndex), so its axes must merge as they stand. None if
    they do not merge into one stride: then reduce in several steps, or copy first.
    """
    reduced = [a for a in axes if shape[a] != 1]
    if not ordered:
        reduced.sort(key=lambda axis: _locality(axis, strides, 0), reverse=True)
    extents, inner = _merge([shape[a] for a in reduced], [[s[a] for a in reduced] for s in strides])
    if len(extents) > 1:
        return None
    length = extents[0] if extents else 1
    if not extents:
        inner = [[0 if all(s[a] == 0 for a in axes) else 1] for s in strides]
    kept = [a for a in range(len(shape)) if a not in axes and shape[a] != 1]
    kept.sort(key=lambda axis: _locality(axis, strides, outputs), reverse=True)
    outer, moved = _merge([shape[a] for a in kept], [[s[a] for a in kept] for s in strides])
    return _layout([*outer, length], [m + i for m, i in zip(moved, inner, strict=True)])


def columns(
    shape: Sequence[int],
    strides: Sequence[Sequence[int]],
    axes: Sequence[int],
    ordered: bool = False,
    outputs: int = 1,
) -> Layout | None:
    """The layout of a ColumnNest that reduces over ``axes`` of ``shape`` and keeps an inner axis.

    Outputs have stride 0 on ``axes``. None if the reduced axes do not merge into one. It is meant
    for a long inner axis: where nothing is kept, or little, ``rows`` is quicker.
    """
    reduced = [a for a in axes if shape[a] != 1]
    if not ordered:
        reduced.sort(key=lambda axis: _locality(axis, strides, 0), reverse=True)
    extents, along = _merge([shape[a] for a in reduced], [[s[a] for a in reduced] for s in strides])
    kept = [a for a in range(len(shape)) if a not in axes and shape[a] != 1]
    kept.sort(key=lambda axis: _locality(axis, strides, outputs), reverse=True)
    outer, moved = _merge([shape[a] for a in kept], [[s[a] for a in kept] for s in strides])
    if len(extents) > 1:
        return None
    if not outer:
        outer, moved = [1], [[1] for _ in strides]
    length = extents[0] if extents else 1
    along = along if extents else [[0] for _ in strides]
    made = _layout(outer, [[*m[:-1], *r, m[-1]] for m, r in zip(moved, along, strict=True)])
    return Layout(made.extents, made.inner, made.strides, made.accesses, length)


def _locality(axis: int, strides: Sequence[Sequence[int]], outputs: int) -> tuple[int, ...]:
    """Sort key of an axis: strides of the outputs first, then of all inputs together."""
    split = len(strides) - outputs
    first = [abs(s[axis]) for s in strides[split:]]
    return (*first, sum(abs(s[axis]) for s in strides[:split]), -axis)


def _merge(extents: list[int], strides: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """Fold neighbouring axes wherever every operand steps evenly through both."""
    out: list[int] = []
    moved: list[list[int]] = [[] for _ in strides]
    for axis, extent in enumerate(extents):
        here = [s[axis] for s in strides]
        if out and all(m[-1] == h * extent for m, h in zip(moved, here, strict=True)):
            out[-1] *= extent
            for m, h in zip(moved, here, strict=True):
                m[-1] = h
        else:
            out.append(extent)
            for m, h in zip(moved, here, strict=True):
                m.append(h)
    return out, moved


def _layout(extents: list[int], strides: list[list[int]]) -> Layout:
    """Axes with the inner one last -> Layout; a lone axis gets an outer one of extent 1."""
    inner = extents[-1]
    if len(extents) == 1:
        extents = [1, *extents]
        strides = [[0, *s] for s in strides]
    accesses = tuple(access_of(s[-1], inner) for s in strides)
    return Layout(tuple(extents[:-1]), inner, tuple(map(tuple, strides)), accesses)


def _product(extents: Sequence[int]) -> int:
    total = 1
    for extent in extents:
        total *= extent
    return total


def descriptor(nest: Nest, layout: Layout) -> list[int]:
    """The numbers a kernel of ``nest`` takes as its ``desc``, for one layout."""
    if layout.accesses != tuple(operand.access for operand in nest.operands):
        raise ValueError(
            f"layout has accesses {[a.value for a in layout.accesses]}, "
            f"the nest {[o.access.value for o in nest.operands]}; build the nest from the layout"
        )
    if layout.inner == 0 and all(o.access is not Access.BROADCAST for o in nest.outputs):
        # No output has an element: walk no rows, of which there may be absurdly many.
        layout = replace(layout, extents=(0,) * len(layout.extents))
    tail = [len(layout.extents), *layout.extents]
    for strides in layout.strides:
        tail += strides
    if isinstance(nest, ColumnNest):
        return [*_column_tasks(nest, layout), layout.inner, layout.reduced,
                _product(layout.extents), *tail]  # fmt: skip
    rows = _product(layout.extents)
    written = sum(o.dtype.itemsize for o in nest.outputs if o.access is Access.CONTIGUOUS)
    stream = int(written * rows * layout.inner >= STREAM_BYTES)
    return [*_row_tasks(nest, layout), layout.inner, rows, stream, *tail]


def _up(a: int, b: int) -> int:
    return -(-a // b)


def task_work(total: int) -> int:
    """Cost units of one task when ``total`` units are shared out."""
    return min(max(total // TASKS, LEAST_TASK), MOST_TASK)


def _row_tasks(nest: RowNest, layout: Layout) -> list[int]:
    """[tasks, rows per task, elements per chunk, chunks per row] of a row nest."""
    count, length = _product(layout.extents), layout.inner
    each = cost(nest)
    if count == 0 or (length + 4) * count * each <= DIRECT_WORK:
        return [1, count, max(1, length), 1]
    if nest.pointwise and Access.STRIDED in layout.accesses and length > TILE and count >= 16:
        # A strided operand often runs along the rows: in tiles its cache lines are used whole.
        # Lines a multiple of 2 KB apart share few places in the cache: fewer of them at a time.
        apart = [
            s[-1] * o.dtype.itemsize for s, o in zip(layout.strides, nest.operands, strict=True)
        ]
        tile = TILE // 8 if any(a % 2048 == 0 for a in apart if a) else TILE
        chunks, per_task = _up(length, tile), min(count, TILE)
        return [_up(count, per_task) * chunks, per_task, tile, chunks]
    if nest.pointwise:
        grain = max(PIECE, task_work(length * count * each) // each)
        if length > 2 * grain:
            chunk = _up(_up(length, _up(length, grain)), PIECE) * PIECE
            chunks = _up(length, chunk)
            return [count * chunks, 1, chunk, chunks]
    elif length >= 4 * SPLIT_CHUNK and (count < SPLIT_ROWS or length >= 1 << 30):
        chunk = max(SPLIT_CHUNK, _up(_up(length, MAX_SPLITS), PIECE) * PIECE)
        return [1, count, chunk, _up(length, chunk)]
    row = (length + 4) * each
    per_task = max(1, task_work(count * row) // row)
    return [_up(count, per_task), per_task, max(1, length), 1]


def _column_tasks(nest: ColumnNest, layout: Layout) -> list[int]:
    """[tasks, columns per panel, panels, reduced length per split, splits] of a column nest."""
    count, length, reduced = _product(layout.extents), layout.inner, layout.reduced
    each = cost(nest)
    work = count * length * (reduced + 4) * each
    if count * length == 0 or work <= DIRECT_WORK:
        return [1, max(1, length), 1, max(1, reduced), 1]
    panel = PANEL
    while panel < length and panel * reduced * each < LEAST_TASK:
        panel *= 2
    panels = _up(length, panel)
    bytes_each = 8 * len(nest.reduces) * _up(length, PANEL) * PANEL * 2
    limit = min(64, PARTIAL_BYTES // bytes_each, work // count // LEAST_TASK)
    if count == 1 and panels < 32 and limit >= 2 and reduced >= 64:
        split = max(32, _up(reduced, limit))
        return [panels * _up(reduced, split), panel, panels, split, _up(reduced, split)]
    return [count * panels, panel, panels, max(1, reduced), 1]
