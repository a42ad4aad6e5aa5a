"""The kernel of window maxima: along a row of windows, or of channels, a vector at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from diptych.compiler.llvm.tasks import write_entry
from diptych.compiler.llvm.writer import Value, constant, constants, vector
from diptych.compiler.target import Target
from diptych.compiler.windows.frame import RowWriter, Word
from diptych.core import dtypes
from diptych.core.dtypes import DType

# The bits of minus infinity, as the signed integers in which small floats are stored.
_LOWEST = {dtypes.float16: -1024.0, dtypes.bfloat16: -128.0}


@dataclass(frozen=True)
class Maxima:
    """What the code depends on.

    ``along``: "channels" where they are last; else "row" for uniform windows ``step`` apart (0: a
    run-time number), or "table" for windows of their own.
    """

    dtype: DType
    indices: bool
    along: str
    step: int

    def key(self) -> str:
        return f"max {self.dtype.name} indices={self.indices} {self.along} step={self.step}"


class MaximaWriter(RowWriter):
    """Writes the kernel ``name(desc, ptrs)``: the input, the maxima, their positions (int32)."""

    def __init__(self, kind: Maxima, target: Target, name: str) -> None:
        super().__init__(kind.dtype, target, 3 if kind.indices else 2)
        self.kind = kind
        self.name = name
        self.lowest = _LOWEST.get(kind.dtype, -np.inf)

    def text(self) -> str:
        self.write_task()
        write_entry(self.module, self.name, Word.TASKS)
        return self.module.text()

    def row(self, start: Value, at: Value, d: Value, h: Value) -> None:
        self.runs = [self.run(0, d), self.run(1, h)]
        write = {"channels": self._channels, "row": self._vectors, "table": self._scalars}
        write[self.kind.along](start, at)

    # ---- the taps along D and H

    def _over_rows(
        self, start: Value, carried: Sequence[Value],
        step: Callable[[Value, Value, Sequence[Value]], Sequence[Value]],
    ) -> list[Value]:  # fmt: skip
        """Carry values over the rows that a window reads: ``step(address, flat position, ...)``."""
        f = self.f
        (d, deep), (h, high) = self.runs
        with f.loop(0, deep, 1, carried) as depth:
            z = f.add(d, f.mul(depth.index, self.dilation[0]))
            plane = self.place(start, 0, z)
            base = f.mul(z, self.extent[1])
            with f.loop(0, high, 1, depth.carried) as height:
                y = f.add(h, f.mul(height.index, self.dilation[1]))
                line = self.place(plane, 1, y)
                flat = f.mul(f.add(base, y), self.extent[2])
                height.next(step(line, flat, height.carried))
            depth.next(height.results)
        return depth.results

    def _first(self, w: Value) -> Value:
        """The flat position of a window's first element, ``w`` along W."""
        f = self.f
        (d, _), (h, _) = self.runs
        return f.add(f.mul(f.add(f.mul(d, self.extent[1]), h), self.extent[2]), w)

    def _better(self, value: Value, position: Value, carried: Sequence[Value]) -> list[Value]:
        f, best = self.f, carried[0]
        above = f.compare("ogt", value, best)
        taken = f.binary("or", above, f.compare("uno", value, value))
        made = [f.select(taken, value, best)]
        if self.kind.indices:
            made.append(f.select(taken, position, carried[1]))
        return made

    def _narrow(self, number: Value) -> Value:
        return self.f.cast("trunc", number, "i32")

    def _put(self, carried: Sequence[Value], at: Value, mask: Value | None) -> None:
        f = self.f
        self.store(carried[0], f.offset(self.operands[1], at, self.memory), mask)
        if self.kind.indices:
            where = f.offset(self.operands[2], at, "i32")
            if mask is None:
                f.store(carried[1], where)
            else:
                f.masked_store(carried[1], where, mask)

    def _start(self, lanes: int, first: Value) -> list[Value]:
        made = [constant(self.register(lanes), -np.inf)]
        return [*made, first] if self.kind.indices else made

    # ---- along W

    def _vectors(self, start: Value, at: Value) -> None:
        f, lanes, kind = self.f, self.lanes, self.kind
        ints = vector(lanes, "i32")
        kernel, padding = self.number(Word.KERNEL), self.number(Word.PADDING)
        step: Value = self.number(Word.STEP)
        if kind.step:
            step = constant("i64", kind.step)
        spread = f.mul(
            constants("i32", range(lanes)), f.splat(self._narrow(step), lanes)
        ) if lanes > 1 else constant("i32", 0)  # fmt: skip
        with f.loop(0, self.out[2], lanes) as loop:
            o = loop.index
            mask = self.within(constant("i64", 0), f.sub(self.out[2], o), lanes)
            origin = f.sub(f.mul(o, step), padding)
            table = f.offset(self.desc, f.add(self.tables[2], o), "i64")
            wide = f.masked_load(vector(lanes, "i64"), table, mask)
            head = f.splat(self._narrow(self._first(constant("i64", 0))), lanes)
            carried = self._start(lanes, f.add(head, f.cast("trunc", wide, ints)))

            def over(line: Value, flat: Value, held: Sequence[Value]) -> Sequence[Value]:
                with f.loop(0, kernel, 1, held) as taps:
                    first = f.add(origin, f.mul(taps.index, self.dilation[2]))
                    value = self.widened(self._spread(line, first, step))
                    position = f.add(f.splat(self._narrow(f.add(flat, first)), lanes), spread)
                    taps.next(self._better(value, position, taps.carried))
                return taps.results

            self._put(self._over_rows(start, carried, over), f.add(at, o), mask)

    def _spread(self, line: Value, first: Value, step: Value) -> Value:
        limit = self.extent[2]
        if self.kind.step:
            return self.spread_load(line, first, self.kind.step, limit, self.memory, self.lowest)
        return self.far_load(line, first, step, limit, self.memory, self.lowest)

    def _scalars(self, start: Value, at: Value) -> None:
        f = self.f
        with f.loop(0, self.out[2]) as loop:
            w, wide = self.run(2, loop.index)

            def over(
                line: Value, flat: Value, held: Sequence[Value], w: Value = w, wide: Value = wide
            ) -> Sequence[Value]:
                with f.loop(0, wide, 1, held) as taps:
                    x = f.add(w, f.mul(taps.index, self.dilation[2]))
                    value = self.widened(f.load(self.memory, f.offset(line, x, self.memory)))
                    position = self._narrow(f.add(flat, x))
                    taps.next(self._better(value, position, taps.carried))
                return taps.results

            carried = self._start(1, self._narrow(self._first(w)))
            self._put(self._over_rows(start, carried, over), f.add(at, loop.index), None)

    # ---- along C

    def _channels(self, start: Value, at: Value) -> None:
        f, lanes = self.f, self.lanes
        whole = f.binary("and", self.inner, -lanes)
        with f.loop(0, self.out[2]) as loop:
            run = self.run(2, loop.index)
            here = f.add(at, f.mul(loop.index, self.inner))
            with f.loop(0, whole, lanes) as block:
                self._pixel(start, f.add(here, block.index), run, block.index, None)
            left = f.sub(self.inner, whole)
            with f.when(f.compare("sgt", left, 0)):
                mask = self.within(constant("i64", 0), left, lanes)
                self._pixel(start, f.add(here, whole), run, whole, mask)

    def _pixel(
        self, start: Value, at: Value, run: tuple[Value, Value], c: Value, mask: Value | None
    ) -> None:
        f, lanes = self.f, self.lanes
        w, wide = run

        def over(line: Value, flat: Value, held: Sequence[Value]) -> Sequence[Value]:
            with f.loop(0, wide, 1, held) as taps:
                x = f.add(w, f.mul(taps.index, self.dilation[2]))
                pointer = f.offset(self.place(line, 2, x), c, self.memory)
                position = f.splat(self._narrow(f.add(flat, x)), lanes)
                taps.next(self._better(self.load(pointer, mask), position, taps.carried))
            return taps.results

        carried = self._start(lanes, f.splat(self._narrow(self._first(w)), lanes))
        self._put(self._over_rows(start, carried, over), at, mask)
