"""Layers, losses, derivatives, optimizers, loaders and checkpoints against real PyTorch."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from diptych import config

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

pytestmark = [pytest.mark.oracle, pytest.mark.slow]


def oracle() -> list[str]:
    """The Python with the real PyTorch: the one configured, or this one where it has it."""
    if config.ORACLE.get():
        return [config.ORACLE.get()]
    if importlib.util.find_spec("torch") is not None:
        return [sys.executable]
    pytest.skip("no real PyTorch: DIPTYCH_ORACLE names no Python, and this one has none")


def run(command: list[str], program: str, out: Path, *arguments: str) -> Any:
    subprocess.run(
        [*command, str(HERE / program), str(out), *arguments],
        check=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    return json.loads(out.read_text())


OURS = [sys.executable, "-m", "diptych", "run"]


def agrees(ours: Any, theirs: Any, tolerance: float) -> bool:
    """Equal, but for rounding: NaN is NaN, numbers within a tolerance relative to at least one."""
    if isinstance(theirs, dict):
        if "error" in theirs:  # our class may be more particular; the text begins alike
            return (
                "error" in ours
                and theirs["error"][0] in ours["error"]
                and ours["text"][:30] == theirs["text"][:30]
            )
        return ours.keys() == theirs.keys() and all(
            agrees(ours[key], theirs[key], tolerance) for key in theirs
        )
    if isinstance(theirs, list):
        return (
            isinstance(ours, list)
            and len(ours) == len(theirs)
            and all(agrees(a, b, tolerance) for a, b in zip(ours, theirs, strict=True))
        )
    if isinstance(theirs, float) and isinstance(ours, float):
        if theirs != theirs:
            return ours != ours
        return ours == theirs or abs(ours - theirs) <= tolerance * max(1.0, abs(theirs))
    return bool(ours == theirs)


def test_layers_losses_and_derivatives(tmp_path: Path) -> None:
    theirs = run(oracle(), "nn_cases.py", tmp_path / "theirs.json")
    ours = run(OURS, "nn_cases.py", tmp_path / "ours.json")
    wrong = [name for name in theirs if not agrees(ours.get(name), theirs[name], 2e-5)]
    assert len(theirs) > 350
    assert not wrong, {name: (ours.get(name), theirs[name]) for name in wrong[:3]}


def test_modules_hooks_and_containers(tmp_path: Path) -> None:
    theirs = run(oracle(), "module_cases.py", tmp_path / "theirs.json")
    ours = run(OURS, "module_cases.py", tmp_path / "ours.json")
    assert len(theirs) > 70
    assert ours == theirs


def test_training_loaders_and_checkpoints(tmp_path: Path) -> None:
    theirs_file, ours_file = str(tmp_path / "theirs.pt"), str(tmp_path / "ours.pt")
    theirs = run(oracle(), "training_cases.py", tmp_path / "a.json", theirs_file, "SAVE")
    ours = run(OURS, "training_cases.py", tmp_path / "b.json", ours_file, "SAVE")
    for name in theirs:
        # Rounding grows over the steps, most where the loss is driven upwards.
        assert agrees(ours[name], theirs[name], 2e-4), (name, ours[name], theirs[name])
    # Each reads what the other wrote, and goes on as the writer does.
    crossed = run(OURS, "training_cases.py", tmp_path / "c.json", theirs_file, "LOAD")
    assert agrees(crossed["checkpoint"], theirs["checkpoint"], 1e-4)
    crossed = run(oracle(), "training_cases.py", tmp_path / "d.json", ours_file, "LOAD")
    assert agrees(crossed["checkpoint"], ours["checkpoint"], 1e-4)
