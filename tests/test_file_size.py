"""Files stay short: over 800 lines fails, over 500 is listed as a smell."""

from __future__ import annotations

import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("src", "tests", "benchmarks", "examples", "tools")
SMELL, LIMIT = 500, 800


class LongFileWarning(UserWarning):
    """Files that are worth cutting in two."""


def sizes() -> dict[str, int]:
    found = {}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            with path.open("rb") as file:
                found[path.relative_to(ROOT).as_posix()] = sum(1 for _ in file)
    return found


def table(rows: dict[str, int]) -> str:
    ordered = sorted(rows.items(), key=lambda row: -row[1])
    return "\n".join(f"{lines:6} {name}" for name, lines in ordered)


def test_file_sizes() -> None:
    found = sizes()
    assert found, "no files: the test looks in the wrong place"
    too_long = {name: lines for name, lines in found.items() if lines > LIMIT}
    assert not too_long, f"over {LIMIT} lines, to be divided:\n{table(too_long)}"
    smell = {name: lines for name, lines in found.items() if lines > SMELL}
    if smell:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn(f"over {SMELL} lines:\n{table(smell)}", LongFileWarning, stacklevel=1)
