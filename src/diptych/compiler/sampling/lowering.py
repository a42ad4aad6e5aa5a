"""Taps nodes to kernels: what is read keeps its strides, the rest is row-major."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from diptych.compiler.indexing.lowering import contiguous
from diptych.compiler.lazy import Lazy, Stored
from diptych.compiler.nests.conversion import memory_type
from diptych.compiler.sampling.kernels import PLANES, Taps, TapsWriter, Word
from diptych.compiler.steps import KernelStep, Place
from diptych.compiler.unit import CodeUnit
from diptych.graph.graph import Node

if TYPE_CHECKING:
    from diptych.compiler.lower import Lowering

_TASK_READS = 1 << 15
_MANY_TAPS = 16  # written out one after another
_LIMIT = 1 << 31  # of positions


def lower(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    """The result of a taps node; None where NumPy runs it."""
    mode = node.op.lower
    layouts = [lowering.graph.layouts[value] for value in (*node.operands, *node.results)]
    planes = layouts[{"read": 0, "add": 3, "match": 1}[mode]]
    n, taps, points = layouts[2].shape
    channels, size = planes.shape[1:]
    if any(place.size == 0 for place in layouts) or taps > _MANY_TAPS or size >= _LIMIT:
        return None
    places: list[Place] = []
    for index, lazy in enumerate(lowering.operands(node)):
        reads = (mode, index) in (("read", 0), ("match", 1))
        places.append(lowering.store(lazy).place if reads else contiguous(lowering, lazy))
    out = lowering.fresh(planes.dtype, lowering.shape(node))
    desc = [0] * (Word.X + 3)
    desc[Word.CHANNELS], desc[Word.SIZE], desc[Word.POINTS] = channels, size, points
    strides = (0, 0, 1)
    if mode == "add":
        groups = max(1, _TASK_READS // (points * taps * PLANES))
        chunk = min(groups * PLANES, channels)
        chunks = -(-channels // chunk)
    else:
        strides = places[0 if mode == "read" else 1].strides  # type: ignore[assignment]
        chunk = max(64, min(points, _TASK_READS // (channels * taps) // 64 * 64))
        chunks = -(-points // chunk)
    desc[Word.X :] = strides
    desc[Word.TASKS], desc[Word.CHUNK], desc[Word.CHUNKS] = n * chunks, chunk, chunks
    kind = Taps(mode, memory_type(planes.dtype), taps, strides[2] == 1 or size == 1)
    key, target = kind.key(), lowering.target
    name = "taps_" + hashlib.sha256(key.encode()).hexdigest()[:16]
    unit = CodeUnit(name, (("kind", "taps"), ("taps", key)),
                    lambda: TapsWriter(kind, target, name).text())  # fmt: skip
    lowering.result.steps.append(KernelStep(unit, tuple(desc), (*places, out)))
    return (Stored(out),)
