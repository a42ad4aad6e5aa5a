"""What happens to a product before it is stored: stages that the register tile writes inline.

A stage sees whole vectors of accumulators whose lanes run along C's contiguous axis (n), and one
vector for each of its operands, already widened to the accumulator's type. It knows nothing of
tiles, masks or strides, so a scalar expression from ``loops`` can be a stage too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from diptych.compiler.llvm import math
from diptych.compiler.llvm.writer import Function, Value, constant
from diptych.compiler.target import Target
from diptych.core.dtypes import DType


class Access(Enum):
    """Over which axes of C an epilogue operand varies."""

    SCALAR = "scalar"
    ROW = "row"  # over m: one value for each row of C
    COLUMN = "column"  # over n: one value for each column of C
    FULL = "full"

    @property
    def transposed(self) -> Access:
        """The access of the same operand to C transposed."""
        return {Access.ROW: Access.COLUMN, Access.COLUMN: Access.ROW}.get(self, self)


@dataclass(frozen=True)
class Operand:
    """An operand of a stage; ``unit`` says that its stride along n is 1 (COLUMN and FULL)."""

    access: Access
    dtype: DType
    unit: bool = True

    @property
    def key(self) -> str:
        return f"{self.dtype.name}:{self.access.value}" + ("" if self.unit else ":strided")


class Epilogue(Protocol):
    """One stage. ``key`` names its code; ``heavy`` asks that it be written once, in a loop."""

    @property
    def operands(self) -> tuple[Operand, ...]: ...

    @property
    def key(self) -> str: ...

    @property
    def heavy(self) -> bool: ...

    def emit(self, f: Function, acc: Value, operands: Sequence[Value]) -> Value:
        """Write the stage for one vector of accumulators."""
        ...


@dataclass(frozen=True)
class Bias:
    """Add an operand: a bias (COLUMN, or ROW), a scalar, or a whole residual (FULL)."""

    operand: Operand
    heavy: bool = False

    @property
    def operands(self) -> tuple[Operand, ...]:
        return (self.operand,)

    @property
    def key(self) -> str:
        return f"add({self.operand.key})"

    def emit(self, f: Function, acc: Value, operands: Sequence[Value]) -> Value:
        return f.add(acc, operands[0])


@dataclass(frozen=True)
class Scale:
    """Multiply by an operand: alpha (SCALAR), a scale per row or column, a mask (FULL)."""

    operand: Operand
    heavy: bool = False

    @property
    def operands(self) -> tuple[Operand, ...]:
        return (self.operand,)

    @property
    def key(self) -> str:
        return f"mul({self.operand.key})"

    def emit(self, f: Function, acc: Value, operands: Sequence[Value]) -> Value:
        return f.mul(acc, operands[0])


@dataclass(frozen=True)
class Relu:
    """The positive part; NaN stays NaN."""

    operands: tuple[Operand, ...] = ()
    key: str = "relu"
    heavy: bool = False

    def emit(self, f: Function, acc: Value, operands: Sequence[Value]) -> Value:
        return f.select(f.compare("olt", acc, 0), constant(acc.type, 0), acc)


@dataclass(frozen=True)
class Gelu:
    """``x * Phi(x)`` with the error function, for the vector math of one target."""

    target: Target
    operands: tuple[Operand, ...] = ()
    key: str = "gelu"
    heavy: bool = True

    def emit(self, f: Function, acc: Value, operands: Sequence[Value]) -> Value:
        erf = math.emit(f, self.target, "erf", [f.mul(acc, 0.5**0.5)])
        return f.mul(f.mul(acc, 0.5), f.add(erf, 1))


@dataclass(frozen=True)
class Adapted:
    """A stage with other facts about its operands: what varies over rows after a transposition
    varies over columns, and strides may not be one.
    """

    stage: Epilogue
    operands: tuple[Operand, ...]

    @property
    def key(self) -> str:
        return f"{self.stage.key}[{' '.join(operand.key for operand in self.operands)}]"

    @property
    def heavy(self) -> bool:
        return self.stage.heavy

    def emit(self, f: Function, acc: Value, operands: Sequence[Value]) -> Value:
        return self.stage.emit(f, acc, operands)
