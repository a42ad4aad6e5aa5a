"""The elementary functions against wider arithmetic, in units of the last place."""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from diptych.compiler.llvm import math as emitters
from diptych.compiler.llvm.writer import Module, vector
from diptych.compiler.target import Target, host
from diptych.compiler.unit import CodeUnit
from diptych.runtime.kernels import load

pytestmark = pytest.mark.native
Array = np.ndarray[Any, Any]
LEVELS = sorted({host(level) for level in ("", "avx2", "generic")}, key=lambda t: -t.vector_bytes)


@functools.cache
def function(op: str, element: str, target: Target, arity: int) -> Callable[..., Array]:
    """A native loop over whole vectors."""
    lanes = target.lanes(4 if element == "float" else 8)
    name = f"math_{op}_{element}_{target.vector_bytes}"

    def text() -> str:
        module = Module()
        parameters = [("ptr", f"x{k}") for k in range(arity)] + [("ptr", "out"), ("i64", "n")]
        w = module.function(name, parameters)
        *inputs, out, count = w.parameters
        with w.loop(0, count, lanes) as loop:
            args = [
                w.load(vector(lanes, element), w.offset(x, loop.index, element)) for x in inputs
            ]
            w.store(emitters.emit(w, target, op, args), w.offset(out, loop.index, element))
        w.ret()
        return module.text()

    address = load(CodeUnit(name, (("test", name), ("target", target.cpu)), text))
    signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (arity + 1), ctypes.c_int64)
    native = signature(address)

    def call(*inputs: Array) -> Array:
        size = -(-len(inputs[0]) // lanes) * lanes
        padded = [np.concatenate([x, np.zeros(size - len(x), x.dtype)]) for x in inputs]
        out = np.empty_like(padded[0])
        native(*(x.ctypes.data for x in [*padded, out]), size)
        return out[: len(inputs[0])]

    return call


def ulps(got: Array, wanted: Array) -> Array:
    """Distance from the wide ``wanted`` in units of ``got``'s last place; 0 where both are NaN
    or the same infinity."""
    narrow = got.dtype
    with np.errstate(all="ignore"):
        rounded = wanted.astype(narrow)
        unit = np.maximum(np.spacing(np.abs(rounded)), np.finfo(narrow).smallest_subnormal)
        largest = np.finfo(narrow).max
        unit = np.where(np.isinf(rounded), np.spacing(largest), unit)
        clipped = np.where(np.isinf(rounded), np.sign(wanted) * np.inf, wanted)
        error = np.abs(got.astype(wanted.dtype) - clipped) / unit
        same = (np.isnan(got) & np.isnan(rounded)) | (got == rounded)
    return np.where(same, 0, np.where(np.isnan(error), np.inf, error))


def samples(dtype: type) -> Array:
    """Every magnitude, the middle ranges densely, and the special values."""
    draw = np.random.default_rng(7)
    bits = np.uint32 if dtype is np.float32 else np.uint64
    wide = draw.integers(0, np.iinfo(bits).max, 60_000, dtype=bits).view(dtype)
    parts = [wide[np.isfinite(wide)]]
    for scale in (1e-3, 0.1, 1, 2, 10, 100, 800, 1e4):
        parts.append(draw.uniform(-scale, scale, 20_000).astype(dtype))
    tiny, largest = np.finfo(dtype).tiny, np.finfo(dtype).max
    special = [0.0, -0.0, 1, -1, 0.5, -0.5, np.inf, -np.inf, np.nan, tiny, -tiny, tiny / 8,
               largest, -largest, 88.722839, -103.9, 709.78, -745.1]  # fmt: skip
    return np.concatenate([*parts, np.array(special, dtype)])


def each(one: Callable[[float], float]) -> Callable[[Array], Array]:
    return lambda x: np.array([one(v) for v in x.tolist()])


def sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


REFERENCE: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2,
    "log10": np.log10, "log1p": np.log1p, "tanh": np.tanh, "sigmoid": sigmoid, "sinh": np.sinh,
    "cosh": np.cosh, "sin": np.sin, "cos": np.cos, "tan": np.tan, "atan": np.arctan,
    "asin": np.arcsin, "acos": np.arccos, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "cbrt": np.cbrt, "erf": each(math.erf), "erfc": each(math.erfc),
}  # fmt: skip


@pytest.mark.parametrize("target", LEVELS, ids=lambda t: t.cpu)
@pytest.mark.parametrize("op", sorted(REFERENCE))
def test_float_within_two_ulp(op: str, target: Target) -> None:
    x = samples(np.float32)
    with np.errstate(all="ignore"):
        wanted = REFERENCE[op](x.astype(np.float64))
    got = function(op, "float", target, 1)(x)
    error = ulps(got, wanted)
    worst = int(np.argmax(error))
    assert error[worst] <= 2, f"{op}({x[worst]!r}) = {got[worst]!r}, not {wanted[worst]!r}"
    if op not in ("cos", "cosh", "exp", "exp2", "sigmoid", "acos", "erfc"):
        zero = np.array([-0.0], np.float32)
        assert op.startswith("log") and op != "log1p" or op == "acosh" or np.signbit(
            function(op, "float", target, 1)(zero)[0]
        )  # fmt: skip


@pytest.mark.parametrize("op", sorted(emitters.DOUBLE))
def test_double_within_three_ulp(op: str) -> None:
    x = samples(np.float64)
    with np.errstate(all="ignore"):
        wanted = REFERENCE[op](x.astype(np.longdouble))
    got = function(op, "double", host(), 1)(x)
    error = ulps(got, wanted)
    worst = int(np.argmax(error))
    assert error[worst] <= 3, f"{op}({x[worst]!r}) = {got[worst]!r}, not {wanted[worst]!r}"


def pairs() -> tuple[Array, Array]:
    draw = np.random.default_rng(3)
    special = np.array([0, -0.0, 1, -1, 2, -2, 3, 0.5, -0.5, np.inf, -np.inf, np.nan, 1e-40, 3e38])
    a, b = np.meshgrid(special, special)
    x = np.concatenate([a.ravel(), draw.uniform(0, 4, 20_000), draw.normal(0, 50, 20_000)])
    y = np.concatenate([b.ravel(), draw.normal(0, 40, 20_000), np.round(draw.normal(0, 9, 20_000))])
    return x.astype(np.float32), y.astype(np.float32)


@pytest.mark.parametrize("op", ["pow", "atan2"])
def test_float_of_two_arguments(op: str) -> None:
    x, y = pairs()
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64), y.astype(np.float64)
        wanted = np.power(*wide) if op == "pow" else np.arctan2(*wide)
    got = function(op, "float", host(), 2)(x, y)
    error = ulps(got, wanted)
    worst = int(np.argmax(error))
    assert error[worst] <= 2, f"{op}({x[worst]}, {y[worst]}) = {got[worst]}, not {wanted[worst]}"
    signs = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(got[signs]), np.signbit(wanted[signs]))


def test_double_falls_back_to_libm() -> None:
    x = np.linspace(-3, 3, 50)
    np.testing.assert_allclose(function("sin", "double", host(), 1)(x), np.sin(x), rtol=1e-15)
