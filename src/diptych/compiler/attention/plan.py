"""Lowers attention and its gradient: which kernel, how it is cut, and its run-time numbers.

Cuts follow from extents and target alone, so results have the same bits for any number of threads.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import TYPE_CHECKING

from diptych.compiler.contraction.blocking import PARALLEL_CYCLES, up
from diptych.compiler.lazy import Lazy, Stored
from diptych.compiler.llvm.writer import Module
from diptych.compiler.steps import KernelStep, Place
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit, emitter
from diptych.core.dtypes import DType, float32, float64
from diptych.graph.graph import Node

if TYPE_CHECKING:
    from diptych.compiler.lower import Lowering

LARGEST = 1 << 31  # extents must stay below this: positions are compared in 32 bits
_TASK_CYCLES = 40_000  # work is grouped up to this size
_TASKS = 8  # at least so many, where the work can be cut so far
_GROUPS = 4  # of query blocks, for one head: each costs memory for its own dK and dV


class Slot(IntEnum):
    """Words of the descriptor. Strides are in elements: of batch, head, row and column."""

    HEADS = 0
    SHARED = auto()  # query heads for each head of keys and values
    QUERIES = auto()
    KEYS = auto()
    DEPTH = auto()  # columns of Q and K
    WIDTH = auto()  # columns of V
    OFFSET = auto()  # query i sees keys up to i + OFFSET, when the kernel is causal
    SCALE = auto()  # the bits of a double
    BLOCK = auto()  # queries of a block: a multiple of the lanes
    KEY_BLOCK = auto()  # keys of a block: a multiple of the tile's rows
    BLOCKS = auto()  # blocks of queries
    ITEMS = auto()  # what there is to do: heads (of keys, for the gradient) x blocks (or groups)
    GROUP = auto()  # items of a task
    PARALLEL = auto()
    SCRATCH = auto()  # bytes of one worker
    SPLIT = auto()  # gradient: groups of query blocks that a head's keys are cut into
    SUM_ROWS = auto()  # gradient: keys of one task that adds up the groups' sums
    BUFFERS = 17  # offsets in scratch, in elements: `Buffer`
    Q = 33
    K = 37
    V = 41
    MASK = 45
    OUT = 49
    CT = 53
    DQ = 57
    DK = 61
    DV = 65
    WORDS = 69


class Buffer(IntEnum):
    """What a task keeps in scratch. ``T``: transposed, queries along the rows' unit stride."""

    QT = 0
    SCORES = auto()
    OUT_T = auto()
    ROWS = auto()  # rows about to be stored
    MASK = auto()
    TOP = auto()  # per query: largest score so far, sum, factor
    SUM = auto()
    FACTOR = auto()
    CT_T = auto()  # gradient: cotangent, transposed and by rows; slopes of scores
    CT_ROWS = auto()
    Q_ROWS = auto()
    SLOPES = auto()
    DELTA = auto()
    DK = auto()
    DV = auto()


@dataclass(frozen=True)
class Structure:
    """What the code depends on. ``mask``: "none", "keys" (one row for all queries), "full"."""

    dtype: DType
    mask: str
    causal: bool

    def key(self) -> tuple[tuple[str, str], ...]:
        return (("dtype", self.dtype.name), ("mask", self.mask), ("causal", str(int(self.causal))))


def tile_rows(target: Target) -> int:
    """Rows of the register tile, which is two vectors wide."""
    return 8 if target.vector_bytes == 64 else 4


def attention_unit(structure: Structure, target: Target, gradient: bool) -> CodeUnit:
    """The kernel of the forward or of the gradient."""
    name = "attention_gradient" if gradient else "attention"

    def text() -> str:
        module = Module(name + " " + " ".join("=".join(part) for part in structure.key()))
        room = emitter("attention.backward" if gradient else "attention.forward")
        room.write(module, name, structure, target)
        return module.text()

    return CodeUnit(name, (("kernel", name), *structure.key()), text)


def lower(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    """The results of an attention node, or of its gradient's; None for other dtypes."""
    dtype = lowering.graph.layouts[node.operands[0]].dtype
    if dtype not in (float32, float64):
        return None
    for value in node.operands:
        place = lowering.graph.layouts[value]
        if place.dtype is not dtype or max(place.shape) >= LARGEST or not place.size:
            return None
    gradient = node.op.name == "attention_gradient"
    operands = [lowering.store(x).place for x in lowering.operands(node)]
    return (_lower_gradient if gradient else _lower_forward)(lowering, node, operands)


def heads_inside(lowering: Lowering, dtype: DType, shape: tuple[int, ...]) -> Place:
    """A fresh (B, H, T, D) place whose memory is (B, T, H, D): joining the heads is then free."""
    b, h, t, d = shape
    made = lowering.fresh(dtype, (b, t, h, d))
    return Place(made.storage, 0, dtype, shape, (t * h * d, d, h * d, 1))


def _cut(
    structure: Structure, q: Place, k: Place, v: Place, target: Target
) -> tuple[int, int, float]:
    """Queries and keys of a block, and about how many cycles all of it takes."""
    lanes = target.lanes(structure.dtype.itemsize)
    queries, keys = q.shape[2], k.shape[2]
    if queries <= lanes:
        block = lanes
    elif structure.causal and queries <= 1024:
        block = 2 * lanes
    else:
        block = 4 * lanes if queries > 2 * lanes else 2 * lanes
    rows = tile_rows(target)
    key_block = min(up(keys, rows) * rows, 128)
    vectors = q.shape[0] * q.shape[1] * up(queries, lanes) * keys
    work = vectors * ((q.shape[3] + v.shape[3]) / 2 + 12.0)
    return block, key_block, work * (0.6 if structure.causal else 1.0)


def _numbers(
    structure: Structure, q: Place, k: Place, v: Place, scale: float, offset: int, target: Target,
) -> tuple[list[int], float]:  # fmt: skip
    """The descriptor so far, and the estimate of cycles."""
    block, key_block, work = _cut(structure, q, k, v, target)
    d = [0] * Slot.WORDS
    d[Slot.HEADS], d[Slot.SHARED] = q.shape[1], q.shape[1] // k.shape[1]
    d[Slot.QUERIES], d[Slot.KEYS] = q.shape[2], k.shape[2]
    d[Slot.DEPTH], d[Slot.WIDTH] = q.shape[3], v.shape[3]
    d[Slot.OFFSET] = offset
    d[Slot.SCALE] = int.from_bytes(_double(scale), "little", signed=True)
    d[Slot.BLOCK], d[Slot.KEY_BLOCK] = block, key_block
    d[Slot.BLOCKS] = up(q.shape[2], block)
    return d, work


def _double(number: float) -> bytes:
    return struct.pack("<d", number)


def _buffers(d: list[int], sizes: dict[Buffer, int], itemsize: int) -> None:
    """Lay the buffers out in scratch, each on a cache line."""
    line = 64 // itemsize
    at = 0
    for buffer, size in sizes.items():
        d[Slot.BUFFERS + buffer] = at
        at += up(size, line) * line
    d[Slot.SCRATCH] = at * itemsize


def _strides(d: list[int], **places: Place) -> None:
    for name, place in places.items():
        d[Slot[name] : Slot[name] + 4] = place.strides


def _structure(node: Node, operands: list[Place], mask: Place | None) -> Structure:
    kind = "none"
    if mask is not None:
        kind = "keys" if mask.strides[2] == 0 or mask.shape[2] == 1 else "full"
    return Structure(operands[0].dtype, kind, node.params[1] is not None)


def _lower_forward(
    lowering: Lowering, node: Node, operands: list[Place]
) -> tuple[Lazy, ...] | None:
    q, k, v, *masks = operands
    mask = masks[0] if masks else None
    scale, causal = node.params
    target = lowering.target
    structure = _structure(node, operands, mask)
    d, work = _numbers(structure, q, k, v, scale, causal or 0, target)
    out = heads_inside(lowering, q.dtype, (*q.shape[:3], v.shape[3]))
    level = lowering.fresh(q.dtype, q.shape[:3])
    lanes, rows = target.lanes(q.dtype.itemsize), tile_rows(target)
    block, key_block = d[Slot.BLOCK], d[Slot.KEY_BLOCK]
    depth, width = q.shape[3], v.shape[3]
    _buffers(d, {
        Buffer.QT: depth * block,
        Buffer.SCORES: key_block * block,
        Buffer.OUT_T: up(width, rows) * rows * block,
        Buffer.ROWS: block * up(width, lanes) * lanes,
        Buffer.MASK: key_block * block if structure.mask == "full" else 0,
        Buffer.TOP: block, Buffer.SUM: block, Buffer.FACTOR: block,
    }, q.dtype.itemsize)  # fmt: skip
    items = d[Slot.ITEMS] = q.shape[0] * q.shape[1] * d[Slot.BLOCKS]
    _grouped(d, work, items)
    _strides(d, Q=q, K=k, V=v, OUT=out)
    if mask is not None:
        _strides(d, MASK=mask)
    unit = attention_unit(structure, target, False)
    places = (q, k, v, *masks, out, level)
    lowering.result.steps.append(KernelStep(unit, tuple(d), places))
    return Stored(out), Stored(level)


def _grouped(d: list[int], work: float, items: int) -> None:
    parallel = work >= PARALLEL_CYCLES and items > 1
    d[Slot.PARALLEL] = int(parallel)
    group = items
    if parallel:
        group = max(1, min(int(_TASK_CYCLES / (work / items)), up(items, _TASKS)))
    d[Slot.GROUP] = group


def _lower_gradient(
    lowering: Lowering, node: Node, operands: list[Place]
) -> tuple[Lazy, ...] | None:
    q, k, v, out, level, ct, *masks = operands
    mask = masks[0] if masks else None
    scale, causal = node.params
    target = lowering.target
    structure = _structure(node, operands, mask)
    d, work = _numbers(structure, q, k, v, scale, causal or 0, target)
    dq, dk, dv = (heads_inside(lowering, x.dtype, x.shape) for x in (q, k, v))
    if not level.layout.contiguous:
        level = lowering.copied(Stored(level)).place
    lanes, rows = target.lanes(q.dtype.itemsize), tile_rows(target)
    block = d[Slot.BLOCK] = min(d[Slot.BLOCK], 4 * lanes)
    key_block = d[Slot.KEY_BLOCK] = min(d[Slot.KEY_BLOCK], 64)
    d[Slot.BLOCKS] = up(q.shape[2], block)
    heads = k.shape[0] * k.shape[1]
    split = d[Slot.SPLIT] = max(1, min(up(_GROUPS, heads), d[Slot.BLOCKS] * d[Slot.SHARED] // 2))
    depth, width = (up(n, lanes) * lanes for n in (q.shape[3], v.shape[3]))
    keys = up(k.shape[2], rows) * rows
    sums = keys * (depth + width)
    tall = up(max(q.shape[3], v.shape[3]), rows) * rows
    _buffers(d, {
        Buffer.QT: q.shape[3] * block, Buffer.CT_T: v.shape[3] * block,
        Buffer.OUT_T: tall * block,
        Buffer.SCORES: key_block * block, Buffer.SLOPES: key_block * block,
        Buffer.CT_ROWS: block * width, Buffer.Q_ROWS: block * depth,
        Buffer.ROWS: block * depth,
        Buffer.MASK: key_block * block if structure.mask == "full" else 0,
        Buffer.TOP: block, Buffer.DELTA: block,
        Buffer.DK: keys * depth if split == 1 else 0, Buffer.DV: keys * width if split == 1 else 0,
    }, q.dtype.itemsize)  # fmt: skip
    if split > 1:  # where the groups' sums start, in the storage that holds them
        d[Slot.BUFFERS + Buffer.DK], d[Slot.BUFFERS + Buffer.DV] = 0, keys * depth
    work *= 2.5
    items = d[Slot.ITEMS] = heads * split
    _grouped(d, work, items)
    d[Slot.SUM_ROWS] = max(rows, min(keys, 256))
    _strides(d, Q=q, K=k, V=v, OUT=out, CT=ct, DQ=dq, DK=dk, DV=dv)
    if mask is not None:
        _strides(d, MASK=mask)
    partial = lowering.fresh(q.dtype, (items, sums)) if split > 1 else level
    unit = attention_unit(structure, target, True)
    places = (q, k, v, *masks, out, level, ct, partial, dq, dk, dv)
    lowering.result.steps.append(KernelStep(unit, tuple(d), places))
    return Stored(dq), Stored(dk), Stored(dv)
