"""Import resolution: one module under two names, and nothing where nothing shall be seen."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import json.decoder
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from diptych.cli import resolution
from diptych.cli.resolution import Face, FaceFinder, hidden_from

# A face that is always there and costs nothing: json, under another name.
FACES = {"jayson": Face("json", "Jay_Son", "4.5.6"), "absent": Face("no_such_face", "absent", "0")}
LIBRARY = """
try:
    import jayson
except ModuleNotFoundError as error:
    found, message = None, str(error)
else:
    found = jayson

def late():
    import jayson.decoder as decoder
    return decoder

def by_name():
    import importlib
    return importlib.import_module("jayson")

def spec():
    from importlib.util import find_spec
    return find_spec("jayson")

def version():
    import importlib.metadata
    return importlib.metadata.version("jayson")
"""


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaceFinder]:
    modules = dict(sys.modules)
    # restored afterwards: a hidden library replaces these two
    monkeypatch.setattr(importlib, "import_module", importlib.import_module)
    monkeypatch.setattr(importlib.util, "find_spec", importlib.util.find_spec)
    ours = FaceFinder(FACES, frozenset({"hidden_library"}))
    sys.meta_path.insert(0, ours)
    yield ours
    sys.meta_path.remove(ours)
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]


def test_one_module_under_both_names(finder: FaceFinder) -> None:
    own = json.__spec__
    jayson = importlib.import_module("jayson")
    assert jayson is json is sys.modules["jayson"]
    assert json.__spec__ is own and json.__name__ == "json" and json.__package__ == "json"
    assert importlib.import_module("jayson.decoder") is json.decoder
    namespace: dict[str, object] = {}
    exec("import jayson.decoder as d; from jayson import decoder; import jayson", namespace)
    assert namespace["d"] is namespace["decoder"] is json.decoder
    # what the face loaded by itself is there under the program's name too
    assert sys.modules["jayson.scanner"] is sys.modules["json.scanner"]


def test_find_spec_before_and_after_import(finder: FaceFinder) -> None:
    for _ in range(2):
        spec = importlib.util.find_spec("jayson")
        assert spec is not None and spec.origin == json.__file__
        assert list(spec.submodule_search_locations or ()) == list(json.__path__)
        assert importlib.util.find_spec("jayson.decoder") is not None
        assert importlib.util.find_spec("jayson.nothing") is None
        importlib.import_module("jayson")


def test_missing_names_raise_plain_errors(finder: FaceFinder) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"jayson\.nothing") as caught:
        importlib.import_module("jayson.nothing")
    assert caught.value.name == "jayson.nothing"
    with pytest.raises(ImportError, match="nothing"):
        exec("from jayson import nothing")
    with pytest.raises(ModuleNotFoundError, match="absent"):
        importlib.import_module("absent")


def test_code_for_dash_m(finder: FaceFinder) -> None:
    spec = importlib.util.find_spec("jayson.tool")
    assert spec is not None and spec.loader is not None
    assert spec.loader.get_code("jayson.tool").co_filename.endswith("tool.py")  # type: ignore[attr-defined]


def test_distribution(finder: FaceFinder) -> None:
    assert importlib.metadata.version("jay-son") == "4.5.6"
    assert importlib.metadata.metadata("jay.son")["Name"] == "Jay_Son"
    assert "jay_son" in {(d.name or "").lower() for d in importlib.metadata.distributions()}
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("jay-song")


def test_one_folders_distributions_do_not_include_ours(finder: FaceFinder, tmp_path: Path) -> None:
    assert list(importlib.metadata.distributions(path=[str(tmp_path)])) == []


def test_hidden_library_sees_no_face(
    finder: FaceFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("hidden_library", "open_library"):
        (tmp_path / f"{name}.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("jayson")  # loaded already: it is the importing module that decides
    hidden = importlib.import_module("hidden_library")
    assert hidden.found is None and "jayson" in hidden.message
    for probe in (hidden.late, hidden.by_name):
        with pytest.raises(ModuleNotFoundError, match="jayson"):
            probe()
    assert hidden.spec() is None
    shown = importlib.import_module("open_library")
    assert shown.found is json and shown.late() is json.decoder and shown.by_name() is json
    assert shown.spec() is not None
    assert hidden.__spec__.loader is hidden.__loader__
    assert type(hidden.__loader__).__name__ == "SourceFileLoader"


def test_hidden_library_sees_no_distribution(
    finder: FaceFinder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = LIBRARY.replace('version("jayson")', 'version("jay-son")')
    for name in ("hidden_library", "open_library"):
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.import_module("open_library").version() == "4.5.6"
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.import_module("hidden_library").version()


def test_hidden_from_setting() -> None:
    assert hidden_from("") == frozenset(resolution.HIDDEN_FROM)
    changed = hidden_from("mine, -tensorboard")
    assert "mine" in changed and "tensorboard" not in changed and "tvm" in changed


def test_install_once() -> None:
    try:
        assert resolution.install() is resolution.install()
        assert sum(isinstance(finder, FaceFinder) for finder in sys.meta_path) == 1
    finally:
        resolution.uninstall()
    assert not any(isinstance(finder, FaceFinder) for finder in sys.meta_path)


@pytest.mark.parametrize("name", sorted(resolution.FACES))
def test_faces_modules_have_both_names(name: str, tmp_path: Path) -> None:
    """Whichever way a face's module is loaded, in a process of its own."""
    code = f"""
import importlib, importlib.metadata, importlib.util, sys
from diptych.cli import resolution
resolution.install()
import {name}
face = resolution.FACES[{name!r}]
assert {name} is sys.modules[face.module] and {name}.__version__.startswith(face.version)
assert importlib.metadata.version(face.distribution) == face.version
assert importlib.util.find_spec({name!r}) is not None
for other in [{name!r} + ".no_such", "no_such_package"]:
    assert importlib.util.find_spec(other) is None
assert not hasattr({name}, "no_such")
for attribute in {{"torch": ["nn", "optim"], "torchvision": ["ops"]}}.get({name!r}, []):
    assert getattr({name}, attribute) is sys.modules[{name!r} + "." + attribute]
for full in [full for full in sys.modules if full.startswith(face.module + ".")]:
    alias = {name!r} + full[len(face.module):]
    assert sys.modules[alias] is sys.modules[full], full
    assert sys.modules[full].__spec__ is None or sys.modules[full].__spec__.name == full
try:
    from {name} import no_such
except ImportError as error:
    assert "no_such" in str(error) and {name!r} in str(error)
else:
    raise SystemExit("from {name} import no_such works")
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(resolution.__file__).parents[2])}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
