"""torch._foreach_* against real PyTorch: values, dtypes, what is given back, classes of errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.parity.test_nn import OURS, oracle, run

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


def test_one_operation_on_many_tensors(tmp_path: Path) -> None:
    theirs = run(oracle(), "foreach_cases.py", tmp_path / "theirs.json")
    ours = run(OURS, "foreach_cases.py", tmp_path / "ours.json")
    wrong = {name: (ours[name], theirs[name]) for name in theirs if ours[name] != theirs[name]}
    assert len(theirs) > 250
    assert not wrong, wrong
