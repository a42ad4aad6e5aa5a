"""What attention's kernels are made of: products over scratch, packing, tasks, stores.

Everything a task keeps has queries along the unit stride, so softmax needs no sums across lanes,
and every product is one kind: rows broadcast element by element from where they lie (K, V with
any strides, or scratch) times vectors of scratch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from diptych.compiler.attention.plan import Buffer, Slot, Structure, tile_rows
from diptych.compiler.contraction.blocking import Tile
from diptych.compiler.contraction.descriptor import Descriptor
from diptych.compiler.contraction.packing import PackWriter
from diptych.compiler.contraction.spec import LLVM_TYPES
from diptych.compiler.llvm.writer import Function, Module, Value, constant, vector
from diptych.compiler.target import Target

KERNEL_PARAMETERS = [("ptr", "desc"), ("ptr", "ptrs")]
TASK_PARAMETERS = [("ptr", "context"), ("i64", "task"), ("i64", "worker")]
_OPERANDS = [("ptr", "a"), ("i64", "a_row"), ("i64", "a_step"), ("ptr", "b"), ("i64", "b_step")]
_UNROLL = 4


class Pieces:
    """Types and helper functions of one module."""

    def __init__(self, module: Module, structure: Structure, target: Target) -> None:
        self.module = module
        self.structure = structure
        self.target = target
        self.size = structure.dtype.itemsize
        self.lanes = target.lanes(self.size)
        self.element = LLVM_TYPES[structure.dtype.name]
        self.vector = vector(self.lanes, self.element)
        self.rows = tile_rows(target)
        tile = Tile(self.rows, 2, self.lanes, self.element, False)
        PackWriter(module, "pack", structure.dtype, tile, self.lanes, target, False).write()
        for vectors in (2, 1):
            self._tile(vectors)
        self._product()
        self._write_rows()

    # -- products -------------------------------------------------------------------------------

    def _tile(self, vectors: int) -> None:
        """``tile_n(a, a_row, a_step, b, b_step, c, c_step, count, last, keep)``; steps in bytes.

        C's tile, the one before added if ``keep``, plus the sum over ``count`` steps of A's column
        times B's row. Rows after ``last`` repeat it.
        """
        names = [
            *_OPERANDS, ("ptr", "c"), ("i64", "c_step"), ("i64", "count"), ("i64", "last"),
            ("i64", "keep"),
        ]  # fmt: skip
        f = self.module.function(f"tile_{vectors}", names, internal=True)
        a, a_row, a_step, b, b_step, c, c_step, count, last, keep = f.parameters
        places = [
            f.offset(f.offset(c, f.mul(c_step, r), "i8"), v * self.lanes, self.element)
            for r in range(self.rows)
            for v in range(vectors)
        ]
        offsets = [
            f.mul(f.minimum(last, r), a_row) if r else constant("i64", 0) for r in range(self.rows)
        ]
        before = f.choose(
            f.compare("ne", keep, 0),
            lambda: [f.load(self.vector, place) for place in places],
            lambda: [constant(self.vector, 0)] * len(places),
        )
        with f.loop(0, count, carried=[a, b, *before]) as loop:
            pa, pb, *sums = loop.carried
            columns = [
                f.load(self.vector, f.offset(pb, v * self.lanes, self.element))
                for v in range(vectors)
            ]
            for r in range(self.rows):
                row = f.splat(f.load(self.element, f.offset(pa, offsets[r], "i8")), self.lanes)
                for v, column in enumerate(columns):
                    at = r * vectors + v
                    sums[at] = f.muladd(row, column, sums[at])
            loop.next([f.offset(pa, a_step, "i8"), f.offset(pb, b_step, "i8"), *sums])
        for place, total in zip(places, loop.results[2:], strict=True):
            f.store(total, place)
        f.ret()

    def _product(self) -> None:
        """``product(a, a_row, a_step, b, b_step, c, c_step, rows, vectors, count, keep)``.

        C (scratch, its rows padded to whole tiles) = A (strided) times B (scratch).
        """
        names = [
            *_OPERANDS, ("ptr", "c"), ("i64", "c_step"), ("i64", "rows"), ("i64", "vectors"),
            ("i64", "count"), ("i64", "keep"),
        ]  # fmt: skip
        f = self.module.function("product", names, internal=True)
        a, a_row, a_step, b, b_step, c, c_step, rows, vectors, count, keep = f.parameters
        with f.loop(0, rows, self.rows) as down, f.loop(0, vectors, 2) as over:
            across = f.mul(over.index, self.lanes)
            last = f.sub(f.sub(rows, 1), down.index)
            row = f.offset(c, f.mul(down.index, c_step), "i8")
            arguments = [
                f.offset(a, f.mul(down.index, a_row), "i8"), a_row, a_step,
                f.offset(b, across, self.element), b_step,
                f.offset(row, across, self.element), c_step, count, last, keep,
            ]  # fmt: skip
            wide = f.compare("sgt", f.sub(vectors, over.index), 1)
            f.choose(
                wide,
                lambda: _nothing(f.call("tile_2", "void", arguments)),
                lambda: _nothing(f.call("tile_1", "void", arguments)),
            )
        f.ret()

    def product(
        self, f: Function, a: tuple[Value, Value, Value], b: tuple[Value, Value],
        c: tuple[Value, Value], rows: Value, vectors: Value, count: Value, keep: Value | int,
    ) -> None:  # fmt: skip
        """Call it: A by (address, row, step), B and C by (address, step), strides in elements."""
        size = self.size
        flag = keep if isinstance(keep, Value) else constant("i64", keep)
        f.call("product", "void", [
            a[0], f.mul(a[1], size), f.mul(a[2], size), b[0], f.mul(b[1], size),
            c[0], f.mul(c[1], size), rows, vectors, count, flag,
        ])  # fmt: skip

    # -- rows in and out ------------------------------------------------------------------------

    def pack(
        self, f: Function, source: Value, across: Value | int, along: Value | int,
        target: Value, width: Value, steps: Value, columns: Value,
    ) -> None:  # fmt: skip
        """target[step][column] = source[step * along + column * across], zeros to whole vectors."""
        across, along = _number(across), _number(along)
        with f.loop(0, columns, self.lanes) as loop:
            at = f.offset(source, f.mul(loop.index, across), self.element)
            into = f.offset(target, loop.index, self.element)
            left = f.sub(columns, loop.index)
            f.call("pack", "void", [at, into, steps, steps, left, across, along, width])

    def _write_rows(self) -> None:
        """``write_rows(source, width, target, step, rows, columns, factor)``: steps in elements."""
        f = self.module.function(
            "write_rows",
            [("ptr", "source"), ("i64", "width"), ("ptr", "target"), ("i64", "step"),
             ("i64", "rows"), ("i64", "columns"), (self.element, "factor")],
            internal=True,
        )  # fmt: skip
        source, width, target, step, rows, columns, factor = f.parameters
        times = f.splat(factor, self.lanes)
        whole = f.binary("and", columns, -self.lanes)
        left = f.sub(columns, whole)
        with f.loop(0, rows) as loop:
            taken = f.offset(source, f.mul(loop.index, width), self.element)
            given = f.offset(target, f.mul(loop.index, step), self.element)
            with f.loop(0, whole, self.lanes) as full:
                value = f.load(self.vector, f.offset(taken, full.index, self.element))
                f.store(f.mul(value, times), f.offset(given, full.index, self.element))
            with f.when(f.compare("sgt", left, 0)):
                value = f.mul(f.load(self.vector, f.offset(taken, whole, self.element)), times)
                mask = f.first_lanes(left, self.lanes, 8 * self.size)
                f.masked_store(value, f.offset(given, whole, self.element), mask)
        f.ret()

    def give(
        self, f: Function, d: Descriptor, scratch: Value, transposed: Value, rows: Value,
        columns: Value, target: Value, step: Value, factor: Value,
    ) -> None:  # fmt: skip
        """Store scratch ``[column][query]`` as rows of ``target``, times a number."""
        room = self.buffer(f, d, scratch, Buffer.ROWS)
        width = self.padded(f, columns)
        self.pack(f, transposed, d[Slot.BLOCK], 1, room, width, rows, columns)
        f.call("write_rows", "void", [room, width, target, step, rows, columns, factor])

    # -- addresses ------------------------------------------------------------------------------

    def padded(self, f: Function, columns: Value) -> Value:
        return f.binary("and", f.add(columns, self.lanes - 1), -self.lanes)

    def buffer(self, f: Function, d: Descriptor, scratch: Value, buffer: Buffer) -> Value:
        return f.offset(scratch, d[Slot.BUFFERS + buffer], self.element)

    def at(
        self, f: Function, d: Descriptor, base: Value, slot: Slot, batch: Value, head: Value,
        row: Value | int = 0,
    ) -> Value:  # fmt: skip
        """The address of a row of an operand."""
        where = f.add(f.mul(batch, d[slot]), f.mul(head, d[slot + 1]))
        if row != 0:
            where = f.add(where, f.mul(d[slot + 2], _number(row)))
        return f.offset(base, where, self.element)

    def scale(self, f: Function, d: Descriptor) -> Value:
        wide = f.cast("bitcast", d[Slot.SCALE], "double")
        return wide if self.element == "double" else f.cast("fptrunc", wide, self.element)

    # -- loops ----------------------------------------------------------------------------------

    def each_row(
        self, f: Function, start: Value, stop: Value, carried: Sequence[Value],
        body: Callable[[Value, Sequence[Value], int], Sequence[Value]],
    ) -> list[Value]:  # fmt: skip
        """Run ``body(row, carried, copy)`` over rows, several written out at a time.

        ``body`` gives the next carried values; ``copy`` says which of the written-out rows it is.
        """
        count = f.sub(stop, start)
        whole = f.add(start, f.binary("and", count, -_UNROLL))
        whole = f.select(f.compare("sgt", count, 0), whole, start)
        with f.loop(start, whole, _UNROLL, carried=list(carried)) as loop:
            values: Sequence[Value] = loop.carried
            for copy in range(_UNROLL):
                values = body(f.add(loop.index, copy), values, copy)
            loop.next(list(values))
        with f.loop(whole, stop, carried=loop.results) as rest:
            rest.next(list(body(rest.index, rest.carried, 0)))
        return rest.results

    def queries_of(self, f: Function, first: Value, column: Value) -> Value:
        """The positions (i32) of a vector's queries."""
        start = f.cast("trunc", f.add(first, column), "i32")
        return f.add(f.splat(start, self.lanes), f.iota(self.lanes, "i32"))

    # -- the kernel -----------------------------------------------------------------------------

    def kernel(
        self, name: str, after: Callable[[Function, Descriptor, Value], None] | None
    ) -> None:
        """The kernel: hands groups of items to the pool, or runs them here."""
        f = self.module.function(name, KERNEL_PARAMETERS)
        d = Descriptor(f, f.parameters[0])
        context = f.stack("i64", 2)
        f.store(f.parameters[0], context, align=8)
        f.store(f.parameters[1], f.offset(context, 1, "i64"), align=8)
        group = d[Slot.GROUP]
        tasks = f.binary("udiv", f.add(d[Slot.ITEMS], f.sub(group, 1)), group)
        self.dispatch(f, d, tasks, "task", context)
        if after is not None:
            after(f, d, context)
        f.ret()

    def dispatch(self, f: Function, d: Descriptor, tasks: Value, body: str, context: Value) -> None:
        def pool() -> Sequence[Value]:
            return _nothing(
                f.call("dp_parallel", "void", [tasks, Value(f"@{body}", "ptr"), context])
            )

        def here() -> Sequence[Value]:
            with f.loop(0, tasks) as loop:
                f.call(body, "void", [context, loop.index, constant("i64", 0)])
            return []

        f.choose(f.compare("ne", d[Slot.PARALLEL], 0), pool, here)

    def task(self, name: str) -> tuple[Function, Descriptor, Callable[[int], Value]]:
        """A task body: the function, its descriptor, and what loads pointer ``n``."""
        f = self.module.function(name, TASK_PARAMETERS, internal=True)
        context = f.parameters[0]
        desc = f.load("ptr", context, align=8)
        table = f.load("ptr", f.offset(context, 1, "i64"), align=8)

        def pointer(index: int) -> Value:
            return f.load("ptr", f.offset(table, index, "ptr"))

        return f, Descriptor(f, desc), pointer

    @contextmanager
    def items(self, f: Function, d: Descriptor) -> Iterator[Value]:
        """The items of this task."""
        start = f.mul(f.parameters[1], d[Slot.GROUP])
        stop = f.minimum(f.add(start, d[Slot.GROUP]), d[Slot.ITEMS])
        with f.loop(start, stop) as loop:
            yield loop.index

    def last_key(self, f: Function, d: Descriptor, first: Value, valid: Value) -> Value:
        """How many keys a block of queries can see, in whole tiles."""
        if not self.structure.causal:
            return d[Slot.KEYS]
        seen = f.add(f.add(first, valid), d[Slot.OFFSET])
        tiles = f.binary("and", f.add(seen, self.rows - 1), -self.rows)
        return f.maximum(f.minimum(tiles, d[Slot.KEYS]), 0)


def _nothing(_: Value) -> Sequence[Value]:
    return []


def _number(value: Value | int) -> Value:
    return value if isinstance(value, Value) else constant("i64", value)
