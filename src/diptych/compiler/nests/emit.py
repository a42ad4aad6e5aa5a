"""The door of this room: a nest and a target to a unit of code."""

from __future__ import annotations

import functools
import hashlib

from diptych.compiler.nests.evaluation import supported as expression_supported
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit, emitter
from diptych.loops.nest import ColumnNest, Nest


@functools.lru_cache(4096)
def supported(nest: Nest, target: Target) -> bool:
    """Whether ``nest`` can be compiled; else the engine evaluates it with NumPy."""
    if any(operand.dtype.is_complex for operand in nest.operands):
        return False
    return all(expression_supported(root, target) for root in nest.roots())


@functools.lru_cache(4096)
def unit(nest: Nest, target: Target) -> CodeUnit:
    """The kernel of ``nest``: ``void name(const i64 *desc, ptr *ptrs)``, inputs first.

    The descriptor comes from ``loops.layout.descriptor``.
    """
    text = nest.text()
    name = "nest_" + hashlib.sha256(text.encode()).hexdigest()[:16]

    def write() -> str:
        if isinstance(nest, ColumnNest):
            return str(emitter("nests.columns").ColumnKernel(nest, target, name).text())
        return str(emitter("nests.rows").RowKernel(nest, target, name).text())

    return CodeUnit(name, (("kind", "nest"), ("nest", text)), write)
