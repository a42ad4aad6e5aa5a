"""Runs the operations' tests once on each evaluator, with plans of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from diptych import engine
from diptych.compiler.llvm import backend
from diptych.core import call
from diptych.core.operation import registered

_kept: dict[str, tuple[Any, dict[Any, tuple[dict[Any, Any], dict[Any, Any]]]]] = {}


def _evaluator(name: str) -> tuple[Any, dict[Any, tuple[dict[Any, Any], dict[Any, Any]]]]:
    if name not in _kept:
        made = engine.ReferenceBackend() if name == "reference" else engine.NativeBackend()
        _kept[name] = (engine.EagerEvaluator(made), {})
    return _kept[name]


@contextlib.contextmanager
def _installed(name: str) -> Iterator[str]:
    """Installs an evaluator; plans it made for earlier tests are found again."""
    chosen, plans = _evaluator(name)
    operations = registered()
    before = [(op.plans, op.backward_plans) for op in operations]
    for op in operations:
        op.plans, op.backward_plans = plans.setdefault(op, ({}, {}))
    try:
        with call.installed(chosen):
            yield name
    finally:
        for op, (forward, backward) in zip(operations, before, strict=True):
            op.plans, op.backward_plans = forward, backward


@pytest.fixture(params=["reference", pytest.param("native", marks=pytest.mark.native)])
def evaluator(request: Any) -> Iterator[str]:
    """The name of the evaluator that is installed for this test: both in turn."""
    if request.param == "native" and not backend.version():
        pytest.skip("LLVM is not installed")
    with _installed(request.param) as name:
        yield name


@pytest.fixture
def reference() -> Iterator[str]:
    """NumPy's evaluator, for tests of what does not depend on it."""
    with _installed("reference") as name:
        yield name


@pytest.fixture
def native() -> Iterator[str]:
    """The compiled evaluator alone."""
    if not backend.version():
        pytest.skip("LLVM is not installed")
    with _installed("native") as name:
        yield name
