"""The contraction kernel around the register tile: rounds, packing, tasks and blocks.

    for each round (a range of batch items, of columns, of k):
        pack B's part of the round, in parallel           -- if B is packed
        for each block of C in the round, in parallel:    -- batch item x rows x columns
            for each block along k:
                pack A's block                            -- if A is packed
                for each register tile: sums along k, then the store or the epilogue

All extents, strides and cuts come from the descriptor. Which task computes a block changes nothing
in how it is computed, so the result is the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum, auto

from diptych.compiler.contraction.blocking import Tile
from diptych.compiler.contraction.convert import storage, widen
from diptych.compiler.contraction.descriptor import (
    BATCH_DIMS,
    OPERAND_WORDS,
    STACK_BYTES,
    Descriptor,
    Slot,
)
from diptych.compiler.contraction.frame import Frame, FrameWord
from diptych.compiler.contraction.microkernel import write_tiles
from diptych.compiler.contraction.packing import PackWriter
from diptych.compiler.contraction.spec import LLVM_TYPES, Contraction, Store
from diptych.compiler.contraction.storing import FIRST, LAST
from diptych.compiler.llvm.writer import Function, Module, Value, constant, vector
from diptych.compiler.target import Target

KERNEL_PARAMETERS = [("ptr", "desc"), ("ptr", "ptrs")]
_TASK_PARAMETERS = [("ptr", "context"), ("i64", "task"), ("i64", "worker")]


class Context(IntEnum):
    """Words of what the kernel tells its tasks."""

    DESC = 0
    PTRS = auto()
    SHARED = auto()  # packed B
    CALLER = auto()  # scratch of the calling thread's worker
    BATCH = auto()  # the round: first item, items, first column, columns, first unit, units
    ITEMS = auto()
    COLUMN = auto()
    COLUMNS = auto()
    DEPTH = auto()
    DEPTHS = auto()
    WORDS = auto()


class DriverWriter:
    """Writes the kernel and its task bodies into a module."""

    def __init__(
        self,
        module: Module,
        name: str,
        contraction: Contraction,
        tile: Tile,
        store: Store,
        target: Target,
    ) -> None:
        self.module = module
        self.name = name
        self.contraction = contraction
        self.tile = tile
        self.a_bytes = contraction.dtype_a.itemsize
        self.b_bytes = contraction.dtype_b.itemsize
        self.out_bytes = contraction.dtype_out.itemsize
        self.acc_bytes = contraction.accumulator.itemsize
        self.target = target
        self.swapped = store is Store.COLUMN
        self.unit = self.tile.unit_bytes
        self.pointers = 2 + len(contraction.operands)  # C's place in ptrs
        self.call_tile = write_tiles(module, contraction, self.tile, store, target)
        if tile.dot:  # which never packs
            return
        PackWriter(
            module, "pack_a", contraction.dtype_a, self.tile, self.tile.a_width, target, True
        ).write()
        PackWriter(
            module, "pack_b", contraction.dtype_b, self.tile, self.tile.lanes, target, False
        ).write()

    def write(self) -> None:
        if not self.tile.dot:
            self._pack_task()
        self._block_task()
        self._kernel()

    # -- the kernel -----------------------------------------------------------------------------

    def _kernel(self) -> None:
        f = self.module.function(self.name, KERNEL_PARAMETERS)
        desc, ptrs = f.parameters
        d = Descriptor(f, desc)
        context = f.stack("i64", Context.WORDS)
        words = Frame(f, context)
        words.put(Context.DESC, desc)
        words.put(Context.PTRS, ptrs)
        self._scratch(f, d, words)
        count, columns = d[Slot.COUNT], d[Slot.N]
        round_items, round_columns = d[Slot.ROUND_BATCH], d[Slot.ROUND_N]
        with f.loop(0, count, round_items) as batch:
            items = f.minimum(f.sub(count, batch.index), round_items)
            words.put(Context.BATCH, batch.index)
            words.put(Context.ITEMS, items)
            with f.loop(0, columns, round_columns) as across:
                width = f.minimum(f.sub(columns, across.index), round_columns)
                words.put(Context.COLUMN, across.index)
                words.put(Context.COLUMNS, width)
                units, round_units = d[Slot.UNITS], d[Slot.ROUND_K]
                # Without any k the blocks still store: the loop runs at least once.
                with f.loop(0, f.maximum(units, 1), round_units, runs=True) as depth:
                    words.put(Context.DEPTH, depth.index)
                    depths = f.minimum(f.sub(units, depth.index), round_units)
                    words.put(Context.DEPTHS, depths)
                    self._round(f, d, context, items, width, depths)
        f.ret()

    def _round(
        self, f: Function, d: Descriptor, context: Value, items: Value, width: Value, depths: Value
    ) -> None:
        """Pack B's part of a round, then compute its blocks."""
        if not self.tile.dot:
            with f.when(f.compare("ne", d[Slot.PACK_B], 0)):
                pieces = f.mul(items, self._divide_up(f, depths, d[Slot.PACK_UNITS]))
                self._dispatch(f, d, pieces, d[Slot.PACK_GROUP], "pack_task", context)
        blocks = f.mul(
            self._divide_up(f, d[Slot.M], d[Slot.BLOCK_M]),
            self._divide_up(f, width, d[Slot.BLOCK_N]),
        )
        self._dispatch(f, d, f.mul(items, blocks), d[Slot.GROUP], "block_task", context)

    def _scratch(self, f: Function, d: Descriptor, words: Frame) -> None:
        """Room for packed B and, behind it, for what tasks keep when they run on this thread."""
        shared = d[Slot.SHARED_BYTES]

        def small() -> Sequence[Value]:
            return [f.stack("i8", STACK_BYTES)]

        def large() -> Sequence[Value]:
            total = f.add(shared, d[Slot.CALLER_BYTES])
            return [f.call("dp_scratch", "ptr", [constant("i64", 0), total])]

        (base,) = f.choose(f.compare("ne", d[Slot.STACK], 0), small, large)
        words.put(Context.SHARED, base)
        words.put(Context.CALLER, f.offset(base, shared, "i8"))

    def _dispatch(
        self, f: Function, d: Descriptor, pieces: Value, group: Value, body: str, context: Value
    ) -> None:
        """Run ``body`` over groups of pieces, on the pool or here."""
        tasks = self._divide_up(f, pieces, group)
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
    def _divide_up(f: Function, a: Value, b: Value) -> Value:
        return f.binary("udiv", f.add(a, f.sub(b, 1)), b)

    # -- tasks ----------------------------------------------------------------------------------

    def _task(self, name: str) -> tuple[Function, Frame, Descriptor]:
        f = self.module.function(name, _TASK_PARAMETERS, internal=True)
        words = Frame(f, f.parameters[0])
        return f, words, Descriptor(f, words.load_pointer(Context.DESC))

    def _pointer(self, f: Function, words: Frame, index: Value | int) -> Value:
        table = words.load_pointer(Context.PTRS)
        return f.load("ptr", f.offset(table, index, "ptr"))

    def _batch_indices(self, f: Function, d: Descriptor, item: Value) -> list[Value]:
        """The item's index along each batch dimension; zeros where there is only one item."""
        zero = constant("i64", 0)

        def split() -> Sequence[Value]:
            indices, rest = [], item
            for dim in range(BATCH_DIMS - 1, 0, -1):
                extent = d[Slot.BATCH + dim]
                indices.append(f.binary("urem", rest, extent))
                rest = f.binary("udiv", rest, extent)
            return [rest, *reversed(indices)]

        return f.choose(f.compare("eq", d[Slot.COUNT], 1), lambda: [zero] * BATCH_DIMS, split)

    def _batch_offset(
        self, f: Function, d: Descriptor, slot: int, indices: Sequence[Value]
    ) -> Value:
        total = f.mul(indices[0], d[slot])
        for dim in range(1, BATCH_DIMS):
            total = f.add(total, f.mul(indices[dim], d[slot + dim]))
        return total

    def _pack_task(self) -> None:
        """Pieces of B's packing: (batch item, range of k), all panels of the round."""
        f, words, d = self._task("pack_task")
        depths = words.load(Context.DEPTHS)
        chunks = self._divide_up(f, depths, d[Slot.PACK_UNITS])
        pieces = f.mul(words.load(Context.ITEMS), chunks)
        first = f.mul(f.parameters[1], d[Slot.PACK_GROUP])
        last = f.minimum(f.add(first, d[Slot.PACK_GROUP]), pieces)
        b = self._pointer(f, words, d[Slot.B_POINTER])
        row, col = d[Slot.B_ROW], d[Slot.B_COL]
        width, panel = words.load(Context.COLUMNS), d[Slot.PANEL]
        with f.loop(first, last) as loop:
            item, chunk = f.binary("udiv", loop.index, chunks), f.binary("urem", loop.index, chunks)
            start = f.mul(chunk, d[Slot.PACK_UNITS])
            units = f.minimum(f.sub(depths, start), d[Slot.PACK_UNITS])
            k = f.mul(f.add(start, words.load(Context.DEPTH)), self.tile.step)
            elements = f.minimum(f.sub(d[Slot.K], k), f.mul(units, self.tile.step))
            indices = self._batch_indices(f, d, f.add(item, words.load(Context.BATCH)))
            origin = self._batch_offset(f, d, Slot.B_BATCH, indices)
            origin = f.add(origin, f.mul(k, row))
            origin = f.add(origin, f.mul(words.load(Context.COLUMN), col))
            source = f.offset(b, f.mul(origin, self.b_bytes), "i8")
            base = self._packed_b(f, words, d, item)
            with f.loop(0, width, panel) as panels:
                pitch = self._panel_width(f, f.minimum(f.sub(width, panels.index), panel))
                at = f.add(f.mul(panels.index, depths), f.mul(start, pitch))
                target = f.offset(base, f.mul(at, self.unit), "i8")
                with f.loop(0, pitch, self.tile.lanes) as group:
                    column = f.add(panels.index, group.index)
                    here = f.offset(source, f.mul(f.mul(column, col), self.b_bytes), "i8")
                    there = f.offset(target, f.mul(group.index, self.unit), "i8")
                    f.call("pack_b", "void", [here, there, units, elements,
                                              f.sub(width, column), col, row, pitch])  # fmt: skip
        f.ret()

    def _panel_width(self, f: Function, columns: Value) -> Value:
        """Columns rounded up to whole vectors: the pitch of a packed panel."""
        lanes = self.tile.lanes
        return f.binary("and", f.add(columns, lanes - 1), -lanes)

    def _packed_b(self, f: Function, words: Frame, d: Descriptor, item: Value) -> Value:
        """Where the round's ``item`` starts in packed B."""
        pitch = self._panel_width(f, words.load(Context.COLUMNS))
        size = f.mul(f.mul(pitch, words.load(Context.DEPTHS)), self.unit)
        return f.offset(words.load_pointer(Context.SHARED), f.mul(item, size), "i8")

    def _block_task(self) -> None:
        """Blocks of C: (batch item, block of rows, block of columns), rows fastest."""
        f, words, d = self._task("block_task")
        room = self._private(f, words, d)
        frame = Frame(f, f.stack("i64", Frame.words(len(self.contraction.operands))))
        width = words.load(Context.COLUMNS)
        down = self._divide_up(f, d[Slot.M], d[Slot.BLOCK_M])
        over = self._divide_up(f, width, d[Slot.BLOCK_N])
        each = f.mul(down, over)
        first = f.mul(f.parameters[1], d[Slot.GROUP])
        blocks = f.mul(words.load(Context.ITEMS), each)
        last = f.minimum(f.add(first, d[Slot.GROUP]), blocks)
        with f.loop(first, last) as loop:
            item, rest = f.binary("udiv", loop.index, each), f.binary("urem", loop.index, each)
            i = f.mul(f.binary("urem", rest, down), d[Slot.BLOCK_M])
            j = f.mul(f.binary("udiv", rest, down), d[Slot.BLOCK_N])
            rows = f.minimum(f.sub(d[Slot.M], i), d[Slot.BLOCK_M])
            columns = f.minimum(f.sub(width, j), d[Slot.BLOCK_N])
            indices = self._batch_indices(f, d, f.add(item, words.load(Context.BATCH)))
            self._fill_frame(f, words, d, frame, indices, room, i, j)
            self._block(f, words, d, frame, indices, item, room, (i, j, rows, columns))
        f.ret()

    def _private(self, f: Function, words: Frame, d: Descriptor) -> Value:
        """Room for packed A and partial sums. A task of the pool has scratch of its own."""
        worker = f.parameters[2]

        def another() -> Sequence[Value]:
            return [f.call("dp_scratch", "ptr", [worker, d[Slot.PRIVATE_BYTES]])]

        needed = f.binary(
            "and",
            f.compare("ne", d[Slot.PARALLEL], 0),
            f.compare("sgt", d[Slot.PRIVATE_BYTES], 0),
        )
        (room,) = f.choose(needed, another, lambda: [words.load_pointer(Context.CALLER)])
        return room

    def _fill_frame(
        self,
        f: Function,
        words: Frame,
        d: Descriptor,
        frame: Frame,
        indices: Sequence[Value],
        room: Value,
        i: Value,
        j: Value,
    ) -> None:
        """Strides and origins that all tiles of a block share (columns count from the round's)."""
        column = words.load(Context.COLUMN)
        swapped = self.swapped

        def origin(pointer: Value, batch: Value, cross: Value, along: Value, size: int) -> Value:
            shift = f.mul(column, cross if swapped else along)
            return f.offset(pointer, f.mul(f.add(batch, shift), size), "i8")

        cross, along = d[Slot.C_CROSS], d[Slot.C_ALONG]
        batch = self._batch_offset(f, d, Slot.C_BATCH, indices)
        c = origin(self._pointer(f, words, self.pointers), batch, cross, along, self.out_bytes)
        frame.put(FrameWord.C, c)
        frame.put(FrameWord.C_CROSS, f.mul(cross, self.out_bytes))
        frame.put(FrameWord.C_ALONG, f.mul(along, self.out_bytes))
        inside = f.compare("slt", d[Slot.PARTIAL_OFFSET], 0)
        pitch = d[Slot.BLOCK_M] if swapped else d[Slot.BLOCK_N]
        kept = f.offset(room, d[Slot.PARTIAL_OFFSET], "i8")
        zero = constant("i64", 0)
        frame.put(FrameWord.PARTIAL, f.select(inside, c, kept))
        frame.put(
            FrameWord.PARTIAL_CROSS,
            f.select(inside, f.mul(cross, self.out_bytes), f.mul(pitch, self.acc_bytes)),
        )
        block = (j, i) if swapped else (i, j)
        frame.put(FrameWord.PARTIAL_I, f.select(inside, zero, block[0]))
        frame.put(FrameWord.PARTIAL_J, f.select(inside, zero, block[1]))
        for index, operand in enumerate(self.contraction.operands):
            slot = Slot.OPERANDS + OPERAND_WORDS * index
            over, down = d[slot], d[slot + 1]
            batch = self._batch_offset(f, d, slot + 2, indices)
            size = operand.dtype.itemsize
            where = origin(self._pointer(f, words, 2 + index), batch, over, down, size)
            word = FrameWord.OPERANDS + 3 * index
            frame.put(word, where)
            frame.put(word + 1, f.mul(over, size))
            frame.put(word + 2, f.mul(down, size))

    def _block(
        self,
        f: Function,
        words: Frame,
        d: Descriptor,
        frame: Frame,
        indices: Sequence[Value],
        item: Value,
        room: Value,
        block: tuple[Value, Value, Value, Value],
    ) -> None:
        """One block of C, over all of k."""
        i, _, rows, _ = block
        step, units, elements = self.tile.step, d[Slot.UNITS], d[Slot.K]
        pack_a = f.compare("ne", d[Slot.PACK_A], 0)
        a_at = f.add(self._batch_offset(f, d, Slot.A_BATCH, indices), f.mul(i, d[Slot.A_ROW]))
        a = f.offset(self._pointer(f, words, d[Slot.A_POINTER]), f.mul(a_at, self.a_bytes), "i8")
        size = self.a_bytes
        frame.put(FrameWord.A_ROW, f.select(pack_a, constant("i64", self.unit),
                                            f.mul(d[Slot.A_ROW], size)))  # fmt: skip
        frame.put(FrameWord.A_STEP, f.select(pack_a, constant("i64", self.unit * self.tile.a_width),
                                             f.mul(d[Slot.A_COL], size * step)))  # fmt: skip
        start = words.load(Context.DEPTH)
        end = f.add(start, words.load(Context.DEPTHS))
        with f.loop(start, end, d[Slot.BLOCK_K], runs=True) as loop:
            k = loop.index
            count = f.minimum(f.sub(end, k), d[Slot.BLOCK_K])
            at = f.mul(f.mul(k, d[Slot.A_COL]), size * step)
            source = f.offset(a, at, "i8")
            left = f.minimum(f.sub(elements, f.mul(k, step)), f.mul(count, step))

            def packed(
                source: Value = source, count: Value = count, left: Value = left
            ) -> list[Value]:
                self._pack_block(f, d, source, room, rows, count, left)
                return [room, f.mul(count, self.unit * self.tile.a_width)]

            def direct(source: Value = source) -> list[Value]:
                return [source, f.mul(f.mul(d[Slot.A_ROW], size), self.tile.rows)]

            a_block, a_panel = direct() if self.tile.dot else f.choose(pack_a, packed, direct)
            first = f.compare("eq", k, 0)
            last = f.compare("sge", f.add(k, count), units)
            flags = f.binary(
                "or", f.cast("zext", first, "i64"),
                f.select(last, constant("i64", LAST), constant("i64", 0)),
            )  # fmt: skip
            assert FIRST == 1, "the flag is the comparison itself"
            self._tiles(
                f, words, d, frame, indices, item, block, (k, count, a_block, a_panel, flags)
            )

    def _pack_block(
        self,
        f: Function,
        d: Descriptor,
        source: Value,
        room: Value,
        rows: Value,
        count: Value,
        elements: Value,
    ) -> None:
        """Pack a block of A: panels of the tile's rows, ``a_width`` apart."""
        tile = self.tile
        size = f.mul(count, self.unit * tile.a_width)
        row, col = d[Slot.A_ROW], d[Slot.A_COL]
        start: Value | int = 0
        if tile.rows == tile.a_width and not tile.pairs:
            whole = f.binary("and", rows, -tile.rows)
            start = f.select(f.compare("eq", row, 1), whole, constant("i64", 0))
            self._pack_across(f, source, room, start, count, col, size)
            room = f.offset(room, f.mul(f.binary("udiv", start, constant("i64", tile.rows)), size),
                            "i8")  # fmt: skip
        with f.loop(start, rows, tile.rows, carried=[room]) as loop:
            here = f.offset(source, f.mul(f.mul(loop.index, row), self.a_bytes), "i8")
            valid = f.minimum(f.sub(rows, loop.index), tile.rows)
            f.call("pack_a", "void", [here, loop.carried[0], count, elements, valid, row, col,
                                      constant("i64", tile.a_width)])  # fmt: skip
            loop.next([f.offset(loop.carried[0], size, "i8")])

    def _pack_across(
        self,
        f: Function,
        source: Value,
        room: Value,
        rows: Value,
        count: Value,
        col: Value,
        size: Value,
    ) -> None:
        """Whole panels of a block of A whose rows are neighbours in memory, all at each step.

        One panel after another would fetch each line of memory anew for every panel on it.
        """
        tile = self.tile
        kind = LLVM_TYPES[self.contraction.dtype_a.name]
        loaded = vector(tile.rows, storage(kind))
        with f.when(f.compare("sgt", rows, 0)), f.loop(0, count) as step:
            k = step.index
            line = f.offset(source, f.mul(f.mul(k, col), self.a_bytes), "i8")
            into = f.offset(room, f.mul(k, self.unit * tile.a_width), "i8")
            with f.loop(0, rows, tile.rows, carried=[into], runs=True) as panel:
                value = f.load(loaded, f.offset(line, f.mul(panel.index, self.a_bytes), "i8"))
                value = widen(f, value, kind, tile.acc, self.target)
                f.store(value, panel.carried[0], align=tile.unit_bytes)
                panel.next([f.offset(panel.carried[0], size, "i8")])

    def _tiles(
        self,
        f: Function,
        words: Frame,
        d: Descriptor,
        frame: Frame,
        indices: Sequence[Value],
        item: Value,
        block: tuple[Value, Value, Value, Value],
        depth: tuple[Value, Value, Value, Value, Value],
    ) -> None:
        """All register tiles of one block of C and one block along k."""
        tile, panel, unit = self.tile, d[Slot.PANEL], self.unit
        i0, j0, rows, columns = block
        k, count, a_block, a_panel, flags = depth
        pack_b = f.compare("ne", d[Slot.PACK_B], 0)
        b_at = f.add(
            self._batch_offset(f, d, Slot.B_BATCH, indices),
            f.add(
                f.mul(f.mul(k, tile.step), d[Slot.B_ROW]),
                f.mul(words.load(Context.COLUMN), d[Slot.B_COL]),
            ),
        )
        direct = f.offset(
            self._pointer(f, words, d[Slot.B_POINTER]), f.mul(b_at, self.b_bytes), "i8"
        )
        b = f.select(pack_b, self._packed_b(f, words, d, item), direct)
        # Column j of B: packed, its panel's place; else a step along the row.
        b_col = f.mul(d[Slot.B_COL], self.b_bytes)
        b_column = f.select(pack_b, f.mul(words.load(Context.DEPTHS), unit), b_col)
        b_k = f.mul(f.sub(k, words.load(Context.DEPTH)), unit)
        b_k = f.select(pack_b, b_k, constant("i64", 0))
        b_row = b_col if tile.dot else f.mul(d[Slot.B_ROW], self.b_bytes)
        down = f.binary("udiv", f.add(rows, tile.rows - 1), constant("i64", tile.rows))
        over = self._divide_up(f, columns, panel)
        inner_is_columns = f.compare("ne", d[Slot.COLUMNS_FIRST], 0)
        inner = f.select(inner_is_columns, over, down)
        outer = f.select(inner_is_columns, down, over)
        with f.loop(0, outer, runs=True) as slow, f.loop(0, inner, runs=True) as fast:
            row_tile = f.select(inner_is_columns, slow.index, fast.index)
            column_tile = f.select(inner_is_columns, fast.index, slow.index)
            i, j = f.mul(row_tile, tile.rows), f.mul(column_tile, panel)
            height = f.minimum(f.sub(rows, i), tile.rows)
            width = f.minimum(f.sub(columns, j), panel)
            pitch = self._panel_width(f, width)
            column = f.add(j0, j)
            a = f.offset(a_block, f.mul(row_tile, a_panel), "i8")
            place = f.add(f.mul(column, b_column), f.mul(b_k, pitch))
            b_step = f.select(pack_b, f.mul(pitch, unit), b_row)
            vectors = f.binary("udiv", pitch, constant("i64", tile.lanes))
            self.call_tile(f, vectors, [
                frame.pointer, a, f.offset(b, place, "i8"), b_step, count,
                height, width, f.add(i0, i), column, flags,
            ])  # fmt: skip
