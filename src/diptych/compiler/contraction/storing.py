"""From registers to C: partial sums, the epilogue, edges, and the transposition of a tile.

A tile's sums become *lines*, vectors whose lanes run along C's unit stride. Whole tiles are stored
straight from registers; others, and heavy epilogues, go by way of the stack in a masked loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diptych.compiler.contraction.blocking import Tile
from diptych.compiler.contraction.convert import narrow, storage, widen
from diptych.compiler.contraction.epilogue import Access, Operand
from diptych.compiler.contraction.frame import Frame, FrameWord
from diptych.compiler.contraction.spec import LLVM_TYPES, Contraction, Store
from diptych.compiler.llvm.writer import Function, Value, constant, lanes_of, vector
from diptych.compiler.target import Target

FIRST, LAST = 1, 2  # bits of a tile call's flags: first and last block along k


def zips(value: Value) -> tuple[list[int], list[int]]:
    """The shuffles that zip two vectors: a0 b0 a1 b1 ..., and the upper halves."""
    lanes = lanes_of(value.type)
    low = [i // 2 + (i % 2) * lanes for i in range(lanes)]
    return low, [index + lanes // 2 for index in low]


def interleave(f: Function, rows: Sequence[Value]) -> list[Value]:
    """Vectors holding lane 0 of every row, then lane 1 of every row, ... (a transposition).

    ``rows`` are a power of two in number. Each stage zips two sequences of vectors.
    """
    sequences = [[row] for row in rows]
    low, high = zips(rows[0])
    while len(sequences) > 1:
        half = len(sequences) // 2
        # Row r meets row r + half, so that the last zip joins even rows to odd ones.
        sequences = [
            [
                f.shuffle(a, mask, b)
                for a, b in zip(sequences[r], sequences[r + half], strict=True)
                for mask in (low, high)
            ]
            for r in range(half)
        ]
    return sequences[0]


@dataclass(frozen=True)
class Line:
    """A vector of C: its distance from the tile's origin across and along C's unit stride."""

    value: Value
    cross: Value | int
    along: int


class TileStore:
    """Writes the end of a tile function: everything after the sums along k."""

    def __init__(
        self,
        f: Function,
        frame: Frame,
        contraction: Contraction,
        tile: Tile,
        store: Store,
        target: Target,
        vectors: int,
    ) -> None:
        self.f = f
        self.frame = frame
        self.contraction = contraction
        self.tile = tile
        self.store = store
        self.target = target
        self.vectors = vectors
        self.acc = vector(tile.lanes, tile.acc)
        self.out_kind = LLVM_TYPES[contraction.dtype_out.name]

    def write(
        self, sums: list[Value], rows: Value, columns: Value, i: Value, j: Value, flags: Value
    ) -> None:
        """Store the tile at (i, j) of which ``rows`` x ``columns`` are C's."""
        f = self.f
        self.rows, self.columns = rows, columns
        cross, along = (i, j) if self.store is not Store.COLUMN else (j, i)
        self._addresses(cross, along)
        if self.contraction.heavy or self.store is Store.STRIDED:
            self._store_slowly(self._lines(sums), flags)
            return
        whole = f.binary(
            "and",
            f.compare("eq", rows, self.tile.rows),
            f.compare("eq", columns, self.vectors * self.tile.lanes),
        )
        lines = self._lines(sums)
        f.choose(
            whole,
            lambda: self._store_inline(lines, flags),
            lambda: self._store_slowly(lines, flags),
        )

    def _addresses(self, cross: Value, along: Value) -> None:
        """Origins of this tile in C, in the partial sums and in the epilogue's operands."""
        f, frame = self.f, self.frame
        self.c_cross, self.c_along = frame.load(FrameWord.C_CROSS), frame.load(FrameWord.C_ALONG)
        c = frame.load_pointer(FrameWord.C)
        self.c = f.offset(f.offset(c, f.mul(cross, self.c_cross), "i8"),
                          f.mul(along, self.c_along), "i8")  # fmt: skip
        self.partial_cross = frame.load(FrameWord.PARTIAL_CROSS)
        p = frame.load_pointer(FrameWord.PARTIAL)
        p = f.offset(
            p, f.mul(f.sub(cross, frame.load(FrameWord.PARTIAL_I)), self.partial_cross), "i8"
        )
        self.partial = f.offset(p, f.sub(along, frame.load(FrameWord.PARTIAL_J)), self.tile.acc)
        self.operands: list[tuple[Operand, Value, Value, Value]] = []
        for index, operand in enumerate(self.contraction.operands):
            where, over, down = frame.operand(index)
            origin = f.offset(f.offset(where, f.mul(cross, over), "i8"), f.mul(along, down), "i8")
            self.operands.append((operand, origin, over, down))

    def _lines(self, sums: list[Value]) -> list[Line]:
        """The sums as vectors along C's unit stride."""
        lanes = self.tile.lanes
        if self.store is not Store.COLUMN:
            return [
                Line(value, index // self.vectors, index % self.vectors * lanes)
                for index, value in enumerate(sums)
            ]
        f, wide = self.f, self.tile.a_width
        piece = min(wide, lanes)
        lines = []
        for v in range(self.vectors):
            rows = [sums[r * self.vectors + v] for r in range(self.tile.rows)]
            rows += [Value("poison", self.acc)] * (wide - len(rows))
            for index, mixed in enumerate(interleave(f, rows)):
                for part in range(lanes // piece):
                    at = index * lanes + part * piece  # its place in [column][row] order
                    chosen = range(part * piece, (part + 1) * piece)
                    value = mixed if piece == lanes else f.shuffle(mixed, chosen)
                    lines.append(Line(value, v * lanes + at // wide, at % wide))
        return lines

    @property
    def _limits(self) -> tuple[Value, Value]:
        """How many lines across, and how many elements along, are C's."""
        swapped = self.store is Store.COLUMN
        return (self.columns, self.rows) if swapped else (self.rows, self.columns)

    def _store_inline(self, lines: list[Line], flags: Value) -> list[Value]:
        """A whole tile: no masks, straight from registers (rows that pad a tile are poison)."""
        f = self.f
        only = self.tile.rows if self.store is Store.COLUMN else None
        masks: dict[int, Value | None] = {}
        for line in lines:
            lanes = lanes_of(line.value.type)
            if only is not None and line.along + lanes > only:
                masks.setdefault(
                    line.along,
                    f.first_lanes(
                        constant("i64", only - line.along), lanes, 8 * self.tile.unit_bytes
                    ),
                )
        first, last = self._flag(flags, FIRST), self._flag(flags, LAST)
        values = f.choose(
            first,
            lambda: [self._started(line, masks.get(line.along)) for line in lines],
            lambda: [self._continued(line, masks.get(line.along)) for line in lines],
        )
        summed = [Line(v, line.cross, line.along) for v, line in zip(values, lines, strict=True)]

        def finish() -> list[Value]:
            cache: dict[tuple[int, object], Value] = {}
            for line in summed:
                self._finish(line, masks.get(line.along), cache)
            return []

        def keep() -> list[Value]:
            for line in summed:
                self._put(line.value, self._at_partial(line), masks.get(line.along))
            return []

        f.choose(last, finish, keep)
        return []

    def _store_slowly(self, lines: list[Line], flags: Value) -> list[Value]:
        """Any tile: by way of the stack, in a loop over what is C's."""
        f, tile = self.f, self.tile
        swapped = self.store is Store.COLUMN
        pitch = tile.a_width if swapped else self.vectors * tile.lanes
        across = self.vectors * tile.lanes if swapped else tile.rows
        lanes = lanes_of(lines[0].value.type)
        room = f.stack(tile.acc, pitch * across)
        for line in lines:
            assert isinstance(line.cross, int)
            f.store(line.value, f.offset(room, line.cross * pitch + line.along, tile.acc))
        first, last = self._flag(flags, FIRST), self._flag(flags, LAST)
        most, length = self._limits
        masks = [
            f.first_lanes(f.maximum(f.sub(length, at), 0), lanes, 8 * tile.unit_bytes)
            for at in range(0, pitch, lanes)
        ]
        with f.loop(0, most, runs=True) as loop:
            row = f.offset(room, f.mul(loop.index, pitch), tile.acc)
            for number, at in enumerate(range(0, pitch, lanes)):
                with f.when(f.compare("sgt", length, at)):
                    raw = f.load(vector(lanes, tile.acc), f.offset(row, at, tile.acc))
                    self._store_line(Line(raw, loop.index, at), masks[number], first, last)
        return []

    def _store_line(self, line: Line, mask: Value, first: Value, last: Value) -> None:
        """One line by itself, with run-time flags."""
        f = self.f
        (value,) = f.choose(
            first, lambda: [self._started(line, mask)], lambda: [self._continued(line, mask)]
        )
        summed = Line(value, line.cross, line.along)
        f.choose(
            last,
            lambda: self._finish(summed, mask, {}),
            lambda: self._put(summed.value, self._at_partial(summed), mask),
        )

    def _flag(self, flags: Value, bit: int) -> Value:
        return self.f.compare("ne", self.f.binary("and", flags, bit), 0)

    def _started(self, line: Line, mask: Value | None) -> Value:
        """The first block of k: the sums alone, plus C itself when accumulating."""
        if not self.contraction.accumulate:
            return line.value
        f = self.f
        stored = self._get(
            storage(vector(lanes_of(line.value.type), self.out_kind)),
            self._at(line, self.c, self.c_cross, self.c_along),
            self.c_along,
            mask,
            unit=self.store is not Store.STRIDED,
        )
        return f.add(line.value, widen(f, stored, self.out_kind, self.tile.acc, self.target))

    def _continued(self, line: Line, mask: Value | None) -> Value:
        kept = self._get(line.value.type, self._at_partial(line), None, mask, unit=True)
        return self.f.add(line.value, kept)

    def _at(self, line: Line, origin: Value, cross: Value, along: Value) -> Value:
        f = self.f
        index = line.cross if isinstance(line.cross, Value) else constant("i64", line.cross)
        p = f.offset(origin, f.mul(index, cross), "i8") if line.cross != 0 else origin
        return f.offset(p, f.mul(along, line.along), "i8") if line.along else p

    def _at_partial(self, line: Line) -> Value:
        element = constant("i64", self.tile.unit_bytes)
        return self._at(line, self.partial, self.partial_cross, element)

    def _finish(
        self, line: Line, mask: Value | None, cache: dict[tuple[int, object], Value]
    ) -> list[Value]:
        """Run the stages on one line and store it to C."""
        f, value = self.f, line.value
        lanes, position = lanes_of(value.type), 0
        for stage in self.contraction.epilogue:
            inputs = []
            for _ in stage.operands:
                inputs.append(self._operand(position, line, lanes, mask, cache))
                position += 1
            value = stage.emit(f, value, inputs)
        value = narrow(f, value, self.out_kind, self.target)
        where = self._at(line, self.c, self.c_cross, self.c_along)
        if self.store is Store.STRIDED:
            f.scatter(value, self._spread(where, self.c_along, lanes), mask)
        else:
            self._put(value, where, mask)
        return []

    def _operand(
        self,
        position: int,
        line: Line,
        lanes: int,
        mask: Value | None,
        cache: dict[tuple[int, object], Value],
    ) -> Value:
        """One operand's values for a line; kept in ``cache`` while they do not change."""
        f = self.f
        operand, origin, cross, along = self.operands[position]
        kind = LLVM_TYPES[operand.dtype.name]
        reach = {
            Access.SCALAR: None, Access.ROW: ("cross", line.cross),
            Access.COLUMN: ("along", line.along), Access.FULL: (line.cross, line.along),
        }[operand.access]  # fmt: skip
        if (position, reach) in cache:
            return cache[position, reach]
        if operand.access in (Access.SCALAR, Access.ROW):
            at = Line(line.value, line.cross if operand.access is Access.ROW else 0, 0)
            one = f.load(storage(kind), self._at(at, origin, cross, along))
            value = f.splat(widen(f, one, kind, self.tile.acc, self.target), lanes)
        else:
            at = Line(line.value, line.cross if operand.access is Access.FULL else 0, line.along)
            where = self._at(at, origin, cross, along)
            raw = self._get(storage(vector(lanes, kind)), where, along, mask, operand.unit)
            value = widen(f, raw, kind, self.tile.acc, self.target)
        cache[position, reach] = value
        return value

    def _get(
        self, type_: str, where: Value, stride: Value | None, mask: Value | None, unit: bool
    ) -> Value:
        f = self.f
        if not unit:
            assert stride is not None, "strided loads need a stride"
            return f.gather(type_, self._spread(where, stride, lanes_of(type_)), mask)
        return f.load(type_, where) if mask is None else f.masked_load(type_, where, mask)

    def _put(self, value: Value, where: Value, mask: Value | None) -> list[Value]:
        if mask is None:
            self.f.store(value, where)
        else:
            self.f.masked_store(value, where, mask)
        return []

    def _spread(self, where: Value, stride: Value, lanes: int) -> Value:
        f = self.f
        steps = f.mul(f.splat(stride, lanes), f.iota(lanes))
        return f.offset(where, steps, "i8")
