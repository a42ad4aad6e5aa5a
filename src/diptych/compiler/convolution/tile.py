"""The register tile: sums over k for a few rows and the vectors of a panel of lanes.

X is read through two tables of byte offsets, one for the rows and one for the steps along k, so one
loop serves every rank, stride, dilation and plane. Rows that do not exist repeat the last one, and
are not stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from diptych.compiler.contraction.blocking import Tile
from diptych.compiler.contraction.convert import narrow, storage, widen
from diptych.compiler.contraction.spec import LLVM_TYPES
from diptych.compiler.contraction.storing import interleave
from diptych.compiler.llvm.writer import Function, Module, Value, constant, lanes_of, vector
from diptych.compiler.target import Target
from diptych.core.dtypes import DType

FIRST, LAST = 1, 2  # bits of the flags: first and last block along k
_AHEAD = 8  # steps of B fetched before their use
PARAMETERS = [
    ("ptr", "x"), ("ptr", "row_table"), ("ptr", "k_table"), ("ptr", "b"), ("i64", "count"),
    ("ptr", "sums"), ("ptr", "out_table"), ("ptr", "out"), ("i64", "rows"), ("i64", "lanes"),
    ("i64", "out_lane"), ("ptr", "bias"), ("i64", "flags"),
]  # fmt: skip
FINISH_PARAMETERS = [
    ("ptr", "sums"), ("i64", "parts"), ("i64", "pitch"), ("ptr", "out_table"), ("ptr", "out"),
    ("i64", "rows"), ("i64", "lanes"), ("i64", "out_lane"),
]  # fmt: skip


class TileWriter:
    """Writes ``tile_<v>`` and ``finish_<v>`` for every width of a panel."""

    def __init__(
        self, module: Module, dtype: DType, tile: Tile, target: Target, bias: bool
    ) -> None:
        self.module = module
        self.dtype = dtype
        self.tile = tile
        self.target = target
        self.bias = bias
        self.kind = LLVM_TYPES[dtype.name]
        self.acc = vector(tile.lanes, tile.acc)
        self.size = tile.unit_bytes

    def write(self, finishing: bool) -> None:
        for vectors in range(1, self.tile.vectors + 1):
            self._tile(vectors)
            if finishing:
                self._finish(vectors)

    # -- sums -----------------------------------------------------------------------------------

    def _tile(self, vectors: int) -> None:
        f = self.module.function(f"tile_{vectors}", PARAMETERS, internal=True)
        x, row_table, k_table, b, count, sums, out_table, out = f.parameters[:8]
        rows, lanes, out_lane, bias, flags = f.parameters[8:]
        last_row = f.sub(rows, 1)
        places = []
        for r in range(self.tile.rows):
            entry = f.offset(row_table, f.minimum(last_row, r) if r else 0, "i32")
            places.append(f.offset(x, f.cast("sext", f.load("i32", entry), "i64"), "i8"))
        made = self._loop(f, vectors, places, k_table, b, count)
        first = f.compare("ne", f.binary("and", flags, FIRST), 0)
        last = f.compare("ne", f.binary("and", flags, LAST), 0)
        number = len(made)
        total = f.choose(
            first,
            lambda: made,
            lambda: [
                f.add(
                    value, f.load(self.acc, f.offset(sums, index * self.tile.lanes, self.tile.acc))
                )
                for index, value in enumerate(made)
            ],
        )

        def keep() -> list[Value]:
            for index in range(number):
                f.store(total[index], f.offset(sums, index * self.tile.lanes, self.tile.acc))
            return []

        def finish() -> list[Value]:
            done = self._biased(f, total, vectors, bias, lanes) if self.bias else total
            self._store(f, done, vectors, out_table, out, rows, lanes, out_lane)
            return []

        f.choose(last, finish, keep)
        f.ret()

    def _loop(
        self, f: Function, vectors: int, places: list[Value], k_table: Value, b: Value,
        count: Value,
    ) -> list[Value]:  # fmt: skip
        """The sums along k; sums[r * vectors + v]."""
        tile = self.tile
        number = tile.rows * vectors
        sets = 2 if number < 12 else 1  # fewer sums than an FMA's latency asks for: twice as many
        sums = [constant(self.acc, 0)] * (number * sets)
        pitch = vectors * tile.lanes

        def step(table: Value, pb: Value, acc: list[Value]) -> list[Value]:
            row_of_b = [
                f.load(self.acc, f.offset(pb, v * tile.lanes, tile.acc)) for v in range(vectors)
            ]
            for v in range(vectors):
                f.prefetch(f.offset(pb, _AHEAD * pitch + v * tile.lanes, tile.acc))
            tap = f.cast("sext", f.load("i32", table), "i64")
            for r, place in enumerate(places):
                pixel = f.splat(f.load(tile.acc, f.offset(place, tap, "i8")), tile.lanes)
                for v, lane in enumerate(row_of_b):
                    at = r * vectors + v
                    acc[at] = f.muladd(pixel, lane, acc[at])
            return acc

        whole = count if sets == 1 else f.binary("and", count, -sets)
        with f.loop(0, whole, sets, carried=[k_table, b, *sums]) as loop:
            table, pb, *acc = loop.carried
            for s in range(sets):
                part = acc[s * number : (s + 1) * number]
                acc[s * number : (s + 1) * number] = step(table, pb, part)
                table, pb = f.offset(table, 1, "i32"), f.offset(pb, pitch, tile.acc)
            loop.next([table, pb, *acc])
        table, pb, *acc = loop.results
        if sets == 1:
            return acc
        with f.loop(whole, count, carried=[table, pb, *acc[:number]]) as rest:
            table, pb, *part = rest.carried
            part = step(table, pb, list(part))
            rest.next([f.offset(table, 1, "i32"), f.offset(pb, pitch, tile.acc), *part])
        return [f.add(p, q) for p, q in zip(rest.results[2:], acc[number:], strict=True)]

    def _finish(self, vectors: int) -> None:
        """Adds the partial sums of a tile in their order, and stores it."""
        f = self.module.function(f"finish_{vectors}", FINISH_PARAMETERS, internal=True)
        sums, parts, pitch, out_table, out, rows, lanes, out_lane = f.parameters
        number = self.tile.rows * vectors

        def part(p: Value) -> list[Value]:
            return [
                f.load(self.acc, f.offset(p, index * self.tile.lanes, self.tile.acc))
                for index in range(number)
            ]

        with f.loop(1, parts, carried=part(sums)) as loop:
            here = f.offset(sums, f.mul(loop.index, pitch), "i8")
            loop.next([f.add(a, c) for a, c in zip(loop.carried, part(here), strict=True)])
        self._store(f, loop.results, vectors, out_table, out, rows, lanes, out_lane)
        f.ret()

    # -- storing --------------------------------------------------------------------------------

    def _biased(
        self, f: Function, sums: list[Value], vectors: int, bias: Value, lanes: Value
    ) -> list[Value]:
        kind, tile = storage(vector(self.tile.lanes, self.kind)), self.tile
        added = []
        for v in range(vectors):
            left = f.maximum(f.sub(lanes, v * tile.lanes), 0)
            mask = f.first_lanes(left, tile.lanes, 8 * self.dtype.itemsize)
            where = f.offset(bias, v * tile.lanes * self.dtype.itemsize, "i8")
            raw = f.masked_load(kind, where, mask)
            added.append(widen(f, raw, self.kind, tile.acc, self.target))
        return [f.add(value, added[index % vectors]) for index, value in enumerate(sums)]

    def _store(
        self, f: Function, sums: list[Value], vectors: int, out_table: Value, out: Value,
        rows: Value, lanes: Value, out_lane: Value,
    ) -> None:  # fmt: skip
        """By what lies together in memory: rows (transposed in registers), lanes, or neither."""
        tile, size = self.tile, self.dtype.itemsize
        entry = [f.load("i32", f.offset(out_table, 0, "i32"))]
        entry.append(f.load("i32", f.offset(out_table, f.sub(rows, 1), "i32")))
        start, end = (f.cast("sext", value, "i64") for value in entry)
        together = f.compare("eq", f.sub(end, start), f.mul(f.sub(rows, 1), size))
        whole = f.binary(
            "and", f.compare("eq", rows, tile.rows),
            f.compare("eq", lanes, vectors * tile.lanes),
        )  # fmt: skip
        origin = f.offset(out, start, "i8")
        unit = f.compare("eq", out_lane, size)

        def inline() -> list[Value]:
            where, at = origin, 0  # from lane to lane by additions: products would take longer
            for value, lane, row in self._lines(f, sums, vectors):
                if lane != at:
                    where, at = f.offset(where, out_lane, "i8"), lane
                self._put(f, value, f.offset(where, row * size, "i8"), tile.rows - row)
            return []

        def by_lane() -> list[Value]:
            room = self._spill(f, sums, vectors)
            f.choose(
                together,
                lambda: self._lanes(f, room, origin, rows, lanes, out_lane),
                lambda: self._elements(f, room, out, out_table, rows, lanes, out_lane),
            )
            return []

        def other() -> list[Value]:
            f.choose(unit, lambda: self._rows(f, sums, vectors, out, out_table, rows, lanes),
                     by_lane)  # fmt: skip
            return []

        f.choose(f.binary("and", whole, together), inline, other)

    def _lines(self, f: Function, sums: list[Value], vectors: int) -> list[tuple[Value, int, int]]:
        """(vector along the rows, its lane, its first row), stored type."""
        tile, wide = self.tile, self.tile.a_width
        piece = min(wide, tile.lanes)
        made = []
        for v in range(vectors):
            column = [sums[r * vectors + v] for r in range(tile.rows)]
            column += [Value("poison", self.acc)] * (wide - len(column))
            for index, mixed in enumerate(interleave(f, column)):
                stored = narrow(f, mixed, self.kind, self.target)
                for part in range(tile.lanes // piece):
                    at = index * tile.lanes + part * piece
                    value = stored
                    if piece != tile.lanes:
                        value = f.shuffle(stored, range(part * piece, (part + 1) * piece))
                    made.append((value, v * tile.lanes + at // wide, at % wide))
        return made

    def _put(self, f: Function, value: Value, where: Value, rows: int) -> None:
        """Store a line of which ``rows`` elements exist."""
        lanes = lanes_of(value.type)
        if rows >= lanes:
            f.store(value, where)
        elif rows > 0:
            mask = f.first_lanes(constant("i64", rows), lanes, 8 * self.dtype.itemsize)
            f.masked_store(value, where, mask)

    def _spill(self, f: Function, sums: list[Value], vectors: int) -> Value:
        """The tile on the stack as [lane][row], in the stored type."""
        wide, stored = self.tile.a_width, storage(self.kind)
        room = f.stack(stored, vectors * self.tile.lanes * wide)
        for value, lane, row in self._lines(f, sums, vectors):
            f.store(value, f.offset(room, lane * wide + row, stored))
        return room

    def _lanes(
        self, f: Function, room: Value, origin: Value, rows: Value, lanes: Value, out_lane: Value
    ) -> Sequence[Value]:
        """Part of a tile, rows together: a masked vector for each lane."""
        wide, stored = self.tile.a_width, storage(self.kind)
        piece = min(wide, self.tile.lanes)
        masks = [
            f.first_lanes(f.maximum(f.sub(rows, at), 0), piece, 8 * self.dtype.itemsize)
            for at in range(0, wide, piece)
        ]
        with f.loop(0, lanes, runs=True) as loop:
            source = f.offset(room, f.mul(loop.index, wide), stored)
            target = f.offset(origin, f.mul(loop.index, out_lane), "i8")
            for number, at in enumerate(range(0, wide, piece)):
                value = f.load(vector(piece, stored), f.offset(source, at, stored))
                f.masked_store(value, f.offset(target, at, stored), masks[number])
        return []

    def _elements(
        self, f: Function, room: Value, out: Value, out_table: Value, rows: Value, lanes: Value,
        out_lane: Value,
    ) -> Sequence[Value]:  # fmt: skip
        """Rows anywhere: one element at a time."""
        wide, stored = self.tile.a_width, storage(self.kind)
        with f.loop(0, rows, runs=True) as row:
            place = f.cast("sext", f.load("i32", f.offset(out_table, row.index, "i32")), "i64")
            target = f.offset(out, place, "i8")
            with f.loop(0, lanes, runs=True) as lane:
                at = f.add(f.mul(lane.index, wide), row.index)
                value = f.load(stored, f.offset(room, at, stored))
                f.store(value, f.offset(target, f.mul(lane.index, out_lane), "i8"))
        return []

    def _rows(
        self, f: Function, sums: list[Value], vectors: int, out: Value, out_table: Value,
        rows: Value, lanes: Value,
    ) -> Sequence[Value]:  # fmt: skip
        """Lanes together: the sums as they are, a masked vector each."""
        tile, size = self.tile, self.dtype.itemsize
        masks = [
            f.first_lanes(f.maximum(f.sub(lanes, v * tile.lanes), 0), tile.lanes, 8 * size)
            for v in range(vectors)
        ]
        for r in range(tile.rows):
            with f.when(f.compare("sgt", rows, r)):
                entry = f.load("i32", f.offset(out_table, r, "i32"))
                target = f.offset(out, f.cast("sext", entry, "i64"), "i8")
                for v in range(vectors):
                    value = narrow(f, sums[r * vectors + v], self.kind, self.target)
                    f.masked_store(value, f.offset(target, v * tile.lanes * size, "i8"), masks[v])
        return []
