"""The kernel of banded maps: averages over windows, interpolation, and their adjoints.

Along a row, the elements that a row of results reads are first summed over D and H, vectors along
W, into the worker's scratch; then each result sums its run of that. Where channels are last, every
result sums its elements, vectors along the channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from diptych.compiler.llvm.tasks import write_entry
from diptych.compiler.llvm.writer import Value, constant, vector
from diptych.compiler.target import Target
from diptych.compiler.windows.frame import AXES, RowWriter, Word
from diptych.core import dtypes
from diptych.core.dtypes import DType

_PERMUTE = {  # two registers' lanes by number: LLVM's name, the numbers' type
    "float": ("llvm.x86.avx512.vpermi2var.ps.512", "i32"),
    "double": ("llvm.x86.avx512.vpermi2var.pd.512", "i64"),
}


@dataclass(frozen=True)
class Bands:
    """What the code depends on.

    ``divide`` says where averages are divided: "after", "before" (their adjoints) or "no".
    ``along``: "channels"; or how a row of results reads the summed row: "spread" (uniform windows
    ``step`` apart), "permute" (a vector's runs lie within two registers), or "table".
    """

    dtype: DType
    weighted: bool
    divide: str
    along: str
    step: int

    def key(self) -> str:
        return (
            f"bands {self.dtype.name} weighted={self.weighted} divide={self.divide} {self.along} "
            f"step={self.step}"
        )


def permutes(dtype: DType, target: Target) -> bool:
    """Whether the machine has the permutation of two registers."""
    return target.has("avx512f") and target.vector_bytes == 64 and dtype.is_float


class BandsWriter(RowWriter):
    """Writes the kernel ``name(desc, ptrs)``: the input, weights and divisors, the result."""

    def __init__(self, kind: Bands, target: Target, name: str) -> None:
        super().__init__(kind.dtype, target, 3)
        self.kind = kind
        self.name = name
        self.type = "double" if kind.dtype is dtypes.float64 else "float"
        self.bytes = 8 if self.type == "double" else 4
        self.vector = vector(self.lanes, self.type)

    def text(self) -> str:
        self.write_task()
        write_entry(self.module, self.name, Word.TASKS)
        return self.module.text()

    def prepare(self) -> None:
        f = self.f
        self.weights = [self.number(Word.WEIGHTS + k) for k in range(AXES)]
        self.divisors = [self.number(Word.DIVISORS + k) for k in range(AXES)]
        self.taps = [self.number(Word.TAPS + k) for k in range(AXES)]
        if self.kind.along != "channels":
            size = self.number(Word.SCRATCH)
            self.scratch = f.call("dp_scratch", "ptr", [f.parameters[2], size])

    def row(self, start: Value, at: Value, d: Value, h: Value) -> None:
        self.position = (d, h)
        self.runs = [self.run(0, d), self.run(1, h)]
        if self.kind.along == "channels":
            self._channels(start, at)
            return
        line = self._summed(start)
        write = {"spread": self._spread, "permute": self._permuted, "table": self._scalars}
        write[self.kind.along](line, at)

    # ---- weights and divisors

    def _constant(self, index: Value) -> Value:
        return self.f.load(self.type, self.f.offset(self.operands[1], index, self.type))

    def _constants(self, index: Value, mask: Value) -> Value:
        """A vector of them; ones where masked off, for divisions."""
        f = self.f
        where = f.offset(self.operands[1], index, self.type)
        return f.masked_load(self.vector, where, mask, 1.0)

    def _weight(self, axis: int, position: Value, tap: Value) -> Value:
        """A result's weight of its tap: they lie tap after tap."""
        f = self.f
        at = f.add(self.weights[axis], f.mul(tap, self.out[axis]))
        return self._constant(f.add(at, position))

    def _divisor(self, axis: int, position: Value) -> Value:
        return self._constant(self.f.add(self.divisors[axis], position))

    # ---- sums over D and H

    def _over_rows(
        self, start: Value, carried: Value, step: Callable[[Value, Value, Value], Value]
    ) -> Value:
        """Carry a sum over the rows that a result reads: ``step(address, factor, sum)``.

        The factor is the rows' weight, or their divisor where sources are divided.
        """
        f, kind = self.f, self.kind
        (d, deep), (h, high) = self.runs
        one = constant(self.type, 1.0)
        with f.loop(0, deep, 1, [carried]) as depth:
            z = f.add(d, depth.index)
            plane = self.place(start, 0, z)
            outer = one
            if kind.weighted:
                outer = self._weight(0, self.position[0], depth.index)
            elif kind.divide == "before":
                outer = self._divisor(0, z)
            with f.loop(0, high, 1, depth.carried) as height:
                y = f.add(h, height.index)
                line = self.place(plane, 1, y)
                factor = outer
                if kind.weighted:
                    factor = f.mul(outer, self._weight(1, self.position[1], height.index))
                elif kind.divide == "before":
                    factor = f.mul(outer, self._divisor(1, y))
                height.next([step(line, factor, height.carried[0])])
            depth.next(height.results)
        return depth.results[0]

    def _summed(self, start: Value) -> Value:
        """The row of sums: in scratch, or the input's own row where it is the only one."""
        f, kind = self.f, self.kind

        def compute() -> Sequence[Value]:
            with f.loop(0, self.extent[2], self.lanes) as loop:
                self._sum_vector(start, loop.index)
            return [self.scratch]

        if kind.weighted or kind.divide == "before" or self.memory != self.type:
            return compute()[0]
        (d, deep), (h, high) = self.runs
        single = f.compare("eq", f.mul(deep, high), 1)
        return f.choose(
            single, lambda: [self.place(self.place(start, 0, d), 1, h)], compute
        )[0]  # fmt: skip

    def _sum_vector(self, start: Value, w: Value) -> None:
        f, kind, lanes = self.f, self.kind, self.lanes
        mask = self.within(constant("i64", 0), f.sub(self.extent[2], w), lanes)
        across = constant(self.vector, 1.0)
        if kind.divide == "before":
            across = self._constants(f.add(self.divisors[2], w), mask)

        def step(line: Value, factor: Value, total: Value) -> Value:
            value = self.load(f.offset(line, w, self.memory), mask)
            spread = f.splat(factor, lanes)
            if kind.weighted:
                value = f.mul(value, spread)
            elif kind.divide == "before":
                value = f.binary("fdiv", value, f.mul(spread, across))
            return f.add(total, value)

        total = self._over_rows(start, constant(self.vector, 0), step)
        f.store(total, f.offset(self.scratch, w, self.type))

    # ---- results along W

    def _finish(self, total: Value, at: Value, o: Value, mask: Value) -> None:
        f, kind = self.f, self.kind
        if kind.divide == "after":
            rows = f.mul(self._divisor(0, self.position[0]), self._divisor(1, self.position[1]))
            across = self._constants(f.add(self.divisors[2], o), mask)
            total = f.binary("fdiv", total, f.mul(f.splat(rows, self.lanes), across))
        self.store(total, f.offset(self.operands[2], f.add(at, o), self.memory), mask)

    def _spread(self, line: Value, at: Value) -> None:
        """Uniform windows of equal weights."""
        f, lanes, step = self.f, self.lanes, self.kind.step
        kernel, padding = self.number(Word.KERNEL), self.number(Word.PADDING)
        with f.loop(0, self.out[2], lanes) as loop:
            o = loop.index
            origin = f.sub(f.mul(o, step), padding)
            with f.loop(0, kernel, 1, [constant(self.vector, 0)]) as taps:
                first = f.add(origin, taps.index)
                value = self.spread_load(line, first, step, self.extent[2], self.type, 0.0)
                taps.next([f.add(taps.carried[0], value)])
            mask = self.within(constant("i64", 0), f.sub(self.out[2], o), lanes)
            self._finish(taps.results[0], at, o, mask)

    def _permuted(self, line: Value, at: Value) -> None:
        """Runs of any kind: those of a vector of results lie within two registers."""
        f, lanes, kind = self.f, self.lanes, self.kind
        name, number = _PERMUTE[self.type]
        numbers, wide = vector(lanes, number), vector(lanes, "i64")
        with f.loop(0, self.out[2], lanes) as loop:
            o = loop.index
            mask = self.within(constant("i64", 0), f.sub(self.out[2], o), lanes)
            at_first = f.offset(self.desc, f.add(self.tables[2], o), "i64")
            base = f.load("i64", at_first)
            first = f.masked_load(wide, at_first, mask)
            count = f.masked_load(wide, f.offset(at_first, self.out[2], "i64"), mask)
            relative = f.cast("trunc", f.sub(first, f.splat(base, lanes)), numbers)
            parts = []
            for part in (0, lanes):
                position = f.add(base, part)
                inside = self.within(position, self.extent[2], lanes)
                parts.append(
                    f.masked_load(self.vector, f.offset(line, position, self.type), inside)
                )
            with f.loop(0, self.taps[2], 1, [constant(self.vector, 0)]) as taps:
                step = f.splat(f.cast("trunc", taps.index, number), lanes)
                order = f.add(relative, step)
                value = f.call(name, self.vector, [parts[0], order, parts[1]])
                if kind.weighted:
                    place = f.add(self.weights[2], f.add(f.mul(taps.index, self.out[2]), o))
                    value = f.mul(value, self._constants(place, mask))
                exists = f.compare("slt", f.splat(taps.index, lanes), count)
                value = f.select(exists, value, 0.0)
                taps.next([f.add(taps.carried[0], value)])
            self._finish(taps.results[0], at, o, mask)

    def _scalars(self, line: Value, at: Value) -> None:
        f, kind = self.f, self.kind
        rows = constant(self.type, 1.0)
        if kind.divide == "after":
            rows = f.mul(self._divisor(0, self.position[0]), self._divisor(1, self.position[1]))
        with f.loop(0, self.out[2]) as loop:
            o = loop.index
            first, count = self.run(2, o)
            with f.loop(0, count, 1, [constant(self.type, 0)]) as taps:
                value = f.load(self.type, f.offset(line, f.add(first, taps.index), self.type))
                if kind.weighted:
                    value = f.mul(value, self._weight(2, o, taps.index))
                taps.next([f.add(taps.carried[0], value)])
            total = taps.results[0]
            if kind.divide == "after":
                total = f.binary("fdiv", total, f.mul(rows, self._divisor(2, o)))
            self.store(total, f.offset(self.operands[2], f.add(at, o), self.memory), None)

    # ---- results along C

    def _channels(self, start: Value, at: Value) -> None:
        f, lanes = self.f, self.lanes
        whole = f.binary("and", self.inner, -lanes)
        with f.loop(0, self.out[2]) as loop:
            o = loop.index
            here = f.add(at, f.mul(o, self.inner))
            with f.loop(0, whole, lanes) as block:
                self._pixel(start, f.add(here, block.index), o, block.index, None)
            left = f.sub(self.inner, whole)
            with f.when(f.compare("sgt", left, 0)):
                mask = self.within(constant("i64", 0), left, lanes)
                self._pixel(start, f.add(here, whole), o, whole, mask)

    def _pixel(self, start: Value, at: Value, o: Value, c: Value, mask: Value | None) -> None:
        f, kind, lanes = self.f, self.kind, self.lanes
        w, wide = self.run(2, o)

        def step(line: Value, factor: Value, total: Value) -> Value:
            with f.loop(0, wide, 1, [total]) as taps:
                x = f.add(w, taps.index)
                value = self.load(f.offset(self.place(line, 2, x), c, self.memory), mask)
                if kind.weighted:
                    weight = f.mul(factor, self._weight(2, o, taps.index))
                    value = f.mul(value, f.splat(weight, lanes))
                elif kind.divide == "before":
                    divisor = f.mul(factor, self._divisor(2, x))
                    value = f.binary("fdiv", value, f.splat(divisor, lanes))
                taps.next([f.add(taps.carried[0], value)])
            return taps.results[0]

        total = self._over_rows(start, constant(self.vector, 0), step)
        if kind.divide == "after":
            rows = f.mul(self._divisor(0, self.position[0]), self._divisor(1, self.position[1]))
            divisor = f.splat(f.mul(rows, self._divisor(2, o)), lanes)
            total = f.binary("fdiv", total, divisor)
        self.store(total, f.offset(self.operands[2], at, self.memory), mask)
