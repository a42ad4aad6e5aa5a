"""Calls from Python into machine code: one kernel, or a whole program table.

    call(kernel, desc, p0, p1, ...)                  addresses, all ints
    call_released(...)                               the same, while other Python threads run
    run_program(table, arena, p0, p1, ...)           every step of a ProgramTable
    run_program_released(...)

On CPython these are builtins generated as LLVM IR (70 ns a call); elsewhere they go through ctypes
and behave the same. The addresses are trusted: whoever calls keeps alive what they point at.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diptych.compiler.unit import CodeUnit
from diptych.errors import ArgumentError
from diptych.runtime import native_ir, objects

MAX_POINTERS = native_ir.MAX_POINTERS

_NULL, _ARENA, _FIRST = 0, 1, 2  # native slots: 0 holds 0, 1 the arena, then the arguments


@dataclass(frozen=True)
class Slot:
    """Where an address of a program comes from: ``kind`` and what it needs.

    argument(i, offset): the call's i-th operand plus bytes. constant(address). arena(offset).
    """

    kind: str
    value: int
    offset: int = 0

    @staticmethod
    def argument(index: int, offset: int = 0) -> Slot:
        return Slot("argument", index, offset)

    @staticmethod
    def constant(address: int) -> Slot:
        return Slot("constant", address)

    @staticmethod
    def arena(offset: int) -> Slot:
        return Slot("arena", offset)


@dataclass(frozen=True)
class Step:
    """One kernel call of a program: code, description, and its operands as slot numbers."""

    kernel: int
    desc: int
    slots: tuple[int, ...]


class ProgramTable:
    """The table that ``run_program`` walks.

    Words of 64 bits: magic, arguments, derived slots, steps, slots in all, most operands of a step,
    needs an arena, 0; then for each derived slot (base slot, offset); then for each step kernel,
    desc, count, slot numbers. Slot 0 holds 0, slot 1 the arena, then come the arguments.

    Args:
        steps: in order.
        slots: what the numbers in the steps mean.
        arguments: how many operand addresses a call gives.
        keep: objects that own what constants and descriptions point at.
    """

    __slots__ = ("address", "arguments", "keep", "steps", "words")

    def __init__(
        self,
        steps: Sequence[Step],
        slots: Sequence[Slot],
        arguments: int,
        keep: Sequence[object] = (),
    ) -> None:
        numbers: list[int] = []
        derived: list[int] = []
        for slot in slots:
            if slot.kind == "argument":
                if not 0 <= slot.value < arguments:
                    raise _bad("slot", slot, f"argument below {arguments}")
                base, offset = _FIRST + slot.value, slot.offset
            elif slot.kind in ("constant", "arena"):
                base, offset = (_ARENA if slot.kind == "arena" else _NULL), slot.value
            else:
                raise _bad("slot", slot, "kind argument, constant or arena")
            if base >= _FIRST and not offset:
                numbers.append(base)
            else:
                numbers.append(_FIRST + arguments + len(derived) // 2)
                derived += [base, offset]
        total = _FIRST + arguments + len(derived) // 2
        widest = max((len(step.slots) for step in steps), default=0)
        if max(total, widest) > MAX_POINTERS:
            raise _bad("slots", total, f"at most {MAX_POINTERS}")
        needs_arena = any(slot.kind == "arena" for slot in slots)
        words = [native_ir.MAGIC, arguments, len(derived) // 2, len(steps), total, max(widest, 1)]
        words += [int(needs_arena), 0, *derived]
        for step in steps:
            if not step.kernel:
                raise _bad("step", step, "the address of a kernel, not 0")
            if any(not 0 <= number < len(slots) for number in step.slots):
                raise _bad("step", step, f"slot numbers below {len(slots)}")
            words += [step.kernel, step.desc, len(step.slots)]
            words += [numbers[number] for number in step.slots]
        self.words = np.array(words, np.int64)
        self.address = int(self.words.ctypes.data)
        self.arguments = arguments
        self.steps = tuple(steps)
        self.keep = tuple(keep)

    def run(self, arena: int, *operands: int) -> None:
        """Run every step; for callers who need not be quick."""
        run_program(self.address, arena, *operands)


def _bad(argument: str, got: object, expected: str) -> ArgumentError:
    return ArgumentError(
        op="ProgramTable", argument=argument, got=got, expected=f"expected {expected}"
    )


def _checked(values: Sequence[object]) -> list[int]:
    """The arguments as the builtins take them: ints that fit 64 bits."""
    if len(values) < 2:
        raise TypeError(native_ir.MESSAGES["few"])
    if len(values) > MAX_POINTERS:
        raise ValueError(native_ir.MESSAGES["many"])
    for value in values:
        if not isinstance(value, int):
            raise TypeError("an integer is required")
        if not -(1 << 63) <= value < 1 << 63:
            raise OverflowError("Python int too large to convert to C ssize_t")
    return list(values)  # type: ignore[arg-type]


def _through_ctypes() -> dict[str, Callable[..., None]]:
    """The four functions without a builtin: ``PYFUNCTYPE`` keeps the lock, ``CFUNCTYPE`` not."""

    def caller(prototype: Any) -> Callable[..., None]:
        def call(*values: object) -> None:
            kernel, desc, *operands = _checked(values)
            if not kernel:
                raise ValueError(native_ir.MESSAGES["null"])
            pointers = (ctypes.c_void_p * max(len(operands), 1))(*operands)
            prototype(kernel)(desc, ctypes.addressof(pointers))

        return call

    def runner(prototype: Any) -> Callable[..., None]:
        run_kernel = caller(prototype)

        def run(*values: object) -> None:
            table, arena, *operands = _checked(values)
            header = (ctypes.c_int64 * native_ir.HEADER_WORDS).from_address(table) if table else [0]
            if header[0] != native_ir.MAGIC:
                raise ValueError(native_ir.MESSAGES["magic"])
            if header[1] != len(operands):
                raise TypeError(native_ir.MESSAGES["count"])
            if header[6] and not arena:
                raise ValueError(native_ir.MESSAGES["arena"])
            slots = [0, arena, *operands]
            at = table + 8 * native_ir.HEADER_WORDS
            for _ in range(header[2]):
                base, offset = (ctypes.c_int64 * 2).from_address(at)
                slots.append(slots[base] + offset)
                at += 16
            for _ in range(header[3]):
                kernel, desc, count = (ctypes.c_int64 * 3).from_address(at)
                numbers = (ctypes.c_int64 * count).from_address(at + 24)
                run_kernel(kernel, desc, *(slots[number] for number in numbers))
                at += 24 + 8 * count

        return run

    held = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
    released = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
    functions = (caller(held), caller(released), runner(held), runner(released))
    return dict(zip(native_ir.NAMES, functions, strict=True))


def _builtins() -> dict[str, Callable[..., None]]:
    """The four functions as generated builtins."""
    externals = {
        name: ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value or 0
        for name in native_ir.PYTHON_NAMES
    }
    externals["dp_none"] = id(None)
    externals["dp_type_error"] = _data("PyExc_TypeError")
    externals["dp_value_error"] = _data("PyExc_ValueError")
    written = native_ir.text()
    unit = CodeUnit("dp_native", (("text", written),), lambda: written)
    found = objects.obtain_and_link(unit, externals, native_ir.EXPORTS)
    make = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.py_object)(
        ("PyCFunction_NewEx", ctypes.pythonapi)
    )
    return {
        name: make(found[export], None, __name__)
        for name, export in zip(native_ir.NAMES, native_ir.EXPORTS, strict=True)
    }


def _data(name: str) -> int:
    """The object that one of the interpreter's ``PyObject *`` variables holds."""
    return ctypes.c_void_p.in_dll(ctypes.pythonapi, name).value or 0


def install() -> None:
    """Make the builtins, if this interpreter takes them. Called once, with the first kernel."""
    global call, call_released, run_program, run_program_released, builtin
    if sys.implementation.name == "cpython" and not builtin:
        made = _builtins()
        call, call_released, run_program, run_program_released = made.values()
        builtin = True


builtin = False
call, call_released, run_program, run_program_released = _through_ctypes().values()
