"""From a code unit to the address of its kernel: in memory, on disk, or compiled now."""

from __future__ import annotations

from diptych.compiler.unit import CodeUnit
from diptych.runtime import objects, pool
from diptych.runtime.forks import LOCK

_addresses: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}


def load(unit: CodeUnit) -> int:
    """The address of the kernel that ``unit`` describes.

    Raises:
        LLVMMissingError: no object is cached and there is no LLVM to make one.
        CodegenError: LLVM refused the text.
        LoaderError: the object cannot be loaded here.
    """
    found = _addresses.get((unit.name, unit.key))
    if found is not None:
        objects.count("hits")
        return found
    with LOCK:
        found = _addresses.get((unit.name, unit.key))
        if found is None:
            found = objects.obtain_and_link(unit, pool.symbols(), [unit.name])[unit.name]
            _addresses[unit.name, unit.key] = found
    return found


def statistics() -> dict[str, float]:
    """Kernels compiled, loaded from disk and found in memory; seconds spent in LLVM."""
    return objects.counters() | {"kernels": len(_addresses)}
