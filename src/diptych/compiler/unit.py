"""A unit of code: the kernel's name, the parts that determine it, and a way to write its text."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType


def emitter(name: str) -> ModuleType:
    """A module of this room that writes IR, imported when there is something to write.

    A start that finds its kernels cached never needs it, and starts a fifth sooner for it.
    """
    return importlib.import_module(f"diptych.compiler.{name}")


@dataclass(frozen=True)
class CodeUnit:
    """One kernel as the compiler hands it to the runtime.

    ``key`` names, in order, every structural part the code depends on besides the target and the
    compiler's own sources; ``text`` writes the LLVM IR of a module that defines ``name`` and is
    called only when no object with this key is cached.
    """

    name: str
    key: tuple[tuple[str, str], ...]
    text: Callable[[], str] = field(compare=False, repr=False)
