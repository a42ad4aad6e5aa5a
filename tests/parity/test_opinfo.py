"""PyTorch's OpInfo entries, forward and gradient, on the face: a floor, and none falls back."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.parity import opinfo
from tests.parity.test_nn import oracle

pytestmark = [pytest.mark.oracle, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]

# The share of entries that agree, of all and of the public ones: raised as it grows.
FLOOR = 0.94
FLOOR_PUBLIC = 0.97


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    out = tmp_path_factory.mktemp("opinfo") / "rows.json"
    subprocess.run(
        [*oracle(), "-m", "tests.parity.opinfo", "--json", str(out)],
        check=True, timeout=900, cwd=ROOT, stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    return json.loads(out.read_text())  # type: ignore[no-any-return]


def test_share_of_entries_that_agree(rows: dict[str, dict[str, Any]]) -> None:
    for floor, public in ((FLOOR, False), (FLOOR_PUBLIC, True)):
        good, count = opinfo.share(rows, public)
        assert good >= floor * count, f"{good} of {count}\n{opinfo.summary(rows)}"


def test_no_entry_falls_back(rows: dict[str, dict[str, Any]]) -> None:
    kept = json.loads(opinfo.KEPT.read_text())
    worse = [
        f"{name}: {rows[name]['verdict']}: {rows[name]['reason']}"
        for name, row in kept.items()
        if row["verdict"] == "agrees" and name in rows and rows[name]["verdict"] != "agrees"
    ]
    assert not worse, "\n".join(worse)
