"""The naive kernel: one element of C at a time, for integers too; the oracle and the fallback.

It reads the same descriptor as the tiled kernel (rows, columns and strides in the caller's order)
and runs on the calling thread. Integers wrap, as NumPy's do.
"""

from __future__ import annotations

from collections.abc import Sequence

from diptych.compiler.contraction.convert import narrow, storage, widen
from diptych.compiler.contraction.descriptor import BATCH_DIMS, OPERAND_WORDS, Descriptor, Slot
from diptych.compiler.contraction.epilogue import Access
from diptych.compiler.contraction.spec import LLVM_TYPES, Contraction
from diptych.compiler.llvm.writer import Module, Value, constant
from diptych.compiler.target import Target
from diptych.core.dtypes import DType


class NaiveWriter:
    """Writes the kernel ``name(desc, ptrs)``."""

    def __init__(self, module: Module, name: str, contraction: Contraction, target: Target) -> None:
        self.contraction = contraction
        self.target = target
        self.acc = LLVM_TYPES[contraction.accumulator.name]
        self.f = module.function(name, [("ptr", "desc"), ("ptr", "ptrs")])

    def write(self) -> None:
        f = self.f
        self.d = Descriptor(f, f.parameters[0])
        d = self.d
        operands = self.contraction.operands
        with f.loop(0, d[Slot.COUNT]) as item:
            indices = self._indices(item.index)
            a = self._operand(0, self.contraction.dtype_a, Slot.A_BATCH, indices)
            b = self._operand(1, self.contraction.dtype_b, Slot.B_BATCH, indices)
            c = self._operand(2 + len(operands), self.contraction.dtype_out, Slot.C_BATCH, indices)
            others = [
                self._operand(2 + i, operand.dtype, Slot.OPERANDS + OPERAND_WORDS * i + 2, indices)
                for i, operand in enumerate(operands)
            ]
            with f.loop(0, d[Slot.M]) as row, f.loop(0, d[Slot.N]) as column:
                self._element(a, b, c, others, row.index, column.index)
        f.ret()

    def _indices(self, item: Value) -> list[Value]:
        f, rest, indices = self.f, item, []
        for dim in range(BATCH_DIMS - 1, 0, -1):
            extent = self.d[Slot.BATCH + dim]
            indices.append(f.binary("urem", rest, extent))
            rest = f.binary("udiv", rest, extent)
        return [rest, *reversed(indices)]

    def _operand(self, index: int, dtype: DType, slot: int, indices: Sequence[Value]) -> Value:
        """The address of an operand's matrix for this batch item."""
        f = self.f
        start = f.load("ptr", f.offset(f.parameters[1], index, "ptr"))
        for dim, number in enumerate(indices):
            start = self._step(start, dtype, number, self.d[slot + dim])
        return start

    def _step(self, start: Value, dtype: DType, index: Value, stride: Value) -> Value:
        f = self.f
        return f.offset(start, f.mul(f.mul(index, stride), dtype.itemsize), "i8")

    def _load(self, where: Value, dtype: DType) -> Value:
        """One element in the accumulator's type."""
        f, kind = self.f, LLVM_TYPES[dtype.name]
        value = f.load(storage(kind), where)
        if self.contraction.is_float:
            return widen(f, value, kind, self.acc, self.target)
        if dtype.is_float or dtype.is_complex:
            raise NotImplementedError(f"naive contraction: {dtype.name} into integers")
        wide, here = int(self.acc[1:]), int(kind[1:])
        if here >= wide:
            return f.cast("trunc", value, self.acc)
        return f.cast("sext" if dtype.kind == "i" else "zext", value, self.acc)

    def _element(
        self, a: Value, b: Value, c: Value, others: Sequence[Value], row: Value, column: Value
    ) -> None:
        f, d, contraction = self.f, self.d, self.contraction
        a = self._step(a, contraction.dtype_a, row, d[Slot.A_ROW])
        b = self._step(b, contraction.dtype_b, column, d[Slot.B_COL])
        c = self._step(c, contraction.dtype_out, row, d[Slot.C_CROSS])
        c = self._step(c, contraction.dtype_out, column, d[Slot.C_ALONG])
        start = constant(self.acc, 0)
        if contraction.accumulate:
            start = self._load(c, contraction.dtype_out)
        with f.loop(0, d[Slot.K], carried=[start]) as loop:
            x = self._load(
                self._step(a, contraction.dtype_a, loop.index, d[Slot.A_COL]), contraction.dtype_a
            )
            y = self._load(
                self._step(b, contraction.dtype_b, loop.index, d[Slot.B_ROW]), contraction.dtype_b
            )
            loop.next([f.add(loop.carried[0], f.mul(x, y))])
        value, position = loop.results[0], 0
        for stage in contraction.epilogue:
            inputs = []
            for operand in stage.operands:
                at = Slot.OPERANDS + OPERAND_WORDS * position
                where = others[position]
                if operand.access in (Access.ROW, Access.FULL):
                    where = self._step(where, operand.dtype, row, d[at])
                if operand.access in (Access.COLUMN, Access.FULL):
                    where = self._step(where, operand.dtype, column, d[at + 1])
                inputs.append(self._load(where, operand.dtype))
                position += 1
            value = stage.emit(f, value, inputs)
        if contraction.is_float:
            value = narrow(f, value, LLVM_TYPES[contraction.dtype_out.name], self.target)
        f.store(value, c)
