"""Every module says what it is, every room has its page, and the documentation's claims hold."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest

from diptych import config
from diptych.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src" / "diptych"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


def test_every_module_has_a_first_docstring_line() -> None:
    missing = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        if not text or not text.splitlines()[0].strip():
            missing.append(path.relative_to(ROOT).as_posix())
    assert not missing, "no first docstring line: " + ", ".join(missing)


def test_every_room_has_a_readme() -> None:
    rooms = [path.parent for path in PACKAGE.glob("*/__init__.py")]
    missing = [room.name for room in rooms if not (room / "README.md").is_file()]
    assert rooms and not missing, "no README.md in: " + ", ".join(missing)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_generated_parts() -> None:
    """What tools/docs_pages.py puts into the pages when the site is built."""
    spec = importlib.util.spec_from_file_location("docs_pages", ROOT / "tools" / "docs_pages.py")
    assert spec is not None and spec.loader is not None
    pages = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    spec.loader.exec_module(pages)
    sys.path[:] = path
    marks = {mark for page in PAGES for mark in pages.MARK.findall(page.read_text("utf-8"))}
    assert marks == set(pages.PARTS)
    for name, variable in config.VARIABLES.items():
        assert variable.name.endswith(name)
        assert f"`{variable.name}`" in pages.fill("<!-- generated: variables -->")
    assert "| `cli/run.py` | ``diptych run``" in pages.fill("<!-- generated: modules -->")


def test_command_page_names_the_commands_that_exist() -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^## diptych (\w+)", page, re.M)) == set(COMMANDS)


def test_python_examples_in_the_pages_compile() -> None:
    for page in PAGES:
        for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            compile(block, f"{page}: example", "exec")


def test_supported_python() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert 'requires-python = ">=3.10"' in text and sys.version_info >= (3, 10)
