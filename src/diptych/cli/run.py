"""``diptych run``: a Python program, as ``python`` runs it, on diptych's faces."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import io
import os
import sys
from dataclasses import dataclass, field
from types import CodeType, ModuleType
from typing import Any

from diptych import config
from diptych.cli import resolution, tracebacks

USAGE = """\
usage: diptych run [options] SCRIPT [arguments...]
       diptych run [options] -m MODULE [arguments...]
       diptych run [options] -c CODE [arguments...]
       diptych run [options] - [arguments...]          (the program comes on standard input)

Runs a Python program as `python` would, with `import torch` and `import tensorflow` resolved to
diptych, in the program, in everything it imports and in the Pythons that it starts.

options:
  --full-traceback    keep diptych's own frames in tracebacks (also DIPTYCH_TRACEBACK=full)
  --hide-from NAMES   libraries, comma separated, that shall find no torch and no tensorflow;
                      -NAME shows them to a library that is on diptych's own list
  -h, --help          this text
"""

BOOTSTRAP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bootstrap")


class UsageError(Exception):
    """A command line, or a program named on it, that cannot be run; the text says why."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Invocation:
    """A parsed command line: what kind of program, which one, and its own arguments."""

    kind: str  # "script", "module", "code", "stdin" or "help"
    program: str = ""
    arguments: list[str] = field(default_factory=list)
    full_traceback: bool = False
    hide_from: str = ""


def parse(arguments: list[str]) -> Invocation:
    """Options stop at the program's name, as Python's own do; the rest is the program's."""
    call = Invocation("help")
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word in ("-h", "--help"):
            return Invocation("help")
        if word == "--full-traceback":
            call.full_traceback = True
        elif word == "--hide-from" or word.startswith("--hide-from="):
            _, given, value = word.partition("=")
            if not given and not rest:
                raise UsageError("--hide-from: expected the names of libraries, comma separated")
            call.hide_from = value if given else rest.pop(0)
        elif word[:2] in ("-m", "-c"):
            call.kind = "module" if word[1] == "m" else "code"
            if not word[2:] and not rest:
                raise UsageError(
                    f"{word}: expected {'a module' if word == '-m' else 'code'} after it"
                )
            call.program, call.arguments = word[2:] or rest.pop(0), rest
            return call
        elif word == "-":
            call.kind, call.program, call.arguments = "stdin", word, rest
            return call
        elif word == "--" and rest:
            call.kind, call.program, call.arguments = "script", rest[0], rest[1:]
            return call
        elif word.startswith("-"):
            raise UsageError(f"unknown option {word}; `diptych run --help` lists them")
        else:
            call.kind, call.program, call.arguments = "script", word, rest
            return call
    raise UsageError("no program given\n" + USAGE)


def set_path(first: str) -> None:
    """Makes ``first`` the head of ``sys.path``, in the place of our own command's folder."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = first


def main_module(**attributes: Any) -> ModuleType:
    """A fresh ``__main__`` in the place of ours."""
    module = ModuleType("__main__")
    vars(module).update(__builtins__=sys.modules["builtins"], **attributes)
    sys.modules["__main__"] = module
    return module


def script(path: str) -> tuple[CodeType, ModuleType]:
    """The program in a file, a folder or a zip with a ``__main__.py``."""
    if not os.path.exists(path):
        raise UsageError(f"can't open file {os.path.abspath(path)!r}: no such file or directory")
    if os.path.isdir(path) or not path.endswith((".py", ".pyc")):
        spec = importlib.machinery.PathFinder.find_spec("__main__", [os.path.abspath(path)])
        if spec is not None:
            set_path(os.path.abspath(path))
            return loaded_code(spec), main_module(**module_attributes(spec))
        if os.path.isdir(path):
            raise UsageError(f"can't find '__main__' module in {path!r}", 1)
    full = os.path.abspath(path)
    set_path(os.path.dirname(os.path.realpath(path)))
    if path.endswith(".pyc"):
        sourceless = importlib.machinery.SourcelessFileLoader("__main__", full)
        code = sourceless.get_code("__main__")
        if code is None:
            raise UsageError(f"no code in {path!r}", 1)
        return code, main_module(__file__=full, __cached__=None, __loader__=sourceless)
    with io.open_code(full) as file:
        source = file.read()
    loader = importlib.machinery.SourceFileLoader("__main__", full)
    module = main_module(__file__=full, __cached__=None, __loader__=loader, __package__=None)
    return compile(source, full, "exec", dont_inherit=True), module


def loaded_code(spec: importlib.machinery.ModuleSpec) -> CodeType:
    getter = getattr(spec.loader, "get_code", None)
    code: CodeType | None = getter(spec.name) if getter else None
    if code is None:
        raise UsageError(f"no code object available for {spec.name}", 1)
    return code


def module_attributes(spec: importlib.machinery.ModuleSpec) -> dict[str, Any]:
    return {
        "__file__": spec.origin,
        "__cached__": spec.cached,
        "__loader__": spec.loader,
        "__package__": spec.parent,
        "__spec__": spec,
    }


def find_module(name: str) -> importlib.machinery.ModuleSpec:
    """The spec of the module that ``-m name`` runs: a package's is its ``__main__``."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        kind = type(error).__name__
        text = f"error while finding module specification for {name!r} ({kind}: {error})"
        raise UsageError(text, 1) from error
    if spec is None:
        raise UsageError(f"No module named {name}", 1)
    if spec.submodule_search_locations is None:
        return spec
    if name.endswith(".__main__"):
        raise UsageError(f"cannot use package {name} as __main__ module", 1)
    try:
        return find_module(f"{name}.__main__")
    except UsageError as error:
        text = f"{error}; {name!r} is a package and cannot be directly executed"
        raise UsageError(text, 1) from error


def load(call: Invocation) -> tuple[CodeType, ModuleType]:
    """Code and ``__main__`` for the program; sets ``sys.argv`` and ``sys.path`` as Python does."""
    sys.argv = [call.program, *call.arguments]
    if call.kind == "script":
        return script(call.program)
    if call.kind == "module":
        sys.argv[0] = "-m"  # while it is looked for; packages that are imported on the way see that
        set_path(os.getcwd())
        spec = find_module(call.program)
        sys.argv[0] = spec.origin or call.program
        return loaded_code(spec), main_module(**module_attributes(spec))
    set_path("")
    if call.kind == "code":
        sys.argv[0] = "-c"
        module = main_module(__loader__=importlib.machinery.BuiltinImporter, __package__=None)
        return compile(call.program, "<string>", "exec", dont_inherit=True), module
    source = sys.stdin.buffer.read()
    module = main_module(
        __loader__=importlib.machinery.BuiltinImporter,
        __package__=None,
        __file__="<stdin>",
        __cached__=None,
    )
    return compile(source, "<stdin>", "exec", dont_inherit=True), module


def pass_to_children(call: Invocation) -> None:
    """Lets the Pythons that the program starts resolve imports, and report errors, as it does."""
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    entries = [entry for entry in before if entry and entry != BOOTSTRAP]
    os.environ["PYTHONPATH"] = os.pathsep.join([BOOTSTRAP, *entries])
    os.environ["_DIPTYCH_RUN"] = sys.prefix
    if call.full_traceback:
        os.environ[config.TRACEBACK.name] = "full"
    if call.hide_from:
        given = os.environ.get(config.HIDE_FROM.name, "")
        os.environ[config.HIDE_FROM.name] = ",".join(filter(None, (given, call.hide_from)))


def execute(code: CodeType, namespace: dict[str, Any]) -> None:
    """Runs the program; a debugger that it started and that steps past its end stops there.

    The tracer is reset in the same line, before an event of this frame reaches the debugger.
    """
    tracer = sys.gettrace()
    sys._getframe().f_trace_lines = False
    _ = exec(code, namespace), sys.settrace(tracer)  # type: ignore[func-returns-value]


def main(arguments: list[str]) -> int:
    """Runs the program; ``SystemExit`` passes through, and Python itself gives it its meaning."""
    try:
        call = parse(arguments)
    except UsageError as error:
        sys.stderr.write(f"diptych run: {error}\n")
        return error.status
    if call.kind == "help":
        print(USAGE, end="")
        return 0
    pass_to_children(call)
    try:
        resolution.install()
    except config.ConfigError as error:
        sys.stderr.write(f"diptych run: {error}\n")
        return 2
    ours = sys.modules["__main__"]  # kept alive: the frames above us run in it
    try:
        code, module = load(call)
        execute(code, vars(module))
    except UsageError as error:
        sys.stderr.write(f"diptych run: {error}\n")
        return error.status
    except SystemExit:
        raise
    except KeyboardInterrupt as error:
        tracebacks.report(error)
        return 130
    except BaseException as error:
        tracebacks.report(error)
        return 1
    finally:
        del ours
    return 0
