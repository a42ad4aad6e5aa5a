"""docs/status-torch.md is what tools/torch_status.py writes for this tree."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("torch_status", ROOT / "tools/torch_status.py")
    assert spec is not None and spec.loader is not None, "the tool is a file of this tree"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_committed_page_is_the_generators(tool: ModuleType) -> None:
    page = (ROOT / "docs" / "status-torch.md").read_text(encoding="utf-8")
    assert page == tool.page(), "run: PYTHONPATH=src python tools/torch_status.py"


def test_a_stand_in_is_missing_and_a_function_is_not(tool: ModuleType) -> None:
    torch = tool.holder_of("torch")
    assert tool.status_of("torch", "lobpcg", torch, {}, set()).word == "missing"
    assert tool.status_of("torch", "no_such_name", torch, {}, set()).word == "missing"
    assert tool.status_of("torch", "add", torch, {}, set()).word == "stable"
    row = {"verdict": "differs", "passed": 1, "samples": 2, "reason": "sample 1: values"}
    found = tool.status_of("torch", "add", torch, {"add": [row]}, set())
    assert found == ("partial", "1 of 2 samples agree: values", "")


def test_every_place_of_the_names_is_on_the_page(tool: ModuleType) -> None:
    page = (ROOT / "docs" / "status-torch.md").read_text(encoding="utf-8")
    for place in json.loads(tool.NAMES.read_text(encoding="utf-8")):
        assert place == "version" or f"\n## {place}\n" in page
