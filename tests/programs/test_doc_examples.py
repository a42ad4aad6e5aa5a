"""The Python examples of README and docs run, through ``diptych run``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

pytestmark = pytest.mark.slow


def examples() -> list[tuple[str, str]]:
    """Fenced Python that imports what it needs; a block without an import is a fragment."""
    found = []
    for page in PAGES:
        blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S)
        found += [
            (f"{page.stem}-{number}", block)
            for number, block in enumerate(blocks)
            if re.search(r"^(import|from) ", block, re.M)
        ]
    return found


@pytest.mark.parametrize(("name", "code"), examples(), ids=[name for name, _ in examples()])
def test_example(name: str, code: str, tmp_path: Path) -> None:
    (tmp_path / f"{name}.py").write_text(code)
    result = subprocess.run(
        [sys.executable, "-m", "diptych", "run", f"{name}.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
