"""Loads relocatable objects into executable memory without LLVM (ELF on x86-64 and aarch64).

An image is read-only pages (code, constants, stubs and the address table), then writable pages.
It is put together in a ``bytearray``, copied in once, and its first part is then made executable
and read-only, so no page is ever writable and executable at once. Images are never unmapped: a
worker thread or a method definition may hold their addresses until the process ends.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from diptych.runtime import elf, relocate
from diptych.runtime.elf import LoaderError
from diptych.runtime.forks import LOCK

PAGE = mmap.PAGESIZE
_REGION = 1 << 22
_MAX_IMAGE = 1 << 27

_machines = {"x86_64": elf.X86_64, "amd64": elf.X86_64, "aarch64": elf.AARCH64}
MACHINE = _machines.get(platform.machine().lower(), 0) if sys.platform == "linux" else 0
"""The ELF machine that this loader loads here; 0 where another loader is needed."""


class _Memory:
    """Hands out pages of anonymous memory by bumping a pointer through large regions."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._mmap = libc.mmap
        self._mmap.restype = ctypes.c_void_p
        self._mmap.argtypes = [
            ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int,
            ctypes.c_ssize_t,
        ]  # fmt: skip
        self._mprotect = libc.mprotect
        self._mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        self._next = self._end = 0
        self.used = 0

    def take(self, size: int) -> int:
        """``size`` bytes (a multiple of the page) of zeroed writable memory."""
        if size > self._end - self._next:
            region = max(_REGION, size)
            protection = mmap.PROT_READ | mmap.PROT_WRITE
            flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            address = self._mmap(None, region, protection, flags, -1, 0)
            if address in (None, ctypes.c_void_p(-1).value):
                raise LoaderError(f"loader: mmap of {region} bytes failed")
            self._next, self._end = address, address + region
        address = self._next
        self._next += size
        self.used += size
        return address

    def seal(self, address: int, size: int) -> None:
        """Make pages executable and read-only."""
        if self._mprotect(address, size, mmap.PROT_READ | mmap.PROT_EXEC):
            raise LoaderError(
                "loader: the system refuses executable memory (mprotect, errno "
                f"{ctypes.get_errno()}); set DIPTYCH_EVALUATOR=reference to run without"
            )


_memory: _Memory | None = None
_libraries: list[Any] = []
_resolved: dict[str, int] = {}


def resolve(name: str, externals: Mapping[str, int]) -> int:
    """Address of a symbol that an object leaves open: ours first, then libc's, libm's, Python's."""
    address = externals.get(name) or _resolved.get(name)
    if address:
        return address
    if not _libraries:
        _libraries.append(ctypes.CDLL(None))
        for library in ("libm.so.6", "libm.so"):
            try:
                _libraries.append(ctypes.CDLL(library))
                break
            except OSError:
                continue
        _libraries.append(ctypes.pythonapi)
    for library in _libraries:
        try:
            address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
        except AttributeError:
            continue
        if address:
            _resolved[name] = address
            return address
    raise LoaderError(f"loader: no library of this process defines {name!r}")


def _round_up(value: int, multiple: int) -> int:
    return (value + multiple - 1) & -multiple


def _cells(parsed: elf.Object) -> list[int]:
    """The symbols that need a cell: left open, or reached through the address table."""
    cells: dict[int, None] = {}
    for section, rows in parsed.relocations.items():
        size = parsed.sections[section].size
        for offset, kind, symbol, _ in rows:
            place = parsed.symbols[symbol][1]
            if offset > size:
                raise LoaderError(f"object: relocation at {offset} of a section of {size} bytes")
            if place > 0 and place not in parsed.sections:
                raise LoaderError(f"object: relocation against section {place}, which is not kept")
            if place == 0 or relocate.needs_cell(parsed.machine, kind):
                cells[symbol] = None
    return list(cells)


def _place(sections: Iterable[elf.Section], position: int) -> int:
    """Give the sections their offsets from ``position`` on; returns where they end."""
    for section in sections:
        position = _round_up(position, section.alignment)
        section.address = position
        position += section.size
    return position


@dataclass(frozen=True)
class Image:
    """A relocated object: its bytes, where they belong, and what they define for others."""

    content: bytearray
    base: int
    sealed: int  # bytes of the part that is to be executable and read-only
    symbols: dict[str, int]


def link_image(
    content: bytes,
    externals: Mapping[str, int],
    take: Callable[[int], int],
    machine: int = 0,
) -> Image:
    """Relocate an object for the memory that ``take(size)`` gives; nothing is copied there yet."""
    parsed = elf.read(content)
    if parsed.machine != (machine or MACHINE):
        raise LoaderError(
            f"object: made for ELF machine {parsed.machine}, this one is {machine or MACHINE}"
        )
    sections = parsed.sections.values()
    cells = _cells(parsed)
    cell_start = _round_up(_place([s for s in sections if not s.writable], 0), relocate.CELL)
    sealed = _round_up(cell_start + relocate.CELL * len(cells), PAGE)
    size = _round_up(_place([s for s in sections if s.writable], sealed), PAGE)
    if not 0 < size <= _MAX_IMAGE:
        raise LoaderError(f"object: an image of {size} bytes")
    open_addresses = {
        symbol: resolve(name, externals)
        for symbol, (name, place, _, _) in enumerate(parsed.symbols)
        if place == 0 and name
    }
    base = take(size)
    image = bytearray(size)
    for section in sections:
        if not section.empty:
            piece = content[section.start : section.start + section.size]
            image[section.address : section.address + section.size] = piece
    addresses = []
    for index, (_, place, value, _) in enumerate(parsed.symbols):
        if place > 0:
            kept = parsed.sections.get(place)
            addresses.append(base + kept.address + value if kept else 0)
        else:
            addresses.append(value if place < 0 else open_addresses.get(index, 0))
    relocate.apply(parsed, image, base, cell_start, cells, addresses)
    defined = {
        name: address
        for (name, place, _, visible), address in zip(parsed.symbols, addresses, strict=True)
        if visible and place and name and address
    }
    return Image(image, base, sealed, defined)


def load_object(content: bytes, externals: Mapping[str, int]) -> dict[str, int]:
    """Load an object and return the addresses of the symbols it defines for others.

    Args:
        content: the object file's bytes; anything damaged gives LoaderError.
        externals: addresses of the symbols that we provide.
    """
    global _memory
    if not MACHINE:
        raise LoaderError(f"loader: no loader for {sys.platform} on {platform.machine()}")
    with LOCK:
        if _memory is None:
            _memory = _Memory()
        image = link_image(content, externals, _memory.take)
        size = len(image.content)
        ctypes.memmove(image.base, (ctypes.c_char * size).from_buffer(image.content), size)
        _memory.seal(image.base, image.sealed)
    if MACHINE == elf.AARCH64:
        clear_cache = resolve("__clear_cache", externals)
        relocate.flush_instructions(image.base, image.sealed, clear_cache)
    return image.symbols


def statistics() -> dict[str, int]:
    """Bytes of executable images held."""
    return {"image_bytes": _memory.used if _memory else 0}
