"""Expressions: identity, constants, dtype rules, canonical text."""

from __future__ import annotations

import math

import pytest

from diptych.core.dtypes import bool_, float32, float64, int8, int64, uint8
from diptych.loops.expression import (
    OPS,
    Cast,
    Constant,
    Load,
    LoadAt,
    Select,
    apply,
    cast,
    text,
    walk,
)
from diptych.loops.interpreter import OPS as INTERPRETED

X, Y = Load(0, float32), Load(1, float32)


def test_equal_expressions_are_one_object() -> None:
    assert apply("add", Load(0, float32), Y) is apply("add", X, Load(1, float32))
    assert apply("add", X, Y) is not apply("add", Y, X)
    assert cast(X, float32) is X
    assert cast(X, float64) is Cast(X, float64)


def test_constants_are_told_apart_by_value_and_dtype() -> None:
    assert Constant(0.0, float32) is not Constant(-0.0, float32)
    assert Constant(math.nan, float32) is Constant(math.nan, float32)
    assert Constant(1, float32) is Constant(1.0, float32)
    assert Constant(1, float32) is not Constant(1, float64)
    assert Constant(True, bool_) is Constant(1, bool_)
    assert Constant(1, bool_) is not Constant(1, int8)


def test_integer_constants_wrap() -> None:
    assert Constant(200, int8).value == -56
    assert Constant(-1, uint8).value == 255
    assert Constant((1 << 63) + 1, int64).value == -(1 << 63) + 1


def test_deep_sharing_stays_small() -> None:
    node = X
    for _ in range(500):
        node = apply("add", node, node)
    assert len(list(walk([node]))) == 501
    assert len(text([node])[0]) == 501


def test_dtypes_follow_from_the_arguments() -> None:
    assert apply("lt", X, Y).dtype is bool_
    assert apply("isnan", X).dtype is bool_
    assert apply("add", X, Y).dtype is float32
    assert Select(apply("lt", X, Y), X, Y).dtype is float32


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="insert Casts"):
        apply("add", X, Load(1, float64))
    with pytest.raises(TypeError, match="takes 2"):
        apply("add", X)
    with pytest.raises(TypeError, match="kind f"):
        apply("exp", Load(0, int64))
    with pytest.raises(ValueError, match="not a scalar operation"):
        apply("frobnicate", X)
    with pytest.raises(TypeError, match="Select"):
        Select(X, X, Y)
    with pytest.raises(TypeError, match="int64"):
        LoadAt(0, Load(1, int8), float32)


def test_text_is_canonical() -> None:
    lines, roots = text([apply("mul", apply("add", X, Y), apply("add", X, Y)), X])
    assert lines == [
        "%0 = load 0 float32",
        "%1 = load 1 float32",
        "%2 = add %0 %1",
        "%3 = mul %2 %2",
    ]
    assert roots == ["%3", "%0"]
    assert text([Constant(0.1, float64)])[0] == ["%0 = const 0x1.999999999999ap-4 float64"]


def test_interpreter_knows_every_operation() -> None:
    assert set(INTERPRETED) == set(OPS)
