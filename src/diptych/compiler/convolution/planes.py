"""The convolution kernel by planes: vectors of neighbouring places, a few features at a time.

For groups of few channels or features (depthwise convolutions above all), where vectors of
features would be mostly empty, or stored too often. A task fills the box of an image's group, which
stays in the L1 or L2 cache, and goes over its taps with the scalar weights of a few features and
unaligned vectors. A gradient of the input
with strides reads a box in which the elements lie a stride apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, auto

from diptych.compiler.contraction.blocking import Tile
from diptych.compiler.contraction.convert import narrow, storage, widen
from diptych.compiler.contraction.descriptor import Descriptor
from diptych.compiler.contraction.frame import Frame
from diptych.compiler.contraction.spec import LLVM_TYPES
from diptych.compiler.convolution.descriptor import PlaneSlot, Slot
from diptych.compiler.convolution.filling import FillWriter, write_table
from diptych.compiler.llvm.writer import Function, Module, Value, constant, vector
from diptych.compiler.target import Target
from diptych.core.dtypes import DType

_STRIP = 8  # rows of places whose sums are kept at once
_TAPS = 9  # sums of a weight's gradient kept at once: the latency of an FMA asks for 8


def vectors_for(features: int, target: Target) -> int:
    """Vectors of places in a register tile with so many features."""
    return min(8, (24 if target.vector_bytes == 64 else 10) // features)


class Context(IntEnum):
    """Words of what the kernel tells its tasks."""

    DESC = 0
    PTRS = auto()
    SHARED = auto()
    CALLER = auto()
    WORDS = auto()


class PlaneWriter:
    """Writes the kernel into a module; ``over_taps`` for the gradient of a weight."""

    def __init__(
        self, module: Module, name: str, dtype: DType, tile: Tile, target: Target, bias: bool,
        over_taps: bool, step: int, spread: bool, features: int,
        rows: int,
    ) -> None:  # fmt: skip
        self.module = module
        self.name = name
        self.dtype = dtype
        self.kind = LLVM_TYPES[dtype.name]
        self.tile = tile
        self.target = target
        self.bias = bias
        self.over_taps = over_taps
        self.step = step
        # Sums of so many features at so many vectors of places are kept at once.
        self.features = features
        self.rows = rows  # of taps, where sums share rows of the box
        self.vectors = vectors_for(features, target)
        self.acc = vector(tile.lanes, tile.acc)
        self.pointers = 3 if bias else 2
        FillWriter(module, dtype, tile, target, spread=spread).write()
        write_table(module)

    def write(self) -> None:
        for masked in (False, True):
            if self.over_taps:
                self._products(masked)
            elif self.rows:
                self._strip(masked)
            else:
                self._line(masked)
        self._weights()
        self._task()
        self._kernel()

    # -- the kernel -----------------------------------------------------------------------------

    def _kernel(self) -> None:
        f = self.module.function(self.name, [("ptr", "desc"), ("ptr", "ptrs")])
        desc, ptrs = f.parameters
        d, p = Descriptor(f, desc), self._planes(f, desc)
        context = f.stack("i64", Context.WORDS)
        words = Frame(f, context)
        words.put(Context.DESC, desc)
        words.put(Context.PTRS, ptrs)
        shared = d[Slot.SHARED_BYTES]
        alone = f.compare("eq", d[Slot.PARALLEL], 0)
        total = f.add(shared, f.select(alone, d[Slot.PRIVATE_BYTES], constant("i64", 0)))
        base = f.call("dp_scratch", "ptr", [constant("i64", 0), total])
        words.put(Context.SHARED, base)
        own = f.offset(base, shared, "i8")
        words.put(Context.CALLER, f.select(alone, own, constant("ptr", 0)))

        def table(at: Value, extents: int, strides: int, start: Value) -> None:
            here = f.offset(desc, Slot.WORDS + extents, "i64")
            steps = f.offset(desc, Slot.WORDS + strides, "i64")
            f.call("table", "void", [f.offset(base, at, "i8"), here, steps, start])

        zero = constant("i64", 0)
        table(zero, PlaneSlot.K_EXTENTS, PlaneSlot.K_STRIDES, zero)
        for at, strides, tail in (
            (PlaneSlot.AT_X, PlaneSlot.X_STRIDES, PlaneSlot.X_TAIL),
            (PlaneSlot.AT_Y, PlaneSlot.Y_STRIDES, PlaneSlot.Y_TAIL),
        ):
            table(p[at], PlaneSlot.FULL_EXTENTS, strides, zero)
            after = f.add(p[at], f.mul(p[PlaneSlot.FULL], 4))
            table(after, PlaneSlot.TAIL_EXTENTS, strides, p[tail])
        if not self.over_taps:  # the weights of all groups, once for all images
            room = f.offset(base, p[PlaneSlot.AT_WEIGHT], "i8")
            with f.loop(0, d[Slot.GROUPS], carried=[room]) as loop:
                source = self._weight_at(f, words, p, loop.index)
                f.call("weights", "void", [desc, source, loop.carried[0]])
                size = f.mul(p[PlaneSlot.KERNEL], d[Slot.LANES])
                loop.next([f.offset(loop.carried[0], size, self.tile.acc)])
        address = Value("@task", "ptr")

        def pool() -> Sequence[Value]:
            f.call("dp_parallel", "void", [p[PlaneSlot.TASKS], address, context])
            return []

        def here() -> Sequence[Value]:
            with f.loop(0, p[PlaneSlot.TASKS]) as loop:
                f.call("task", "void", [context, loop.index, zero])
            return []

        f.choose(alone, here, pool)
        f.ret()

    @staticmethod
    def _planes(f: Function, desc: Value) -> Descriptor:
        return Descriptor(f, f.offset(desc, int(Slot.WORDS), "i64"))

    def _pointer(self, f: Function, words: Frame, index: int) -> Value:
        return f.load("ptr", f.offset(words.load_pointer(Context.PTRS), index, "ptr"))

    # -- tasks ----------------------------------------------------------------------------------

    def _task(self) -> None:
        f = self.module.function(
            "task", [("ptr", "context"), ("i64", "task"), ("i64", "worker")], internal=True
        )
        words = Frame(f, f.parameters[0])
        desc = words.load_pointer(Context.DESC)
        d, p = Descriptor(f, desc), self._planes(f, desc)
        caller = words.load_pointer(Context.CALLER)

        def fetch() -> Sequence[Value]:
            return [f.call("dp_scratch", "ptr", [f.parameters[2], d[Slot.PRIVATE_BYTES]])]

        (own,) = f.choose(f.compare("eq", caller, 0), fetch, lambda: [caller])
        first = f.mul(f.parameters[1], p[PlaneSlot.TASK_PLANES])
        groups = d[Slot.GROUPS]
        every = groups if self.over_taps else f.mul(d[Slot.IMAGES], groups)
        last = f.minimum(f.add(first, p[PlaneSlot.TASK_PLANES]), every)
        holder = own if self.over_taps else words.load_pointer(Context.SHARED)
        weight = f.offset(holder, p[PlaneSlot.AT_WEIGHT], "i8")
        with f.loop(first, last, runs=True) as loop:
            body = self._group if self.over_taps else self._image
            body(f, words, d, p, desc, own, weight, loop.index)
        f.ret()

    def _image(
        self, f: Function, words: Frame, d: Descriptor, p: Descriptor, desc: Value, own: Value,
        weight: Value, plane: Value,
    ) -> None:  # fmt: skip
        """One group of one image: all its features."""
        image = f.binary("udiv", plane, d[Slot.GROUPS])
        group = f.binary("urem", plane, d[Slot.GROUPS])
        each = f.mul(p[PlaneSlot.KERNEL], d[Slot.LANES])
        weight = f.offset(weight, f.mul(group, each), self.tile.acc)
        self._fill(f, words, d, desc, own, image, group)
        out = f.add(f.mul(image, d[Slot.C_LEVELS]), f.mul(group, d[Slot.C_GROUP]))
        origin = f.offset(self._pointer(f, words, self.pointers), out, "i8")
        with f.loop(0, d[Slot.LANES], self.features, runs=True) as lane:
            here = f.offset(origin, f.mul(lane.index, d[Slot.C_LANE]), "i8")
            at = f.offset(weight, f.mul(lane.index, p[PlaneSlot.KERNEL]), self.tile.acc)
            last = f.sub(f.sub(d[Slot.LANES], lane.index), 1)
            number = f.add(f.mul(group, d[Slot.LANES]), lane.index)
            starts = [self._start(f, words, f.add(number, f.minimum(last, feature)))
                      for feature in range(self.features)]  # fmt: skip
            if self.rows:
                self._strips(f, p, own, at, here, starts[0])
            else:
                self._lines(f, words, p, [own, at, here, last, d[Slot.C_LANE], *starts])

    def _start(self, f: Function, words: Frame, number: Value) -> Value:
        """What a feature's sums start from."""
        if not self.bias:
            return constant(self.tile.acc, 0)
        where = f.offset(self._pointer(f, words, 2), number, storage(self.kind))
        raw = f.load(storage(self.kind), where)
        return widen(f, raw, self.kind, self.tile.acc, self.target)

    def _weight_at(self, f: Function, words: Frame, p: Descriptor, group: Value) -> Value:
        index = 2 if self.over_taps else 1
        at = f.add(f.mul(group, p[PlaneSlot.W_GROUP]), p[PlaneSlot.W_OFFSET])
        return f.offset(self._pointer(f, words, index), at, "i8")

    def _fill(
        self, f: Function, words: Frame, d: Descriptor, desc: Value, box: Value, image: Value,
        group: Value,
    ) -> None:  # fmt: skip
        at = f.add(f.mul(image, d[Slot.X_LEVELS]), f.mul(group, d[Slot.X_GROUP]))
        source = f.offset(self._pointer(f, words, 0), at, "i8")
        zero = constant("i64", 0)
        corner = [f.sub(zero, d[Slot.BEFORE + axis]) for axis in range(3)]
        one = constant("i64", 1)
        f.call("fill", "void", [desc, source, box, one, d[Slot.CHANNELS], *corner])

    def _tables(self, f: Function, words: Frame, p: Descriptor) -> tuple[Value, Value, Value]:
        shared = words.load_pointer(Context.SHARED)
        return (shared, f.offset(shared, p[PlaneSlot.AT_X], "i8"),
                f.offset(shared, p[PlaneSlot.AT_Y], "i8"))  # fmt: skip

    def _lines(self, f: Function, words: Frame, p: Descriptor, rest: list[Value]) -> None:
        """All of a plane: whole vectors, then the last parts of rows."""
        k_table, x_table, y_table = self._tables(f, words, p)
        full, tails, kernel = p[PlaneSlot.FULL], p[PlaneSlot.TAILS], p[PlaneSlot.KERNEL]
        for name, first, count in (
            ("line", constant("i64", 0), full), ("line_tail", full, tails),
        ):  # fmt: skip
            with f.loop(0, count, self.vectors) as loop:
                at = f.add(loop.index, first)
                left = f.sub(count, loop.index)
                tables = [f.offset(x_table, at, "i32"), f.offset(y_table, at, "i32")]
                arguments = [k_table, kernel, *tables, left, p[PlaneSlot.TAIL], *rest]
                f.call(name, "void", arguments)

    def _line(self, masked: bool) -> None:
        """Sums over k for a few vectors of places and a few features."""
        tile = self.tile
        f = self.module.function(
            "line_tail" if masked else "line",
            [("ptr", "k_table"), ("i64", "count"), ("ptr", "x_table"), ("ptr", "y_table"),
             ("i64", "left"), ("i64", "tail"), ("ptr", "box"), ("ptr", "weight"), ("ptr", "out"),
             ("i64", "last_feature"), ("i64", "out_lane"),
             *((tile.acc, f"start{number}") for number in range(self.features))],
            internal=True,
        )  # fmt: skip
        k_table, count, x_table, y_table, left, tail, box, weight, out = f.parameters[:9]
        last_feature, out_lane, *starts = f.parameters[9:]
        last = f.sub(left, 1)
        entries = [f.minimum(last, r) if r else constant("i64", 0) for r in range(self.vectors)]
        places = [
            f.offset(box, f.cast("sext", f.load("i32", f.offset(x_table, e, "i32")), "i64"), "i8")
            for e in entries
        ]
        features = [f.minimum(last_feature, r) if r else constant("i64", 0)
                    for r in range(self.features)]  # fmt: skip
        weights = [f.offset(weight, f.mul(feature, count), tile.acc) for feature in features]
        sums = [f.splat(start, tile.lanes) for _ in places for start in starts]
        with f.loop(0, count, carried=sums) as loop:
            acc = list(loop.carried)
            entry = f.load("i32", f.offset(k_table, loop.index, "i32"))
            tap = f.cast("sext", entry, "i64")
            scales = [
                f.splat(f.load(tile.acc, f.offset(at, loop.index, tile.acc)), tile.lanes)
                for at in weights
            ]
            for r, place in enumerate(places):
                x = self._vector(f, f.offset(place, tap, "i8"))
                for number, scale in enumerate(scales):
                    at = r * self.features + number
                    acc[at] = f.muladd(x, scale, acc[at])
            loop.next(acc)
        mask = f.first_lanes(tail, tile.lanes, 8 * self.dtype.itemsize) if masked else None
        # Vectors and features that do not exist repeat the last one, and store it again.
        outs = [f.offset(out, f.mul(feature, out_lane), "i8") for feature in features]
        for r, entry in enumerate(entries):
            place = f.cast("sext", f.load("i32", f.offset(y_table, entry, "i32")), "i64")
            for number, base in enumerate(outs):
                where = f.offset(base, place, "i8")
                total = loop.results[r * self.features + number]
                value = narrow(f, total, self.kind, self.target)
                if mask is None:
                    f.store(value, where)
                else:
                    f.masked_store(value, where, mask)
        f.ret()

    def _strips(
        self, f: Function, p: Descriptor, box: Value, weight: Value, out: Value, start: Value
    ) -> None:
        """All of a plane by strips: one vector wide, some rows high."""
        shared = [weight, start, p[PlaneSlot.X_STRIDES + 2], p[PlaneSlot.Y_STRIDES + 2],
                  p[PlaneSlot.K_EXTENTS + 3], p[PlaneSlot.K_STRIDES + 3],
                  p[PlaneSlot.TAIL]]  # fmt: skip
        rows = p[PlaneSlot.FULL_EXTENTS + 2]

        def column(name: str, x: Value, y: Value) -> None:
            with f.loop(0, rows, _STRIP) as loop:
                here = f.offset(x, f.mul(loop.index, p[PlaneSlot.X_STRIDES + 2]), "i8")
                there = f.offset(y, f.mul(loop.index, p[PlaneSlot.Y_STRIDES + 2]), "i8")
                f.call(name, "void", [here, there, f.sub(rows, loop.index), *shared])

        with f.loop(0, p[PlaneSlot.FULL_EXTENTS + 3]) as loop:
            x = f.offset(box, f.mul(loop.index, p[PlaneSlot.X_STRIDES + 3]), "i8")
            y = f.offset(out, f.mul(loop.index, p[PlaneSlot.Y_STRIDES + 3]), "i8")
            column("strip", x, y)
        with f.when(f.compare("sgt", p[PlaneSlot.TAILS], 0)):
            x = f.offset(box, p[PlaneSlot.X_TAIL], "i8")
            column("strip_tail", x, f.offset(out, p[PlaneSlot.Y_TAIL], "i8"))

    def _strip(self, masked: bool) -> None:
        """Sums of a vector of places in a few rows: a row of the box serves all that meet it."""
        tile = self.tile
        f = self.module.function(
            "strip_tail" if masked else "strip",
            [("ptr", "box"), ("ptr", "out"), ("i64", "left"), ("ptr", "weight"),
             (tile.acc, "start"), ("i64", "box_row"), ("i64", "out_row"), ("i64", "taps"),
             ("i64", "tap_step"), ("i64", "tail")],
            internal=True,
        )  # fmt: skip
        box, out, left, weight, start, box_row, out_row, taps, tap_step, tail = f.parameters
        last = f.add(left, self.rows - 2)  # the last row of the box that is needed
        places = [
            f.offset(box, f.mul(f.minimum(last, r) if r else constant("i64", 0), box_row), "i8")
            for r in range(_STRIP + self.rows - 1)
        ]
        begin = [f.splat(start, tile.lanes)] * _STRIP
        with f.loop(0, taps, carried=begin, runs=True) as loop:
            acc = list(loop.carried)
            at = f.offset(weight, loop.index, tile.acc)
            scales = [
                f.splat(f.load(tile.acc, f.offset(at, f.mul(taps, k), tile.acc)), tile.lanes)
                for k in range(self.rows)
            ]
            along = f.mul(loop.index, tap_step)
            for number, place in enumerate(places):
                x = self._vector(f, f.offset(place, along, "i8"))
                for k, scale in enumerate(scales):
                    if 0 <= number - k < _STRIP:
                        acc[number - k] = f.muladd(x, scale, acc[number - k])
            loop.next(acc)
        mask = f.first_lanes(tail, tile.lanes, 8 * self.dtype.itemsize) if masked else None
        for r, total in enumerate(loop.results):
            with f.when(f.compare("sgt", left, r)):
                where = f.offset(out, f.mul(out_row, r), "i8")
                value = narrow(f, total, self.kind, self.target)
                if mask is None:
                    f.store(value, where)
                else:
                    f.masked_store(value, where, mask)
        f.ret()

    def _vector(self, f: Function, where: Value) -> Value:
        """Neighbouring places of the box, or every second one."""
        lanes = self.tile.lanes
        low = f.load(self.acc, where)
        if self.step == 1:
            return low
        high = f.load(self.acc, f.offset(where, lanes, self.tile.acc))
        return f.shuffle(low, range(0, 2 * lanes, 2), high)

    def _weights(self) -> None:
        """``weights(desc, weight, room)``: a group's weights as [lane][k], or back from there."""
        f = self.module.function(
            "weights", [("ptr", "desc"), ("ptr", "weight"), ("ptr", "room")], internal=True
        )
        desc, weight, room = f.parameters
        d, p = Descriptor(f, desc), self._planes(f, desc)
        stored = storage(self.kind)

        def nest(level: int, here: Value, there: Value) -> Value:
            if level == 5:
                if self.over_taps:
                    value = f.load(self.tile.acc, there)
                    f.store(narrow(f, value, self.kind, self.target), here)
                else:
                    value = widen(f, f.load(stored, here), self.kind, self.tile.acc, self.target)
                    f.store(value, there)
                return f.offset(there, 1, self.tile.acc)
            count = p[PlaneSlot.K_EXTENTS + level - 1] if level else d[Slot.LANES]
            step = p[PlaneSlot.W_LANE + level]
            with f.loop(0, count, carried=[here, there]) as loop:
                following = nest(level + 1, *loop.carried)
                loop.next([f.offset(loop.carried[0], step, "i8"), following])
            return loop.results[1]

        nest(0, weight, room)
        f.ret()

    # -- the gradient of a weight ---------------------------------------------------------------

    def _group(
        self, f: Function, words: Frame, d: Descriptor, p: Descriptor, desc: Value, own: Value,
        sums: Value, group: Value,
    ) -> None:  # fmt: skip
        """One group's weight: sums over the images, in their order."""
        kernel = p[PlaneSlot.KERNEL]
        k_table, x_table, y_table = self._tables(f, words, p)
        number, size = f.mul(kernel, d[Slot.LANES]), self.tile.lanes * self.tile.unit_bytes
        f.call("memset", "ptr", [sums, constant("i32", 0), f.mul(number, size)])
        full, tails = p[PlaneSlot.FULL], p[PlaneSlot.TAILS]
        with f.loop(0, d[Slot.IMAGES]) as image:
            self._fill(f, words, d, desc, own, image.index, group)
            at = f.add(f.mul(image.index, d[Slot.B_LEVELS]), f.mul(group, d[Slot.B_GROUP]))
            y = f.offset(self._pointer(f, words, 1), at, "i8")
            with f.loop(0, d[Slot.LANES]) as lane:
                here = f.offset(y, f.mul(lane.index, d[Slot.B_LANE]), "i8")
                place = f.offset(sums, f.mul(f.mul(lane.index, kernel), size), "i8")
                for name, first, count in (
                    ("products", constant("i64", 0), full), ("products_tail", full, tails),
                ):  # fmt: skip
                    with f.when(f.compare("sgt", count, 0)):
                        f.call(name, "void", [
                            own, here, f.offset(x_table, first, "i32"),
                            f.offset(y_table, first, "i32"), count, p[PlaneSlot.TAIL], k_table,
                            kernel, place,
                        ])  # fmt: skip
        with f.loop(0, number) as loop:  # in place: a sum lies before the vector it is made of
            whole = f.load(self.acc, f.offset(sums, f.mul(loop.index, size), "i8"))
            f.store(f.reduce(whole, f.add), f.offset(sums, loop.index, self.tile.acc))
        f.call("weights", "void", [desc, self._weight_at(f, words, p, group), sums])

    def _products(self, masked: bool) -> None:
        """Adds, for each tap, the products of two planes' vectors to a vector of sums."""
        tile = self.tile
        f = self.module.function(
            "products_tail" if masked else "products",
            [("ptr", "box"), ("ptr", "y"), ("ptr", "x_table"), ("ptr", "y_table"),
             ("i64", "count"), ("i64", "tail"), ("ptr", "k_table"), ("i64", "kernel"),
             ("ptr", "sums")],
            internal=True,
        )  # fmt: skip
        box, y, x_table, y_table, count, tail, k_table, kernel, sums = f.parameters
        stored = storage(vector(tile.lanes, self.kind))
        mask = f.first_lanes(tail, tile.lanes, 8 * self.dtype.itemsize) if masked else None
        whole = f.first_lanes(tail, tile.lanes, 8 * tile.unit_bytes) if masked else None

        def entry(table: Value, index: Value) -> Value:
            return f.cast("sext", f.load("i32", f.offset(table, index, "i32")), "i64")

        zero = constant(self.acc, 0)
        with f.loop(0, kernel, _TAPS, runs=True) as block:
            last = f.sub(f.sub(kernel, block.index), 1)
            taps = [f.add(block.index, f.minimum(last, n) if n else 0) for n in range(_TAPS)]
            corners = [f.offset(box, entry(k_table, tap), "i8") for tap in taps]
            with f.loop(0, count, carried=[zero] * _TAPS, runs=True) as loop:
                where = f.offset(y, entry(y_table, loop.index), "i8")
                raw = f.load(stored, where) if mask is None else f.masked_load(stored, where, mask)
                scale = widen(f, raw, self.kind, tile.acc, self.target)
                place = entry(x_table, loop.index)
                totals = []
                for corner, total in zip(corners, loop.carried, strict=True):
                    x = self._vector(f, f.offset(corner, place, "i8"))
                    if whole is not None:  # behind a row may be infinities: 0 times them is not 0
                        x = f.select(whole, x, 0)
                    totals.append(f.muladd(x, scale, total))
                loop.next(totals)
            # Taps that do not exist repeat the last one, and are dropped.
            for n, total in enumerate(loop.results):
                with f.when(f.compare("sge", last, n)):
                    at = f.offset(sums, f.mul(taps[n], tile.lanes), tile.acc)
                    f.store(f.add(f.load(self.acc, at), total), at)
        f.ret()
