"""The kernels of gather and scatter.

The index space is ``[A, B, J, I]``: J along the indexed axis, I after it. Where all elements along
I share an index, they are moved as rows. A scatter's tasks own slabs of A and B, or ranges of the
indexed axis, so that no two write one element, and each walks its indices in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto

from diptych.compiler.llvm.tasks import open_task, word, write_entry
from diptych.compiler.llvm.writer import Function, Module, Value, constant, is_float, vector
from diptych.compiler.target import Target


class Word(IntEnum):
    """Words of the descriptor; strides in elements. ``TABLE`` is what is indexed."""

    A = 0
    B = auto()
    J = auto()
    I = auto()  # noqa: E741 (the axis' name)
    EXTENT = auto()
    TABLE = auto()  # strides along A, B, the indexed axis, I
    INDEX = 9  # strides along A, B, J, I
    ROWS = 13  # the same of the gather's result or the scatter's source
    GROUP = 17  # of A * B per task
    CHUNK = auto()  # of J (gather) or of the indexed axis (scatter) per task
    CHUNKS = auto()
    TASKS = auto()
    ZERO = auto()  # whether a scatter starts from zeros


@dataclass(frozen=True)
class Indexed:
    """What a kernel's code depends on.

    ``element`` is the LLVM type in memory; ``mode`` is "gather", "set" or "add"; ``rows`` says that
    the elements along I share an index and lie together, ``wrap`` that negative indices
    count from the end. ``inner`` is "many", "one" where there is nothing along I, or "unit" where
    moreover all operands have unit strides along J.
    """

    mode: str
    element: str
    size: int
    index: str
    rows: bool
    inner: str
    wrap: bool

    def key(self) -> str:
        return (
            f"{self.mode} {self.element} {self.index} rows={self.rows} inner={self.inner} "
            f"wrap={self.wrap}"
        )


class IndexedWriter:
    """Writes the kernel ``name(desc, ptrs)``; pointers: table, index, [rows,] and status.

    A gather's pointers are table, index, result, status; a scatter's index, source, result, status.
    """

    def __init__(self, kind: Indexed, target: Target, name: str) -> None:
        self.kind = kind
        self.target = target
        self.name = name
        self.module = Module()

    def text(self) -> str:
        self._body()
        write_entry(self.module, self.name, Word.TASKS, self._clear_status)
        return self.module.text()

    @staticmethod
    def _clear_status(f: Function, ptrs: Value) -> None:
        status = f.load("ptr", f.offset(ptrs, 3, "ptr"))
        for part in range(2):
            f.store(constant("i64", 0), f.offset(status, part, "i64"))

    # ---- a task

    def _body(self) -> None:
        kind = self.kind
        self.f, desc, pointers = open_task(self.module, 4)
        f, task = self.f, self.f.parameters[1]
        self.status = pointers[3]
        if kind.mode == "gather":
            table, index, rows = pointers[:3]
        else:
            index, rows, table = pointers[:3]
        w = {name: word(f, desc, name) for name in Word}
        strides = {
            part: [word(f, desc, part + k) for k in range(4)]
            for part in (Word.TABLE, Word.INDEX, Word.ROWS)
        }
        self.extent, self.inner = w[Word.EXTENT], w[Word.I]
        self.inner_strides = [strides[part][3] for part in (Word.TABLE, Word.INDEX, Word.ROWS)]
        chunk = f.binary("urem", task, w[Word.CHUNKS])
        group = f.binary("udiv", task, w[Word.CHUNKS])
        low = f.mul(chunk, w[Word.CHUNK])
        limit = w[Word.J] if kind.mode == "gather" else self.extent
        high = f.minimum(f.add(low, w[Word.CHUNK]), limit)
        self.low, self.span = low, f.sub(high, low)
        first = f.mul(group, w[Word.GROUP])
        last = f.minimum(f.add(first, w[Word.GROUP]), f.mul(w[Word.A], w[Word.B]))
        start, stop = (low, high) if kind.mode == "gather" else (constant("i64", 0), w[Word.J])
        with f.loop(first, last) as outer:
            a = f.binary("udiv", outer.index, w[Word.B])
            b = f.binary("urem", outer.index, w[Word.B])
            bases = [
                f.offset(
                    base,
                    f.add(f.mul(a, strides[part][0]), f.mul(b, strides[part][1])),
                    kind.index if part is Word.INDEX else kind.element,
                )
                for base, part in ((table, Word.TABLE), (index, Word.INDEX), (rows, Word.ROWS))
            ]
            if kind.mode != "gather":
                self._clear(bases[0], w[Word.ZERO], strides[Word.TABLE][2])
            with f.loop(start, stop) as along:
                steps = [f.mul(along.index, strides[part][2]) for part in (Word.INDEX, Word.ROWS)]
                places = (
                    bases[0],
                    f.offset(bases[1], steps[0], kind.index),
                    f.offset(bases[2], steps[1], kind.element),
                )
                (self._row if kind.rows else self._elements)(places, strides[Word.TABLE][2])
        f.ret()

    def _clear(self, table: Value, wanted: Value, stride: Value) -> None:
        """Zeros in the task's range of the indexed axis, whose elements then lie together."""
        f = self.f
        with f.when(f.compare("ne", wanted, 0)):
            start = f.offset(table, f.mul(self.low, stride), self.kind.element)
            size = f.mul(f.mul(self.span, self.inner), self.kind.size)
            f.call("memset", "ptr", [start, constant("i32", 0), size])

    def _index(self, place: Value) -> Value:
        """An index as i64, counted from the front."""
        f = self.f
        number = f.cast("sext", f.load(self.kind.index, place), "i64")
        if self.kind.wrap:
            negative = f.compare("slt", number, 0)
            number = f.select(negative, f.add(number, self.extent), number)
        return number

    def _guarded(self, place: Value) -> tuple[Value, Value]:
        """An index, and whether this task may use it; one out of range is noted."""
        f = self.f
        number = self._index(place)
        good = f.compare("ult", number, self.extent)
        with f.when(f.binary("xor", good, constant("i1", 1))):
            bad = f.cast("sext", f.load(self.kind.index, place), "i64")
            f.store(bad, self.status)
            f.store(constant("i64", 1), f.offset(self.status, 1, "i64"))
        if self.kind.mode != "gather":  # within the extent, as the range is
            good = f.compare("ult", f.sub(number, self.low), self.span)
        return number, good

    # ---- rows

    def _row(self, places: tuple[Value, Value, Value], stride: Value) -> None:
        f, kind = self.f, self.kind
        table, index, row = places
        number, good = self._guarded(index)
        with f.when(good):
            there = f.offset(table, f.mul(number, stride), kind.element)
            if kind.mode == "add":
                self._add_row(there, row)
            else:
                to, source = (row, there) if kind.mode == "gather" else (there, row)
                size = f.mul(self.inner, kind.size)
                f.call("memcpy", "ptr", [to, source, size])

    def _add_row(self, to: Value, source: Value) -> None:
        f, kind = self.f, self.kind
        lanes = self.target.lanes(kind.size)
        type_ = vector(lanes, kind.element)
        whole = f.binary("and", self.inner, -lanes)
        with f.loop(0, whole, lanes) as loop:
            here = f.offset(to, loop.index, kind.element)
            other = f.load(type_, f.offset(source, loop.index, kind.element))
            f.store(f.add(f.load(type_, here), other), here)
        with f.loop(whole, self.inner) as loop:
            here = f.offset(to, loop.index, kind.element)
            other = f.load(kind.element, f.offset(source, loop.index, kind.element))
            f.store(f.add(f.load(kind.element, here), other), here)

    # ---- elements

    def _elements(self, places: tuple[Value, Value, Value], stride: Value) -> None:
        f = self.f
        table, index, row = places
        if self.kind.inner != "many":
            self._element(table, index, row, stride)
            return
        along, across, beside = self.inner_strides
        with f.loop(0, self.inner) as loop:
            i = loop.index
            self._element(
                f.offset(table, f.mul(i, along), self.kind.element),
                f.offset(index, f.mul(i, across), self.kind.index),
                f.offset(row, f.mul(i, beside), self.kind.element),
                stride,
            )

    def _element(self, table: Value, index: Value, here: Value, stride: Value) -> None:
        f, kind = self.f, self.kind
        number, good = self._guarded(index)
        with f.when(good):
            at = number if kind.inner == "unit" else f.mul(number, stride)
            there = f.offset(table, at, kind.element)
            if kind.mode == "gather":
                f.store(f.load(kind.element, there), here)
            else:
                value = f.load(kind.element, here)
                if kind.mode == "add":
                    value = f.add(f.load(kind.element, there), value)
                f.store(value, there)


def text(kind: Indexed, target: Target, name: str) -> str:
    """The IR of a kernel."""
    assert kind.mode != "add" or is_float(kind.element) or kind.element in ("i32", "i64"), (
        "sums of other types are the host's"
    )
    return IndexedWriter(kind, target, name).text()
