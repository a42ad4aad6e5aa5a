"""From a code unit to its object's bytes: the disk store first, the compiler when it has none."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from diptych import config
from diptych.compiler.llvm import backend
from diptych.compiler.target import Target, host
from diptych.compiler.unit import CodeUnit
from diptych.runtime import keys, llvm_loader, loader
from diptych.runtime.elf import LoaderError
from diptych.runtime.store import Store, default_directory

_VERSION_FILE = "code-generator"

_counters = {"compiled": 0, "loaded": 0, "hits": 0, "compile_seconds": 0.0}


def count(what: str, amount: float = 1) -> None:
    """Add to one of the counters of ``statistics``."""
    _counters[what] += amount


def counters() -> dict[str, float]:
    """A copy of the counters."""
    return dict(_counters)


@functools.cache
def store() -> Store:
    """This process's store, opened at the first use."""
    return Store(default_directory(), config.CACHE_LIMIT_MB.get() << 20)


@functools.cache
def target() -> Target:
    """What we generate code for: this machine, or less if DIPTYCH_TARGET asks for less."""
    return host(config.TARGET.get())


@functools.cache
def code_generator() -> str:
    """The code generator's version; without LLVM, that which filled the store."""
    path = Path(store().directory, _VERSION_FILE)
    found = backend.version()
    try:
        recorded = path.read_text(encoding="utf-8")
    except OSError:
        recorded = ""
    if found and found != recorded:
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(found, encoding="utf-8")
        except OSError:
            pass  # a read-only store: it only costs those who have no LLVM
    return found or recorded


def obtain(unit: CodeUnit) -> bytes:
    """The object of ``unit`` for this machine, from the store or compiled now.

    Raises LLVMMissingError where neither is possible.
    """
    key = keys.of(unit, target(), code_generator())
    content = store().get(key)
    if content is not None:
        count("loaded")
        return content
    if config.DEBUG.get() >= 1:
        _explain(key)
    text = unit.text()
    start = time.perf_counter()
    content = backend.compile_object(text, target())
    count("compiled")
    count("compile_seconds", time.perf_counter() - start)
    _show(unit, text)
    store().put(key, content)
    return content


def link(content: bytes, externals: Mapping[str, int], exports: Sequence[str]) -> dict[str, int]:
    """Load an object here; the addresses of the symbols ``exports`` that it defines."""
    if not loader.MACHINE:
        return llvm_loader.load_object(content, externals, exports)
    defined = loader.load_object(content, externals)
    missing = [name for name in exports if name not in defined]
    if missing:
        raise LoaderError(f"loader: the object does not define {', '.join(missing)}")
    return defined


def obtain_and_link(
    unit: CodeUnit, externals: Mapping[str, int], exports: Sequence[str]
) -> dict[str, int]:
    """Both; an object from the store that does not load is rebuilt once."""
    try:
        return link(obtain(unit), externals, exports)
    except LoaderError:
        if not backend.version():
            raise
        store().discard(keys.of(unit, target(), code_generator()))
        return link(obtain(unit), externals, exports)


def _explain(key: keys.Key) -> None:
    """Say which part of the key is why nothing was found."""
    relative = store().relatives(key)
    reason = "; ".join(keys.difference(relative, key.parts)) if relative else "first of its name"
    print(f"diptych: compiling {key.name}: {reason}", file=sys.stderr)


def _show(unit: CodeUnit, text: str) -> None:
    """Print or write the IR and assembly where DEBUG or DUMP ask for them."""
    level, folder = config.DEBUG.get(), config.DUMP.get()
    if level >= 5:
        print(text, file=sys.stderr)
    if level >= 6:
        print(backend.assembly(text, target()), file=sys.stderr)
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, f"{unit.name}.ll").write_text(text, encoding="utf-8")
        Path(folder, f"{unit.name}.s").write_text(
            backend.assembly(text, target()), encoding="utf-8"
        )
