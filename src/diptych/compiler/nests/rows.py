"""Kernels of row nests.

The descriptor (``loops.layout``) says how the work is cut: on this thread, into tasks of whole rows
(or pieces of rows, where elements are independent), or, for few long rows, stage by stage into
pieces whose partial results are combined in order.
"""

from __future__ import annotations

from diptych.compiler.llvm.writer import Function, Module, Value, constant
from diptych.compiler.nests import reductions
from diptych.compiler.nests.conversion import register_type
from diptych.compiler.nests.evaluation import lanes_for
from diptych.compiler.nests.space import Descriptor, Space, decode, operand_pointers
from diptych.compiler.nests.sweep import Sweep
from diptych.compiler.target import Target
from diptych.loops.expression import Expression, RowValue
from diptych.loops.layout import MAX_SPLITS
from diptych.loops.nest import Access, RowNest, Stage

# Places in the descriptor.
TASKS, ROWS_PER_TASK, CHUNK, CHUNKS, INNER, ROWS, STREAM, RANK = range(8)


class RowKernel:
    """Writes the module of one row nest."""

    def __init__(self, nest: RowNest, target: Target, name: str) -> None:
        self.nest = nest
        self.target = target
        self.name = name
        self.lanes = lanes_for(nest, target)
        self.module = Module(nest.text())

    def text(self) -> str:
        self._entry()
        self._rows()
        if not self.nest.pointwise:
            self._split()
            for k, stage in enumerate(self.nest.stages):
                if self._sweeps(stage):
                    self._piece(k, stage)
        self._task()
        return self.module.text()

    def _sweeps(self, stage: Stage) -> bool:
        return bool(stage.reduces or self.nest.element_stores(stage))

    # -- the entry and the plain tasks ----------------------------------------------------------

    def _entry(self) -> None:
        w = self.module.function(self.name, [("ptr", "desc"), ("ptr", "ptrs")])
        desc, ptrs = w.parameters
        numbers = Descriptor(w, desc, RANK, 1)
        inner, rows, tasks = numbers.number(INNER), numbers.number(ROWS), numbers.number(TASKS)
        if not self.nest.pointwise:
            with w.when(w.compare("sgt", numbers.number(CHUNKS), 1)):
                w.call(f"{self.name}.split", "void", [desc, ptrs])
                w.ret()
                w.block(w.fresh("unreached"))
        w.branch(w.compare("sle", tasks, 1), "direct", "parallel")
        w.block("direct")
        zero = constant("i64", 0)
        w.call(f"{self.name}.rows", "void", [desc, ptrs, zero, rows, zero, inner])
        w.ret()
        w.block("parallel")
        context = w.stack("ptr", 2)
        w.store(desc, context)
        w.store(ptrs, w.offset(context, 1, "ptr"))
        w.call("dp_parallel", "void", [tasks, Value(f"@{self.name}.task", "ptr"), context])
        w.ret()

    def _task(self) -> None:
        """One task: a range of rows, or a piece of one row where elements are independent."""
        w = self._task_function(f"{self.name}.task")
        context, task, _ = w.parameters
        desc, ptrs = w.load("ptr", context), w.load("ptr", w.offset(context, 1, "ptr"))
        numbers = Descriptor(w, desc, RANK, 1)
        chunks, chunk = numbers.number(CHUNKS), numbers.number(CHUNK)
        per_task, inner = numbers.number(ROWS_PER_TASK), numbers.number(INNER)
        first = w.mul(w.binary("udiv", task, chunks), per_task)
        last = w.minimum(w.add(first, per_task), numbers.number(ROWS))
        low = w.mul(w.binary("urem", task, chunks), chunk)
        high = w.minimum(w.add(low, chunk), inner)
        w.call(f"{self.name}.rows", "void", [desc, ptrs, first, last, low, high])
        w.ret()

    def _task_function(self, name: str) -> Function:
        parameters = [("ptr", "context"), ("i64", "task"), ("i64", "worker")]
        return self.module.function(name, parameters, internal=True)

    def _rows(self) -> None:
        """All stages on a range of rows, over positions ``low`` .. ``high`` of each."""
        parameters = [("ptr", "desc"), ("ptr", "ptrs"), ("i64", "first"), ("i64", "last"),
                      ("i64", "low"), ("i64", "high")]  # fmt: skip
        w = self.module.function(f"{self.name}.rows", parameters, internal=True)
        desc, ptrs, first, last, low, high = w.parameters
        numbers = Descriptor(w, desc, RANK, 1)
        rank = numbers.number(RANK)
        starts = operand_pointers(w, self.nest, ptrs)
        inner_strides = self._inner_strides(numbers, rank)
        last_axis = w.sub(rank, 1)
        extent = numbers.number(w.add(last_axis, RANK + 1))
        steps = [numbers.stride(rank, k, last_axis) for k in range(len(starts))]
        stream = w.compare("ne", numbers.number(STREAM), 0)
        with w.loop(first, last) as runs:
            position, offsets = decode(w, numbers, self.nest, rank, runs.index)
            count = w.minimum(w.sub(extent, position), w.sub(last, runs.index))
            with w.loop(0, count, 1, offsets, runs=True) as loop:
                bases = [
                    w.offset(start, offset, self._memory(k))
                    for k, (start, offset) in enumerate(zip(starts, loop.carried, strict=True))
                ]
                number = w.add(runs.index, loop.index)
                length = numbers.number(INNER)
                space = Space(w, self.target, self.nest, bases, inner_strides, length, number)
                self._row(space, low, high, stream)
                loop.next([w.add(o, s) for o, s in zip(loop.carried, steps, strict=True)])
            runs.step = count
        w.ret()

    def _memory(self, operand: int) -> str:
        from_dtype = self.nest.operands[operand].dtype
        return "i8" if from_dtype.kind == "b" else f"i{8 * from_dtype.itemsize}"

    def _inner_strides(self, numbers: Descriptor, rank: Value) -> list[Value]:
        """Inner strides of the operands that have a run-time one."""
        one = constant("i64", 1)
        return [
            numbers.extra_stride(rank, k, 0) if o.access is Access.STRIDED else one
            for k, o in enumerate(self.nest.operands)
        ]

    def _row(self, space: Space, low: Value, high: Value, stream: Value) -> None:
        values = 0
        for stage in self.nest.stages:
            if self._sweeps(stage):
                sweep = Sweep(space, stage, self.lanes, low, high)
                if self._may_stream(stage):
                    sweep.stream = stream
                states = sweep.emit()
                for reduce, state in zip(stage.reduces, states, strict=True):
                    node = RowValue(values, reduce.dtype)
                    arg = reductions.is_arg(reduce)
                    space.known[node] = (
                        reductions.position_of(space.w, state, low) if arg else state[0]
                    )
                    values += 1
            values = self._after(space, stage, values)

    def _may_stream(self, stage: Stage) -> bool:
        """Whether a stage's stores may go past the caches: they are the row's last word."""
        stores = self.nest.element_stores(stage)
        outputs = [self.nest.outputs[store.output] for store in stores]
        return (
            "x86" in self.target.triple
            and self.lanes > 1
            and stage is self.nest.stages[-1]
            and bool(stores)
            and all(
                o.access is Access.CONTIGUOUS and self.lanes * o.dtype.itemsize >= 16
                for o in outputs
            )
        )

    def _after(self, space: Space, stage: Stage, values: int) -> int:
        """A stage's row expressions and row stores."""
        for row in stage.rows:
            space.scalars([row])
            space.known[RowValue(values, row.dtype)] = space.known[row]
            values += 1
        for store in self.nest.row_stores(stage):
            space.scalars([store.value])
            space.store_scalar(store.output, space.known[store.value])
        return values

    # -- few long rows: stage by stage, in pieces -----------------------------------------------

    def _counts(self) -> list[int]:
        """How many row values exist before each stage, and at the end."""
        counts = [0]
        for stage in self.nest.stages:
            counts.append(counts[-1] + len(stage.reduces) + len(stage.rows))
        return counts

    def _row_values(self, before: int) -> list[RowValue]:
        """The first ``before`` row values."""
        dtypes = [
            d
            for stage in self.nest.stages
            for d in [r.dtype for r in stage.reduces] + [e.dtype for e in stage.rows]
        ]
        return [RowValue(k, dtype) for k, dtype in enumerate(dtypes[:before])]

    def _split(self) -> None:
        """Every row in turn: its stages' pieces in parallel, then their results combined."""
        w = self.module.function(
            f"{self.name}.split", [("ptr", "desc"), ("ptr", "ptrs")], internal=True
        )
        desc, ptrs = w.parameters
        numbers = Descriptor(w, desc, RANK, 1)
        rank, chunks = numbers.number(RANK), numbers.number(CHUNKS)
        starts = operand_pointers(w, self.nest, ptrs)
        inner_strides = self._inner_strides(numbers, rank)
        widest = max(
            sum(2 if reductions.is_arg(r) else 1 for r in s.reduces) for s in self.nest.stages
        )
        # Context: desc, the row's number, its row values, partial results, addresses.
        values = w.stack("i64", max(1, self._counts()[-1]))
        partials = w.stack("i64", MAX_SPLITS * max(1, widest))
        addresses = w.stack("ptr", len(starts))
        context = w.stack("ptr", 5)
        for slot, pointer in ((0, desc), (2, values), (3, partials), (4, addresses)):
            w.store(pointer, w.offset(context, slot, "ptr"))
        with w.loop(0, numbers.number(ROWS)) as rows:
            _, offsets = decode(w, numbers, self.nest, rank, rows.index)
            bases = []
            for k, start in enumerate(starts):
                bases.append(w.offset(start, offsets[k], self._memory(k)))
                w.store(bases[k], w.offset(addresses, k, "ptr"))
            w.store(rows.index, w.offset(context, 1, "i64"))
            length = numbers.number(INNER)
            space = Space(w, self.target, self.nest, bases, inner_strides, length, rows.index)
            self._split_row(space, context, values, partials, chunks, numbers)
        w.ret()

    def _split_row(
        self,
        space: Space,
        context: Value,
        values: Value,
        partials: Value,
        chunks: Value,
        numbers: Descriptor,
    ) -> None:
        w, counts = space.w, self._counts()
        for k, stage in enumerate(self.nest.stages):
            before = counts[k]
            for node in self._row_values(before)[counts[k - 1] if k else 0 :]:
                w.store(_bits(w, space.known[node]), w.offset(values, node.index, "i64"))
            if self._sweeps(stage):
                body = Value(f"@{self.name}.piece{k}", "ptr")
                w.call("dp_parallel", "void", [chunks, body, context])
                self._combine(space, stage, partials, chunks, before)
            self._after(space, stage, before + len(stage.reduces))

    def _combine(
        self, space: Space, stage: Stage, partials: Value, chunks: Value, before: int
    ) -> None:
        """Combine the pieces' states pairwise: neighbours, then pairs of pairs."""
        w = space.w
        if not stage.reduces:
            return
        with w.loop(1, chunks) as loop:  # 1, 2, 4, ...: the distance of the partners
            distance = loop.index
            with w.loop(0, w.sub(chunks, distance), w.mul(distance, 2), runs=True) as pairs:
                left = self._states(w, stage, partials, pairs.index)
                right = self._states(w, stage, partials, w.add(pairs.index, distance))
                merged = [
                    reductions.combine(w, r, a, b)
                    for r, a, b in zip(stage.reduces, left, right, strict=True)
                ]
                self._save_states(w, stage, partials, pairs.index, merged)
            loop.step = distance
        states = self._states(w, stage, partials, constant("i64", 0))
        for k, (reduce, state) in enumerate(zip(stage.reduces, states, strict=True)):
            # Positions in memory are counted from the row's start and never "nowhere".
            space.known[RowValue(before + k, reduce.dtype)] = state[-1]

    def _slots(self, stage: Stage) -> int:
        return sum(2 if reductions.is_arg(r) else 1 for r in stage.reduces)

    def _states(
        self, w: Function, stage: Stage, partials: Value, piece: Value
    ) -> list[reductions.State]:
        at = w.offset(partials, w.mul(piece, self._slots(stage)), "i64")
        flat: list[Value] = []
        for reduce in stage.reduces:
            types = [register_type(reduce.value.dtype)]
            types += ["i64"] if reductions.is_arg(reduce) else []
            for type_ in types:
                flat.append(_unbits(w, w.load("i64", w.offset(at, len(flat), "i64")), type_))
        return reductions.unflat(stage.reduces, flat)

    def _save_states(
        self,
        w: Function,
        stage: Stage,
        partials: Value,
        piece: Value,
        states: list[reductions.State],
    ) -> None:
        at = w.offset(partials, w.mul(piece, self._slots(stage)), "i64")
        for k, value in enumerate(reductions.flat(states)):
            w.store(_bits(w, value), w.offset(at, k, "i64"))

    def _piece(self, k: int, stage: Stage) -> None:
        """One piece of one stage of one row."""
        w = self._task_function(f"{self.name}.piece{k}")
        context, task, _ = w.parameters
        desc, values, partials, addresses = (
            w.load("ptr", w.offset(context, slot, "ptr")) for slot in (0, 2, 3, 4)
        )
        number = w.load("i64", w.offset(context, 1, "i64"))
        numbers = Descriptor(w, desc, RANK, 1)
        rank, chunk = numbers.number(RANK), numbers.number(CHUNK)
        length = numbers.number(INNER)
        low = w.mul(task, chunk)
        high = w.minimum(w.add(low, chunk), length)
        bases = operand_pointers(w, self.nest, addresses)
        strides = self._inner_strides(numbers, rank)
        space = Space(w, self.target, self.nest, bases, strides, length, number)
        known: dict[Expression, Value] = {}
        for node in self._row_values(self._counts()[k]):
            bits = w.load("i64", w.offset(values, node.index, "i64"))
            known[node] = _unbits(w, bits, register_type(node.dtype))
        space.known = known
        sweep = Sweep(space, stage, self.lanes, low, high)
        if self._may_stream(stage):
            sweep.stream = w.compare("ne", numbers.number(STREAM), 0)
        states = sweep.emit()
        for state, reduce in zip(states, stage.reduces, strict=True):
            if reductions.is_arg(reduce):
                state[1] = reductions.position_of(w, state, low)
        self._save_states(w, stage, partials, task, states)
        w.ret()


def _bits(w: Function, value: Value) -> Value:
    """A scalar's bits as i64, for a slot in memory."""
    if value.type in ("float", "double"):
        value = w.cast("bitcast", value, "i32" if value.type == "float" else "i64")
    return w.cast("zext", value, "i64")


def _unbits(w: Function, bits: Value, type_: str) -> Value:
    if type_ in ("float", "double"):
        small = w.cast("trunc", bits, "i32" if type_ == "float" else "i64")
        return w.cast("bitcast", small, type_)
    return w.cast("trunc", bits, type_)
