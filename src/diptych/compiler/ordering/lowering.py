"""Scans, sorts and picks to kernels: operands as lines, lines cut into tasks."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from diptych.compiler.indexing.lowering import Space, contiguous
from diptych.compiler.lazy import Lazy, Stored
from diptych.compiler.nests.conversion import memory_type
from diptych.compiler.ordering import scans, sorting
from diptych.compiler.ordering.scans import Scan
from diptych.compiler.ordering.sorting import Sort
from diptych.compiler.steps import KernelStep, Place
from diptych.compiler.unit import CodeUnit
from diptych.core.dtypes import DType, bfloat16, float16, float32, float64, int64
from diptych.core.layout import Shape, row_major
from diptych.graph.graph import Node

if TYPE_CHECKING:
    from diptych.compiler.lower import Lowering

_TASK_ELEMENTS = 1 << 14
_LONGEST = 1 << 31  # of a line: positions share a word with keys
_FLOATS = {float16: "half", bfloat16: "bfloat", float32: "float", float64: "double"}


def lower(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    """The results of a node; None where NumPy runs it."""
    layouts = [lowering.graph.layouts[value] for value in (*node.operands, *node.results)]
    if any(place.size == 0 or place.dtype.is_complex for place in layouts):
        return None
    if node.op.name in ("cumsum", "cumprod"):
        return _running(lowering, node, node.params[1])
    if node.op.name in ("cummax", "cummin"):
        return _running(lowering, node, layouts[0].dtype)
    picks: dict[str, Any] = {
        "sort": _sort, "topk": _sort, "kthvalue": _kthvalue, "median": _median,
    }  # fmt: skip
    maker = picks.get(node.op.name)
    return None if maker is None else maker(lowering, node)


# ---- lines


def _lines(lowering: Lowering, x: Place, axis: int, out: Shape) -> tuple[Place, Space] | None:
    """The operand (copied where its axes do not merge) and the space; ``out`` keeps the axis."""
    for again in range(2):
        shape = x.shape or (1,)
        strides = x.strides or (1,)
        given = (strides, row_major(out or (1,)))
        space = Space(shape[:axis], shape[axis], shape[axis + 1 :], given)
        if space.fits:
            return x, space
        if not again:
            x = contiguous(lowering, Stored(x))
    return None


def _emit(
    lowering: Lowering, module: Any, kind: Any, space: Space, operands: tuple[Place, ...],
    results: int, chosen: int, scratch: int, slab: int = 1,
) -> None:  # fmt: skip
    """The kernel's step; tasks own multiples of ``slab`` lines."""
    a, b, j, i = space.extents
    lines = a * b * i
    group = min(lines, max(1, _TASK_ELEMENTS // j // slab) * slab)
    desc = (
        a, b, j, i, results, chosen, *space.strides[0], *space.strides[1],
        group, -(-lines // group), scratch,
    )  # fmt: skip
    key = kind.key()
    name = "ordered_" + hashlib.sha256(key.encode()).hexdigest()[:16]
    target = lowering.target
    unit = CodeUnit(
        name, (("kind", "ordered"), ("ordered", key)), lambda: module.text(kind, target, name)
    )
    lowering.result.steps.append(KernelStep(unit, desc, operands))


# ---- scans


def _running(lowering: Lowering, node: Node, dtype: DType) -> tuple[Lazy, ...] | None:
    name, axis = node.op.name, node.params[0]
    if dtype.itemsize == 2 and dtype.is_float:
        return None
    (source,) = lowering.operands(node)
    if source.dtype.itemsize == 2 and source.dtype.is_float and source.dtype is not dtype:
        return None
    extremum = name in ("cummax", "cummin")
    x = lowering.store(source if extremum else lowering.cast(source, dtype)).place
    found = _lines(lowering, x, axis, x.shape)
    if found is None:
        return None
    x, space = found
    inner = space.extents[3]
    steps = space.strides
    side = inner >= 8 and steps[0][3] == 1 and steps[1][3] == 1
    kinds = (dtype, int64) if extremum else (dtype,)
    outs = tuple([lowering.fresh(each, lowering.shape(node)) for each in kinds])
    kind = Scan(name, memory_type(dtype), dtype.itemsize, dtype.kind in "bu", side)
    slab = inner if side else 1
    _emit(lowering, scans, kind, space, (x, *outs), space.extents[2], 0, 0, slab)
    return tuple(map(Stored, outs))


# ---- sorts


def _ordered(
    lowering: Lowering, node: Node, pick: str, descending: bool, chosen: int, count: int
) -> tuple[Lazy, ...] | None:
    """Sorted lines: their first ``count`` elements, or one of them."""
    (source,) = lowering.operands(node)
    x = lowering.store(source).place
    axis = node.params[0]
    if max(x.shape or (1,)) >= _LONGEST:
        return None
    kept = (*x.shape[:axis], count, *x.shape[axis + 1 :]) if x.shape else ()
    found = _lines(lowering, x, axis, kept)
    if found is None:
        return None
    x, space = found
    dtype, shape = x.dtype, lowering.shape(node)
    order = _FLOATS.get(dtype) or ("signed" if dtype.kind == "i" else "unsigned")
    kind = Sort(pick, dtype.itemsize, order, descending, space.strides[0][2] == 1)
    outs = lowering.fresh(dtype, shape), lowering.fresh(int64, shape)
    scratch = sorting.scratch_bytes(kind, space.extents[2])
    _emit(lowering, sorting, kind, space, (x, *outs), count, chosen, scratch)
    return tuple(map(Stored, outs))


def _sort(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    axis, shape = node.params[0], lowering.shape(node)
    return _ordered(lowering, node, "all", node.params[-1], 0, shape[axis] if shape else 1)


def _kthvalue(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    return _ordered(lowering, node, "kth", False, node.params[1] - 1, 1)


def _median(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    pick = "nanmedian" if node.params[1] else "median"
    return _ordered(lowering, node, pick, False, 0, 1)
