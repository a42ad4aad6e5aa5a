"""Elementary functions in IR: polynomials in vectors where we have them, else libm per lane."""

from __future__ import annotations

from diptych.compiler.llvm.math.libm import FUNCTIONS, per_lane
from diptych.compiler.llvm.writer import Function, Value
from diptych.compiler.target import Target

OPS = frozenset(FUNCTIONS)


def emit(w: Function, target: Target, op: str, args: list[Value]) -> Value:
    """The value of ``op`` on float or double scalars or vectors."""
    return per_lane(w, op, args)
