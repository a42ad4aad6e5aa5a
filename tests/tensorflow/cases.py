"""Calls of TensorFlow as data: expressions run on the real one for golden.json, and on our face.

    /path/to/python/with/tensorflow tests/tensorflow/cases.py > tests/tensorflow/golden.json

The cases are in ``cases_data``: Python expressions over ``tf`` and ``np`` (lines, or what stands
before a ``;``, are statements before it). Its
outcome is described in JSON: a value with dtype and shape, or an error's class and message.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

CASES = Path(__file__).with_name("cases_data")


def cases() -> dict[str, list[str]]:
    """The cases by group: a line each, or in files that have blank lines, what stands between."""
    out: dict[str, list[str]] = {}
    for path in sorted(CASES.glob("*.txt")):
        text = path.read_text(encoding="utf-8").strip()
        out[path.stem] = text.split("\n\n") if "\n\n" in text else text.splitlines()
    return out


def run(program: str, tf: Any, np: Any) -> Any:
    """The described outcome of one case."""
    space = {"tf": tf, "np": np}
    try:
        return describe(evaluate(program, space), tf, np)
    except Exception as error:
        # Some of TensorFlow's texts end in a traceback, whose paths are the oracle's own.
        return ["error", type(error).__name__, str(error).split("\nTraceback")[0]]


def evaluate(program: str, space: dict[str, Any]) -> Any:
    """Run the statements of a case and give the value of its last expression."""
    *body, last = split(program)
    for statement in body:
        exec(statement, space)
    try:
        code = compile(last, "<case>", "eval")
    except SyntaxError:
        exec(last, space)
        return None
    return eval(code, space)


def split(program: str) -> list[str]:
    """Top-level statements: by lines (indented ones belong to the line before), or by ``;``."""
    if "\n" not in program:
        return [part.strip() for part in program.split("; ")]
    out: list[str] = []
    for line in program.split("\n"):
        if out and (line.startswith(" ") or out[-1].startswith("@") and "\n" not in out[-1]):
            out[-1] += "\n" + line
        else:
            out.append(line)
    return out


def describe(value: Any, tf: Any, np: Any) -> Any:
    """A value as JSON: tensors with dtype, shape and elements."""
    if isinstance(value, tf.Variable):
        return ["variable", value.name, describe(value.read_value(), tf, np)]
    if isinstance(value, tf.Tensor):
        array = (
            np.asarray(tf.cast(value, tf.float32)) if value.dtype == tf.bfloat16 else value.numpy()
        )
        return ["tensor", value.dtype.name, list(value.shape), elements(array, np)]
    if isinstance(value, np.ndarray) or isinstance(value, np.generic):
        return ["numpy", str(value.dtype), list(value.shape), elements(value, np)]
    if isinstance(value, dict):
        return {str(key): describe(item, tf, np) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *[describe(item, tf, np) for item in value]]
    return ["value", repr(value)]


def elements(array: Any, np: Any) -> Any:
    """Elements as (nested lists of) numbers; complex ones as strings."""
    array = np.asarray(array)
    if array.dtype.kind == "c":
        return [str(item) for item in array.ravel().tolist()]
    return array.tolist()


if __name__ == "__main__":
    import numpy
    import tensorflow

    golden = {
        group: {program: run(program, tensorflow, numpy) for program in programs}
        for group, programs in cases().items()
    }
    lines = []
    for group, results in golden.items():
        rows = ",\n".join(f"  {json.dumps(p)}: {json.dumps(r)}" for p, r in results.items())
        lines.append(f" {json.dumps(group)}: {{\n{rows}\n }}")
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
