"""Attention's forward: blocks of queries against blocks of keys, softmax kept up as they come.

    for each block of queries of a head (a task):
        for each block of keys it sees:
            scores = K Q^T; new largest score; weights = exp(scores - largest)
            output = output * exp(old largest - new) + V^T weights
        output / sum of the weights, and the logarithm of that sum for the gradient

Source: Milakov, Gimelshein, arXiv 1805.02867 (online softmax); Dao et al., arXiv 2205.14135.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from diptych.compiler.attention.pieces import Pieces
from diptych.compiler.attention.plan import Buffer, Slot, Structure
from diptych.compiler.attention.scores import Scores
from diptych.compiler.contraction.descriptor import Descriptor
from diptych.compiler.llvm import math as elementary
from diptych.compiler.llvm.writer import Function, Module, Value, constant
from diptych.compiler.target import Target


def write(module: Module, name: str, structure: Structure, target: Target) -> None:
    """Write the kernel: pointers Q, K, V, the mask if any, the output, its logarithms of sums."""
    p = Pieces(module, structure, target)
    f, d, pointer = p.task("task")
    scratch = f.call("dp_scratch", "ptr", [f.parameters[2], d[Slot.SCRATCH]])
    masks = int(structure.mask != "none")
    q, k, v = pointer(0), pointer(1), pointer(2)
    mask = pointer(3) if masks else None
    out, level = pointer(3 + masks), pointer(4 + masks)
    with p.items(f, d) as item:
        blocks = d[Slot.BLOCKS]
        number, block = f.binary("udiv", item, blocks), f.binary("urem", item, blocks)
        heads = d[Slot.HEADS]
        batch, head = f.binary("udiv", number, heads), f.binary("urem", number, heads)
        key_head = f.binary("udiv", head, d[Slot.SHARED])
        first = f.mul(block, d[Slot.BLOCK])
        valid = f.minimum(f.sub(d[Slot.QUERIES], first), d[Slot.BLOCK])
        scores = Scores(p, f, d, scratch, (batch, head, key_head), first, valid, mask)
        _Block(p, f, d, scores, scratch).write(q, k, v, out, level, number)
    f.ret()
    p.kernel(name, None)


class _Block:
    """One block of queries."""

    def __init__(
        self, p: Pieces, f: Function, d: Descriptor, scores: Scores, scratch: Value
    ) -> None:
        self.p, self.f, self.d, self.scores, self.scratch = p, f, d, scores, scratch

    def room(self, buffer: Buffer) -> Value:
        return self.p.buffer(self.f, self.d, self.scratch, buffer)

    def write(self, q: Value, k: Value, v: Value, out: Value, level: Value, number: Value) -> None:
        p, f, d, s = self.p, self.f, self.d, self.scores
        qt = self.room(Buffer.QT)
        source = p.at(f, d, q, Slot.Q, s.batch, s.head, s.first)
        p.pack(f, source, d[Slot.Q + 2], d[Slot.Q + 3], qt, s.block, d[Slot.DEPTH], s.valid)
        scaled(p, f, qt, f.mul(d[Slot.DEPTH], s.block), p.scale(f, d))
        top, total = self.room(Buffer.TOP), self.room(Buffer.SUM)
        with self.scores.columns() as (column, _):
            f.store(constant(p.vector, -math.inf), f.offset(top, column, p.element))
            f.store(constant(p.vector, 0), f.offset(total, column, p.element))
        output = self.room(Buffer.OUT_T)
        end = p.last_key(f, d, s.first, s.valid)
        with f.loop(0, f.maximum(end, 1), d[Slot.KEY_BLOCK], runs=True) as loop:
            start = loop.index
            rows = f.maximum(f.minimum(f.sub(end, start), d[Slot.KEY_BLOCK]), 0)
            s.write(k, start, rows)
            self._softmax(start, rows)
            again = f.compare("sgt", start, 0)
            with f.when(again):
                self._faded(output)
            values = p.at(f, d, v, Slot.V, s.batch, s.key_head, start)
            weights = self.room(Buffer.SCORES)
            p.product(
                f, (values, d[Slot.V + 3], d[Slot.V + 2]), (weights, s.block), (output, s.block),
                d[Slot.WIDTH], s.vectors, rows, f.cast("zext", again, "i64"),
            )  # fmt: skip
        self._finish(output, out, level, number)

    def _softmax(self, start: Value, rows: Value) -> None:
        """Scores to weights; the running maximum and sum; the factor of what came before."""
        p, f, s = self.p, self.f, self.scores
        buffer = self.room(Buffer.SCORES)
        free = s.free_rows(start, rows)
        with self.scores.columns() as (column, _):
            places = [f.offset(self.room(b), column, p.element)
                      for b in (Buffer.TOP, Buffer.SUM, Buffer.FACTOR)]  # fmt: skip
            before, total = f.load(p.vector, places[0]), f.load(p.vector, places[1])
            top = self._largest(buffer, start, rows, free, column, before)
            f.store(top, places[0])
            # A query that has seen nothing yet: 0 in place of -inf keeps its weights 0, not NaN.
            level = f.select(f.compare("oeq", top, -math.inf), constant(p.vector, 0), top)
            factor = elementary.emit(f, p.target, "exp", [f.sub(before, level)])
            f.store(factor, places[2])

            def weight(row: Value, sums: Sequence[Value], copy: int) -> Sequence[Value]:
                place = f.offset(buffer, f.add(f.mul(row, s.block), column), p.element)
                power = elementary.emit(f, p.target, "exp", [f.sub(f.load(p.vector, place), level)])
                f.store(power, place)
                following = list(sums)
                following[copy % 2] = f.add(sums[copy % 2], power)
                return following

            zero = constant(p.vector, 0)
            sums = p.each_row(f, constant("i64", 0), rows, [zero, zero], weight)
            f.store(f.muladd(total, factor, f.add(sums[0], sums[1])), places[1])

    def _largest(
        self, buffer: Value, start: Value, rows: Value, free: Value, column: Value, before: Value
    ) -> Value:
        """The largest score of each query; masked scores are written back."""
        p, f, s = self.p, self.f, self.scores
        masked = p.structure.mask != "none"

        def body(hides: bool) -> Callable[..., Sequence[Value]]:
            def step(row: Value, tops: Sequence[Value], copy: int) -> Sequence[Value]:
                place = f.offset(buffer, f.add(f.mul(row, s.block), column), p.element)
                score = s.load(place, start, row, column)
                if hides:
                    score = f.select(s.seen(start, row, column), score, -math.inf)
                if hides or masked:
                    f.store(score, place)
                following = list(tops)
                old = tops[copy % 2]
                following[copy % 2] = f.select(f.compare("ogt", score, old), score, old)
                return following

            return step

        tops = [before, before]
        tops = p.each_row(f, constant("i64", 0), free, tops, body(False))
        if p.structure.causal:
            tops = p.each_row(f, free, rows, tops, body(True))
        return f.select(f.compare("ogt", tops[0], tops[1]), tops[0], tops[1])

    def _faded(self, output: Value) -> None:
        """The output so far times the factors."""
        p, f, s = self.p, self.f, self.scores
        with self.scores.columns() as (column, _):
            factor = f.load(p.vector, f.offset(self.room(Buffer.FACTOR), column, p.element))

            def step(row: Value, _: Sequence[Value], copy: int) -> Sequence[Value]:
                place = f.offset(output, f.add(f.mul(row, s.block), column), p.element)
                f.store(f.mul(f.load(p.vector, place), factor), place)
                return []

            p.each_row(f, constant("i64", 0), self.d[Slot.WIDTH], [], step)

    def _finish(self, output: Value, out: Value, level: Value, number: Value) -> None:
        """Divide by the sums, store the rows and the logarithms."""
        p, f, d, s = self.p, self.f, self.d, self.scores
        levels = f.offset(level, f.add(f.mul(number, d[Slot.QUERIES]), s.first), p.element)
        with self.scores.columns() as (column, left):
            top = f.load(p.vector, f.offset(self.room(Buffer.TOP), column, p.element))
            total = f.load(p.vector, f.offset(self.room(Buffer.SUM), column, p.element))
            empty = f.compare("oeq", total, 0)
            one = constant(p.vector, 1)
            share = f.select(empty, constant(p.vector, 0), f.binary("fdiv", one, total))
            safe = f.select(f.compare("oeq", top, -math.inf), constant(p.vector, 0), top)
            log = f.add(safe, elementary.emit(f, p.target, "log", [total]))
            mask = f.first_lanes(left, p.lanes, 8 * p.size)
            f.masked_store(log, f.offset(levels, column, p.element), mask)
            f.store(share, f.offset(self.room(Buffer.FACTOR), column, p.element))
        self._faded(output)
        target = p.at(f, d, out, Slot.OUT, s.batch, s.head, s.first)
        p.give(f, d, self.scratch, output, s.valid, d[Slot.WIDTH], target, d[Slot.OUT + 2],
               constant(p.element, 1))  # fmt: skip


def scaled(p: Pieces, f: Function, at: Value, count: Value, factor: Value) -> None:
    """Multiply a buffer by a number."""
    times = f.splat(factor, p.lanes)
    with f.loop(0, count, p.lanes) as loop:
        place = f.offset(at, loop.index, p.element)
        f.store(f.mul(f.load(p.vector, place), times), place)
