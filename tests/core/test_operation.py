"""The registry of operations, and what declarations say."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from diptych import engine as engine
from diptych.core.operation import (
    NO_OUTPUTS,
    BadCall,
    NoBatching,
    NotDifferentiable,
    Primitive,
    Sample,
    Tolerance,
    lookup,
    registered,
)
from diptych.errors import ArgumentError, ShapeError


def test_operations_are_found_by_name_and_pickled_as_it() -> None:
    add = lookup("add")
    assert add in registered()
    assert pickle.loads(pickle.dumps(add)) is add
    with pytest.raises(KeyError):
        lookup("no such operation")


def test_a_name_is_taken_once() -> None:
    before = registered()
    with pytest.raises(ArgumentError, match="not yet taken"):
        Primitive(
            "add", "host", params=(), saves="", infer=lambda *_: None, reference=np.add,
            vjp=NotDifferentiable("test"), batch=NoBatching("test"), lower="host",
            samples=lambda: [Sample(())], errors=lambda: [BadCall((), ShapeError, "")],
            tolerance=Tolerance(),
        )  # fmt: skip
    assert registered() == before


def test_what_is_saved_depends_on_who_wants_a_gradient() -> None:
    mul = lookup("mul")
    assert mul.saving((True, False)) == (frozenset({1}), NO_OUTPUTS)
    assert mul.saving((False, True)) == (frozenset({0}), NO_OUTPUTS)
    assert mul.saving((True, True)) == (frozenset({0, 1}), NO_OUTPUTS)
    assert lookup("exp").saving((True,)) == (frozenset(), 0)
    assert lookup("index").saving((True, False, False)) == (frozenset({1, 2}), NO_OUTPUTS)
    assert lookup("scatter").saving((True, False, False)) == (frozenset({0, 1, 2}), 0)
    # a norm reads its statistics, not what it gives: that may be changed in place
    assert lookup("layer_norm").saving((True, False, False)) == (frozenset({0, 1, 2}), 1)


def test_tolerances_default_by_width() -> None:
    tolerance = Tolerance({"float32": 1e-3})
    assert tolerance.of("float32") == 1e-3
    assert tolerance.of("float64") == 1e-10
    assert tolerance.of("bfloat16") == tolerance.of("float16") == 1e-2


def test_differentiable_or_a_reason() -> None:
    eq = lookup("eq")
    assert not eq.differentiable and "truth" in eq.why_no_gradient
    assert lookup("add").differentiable
