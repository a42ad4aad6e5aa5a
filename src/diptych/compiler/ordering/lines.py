"""Lines: the index space ``[A, B, J, I]`` of kernels that walk along one axis, cut into tasks.

A line is what runs along J. A task owns a range of lines (numbered with I innermost), so no two
write one element, and a line is walked in order by one task: results do not depend on threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, auto

from diptych.compiler.llvm.tasks import open_task, word, write_entry
from diptych.compiler.llvm.writer import Function, Module, Value, constant


class Word(IntEnum):
    """Words of the descriptor; strides in elements."""

    A = 0
    B = auto()
    J = auto()
    I = auto()  # noqa: E741 (the axis' name)
    RESULTS = auto()  # elements of a line of the results
    CHOSEN = auto()  # which element of a sorted line is wanted
    X = auto()  # strides of the operand along A, B, J, I
    OUT = 10  # those of the results
    GROUP = 14  # lines per task
    TASKS = auto()
    SCRATCH = auto()  # bytes


@dataclass
class Lines:
    """A task being written: its words, its pointers, its first and last line."""

    f: Function
    words: dict[Word, Value]
    x_strides: list[Value]
    out_strides: list[Value]
    pointers: list[Value]
    first: Value
    last: Value

    @property
    def worker(self) -> Value:
        return self.f.parameters[2]

    def place(self, line: Value, base: Value, strides: list[Value], element: str) -> Value:
        """The address of a line's first element."""
        f, w = self.f, self.words
        i, ab = f.binary("urem", line, w[Word.I]), f.binary("udiv", line, w[Word.I])
        a, b = f.binary("udiv", ab, w[Word.B]), f.binary("urem", ab, w[Word.B])
        steps = [f.mul(n, s) for n, s in zip((a, b, i), (*strides[:2], strides[3]), strict=True)]
        return f.offset(base, f.add(f.add(steps[0], steps[1]), steps[2]), element)


def write_kernel(module: Module, name: str, pointers: int, body: Callable[[Lines], None]) -> str:
    """The module's text with ``name(desc, ptrs)``, whose tasks run ``body``."""
    f, desc, given = open_task(module, pointers)
    words = {each: word(f, desc, each) for each in Word}
    strides = [[word(f, desc, base + k) for k in range(4)] for base in (Word.X, Word.OUT)]
    first = f.mul(f.parameters[1], words[Word.GROUP])
    count = f.mul(f.mul(words[Word.A], words[Word.B]), words[Word.I])
    last = f.minimum(f.add(first, words[Word.GROUP]), count)
    body(Lines(f, words, strides[0], strides[1], given, first, last))
    f.ret()
    write_entry(module, name, Word.TASKS)
    return module.text()


def zero() -> Value:
    """0, as the kernels count."""
    return constant("i64", 0)
