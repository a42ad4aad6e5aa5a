"""Sorting lines by their bits: stable, with NaN as the greatest value and both zeros equal.

An element's bits become an unsigned key in the order of its values; a record is the key and the
position. Records of keys up to 32 bits are one word (key above position), so their order is total;
wider keys take two words. Short lines are ranked by comparing all with all, others go through a
radix sort of 8-bit digits, which skips digits that all keys share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diptych.compiler.llvm.writer import (
    Function,
    Module,
    Value,
    bits_of,
    constant,
    lanes_of,
    vector,
)
from diptych.compiler.ordering.lines import Lines, Word, write_kernel
from diptych.compiler.target import Target

_DIGIT = 256
_FEW, _FEW_WIDE = 64, 24  # lines up to here are ranked
_SELECTED = 64  # topk keeps up to so many in order while it reads
_INFINITY = {"half": 0x7C00, "bfloat": 0x7F80, "float": 0x7F800000, "double": 0x7FF << 52}


@dataclass(frozen=True)
class Sort:
    """What a kernel's code depends on.

    ``pick`` is "all" (the first of the sorted line, as many as the results have), "kth", "median"
    or "nanmedian"; ``order`` "unsigned", "signed" or a float's LLVM type; ``adjacent`` says that a
    line's elements lie together.
    """

    pick: str
    size: int
    order: str
    descending: bool
    adjacent: bool

    def key(self) -> str:
        return f"{self.pick} {self.size} {self.order} {self.descending} adjacent={self.adjacent}"

    @property
    def wide(self) -> bool:
        return self.size == 8

    @property
    def words(self) -> int:
        """Words of a record."""
        return 2 if self.wide else 1


def scratch_bytes(kind: Sort, extent: int) -> int:
    """What a task needs: the records twice, and the padding of ranks."""
    return 2 * 8 * kind.words * (extent + 16)


def text(kind: Sort, target: Target, name: str) -> str:
    """The IR of a kernel with pointers: operand, values, positions."""
    module = Module()
    writer = SortWriter(module, kind, target)
    writer.functions()
    return write_kernel(module, name, 3, writer.task)


def _signed(number: int, bits: int) -> int:
    """A bit pattern as LLVM's signed constant."""
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


class SortWriter:
    """Writes the tasks of one kind of sorting, and the functions they call."""

    def __init__(self, module: Module, kind: Sort, target: Target) -> None:
        self.module = module
        self.kind = kind
        self.target = target
        self.element = f"i{8 * kind.size}"
        self.shift = 0 if kind.wide else 32  # of the key in its word

    # ---- keys

    def ordered(self, f: Function, bits: Value) -> Value:
        """Bits (or a vector of them) as unsigned keys in the order of their values."""
        kind, width, type_ = self.kind, bits_of(bits.type), bits.type
        sign = _signed(1 << (width - 1), width)
        key = bits
        if kind.order == "signed":
            key = f.binary("xor", bits, sign)
        elif kind.order != "unsigned":
            size = f.binary("and", bits, _signed((1 << (width - 1)) - 1, width))
            plain = f.select(f.compare("eq", size, 0), constant(type_, 0), bits)  # -0 is 0
            flip = f.binary("or", f.binary("ashr", plain, width - 1), sign)
            nan = f.compare("ugt", size, _INFINITY[kind.order])
            key = f.select(nan, constant(type_, -1), f.binary("xor", plain, flip))
        return f.binary("xor", key, -1) if kind.descending else key

    def record(self, f: Function, bits: Value, position: Value) -> Value:
        """The first word of a record."""
        key = self.ordered(f, bits)
        if self.kind.wide:
            return key
        return f.binary("or", f.binary("shl", f.cast("zext", key, "i64"), 32), position)

    def at(self, f: Function, records: Value, index: Value) -> Value:
        return f.offset(records, f.mul(index, self.kind.words), "i64")

    def copy(self, f: Function, source: Value, target: Value) -> None:
        for k in range(self.kind.words):
            f.store(f.load("i64", f.offset(source, k, "i64")), f.offset(target, k, "i64"))

    # ---- the functions

    def functions(self) -> None:
        self._fill()
        self._ranks()
        self._radix()
        self._sorted()
        if self.kind.pick == "all" and not self.kind.wide:
            self._select()

    def _fill(self) -> None:
        """``fill(x, stride, n, records)``."""
        f = self.module.function(
            "fill", [("ptr", "x"), ("i64", "stride"), ("i64", "n"), ("ptr", "records")],
            internal=True,
        )  # fmt: skip
        x, stride, n, records = f.parameters
        with f.loop(0, n) as loop:
            bits = f.load(self.element, f.offset(x, f.mul(loop.index, stride), self.element))
            here = self.at(f, records, loop.index)
            f.store(self.record(f, bits, loop.index), here)
            if self.kind.wide:
                f.store(loop.index, f.offset(here, 1, "i64"))
        f.ret()

    def _ranks(self) -> None:
        """``ranks(records, other, n)``: each record to where it belongs among all."""
        f = self.module.function(
            "ranks", [("ptr", "records"), ("ptr", "other"), ("i64", "n")], internal=True
        )
        records, other, n = f.parameters
        with f.loop(0, n) as outer:
            here = self.at(f, records, outer.index)
            mine = f.load("i64", here)
            rank = self._rank_wide if self.kind.wide else self._rank
            place = rank(f, records, n, mine, outer.index)
            self.copy(f, here, self.at(f, other, place))
        f.ret()

    def _rank(self, f: Function, records: Value, n: Value, mine: Value, _: Value) -> Value:
        """How many records are smaller: eight at a time, past the end too, where all bits are 1."""
        lanes = self.target.lanes(8)
        type_ = vector(lanes, "i64")
        own = f.splat(mine, lanes)
        with f.loop(0, n, lanes, carried=[constant(type_, 0)], runs=True) as loop:
            others = f.load(type_, f.offset(records, loop.index, "i64"))
            below = f.cast("zext", f.compare("ult", others, own), type_)
            loop.next([f.add(loop.carried[0], below)])
        return f.reduce(loop.results[0], f.add)

    def _rank_wide(
        self, f: Function, records: Value, n: Value, mine: Value, position: Value
    ) -> Value:
        with f.loop(0, n, carried=[constant("i64", 0)], runs=True) as loop:
            other = f.load("i64", self.at(f, records, loop.index))
            earlier = f.binary(
                "and", f.compare("eq", other, mine), f.compare("slt", loop.index, position)
            )
            below = f.binary("or", f.compare("ult", other, mine), earlier)
            loop.next([f.add(loop.carried[0], f.cast("zext", below, "i64"))])
        return loop.results[0]

    def _digit(self, f: Function, word: Value, number: int) -> Value:
        return f.binary("and", f.binary("lshr", word, self.shift + 8 * number), _DIGIT - 1)

    def _radix(self) -> None:
        """``radix(records, other, n)``: sorted, in whichever of the two it returns."""
        f = self.module.function(
            "radix", [("ptr", "records"), ("ptr", "other"), ("i64", "n")], "ptr", internal=True
        )
        records, other, n = f.parameters
        digits = self.kind.size
        counts = f.stack("i64", digits * _DIGIT)
        f.call("memset", "ptr", [counts, constant("i32", 0), constant("i64", 8 * digits * _DIGIT)])
        tables = [f.offset(counts, k * _DIGIT, "i64") for k in range(digits)]
        with f.loop(0, n) as loop:
            word = f.load("i64", self.at(f, records, loop.index))
            for k, table in enumerate(tables):
                here = f.offset(table, self._digit(f, word, k), "i64")
                f.store(f.add(f.load("i64", here), 1), here)
        source, target = records, other
        for k, table in enumerate(tables):
            first = self._digit(f, f.load("i64", source), k)
            shared = f.compare("eq", f.load("i64", f.offset(table, first, "i64")), n)
            source, target = self._pass(f, shared, source, target, n, table, k)
        f.ret(source)

    def _pass(
        self, f: Function, shared: Value, source: Value, target: Value, n: Value, table: Value,
        number: int,
    ) -> list[Value]:  # fmt: skip
        """The records by one digit, unless all share it."""

        def moved() -> Sequence[Value]:
            start = constant("i64", 0)
            with f.loop(0, constant("i64", _DIGIT), carried=[start], runs=True) as loop:
                here = f.offset(table, loop.index, "i64")
                count = f.load("i64", here)
                f.store(loop.carried[0], here)
                loop.next([f.add(loop.carried[0], count)])
            with f.loop(0, n) as loop:
                record = self.at(f, source, loop.index)
                here = f.offset(table, self._digit(f, f.load("i64", record), number), "i64")
                place = f.load("i64", here)
                self.copy(f, record, self.at(f, target, place))
                f.store(f.add(place, 1), here)
            return [target, source]

        return f.choose(shared, lambda: [source, target], moved)

    def _sorted(self) -> None:
        """``sorted(records, other, n)``."""
        f = self.module.function(
            "sorted", [("ptr", "records"), ("ptr", "other"), ("i64", "n")], "ptr", internal=True
        )
        records, other, n = f.parameters
        few = _FEW_WIDE if self.kind.wide else _FEW

        def ranked() -> Sequence[Value]:
            if not self.kind.wide:
                lanes = self.target.lanes(8)
                f.store(constant(vector(lanes, "i64"), -1), self.at(f, records, n))
            f.call("ranks", "void", [records, other, n])
            return [other]

        def by_digits() -> Sequence[Value]:
            return [f.call("radix", "ptr", [records, other, n])]

        f.ret(f.choose(f.compare("sle", n, few), ranked, by_digits)[0])

    # ---- selection: the first few without sorting all

    def _select(self) -> None:
        """``select(x, stride, n, best, k)``: the first ``k`` records in order."""
        f = self.module.function(
            "select",
            [("ptr", "x"), ("i64", "stride"), ("i64", "n"), ("ptr", "best"), ("i64", "k")],
            internal=True,
        )
        x, stride, n, best, k = f.parameters
        last = f.offset(best, f.sub(k, 1), "i64")
        f.call("memset", "ptr", [best, constant("i32", -1), f.mul(k, 8)])
        done = constant("i64", 0)
        if self.kind.adjacent:
            lanes = self.target.lanes(self.kind.size)
            type_ = vector(lanes, self.element)
            done = f.binary("and", n, -lanes)
            with f.loop(0, done, lanes) as loop:
                keys = self.ordered(f, f.load(type_, f.offset(x, loop.index, self.element)))
                bound = f.cast("trunc", f.binary("lshr", f.load("i64", last), 32), self.element)
                near = f.compare("ule", keys, f.splat(bound, lanes))
                some = near
                if lanes_of(near.type) > 1:
                    name = f"llvm.vector.reduce.or.v{lanes}i1"
                    some = f.call(name, "i1", [near])
                with f.when(some):
                    self._offer(f, loop.index, f.add(loop.index, lanes), x, stride, best, k)
        self._offer(f, done, n, x, stride, best, k)
        f.ret()

    def _offer(
        self, f: Function, start: Value, stop: Value, x: Value, stride: Value, best: Value, k: Value
    ) -> None:
        """Elements ``start`` to ``stop``, each to its place among the best if it has one."""
        last = f.offset(best, f.sub(k, 1), "i64")
        with f.loop(start, stop) as loop:
            bits = f.load(self.element, f.offset(x, f.mul(loop.index, stride), self.element))
            word = self.record(f, bits, loop.index)
            with f.when(f.compare("ult", word, f.load("i64", last))):
                with f.loop(1, k) as shift:  # from the last one down: what is greater moves on
                    here = f.offset(last, f.sub(constant("i64", 1), shift.index), "i64")
                    before = f.load("i64", f.offset(here, -1, "i64"))
                    kept = f.intrinsic("umin", "i64", [f.load("i64", here), word])
                    f.store(f.intrinsic("umax", "i64", [before, kept]), here)
                f.store(f.intrinsic("umin", "i64", [f.load("i64", best), word]), best)

    # ---- a task

    def task(self, lines: Lines) -> None:
        f, kind, w = lines.f, self.kind, lines.words
        n, wanted = w[Word.J], w[Word.RESULTS]
        x, values, positions = lines.pointers
        records = f.call("dp_scratch", "ptr", [lines.worker, w[Word.SCRATCH]])
        half = f.binary("lshr", w[Word.SCRATCH], 1)
        other = f.offset(records, half, "i8")
        along = lines.x_strides[2]
        with f.loop(lines.first, lines.last) as loop:
            row = lines.place(loop.index, x, lines.x_strides, self.element)
            value_to = lines.place(loop.index, values, lines.out_strides, self.element)
            place_to = lines.place(loop.index, positions, lines.out_strides, "i64")

            def all_of(row: Value = row) -> Sequence[Value]:
                f.call("fill", "void", [row, along, n, records])
                return [f.call("sorted", "ptr", [records, other, n])]

            def few_of(row: Value = row) -> Sequence[Value]:
                f.call("select", "void", [row, along, n, records, wanted])
                return [records]

            if kind.pick == "all" and not kind.wide:
                few = f.binary(
                    "and", f.compare("sle", wanted, _SELECTED),
                    f.compare("slt", f.mul(wanted, 8), n),
                )  # fmt: skip
                (found,) = f.choose(few, few_of, all_of)
            else:
                (found,) = all_of()
            if kind.pick == "all":
                with f.loop(0, wanted) as each:
                    to = f.mul(each.index, lines.out_strides[2])
                    self._hand(
                        f, row, along, found, each.index,
                        f.offset(value_to, to, self.element), f.offset(place_to, to, "i64"),
                    )  # fmt: skip
            else:
                chosen = self._chosen(f, found, n, w[Word.CHOSEN])
                self._hand(f, row, along, found, chosen, value_to, place_to)

    def _hand(
        self, f: Function, row: Value, along: Value, records: Value, index: Value, value_to: Value,
        place_to: Value,
    ) -> None:  # fmt: skip
        """One record's element and position to the results."""
        here = self.at(f, records, index)
        if self.kind.wide:
            position = f.load("i64", f.offset(here, 1, "i64"))
        else:
            position = f.binary("and", f.load("i64", here), 0xFFFFFFFF)
        value = f.load(self.element, f.offset(row, f.mul(position, along), self.element))
        f.store(value, value_to)
        f.store(position, place_to)

    def _chosen(self, f: Function, records: Value, n: Value, kth: Value) -> Value:
        """Which record of a sorted line is wanted."""
        kind = self.kind
        if kind.pick == "kth":
            return kth
        numbers = n
        if kind.order not in ("signed", "unsigned"):
            nan = (1 << 8 * kind.size) - 1  # the key of NaN, which nothing else has
            with f.loop(0, n, carried=[constant("i64", 0)], runs=True) as loop:
                key = f.binary("lshr", f.load("i64", self.at(f, records, loop.index)), self.shift)
                number = f.compare("ne", key, _signed(nan, 64))
                loop.next([f.add(loop.carried[0], f.cast("zext", number, "i64"))])
            numbers = loop.results[0]
        middle = f.binary("lshr", f.maximum(f.sub(numbers, 1), 0), 1)
        if kind.pick == "nanmedian":
            return middle
        return f.select(f.compare("slt", numbers, n), numbers, middle)  # the first NaN wins
