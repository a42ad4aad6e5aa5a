"""Native calls: the builtins and their ctypes double behave alike; tables; bad arguments."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from diptych.compiler.unit import CodeUnit
from diptych.errors import ArgumentError
from diptych.runtime import kernels, native, native_ir
from diptych.runtime.native import ProgramTable, Slot, Step

pytestmark = pytest.mark.native

Functions = dict[str, Callable[..., None]]

# desc[0] operands are added into the one after them; with no desc, nothing is done.
SUM = """
define void @sum(ptr %desc, ptr %ptrs) nounwind {
  %none = icmp eq ptr %desc, null
  br i1 %none, label %end, label %start
start:
  %n = load i64, ptr %desc
  br label %look
look:
  %i = phi i64 [ 0, %start ], [ %next, %add ]
  %s = phi i64 [ 0, %start ], [ %t, %add ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %add, label %done
add:
  %at = getelementptr ptr, ptr %ptrs, i64 %i
  %p = load ptr, ptr %at
  %x = load i64, ptr %p
  %t = add i64 %s, %x
  %next = add i64 %i, 1
  br label %look
done:
  %to.at = getelementptr ptr, ptr %ptrs, i64 %n
  %to = load ptr, ptr %to.at
  store i64 %s, ptr %to
  br label %end
end:
  ret void
}
"""

# Waits until another thread changes the operand.
WAIT = """
define void @wait(ptr %desc, ptr %ptrs) nounwind {
  %p = load ptr, ptr %ptrs
  br label %look
look:
  %x = load atomic i64, ptr %p acquire, align 8
  %zero = icmp eq i64 %x, 0
  br i1 %zero, label %look, label %done
done:
  ret void
}
"""


@pytest.fixture(scope="module", params=["builtin", "ctypes"])
def functions(request: pytest.FixtureRequest) -> Functions:
    if request.param == "ctypes":
        return native._through_ctypes()
    if sys.implementation.name != "cpython":
        pytest.skip("builtins are for CPython")
    native.install()
    assert native.builtin and not hasattr(native.call, "__code__")
    return {name: getattr(native, name) for name in native_ir.NAMES}


@pytest.fixture(scope="module")
def sum_kernel() -> int:
    return kernels.load(CodeUnit("sum", (("text", SUM),), lambda: SUM))


def words(*values: int) -> Any:
    return np.array(values, np.int64)


def at(array: Any, index: int = 0) -> int:
    return int(array.ctypes.data) + 8 * index


@pytest.mark.parametrize("name", ["call", "call_released"])
@pytest.mark.parametrize("count", [0, 1, 3, 500])
def test_a_kernel_gets_desc_and_operands(
    functions: Functions, sum_kernel: int, name: str, count: int
) -> None:
    values, desc = words(*range(1, count + 2)), words(count)
    out = words(-1)
    operands = [at(values, i) for i in range(count)]
    assert functions[name](sum_kernel, at(desc), *operands, at(out)) is None
    assert out[0] == count * (count + 1) // 2


@pytest.mark.parametrize("name", ["call", "call_released"])
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((), TypeError, "expected the addresses"),
        ((1,), TypeError, "expected the addresses"),
        ((1.0, 0), TypeError, "integer"),
        ((1, None), TypeError, "integer"),
        ((1, 0, "p"), TypeError, "integer"),
        ((1, 0, 1, [2]), TypeError, "integer"),
        ((1 << 64, 0), OverflowError, "too large"),
        ((1, 0, -1 << 70), OverflowError, "too large"),
        ((0, 0), ValueError, "kernel is 0"),
        ((1, 0) + (0,) * native.MAX_POINTERS, ValueError, "more than"),
    ],
)
def test_bad_arguments_never_reach_the_kernel(
    functions: Functions,
    name: str,
    arguments: tuple[object, ...],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        functions[name](*arguments)


def test_references_are_balanced(functions: Functions, sum_kernel: int) -> None:
    address = 1 << 40  # an int of its own, with a count to watch
    before = sys.getrefcount(None), sys.getrefcount(address)
    for _ in range(5000):
        functions["call"](sum_kernel, 0, address)
        with pytest.raises(TypeError):
            functions["call"](sum_kernel, None)
    after = sys.getrefcount(None), sys.getrefcount(address)
    assert abs(after[0] - before[0]) < 500 and abs(after[1] - before[1]) < 5


def test_minus_one_is_an_address_like_another(functions: Functions, sum_kernel: int) -> None:
    functions["call"](sum_kernel, 0, -1, -1)


@pytest.mark.parametrize("name", ["call_released", "run_program_released"])
def test_other_threads_run_meanwhile(functions: Functions, name: str) -> None:
    wait = kernels.load(CodeUnit("wait", (("text", WAIT),), lambda: WAIT))
    flag = words(0)

    def release() -> None:
        flag[0] = 1

    timer = threading.Timer(0.01, release)
    timer.start()
    if name == "call_released":
        functions[name](wait, 0, at(flag))
    else:
        table = ProgramTable([Step(wait, 0, (0,))], [Slot.argument(0)], 1)
        functions[name](table.address, 0, at(flag))
    timer.join()


@pytest.mark.parametrize("name", ["run_program", "run_program_released"])
def test_a_program_walks_its_steps(functions: Functions, sum_kernel: int, name: str) -> None:
    constant, two, three = words(100, 7), words(2), words(3)
    slots = [
        Slot.arena(0),  # 0
        Slot.argument(1),  # 1
        Slot.constant(at(constant, 1)),  # 2
        Slot.argument(0, 8),  # 3: the second word of the first operand
        Slot.arena(8),  # 4
        Slot.argument(2),  # 5
        Slot.argument(0),  # 6
    ]
    steps = [
        Step(sum_kernel, at(two), (1, 2, 0)),  # arena[0] = b + 7
        Step(sum_kernel, at(two), (0, 3, 4)),  # arena[1] = arena[0] + a[1]
        Step(sum_kernel, at(three), (4, 6, 0, 5)),  # out = arena[1] + a[0] + arena[0]
    ]
    table = ProgramTable(steps, slots, 3, keep=[constant, two, three])
    arena = words(0, 0)
    for a0, a1, b in ((1, 20, 300), (-5, 4, 11)):
        a, second, out = words(a0, a1), words(b), words(0)
        functions[name](table.address, at(arena), at(a), at(second), at(out))
        assert list(arena) == [b + 7, b + 7 + a1]
        assert out[0] == (b + 7 + a1) + a0 + (b + 7)
    assert table.keep[0] is constant


def test_an_empty_program(functions: Functions) -> None:
    functions["run_program"](ProgramTable([], [], 0).address, 0)
    functions["run_program"](ProgramTable([], [Slot.argument(0)], 2).address, 0, 0, 0)


def test_a_long_program_of_wide_steps(functions: Functions, sum_kernel: int) -> None:
    count, desc = 1000, words(1000)
    values, outs = words(*range(count)), words(*[0] * 50)
    slots = [Slot.constant(at(values, i)) for i in range(count)]
    slots += [Slot.argument(0, 8 * i) for i in range(50)]
    steps = [Step(sum_kernel, at(desc), (*range(count), count + i)) for i in range(50)]
    table = ProgramTable(steps, slots, 1, keep=[values, desc])
    functions["run_program"](table.address, 0, at(outs))
    assert list(outs) == [sum(range(count))] * 50


def test_bad_program_calls(functions: Functions, sum_kernel: int) -> None:
    run = functions["run_program"]
    table = ProgramTable([], [Slot.arena(0)], 1)
    not_a_table = words(*range(16))
    for arguments, error, message in (
        ((), TypeError, "expected the addresses"),
        ((0, 0), ValueError, "not the address of a program table"),
        ((at(not_a_table), 0), ValueError, "not the address of a program table"),
        ((table.address, 1), TypeError, "another number"),
        ((table.address, 1, 1, 1), TypeError, "another number"),
        ((table.address, 0, 1), ValueError, "arena"),
        ((table.address, 1, 1.5), TypeError, "integer"),
        ((None, 1, 1), TypeError, "integer"),
    ):
        with pytest.raises(error, match=message):
            run(*arguments)


@pytest.mark.parametrize(
    ("steps", "slots"),
    [
        ([Step(0, 0, ())], []),
        ([Step(1, 0, (0,))], []),
        ([Step(1, 0, (-1,))], [Slot.arena(0)]),
        ([], [Slot.argument(1)]),
        ([], [Slot.argument(-1)]),
        ([], [Slot("heap", 0)]),
        ([], [Slot.arena(0)] * (native.MAX_POINTERS + 1)),
    ],
)
def test_bad_tables_are_refused(steps: list[Step], slots: list[Slot]) -> None:
    with pytest.raises(ArgumentError, match="ProgramTable"):
        ProgramTable(steps, slots, 1)


def test_run_is_the_slow_spelling(sum_kernel: int) -> None:
    one, value, out = words(1), words(9), words(0)
    table = ProgramTable(
        [Step(sum_kernel, at(one), (0, 1))], [Slot.argument(0), Slot.argument(1)], 2
    )
    table.run(0, at(value), at(out))
    assert out[0] == 9
