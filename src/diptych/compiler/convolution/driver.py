"""The convolution kernel around the register tile: tables, packing of B, tasks, partial sums.

    write the tables of offsets
    pack B, in parallel                        -- if all tasks read the same
    for each task (group, panels, channels, units of pixels), in parallel:
        for each unit: fill its box of X       -- unless X itself can be read
            for each panel of lanes, for each block along k:
                pack B's block                 -- if each task has its own
                for each register tile: sums along k
    add the partial sums of the units, in parallel, in order    -- if they were split

All cuts come from the descriptor, so the result is the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, auto

from diptych.compiler.contraction.blocking import Tile
from diptych.compiler.contraction.descriptor import Descriptor
from diptych.compiler.contraction.frame import Frame
from diptych.compiler.contraction.packing import PackWriter
from diptych.compiler.convolution.descriptor import PHASE_WORDS, Phase, Slot
from diptych.compiler.convolution.filling import FillWriter, write_table
from diptych.compiler.convolution.interleaving import InterleaveWriter
from diptych.compiler.convolution.tile import FIRST, LAST, TileWriter
from diptych.compiler.llvm.writer import Function, Module, Value, constant
from diptych.compiler.target import Target
from diptych.core.dtypes import DType

_TASK = [("ptr", "context"), ("i64", "task"), ("i64", "worker")]


class Context(IntEnum):
    """Words of what the kernel tells its tasks."""

    DESC = 0
    PTRS = auto()
    SHARED = auto()
    CALLER = auto()  # a task's own scratch where tasks run on this thread, else null
    WORDS = auto()


class Work(IntEnum):
    """Words of what a task tells the parts of its body."""

    GROUP = 0
    PANEL = auto()  # first panel, and the one after the last
    PANEL_END = auto()
    CHANNEL = auto()
    CHANNELS = auto()
    IMAGE = auto()  # of the unit
    IMAGES = auto()
    PLACE = 7  # first place of the unit and how many, along three axes
    COUNT = 10
    PIXELS = 13
    BOX = auto()  # address that the tables' offsets count from
    SUMS = auto()
    OUT = auto()
    FLAGS = auto()
    TILE_OUT = auto()
    OUT_LANE = auto()
    PRIVATE = auto()
    WORDS = auto()


class DriverWriter:
    """Writes the kernel and its task bodies into a module."""

    def __init__(
        self, module: Module, name: str, dtype: DType, tile: Tile, target: Target, bias: bool,
        over_taps: bool,
    ) -> None:  # fmt: skip
        self.module = module
        self.name = name
        self.dtype = dtype
        self.tile = tile
        self.over_taps = over_taps
        self.bias = bias
        self.pointers = 3 if bias else 2  # C's place among the pointers
        self.unit = tile.unit_bytes
        TileWriter(module, dtype, tile, target, bias).write(finishing=over_taps)
        FillWriter(module, dtype, tile, target, turns=True).write()
        PackWriter(module, "pack_lanes", dtype, tile, tile.lanes, target, False).write()
        write_table(module)
        if not over_taps:
            InterleaveWriter(module, dtype, tile).write()

    def write(self) -> None:
        self._pack_panel()
        self._pack_task()
        self._tiles()
        self._task()
        if self.over_taps:
            self._reduce_task()
        self._kernel()

    # -- the kernel -----------------------------------------------------------------------------

    def _kernel(self) -> None:
        f = self.module.function(self.name, [("ptr", "desc"), ("ptr", "ptrs")])
        desc, ptrs = f.parameters
        d = Descriptor(f, desc)
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
        self._tables(f, d, desc, base)
        with f.when(f.compare("ne", d[Slot.SHARED_B], 0)):
            blocks = self._up(f, d[Slot.CHANNELS], d[Slot.BLOCK])
            pieces = f.mul(f.mul(d[Slot.GROUPS], d[Slot.PANELS]), f.mul(d[Slot.PHASES], blocks))
            self._dispatch(f, d, pieces, "pack_task", context)
        tasks = f.mul(f.mul(d[Slot.GROUPS], d[Slot.PANEL_CHUNKS]),
                      f.mul(d[Slot.CHANNEL_CHUNKS], d[Slot.CHUNKS]))  # fmt: skip
        self._dispatch(f, d, tasks, "task", context)
        if self.over_taps:
            with f.when(f.compare("ne", d[Slot.SPLIT], 0)):
                pieces = f.mul(f.mul(d[Slot.GROUPS], d[Slot.CHANNEL_CHUNKS]), d[Slot.PANELS])
                self._dispatch(f, d, pieces, "reduce_task", context)
        f.ret()

    def _tables(self, f: Function, d: Descriptor, desc: Value, base: Value) -> None:
        """The offsets of a unit's pixels, of a chunk's taps, and of the rows in C."""
        extents = f.stack("i64", 8)
        images = f.offset(extents, 4, "i64")
        f.store(d[Slot.CHUNK_CHANNELS], extents)
        f.store(d[Slot.UNIT_IMAGES], images)
        for axis in range(3):
            cut = f.compare("eq", d[Slot.AXIS], axis)
            count = f.select(cut, d[Slot.BAND], d[Slot.PLACES + axis])
            f.store(count, f.offset(images, 1 + axis, "i64"))

        def table(at: Value, extent: Value, strides: int, start: Value) -> None:
            where = f.offset(base, at, "i8")
            f.call("table", "void", [where, extent, f.offset(desc, strides, "i64"), start])

        zero = constant("i64", 0)
        table(zero, images, Slot.PIXEL_STRIDES, zero)
        with f.loop(0, d[Slot.PHASES], runs=True) as loop:
            phase = self._phase(f, desc, loop.index)
            for axis in range(3):
                f.store(phase[Phase.TAPS + axis], f.offset(extents, 1 + axis, "i64"))
            table(phase[Phase.TABLE], extents, Slot.TAP_STRIDES, phase[Phase.SHIFT])
        # Over taps there is one phase, whose extents are still there.
        table(d[Slot.AT_ROWS], extents if self.over_taps else images, Slot.ROW_STRIDES, zero)

    @staticmethod
    def _phase(f: Function, desc: Value, index: Value) -> Descriptor:
        """The words of a phase."""
        at = f.add(f.mul(index, PHASE_WORDS), Slot.WORDS)
        return Descriptor(f, f.offset(desc, at, "i64"))

    def _dispatch(
        self, f: Function, d: Descriptor, tasks: Value, body: str, context: Value
    ) -> None:
        address = Value(f"@{body}", "ptr")

        def pool() -> Sequence[Value]:
            f.call("dp_parallel", "void", [tasks, address, context])
            return []

        def here() -> Sequence[Value]:
            with f.loop(0, tasks) as loop:
                f.call(body, "void", [context, loop.index, constant("i64", 0)])
            return []

        f.choose(f.compare("ne", d[Slot.PARALLEL], 0), pool, here)

    @staticmethod
    def _up(f: Function, a: Value, b: Value) -> Value:
        return f.binary("udiv", f.add(a, f.sub(b, 1)), b)

    # -- packing B ------------------------------------------------------------------------------

    def _pack_panel(self) -> None:
        """``pack_panel(desc, phase, source, target, levels, width, lanes)``: a block of k.

        ``levels`` are the extents of k's four levels; the innermost ones may be one run.
        """
        f = self.module.function(
            "pack_panel",
            [("ptr", "desc"), ("ptr", "phase"), ("ptr", "source"), ("ptr", "target"),
             ("ptr", "levels"), ("i64", "width"), ("i64", "lanes")],
            internal=True,
        )  # fmt: skip
        desc, phase, source, target, levels, width, lanes = f.parameters
        d, p = Descriptor(f, desc), Descriptor(f, phase)
        one, merged, size = constant("i64", 1), p[Phase.MERGED], self.dtype.itemsize
        run, outer = one, []
        for level in range(3, -1, -1):
            extent = f.load("i64", f.offset(levels, level, "i64"))
            inside = f.compare("sgt", merged, 3 - level)
            run = f.mul(run, f.select(inside, extent, one))
            outer.append((f.select(inside, one, extent), d[Slot.B_LEVELS + level]))
        outer.reverse()
        step = f.binary("sdiv", d[Slot.B_LANE], constant("i64", size))
        # A run that goes down through memory is packed upwards, from the other end.
        down = f.compare("eq", p[Phase.RUN], -1)
        along, last, zero = p[Phase.RUN], f.sub(run, 1), constant("i64", 0)
        behind = f.select(down, f.mul(last, -size), zero)
        beyond = f.select(down, f.mul(last, width), zero)
        along = f.select(down, one, along)
        pitch = f.select(down, f.sub(zero, width), width)
        # Lanes close together, each with a short run: what comes next is far off, and is fetched.
        ahead, spread = d[Slot.B_LEVELS], f.mul(d[Slot.B_LANE], self.tile.lanes)
        near = f.compare("ule", d[Slot.B_LANE], constant("i64", 64))
        lines = f.select(near, f.binary("lshr", spread, 6), zero)

        def nest(level: int, here: Value, there: Value) -> Value:
            if level < 4:
                count, stride = outer[level]
                with f.loop(0, count, carried=[here, there]) as loop:
                    following = nest(level + 1, *loop.carried)
                    loop.next([f.offset(loop.carried[0], stride, "i8"), following])
                return loop.results[1]
            with f.loop(0, width, self.tile.lanes) as loop:
                at = f.offset(here, f.mul(loop.index, d[Slot.B_LANE]), "i8")
                to = f.offset(there, loop.index, self.tile.unit)
                left = f.sub(lanes, loop.index)
                with f.loop(0, lines) as line:
                    f.prefetch(f.offset(f.offset(at, ahead, "i8"), f.mul(line.index, 64), "i8"))
                f.call("pack_lanes", "void",
                       [f.offset(at, behind, "i8"), f.offset(to, beyond, self.tile.unit), run, run,
                        left, step, along, pitch])  # fmt: skip
            return f.offset(there, f.mul(run, width), self.tile.unit)

        nest(0, source, target)
        f.ret()

    def _panel(self, f: Function, d: Descriptor, panel: Value) -> tuple[Value, Value, Value]:
        """(first lane, lanes that exist, lanes kept) of a panel."""
        full = f.mul(d[Slot.PANEL], self.tile.lanes)
        first = f.mul(panel, full)
        lanes = f.minimum(f.sub(d[Slot.LANES], first), full)
        width = f.binary("and", f.add(lanes, self.tile.lanes - 1), -self.tile.lanes)
        return first, lanes, width

    def _shared_b(
        self, f: Function, d: Descriptor, words: Frame, group: Value, panel: Value, steps: Value
    ) -> Value:
        """Where a panel lies in B that is packed for all tasks, so many steps along k on."""
        full = f.mul(d[Slot.PANEL], self.tile.lanes)
        lanes = f.binary("and", f.add(d[Slot.LANES], self.tile.lanes - 1), -self.tile.lanes)
        before = f.add(f.mul(group, lanes), f.mul(panel, full))
        depth = f.mul(d[Slot.CHANNELS], d[Slot.WINDOWS])
        base = f.offset(words.load_pointer(Context.SHARED), d[Slot.AT_B], "i8")
        _, _, width = self._panel(f, d, panel)
        at = f.add(f.mul(before, depth), f.mul(steps, width))
        return f.offset(base, at, self.tile.unit)

    def _pack_task(self) -> None:
        """One panel and block along k of B for all tasks."""
        f, words, d, desc, task = self._start("pack_task")
        blocks = self._up(f, d[Slot.CHANNELS], d[Slot.BLOCK])
        block, rest = f.binary("urem", task, blocks), f.binary("udiv", task, blocks)
        phase = self._phase(f, desc, f.binary("urem", rest, d[Slot.PHASES]))
        rest = f.binary("udiv", rest, d[Slot.PHASES])
        panel = f.binary("urem", rest, d[Slot.PANELS])
        group = f.binary("udiv", rest, d[Slot.PANELS])
        first, lanes, width = self._panel(f, d, panel)
        channel = f.mul(block, d[Slot.BLOCK])
        levels = f.stack("i64", 4)
        f.store(f.minimum(f.sub(d[Slot.CHANNELS], channel), d[Slot.BLOCK]), levels)
        for axis in range(3):
            f.store(phase[Phase.TAPS + axis], f.offset(levels, 1 + axis, "i64"))
        at = f.add(f.mul(channel, d[Slot.B_LEVELS]), phase[Phase.B_OFFSET])
        source = self._b(f, d, words, group, first, at)
        steps = f.add(
            f.mul(d[Slot.CHANNELS], phase[Phase.BEFORE]), f.mul(channel, phase[Phase.WINDOW])
        )
        target = self._shared_b(f, d, words, group, panel, steps)
        f.call("pack_panel", "void", [desc, phase.pointer, source, target, levels, width, lanes])
        f.ret()

    def _b(
        self, f: Function, d: Descriptor, words: Frame, group: Value, lane: Value, at: Value
    ) -> Value:
        offset = f.add(f.mul(group, d[Slot.B_GROUP]), f.mul(lane, d[Slot.B_LANE]))
        return f.offset(self._pointer(f, words, 1), f.add(offset, at), "i8")

    def _pointer(self, f: Function, words: Frame, index: int) -> Value:
        return f.load("ptr", f.offset(words.load_pointer(Context.PTRS), index, "ptr"))

    def _start(self, name: str) -> tuple[Function, Frame, Descriptor, Value, Value]:
        f = self.module.function(name, _TASK, internal=True)
        words = Frame(f, f.parameters[0])
        desc = words.load_pointer(Context.DESC)
        return f, words, Descriptor(f, desc), desc, f.parameters[1]

    # -- tasks ----------------------------------------------------------------------------------

    def _task(self) -> None:
        f, words, d, desc, task = self._start("task")
        work = Frame(f, f.stack("i64", Work.WORDS))
        levels = f.stack("i64", 4)  # outside every loop, as all room on the stack
        chunk, rest = f.binary("urem", task, d[Slot.CHUNKS]), f.binary("udiv", task, d[Slot.CHUNKS])
        part = f.binary("urem", rest, d[Slot.CHANNEL_CHUNKS])
        rest = f.binary("udiv", rest, d[Slot.CHANNEL_CHUNKS])
        panels = f.binary("urem", rest, d[Slot.PANEL_CHUNKS])
        work.put(Work.GROUP, f.binary("udiv", rest, d[Slot.PANEL_CHUNKS]))
        first = f.mul(panels, d[Slot.CHUNK_PANELS])
        work.put(Work.PANEL, first)
        work.put(Work.PANEL_END, f.minimum(f.add(first, d[Slot.CHUNK_PANELS]), d[Slot.PANELS]))
        channel = f.mul(part, d[Slot.CHUNK_CHANNELS])
        work.put(Work.CHANNEL, channel)
        count = f.minimum(f.sub(d[Slot.CHANNELS], channel), d[Slot.CHUNK_CHANNELS])
        work.put(Work.CHANNELS, count)
        caller = words.load_pointer(Context.CALLER)

        def fetch() -> Sequence[Value]:
            return [f.call("dp_scratch", "ptr", [f.parameters[2], d[Slot.PRIVATE_BYTES]])]

        (own,) = f.choose(f.compare("eq", caller, 0), fetch, lambda: [caller])
        work.put(Work.PRIVATE, own)
        sums = f.offset(own, d[Slot.AT_SUMS], "i8")
        if self.over_taps:
            apart = f.offset(words.load_pointer(Context.SHARED), d[Slot.AT_PARTIAL], "i8")
            apart = f.offset(apart, f.mul(task, d[Slot.PARTIAL_TASK]), "i8")
            sums = f.select(f.compare("ne", d[Slot.SPLIT], 0), apart, sums)
        work.put(Work.SUMS, sums)
        begin = f.mul(chunk, d[Slot.CHUNK_UNITS])
        end = f.minimum(f.add(begin, d[Slot.CHUNK_UNITS]), d[Slot.UNITS])
        with f.loop(begin, end, runs=True) as loop:
            self._unit(f, words, d, desc, work, loop.index)
            one = constant("i64", 1)
            zero = constant("i64", 0)
            flags = f.select(f.compare("eq", loop.index, begin), one, zero)
            if self.over_taps:
                final = f.compare("eq", f.add(loop.index, 1), end)
                final = f.binary("and", final, f.compare("eq", d[Slot.SPLIT], 0))
                flags = f.add(flags, f.select(final, constant("i64", LAST), zero))
            work.put(Work.FLAGS, flags)
            with f.loop(work.load(Work.PANEL), work.load(Work.PANEL_END), runs=True) as panel:
                self._depth(f, words, d, desc, work, panel.index, levels)
        f.ret()

    def _unit(
        self, f: Function, words: Frame, d: Descriptor, desc: Value, work: Frame, unit: Value
    ) -> None:
        """Which pixels a unit has; its box, and where its results go."""
        band = f.binary("urem", unit, d[Slot.BANDS])
        image = f.mul(f.binary("udiv", unit, d[Slot.BANDS]), d[Slot.UNIT_IMAGES])
        images = f.minimum(f.sub(d[Slot.IMAGES], image), d[Slot.UNIT_IMAGES])
        work.put(Work.IMAGE, image)
        work.put(Work.IMAGES, images)
        group, channel = work.load(Work.GROUP), work.load(Work.CHANNEL)
        pixels = images
        at = f.add(f.mul(image, d[Slot.X_LEVELS]), f.mul(group, d[Slot.X_GROUP]))
        at = f.add(at, f.mul(channel, d[Slot.X_CHANNEL]))
        out = f.mul(group, d[Slot.C_GROUP])
        if self.over_taps:
            out = f.add(out, f.mul(channel, d[Slot.C_LEVELS]))
        else:
            out = f.add(out, f.mul(image, d[Slot.C_LEVELS]))
        corner, direct = [], at
        for axis in range(3):
            cut = f.compare("eq", d[Slot.AXIS], axis)
            first = f.select(cut, f.mul(band, d[Slot.BAND]), constant("i64", 0))
            left = f.sub(d[Slot.PLACES + axis], first)
            count = f.select(cut, f.minimum(left, d[Slot.BAND]), d[Slot.PLACES + axis])
            work.put(Work.PLACE + axis, first)
            work.put(Work.COUNT + axis, count)
            pixels = f.mul(pixels, count)
            z = f.sub(f.mul(first, d[Slot.STEP + axis]), d[Slot.BEFORE + axis])
            corner.append(z)
            direct = f.add(direct, f.mul(z, d[Slot.X_LEVELS + 1 + axis]))
            if not self.over_taps:
                place = f.mul(first, d[Slot.OUT_STEP + axis])
                out = f.add(out, f.mul(place, d[Slot.C_LEVELS + 1 + axis]))
        work.put(Work.PIXELS, pixels)
        work.put(Work.OUT, f.offset(self._pointer(f, words, self.pointers), out, "i8"))
        x = self._pointer(f, words, 0)
        room = work.load_pointer(Work.PRIVATE)

        def fill() -> Sequence[Value]:
            channels = work.load(Work.CHANNELS)
            f.call("fill", "void", [desc, f.offset(x, at, "i8"), room, images, channels, *corner])
            return [room]

        (box,) = f.choose(f.compare("ne", d[Slot.FILL], 0), fill,
                          lambda: [f.offset(x, direct, "i8")])  # fmt: skip
        work.put(Work.BOX, box)

    def _depth(
        self, f: Function, words: Frame, d: Descriptor, desc: Value, work: Frame, panel: Value,
        levels: Value,
    ) -> None:  # fmt: skip
        """All of k, and every phase, for one panel of lanes."""
        if self.over_taps:
            self._depth_pixels(f, words, d, desc, work, panel, levels)
            return
        first, lanes, _ = self._panel(f, d, panel)
        origin = f.offset(work.load_pointer(Work.OUT), f.mul(first, d[Slot.C_LANE]), "i8")
        result = f.offset(work.load_pointer(Work.PRIVATE), d[Slot.AT_RESULT], "i8")
        several = f.compare("ne", d[Slot.PHASES], 1)
        work.put(Work.OUT_LANE, f.select(several, d[Slot.RESULT_LANE], d[Slot.C_LANE]))
        with f.loop(0, d[Slot.PHASES], runs=True) as loop:
            here = f.offset(result, f.mul(loop.index, d[Slot.RESULT_PHASE]), "i8")
            work.put(Work.TILE_OUT, f.select(several, here, origin))
            phase = self._phase(f, desc, loop.index)
            self._depth_taps(f, words, d, desc, work, panel, levels, phase)
        with f.when(several):
            counts = [work.load(Work.IMAGES), *[work.load(Work.COUNT + k) for k in range(3)]]
            places = [work.load(Work.PLACE + k) for k in range(3)]
            f.call("interleave", "void", [desc, result, origin, lanes, *counts, *places])

    def _depth_pixels(
        self, f: Function, words: Frame, d: Descriptor, desc: Value, work: Frame, panel: Value,
        levels: Value,
    ) -> None:  # fmt: skip
        """k runs over the pixels of the unit, which are one block."""
        first, lanes, width = self._panel(f, d, panel)
        phase = self._phase(f, desc, constant("i64", 0))
        shared = words.load_pointer(Context.SHARED)
        relative = f.sub(panel, work.load(Work.PANEL))
        sums = f.offset(work.load_pointer(Work.SUMS), f.mul(relative, d[Slot.PARTIAL_PANEL]), "i8")
        at = f.mul(work.load(Work.IMAGE), d[Slot.B_LEVELS])
        f.store(work.load(Work.IMAGES), levels)
        for axis in range(3):
            f.store(work.load(Work.COUNT + axis), f.offset(levels, 1 + axis, "i64"))
            at = f.add(at, f.mul(work.load(Work.PLACE + axis), d[Slot.B_LEVELS + 1 + axis]))
        source = self._b(f, d, words, work.load(Work.GROUP), first, at)
        block = f.offset(work.load_pointer(Work.PRIVATE), d[Slot.AT_BLOCK], "i8")
        f.call("pack_panel", "void", [desc, phase.pointer, source, block, levels, width, lanes])
        work.put(Work.OUT_LANE, d[Slot.C_LANE])
        out = f.offset(work.load_pointer(Work.OUT), f.mul(first, d[Slot.C_LANE]), "i8")
        work.put(Work.TILE_OUT, out)
        self._call_tiles(f, words, d, work, [
            f.offset(shared, phase[Phase.TABLE], "i8"), shared, block, work.load(Work.PIXELS),
            sums, f.mul(work.load(Work.CHANNELS), d[Slot.WINDOWS]), first, lanes,
            work.load(Work.FLAGS),
        ])  # fmt: skip

    def _depth_taps(
        self, f: Function, words: Frame, d: Descriptor, desc: Value, work: Frame, panel: Value,
        levels: Value, phase: Descriptor,
    ) -> None:  # fmt: skip
        """k runs over the taps of a phase, a block of channels at a time."""
        first, lanes, width = self._panel(f, d, panel)
        group, channels = work.load(Work.GROUP), d[Slot.CHANNELS]
        shared = words.load_pointer(Context.SHARED)
        block = f.offset(work.load_pointer(Work.PRIVATE), d[Slot.AT_BLOCK], "i8")
        for axis in range(3):
            f.store(phase[Phase.TAPS + axis], f.offset(levels, 1 + axis, "i64"))
        # Without taps the tiles still store: the loop runs at least once.
        with f.loop(0, channels, d[Slot.BLOCK], runs=True) as loop:
            channel = loop.index
            count = f.minimum(f.sub(channels, channel), d[Slot.BLOCK])
            before = f.mul(channel, phase[Phase.WINDOW])

            def packed(channel: Value = channel, count: Value = count) -> Sequence[Value]:
                f.store(count, levels)
                at = f.add(f.mul(channel, d[Slot.B_LEVELS]), phase[Phase.B_OFFSET])
                source = self._b(f, d, words, group, first, at)
                f.call("pack_panel", "void",
                       [desc, phase.pointer, source, block, levels, width, lanes])  # fmt: skip
                return [block]

            def ready(before: Value = before) -> Sequence[Value]:
                steps = f.add(f.mul(channels, phase[Phase.BEFORE]), before)
                return [self._shared_b(f, d, words, group, panel, steps)]

            (b,) = f.choose(f.compare("ne", d[Slot.SHARED_B], 0), ready, packed)
            zero = constant("i64", 0)
            flags = f.select(f.compare("eq", channel, 0), constant("i64", FIRST), zero)
            last = f.compare("sge", f.add(channel, d[Slot.BLOCK]), channels)
            flags = f.add(flags, f.select(last, constant("i64", LAST), zero))
            taps = f.offset(f.offset(shared, phase[Phase.TABLE], "i8"), before, "i32")
            self._call_tiles(f, words, d, work, [
                shared, taps, b, f.mul(count, phase[Phase.WINDOW]),
                work.load_pointer(Work.SUMS), work.load(Work.PIXELS), first, lanes, flags,
            ])  # fmt: skip

    def _call_tiles(
        self, f: Function, words: Frame, d: Descriptor, work: Frame, arguments: list[Value]
    ) -> None:
        """``tiles``, with the bias and the origin of C."""
        lane = arguments[6]
        rows_at = f.offset(words.load_pointer(Context.SHARED), d[Slot.AT_ROWS], "i8")
        out, out_lane = work.load_pointer(Work.TILE_OUT), work.load(Work.OUT_LANE)
        bias = constant("ptr", 0)
        if self.bias:
            every = f.add(f.mul(work.load(Work.GROUP), d[Slot.LANES]), lane)
            bias = f.offset(self._pointer(f, words, 2), f.mul(every, self.dtype.itemsize), "i8")
        row_table, k_table, b, count, sums, rows, _, lanes, flags = arguments
        f.call("tiles", "void", [
            work.load_pointer(Work.BOX), row_table, k_table, b, count, sums, rows_at, out, rows,
            lanes, out_lane, bias, flags,
        ])  # fmt: skip

    def _tiles(self) -> None:
        """``tiles``: every register tile of a panel and block; parameters as those of a tile."""
        names = ["x", "row_table", "k_table", "b"]
        f = self.module.function(
            "tiles",
            [*(("ptr", n) for n in names), ("i64", "count"), ("ptr", "sums"), ("ptr", "out_table"),
             ("ptr", "out"), ("i64", "rows"), ("i64", "lanes"), ("i64", "out_lane"),
             ("ptr", "bias"), ("i64", "flags")],
            internal=True,
        )  # fmt: skip
        x, row_table, k_table, b, count, sums, out_table, out = f.parameters[:8]
        rows, lanes, out_lane, bias, flags = f.parameters[8:]
        tile = self.tile
        vectors = f.binary("udiv", f.add(lanes, tile.lanes - 1), constant("i64", tile.lanes))
        kept = f.mul(vectors, tile.rows * tile.lanes)
        with f.loop(0, rows, tile.rows, carried=[sums]) as loop:
            (here,) = loop.carried
            left = f.minimum(f.sub(rows, loop.index), tile.rows)
            arguments = [
                x, f.offset(row_table, loop.index, "i32"), k_table, b, count, here,
                f.offset(out_table, loop.index, "i32"), out, left, lanes, out_lane, bias, flags,
            ]  # fmt: skip
            self._by_width(f, vectors, "tile", arguments)
            loop.next([f.offset(here, kept, tile.acc)])
        f.ret()

    def _by_width(self, f: Function, vectors: Value, name: str, arguments: list[Value]) -> None:
        done = f.fresh("done")
        for number in range(self.tile.vectors, 0, -1):
            here, following = f.fresh("width"), f.fresh("narrower")
            f.branch(f.compare("eq", vectors, number), here, following)
            f.block(here)
            f.call(f"{name}_{number}", "void", arguments)
            f.jump(done)
            f.block(following)
        f.jump(done)
        f.block(done)

    # -- partial sums ---------------------------------------------------------------------------

    def _reduce_task(self) -> None:
        """Adds the partial sums of a panel of a chunk of channels, and stores it."""
        f, words, d, _, task = self._start("reduce_task")
        tile = self.tile
        panel, rest = f.binary("urem", task, d[Slot.PANELS]), f.binary("udiv", task, d[Slot.PANELS])
        part = f.binary("urem", rest, d[Slot.CHANNEL_CHUNKS])
        group = f.binary("udiv", rest, d[Slot.CHANNEL_CHUNKS])
        first, lanes, _ = self._panel(f, d, panel)
        chunk = f.binary("udiv", panel, d[Slot.CHUNK_PANELS])
        channel = f.mul(part, d[Slot.CHUNK_CHANNELS])
        count = f.minimum(f.sub(d[Slot.CHANNELS], channel), d[Slot.CHUNK_CHANNELS])
        # The same order in which tasks are counted, for the first chunk of units.
        number = f.add(f.mul(group, d[Slot.PANEL_CHUNKS]), chunk)
        number = f.add(f.mul(number, d[Slot.CHANNEL_CHUNKS]), part)
        shared = words.load_pointer(Context.SHARED)
        sums = f.offset(shared, d[Slot.AT_PARTIAL], "i8")
        at = f.mul(f.mul(number, d[Slot.CHUNKS]), d[Slot.PARTIAL_TASK])
        relative = f.binary("urem", panel, d[Slot.CHUNK_PANELS])
        sums = f.offset(sums, f.add(at, f.mul(relative, d[Slot.PARTIAL_PANEL])), "i8")
        table = f.offset(shared, d[Slot.AT_ROWS], "i8")
        out = f.add(f.mul(group, d[Slot.C_GROUP]), f.mul(channel, d[Slot.C_LEVELS]))
        out = f.add(out, f.mul(first, d[Slot.C_LANE]))
        origin = f.offset(self._pointer(f, words, self.pointers), out, "i8")
        rows = f.mul(count, d[Slot.WINDOWS])
        vectors = f.binary("udiv", f.add(lanes, tile.lanes - 1), constant("i64", tile.lanes))
        kept = f.mul(vectors, tile.rows * tile.lanes)
        with f.loop(0, rows, tile.rows, carried=[sums]) as loop:
            (here,) = loop.carried
            left = f.minimum(f.sub(rows, loop.index), tile.rows)
            arguments = [
                here, d[Slot.CHUNKS], d[Slot.PARTIAL_TASK],
                f.offset(table, loop.index, "i32"), origin, left, lanes, d[Slot.C_LANE],
            ]  # fmt: skip
            self._by_width(f, vectors, "finish", arguments)
            loop.next([f.offset(here, kept, tile.acc)])
        f.ret()
