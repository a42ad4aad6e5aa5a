"""The run-time numbers of a contraction kernel: names and places in its descriptor."""

from __future__ import annotations

from enum import IntEnum, auto

from diptych.compiler.llvm.writer import Function, Value

BATCH_DIMS = 3  # batch dimensions a kernel walks; the planner merges what it can to fit
STACK_BYTES = 24 * 1024  # scratch up to this size lives on the kernel's stack


class Slot(IntEnum):
    """Words of the descriptor. Strides are in elements; ``C_CROSS``/``C_ALONG`` as the tile stores.

    Rows and columns are the register tile's: the planner may have exchanged A and B.
    """

    M = 0
    N = auto()
    K = auto()
    UNITS = auto()  # steps along k: K, or half of it rounded up when elements go in pairs
    A_ROW = auto()
    A_COL = auto()
    B_ROW = auto()
    B_COL = auto()
    C_CROSS = auto()
    C_ALONG = auto()
    BATCH = 10  # BATCH_DIMS extents, then as many strides each
    A_BATCH = 13
    B_BATCH = 16
    C_BATCH = 19
    COUNT = 22  # product of the batch extents
    A_POINTER = auto()  # where A and B stand among the pointers: 0 and 1, or exchanged
    B_POINTER = auto()
    PACK_A = auto()  # whether A, B are packed first
    PACK_B = auto()
    PANEL = auto()  # columns of a panel of B: a multiple of the lanes
    BLOCK_M = auto()  # rows and columns of a task's block of C, units of a block along k
    BLOCK_N = auto()
    BLOCK_K = auto()
    ROUND_BATCH = auto()  # batch items, columns and units of k whose B is packed at once
    ROUND_N = auto()
    ROUND_K = auto()
    COLUMNS_FIRST = auto()  # the inner tile loop walks columns (1) or rows (0)
    PARALLEL = auto()  # whether tasks go to the thread pool
    GROUP = auto()  # blocks per task
    PACK_GROUP = auto()  # packing pieces per task
    PACK_UNITS = auto()  # units along k of one packing piece
    SHARED_BYTES = auto()  # packed B
    PRIVATE_BYTES = auto()  # a task's packed A and partial sums
    CALLER_BYTES = auto()  # the same where tasks run on the calling thread, else 0
    PARTIAL_OFFSET = auto()  # where the partial sums start in it; -1: they are kept in C
    STACK = auto()  # whether packed B and the caller's part fit the kernel's stack
    OPERANDS = auto()  # for each epilogue operand: cross, along and BATCH_DIMS batch strides


OPERAND_WORDS = 2 + BATCH_DIMS


class Descriptor:
    """Reads words of the descriptor at ``pointer``, each once per block of code that asks."""

    def __init__(self, f: Function, pointer: Value) -> None:
        self.f = f
        self.pointer = pointer

    def __getitem__(self, slot: int) -> Value:
        return self.f.load("i64", self.f.offset(self.pointer, int(slot), "i64"))
