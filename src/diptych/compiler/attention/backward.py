"""Attention's gradient: weights are made again, block by block, from the logarithms of their sums.

    for each head of keys, and each group of its blocks of queries (a task):
        for each block of queries, each block of keys it sees:
            weights = exp(K Q^T - level);           dV += weights^T cotangent
            slopes = weights (V cotangent^T - delta)  where delta = sum(cotangent * output)
            dK += slopes^T Q;                        dQ += K^T slopes
    then add the groups' dK and dV, in order

Every sum runs in an order that extents alone decide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from diptych.compiler.attention.forward import scaled
from diptych.compiler.attention.pieces import Pieces
from diptych.compiler.attention.plan import Buffer, Slot, Structure
from diptych.compiler.attention.scores import Scores
from diptych.compiler.contraction.descriptor import Descriptor
from diptych.compiler.llvm import math as elementary
from diptych.compiler.llvm.writer import Function, Module, Value, constant
from diptych.compiler.target import Target

_POINTERS = ("q", "k", "v", "mask", "out", "level", "ct", "partial", "dq", "dk", "dv")


def write(module: Module, name: str, structure: Structure, target: Target) -> None:
    """Write the kernel: pointers as in ``_POINTERS``, the mask only if there is one."""
    Gradient(Pieces(module, structure, target)).write(name)


class Gradient:
    """Writes the tasks and the kernel of the gradient."""

    def __init__(self, p: Pieces) -> None:
        self.p = p
        names = [n for n in _POINTERS if n != "mask" or p.structure.mask != "none"]
        self.index = {n: i for i, n in enumerate(names)}

    def write(self, name: str) -> None:
        self._task()
        self._sum_task()

        def after(f: Function, d: Descriptor, context: Value) -> None:
            with f.when(f.compare("sgt", d[Slot.SPLIT], 1)):
                heads = f.binary("udiv", d[Slot.ITEMS], d[Slot.SPLIT])
                tasks = f.mul(heads, self._pieces(f, d))
                self.p.dispatch(f, d, tasks, "sum_task", context)

        self.p.kernel(name, after)

    def _pieces(self, f: Function, d: Descriptor) -> Value:
        rows = d[Slot.SUM_ROWS]
        return f.binary("udiv", f.add(d[Slot.KEYS], f.sub(rows, 1)), rows)

    def _widths(self, f: Function, d: Descriptor) -> tuple[Value, Value, Value]:
        """Padded columns of dK and dV, and keys in whole tiles."""
        p = self.p
        keys = f.binary("and", f.add(d[Slot.KEYS], p.rows - 1), -p.rows)
        return p.padded(f, d[Slot.DEPTH]), p.padded(f, d[Slot.WIDTH]), keys

    def _task(self) -> None:
        p = self.p
        f, d, pointer = p.task("task")
        load = {n: pointer(i) for n, i in self.index.items()}
        scratch = f.call("dp_scratch", "ptr", [f.parameters[2], d[Slot.SCRATCH]])
        with p.items(f, d) as item:
            split = d[Slot.SPLIT]
            number, group = f.binary("udiv", item, split), f.binary("urem", item, split)
            heads = f.binary("udiv", d[Slot.HEADS], d[Slot.SHARED])  # of keys
            batch, key_head = f.binary("udiv", number, heads), f.binary("urem", number, heads)
            wide, tall, keys = self._widths(f, d)
            alone = f.compare("eq", split, 1)
            length = f.mul(keys, f.add(wide, tall))
            elsewhere = f.offset(load["partial"], f.mul(item, length), p.element)
            base = f.select(alone, scratch, elsewhere)
            sums = (p.buffer(f, d, base, Buffer.DK), p.buffer(f, d, base, Buffer.DV))
            for place, width in zip(sums, (wide, tall), strict=True):
                bytes_ = f.mul(f.mul(keys, width), p.size)
                f.call("memset", "ptr", [place, constant("i32", 0), bytes_])
            shared = d[Slot.SHARED]
            with f.loop(0, shared) as which, f.loop(group, d[Slot.BLOCKS], split) as loop:
                head = f.add(f.mul(key_head, shared), which.index)
                first = f.mul(loop.index, d[Slot.BLOCK])
                valid = f.minimum(f.sub(d[Slot.QUERIES], first), d[Slot.BLOCK])
                s = Scores(p, f, d, scratch, (batch, head, key_head), first, valid,
                           load.get("mask"))  # fmt: skip
                _Block(p, f, d, s, scratch, load).write(sums, (wide, tall))
            with f.when(alone):
                self._give(f, d, load, batch, key_head, sums, (wide, tall),
                           constant("i64", 0), d[Slot.KEYS])  # fmt: skip
        f.ret()

    def _give(
        self, f: Function, d: Descriptor, load: dict[str, Value], batch: Value, head: Value,
        sums: tuple[Value, Value], widths: tuple[Value, Value], start: Value, rows: Value,
    ) -> None:  # fmt: skip
        """Store rows of dK and dV."""
        p = self.p
        one = constant(p.element, 1)
        for name, slot, columns, place, width, factor in (
            ("dk", Slot.DK, d[Slot.DEPTH], sums[0], widths[0], p.scale(f, d)),
            ("dv", Slot.DV, d[Slot.WIDTH], sums[1], widths[1], one),
        ):
            source = f.offset(place, f.mul(start, width), p.element)
            target = p.at(f, d, load[name], slot, batch, head, start)
            f.call("write_rows", "void",
                   [source, width, target, d[slot + 2], rows, columns, factor])  # fmt: skip

    def _sum_task(self) -> None:
        """Add the groups' sums of some keys to the first group's, and store them."""
        p = self.p
        f, d, pointer = p.task("sum_task")
        load = {n: pointer(i) for n, i in self.index.items()}
        pieces = self._pieces(f, d)
        number = f.binary("udiv", f.parameters[1], pieces)
        piece = f.binary("urem", f.parameters[1], pieces)
        heads = f.binary("udiv", d[Slot.HEADS], d[Slot.SHARED])
        batch, head = f.binary("udiv", number, heads), f.binary("urem", number, heads)
        wide, tall, keys = self._widths(f, d)
        length = f.mul(keys, f.add(wide, tall))
        split = d[Slot.SPLIT]
        base = f.offset(load["partial"], f.mul(f.mul(number, split), length), p.element)
        start = f.mul(piece, d[Slot.SUM_ROWS])
        rows = f.minimum(f.sub(d[Slot.KEYS], start), d[Slot.SUM_ROWS])
        sums = (p.buffer(f, d, base, Buffer.DK), p.buffer(f, d, base, Buffer.DV))
        for place, width in zip(sums, (wide, tall), strict=True):
            mine = f.offset(place, f.mul(start, width), p.element)
            with f.loop(1, split) as loop, f.loop(0, f.mul(rows, width), p.lanes) as inner:
                into = f.offset(mine, inner.index, p.element)
                other = f.offset(into, f.mul(loop.index, length), p.element)
                f.store(f.add(f.load(p.vector, into), f.load(p.vector, other)), into)
        self._give(f, d, load, batch, head, sums, (wide, tall), start, rows)
        f.ret()


class _Block:
    """One block of queries of one head."""

    def __init__(
        self, p: Pieces, f: Function, d: Descriptor, s: Scores, scratch: Value,
        load: dict[str, Value],
    ) -> None:  # fmt: skip
        self.p, self.f, self.d, self.s, self.scratch, self.load = p, f, d, s, scratch, load

    def room(self, buffer: Buffer) -> Value:
        return self.p.buffer(self.f, self.d, self.scratch, buffer)

    def _packed(self, name: str, slot: Slot, columns: Value, buffer: Buffer) -> None:
        """Queries' rows of an operand, transposed."""
        p, f, d, s = self.p, self.f, self.d, self.s
        source = p.at(f, d, self.load[name], slot, s.batch, s.head, s.first)
        p.pack(f, source, d[slot + 2], d[slot + 3], self.room(buffer), s.block, columns, s.valid)

    def _rows(self, name: str, slot: Slot, columns: Value, width: Value, buffer: Buffer) -> None:
        """Queries' rows of an operand as they are, padded to whole vectors."""
        p, f, d, s = self.p, self.f, self.d, self.s
        source = p.at(f, d, self.load[name], slot, s.batch, s.head, s.first)
        p.pack(f, source, d[slot + 3], d[slot + 2], self.room(buffer), width, s.valid, columns)

    def write(self, sums: tuple[Value, Value], widths: tuple[Value, Value]) -> None:
        p, f, d, s = self.p, self.f, self.d, self.s
        depth, width = d[Slot.DEPTH], d[Slot.WIDTH]
        self._packed("out", Slot.OUT, width, Buffer.OUT_T)
        self._packed("ct", Slot.CT, width, Buffer.CT_T)
        self._delta()
        self._packed("q", Slot.Q, depth, Buffer.QT)
        scaled(p, f, self.room(Buffer.QT), f.mul(depth, s.block), p.scale(f, d))
        self._rows("q", Slot.Q, depth, widths[0], Buffer.Q_ROWS)
        self._rows("ct", Slot.CT, width, widths[1], Buffer.CT_ROWS)
        pulled = self.room(Buffer.OUT_T)  # of Q, transposed: the output is not needed any more
        end = p.last_key(f, d, s.first, s.valid)
        with f.loop(0, f.maximum(end, 1), d[Slot.KEY_BLOCK], runs=True) as loop:
            start = loop.index
            rows = f.maximum(f.minimum(f.sub(end, start), d[Slot.KEY_BLOCK]), 0)
            s.write(self.load["k"], start, rows)
            values = p.at(f, d, self.load["v"], Slot.V, s.batch, s.key_head, start)
            slopes, weights = self.room(Buffer.SLOPES), self.room(Buffer.SCORES)
            p.product(
                f, (values, d[Slot.V + 2], d[Slot.V + 3]), (self.room(Buffer.CT_T), s.block),
                (slopes, s.block), rows, s.vectors, width, 0,
            )  # fmt: skip
            self._slopes(start, rows)
            one = constant("i64", 1)
            for place, columns, left, right in (
                (sums[1], widths[1], weights, Buffer.CT_ROWS),
                (sums[0], widths[0], slopes, Buffer.Q_ROWS),
            ):
                into = f.offset(place, f.mul(start, columns), p.element)
                number = f.binary("udiv", columns, constant("i64", p.lanes))
                p.product(f, (left, s.block, one), (self.room(right), columns), (into, columns),
                          rows, number, s.valid, 1)  # fmt: skip
            keys = p.at(f, d, self.load["k"], Slot.K, s.batch, s.key_head, start)
            again = f.cast("zext", f.compare("sgt", start, 0), "i64")
            p.product(f, (keys, d[Slot.K + 3], d[Slot.K + 2]), (slopes, s.block),
                      (pulled, s.block), depth, s.vectors, rows, again)  # fmt: skip
        target = p.at(f, d, self.load["dq"], Slot.DQ, s.batch, s.head, s.first)
        p.give(f, d, self.scratch, pulled, s.valid, depth, target, d[Slot.DQ + 2], p.scale(f, d))

    def _delta(self) -> None:
        """Per query: the sum of cotangent times output, and the level (inf where none exists)."""
        p, f, d, s = self.p, self.f, self.d, self.s
        number = f.add(f.mul(s.batch, d[Slot.HEADS]), s.head)
        levels = f.offset(self.load["level"], f.add(f.mul(number, d[Slot.QUERIES]), s.first),
                          p.element)  # fmt: skip
        with s.columns() as (column, left):

            def step(row: Value, sums: Sequence[Value], copy: int) -> Sequence[Value]:
                at = f.add(f.mul(row, s.block), column)
                a, b = (f.load(p.vector, f.offset(self.room(buffer), at, p.element))
                        for buffer in (Buffer.OUT_T, Buffer.CT_T))  # fmt: skip
                following = list(sums)
                following[copy % 2] = f.muladd(a, b, sums[copy % 2])
                return following

            zero = constant(p.vector, 0)
            sums = p.each_row(f, constant("i64", 0), d[Slot.WIDTH], [zero, zero], step)
            f.store(f.add(sums[0], sums[1]),
                    f.offset(self.room(Buffer.DELTA), column, p.element))  # fmt: skip
            mask = f.first_lanes(left, p.lanes, 8 * p.size)
            level = f.masked_load(p.vector, f.offset(levels, column, p.element), mask, math.inf)
            level = f.select(f.compare("oeq", level, -math.inf),
                             constant(p.vector, math.inf), level)  # fmt: skip
            f.store(level, f.offset(self.room(Buffer.TOP), column, p.element))

    def _slopes(self, start: Value, rows: Value) -> None:
        """Scores to weights, and products with V to slopes."""
        p, f, s = self.p, self.f, self.s
        free = s.free_rows(start, rows)
        with s.columns() as (column, _):
            level = f.load(p.vector, f.offset(self.room(Buffer.TOP), column, p.element))
            delta = f.load(p.vector, f.offset(self.room(Buffer.DELTA), column, p.element))

            def body(hides: bool) -> Callable[..., Sequence[Value]]:
                def step(row: Value, _: Sequence[Value], copy: int) -> Sequence[Value]:
                    at = f.add(f.mul(row, s.block), column)
                    place = f.offset(self.room(Buffer.SCORES), at, p.element)
                    slope = f.offset(self.room(Buffer.SLOPES), at, p.element)
                    score = s.load(place, start, row, column)
                    weight = elementary.emit(f, p.target, "exp", [f.sub(score, level)])
                    if hides:
                        weight = f.select(s.seen(start, row, column), weight, 0)
                    f.store(weight, place)
                    f.store(f.mul(weight, f.sub(f.load(p.vector, slope), delta)), slope)
                    return []

                return step

            p.each_row(f, constant("i64", 0), free, [], body(False))
            if p.structure.causal:
                p.each_row(f, free, rows, [], body(True))
