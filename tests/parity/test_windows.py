"""Pooling, resampling, sampling, folding and indexing against real PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity.test_nn import OURS, agrees, oracle, run

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


def test_windows_and_indices(tmp_path: Path) -> None:
    theirs = run(oracle(), "window_cases.py", tmp_path / "theirs.json")
    ours = run(OURS, "window_cases.py", tmp_path / "ours.json")
    wrong = [name for name in theirs if not agrees(ours.get(name), theirs[name], 5e-5)]
    assert len(theirs) > 600
    assert not wrong, {name: (ours.get(name), theirs[name]) for name in wrong[:3]}
