"""The kernel of a recurrence: packed weights, tasks over sequences, the loop over time steps.

    pack the recurrent weights, in parallel               -- once for all steps
    for each task, a range of sequences, in parallel:
        for each time step:
            products of the states (backward: of the gates' cotangents) with the weights
            gates, states, and what the gradient will read

Sequences do not depend on each other, so a task takes its own through all time steps and no thread
ever waits for another. A row's sums do not depend on which rows share its task: any cut into tasks
gives the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, auto

from diptych.compiler.contraction.frame import Frame, FrameWord
from diptych.compiler.contraction.microkernel import write_tiles
from diptych.compiler.contraction.packing import PackWriter
from diptych.compiler.contraction.spec import Store
from diptych.compiler.contraction.storing import FIRST, LAST
from diptych.compiler.llvm.writer import Function, Module, Value, constant
from diptych.compiler.recurrence.cells import BACKWARD, FORWARD, Cell
from diptych.compiler.recurrence.rows import Array, Lanes, copy_rows, sweep
from diptych.compiler.recurrence.spec import Recurrence, Slot
from diptych.compiler.target import Target

_TASK = [("ptr", "context"), ("i64", "task"), ("i64", "worker")]
_PRODUCT = [("ptr", "a"), ("i64", "a_row"), ("ptr", "b"), ("i64", "b_step"), ("ptr", "c"),
            ("i64", "c_row"), ("i64", "rows"), ("i64", "columns"), ("i64", "depth"),
            ("i64", "panel")]  # fmt: skip


class Context(IntEnum):
    """Words of what the kernel tells its tasks."""

    DESC = 0
    PTRS = auto()
    WEIGHTS = auto()  # packed, or where they lie
    SECOND = auto()  # the projection's
    ROWS = auto()  # sequences of a task
    WORDS = auto()


class Numbers:
    """The descriptor's words, and pointers by name, inside one function."""

    def __init__(self, f: Function, spec: Recurrence, desc: Value, ptrs: Value) -> None:
        self.f = f
        self.spec = spec
        self.desc = desc
        self.ptrs = ptrs

    def __getitem__(self, slot: int) -> Value:
        return self.f.load("i64", self.f.offset(self.desc, int(slot), "i64"))

    def pointer(self, name: str) -> Value:
        index = self.spec.pointers.index(name)
        return self.f.load("ptr", self.f.offset(self.ptrs, index, "ptr"))


class KernelWriter:
    """Writes the kernel, its tasks and its products into a module."""

    def __init__(self, module: Module, name: str, spec: Recurrence, target: Target) -> None:
        self.module = module
        self.name = name
        self.spec = spec
        self.target = target
        self.tile = spec.tile
        self.size = spec.dtype.itemsize

    def write(self) -> None:
        self.write_tiles()
        if self.spec.packed:
            PackWriter(
                self.module, "pack", self.spec.dtype, self.tile, self.tile.lanes, self.target,
                False,
            ).write()  # fmt: skip
            self._pack_task("pack_weights", second=False)
            if self.spec.projected:
                self._pack_task("pack_projection", second=True)
        self.product()
        self._task()
        self._kernel()

    def write_tiles(self) -> None:
        """The register tiles, for ``product``."""
        self.call_tile = write_tiles(
            self.module, self.spec.contraction, self.tile, Store.ROW, self.target
        )

    # -- the kernel -----------------------------------------------------------------------------

    def _kernel(self) -> None:
        f = self.module.function(self.name, [("ptr", "desc"), ("ptr", "ptrs")])
        d = Numbers(f, self.spec, *f.parameters)
        context = f.stack("i64", Context.WORDS)
        words = Frame(f, context)
        words.put(Context.DESC, f.parameters[0])
        words.put(Context.PTRS, f.parameters[1])
        names = ["w", *(["projection"] if self.spec.projected else [])]
        if self.spec.packed:
            first = d[Slot.PACKED]
            room = f.call("dp_scratch", "ptr", [constant("i64", 0),
                                                f.add(first, d[Slot.SECOND_PACKED])])  # fmt: skip
            words.put(Context.WEIGHTS, room)
            words.put(Context.SECOND, f.offset(room, first, "i8"))
            for second, _ in enumerate(names):
                body = "pack_projection" if second else "pack_weights"
                _, _, columns, panel, _ = self._sizes(d, bool(second))
                self._dispatch(f, d, up(f, columns, panel), body, context)
        else:
            for second, name in enumerate(names):
                words.put(Context.SECOND if second else Context.WEIGHTS, d.pointer(name))
        rows = constant("i64", self.tile.rows)
        tiles = up(f, d[Slot.BATCH], rows)
        (threads,) = f.choose(
            f.compare("ne", d[Slot.PARALLEL], 0),
            lambda: [f.call("dp_num_threads", "i64", [])],
            lambda: [constant("i64", 1)],
        )
        # As few tasks as their greatest size allows, but the same number for every thread.
        tasks = f.mul(up(f, up(f, tiles, d[Slot.TASK_TILES]), threads), threads)
        each = f.maximum(up(f, tiles, f.maximum(tasks, 1)), 1)
        words.put(Context.ROWS, f.mul(each, rows))
        count = up(f, tiles, each)
        f.call("dp_parallel", "void", [count, Value("@task", "ptr"), context])
        f.ret()

    def _dispatch(self, f: Function, d: Numbers, count: Value, body: str, context: Value) -> None:
        def pool() -> Sequence[Value]:
            f.call("dp_parallel", "void", [count, Value(f"@{body}", "ptr"), context])
            return []

        def here() -> Sequence[Value]:
            with f.loop(0, count) as loop:
                f.call(body, "void", [context, loop.index, constant("i64", 0)])
            return []

        f.choose(f.compare("ne", d[Slot.PARALLEL], 0), pool, here)

    def _sizes(self, d: Numbers, second: bool) -> tuple[Value, Value, Value, Value, Value]:
        """Strides of the weights (across columns, along k), columns, a panel's columns, depth."""
        one = constant("i64", 1)
        state, hidden, width = d[Slot.STATE], d[Slot.HIDDEN], d[Slot.WIDTH]
        panel = d[Slot.SECOND_PANEL if second else Slot.PANEL]
        row, many = (hidden, state) if second else (state, width)  # the matrix is (many, row)
        if self.spec.backward:
            return one, row, row, panel, many
        return row, one, many, panel, row

    def begin(self, name: str) -> tuple[Function, Frame, Numbers]:
        f = self.module.function(name, _TASK, internal=True)
        words = Frame(f, f.parameters[0])
        d = Numbers(
            f, self.spec, words.load_pointer(Context.DESC), words.load_pointer(Context.PTRS)
        )
        return f, words, d

    def _pack_task(self, name: str, second: bool) -> None:
        """One panel of the weights: ``[k][column]``."""
        f, words, d = self.begin(name)
        lanes, size = self.tile.lanes, self.size
        across, along, columns, panel, depth = self._sizes(d, second)
        source = d.pointer("projection" if second else "w")
        room = words.load_pointer(Context.SECOND if second else Context.WEIGHTS)
        first = f.mul(f.parameters[1], panel)
        pitch = _whole(f, f.minimum(f.sub(columns, first), panel), lanes)
        base = f.offset(room, f.mul(f.mul(first, depth), size), "i8")
        with f.loop(0, pitch, lanes) as group:
            column = f.add(first, group.index)
            here = f.offset(source, f.mul(f.mul(column, across), size), "i8")
            there = f.offset(base, f.mul(group.index, size), "i8")
            f.call("pack", "void", [here, there, depth, depth, f.sub(columns, column), across,
                                    along, pitch])  # fmt: skip
        f.ret()

    # -- products -------------------------------------------------------------------------------

    def product(self) -> None:
        """``product``: C = A B (or += as the contraction says), panels outside, row tiles inside.

        A and C are given by rows; ``b_step`` is bytes from one row of B (a dot tile's: column) to
        the next where B is not packed.
        """
        f = self.module.function("product", _PRODUCT, internal=True)
        tile, size = self.tile, self.size
        a, a_row, b, b_step, c, c_row, rows, columns, depth, panel = f.parameters
        frame = Frame(f, f.stack("i64", Frame.words(0)))
        unit, zero = constant("i64", size), constant("i64", 0)
        for word, value in (
            (FrameWord.A_ROW, a_row), (FrameWord.A_STEP, unit), (FrameWord.C, c),
            (FrameWord.C_CROSS, c_row), (FrameWord.C_ALONG, unit), (FrameWord.PARTIAL, c),
            (FrameWord.PARTIAL_CROSS, c_row), (FrameWord.PARTIAL_I, zero),
            (FrameWord.PARTIAL_J, zero),
        ):  # fmt: skip
            frame.put(word, value)
        flags = constant("i64", FIRST | LAST)
        with f.loop(0, columns, panel) as across:
            j = across.index
            width = f.minimum(f.sub(columns, j), panel)
            pitch = _whole(f, width, tile.lanes)
            vectors = f.binary("udiv", pitch, constant("i64", tile.lanes))
            if self.spec.packed:
                here = f.offset(b, f.mul(f.mul(j, depth), size), "i8")
                step = f.mul(pitch, size)
            else:
                here = f.offset(b, f.mul(j, b_step if tile.dot else unit), "i8")
                step = b_step
            with f.loop(0, rows, tile.rows) as down:
                i = down.index
                height = f.minimum(f.sub(rows, i), tile.rows)
                left = f.offset(a, f.mul(i, a_row), "i8")
                self.call_tile(f, vectors, [
                    frame.pointer, left, here, step, depth, height, width, i, j, flags,
                ])  # fmt: skip
        f.ret()

    def _multiply(
        self, f: Function, d: Numbers, words: Frame, second: bool, a: Array, c: Array, rows: Value
    ) -> None:
        _, _, columns, panel, depth = self._sizes(d, second)
        row = d[Slot.HIDDEN if second else Slot.STATE]  # of the matrix of weights
        b = words.load_pointer(Context.SECOND if second else Context.WEIGHTS)
        f.call("product", "void", [
            a.start, a.pitch, b, f.mul(row, self.size), c.start, c.pitch, rows, columns, depth,
            panel,
        ])  # fmt: skip

    # -- tasks ----------------------------------------------------------------------------------

    def _task(self) -> None:
        """A range of sequences through all time steps."""
        f, words, d = self.begin("task")
        self.enter(f, d, words)
        wide = words.load(Context.ROWS)
        first = f.mul(f.parameters[1], wide)
        rows = f.minimum(f.sub(d[Slot.BATCH], first), wide)
        if self.spec.backward:
            self.begin_states(first, rows, [("dh", "dh_n", "state"), ("dc", "dc_n", "hidden")])
        else:
            self.begin_states(first, rows, [("h", "h_0", "state"), ("c", "c_0", "hidden")])
        room = self._room(wide)
        table = f.offset(d.desc, int(Slot.TABLE), "i64")
        with f.loop(0, d[Slot.STEPS]) as loop:
            entry = f.offset(table, f.mul(loop.index, 2), "i64")
            start = f.add(f.load("i64", entry), first)
            live = f.sub(f.load("i64", f.offset(entry, 1, "i64")), first)
            count = f.minimum(live, rows)
            with f.when(f.compare("sgt", count, 0)):
                (self._step_back if self.spec.backward else self._step)(start, first, count, room)
        f.ret()

    def enter(self, f: Function, d: Numbers, words: Frame) -> None:
        """Go on writing in this function."""
        self.f, self.d, self.words = f, d, words
        self.pitches = {
            "width": f.mul(d[Slot.WIDTH], self.size), "hidden": f.mul(d[Slot.HIDDEN], self.size),
            "state": f.mul(d[Slot.STATE], self.size), "spaced": f.mul(d[Slot.PITCH], self.size),
            "four": f.mul(d[Slot.HIDDEN], 4 * self.size), "none": constant("i64", 0),
        }  # fmt: skip

    def array(self, name: str, row: Value, width: str) -> Array:
        """An operand from row ``row`` on."""
        pitch = self.pitches[width]
        start = self.f.offset(self.d.pointer(name), self.f.mul(row, pitch), "i8")
        return Array(start, pitch)

    def begin_states(
        self, first: Value, rows: Value, pairs: Sequence[tuple[str, str, str]]
    ) -> None:
        """The states that steps change lie in the results; they start as the operands."""
        for result, operand, width in pairs:
            if operand in self.spec.pointers:
                to, out_of = (self.array(name, first, width) for name in (result, operand))
                copy_rows(self.f, to, out_of, rows, self.pitches[width])

    def _room(self, rows: Value) -> Array | None:
        """Scratch for the products' results; a gradient without projection needs none."""
        spec, f = self.spec, self.f
        if spec.backward and not spec.projected:
            return None
        pitch = self.pitches["hidden" if spec.backward else "width"]
        total = f.mul(rows, pitch)
        if spec.projected and not spec.backward and not spec.keep:
            total = f.add(total, f.mul(rows, self.pitches["hidden"]))
        return Array(f.call("dp_scratch", "ptr", [f.parameters[2], total]), pitch)

    def _sweep(
        self, arrays: dict[str, Array], count: Value, width: Slot, write: object = None
    ) -> None:
        f, spec = self.f, self.spec
        cell = Cell(f, self.target, spec)
        table = BACKWARD if spec.backward else FORWARD

        def cells(at: Lanes) -> None:
            table[spec.kind](cell, at)

        def total(at: Lanes) -> None:
            value = at.get("dh")
            at.put("total", f.add(value, at.get("dy")) if spec.incoming else value)

        sweep(
            f, arrays, count, self.d[width], 4, self.tile.acc, self.size, self.tile.lanes,
            total if write == "total" else cells,
        )  # fmt: skip

    def forward_arrays(self, start: Value, first: Value, room: Array) -> dict[str, Array]:
        """What cells of a forward step read and write: rows from ``start``, states ``first``."""
        spec = self.spec
        arrays = {
            "x": self.array("x", start, "width"), "raw": room,
            "h": self.array("h", first, "state"), "y": self.array("y", start, "state"),
        }  # fmt: skip
        if spec.kind == "lstm":
            arrays["c"] = self.array("c", first, "hidden")
        elif spec.extra:
            arrays["bias"] = self.array("bias", constant("i64", 0), "none")
        if spec.keep:
            arrays["before"] = self.array("before", start, "state")
            four = spec.kind in ("lstm", "gru")
            arrays["gates"] = self.array("gates", start, "four" if four else "hidden")
            if "cells" in spec.pointers:
                arrays["cells"] = self.array("cells", start, "hidden")
        return arrays

    def _step(self, start: Value, first: Value, count: Value, room: Array | None) -> None:
        spec, f = self.spec, self.f
        assert room is not None, "the products lie in scratch"
        arrays = self.forward_arrays(start, first, room)
        if spec.projected:
            arrays["hidden"] = self._hidden(start, room)
        self._multiply(f, self.d, self.words, False, arrays["h"], room, count)
        self._sweep(arrays, count, Slot.HIDDEN)
        if spec.projected:
            nbytes = self.pitches["state"]
            if spec.keep:
                copy_rows(f, arrays["before"], arrays["h"], count, nbytes)
            self._multiply(f, self.d, self.words, True, arrays["hidden"], arrays["h"], count)
            copy_rows(f, arrays["y"], arrays["h"], count, nbytes)

    def _hidden(self, start: Value, room: Array) -> Array:
        """What is projected: kept for the gradient, or in scratch behind the products."""
        if self.spec.keep:
            return self.array("hidden", start, "hidden")
        rows = self.words.load(Context.ROWS)
        behind = self.f.offset(room.start, self.f.mul(rows, room.pitch), "i8")
        return Array(behind, self.pitches["hidden"])

    def _step_back(self, start: Value, first: Value, count: Value, room: Array | None) -> None:
        spec, f = self.spec, self.f
        gated = spec.kind in ("lstm", "gru")
        arrays = {
            "kept": self.array("kept", start, "four" if gated else "hidden"),
            "dh": self.array("dh", first, "state"),
            "dgates": self.array("dgates", start, "spaced"),
        }  # fmt: skip
        if gated:
            arrays["before"] = self.array("before", start, "hidden")
        if spec.incoming:
            arrays["dy"] = self.array("dy", start, "state")
        if spec.kind == "lstm":
            arrays["dc"] = self.array("dc", first, "hidden")
        if spec.kind == "gru":
            arrays["dhidden"] = self.array("dhidden", start, "spaced")
        if room is not None:  # what reaches h goes through the projection first
            total = self.array("total", start, "state")
            names = ["dh", *(["dy"] if spec.incoming else [])]
            some = {"total": total} | {name: arrays[name] for name in names}
            self._sweep(some, count, Slot.STATE, "total")
            self._multiply(f, self.d, self.words, True, total, room, count)
            arrays["up"] = room
        self._sweep(arrays, count, Slot.HIDDEN)
        source = arrays["dhidden" if spec.kind == "gru" else "dgates"]
        self._multiply(f, self.d, self.words, False, source, arrays["dh"], count)


def up(f: Function, a: Value, b: Value) -> Value:
    """``a`` divided by ``b``, rounded up."""
    return f.binary("udiv", f.add(a, f.sub(b, 1)), b)


def _whole(f: Function, columns: Value, lanes: int) -> Value:
    """Columns rounded up to whole vectors."""
    return f.binary("and", f.add(columns, lanes - 1), -lanes)
