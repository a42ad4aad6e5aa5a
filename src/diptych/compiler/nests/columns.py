"""Kernels of column nests: a reduction over rows, kept apart for every column.

A panel of columns is worked on at a time, a few vectors wide, with its accumulators in registers
while the rows go by. Few columns and many rows are cut along the rows too; the partial results of
the pieces lie on the caller's stack and are combined in order.
"""

from __future__ import annotations

from collections.abc import Callable

from diptych.compiler.llvm.writer import Function, Module, Value, bits_of, constant, vector
from diptych.compiler.nests import reductions
from diptych.compiler.nests.conversion import memory_type, register_type
from diptych.compiler.nests.evaluation import lanes_for
from diptych.compiler.nests.reductions import State
from diptych.compiler.nests.space import Descriptor, Space, decode, operand_pointers
from diptych.compiler.target import Target
from diptych.loops.expression import Apply, Expression, RowValue, walk
from diptych.loops.layout import PARTIAL_BYTES
from diptych.loops.nest import Access, ColumnNest, Reduce

# Places in the descriptor.
TASKS, PANEL, PANELS, SPLIT, SPLITS, INNER, REDUCED, OUTER, RANK = range(9)
ROW_BLOCK = 256  # rows after which running sums are set aside, for accuracy
AHEAD = 8  # rows by which the prefetch runs ahead


class ColumnKernel:
    """Writes the module of one column nest."""

    def __init__(self, nest: ColumnNest, target: Target, name: str) -> None:
        self.nest = nest
        self.target = target
        self.name = name
        self.lanes = lanes_for(nest, target)
        self.module = Module(nest.text())
        self.bits = min(bits_of(memory_type(o.dtype)) for o in nest.operands)
        weight = sum(isinstance(node, Apply) for node in walk(nest.roots()))
        arg = any(reductions.is_arg(r) for r in nest.reduces)
        registers = 32 if target.vector_bytes == 64 else 16
        each = len(nest.reduces) * (4 if arg else 1) + (1 if weight else 0)
        self.wide = max(1, min(8, registers // 4 // max(1, each)))
        self.slots = sum(2 if reductions.is_arg(r) else 1 for r in nest.reduces)

    def text(self) -> str:
        self._entry()
        self._task()
        self._panel()
        self._finish()
        return self.module.text()

    def _entry(self) -> None:
        w = self.module.function(self.name, [("ptr", "desc"), ("ptr", "ptrs")])
        desc, ptrs = w.parameters
        numbers = Descriptor(w, desc, RANK, 2)
        tasks, splits = numbers.number(TASKS), numbers.number(SPLITS)
        zero = constant("i64", 0)
        w.branch(w.compare("sle", tasks, 1), "direct", "parallel")
        w.block("direct")
        inner, reduced = numbers.number(INNER), numbers.number(REDUCED)
        with w.loop(0, numbers.number(OUTER)) as outer:
            self._call_panel(w, [desc, ptrs, outer.index, zero, inner, zero, reduced], None)
        w.ret()
        w.block("parallel")
        context = w.stack("ptr", 3)
        w.store(desc, context)
        w.store(ptrs, w.offset(context, 1, "ptr"))
        body = Value(f"@{self.name}.task", "ptr")
        w.branch(w.compare("sgt", splits, 1), "split", "whole")
        w.block("whole")
        w.store(Value("null", "ptr"), w.offset(context, 2, "ptr"))
        w.call("dp_parallel", "void", [tasks, body, context])
        w.ret()
        w.block("split")
        w.call(f"{self.name}.cut", "void", [tasks, context])
        w.ret()
        # A function of its own, so that only cut reductions pay for its stack.
        w = self.module.function(
            f"{self.name}.cut", [("i64", "tasks"), ("ptr", "context")], internal=True,
            attributes="nounwind noinline",
        )  # fmt: skip
        tasks, context = w.parameters
        partials = w.stack("i8", PARTIAL_BYTES)
        w.store(partials, w.offset(context, 2, "ptr"))
        w.call("dp_parallel", "void", [tasks, body, context])
        w.call(f"{self.name}.finish", "void", [context])
        w.ret()

    def _call_panel(self, w: Function, arguments: list[Value], partials: Value | None) -> None:
        last = partials or Value("null", "ptr")
        w.call(f"{self.name}.panel", "void", [*arguments, last])

    def _task(self) -> None:
        """One task: an outer index, a panel of columns, and a piece of the rows."""
        parameters = [("ptr", "context"), ("i64", "task"), ("i64", "worker")]
        w = self.module.function(f"{self.name}.task", parameters, internal=True)
        context, task, _ = w.parameters
        desc, ptrs, partials = (w.load("ptr", w.offset(context, k, "ptr")) for k in range(3))
        numbers = Descriptor(w, desc, RANK, 2)
        panels, splits = numbers.number(PANELS), numbers.number(SPLITS)
        width, split = numbers.number(PANEL), numbers.number(SPLIT)
        piece = w.binary("urem", task, splits)
        rest = w.binary("udiv", task, splits)
        panel, outer = w.binary("urem", rest, panels), w.binary("udiv", rest, panels)
        left = w.mul(panel, width)
        right = w.minimum(w.add(left, width), numbers.number(INNER))
        top = w.mul(piece, split)
        bottom = w.minimum(w.add(top, split), numbers.number(REDUCED))
        self._call_panel(w, [desc, ptrs, outer, left, right, top, bottom], partials)
        w.ret()

    def _space(
        self, w: Function, numbers: Descriptor, ptrs: Value, outer: Value
    ) -> tuple[Space, list[Value]]:
        """The operands at one outer index, and their strides along the reduced axis."""
        rank = numbers.number(RANK)
        starts = operand_pointers(w, self.nest, ptrs)
        _, offsets = decode(w, numbers, self.nest, rank, outer)
        bases = [
            w.offset(start, offset, memory_type(o.dtype))
            for start, offset, o in zip(starts, offsets, self.nest.operands, strict=True)
        ]
        one = constant("i64", 1)
        inner = [
            numbers.extra_stride(rank, k, 1) if o.access is Access.STRIDED else one
            for k, o in enumerate(self.nest.operands)
        ]
        down = [numbers.extra_stride(rank, k, 0) for k in range(len(starts))]
        length = numbers.number(INNER)
        return Space(w, self.target, self.nest, bases, inner, length, outer), down

    # -- a panel --------------------------------------------------------------------------------

    def _panel(self) -> None:
        """Columns ``left`` .. ``right`` over rows ``top`` .. ``bottom`` of one outer index."""
        names = ("outer", "left", "right", "top", "bottom")
        parameters = [("ptr", "desc"), ("ptr", "ptrs"), *(("i64", n) for n in names)]
        w = self.module.function(
            f"{self.name}.panel", [*parameters, ("ptr", "partials")], internal=True
        )
        desc, ptrs, outer, left, right, top, bottom, partials = w.parameters
        numbers = Descriptor(w, desc, RANK, 2)
        space, down = self._space(w, numbers, ptrs, outer)
        width = self.wide * self.lanes
        middle = w.add(left, w.binary("and", w.sub(right, left), -width))
        with w.loop(left, middle, width) as loop:
            at = [w.add(loop.index, k * self.lanes) for k in range(self.wide)]
            states = self._rows(space, down, at, None, top, bottom)
            self._deliver(space, numbers, at, None, top, states, partials)
        with w.loop(middle, right, self.lanes) as loop:
            mask = w.first_lanes(w.sub(right, loop.index), self.lanes, self.bits)
            states = self._rows(space, down, [loop.index], mask, top, bottom)
            self._deliver(space, numbers, [loop.index], mask, top, states, partials)
        w.ret()

    def _rows(
        self,
        space: Space,
        down: list[Value],
        at: list[Value],
        mask: Value | None,
        top: Value,
        bottom: Value,
    ) -> list[list[State]]:
        """The states of each vector of columns after all rows, in two levels."""
        w = space.w
        fresh = [[reductions.identity(r, self.lanes) for r in self.nest.reduces] for _ in at]

        def block(start: Value, stop: Value, runs: bool) -> list[list[State]]:
            return self._block(space, down, at, mask, top, start, stop, runs)

        summed = any(r.op == "sum" and r.value.dtype.is_float for r in self.nest.reduces)
        if not summed:
            return block(top, bottom, False)
        carried = [value for states in fresh for value in reductions.flat(states)]
        with w.loop(top, bottom, ROW_BLOCK, carried) as loop:
            stop = w.minimum(w.add(loop.index, ROW_BLOCK), bottom)
            after = block(loop.index, stop, True)
            before = self._unflat(loop.carried)
            merged = [
                [
                    reductions.combine(w, r, a, b)
                    for r, a, b in zip(self.nest.reduces, old, new, strict=True)
                ]
                for old, new in zip(before, after, strict=True)
            ]
            loop.next([value for states in merged for value in reductions.flat(states)])
        return self._unflat(loop.results)

    def _unflat(self, values: list[Value]) -> list[list[State]]:
        return [
            reductions.unflat(self.nest.reduces, values[k : k + self.slots])
            for k in range(0, len(values), self.slots)
        ]

    def _block(
        self,
        space: Space,
        down: list[Value],
        at: list[Value],
        mask: Value | None,
        top: Value,
        start: Value,
        stop: Value,
        runs: bool,
    ) -> list[list[State]]:
        """Rows ``start`` .. ``stop`` into fresh accumulators."""
        w = space.w
        fresh = [
            value
            for _ in at
            for r in self.nest.reduces
            for value in reductions.identity(r, self.lanes)
        ]
        roots = [r.value for r in self.nest.reduces]
        with w.loop(start, stop, 1, fresh, runs) as loop:
            row = self._row_space(space, down, loop.index)
            if mask is None:
                self._prefetch(row, roots, down, at)
            hoisted = row.hoist(roots, self.lanes)
            position = w.sub(loop.index, top)
            after: list[Value] = []
            for column, states in zip(at, self._unflat(loop.carried), strict=True):
                known = row.elements(roots, hoisted, column, self.lanes, mask)
                for reduce, state in zip(self.nest.reduces, states, strict=True):
                    where = self._position(w, reduce, position)
                    after += reductions.step(w, reduce, state, known[reduce.value], where)
            loop.next(after)
        return self._unflat(loop.results)

    def _row_space(self, space: Space, down: list[Value], row: Value) -> Space:
        """The operands at one row: outputs, and what the epilogue alone loads, go along unused."""
        w = space.w
        bases = [
            w.offset(base, w.mul(row, stride), memory_type(o.dtype))
            for base, stride, o in zip(space.bases, down, self.nest.operands, strict=True)
        ]
        return Space(
            w, self.target, self.nest, bases, space.inner_strides, space.length, space.outer_index
        )

    def _prefetch(
        self, row: Space, roots: list[Expression], down: list[Value], at: list[Value]
    ) -> None:
        """Fetch rows ahead: neighbouring rows lie too far apart for the hardware to guess."""
        w = row.w
        for k, operand in enumerate(self.nest.inputs):
            if operand.access is Access.CONTIGUOUS:
                type_ = memory_type(operand.dtype)
                ahead = w.offset(row.bases[k], w.mul(down[k], AHEAD), type_)
                for column in at:
                    w.prefetch(w.offset(ahead, column, type_))

    def _position(self, w: Function, reduce: Reduce, position: Value) -> Value | None:
        if not reductions.is_arg(reduce):
            return None
        narrow = w.cast("trunc", position, reductions.position_type(reduce))
        return w.splat(narrow, self.lanes)

    # -- results --------------------------------------------------------------------------------

    def _deliver(
        self,
        space: Space,
        numbers: Descriptor,
        at: list[Value],
        mask: Value | None,
        top: Value,
        states: list[list[State]],
        partials: Value,
    ) -> None:
        """Store the outputs, or where the rows were cut, the states."""
        w = space.w
        whole, part, after = w.fresh("whole"), w.fresh("part"), w.fresh("after")
        w.branch(w.compare("eq", partials, 0), whole, part)
        w.block(part)
        piece = w.binary("udiv", top, numbers.number(SPLIT))
        for column, state in zip(at, states, strict=True):
            moved = [
                self._from_top(w, r, s, top) for r, s in zip(self.nest.reduces, state, strict=True)
            ]
            self._save(space, partials, piece, column, mask, moved)
        w.jump(after)
        w.block(whole)
        for column, state in zip(at, states, strict=True):
            moved = [
                self._from_top(w, r, s, top) for r, s in zip(self.nest.reduces, state, strict=True)
            ]
            self._store(space, column, mask, [s[-1] for s in moved])
        w.jump(after)
        w.block(after)

    def _from_top(self, w: Function, reduce: Reduce, state: State, top: Value) -> State:
        """An arg-reduction's positions as i64 counted from row 0."""
        if not reductions.is_arg(reduce):
            return state
        nowhere = constant(state[1].type, reductions.nowhere(state[1].type))
        found = w.compare("ne", state[1], nowhere)
        inside = w.select(found, state[1], 0)
        wide = w.cast("sext", inside, vector(self.lanes, "i64"))
        return [state[0], w.add(wide, w.splat(top, self.lanes))]

    def _store(self, space: Space, column: Value, mask: Value | None, results: list[Value]) -> None:
        """The epilogue and its stores at one vector of columns."""
        roots = [s.value for s in self.nest.stores]
        values: dict[Expression, Value] = {
            RowValue(k, r.dtype): value
            for k, (r, value) in enumerate(zip(self.nest.reduces, results, strict=True))
        }
        known = self._epilogue(space, roots, values, column, mask)
        for store in self.nest.stores:
            space.store(store.output, known[store.value], column, self.lanes, mask)

    def _epilogue(
        self,
        space: Space,
        roots: list[Expression],
        values: dict[Expression, Value],
        column: Value,
        mask: Value | None,
    ) -> dict[Expression, Value]:
        # Row scalars are computed anew here: this block may not be reached by all that follows.
        fresh = Space(
            space.w, self.target, self.nest, space.bases, space.inner_strides, space.length,
            space.outer_index,
        )  # fmt: skip
        hoisted = fresh.hoist_beside(roots, self.lanes, values)
        return fresh.elements(roots, {**hoisted, **values}, column, self.lanes, mask)

    def _slot(self, space: Space, partials: Value, piece: Value, slot: int, column: Value) -> Value:
        """The address of a partial value: piece, then slot, then column, 8 bytes each."""
        w = space.w
        row = w.add(w.mul(piece, self.slots), slot)
        return w.offset(partials, w.add(w.mul(row, space.length), column), "i64")

    def _save(
        self,
        space: Space,
        partials: Value,
        piece: Value,
        column: Value,
        mask: Value | None,
        states: list[State],
    ) -> None:
        w = space.w
        for slot, value in enumerate(reductions.flat(states)):
            pointer = self._slot(space, partials, piece, slot, column)
            bits = _as_i64(w, value, self.lanes)
            if mask is None or self.lanes == 1:
                w.store(bits, pointer)
            else:
                w.masked_store(bits, pointer, mask)

    def _load(
        self, space: Space, partials: Value, piece: Value, column: Value, mask: Value
    ) -> list[State]:
        w = space.w
        values: list[Value] = []
        for reduce in self.nest.reduces:
            types = [register_type(reduce.value.dtype, self.lanes)]
            types += [vector(self.lanes, "i64")] if reductions.is_arg(reduce) else []
            for type_ in types:
                pointer = self._slot(space, partials, piece, len(values), column)
                wide = vector(self.lanes, "i64")
                if self.lanes == 1:
                    bits = w.load(wide, pointer)
                else:
                    bits = w.masked_load(wide, pointer, mask)
                values.append(_from_i64(w, bits, type_))
        return reductions.unflat(self.nest.reduces, values)

    def _finish(self) -> None:
        """Combine the pieces' states pairwise, column by column, and store the outputs."""
        w = self.module.function(f"{self.name}.finish", [("ptr", "context")], internal=True)
        (context,) = w.parameters
        desc, ptrs, partials = (w.load("ptr", w.offset(context, k, "ptr")) for k in range(3))
        numbers = Descriptor(w, desc, RANK, 2)
        space, _ = self._space(w, numbers, ptrs, constant("i64", 0))
        splits, inner = numbers.number(SPLITS), numbers.number(INNER)
        with w.loop(0, inner, self.lanes) as columns:
            column = columns.index
            mask = w.first_lanes(w.sub(inner, column), self.lanes, self.bits)

            def load(piece: Value) -> list[State]:
                return self._load(space, partials, piece, column, mask)

            self._pairwise(space, partials, splits, column, mask, load)
            states = load(constant("i64", 0))
            self._store(space, column, mask, [s[-1] for s in states])
        w.ret()

    def _pairwise(
        self,
        space: Space,
        partials: Value,
        splits: Value,
        column: Value,
        mask: Value,
        load: Callable[[Value], list[State]],
    ) -> None:
        w = space.w
        with w.loop(1, splits) as loop:  # 1, 2, 4, ...: the distance of the partners
            distance = loop.index
            with w.loop(0, w.sub(splits, distance), w.mul(distance, 2), runs=True) as pairs:
                left, right = load(pairs.index), load(w.add(pairs.index, distance))
                merged = [
                    reductions.combine(w, r, a, b)
                    for r, a, b in zip(self.nest.reduces, left, right, strict=True)
                ]
                self._save(space, partials, pairs.index, column, mask, merged)
            loop.step = distance


def _as_i64(w: Function, value: Value, lanes: int) -> Value:
    """Any register value's bits in 8 bytes."""
    if "float" in value.type or "double" in value.type:
        value = w.cast("bitcast", value, vector(lanes, f"i{bits_of(value.type)}"))
    return w.cast("zext", value, vector(lanes, "i64"))


def _from_i64(w: Function, bits: Value, type_: str) -> Value:
    if "float" in type_ or "double" in type_:
        from_lanes = type_.replace("float", "i32").replace("double", "i64")
        return w.cast("bitcast", w.cast("trunc", bits, from_lanes), type_)
    return w.cast("trunc", bits, type_)
