"""Fills the documentation's generated parts as the site is built: a hook of mkdocs.

A page holds ``<!-- generated: NAME -->`` where a table belongs; nothing generated is committed, so
nothing can be out of date.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "diptych"
sys.path.insert(0, str(ROOT / "src"))

from diptych import config  # noqa: E402 - from this tree, which is not installed
from diptych.cli.resolution import FACES, HIDDEN_FROM  # noqa: E402

MARK = re.compile(r"<!-- generated: ([\w-]+) -->")


def first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def map_of_modules() -> str:
    """Every module with the first line of its docstring, room by room."""
    rows: list[str] = []
    rooms = sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
    for room in [PACKAGE, *rooms]:
        files = sorted(room.glob("*.py") if room == PACKAGE else room.rglob("*.py"))
        name = "diptych" if room == PACKAGE else room.name
        rows += ["", f"## {name}", "", "| file | what it is |", "|---|---|"]
        for path in files:
            rows.append(f"| `{path.relative_to(PACKAGE).as_posix()}` | {first_line(path)} |")
    return "\n".join(rows)


def names_resolved() -> str:
    rows = ["| import | version claimed | module |", "|---|---|---|"]
    rows += [f"| `{name}` | {face.version} | `{face.module}` |" for name, face in FACES.items()]
    return "\n".join(rows)


def names_hidden() -> str:
    rows = ["| library | why |", "|---|---|"]
    rows += [f"| `{name}` | {reason} |" for name, reason in sorted(HIDDEN_FROM.items())]
    return "\n".join(rows)


PARTS: dict[str, Callable[[], str]] = {
    "variables": config.document,
    "modules": map_of_modules,
    "names-resolved": names_resolved,
    "names-hidden": names_hidden,
}


def fill(markdown: str) -> str:
    """The page with its marks replaced; an unknown mark is a KeyError that stops the build."""
    return MARK.sub(lambda mark: PARTS[mark[1]](), markdown)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs for every page."""
    return fill(markdown)
