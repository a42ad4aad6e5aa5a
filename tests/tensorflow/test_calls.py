"""Every case of cases_data on our face against what TensorFlow gave (golden.json)."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import diptych.tensorflow as tf
from tests.tensorflow.cases import cases, run

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))
_STRINGS = "there are no tensors of strings yet"
DIFFERENT = {  # on purpose or not yet, with the reason; one that starts to agree fails
    "tf.constant([tf.constant(1), tf.constant(2)])": "TensorFlow's is a fault; we pack the tensors",
    "tf.math.no_such_name": "the module is not called tensorflow._api.v2.math",
    "x = tf.Variable(1.0)\nt = tf.GradientTape()\nt.watch(x)": "TensorFlow's is a fault of its own",
    'tf.add("a", 1)': _STRINGS,
    'tf.sqrt("a")': _STRINGS,
    'tf.nn.relu(tf.constant(["a"]))': _STRINGS,
    'tf.constant([1.0]) + "a"': _STRINGS,
    "tf.add(1)": "ours names the argument that is missing",
    "tf.nn.batch_normalization([[1.0]], [0.5], [4.0], [1.0], [2.0], 0.0)": "lists are tensors here",
    "round(tf.constant(1.6))": "a TypeError, as Python has it, not an AttributeError",
}
PROGRAMS = [(group, program) for group, programs in cases().items() for program in programs]
# Functions whose results agree to a few units in the last place.
RELATIVE, ABSOLUTE = 3e-6, 1e-7


def same(got: Any, expected: Any) -> bool:
    """Whether two descriptions agree, numbers up to rounding."""
    if isinstance(expected, float) and isinstance(got, (int, float)):
        if math.isnan(expected) or math.isinf(expected):
            return str(got) == str(expected)
        return math.isclose(got, expected, rel_tol=RELATIVE, abs_tol=ABSOLUTE)
    if isinstance(expected, list):
        if not isinstance(got, list) or len(got) != len(expected):
            return False
        if expected[:1] == ["error"]:
            return got[:2] == expected[:2] and worded(got[2]) == worded(expected[2])
        return all(same(a, b) for a, b in zip(got, expected, strict=True))
    if isinstance(expected, dict):
        return set(got) == set(expected) and all(same(got[k], expected[k]) for k in expected)
    return bool(got == expected)


def worded(message: str) -> str:
    """An error's text without what names a node of a graph that we do not have."""
    message = re.sub(r"\{\{function_node [^}]*\}\} ?", "", message)
    message = re.sub(r"\n\t; NodeDef: .*(?= \[Op:)", "", message, flags=re.DOTALL)
    message = re.sub(r"(\[Op:\w+\]) name:.*$", r"\1", message)
    message = re.sub(r"\bqu?int\d+, ", "", message)
    message = re.sub(r", node name: \w+", "", message)
    message = message.replace("_MklMatMul", "MatMul")
    message = message.replace("tensorflow.python.framework.ops.EagerTensor", "EagerTensor")
    return message.removesuffix(" ")


@pytest.mark.parametrize(("group", "program"), PROGRAMS, ids=[p for _, p in PROGRAMS])
def test_call(group: str, program: str) -> None:
    expected = GOLDEN[group][program]
    got = json.loads(json.dumps(run(program, tf, np)))
    if program in DIFFERENT:
        assert not same(got, expected), f"{program} agrees now: take it out of DIFFERENT"
        return
    assert same(got, expected), f"\n{program}\ngot      {got}\nexpected {expected}"
