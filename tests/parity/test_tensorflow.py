"""golden.json against the real TensorFlow: what the calls' tests compare with is what it gives."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from diptych import config

FOLDER = Path(__file__).resolve().parents[1] / "tensorflow"

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


def test_golden_is_what_tensorflow_gives() -> None:
    oracle = config.ORACLE.get()
    if not oracle:
        pytest.skip("no real TensorFlow: DIPTYCH_ORACLE names no Python")
    probe = subprocess.run(
        [oracle, "-c", "import tensorflow"], capture_output=True, check=False, timeout=120
    )
    if probe.returncode:
        pytest.skip(f"{oracle} has no tensorflow")
    done = subprocess.run(
        [oracle, str(FOLDER / "cases.py")], capture_output=True, text=True, check=True, timeout=600
    )
    golden = (FOLDER / "golden.json").read_text(encoding="utf-8")
    assert json.loads(done.stdout).keys() == json.loads(golden).keys()
    for group, results in json.loads(done.stdout).items():
        kept = json.loads(golden)[group]
        differing = [p for p, r in results.items() if repr(r) != repr(kept[p])]
        assert not differing, f"{group}: {differing}"
