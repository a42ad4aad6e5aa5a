"""Convolutions and padding against real PyTorch, once through, and twenty steps of training."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity.test_nn import OURS, agrees, oracle, run

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


def test_convolutions_layers_and_padding(tmp_path: Path) -> None:
    theirs = run(oracle(), "convolution_cases.py", tmp_path / "theirs.json")
    ours = run(OURS, "convolution_cases.py", tmp_path / "ours.json")
    assert len(theirs) > 90
    wrong = []
    for name in theirs:
        # Rounding to bfloat16 happens elsewhere in their sums; losses drift over the steps.
        tolerance = 3e-2 if "bfloat16" in name else 1e-4 if name == "training" else 3e-5
        if not agrees(ours.get(name), theirs[name], tolerance):
            wrong.append(name)
    assert not wrong, {name: (ours.get(name), theirs[name]) for name in wrong[:3]}
