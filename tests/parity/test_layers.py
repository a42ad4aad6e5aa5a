"""Normalizations, losses, bags, lazy layers and nn.utils against real PyTorch."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.parity.test_nn import HERE, OURS, agrees, oracle, run

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


def test_layers_forward_backward_state_and_text(tmp_path: Path) -> None:
    theirs = run(oracle(), "layer_cases.py", tmp_path / "theirs.json")
    ours = run(OURS, "layer_cases.py", tmp_path / "ours.json")
    wrong = [name for name in theirs if not agrees(ours.get(name), theirs[name], 1e-5)]
    assert len(theirs) > 850
    assert not wrong, {name: (ours.get(name), theirs[name]) for name in wrong[:3]}


def test_parametrizations_pruning_packing_and_clipping() -> None:
    printed = []
    for command in (oracle(), OURS):
        made = subprocess.run(
            [command[0], "-W", "ignore", *command[1:], str(HERE / "utils_cases.py")],
            check=True,
            timeout=300,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(HERE.parents[1] / "src")},
        )
        printed.append(made.stdout.splitlines())
    theirs, ours = printed
    assert len(theirs) > 240
    assert ours == theirs, [pair for pair in zip(theirs, ours, strict=False) if len(set(pair)) > 1]
