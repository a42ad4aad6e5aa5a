"""A block of scores in scratch: the product of K and Q, its mask, what is hidden."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diptych.compiler.attention.pieces import Pieces
from diptych.compiler.attention.plan import Buffer, Slot
from diptych.compiler.contraction.descriptor import Descriptor
from diptych.compiler.llvm.writer import Function, Value, constant


class Scores:
    """Scores of the keys ``start`` to ``start + rows`` and of a block of queries from ``first``.

    ``head``: batch index, head, head of keys. Scratch holds ``[key][query]``.
    """

    def __init__(
        self, p: Pieces, f: Function, d: Descriptor, scratch: Value, head: tuple[Value, ...],
        first: Value, valid: Value, mask: Value | None,
    ) -> None:  # fmt: skip
        self.p, self.f, self.d, self.scratch = p, f, d, scratch
        self.batch, self.head, self.key_head = head
        self.first, self.valid = first, valid
        self.mask = mask
        self.vectors = f.binary("udiv", f.add(valid, p.lanes - 1), constant("i64", p.lanes))
        self.block = d[Slot.BLOCK]

    @contextmanager
    def columns(self) -> Iterator[tuple[Value, Value]]:
        """A loop over the vectors of the block: the first query, and how many are left."""
        f = self.f
        with f.loop(0, self.vectors) as loop:
            column = f.mul(loop.index, self.p.lanes)
            yield column, f.sub(self.valid, column)

    def write(self, k: Value, start: Value, rows: Value) -> None:
        """Q times K into the buffer, and the block of the mask beside it."""
        p, f, d = self.p, self.f, self.d
        keys = p.at(f, d, k, Slot.K, self.batch, self.key_head, start)
        qt = p.buffer(f, d, self.scratch, Buffer.QT)
        into = p.buffer(f, d, self.scratch, Buffer.SCORES)
        p.product(f, (keys, d[Slot.K + 2], d[Slot.K + 3]), (qt, self.block), (into, self.block),
                  rows, self.vectors, d[Slot.DEPTH], 0)  # fmt: skip
        if p.structure.mask == "full":
            assert self.mask is not None, "a full mask has an operand"
            source = self._mask_at(start)
            room = p.buffer(f, d, self.scratch, Buffer.MASK)
            p.pack(f, source, d[Slot.MASK + 2], d[Slot.MASK + 3], room, self.block, rows,
                   self.valid)  # fmt: skip

    def _mask_at(self, start: Value) -> Value:
        p, f, d = self.p, self.f, self.d
        assert self.mask is not None, "only where there is a mask"
        row = p.at(f, d, self.mask, Slot.MASK, self.batch, self.head, self.first)
        return f.offset(row, f.mul(start, d[Slot.MASK + 3]), p.element)

    def free_rows(self, start: Value, rows: Value) -> Value:
        """How many of the rows every query sees: the others need a comparison."""
        if not self.p.structure.causal:
            return rows
        f = self.f
        free = f.sub(f.add(f.add(self.first, self.d[Slot.OFFSET]), 1), start)
        return f.maximum(f.minimum(free, rows), 0)

    def load(self, place: Value, start: Value, row: Value, column: Value) -> Value:
        """A vector of scores with its mask added."""
        p, f, d = self.p, self.f, self.d
        score = f.load(p.vector, place)
        if p.structure.mask == "full":
            room = p.buffer(f, d, self.scratch, Buffer.MASK)
            at = f.add(f.mul(row, self.block), column)
            return f.add(score, f.load(p.vector, f.offset(room, at, p.element)))
        if p.structure.mask == "keys":
            source = f.offset(self._mask_at(start), f.mul(row, d[Slot.MASK + 3]), p.element)
            return f.add(score, f.splat(f.load(p.element, source), p.lanes))
        return score

    def seen(self, start: Value, row: Value, column: Value) -> Value:
        """Which queries of a vector see a key."""
        p, f = self.p, self.f
        queries = p.queries_of(f, self.first, column)
        key = f.sub(f.add(start, row), self.d[Slot.OFFSET])
        return f.compare("sle", f.splat(f.cast("trunc", key, "i32"), p.lanes), queries)
