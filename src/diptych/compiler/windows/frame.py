"""What window kernels share: the descriptor, the walk over rows of results, masked loads.

Operands are spaces ``[P, D, H, W, C]`` of planes, up to three spatial axes and what lies inside
them. Work is cut into rows of results (a plane, a place along D and H). Where C is 1, vectors run
along W; else along C.
"""

from __future__ import annotations

from enum import IntEnum, auto

from diptych.compiler.llvm.tasks import open_task, word
from diptych.compiler.llvm.writer import (
    Module,
    Value,
    constant,
    constants,
    vector,
)
from diptych.compiler.nests.conversion import memory_type, narrow, register_type, widen
from diptych.compiler.target import Target
from diptych.core import dtypes
from diptych.core.dtypes import DType

AXES = 3  # D, H, W


class Word(IntEnum):
    """Words of the descriptor; strides in elements."""

    TASKS = 0
    GROUP = auto()  # rows per task
    ROWS = auto()
    OUT = 3  # results along D, H, W
    EXTENT = 6  # elements along D, H, W
    STRIDE = 9  # between them, then between planes
    PLANE = 12
    INNER = auto()  # C
    TABLE = 14  # per axis: the word where its tables start
    DILATION = 17  # per axis
    KERNEL = 20  # along W, where windows are uniform: size, step, padding
    STEP = auto()
    PADDING = auto()
    SCRATCH = auto()  # bytes of a row in a worker's memory
    WEIGHTS = 24  # per axis: where its weights start among the numbers
    TAPS = 27  # per axis: weights of one result
    DIVISORS = 30  # per axis: where its divisors start
    TABLES = 33


def masked_bits(lanes: int) -> str:
    """The integer type in which lanes are compared: the compared vector must fill a register."""
    return "i32" if lanes >= 4 else "i64"


class RowWriter:
    """Writes the body of a window kernel around :meth:`row`."""

    def __init__(self, dtype: DType, target: Target, pointers: int) -> None:
        self.dtype = dtype
        self.target = target
        self.module = Module()
        self.memory = memory_type(dtype)
        self.lanes = target.lanes(8 if dtype is dtypes.float64 else 4)
        self.pointers = pointers

    # ---- numbers

    def number(self, index: Value | int) -> Value:
        if isinstance(index, int):
            return word(self.f, self.desc, index)
        return self.f.load("i64", self.f.offset(self.desc, index, "i64"))

    def run(self, axis: int, position: Value) -> tuple[Value, Value]:
        """Of a result along an axis: the first element it reads, and how many."""
        f = self.f
        at = f.add(self.tables[axis], position)
        return self.number(at), self.number(f.add(at, self.out[axis]))

    # ---- the walk

    def write_task(self) -> None:
        """Write the task body: its rows one after another."""
        self.f, self.desc, self.operands = open_task(self.module, self.pointers)
        f = self.f
        self.out = [self.number(Word.OUT + k) for k in range(AXES)]
        self.extent = [self.number(Word.EXTENT + k) for k in range(AXES)]
        self.stride = [self.number(Word.STRIDE + k) for k in range(AXES)]
        self.tables = [self.number(Word.TABLE + k) for k in range(AXES)]
        self.dilation = [self.number(Word.DILATION + k) for k in range(AXES)]
        self.inner, plane = self.number(Word.INNER), self.number(Word.PLANE)
        self.prepare()
        group = self.number(Word.GROUP)
        first = f.mul(f.parameters[1], group)
        last = f.minimum(f.add(first, group), self.number(Word.ROWS))
        with f.loop(first, last) as rows:
            h = f.binary("urem", rows.index, self.out[1])
            rest = f.binary("udiv", rows.index, self.out[1])
            d = f.binary("urem", rest, self.out[0])
            p = f.binary("udiv", rest, self.out[0])
            start = f.offset(self.operands[0], f.mul(p, plane), self.memory)
            at = f.mul(f.mul(rows.index, self.out[2]), self.inner)
            self.row(start, at, d, h)
        f.ret()

    def prepare(self) -> None:
        """What a task does before its rows."""

    def row(self, start: Value, at: Value, d: Value, h: Value) -> None:
        """One row of results: the plane's start, the row's first result, its place."""
        raise NotImplementedError

    def place(self, start: Value, axis: int, position: Value) -> Value:
        """The address of a position along an axis."""
        return self.f.offset(start, self.f.mul(position, self.stride[axis]), self.memory)

    # ---- elements

    def widened(self, stored: Value) -> Value:
        return widen(self.f, self.target, self.dtype, stored)

    def narrowed(self, value: Value) -> Value:
        return narrow(self.f, self.target, self.dtype, value)

    def register(self, lanes: int) -> str:
        return register_type(self.dtype, lanes)

    def load(self, pointer: Value, mask: Value | None = None, lanes: int = 0) -> Value:
        """A vector of values (the lanes of the mask; the rest zeros)."""
        type_ = vector(lanes or self.lanes, self.memory)
        if mask is None:
            return self.widened(self.f.load(type_, pointer))
        return self.widened(self.f.masked_load(type_, pointer, mask))

    def store(self, value: Value, pointer: Value, mask: Value | None) -> None:
        bits = self.narrowed(value)
        if mask is None:
            self.f.store(bits, pointer)
        else:
            self.f.masked_store(bits, pointer, mask)

    def within(self, first: Value, limit: Value, lanes: int) -> Value:
        """A mask of the lanes whose positions ``first``, ``first`` + 1, ... are in [0, limit)."""
        f = self.f
        kind = masked_bits(lanes)
        start = f.splat(f.cast("trunc", first, kind), lanes)
        bound = f.splat(f.cast("trunc", limit, kind), lanes)
        return f.compare("ult", f.add(start, constants(kind, range(lanes))), bound)

    def spread_load(
        self, row: Value, first: Value, step: int, limit: Value, memory: str, other: float
    ) -> Value:
        """Elements ``step`` (1 or 2) apart from ``first`` on; ``other`` outside the row."""
        f, lanes = self.f, self.lanes
        type_ = vector(lanes, memory)
        parts = []
        for part in range(step):
            position = f.add(first, part * lanes) if part else first
            mask = self.within(position, limit, lanes)
            parts.append(f.masked_load(type_, f.offset(row, position, memory), mask, other))
        if step == 1:
            return parts[0]
        return f.shuffle(parts[0], range(0, 2 * lanes, 2), parts[1])

    def far_load(
        self, row: Value, first: Value, step: Value, limit: Value, memory: str, other: float
    ) -> Value:
        """The same for any step."""
        f, lanes = self.f, self.lanes
        type_ = vector(lanes, memory)
        along = f.mul(constants("i64", range(lanes)), f.splat(step, lanes))
        position = f.add(along, f.splat(first, lanes))
        mask = f.compare("ult", position, f.splat(limit, lanes))
        got = f.gather(type_, f.offset(row, position, memory), mask)
        return f.select(mask, got, constant(type_, other))
