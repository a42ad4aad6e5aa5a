"""Thousands of drawn bad calls: an exception or the right answer each time, never a crash.

What is called: every function of a face with arguments drawn by their names (``torch``,
``tensorflow``); and good calls that are bent in a place or two, which get further: of layers and
indexing (``network``), of what programs use around them (``program``), of torchvision's companion
(``vision``). ``good`` bends none: with DIPTYCH_CHECK=1 compiled answers meet the reference's.

They run in a process of their own, whose end is noticed (see worker.py). A failing call is printed
with its seed and number, and repeats by

    PYTHONPATH=src:. python -m tests.fuzz.worker --face FACE --seed SEED --start NUMBER --count 1
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESTARTS = 5


def drive(directory: Path, face: str, seed: int, count: int, *flags: str) -> list[str]:
    """Draw ``count`` calls; what failed, crashes included (after which the next call follows)."""
    log = directory / "announced.txt"
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    failed: list[str] = []
    start = 0
    for _ in range(RESTARTS):
        command = [
            sys.executable, "-m", "tests.fuzz.worker", "--face", face, "--seed", str(seed),
            "--start", str(start), "--count", str(count - start), "--log", str(log),
            "--keep-going", *flags,
        ]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", cwd=ROOT, env=environment
        )
        failed += [block for block in done.stdout.split("\n@@") if block.startswith(" FAILED")]
        if " calls in " in done.stdout:
            print(done.stdout.splitlines()[-1])
            return failed
        announced = log.read_text() if log.exists() else "before the first call"
        failed.append(f"the process ended with {done.returncode} in\n{announced}\n{done.stderr}")
        if not log.exists():
            break
        start = int(announced.split()[1].partition(":")[2]) + 1
    return failed


def say(failed: list[str]) -> str:
    return "\n\n".join(failed[:20])


@pytest.mark.parametrize(
    ("face", "count"),
    [("torch", 400), ("network", 100), ("program", 150), ("vision", 150), ("tensorflow", 250)],
)
def test_drawn_bad_calls(tmp_path: Path, face: str, count: int) -> None:
    failed = drive(tmp_path, face, 2026, count, "--guards")
    assert not failed, say(failed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("face", "count", "seed"),
    [
        ("torch", 3000, 7), ("tensorflow", 2000, 8), ("network", 1500, 10), ("program", 1000, 11),
        ("vision", 1000, 12),
    ],
)  # fmt: skip
def test_many_drawn_bad_calls(tmp_path: Path, face: str, count: int, seed: int) -> None:
    failed = drive(tmp_path, face, seed, count)
    assert not failed, say(failed)


@pytest.mark.slow
@pytest.mark.parametrize(("face", "count", "seed"), [("torch", 800, 9), ("good", 800, 13)])
def test_drawn_calls_beside_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, face: str, count: int, seed: int
) -> None:
    monkeypatch.setenv("DIPTYCH_CHECK", "1")
    failed = drive(tmp_path, face, seed, count)
    assert not failed, say(failed)


def test_a_crash_and_a_hang_are_noticed(tmp_path: Path) -> None:
    """The watchman is awake: calls that kill the process, or never end, are reported as such."""
    failed = drive(tmp_path, "broken", 1, 3)
    assert len(failed) == 2
    assert "process ended with -11" in failed[0] and "broken 1:1 read address 0" in failed[0]
    assert "process ended with 1" in failed[1] and "broken 1:2 sleep" in failed[1]
