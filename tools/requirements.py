"""Prints this project's requirements, those of the extras named included, one on a line.

``pip install`` takes them without installing diptych itself: the project runs from its tree.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def load(path: Path) -> dict[str, Any]:
    """The file as a table, on Pythons older than tomllib by the reader that pip carries."""
    try:
        import tomllib
    except ImportError:
        from pip._vendor import tomli as tomllib  # Python 3.10
    return tomllib.loads(path.read_text(encoding="utf-8"))


def main(extras: list[str]) -> None:
    project = load(PYPROJECT)["project"]
    available = project["optional-dependencies"]
    wanted = list(project["dependencies"])
    for extra in extras:
        if extra not in available:
            sys.exit(f"requirements.py: no extra {extra!r}; there are {', '.join(available)}")
        wanted += available[extra]
    print("\n".join(dict.fromkeys(wanted)))


if __name__ == "__main__":
    main(sys.argv[1:])
