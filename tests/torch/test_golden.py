"""A sample of the parity expressions against what PyTorch gave for them (tools/torch_golden.py)."""

from __future__ import annotations

import builtins
import json
import re
import warnings
from pathlib import Path

import pytest

import diptych.torch as torch
from diptych.torch.linalg import LinAlgError
from tests.parity.torch_cases import environment

GOLDEN: dict[str, dict[str, str]] = json.loads(Path(__file__).with_name("golden.json").read_text())
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf|nan)")


def evaluate(expression: str) -> tuple[str, Exception | None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return repr(eval(expression, environment(torch))), None
    except Exception as error:  # the comparison is what the test is about
        return f"{type(error).__name__}: {error}", error


def close(expected: str, actual: str) -> bool:
    """Whether two texts differ only in the last digits of numbers, or in the sign of a zero."""
    shapes = ["".join(NUMBER.sub("#", text).split()) for text in (expected, actual)]
    if shapes[0] != shapes[1]:
        return False
    for a, b in zip(NUMBER.findall(expected), NUMBER.findall(actual), strict=True):
        first, second = float(a), float(b)
        if not (first == second or abs(first - second) <= 1e-6 + 2e-4 * abs(first) or a == b):
            return False
    return True


def agrees(expression: str, expected: str) -> bool:
    actual, error = evaluate(expression)
    if expected.startswith("raises "):
        name = expected.removeprefix("raises ")
        wanted = getattr(builtins, name, LinAlgError)
        return error is not None and isinstance(error, wanted)
    return error is None and (actual == expected or close(expected, actual))


@pytest.mark.parametrize("area", GOLDEN)
def test_golden(area: str) -> None:
    wrong = [e for e, expected in GOLDEN[area].items() if not agrees(e, expected)]
    shown = "\n".join(f"{e}\n  {GOLDEN[area][e]}\n  {evaluate(e)[0]}" for e in wrong[:5])
    assert not wrong, f"{len(wrong)} of {len(GOLDEN[area])} differ:\n{shown}"


def test_printing_to_the_letter() -> None:
    for expression, expected in GOLDEN["printing"].items():
        assert evaluate(expression)[0] == expected, expression
