"""Thousands of expressions evaluated by real PyTorch and by the face: same text, same errors."""

from __future__ import annotations

import re
import warnings
from typing import Any

import pytest

import diptych.torch as ours
from tests.parity.torch_cases import AREAS, environment
from tests.parity.torch_known import KNOWN

real = pytest.importorskip("torch", reason="the real PyTorch is not installed beside this Python")
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(
        not getattr(real, "__file__", "").endswith("torch/__init__.py") or real is ours,
        reason="the name torch is taken by diptych's face here",
    ),
    pytest.mark.filterwarnings("ignore"),
]
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf|nan)")


def evaluate(torch: Any, expression: str) -> tuple[str, Exception | None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return repr(eval(expression, environment(torch))), None
    except Exception as error:  # the comparison is what the test is about
        return f"{type(error).__name__}: {error}", error


def close(expected: str, actual: str) -> bool:
    """Whether two texts differ only in the last digits of numbers, or in the sign of a zero."""
    texts = ["".join(NUMBER.sub("#", text).split()) for text in (expected, actual)]
    if texts[0] != texts[1]:
        return False
    pairs = zip(NUMBER.findall(expected), NUMBER.findall(actual), strict=True)
    for a, b in pairs:
        first, second = float(a), float(b)
        if first != second and not abs(first - second) <= 1e-6 + 2e-4 * abs(first):
            if first == first or second == second:
                return False
    return True


def agree(expression: str) -> bool:
    expected, refused = evaluate(real, expression)
    actual, error = evaluate(ours, expression)
    if refused is not None or error is not None:
        return refused is not None and error is not None and isinstance(error, type(refused))
    return expected == actual or "0x" in expected or close(expected, actual)


@pytest.mark.parametrize("area", AREAS)
def test_expressions(area: str) -> None:
    expressions = list(dict.fromkeys(AREAS[area]()))
    wrong = [e for e in expressions if e not in KNOWN and not agree(e)]
    shown = "\n".join(f"{e}\n  {evaluate(real, e)[0]}\n  {evaluate(ours, e)[0]}" for e in wrong[:5])
    assert not wrong, f"{len(wrong)} of {len(expressions)} differ:\n{shown}"


def test_known_differences_still_differ() -> None:
    every = {e for area in AREAS.values() for e in area()}
    stale = [e for e in KNOWN if e not in every or agree(e)]
    assert not stale, f"these agree now (or are no longer asked): {stale}"
