"""What a contraction's code depends on: element types, epilogue, how C is stored."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from diptych.compiler.contraction.epilogue import Epilogue, Operand
from diptych.compiler.target import Target
from diptych.core import dtypes
from diptych.core.dtypes import DType

LLVM_TYPES = {
    "float16": "half", "bfloat16": "bfloat", "float32": "float", "float64": "double",
    "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "i8", "uint16": "i16", "uint32": "i32", "uint64": "i64", "bool": "i8",
}  # fmt: skip


class Store(Enum):
    """Which axis of the register tile lies along C's unit stride."""

    ROW = "row"  # the tile's columns: whole vectors are stored
    COLUMN = "column"  # the tile's rows: the tile is transposed in registers first
    STRIDED = "strided"  # neither: lanes are scattered


@dataclass(frozen=True)
class Contraction:
    """``C = epilogue(A @ B)``, or ``epilogue(C + A @ B)`` with ``accumulate``: its structure."""

    dtype_a: DType
    dtype_b: DType
    dtype_out: DType
    epilogue: tuple[Epilogue, ...] = ()
    accumulate: bool = False

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The operands of all stages, in the order in which the kernel takes their pointers."""
        return tuple(operand for stage in self.epilogue for operand in stage.operands)

    @property
    def is_float(self) -> bool:
        return self.dtype_a.is_float and self.dtype_b.is_float and self.dtype_out.is_float

    @property
    def accumulator(self) -> DType:
        """The dtype in which sums are kept."""
        every = (self.dtype_a, self.dtype_b, self.dtype_out)
        if not self.is_float:
            return self.dtype_out
        return dtypes.float64 if dtypes.float64 in every else dtypes.float32

    @property
    def heavy(self) -> bool:
        return any(stage.heavy for stage in self.epilogue)

    def uses_pairs(self, target: Target) -> bool:
        """Whether the chip's bfloat16 dot instruction computes this one."""
        both = self.dtype_a is dtypes.bfloat16 and self.dtype_b is dtypes.bfloat16
        wide = self.accumulator is dtypes.float32
        return both and wide and target.vector_bytes == 64 and target.has("avx512bf16")

    def key(self) -> tuple[tuple[str, str], ...]:
        return (
            ("a", self.dtype_a.name),
            ("b", self.dtype_b.name),
            ("out", self.dtype_out.name),
            ("epilogue", " ".join(stage.key for stage in self.epilogue)),
            ("accumulate", str(int(self.accumulate))),
        )
