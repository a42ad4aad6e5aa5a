"""The kernel of a recurrence over one or two sequences: each step's hidden units are its tasks.

    for each time step:
        for each slice of hidden units, in parallel:
            products of the state with the slice's rows of the weights, for every gate
            gates and states of the slice

A slice starts at a whole vector of units, so any number of slices gives the same bits. The state
that a step reads is the row of y before (at first h_0): what it writes, nobody reads meanwhile.
"""

from __future__ import annotations

from enum import IntEnum, auto

from diptych.compiler.contraction.frame import Frame
from diptych.compiler.llvm.writer import Value, constant
from diptych.compiler.recurrence.cells import FORWARD, Cell
from diptych.compiler.recurrence.driver import KernelWriter, Numbers, up
from diptych.compiler.recurrence.rows import Array, Lanes, copy_rows, sweep
from diptych.compiler.recurrence.spec import Slot


class Context(IntEnum):
    """Words of what the kernel tells its tasks; the first two are those of every kernel."""

    DESC = 0
    PTRS = auto()
    ROOM = auto()  # the products' results
    STATE = auto()  # h before this step
    START = auto()  # the step's first row
    UNITS = auto()  # hidden units of a slice
    WORDS = auto()


class AcrossWriter:
    """Writes the kernel around the parts that it shares with the other one."""

    def __init__(self, base: KernelWriter) -> None:
        self.base = base
        self.spec = base.spec

    def write(self) -> None:
        self.base.write_tiles()
        self.base.product()
        self._slice()
        self._kernel()

    def _kernel(self) -> None:
        base = self.base
        f = base.module.function(base.name, [("ptr", "desc"), ("ptr", "ptrs")])
        d = Numbers(f, self.spec, *f.parameters)
        context = f.stack("i64", Context.WORDS)
        words = Frame(f, context)
        base.enter(f, d, words)
        words.put(Context.DESC, f.parameters[0])
        words.put(Context.PTRS, f.parameters[1])
        batch, zero = d[Slot.BATCH], constant("i64", 0)
        total = f.mul(batch, base.pitches["width"])
        words.put(Context.ROOM, f.call("dp_scratch", "ptr", [zero, total]))
        lanes = constant("i64", base.tile.lanes)
        vectors = up(f, d[Slot.HIDDEN], lanes)
        threads = f.call("dp_num_threads", "i64", [])
        units = f.mul(up(f, vectors, threads), lanes)
        words.put(Context.UNITS, units)
        tasks = up(f, d[Slot.HIDDEN], units)
        if self.spec.kind == "lstm":
            base.begin_states(zero, batch, [("c", "c_0", "hidden")])
        table = f.offset(d.desc, int(Slot.TABLE), "i64")
        first = d.pointer("h_0")
        y, pitch = d.pointer("y"), base.pitches["state"]
        with f.loop(0, d[Slot.STEPS], carried=[first]) as loop:
            start = f.load("i64", f.offset(table, f.mul(loop.index, 2), "i64"))
            words.put(Context.STATE, loop.carried[0])
            words.put(Context.START, start)
            f.call("dp_parallel", "void", [tasks, Value("@slice", "ptr"), context])
            loop.next([f.offset(y, f.mul(start, pitch), "i8")])
        last = Array(loop.results[0], pitch)
        copy_rows(f, base.array("h", zero, "state"), last, batch, pitch)
        f.ret()

    def _slice(self) -> None:
        """Some hidden units of one step, for all sequences."""
        base, spec = self.base, self.spec
        f, words, d = base.begin("slice")
        base.enter(f, d, words)
        hidden, size = d[Slot.HIDDEN], base.size
        wide = words.load(Context.UNITS)
        first = f.mul(f.parameters[1], wide)
        units = f.minimum(f.sub(hidden, first), wide)
        skip = f.mul(first, size)
        state = Array(words.load_pointer(Context.STATE), base.pitches["state"])
        room = Array(words.load_pointer(Context.ROOM), base.pitches["width"])
        batch = d[Slot.BATCH]
        with f.loop(0, constant("i64", spec.gates), runs=True) as gate:
            row = f.add(f.mul(gate.index, hidden), first)
            weights = f.offset(d.pointer("w"), f.mul(row, state.pitch), "i8")
            f.call("product", "void", [
                state.start, state.pitch, weights, state.pitch,
                f.offset(room.start, f.mul(row, size), "i8"), room.pitch, batch, units,
                d[Slot.STATE], d[Slot.PANEL],
            ])  # fmt: skip
        arrays = base.forward_arrays(words.load(Context.START), constant("i64", 0), room)
        arrays["h"] = state
        moved = {
            name: Array(f.offset(array.start, skip, "i8"), array.pitch)
            for name, array in arrays.items()
        }
        cell = Cell(f, base.target, spec)

        def cells(at: Lanes) -> None:
            FORWARD[spec.kind](cell, at)

        sweep(f, moved, batch, units, 4, base.tile.acc, size, base.tile.lanes, cells, hidden)
        f.ret()
