"""The torchvision companion against the real torchvision, one program run on both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diptych import config
from tests.companions.test_torchvision import agree

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


def run(command: list[str], out: Path) -> dict[str, Any]:
    subprocess.run(
        [*command, str(HERE / "torchvision_cases.py"), str(out)],
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_against_torchvision(tmp_path: Path) -> None:
    oracle = config.ORACLE.get()
    probe = "import importlib.util as u, sys; sys.exit(u.find_spec('torchvision') is None)"
    if not oracle or subprocess.run([oracle, "-c", probe]).returncode:
        pytest.skip("no real torchvision: DIPTYCH_ORACLE names no Python that has it")
    expected = run([oracle, "-W", "ignore"], tmp_path / "real.json")
    actual = run([sys.executable, "-m", "diptych", "run"], tmp_path / "ours.json")
    assert expected.keys() == actual.keys()
    bad = [key for key in expected if not agree(expected[key], actual[key], key)]
    assert not bad, {key: (expected[key], actual[key]) for key in bad[:5]}
