"""Running sums, products and extrema: lines side by side, because one alone is a chain of waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diptych.compiler.llvm.writer import (
    Function,
    Module,
    Value,
    constant,
    is_float,
    lanes_of,
    vector,
    with_element,
)
from diptych.compiler.ordering.lines import Lines, Word, write_kernel
from diptych.compiler.target import Target

_TOGETHER = 8  # lines walked at once


@dataclass(frozen=True)
class Scan:
    """What a kernel's code depends on.

    ``op`` is "cumsum", "cumprod", "cummax" or "cummin"; ``element`` the LLVM type in memory;
    ``unsigned`` how whole numbers compare; ``side`` says that lines lie side by side, element to
    element, so that vectors run over them.
    """

    op: str
    element: str
    size: int
    unsigned: bool
    side: bool

    def key(self) -> str:
        return f"{self.op} {self.element} unsigned={self.unsigned} side={self.side}"


def text(kind: Scan, target: Target, name: str) -> str:
    """The IR of a kernel with pointers: operand, values and (of extrema) positions."""
    writer = ScanWriter(kind, target)
    return write_kernel(Module(), name, 3 if writer.extremum else 2, writer.task)


class ScanWriter:
    """Writes the tasks of one scan."""

    def __init__(self, kind: Scan, target: Target) -> None:
        self.kind = kind
        self.target = target
        self.extremum = kind.op in ("cummax", "cummin")
        # Sums and products of floats run in double, as the reference's.
        wide = is_float(kind.element) and not self.extremum
        self.running = "double" if wide else kind.element

    def task(self, lines: Lines) -> None:
        f = lines.f
        if not self.kind.side:
            whole = f.binary("and", f.sub(lines.last, lines.first), -_TOGETHER)
            split = f.add(lines.first, whole)
            with f.loop(lines.first, split, _TOGETHER) as loop:
                self.walk(lines, [f.add(loop.index, k) for k in range(_TOGETHER)])
            with f.loop(split, lines.last) as loop:
                self.walk(lines, [loop.index])
            return
        # Tasks of lines side by side own whole slabs of A and B: their lines are I's.
        inner = lines.words[Word.I]
        lanes = self.target.lanes(8)
        width = lanes * (2 if self.extremum else 4)
        with f.loop(lines.first, lines.last, inner) as slab:
            whole = f.binary("and", inner, -width)
            with f.loop(0, whole, width) as loop:
                start = f.add(slab.index, loop.index)
                self.walk(lines, [f.add(start, k) for k in range(0, width, lanes)], lanes)
            with f.loop(whole, inner) as loop:
                self.walk(lines, [f.add(slab.index, loop.index)])

    def walk(self, lines: Lines, starts: Sequence[Value], lanes: int = 1) -> None:
        """The lines that begin at ``starts``, and with ``lanes`` those beside each."""
        f, kind = lines.f, self.kind
        x, *outs = lines.pointers
        along, beside = lines.x_strides[2], lines.out_strides[2]
        element = vector(lanes, kind.element)
        sources = [lines.place(line, x, lines.x_strides, kind.element) for line in starts]
        targets = [
            [lines.place(line, out, lines.out_strides, type_) for line in starts]
            for out, type_ in zip(outs, (kind.element, "i64"), strict=False)
        ]
        carried = self.begin(f, sources, element)
        with f.loop(0, lines.words[Word.J], carried=carried, runs=True) as loop:
            step, to = f.mul(loop.index, along), f.mul(loop.index, beside)
            following = []
            for k, source in enumerate(sources):
                value = f.load(element, f.offset(source, step, kind.element))
                if self.extremum:
                    held = loop.carried[2 * k : 2 * k + 2]
                    made = list(self.extreme(f, held, value, loop.index))
                    f.store(made[1], f.offset(targets[1][k], to, "i64"))
                    result = made[0]
                else:
                    made = [self.grown(f, loop.carried[k], value)]
                    result = f.cast("fptrunc", made[0], element)
                f.store(result, f.offset(targets[0][k], to, kind.element))
                following += made
            loop.next(following)

    def begin(self, f: Function, sources: Sequence[Value], element: str) -> list[Value]:
        """What is carried along each line before its first element."""
        if self.extremum:
            positions = constant(with_element(element, "i64"), 0)
            return [v for source in sources for v in (f.load(element, source), positions)]
        neutral = 1.0 if self.kind.op == "cumprod" else -0.0 if is_float(element) else 0
        return [constant(with_element(element, self.running), neutral)] * len(sources)

    def grown(self, f: Function, held: Value, value: Value) -> Value:
        wide = f.cast("fpext", value, held.type)
        return f.add(held, wide) if self.kind.op == "cumsum" else f.mul(held, wide)

    def extreme(
        self, f: Function, held: Sequence[Value], value: Value, index: Value
    ) -> tuple[Value, Value]:
        """The extremum with one more element, and its latest position; NaN stays once it came."""
        best, position = held
        word = "ge" if self.kind.op == "cummax" else "le"
        if is_float(value.type):
            taken = f.binary(
                "or", f.compare(f"o{word}", value, best), f.compare("uno", value, value)
            )
        else:
            taken = f.compare(("u" if self.kind.unsigned else "s") + word, value, best)
        here = f.splat(index, lanes_of(value.type))
        return f.select(taken, value, best), f.select(taken, here, position)
