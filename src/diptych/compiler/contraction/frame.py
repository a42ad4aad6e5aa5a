"""The frame: what one task tells its tiles, a row of 64-bit words on the task's stack."""

from __future__ import annotations

from enum import IntEnum, auto

from diptych.compiler.llvm.writer import Function, Value


class FrameWord(IntEnum):
    """Words of a frame. Strides and steps are in bytes; ``cross`` is across C's unit stride."""

    A_ROW = 0
    A_STEP = auto()
    C = auto()
    C_CROSS = auto()
    C_ALONG = auto()
    PARTIAL = auto()
    PARTIAL_CROSS = auto()
    PARTIAL_I = auto()  # the cross and along index of the first partial sum
    PARTIAL_J = auto()
    OPERANDS = auto()  # then three words for each operand: address, cross stride, along stride


class Frame:
    """Reads and writes the words of the frame at ``pointer``."""

    def __init__(self, f: Function, pointer: Value) -> None:
        self.f = f
        self.pointer = pointer

    @staticmethod
    def words(operands: int) -> int:
        return FrameWord.OPERANDS + 3 * operands

    def load(self, word: int) -> Value:
        return self.f.load("i64", self.f.offset(self.pointer, int(word), "i64"))

    def load_pointer(self, word: int) -> Value:
        return self.f.load("ptr", self.f.offset(self.pointer, int(word), "i64"))

    def put(self, word: int, value: Value) -> None:
        self.f.store(value, self.f.offset(self.pointer, int(word), "i64"))

    def operand(self, index: int) -> tuple[Value, Value, Value]:
        at = FrameWord.OPERANDS + 3 * index
        return self.load_pointer(at), self.load(at + 1), self.load(at + 2)
