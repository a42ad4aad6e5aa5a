"""One elementwise call straight to its kernel, for the eager path's new shapes.

It is what lowering makes of a graph of that one node, found in a quarter of the time: a new shape
of a known operation only needs another descriptor.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from diptych.compiler.expressions import applied, compilable
from diptych.compiler.nests.emit import supported, unit
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit
from diptych.core.dtypes import DType
from diptych.core.layout import Layout, broadcast_strides
from diptych.core.operation import Primitive
from diptych.loops import expression
from diptych.loops import layout as planning
from diptych.loops.nest import Access, Operand, RowNest, Stage, Store


@functools.lru_cache(4096)
def _nest(
    op: Primitive, computing: DType, kinds: tuple[DType, ...], made: DType, stored: DType,
    accesses: tuple[Access, ...],
) -> RowNest:  # fmt: skip
    """The nest of an operation on operands of these dtypes; ``made`` is stored as ``stored``."""
    loads = [expression.Load(index, dtype) for index, dtype in enumerate(kinds)]
    value = expression.cast(applied(op, computing, loads, made), stored)
    operands = tuple(map(Operand, (*kinds, stored), accesses))
    return RowNest(operands[:-1], operands[-1:], (Stage(stores=(Store(0, value),)),))


def kernel_of(
    op: Primitive, computing: DType, operands: Sequence[Layout], made: Layout, out: Layout,
    target: Target,
) -> tuple[CodeUnit, list[int]] | None:  # fmt: skip
    """The kernel that writes ``made`` (what the call infers) into ``out``, and its descriptor.

    None for what kernels do not compute. The pointers are the operands in order, then ``out``.
    """
    kinds = tuple([place.dtype for place in operands])
    if not made.size or out.dtype.is_complex:
        return None
    if not compilable(op, computing, kinds, made.dtype, target):
        return None
    shape = out.shape
    strides = [
        place.strides
        if place.shape == shape
        else broadcast_strides(place.shape, place.strides, shape)
        for place in operands
    ]
    found = planning.pointwise(shape, [*strides, out.strides])
    nest = _nest(op, computing, kinds, made.dtype, out.dtype, found.accesses)
    if not supported(nest, target):
        return None
    return unit(nest, target), planning.descriptor(nest, found)
