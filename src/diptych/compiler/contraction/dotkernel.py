"""The dot tile: a row of A times ``lanes`` columns of B, all contiguous along k, nothing packed.

For products with one long side that is read once (matrix-vector, few rows): vectors run along k,
one sum for each column, and a network of zips adds their lanes up at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from diptych.compiler.contraction.blocking import Tile
from diptych.compiler.contraction.convert import storage, widen
from diptych.compiler.contraction.frame import Frame
from diptych.compiler.contraction.spec import LLVM_TYPES, Contraction
from diptych.compiler.contraction.storing import zips
from diptych.compiler.llvm.writer import Function, Value, constant, vector
from diptych.compiler.target import Target
from diptych.core.dtypes import DType

_SUMS = 8  # independent sums when there is one column only


def multiply_add(f: Function, tile: Tile, a: Value, b: Value, acc: Value) -> Value:
    """``acc + a * b``; with pairs, both products of each lane are added."""
    if not tile.pairs:
        return f.muladd(a, b, acc)
    pairs = vector(2 * tile.lanes, "bfloat")
    return f.call(
        "llvm.x86.avx512bf16.dpbf16ps.512",
        acc.type,
        [acc, f.cast("bitcast", a, pairs), f.cast("bitcast", b, pairs)],
    )


def sums_of_lanes(f: Function, rows: Sequence[Value]) -> Value:
    """A vector with the sum of all lanes of each of ``lanes`` vectors."""
    rows = list(rows)
    low, high = zips(rows[0])
    while len(rows) > 1:
        half = len(rows) // 2
        rows = [
            f.add(f.shuffle(a, low, b), f.shuffle(a, high, b))
            for a, b in zip(rows[:half], rows[half:], strict=True)
        ]
    return rows[0]


class DotProducts:
    """Writes the sums of a dot tile: one row, one vector of columns, ``b_step`` apart."""

    def __init__(
        self, f: Function, frame: Frame, contraction: Contraction, tile: Tile, target: Target,
        vectors: int,
    ) -> None:  # fmt: skip
        assert vectors == 1 and tile.rows == 1, "a dot tile is one vector"
        self.f = f
        self.contraction = contraction
        self.tile = tile
        self.target = target
        self.acc = vector(tile.lanes, tile.acc)

    def write(self, count: Value, rows: Value, columns: Value) -> list[Value]:
        """``count`` whole units along k."""
        f = self.f
        single = f.compare("eq", columns, 1)
        return f.choose(single, lambda: [self._one(count)], lambda: [self._many(count, columns)])

    def _many(self, count: Value, columns: Value) -> Value:
        """One sum for each column; columns that are not there repeat the last."""
        f, tile = self.f, self.tile
        _, a, b, b_step = f.parameters[:4]
        last = f.sub(columns, 1)
        starts = [f.offset(b, f.mul(f.minimum(last, c), b_step), "i8") for c in range(tile.lanes)]
        sums: list[Value] = []
        for first in range(0, tile.lanes, _SUMS):
            sums += self._streams(count, a, starts[first : first + _SUMS])
        return sums_of_lanes(f, sums)

    def _streams(self, count: Value, a: Value, starts: Sequence[Value]) -> list[Value]:
        """The sums of a few columns: no more than the L1 cache has ways, and the CPU prefetches."""
        f, tile = self.f, self.tile
        whole = f.binary("and", count, -tile.lanes)
        zero = constant(self.acc, 0)

        def step(k: Value, mask: Value | None, acc: Sequence[Value]) -> list[Value]:
            x = self._load(a, k, self.contraction.dtype_a, mask)
            return [
                multiply_add(f, tile, x, self._load(p, k, self.contraction.dtype_b, mask), s)
                for p, s in zip(starts, acc, strict=True)
            ]

        with f.loop(0, whole, tile.lanes, carried=[zero] * len(starts)) as loop:
            loop.next(step(loop.index, None, loop.carried))
        sums = loop.results
        return f.choose(
            f.compare("slt", whole, count),
            lambda: step(whole, self._mask(f.sub(count, whole)), sums),
            lambda: sums,
        )

    def _one(self, count: Value) -> Value:
        """A single column: several sums along k hide the latency of the multiply-add."""
        f, tile = self.f, self.tile
        _, a, b, _ = f.parameters[:4]
        block = _SUMS * tile.lanes
        whole = f.binary("and", count, -block)

        def step(k: Value, mask: Value | None, acc: Value) -> Value:
            x = self._load(a, k, self.contraction.dtype_a, mask)
            y = self._load(b, k, self.contraction.dtype_b, mask)
            return multiply_add(f, tile, x, y, acc)

        with f.loop(0, whole, block, carried=[constant(self.acc, 0)] * _SUMS) as loop:
            loop.next([
                step(f.add(loop.index, s * tile.lanes), None, acc)
                for s, acc in enumerate(loop.carried)
            ])  # fmt: skip
        sums = loop.results
        while len(sums) > 1:
            half = len(sums) // 2
            sums = [f.add(x, y) for x, y in zip(sums[:half], sums[half:], strict=True)]
        with f.loop(whole, count, tile.lanes, carried=sums) as rest:
            mask = self._mask(f.sub(count, rest.index))
            rest.next([step(rest.index, mask, rest.carried[0])])
        total = f.reduce(rest.results[0], f.add)
        return f.splat(total, tile.lanes)

    def _mask(self, left: Value) -> Value:
        return self.f.first_lanes(left, self.tile.lanes, 8 * self.tile.unit_bytes)

    def _load(self, start: Value, k: Value, dtype: DType, mask: Value | None) -> Value:
        """``lanes`` units along k."""
        f, kind = self.f, LLVM_TYPES[dtype.name]
        if self.tile.pairs:
            where = f.offset(start, k, "i32")
            type_ = vector(self.tile.lanes, "i32")
            return (
                f.load(type_, where, align=2) if mask is None else f.masked_load(type_, where, mask)
            )
        where = f.offset(start, f.mul(k, dtype.itemsize), "i8")
        type_ = storage(vector(self.tile.lanes, kind))
        value = f.load(type_, where) if mask is None else f.masked_load(type_, where, mask)
        return widen(f, value, kind, self.tile.acc, self.target)
