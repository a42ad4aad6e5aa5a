"""Elementwise primitives to scalar expressions, and whether kernels can compute them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from diptych.compiler.nests.evaluation import supported as expression_supported
from diptych.compiler.target import Target
from diptych.core.dtypes import DType
from diptych.core.operation import Primitive
from diptych.loops import expression
from diptych.loops.expression import Expression


def applied(
    op: Primitive, computing: DType, args: Sequence[Expression], result: DType
) -> Expression:
    """The expression of an elementwise primitive on argument expressions, in its result's dtype."""
    cast = [
        expression.cast(arg, read or computing) for arg, read in zip(args, op.reads, strict=True)
    ]
    lower: Any = op.lower
    made = expression.apply(lower, *cast) if isinstance(lower, str) else lower(*cast)
    return expression.cast(made, result)


@functools.lru_cache(maxsize=4096)
def compilable(
    op: Primitive, computing: DType, operands: tuple[DType, ...], result: DType, target: Target
) -> bool:
    """Whether kernels for ``target`` can compute this primitive on these dtypes."""
    if computing.is_complex or result.is_complex or any(dtype.is_complex for dtype in operands):
        return False
    loads = [expression.Load(index, dtype) for index, dtype in enumerate(operands)]
    try:
        made = applied(op, computing, loads, result)
    except (ValueError, TypeError):
        return False  # not in the scalar vocabulary, or not on this dtype
    return expression_supported(made, target)
