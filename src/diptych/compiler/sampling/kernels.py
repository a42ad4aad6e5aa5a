"""The kernels of taps: read, added or matched, a vector of points or a few planes at a time.

Reading and matching run along the points, whose positions and weights stay in registers while the
channels go by. Adding walks the points in order for a few planes that its task owns: no two tasks
write one element, and sums are added in one order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum, auto

from diptych.compiler.llvm.tasks import open_task, word, write_entry
from diptych.compiler.llvm.writer import Module, Value, bits_of, constant, vector
from diptych.compiler.target import Target

PLANES = 4  # that adding walks at a time


class Word(IntEnum):
    """Words of the descriptor; strides in elements."""

    TASKS = 0
    CHUNK = auto()  # points, or channels where values are added, per task
    CHUNKS = auto()  # of them for each of N
    CHANNELS = auto()
    SIZE = auto()  # of a plane
    POINTS = auto()
    X = 6  # strides of what is read: N, C, S


@dataclass(frozen=True)
class Taps:
    """What the code depends on; ``unit`` says that the elements of a plane read lie together."""

    mode: str  # "read", "add" or "match"
    element: str
    count: int
    unit: bool

    def key(self) -> str:
        return f"{self.mode} {self.element} taps={self.count} unit={self.unit}"


class TapsWriter:
    """Writes the kernel ``name(desc, ptrs)``.

    Its pointers: planes, weights, positions, results ("read"); values, weights, positions, planes
    ("add"); values, planes, positions, results ("match").
    """

    def __init__(self, kind: Taps, target: Target, name: str) -> None:
        self.kind = kind
        self.name = name
        self.module = Module()
        self.size = bits_of(kind.element) // 8
        self.lanes = target.lanes(self.size)

    def text(self) -> str:
        self.f, self.desc, self.operands = open_task(self.module, 4)
        f = self.f
        chunks, chunk = self._word(Word.CHUNKS), self._word(Word.CHUNK)
        self.channels, self.plane = self._word(Word.CHANNELS), self._word(Word.SIZE)
        self.points = self._word(Word.POINTS)
        task = f.parameters[1]
        n, part = f.binary("udiv", task, chunks), f.binary("urem", task, chunks)
        taps = f.mul(f.mul(n, self.points), self.kind.count)
        self.positions = f.offset(self.operands[2], taps, "i32")
        self.table = f.mul(n, f.mul(self.channels, self.points))
        first = f.mul(part, chunk)
        if self.kind.mode == "add":
            self.weights = f.offset(self.operands[1], taps, self.kind.element)
            self._add(n, first, f.minimum(f.add(first, chunk), self.channels))
        else:
            self.taps = taps
            self._along(n, first, f.minimum(f.add(first, chunk), self.points))
        f.ret()
        write_entry(self.module, self.name, Word.TASKS)
        return self.module.text()

    def _word(self, index: int) -> Value:
        return word(self.f, self.desc, index)

    # ---- along the points

    def _along(self, n: Value, first: Value, last: Value) -> None:
        f, element = self.f, self.kind.element
        reads = self.kind.mode == "read"
        steps = [self._word(Word.X + k) for k in range(3)]
        x = f.offset(self.operands[0 if reads else 1], f.mul(n, steps[0]), element)
        values = f.offset(self.operands[3 if reads else 0], self.table, element)
        weights = f.offset(self.operands[1 if reads else 3], self.taps, element)
        with f.loop(first, last, self.lanes) as loop:
            p = loop.index
            mask = f.first_lanes(f.sub(last, p), self.lanes, self.size * 8)
            places = [self._tap(p, tap, mask, steps[2]) for tap in range(self.kind.count)]
            rows = [
                f.offset(weights, f.add(p, f.mul(self.points, tap)), element)
                for tap in range(self.kind.count)
            ]
            here = f.offset(values, p, element)
            write = self._read if reads else self._match
            write(x, steps[1], here, rows, places, mask)

    def _tap(self, p: Value, tap: int, mask: Value, step: Value) -> tuple[Value, Value]:
        """A tap's offsets in a plane, and which of them exist, for a vector of points."""
        f, lanes = self.f, self.lanes
        at = f.offset(self.positions, f.add(p, f.mul(self.points, tap)), "i32")
        position = f.masked_load(vector(lanes, "i32"), at, mask, -1)
        wide = f.cast("sext", position, vector(lanes, "i64"))
        # Compared in as many bits as the data has: a narrower mask would have to be widened.
        bits = f"i{8 * self.size}"
        compared = position if bits == "i32" else wide
        limit = self.plane if bits == "i64" else f.cast("trunc", self.plane, bits)
        exists = f.compare("ult", compared, f.splat(limit, lanes))
        if not self.kind.unit:
            wide = f.mul(wide, f.splat(step, lanes))
        return wide, f.binary("and", exists, mask)

    def _gathered(self, plane: Value, place: tuple[Value, Value]) -> Value:
        f, element = self.f, self.kind.element
        return f.gather(vector(self.lanes, element), f.offset(plane, place[0], element), place[1])

    def _read(
        self, x: Value, step: Value, out: Value, rows: Sequence[Value],
        places: Sequence[tuple[Value, Value]], mask: Value,
    ) -> None:  # fmt: skip
        f, element = self.f, self.kind.element
        type_ = vector(self.lanes, element)
        # Where nothing is read its weight counts as 0, whatever it is.
        weights = [
            f.masked_load(type_, row, exists)
            for row, (_, exists) in zip(rows, places, strict=True)
        ]  # fmt: skip
        with f.loop(0, self.channels) as loop:
            c = loop.index
            plane = f.offset(x, f.mul(c, step), element)
            total = constant(type_, 0)
            for weight, place in zip(weights, places, strict=True):
                total = f.muladd(self._gathered(plane, place), weight, total)
            f.masked_store(total, f.offset(out, f.mul(c, self.points), element), mask)

    def _match(
        self, x: Value, step: Value, values: Value, rows: Sequence[Value],
        places: Sequence[tuple[Value, Value]], mask: Value,
    ) -> None:  # fmt: skip
        f, element = self.f, self.kind.element
        type_ = vector(self.lanes, element)
        with f.loop(0, self.channels, 1, [constant(type_, 0)] * len(places)) as loop:
            c = loop.index
            plane = f.offset(x, f.mul(c, step), element)
            value = f.masked_load(type_, f.offset(values, f.mul(c, self.points), element), mask)
            loop.next([
                f.muladd(value, self._gathered(plane, place), total)
                for place, total in zip(places, loop.carried, strict=True)
            ])  # fmt: skip
        for row, total, (_, exists) in zip(rows, loop.results, places, strict=True):
            # An infinite value must not make a NaN of what was not read.
            f.masked_store(f.select(exists, total, constant(type_, 0)), row, mask)

    # ---- adding, plane by plane

    def _add(self, n: Value, first: Value, last: Value) -> None:
        f, element = self.f, self.kind.element
        values = f.offset(self.operands[0], self.table, element)
        before = f.mul(f.mul(n, self.channels), self.plane)
        planes = f.offset(self.operands[3], before, element)
        count = f.mul(f.mul(f.sub(last, first), self.plane), self.size)
        start = f.offset(planes, f.mul(first, self.plane), element)
        zero, byte = Value("false", "i1"), constant("i8", 0)
        self.module.declare("llvm.memset.p0.i64", "void", ["ptr", "i8", "i64", "i1 immarg"])
        f.do(f"call void @llvm.memset.p0.i64({start}, {byte}, {count}, {zero})")
        whole = f.add(first, f.binary("and", f.sub(last, first), -PLANES))
        with f.loop(first, whole, PLANES) as loop:
            self._add_to(values, planes, loop.index, PLANES)
        with f.loop(whole, last) as loop:
            self._add_to(values, planes, loop.index, 1)

    def _add_to(self, values: Value, planes: Value, c: Value, count: int) -> None:
        """All points' values to ``count`` planes from ``c`` on."""
        f, element = self.f, self.kind.element
        ahead = [f.add(c, k) if k else c for k in range(count)]
        rows = [f.offset(values, f.mul(k, self.points), element) for k in ahead]
        bases = [f.offset(planes, f.mul(k, self.plane), element) for k in ahead]
        with f.loop(0, self.points) as loop:
            p = loop.index
            given = [f.load(element, f.offset(row, p, element)) for row in rows]
            for tap in range(self.kind.count):
                at = f.add(p, f.mul(self.points, tap))
                position = f.cast("sext", f.load("i32", f.offset(self.positions, at, "i32")), "i64")
                with f.when(f.compare("ult", position, self.plane)):
                    weight = f.load(element, f.offset(self.weights, at, element))
                    for value, base in zip(given, bases, strict=True):
                        place = f.offset(base, position, element)
                        f.store(f.muladd(value, weight, f.load(element, place)), place)
