"""The register tile: a block of C held as phi values over a loop along k.

One function per tile width. A and B are reached by run-time steps, so the same code runs on packed
panels and on the caller's own arrays. Edges: missing rows repeat the last row (and are not stored),
missing columns are masked, or zeros of a packed panel; nothing out of bounds is read or written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from diptych.compiler.contraction.blocking import Tile
from diptych.compiler.contraction.dotkernel import DotProducts, multiply_add
from diptych.compiler.contraction.frame import Frame, FrameWord
from diptych.compiler.contraction.spec import Contraction, Store
from diptych.compiler.contraction.storing import TileStore
from diptych.compiler.llvm.writer import Function, Module, Value, constant, vector
from diptych.compiler.target import Target

_PREFETCH_STEPS = 8  # rows of B fetched ahead of their use
_NAMES = ("count", "rows", "columns", "i", "j", "flags")


class OuterProducts:
    """Sums of outer products: each element of A's column times the vectors of B's row."""

    def __init__(
        self, f: Function, frame: Frame, contraction: Contraction, tile: Tile, target: Target,
        vectors: int,
    ) -> None:  # fmt: skip
        self.f = f
        self.frame = frame
        self.tile = tile
        self.target = target
        self.vectors = vectors
        self.acc = vector(tile.lanes, tile.acc)

    def write(self, count: Value, rows: Value, columns: Value) -> list[Value]:
        """The loop along k; sums[r * vectors + v]."""
        f, tile = self.f, self.tile
        a, b, b_step = f.parameters[1:4]
        a_step, a_row = self.frame.load(FrameWord.A_STEP), self.frame.load(FrameWord.A_ROW)
        last_row = f.sub(rows, 1)
        offsets = [
            f.mul(f.minimum(last_row, r), a_row) if r else constant("i64", 0)
            for r in range(tile.rows)
        ]
        mask = self._column_mask(columns)
        number = tile.rows * self.vectors
        sets = 2 if number < 12 else 1  # fewer sums than an FMA's latency asks for: twice as many
        sums = [constant(self.acc, 0)] * (number * sets)

        def step(pa: Value, pb: Value, acc: list[Value]) -> None:
            row_of_b = [self._load_b(pb, v, mask) for v in range(self.vectors)]
            if self.vectors > 1:
                ahead = f.offset(pb, f.mul(b_step, _PREFETCH_STEPS), "i8")
                for v in range(self.vectors):
                    f.prefetch(f.offset(ahead, v * tile.lanes * tile.unit_bytes, "i8"))
            for r in range(tile.rows):
                row = self._load_a(f.offset(pa, offsets[r], "i8"))
                for v, column in enumerate(row_of_b):
                    acc[r * self.vectors + v] = multiply_add(
                        f, tile, row, column, acc[r * self.vectors + v]
                    )

        whole = count if sets == 1 else f.binary("and", count, -sets)
        with f.loop(0, whole, sets, carried=[a, b, *sums]) as loop:
            pa, pb, *acc = loop.carried
            for s in range(sets):
                part = acc[s * number : (s + 1) * number]
                step(pa, pb, part)
                acc[s * number : (s + 1) * number] = part
                pa, pb = f.offset(pa, a_step, "i8"), f.offset(pb, b_step, "i8")
            loop.next([pa, pb, *acc])
        pa, pb, *acc = loop.results
        if sets == 1:
            return acc
        with f.loop(whole, count, carried=[pa, pb, *acc[:number]]) as rest:
            pa, pb, *part = rest.carried
            step(pa, pb, part)
            rest.next([f.offset(pa, a_step, "i8"), f.offset(pb, b_step, "i8"), *part])
        return [f.add(x, y) for x, y in zip(rest.results[2:], acc[number:], strict=True)]

    def _column_mask(self, columns: Value) -> Value | None:
        """The mask of the tile's last vector; None where B's panels are always whole."""
        if self.target.vector_bytes < 64:
            return None
        before = (self.vectors - 1) * self.tile.lanes
        left = self.f.sub(columns, before)
        return self.f.first_lanes(left, self.tile.lanes, 8 * self.tile.unit_bytes)

    def _load_b(self, pointer: Value, v: int, mask: Value | None) -> Value:
        f, tile = self.f, self.tile
        where = f.offset(pointer, v * tile.lanes * tile.unit_bytes, "i8")
        unit = vector(tile.lanes, tile.unit)
        if mask is not None and v == self.vectors - 1:
            return f.masked_load(unit, where, mask)
        return f.load(unit, where)

    def _load_a(self, pointer: Value) -> Value:
        # A pair of bfloat16 in the caller's own array is aligned as one bfloat16 is.
        return self.f.splat(
            self.f.load(self.tile.unit, pointer, align=2 if self.tile.pairs else 0),
            self.tile.lanes,
        )


def write_tiles(
    module: Module, contraction: Contraction, tile: Tile, store: Store, target: Target
) -> Callable[..., None]:
    """Write the tile functions of every width; returns a writer of a call to the right one.

    ``tile_<vectors>(frame, a, b, b_step, count, rows, columns, i, j, flags)``
    """
    for vectors in range(1, tile.vectors + 1):
        f = module.function(
            f"tile_{vectors}",
            [("ptr", "frame"), ("ptr", "a"), ("ptr", "b"), ("i64", "b_step")]
            + [("i64", name) for name in _NAMES],
            internal=True,
        )
        count, rows, columns, i, j, flags = f.parameters[4:]
        frame = Frame(f, f.parameters[0])
        kind = DotProducts if tile.dot else OuterProducts
        sums = kind(f, frame, contraction, tile, target, vectors).write(count, rows, columns)
        end = TileStore(f, frame, contraction, tile, store, target, vectors)
        end.write(sums, rows, columns, i, j, flags)
        f.ret()

    def call(f: Function, vectors: Value, arguments: Sequence[Value]) -> None:
        done = f.fresh("tiled")
        for number in range(tile.vectors, 0, -1):
            here, following = f.fresh("tile"), f.fresh("narrower")
            f.branch(f.compare("eq", vectors, number), here, following)
            f.block(here)
            f.call(f"tile_{number}", "void", arguments)
            f.jump(done)
            f.block(following)
        f.jump(done)
        f.block(done)

    return call
