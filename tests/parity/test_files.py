"""Files pass between real PyTorch and us: see file_cases.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity.test_nn import oracle, run

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


def test_files_pass_both_ways(tmp_path: Path) -> None:
    found = run(oracle(), "file_cases.py", tmp_path / "found.json")
    assert found["cases"] == 9 and not found["failed"], found["failed"]
