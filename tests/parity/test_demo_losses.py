"""The demo's first 100 losses against real PyTorch's, from one seed, dropout and shuffling on."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from diptych import config

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "examples" / "digits_mlp.py"
TOLERANCE = 1e-4  # relative

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


def oracle() -> str:
    """A Python with the real PyTorch: the one configured, or this one where it has it."""
    if config.ORACLE.get():
        return config.ORACLE.get()
    if importlib.util.find_spec("torch") is not None:
        return sys.executable
    pytest.skip("no real PyTorch: DIPTYCH_ORACLE names no Python, and this one has none")


def losses(command: list[str], data: str, file: Path) -> list[float]:
    if data == "mnist":
        source: list[str] = []
    else:
        spec = importlib.util.find_spec("sklearn")
        if spec is None or not spec.submodule_search_locations:
            pytest.skip("no scikit-learn, whose digits the demo reads (extra `demo`)")
        folder = spec.submodule_search_locations[0]
        source = ["--digits", os.path.join(folder, "datasets", "data", "digits.csv.gz")]
    subprocess.run(
        [*command, str(DEMO), "--data", data, "--steps", "100", "--losses", str(file), *source],
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    found: list[float] = json.loads(file.read_text())
    return found


@pytest.mark.parametrize("data", ["digits", "mnist"])
def test_first_hundred_losses(data: str, tmp_path: Path) -> None:
    if data == "mnist" and not (ROOT.parent / "shared" / "data" / "mnist").is_dir():
        pytest.skip("no ../shared/data/mnist beside this tree")
    expected = losses([oracle()], data, tmp_path / "torch.json")
    actual = losses([sys.executable, "-m", "diptych", "run"], data, tmp_path / "diptych.json")
    assert len(expected) == len(actual) == 100
    worst = max(abs(a - e) / abs(e) for a, e in zip(actual, expected, strict=True))
    assert worst < TOLERANCE, f"largest relative difference {worst:.2e}"
