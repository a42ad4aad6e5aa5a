"""Writes tests/torch/golden.json: what real PyTorch gives for a sample of the parity expressions.

PYTHONPATH=src:. /path/to/an/oracle/python tools/torch_golden.py
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch

from tests.parity.torch_cases import AREAS, environment
from tests.parity.torch_known import KNOWN

STEP = {"promotion": 9, "unary": 5, "binary": 11, "printing": 2, "gradients": 1, "breadth": 2}
FILE = Path(__file__).resolve().parents[1] / "tests" / "torch" / "golden.json"


def golden() -> dict[str, dict[str, str]]:
    """Area -> expression -> its text, or the class of the error it raises."""
    found: dict[str, dict[str, str]] = {}
    for area, expressions in AREAS.items():
        asked = [e for e in dict.fromkeys(expressions()) if e not in KNOWN]
        rows = found.setdefault(area, {})
        for expression in asked[:: STEP.get(area, 4)]:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    text = repr(eval(expression, environment(torch)))
            except Exception as error:
                text = f"raises {type(error).__name__}"
            if "0x" not in text and len(text) < 1500:
                rows[expression] = text
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(golden(), indent=0, ensure_ascii=True) + "\n")
