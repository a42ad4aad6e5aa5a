"""Families of operations with kernels of their own: convolution, windows, recurrence, ...

A row names the module under ``compiler`` that lowers the family; it is imported at the first such
node. Its ``lower(lowering, node)`` stores the operands it needs (``lowering.store(x).place``),
makes places for the results (``lowering.fresh(dtype, shape)``), appends `KernelStep`s to
``lowering.result.steps`` and returns one `Lazy` a result (``Stored(place)``), or None when it has
no kernel for these dtypes: then NumPy's reference runs the node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from diptych.compiler.lazy import Lazy
from diptych.compiler.unit import emitter
from diptych.graph.graph import Node

if TYPE_CHECKING:
    from diptych.compiler.lower import Lowering

FAMILIES: dict[str, str] = {
    "attention": "attention.plan",
    "convolution": "convolution.lowering",
    "gather": "indexing.lowering",
    "ordering": "ordering.lowering",
    "recurrence": "recurrence.lowering",
    "scan": "ordering.lowering",
    "scatter": "indexing.lowering",
    "taps": "sampling.lowering",
    "window": "windows.lowering",
}


def lower_family(lowering: Lowering, node: Node) -> tuple[Lazy, ...] | None:
    """The results of a node by the kernels of its family; None where it has none."""
    module = FAMILIES.get(node.op.family)
    if module is None or node.op.lower == "host":
        return None
    made: tuple[Lazy, ...] | None = emitter(module).lower(lowering, node)
    return made
