"""The IR writer: constants, loops, branches, masks; what it writes runs."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from diptych.compiler.llvm import writer
from diptych.compiler.llvm.writer import Module, Value, constant, constants, vector
from diptych.compiler.unit import CodeUnit
from diptych.runtime.kernels import load


def address(module: Module, name: str) -> int:
    return load(CodeUnit(name, (("test", module.text()),), module.text))


def test_types() -> None:
    assert vector(1, "float") == "float"
    assert vector(8, "i64") == "<8 x i64>"
    assert writer.lanes_of("<8 x i64>") == 8
    assert writer.element_of("<8 x i64>") == "i64"
    assert writer.int_type("<4 x double>") == "<4 x i64>"
    assert writer.with_element("<4 x double>", "i1") == "<4 x i1>"


def test_constants() -> None:
    assert constant("float", 0.1).text == "0x3FB99999A0000000"
    assert constant("float", 1e300).text == "0x7FF0000000000000"
    assert constant("double", -0.0).text == "0x8000000000000000"
    assert constant("half", 1.0).text == "0xH3C00"
    assert str(constant("<4 x i32>", 7)) == "<4 x i32> splat (i32 7)"
    assert str(constants("i8", [1, 2])) == "<2 x i8> <i8 1, i8 2>"


def test_names_are_fresh_and_declarations_collected() -> None:
    module = Module("two lines\nof comment")
    w = module.function("f", [("ptr noalias", "x")])
    a = w.load("float", w.parameters[0])
    assert w.parameters[0].type == "ptr"
    assert w.intrinsic("sqrt", "float", [a]) != w.intrinsic("sqrt", "float", [a])
    w.ret()
    text = module.text()
    assert text.count("declare float @llvm.sqrt.f32(float)") == 1
    assert text.startswith("; two lines\n; of comment\n")


def test_mixed_types_are_our_bug() -> None:
    w = Module().function("f", [])
    with pytest.raises(AssertionError, match="i32 with i64"):
        w.add(constant("i32", 1), constant("i64", 1))


@pytest.mark.native
def test_loop_with_carried_values_and_masks() -> None:
    module = Module()
    w = module.function("writer_loop", [("ptr", "x"), ("ptr", "out"), ("i64", "n")])
    x, out, n = w.parameters
    with w.loop(0, n, 4, [constant("<4 x i32>", 0)]) as loop:
        mask = w.first_lanes(w.sub(n, loop.index), 4)
        taken = w.masked_load("<4 x i32>", w.offset(x, loop.index, "i32"), mask)
        w.masked_store(w.mul(taken, 2), w.offset(w.offset(out, 1, "i32"), loop.index, "i32"), mask)
        loop.next([w.add(loop.carried[0], taken)])
    total = w.reduce(loop.results[0], w.add)
    (total,) = w.choose(
        w.compare("sgt", n, 5), lambda: [total], lambda: [w.sub(constant("i32", 0), total)]
    )
    with w.when(w.compare("ne", n, 0)):
        w.store(total, out)
    w.ret()
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(
        address(module, "writer_loop")
    )
    for count in (0, 3, 4, 9):
        values = np.arange(1, count + 1, dtype=np.int32)
        result = np.full(count + 3, -7, np.int32)
        call(values.ctypes.data, result.ctypes.data, count)
        total_wanted = int(values.sum()) * (1 if count > 5 else -1) if count else -7
        np.testing.assert_array_equal(result, [total_wanted, *(2 * values), -7, -7])


@pytest.mark.native
def test_doubling_step_gather_and_stack() -> None:
    module = Module()
    w = module.function("writer_steps", [("ptr", "x"), ("ptr", "out")])
    x, out = w.parameters
    room = w.stack("i64", 8)
    with w.loop(1, constant("i64", 200), 1, [constant("i64", 0)]) as loop:  # 1, 2, 4, ..., 128
        w.store(loop.index, w.offset(room, loop.carried[0], "i64"))
        loop.next([w.add(loop.carried[0], 1)])
        loop.step = loop.index
    powers = w.load("<8 x i64>", room)
    picked = w.gather("<8 x float>", w.offset(x, powers, "float"))
    w.store(w.shuffle(picked, range(7, -1, -1)), out)
    w.store(w.cast("sitofp", loop.results[0], "float"), w.offset(out, 8, "float"))
    w.ret()
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address(module, "writer_steps"))
    values, result = np.arange(256, dtype=np.float32), np.zeros(9, np.float32)
    call(values.ctypes.data, result.ctypes.data)
    np.testing.assert_array_equal(result, [128, 64, 32, 16, 8, 4, 2, 1, 8])
    assert Value("%a", "i8") == Value("%a", "i8")
