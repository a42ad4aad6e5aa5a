"""``diptych run`` against ``python``: the same program, the same argv, path, status and output."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from diptych.cli.run import BOOTSTRAP, UsageError, parse

ROOT = Path(__file__).resolve().parents[2]
RUN = [sys.executable, "-m", "diptych", "run"]
# What a program can see of how it was started.
LOOK = """
import sys
names = sorted(set(globals()) - {"__annotations__", "__annotate__", "__conditional_annotations__"})
print(__name__, sys.argv, sys.path[0], globals().get("__file__"), __package__, names)
print(getattr(__spec__, "name", None), type(__loader__).__name__)
"""


def python(
    *arguments: str, cwd: Path, run: bool, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [*RUN, *arguments] if run else [sys.executable, *arguments]
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DIPTYCH_")}
    return subprocess.run(
        command,
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        env={**kept, "PYTHONPATH": str(ROOT / "src"), **environment},
        check=False,
    )


def diptych(*arguments: str, cwd: Path, stdin: str = "", **environment: str):  # type: ignore[no-untyped-def]
    return python(*arguments, cwd=cwd, run=True, stdin=stdin, **environment)


@pytest.mark.parametrize(
    "arguments",
    [
        ["look.py", "a", "--help"],
        ["sub/look.py"],
        ["-m", "look", "a"],
        ["-m", "package", "a"],
        ["-m", "package.look"],
        ["-c", LOOK, "a", "-m"],
        ["-", "a"],
        ["package"],
        ["app.zip", "x"],
    ],
    ids=lambda arguments: arguments[0] + arguments[1][:4] if len(arguments) > 1 else arguments[0],
)
def test_started_as_python_starts_it(arguments: list[str], tmp_path: Path) -> None:
    for name in ("look.py", "sub/look.py", "package/__main__.py", "package/look.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(LOOK)
    (tmp_path / "package/__init__.py").write_text("import sys; print(sys.argv)\n")
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("__main__.py", LOOK)
    expected = python(*arguments, cwd=tmp_path, run=False, stdin=LOOK)
    actual = python(*arguments, cwd=tmp_path, run=True, stdin=LOOK)
    assert actual.stdout == expected.stdout
    assert (actual.returncode, actual.stderr) == (0, "")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("pass", 0),
        ("raise SystemExit", 0),
        ("import sys; sys.exit(None)", 0),
        ("import sys; sys.exit(7)", 7),
        ("import sys; sys.exit(True)", 1),
        ("import sys; sys.exit('bye')", 1),
        ("import sys; sys.exit((1, 2))", 1),
        ("1 / 0", 1),
        ("raise KeyboardInterrupt", 130),
        ("import os; os._exit(9)", 9),
        ("x = (", 1),
        ("import atexit; atexit.register(print, 'late'); 1 / 0", 1),
        ("import threading as t; t.Timer(0.05, print, ['thread']).start()", 0),
        ("import sys; sys.excepthook = lambda *a: print('hook', a[0].__name__); 1 / 0", 1),
    ],
)
def test_exit_status_and_output(code: str, status: int, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(code + "\n")
    expected = python("script.py", cwd=tmp_path, run=False)
    actual = diptych("script.py", cwd=tmp_path)
    assert actual.returncode == status
    if status != 130:  # python dies of the signal; ours exits with what a shell makes of that
        assert expected.returncode == status
    assert (actual.stdout, actual.stderr) == (expected.stdout, expected.stderr)


def test_missing_programs(tmp_path: Path) -> None:
    for arguments, status in [(["none.py"], 2), (["-m", "none"], 1), (["-m", "email"], 1)]:
        expected = python(*arguments, cwd=tmp_path, run=False)
        actual = diptych(*arguments, cwd=tmp_path)
        assert actual.returncode == expected.returncode == status
        assert arguments[-1] in actual.stderr and "Traceback" not in actual.stderr


LIBRARY_ERROR = """
def inner():
    from diptych.errors import ShapeError
    from diptych.cli.run import parse
    try:
        parse(["--hide-from"])
    except Exception as error:
        raise ShapeError("outer") from error
inner()
"""


def test_traceback_ends_in_the_users_frames(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(LIBRARY_ERROR)
    short = diptych("script.py", cwd=tmp_path).stderr
    assert short.count("Traceback") == 2 and str(ROOT / "src") not in short
    assert "in inner" in short and short.endswith("diptych.errors.ShapeError: outer\n")
    for full in (
        diptych("--full-traceback", "script.py", cwd=tmp_path),
        diptych("script.py", cwd=tmp_path, DIPTYCH_TRACEBACK="full"),
    ):
        assert os.path.join("cli", "run.py") in full.stderr and full.returncode == 1


def test_our_own_failed_assertion_keeps_its_frames(tmp_path: Path) -> None:
    code = "import diptych.errors as e; exec(compile('assert 0, 1', e.__file__, 'exec'))"
    assert os.path.join("diptych", "errors.py") in diptych("-c", code, cwd=tmp_path).stderr


def test_misspelt_variable_is_one_line(tmp_path: Path) -> None:
    result = diptych("-c", "print(1)", cwd=tmp_path, DIPTYCH_TRACEBAK="full")
    assert result.returncode == 2 and "DIPTYCH_TRACEBACK" in result.stderr
    assert result.stderr.count("\n") == 1 and result.stdout == ""


CHILDREN = """
import multiprocessing, subprocess, sys

PROBE = "import sys; print(type(sys.meta_path[0]).__name__)"

def probe(queue):
    queue.put((type(sys.meta_path[0]).__name__, __name__))

if __name__ == "__main__":
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        child = context.Process(target=probe, args=(queue,))
        child.start()
        print(method, *queue.get())
        child.join()
    print(subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True).stdout)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no fork there")
def test_children_resolve_imports_too(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(CHILDREN)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text("import os; os.environ['CHAINED'] = 'yes'\n")
    path = os.pathsep.join([str(ROOT / "src"), str(tmp_path / "site")])
    result = diptych("script.py", cwd=tmp_path, PYTHONPATH=path, PYTHONWARNINGS="ignore")
    assert result.stdout.split() == [
        *("fork", "FaceFinder", "__main__"),
        *("spawn", "FaceFinder", "__mp_main__"),
        "FaceFinder",
    ], result.stderr
    probe = "import os, subprocess, sys; os.environ.pop('CHAINED'); subprocess.run([sys.executable,"
    probe += "'-c', 'import os; print(os.environ[\"CHAINED\"])'])"
    assert diptych("-c", probe, cwd=tmp_path, PYTHONPATH=path).stdout == "yes\n"


def test_debugger_stops_where_the_program_ends(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("def f(x):\n    breakpoint()\n    return x\nprint(f(1))\n")
    for typed in ("n\n" * 9, "p x\ns\nc\n"):
        expected = python("script.py", cwd=tmp_path, run=False, stdin=typed)
        actual = diptych("script.py", cwd=tmp_path, stdin=typed)
        assert actual.returncode == expected.returncode == 0
        assert "script.py(3)f()" in actual.stdout and "run.py" not in actual.stdout
        # Python 3.13's own goes on into what runs at exit
        assert expected.stdout.startswith(actual.stdout) and actual.stderr == ""


def test_parse() -> None:
    call = parse(["--hide-from", "a,-b", "--full-traceback", "s.py", "--hide-from", "x"])
    assert (call.kind, call.program, call.arguments) == ("script", "s.py", ["--hide-from", "x"])
    assert call.hide_from == "a,-b" and call.full_traceback
    assert parse(["-mpkg.mod", "-c"]).program == "pkg.mod"
    assert parse(["--", "-odd.py"]).program == "-odd.py"
    assert parse(["-h"]).kind == "help"
    for wrong, text in [
        ([], "no program"),
        (["-m"], "expected a module"),
        (["--hide-from"], "names of"),
    ]:
        with pytest.raises(UsageError, match=text):
            parse(wrong)
    with pytest.raises(UsageError, match="unknown option -x"):
        parse(["-x", "s.py"])


def test_bootstrap_is_where_children_look() -> None:
    assert os.path.isfile(os.path.join(BOOTSTRAP, "sitecustomize.py"))


def test_start_imports_little(tmp_path: Path) -> None:
    """The command's own start: no numpy, no argparse, none of the engine."""
    code = "import sys; print(*[m for m in sys.modules if m in ('numpy', 'argparse', 'llvmlite')"
    code += " or m.startswith(('diptych.core', 'diptych.ops', 'diptych.engine'))])"
    assert diptych("-c", code, cwd=tmp_path).stdout == "\n"
