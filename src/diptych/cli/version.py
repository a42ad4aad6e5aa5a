"""The version of diptych: the tree's where it runs from its tree, the installed one elsewhere."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

from diptych.cli.tracebacks import PACKAGE


def version() -> str:
    pyproject = Path(PACKAGE).parents[1] / "pyproject.toml"
    if pyproject.is_file():
        found = re.search(r'^version = "(.+)"', pyproject.read_text(encoding="utf-8"), re.M)
        if found:
            return f"{found[1]} (from {pyproject.parent})"
    try:
        return importlib.metadata.version("diptych")
    except importlib.metadata.PackageNotFoundError:
        return "of unknown version"
