"""The acceptance programs of ../shared/programs, unchanged, through ``diptych run``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = ROOT.parent / "shared" / "programs"
GROUPS = ["spine"]  # grows as the issues that list them are resolved

pytestmark = pytest.mark.slow


def listed(group: str) -> list[str]:
    """The numbers that GROUPS.md gives for a group."""
    page = PROGRAMS / "GROUPS.md"
    if not page.is_file():
        return []
    row = re.search(rf"^\| `{group}` \|(.*)\|$", page.read_text(encoding="utf-8"), re.M)
    assert row, f"GROUPS.md has no group {group}"
    return re.findall(r"\b\d{4}\w*", row[1])


def files() -> list[Path]:
    names = [name for group in GROUPS for name in listed(group)]
    return [path for name in names for path in sorted(PROGRAMS.glob(f"{name}*.py"))]


@pytest.mark.skipif(not PROGRAMS.is_dir(), reason="no ../shared/programs beside this tree")
@pytest.mark.parametrize("program", files(), ids=lambda path: path.stem)
def test_program(program: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "diptych", "run", str(program)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
