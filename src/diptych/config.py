"""Every variable of the environment that diptych reads: type, legal values, default, meaning.

Each is declared once, below; nothing else reads ``DIPTYCH_*`` from ``os.environ``. A value is read
at its first use and kept. A variable that is not declared here, and a value that is not legal,
raise ConfigError: a typing mistake must not silently mean "the default".

    from diptych import config
    config.CHECK.get()
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from diptych.errors import DiptychError

PREFIX = "DIPTYCH_"

T = TypeVar("T")


class ConfigError(DiptychError, ValueError):
    """A DIPTYCH_ variable that does not exist, or a value it cannot have."""


class Variable(Generic[T]):
    """One variable of the environment.

    ``legal`` says in words what ``parse`` accepts; ``in_key`` whether the value changes generated
    code and so enters the cache key.
    """

    def __init__(
        self,
        name: str,
        parse: Callable[[str], T],
        default: T,
        legal: str,
        doc: str,
        *,
        in_key: bool = False,
        shown_default: str | None = None,
    ) -> None:
        if name in VARIABLES:
            raise ConfigError(f"config: {PREFIX}{name} is declared twice")
        self.name = PREFIX + name
        self.parse = parse
        self.default = default
        self.legal = legal
        self.doc = doc
        self.in_key = in_key
        self.shown_default = str(default) if shown_default is None else shown_default
        self._known = False
        self._value = default
        VARIABLES[name] = self

    def get(self) -> T:
        """The value: what was set, else the environment's, else the default."""
        if not self._known:
            check_names()
            written = os.environ.get(self.name)
            self._value = self.default if not written else self._parse(written)
            self._known = True
        return self._value

    def _parse(self, written: str) -> T:
        try:
            return self.parse(written)
        except (ValueError, KeyError):
            raise ConfigError(
                argument=self.name,
                got=repr(written),
                expected=f"expected {self.legal}",
                hint=f"unset it for the default ({self.shown_default or 'empty'})",
            ) from None

    def set(self, value: T | str) -> None:
        """Set for this process; a string is parsed as the environment's would be."""
        self._value = self._parse(value) if isinstance(value, str) else self._parse(str(value))
        self._known = True

    def reset(self) -> None:
        """Forget the value, so that the environment is read again."""
        self._known = False

    @contextmanager
    def override(self, value: T | str) -> Iterator[None]:
        """Set within a ``with`` block."""
        before, known = self._value, self._known
        self.set(value)
        try:
            yield
        finally:
            self._value, self._known = before, known


VARIABLES: dict[str, Variable] = {}  # type: ignore[type-arg]
_checked = False


def check_names() -> None:
    """Reject DIPTYCH_ variables that nobody declared; looks once per process."""
    global _checked
    if _checked:
        return
    known = [PREFIX + name for name in VARIABLES]
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise ConfigError(
                argument="the environment variable", got=name, expected="does not exist", hint=hint
            )
    _checked = True


def reload() -> None:
    """Forget everything read, so that the environment counts again (for tests)."""
    global _checked
    _checked = False
    for variable in VARIABLES.values():
        variable.reset()


def _flag(written: str) -> bool:
    if written in ("True", "False"):  # str() of a bool given to set()
        return written == "True"
    return {"0": False, "1": True}[written]


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(written: str) -> int:
        value = int(written)
        if not low <= value <= high:
            raise ValueError
        return value

    return parse


def _choice(*legal: str) -> Callable[[str], str]:
    def parse(written: str) -> str:
        if written not in legal:
            raise ValueError
        return written

    return parse


def _path(written: str) -> str:
    return os.path.abspath(os.path.expanduser(written)) if written else ""


NUM_THREADS = Variable(
    "NUM_THREADS", _integer(0, 256), 0, "a count from 1 to 256, or 0",
    "Threads that kernels use. 0: as many as the CPUs this process may run on.",
)  # fmt: skip
EVALUATOR = Variable(
    "EVALUATOR", _choice("auto", "native", "reference"), "auto", "auto, native or reference",
    "What evaluates: generated machine code (native), NumPy (reference), or the first that works "
    "here (auto).",
)  # fmt: skip
CHECK = Variable(
    "CHECK", _flag, False, "0 or 1",
    "1: run the reference beside every compiled kernel and name the first operation that differs.",
    shown_default="0",
)  # fmt: skip
CACHE_DIR = Variable(
    "CACHE_DIR", _path, "", "a directory",
    "Where compiled kernels are kept.", shown_default="~/.cache/diptych",
)  # fmt: skip
CACHE_LIMIT_MB = Variable(
    "CACHE_LIMIT_MB", _integer(0, 1 << 20), 512, "a size in MB from 0 to 1048576",
    "Size of the cache of compiled kernels on disk; those not used for longest go first. 0: keep "
    "none.",
)  # fmt: skip
MEMORY_CACHE_MB = Variable(
    "MEMORY_CACHE_MB", _integer(-1, 1 << 24), -1, "a size in MB from 0 to 16777216, or -1",
    "Freed tensor memory kept for reuse. -1: a quarter of the memory of the machine. 0: keep none.",
)  # fmt: skip
VARIANTS = Variable(
    "VARIANTS", _integer(1, 4096), 8, "a count from 1 to 4096",
    "How many times a compiled function is recorded, for calls of different kinds, before others "
    "run eagerly.",
)  # fmt: skip
TARGET = Variable(
    "TARGET", _choice("", "avx512", "avx2", "generic"), "", "avx512, avx2 or generic",
    "Generate code for less than this CPU offers.", in_key=True, shown_default="this CPU",
)  # fmt: skip
DEBUG = Variable(
    "DEBUG", _integer(0, 6), 0, "a level from 0 to 6",
    "Print what ran (1), timings (2), fusion decisions (3), loops (4), LLVM IR (5), assembly (6).",
)  # fmt: skip
DUMP = Variable(
    "DUMP", _path, "", "a directory",
    "Write each kernel after each pass to files there.", shown_default="nowhere",
)  # fmt: skip
TRACEBACK = Variable(
    "TRACEBACK", _choice("user", "full"), "user", "user or full",
    "Frames that an error shows: the program's alone, or ours too.",
)  # fmt: skip
HIDE_FROM = Variable(
    "HIDE_FROM", str, "", "names of libraries, comma separated",
    "Libraries that find no torch and no tensorflow under `diptych run`; -NAME shows them to one "
    "that is hidden from by default.", shown_default="none",
)  # fmt: skip
ORACLE = Variable(
    "ORACLE", str, "", "the path of a Python interpreter",
    "A Python with the real frameworks, against which our tests compare.", shown_default="none",
)  # fmt: skip


def document() -> str:
    """The table of variables, in Markdown, for the documentation."""
    lines = ["| variable | values | default | meaning |", "|---|---|---|---|"]
    for variable in VARIABLES.values():
        default = variable.shown_default or "empty"
        lines.append(f"| `{variable.name}` | {variable.legal} | {default} | {variable.doc} |")
    return "\n".join(lines) + "\n"
