"""Elementwise trees on a matrix product, as a stage that the register tile writes inline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from diptych.compiler.contraction.epilogue import Access, Operand
from diptych.compiler.contraction.plan import Strided
from diptych.compiler.llvm.writer import Function, Value
from diptych.compiler.nests.conversion import register_type
from diptych.compiler.nests.evaluation import evaluate
from diptych.compiler.steps import Place
from diptych.compiler.target import Target
from diptych.loops import expression
from diptych.loops.expression import Expression, Load

_HEAVY = frozenset(
    "exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh "
    "atanh erf erfc sigmoid pow atan2 hypot fmod rem floordiv cbrt".split()
)


@dataclass(frozen=True)
class ExpressionStage:
    """A scalar expression of the accumulator (Load 0) and of operands (Load 1, 2, ...)."""

    value: Expression
    operands: tuple[Operand, ...]
    target: Target = field(compare=False)

    @property
    def key(self) -> str:
        lines, roots = expression.text([self.value])
        return "expression(" + "; ".join([*lines, *roots, *(x.key for x in self.operands)]) + ")"

    @property
    def heavy(self) -> bool:
        found = expression.walk([self.value])
        return any(isinstance(node, expression.Apply) and node.op in _HEAVY for node in found)

    def emit(self, f: Function, acc: Value, operands: Sequence[Value]) -> Value:
        """Write the expression for one vector of accumulators."""
        values = [acc, *operands]
        lanes = _lanes(acc.type)

        def leaf(node: Expression) -> Value:
            assert isinstance(node, Load), "an epilogue reads only its operands"
            return values[node.operand]

        known: dict[Expression, Value] = {}
        evaluate(f, self.target, [self.value], lanes, leaf, known)
        return known[self.value]


def _lanes(type_: str) -> int:
    return int(type_[1:].split(" x ")[0]) if type_.startswith("<") else 1


def operand_of(place: Place, acc_bytes: int) -> tuple[Operand, Strided] | None:
    """A place of the product's shape as an operand; None for a type the tile cannot widen."""
    dtype = place.dtype
    if not dtype.is_float or register_type(dtype) != {4: "float", 8: "double"}[acc_bytes]:
        return None
    *batch, row, column = place.strides
    *extents, m, n = place.shape
    row = 0 if m == 1 else row
    column = 0 if n == 1 else column
    batch = [0 if extent == 1 else stride for extent, stride in zip(extents, batch, strict=True)]
    if any(batch):
        access = Access.FULL
    elif row and column:
        access = Access.FULL
    elif row:
        access = Access.ROW
    else:
        access = Access.COLUMN if column else Access.SCALAR
    unit = column == 1
    return Operand(access, dtype, unit), Strided(row, column, tuple(batch))
