"""What the register tile reads: tables of offsets, and the box of X with zeros at its edges."""

from __future__ import annotations

from collections.abc import Sequence

from diptych.compiler.contraction.blocking import Tile
from diptych.compiler.contraction.convert import storage, widen
from diptych.compiler.contraction.descriptor import Descriptor
from diptych.compiler.contraction.spec import LLVM_TYPES
from diptych.compiler.convolution.descriptor import Slot
from diptych.compiler.llvm.writer import Module, Value, constant, vector
from diptych.compiler.target import Target
from diptych.core.dtypes import DType


def write_table(module: Module) -> None:
    """``table(target, extents, strides, start)``: offsets of four nested levels, as i32."""
    f = module.function(
        "table",
        [("ptr", "target"), ("ptr", "extents"), ("ptr", "strides"), ("i64", "start")],
        internal=True,
    )
    target, extents, strides, start = f.parameters
    counts = [f.load("i64", f.offset(extents, level, "i64")) for level in range(4)]
    steps = [f.load("i64", f.offset(strides, level, "i64")) for level in range(4)]

    def level(number: int, at: Value, offset: Value) -> Value:
        with f.loop(0, counts[number], carried=[at, offset]) as loop:
            place, here = loop.carried
            if number == 3:
                f.store(f.cast("trunc", here, "i32"), place)
                following = f.offset(place, 1, "i32")
            else:
                following = level(number + 1, place, here)
            loop.next([following, f.add(here, steps[number])])
        return loop.results[0]

    level(0, target, start)
    f.ret()


class FillWriter:
    """Writes ``fill(desc, source, target, images, channels, z0, z1, z2)``.

    Copies a box of X in the computing type; ``z`` is the place in X of the box's corner, which may
    lie outside, as may any part of the box: there it is zero. Rows are written in whole vectors, a
    little past their ends, in ascending order: the next row repairs what the last one spilled.
    """

    def __init__(
        self, module: Module, dtype: DType, tile: Tile, target: Target, *,
        spread: bool = False, turns: bool = False,
    ) -> None:  # fmt: skip
        self.spread = spread  # whether elements of X may lie apart in the box
        self.turns = turns  # whether the module has ``pack_lanes``
        self.dtype = dtype
        self.tile = tile
        self.target = target
        self.kind = LLVM_TYPES[dtype.name]
        self.row = vector(tile.lanes, tile.acc)
        names = ["images", "channels", "z0", "z1", "z2"]
        self.f = module.function(
            "fill",
            [("ptr", "desc"), ("ptr", "source"), ("ptr", "target"), *(("i64", n) for n in names)],
            internal=True,
        )

    def write(self) -> None:
        f = self.f
        desc, source, target, images, channels, *corner = f.parameters
        d = Descriptor(f, desc)
        if not self.turns:
            self._by_channel(d, source, target, images, channels, corner)
        else:
            together = f.compare("eq", d[Slot.X_CHANNEL], self.dtype.itemsize)
            apart = f.compare("ne", d[Slot.X_LEVELS + 3], self.dtype.itemsize)
            arguments = (d, source, target, images, channels, corner)
            f.choose(f.binary("and", together, apart), lambda: self._turned(*arguments),
                     lambda: self._by_channel(*arguments))  # fmt: skip
        f.ret()

    def _turned(
        self, d: Descriptor, source: Value, target: Value, images: Value, channels: Value,
        corner: Sequence[Value],
    ) -> Sequence[Value]:  # fmt: skip
        """Channels lie together in X: blocks of places and channels are turned in registers.

        Zeros are written past the last row's end, where the box leaves room between channels.
        """
        f, size = self.f, self.dtype.itemsize
        f.call("memset", "ptr", [target, constant("i32", 0), f.mul(images, d[Slot.BOX_IMAGE])])
        step = f.binary("sdiv", d[Slot.X_LEVELS + 3], constant("i64", size))
        pitch = f.binary("sdiv", d[Slot.BOX_CHANNEL], constant("i64", self.tile.unit_bytes))
        left = f.maximum(f.sub(constant("i64", 0), corner[2]), 0)
        right = f.minimum(d[Slot.BOX + 2], f.sub(d[Slot.SIZE + 2], corner[2]))
        with (
            f.loop(0, images) as image,
            f.loop(0, d[Slot.BOX]) as plane,
            f.loop(0, d[Slot.BOX + 1]) as row,
        ):
            first, good = self._source(d, 0, f.add(plane.index, corner[0]))
            second, fine = self._source(d, 1, f.add(row.index, corner[1]))
            with f.when(f.binary("and", good, fine)), f.loop(left, right, self.tile.lanes) as loop:
                at = f.add(f.mul(first, d[Slot.X_LEVELS + 1]), f.mul(second, d[Slot.X_LEVELS + 2]))
                at = f.add(at, f.mul(image.index, d[Slot.X_LEVELS]))
                at = f.add(at, f.mul(f.add(loop.index, corner[2]), d[Slot.X_LEVELS + 3]))
                to = f.add(
                    f.mul(plane.index, d[Slot.BOX_AXES]), f.mul(row.index, d[Slot.BOX_AXES + 1])
                )
                to = f.add(to, f.mul(image.index, d[Slot.BOX_IMAGE]))
                to = f.add(to, f.mul(loop.index, self.tile.unit_bytes))
                f.call("pack_lanes", "void", [
                    f.offset(source, at, "i8"), f.offset(target, to, "i8"), channels, channels,
                    f.sub(right, loop.index), step, constant("i64", 1), pitch,
                ])  # fmt: skip
        return []

    def _by_channel(
        self, d: Descriptor, source: Value, target: Value, images: Value, channels: Value,
        corner: Sequence[Value],
    ) -> Sequence[Value]:  # fmt: skip
        """One channel after the other, row by row."""
        f = self.f
        arguments = (d, source, target, images, channels, corner)
        if self.spread:
            return self._any_rows(*arguments)
        unit = f.compare("eq", d[Slot.X_LEVELS + 3], self.dtype.itemsize)
        short = f.compare("sle", d[Slot.BOX + 2], constant("i64", self.tile.lanes))
        f.choose(f.binary("and", unit, short), lambda: self._short_rows(*arguments),
                 lambda: self._any_rows(*arguments))  # fmt: skip
        return []

    def _short_rows(
        self, d: Descriptor, source: Value, target: Value, images: Value, channels: Value,
        corner: Sequence[Value],
    ) -> Sequence[Value]:  # fmt: skip
        """Rows of one vector, all with the same mask."""
        f, lanes, size = self.f, self.tile.lanes, self.dtype.itemsize
        loaded = storage(vector(lanes, self.kind))
        reach = f.maximum(f.sub(d[Slot.SIZE + 2], corner[2]), 0)
        upto = f.first_lanes(f.minimum(d[Slot.BOX + 2], reach), lanes, 8 * size)
        left = f.maximum(f.sub(constant("i64", 0), corner[2]), 0)
        before = f.first_lanes(left, lanes, 8 * size)
        mask = f.binary("and", upto, f.binary("xor", before, constant(before.type, 1)))
        none = constant(mask.type, 0)
        at = f.add(f.mul(corner[0], d[Slot.X_LEVELS + 1]), f.mul(corner[1], d[Slot.X_LEVELS + 2]))
        at = f.add(at, f.mul(corner[2], size))
        with f.loop(0, images) as image, f.loop(0, channels) as channel:
            here = f.offset(source, f.mul(image.index, d[Slot.X_LEVELS]), "i8")
            here = f.offset(here, f.mul(channel.index, d[Slot.X_CHANNEL]), "i8")
            there = f.offset(target, f.mul(image.index, d[Slot.BOX_IMAGE]), "i8")
            there = f.offset(there, f.mul(channel.index, d[Slot.BOX_CHANNEL]), "i8")
            with f.loop(0, d[Slot.BOX]) as plane:
                _, good = self._source(d, 0, f.add(plane.index, corner[0]))
                start = f.add(at, f.mul(plane.index, d[Slot.X_LEVELS + 1]))
                first = f.offset(there, f.mul(plane.index, d[Slot.BOX_AXES]), "i8")
                begin = [f.offset(here, start, "i8"), first]
                with f.loop(0, d[Slot.BOX + 1], carried=begin) as row:
                    _, fine = self._source(d, 1, f.add(row.index, corner[1]))
                    seen = f.select(f.binary("and", good, fine), mask, none)
                    raw = f.masked_load(loaded, row.carried[0], seen)
                    f.store(widen(f, raw, self.kind, self.tile.acc, self.target), row.carried[1],
                            align=self.tile.unit_bytes)  # fmt: skip
                    row.next([
                        f.offset(row.carried[0], d[Slot.X_LEVELS + 2], "i8"),
                        f.offset(row.carried[1], d[Slot.BOX_AXES + 1], "i8"),
                    ])  # fmt: skip
        return []

    def _any_rows(
        self, d: Descriptor, source: Value, target: Value, images: Value, channels: Value,
        corner: Sequence[Value],
    ) -> Sequence[Value]:  # fmt: skip
        """Rows of any length."""
        f = self.f
        unit = f.compare("eq", d[Slot.X_LEVELS + 3], self.dtype.itemsize)
        if self.spread:
            unit = f.binary("and", unit, f.compare("eq", d[Slot.FACTOR + 2], 1))
        with f.loop(0, images) as image, f.loop(0, channels) as channel:
            here = f.offset(source, f.mul(image.index, d[Slot.X_LEVELS]), "i8")
            here = f.offset(here, f.mul(channel.index, d[Slot.X_CHANNEL]), "i8")
            there = f.offset(target, f.mul(image.index, d[Slot.BOX_IMAGE]), "i8")
            there = f.offset(there, f.mul(channel.index, d[Slot.BOX_CHANNEL]), "i8")
            with f.loop(0, d[Slot.BOX]) as plane, f.loop(0, d[Slot.BOX + 1]) as row:
                first, good = self._source(d, 0, f.add(plane.index, corner[0]))
                second, fine = self._source(d, 1, f.add(row.index, corner[1]))
                at = f.add(f.mul(first, d[Slot.X_LEVELS + 1]), f.mul(second, d[Slot.X_LEVELS + 2]))
                to = f.add(
                    f.mul(plane.index, d[Slot.BOX_AXES]), f.mul(row.index, d[Slot.BOX_AXES + 1])
                )
                line = (f.offset(here, at, "i8"), f.offset(there, to, "i8"), corner[2],
                        f.binary("and", good, fine))  # fmt: skip
                f.choose(unit, lambda line=line: self._vectors(d, *line),  # type: ignore[misc]
                         lambda line=line: self._elements(d, *line))  # type: ignore[misc]  # fmt: skip
        return []

    def _source(self, d: Descriptor, axis: int, place: Value) -> tuple[Value, Value]:
        """(index in X of a place of the box, whether there is one)."""
        f = self.f
        if not self.spread:
            return place, f.compare("ult", place, d[Slot.SIZE + axis])
        factor = d[Slot.FACTOR + axis]
        index = f.binary("sdiv", place, factor)
        exact = f.compare("eq", f.mul(index, factor), place)
        return index, f.binary("and", exact, f.compare("ult", index, d[Slot.SIZE + axis]))

    def _vectors(
        self, d: Descriptor, source: Value, target: Value, corner: Value, inside: Value
    ) -> Sequence[Value]:
        """A row that is contiguous in X."""
        f, lanes, size = self.f, self.tile.lanes, self.dtype.itemsize
        loaded = storage(vector(lanes, self.kind))
        width, zero = d[Slot.BOX + 2], constant("i64", 0)
        zeros = constant(self.row, 0)
        left = f.minimum(f.maximum(f.sub(zero, corner), 0), width)
        reach = f.maximum(f.sub(d[Slot.SIZE + 2], corner), 0)
        right = f.maximum(f.select(inside, f.minimum(width, reach), zero), left)

        def put(value: Value, place: Value) -> None:
            f.store(value, f.offset(target, place, self.tile.acc), align=self.tile.unit_bytes)

        with f.loop(0, left, lanes) as loop:
            put(zeros, loop.index)
        whole = f.add(left, f.binary("and", f.sub(right, left), -lanes))
        source = f.offset(source, f.mul(corner, size), "i8")
        with f.loop(left, whole, lanes) as loop:
            raw = f.load(loaded, f.offset(source, f.mul(loop.index, size), "i8"))
            put(widen(f, raw, self.kind, self.tile.acc, self.target), loop.index)
        rest = f.sub(right, whole)
        with f.when(f.compare("sgt", rest, 0)):
            mask = f.first_lanes(rest, lanes, 8 * size)
            raw = f.masked_load(loaded, f.offset(source, f.mul(whole, size), "i8"), mask)
            put(widen(f, raw, self.kind, self.tile.acc, self.target), whole)
        with f.loop(right, width, lanes) as loop:
            put(zeros, loop.index)
        return []

    def _elements(
        self, d: Descriptor, source: Value, target: Value, corner: Value, inside: Value
    ) -> Sequence[Value]:
        """A row with gaps in X, or in the box: zeros, then what there is of X."""
        f, stored, acc = self.f, storage(self.kind), self.tile.acc
        width = d[Slot.BOX + 2]
        with f.loop(0, width, self.tile.lanes) as loop:
            zeros = constant(vector(self.tile.lanes, acc), 0)
            f.store(zeros, f.offset(target, loop.index, acc), align=self.tile.unit_bytes)
        factor = d[Slot.FACTOR + 2] if self.spread else constant("i64", 1)
        start = f.maximum(corner, 0)
        first = f.binary("udiv", f.add(start, f.sub(factor, 1)), factor)
        end = f.maximum(f.add(corner, width), 0)
        last = f.binary("udiv", f.add(end, f.sub(factor, 1)), factor)
        last = f.select(inside, f.minimum(last, d[Slot.SIZE + 2]), constant("i64", 0))
        with f.loop(first, last) as loop:
            where = f.offset(source, f.mul(loop.index, d[Slot.X_LEVELS + 3]), "i8")
            value = widen(f, f.load(stored, where), self.kind, acc, self.target)
            f.store(value, f.offset(target, f.sub(f.mul(loop.index, factor), corner), acc))
        return []
