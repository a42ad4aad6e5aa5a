"""Applies ELF relocations to an image: x86-64 and aarch64, each field's range checked.

A *cell* is what the loader lays out for a symbol that may be far away: 8 bytes of address, which
loads through the global offset table read, and a stub that jumps through it, which calls reach.
"""

from __future__ import annotations

import ctypes
import struct

from diptych.runtime import elf
from diptych.runtime.elf import LoaderError

CELL = 32
_STUB = 8  # the stub's place in its cell, after the address

# x86-64 types (System V ABI supplement, table 4.9).
_R64, _PC32, _PLT32, _GOTPCREL, _R32, _R32S = 1, 2, 4, 9, 10, 11
_PC64, _GOTPCRELX, _REX_GOTPCRELX = 24, 41, 42
_X86_GOT = frozenset((_GOTPCREL, _GOTPCRELX, _REX_GOTPCRELX))

# aarch64 types (ELF for the Arm 64-bit Architecture, section 5.7).
_ABS64, _ABS32, _PREL64, _PREL32 = 257, 258, 260, 261
_ADR_PAGE, _ADR_PAGE_NC, _ADD_LO12 = 275, 276, 277
_LDST8, _JUMP26, _CALL26, _LDST16, _LDST32, _LDST64, _LDST128 = 278, 282, 283, 284, 285, 286, 299
_GOT_PAGE, _LD64_GOT_LO12 = 311, 312
_ARM_GOT = frozenset((_GOT_PAGE, _LD64_GOT_LO12))
_LDST_SHIFT = {_ADD_LO12: 0, _LDST8: 0, _LDST16: 1, _LDST32: 2, _LDST64: 3, _LDST128: 4}

# Bytes that each type writes.
_X86_SIZE = {_R64: 8, _PC64: 8, _PC32: 4, _PLT32: 4, _R32: 4, _R32S: 4} | dict.fromkeys(_X86_GOT, 4)


def needs_cell(machine: int, kind: int) -> bool:
    """Does this type reach its symbol through the global offset table?"""
    return kind in (_X86_GOT if machine == elf.X86_64 else _ARM_GOT)


def _out_of_range(kind: int, value: int) -> LoaderError:
    return LoaderError(f"object: relocation of type {kind} cannot hold {value:#x}")


def _apply_x86(image: bytearray, at: int, room: int, kind: int, value: int, place: int) -> None:
    """One x86-64 relocation: ``value`` is S + A and ``place`` P of the ABI's table."""
    size = _X86_SIZE.get(kind)
    if size is None:
        raise LoaderError(f"object: relocation type {kind} of x86-64 is not supported")
    if size > room:
        raise LoaderError(f"object: relocation of {size} bytes where {room} are left")
    if size == 8:
        result = value if kind == _R64 else value - place
        struct.pack_into("<Q", image, at, result & 0xFFFFFFFFFFFFFFFF)
        return
    if kind in (_R32, _R32S):
        low, high = (0, 1 << 32) if kind == _R32 else (-(1 << 31), 1 << 31)
        if not low <= value < high:
            raise _out_of_range(kind, value)
        struct.pack_into("<I", image, at, value & 0xFFFFFFFF)
        return
    result = value - place
    if not -(1 << 31) <= result < 1 << 31:
        raise _out_of_range(kind, result)
    struct.pack_into("<i", image, at, result)


def _apply_aarch64(image: bytearray, at: int, room: int, kind: int, value: int, place: int) -> None:
    """One aarch64 relocation: the result goes into a field of an instruction or a data word."""
    size = 8 if kind in (_ABS64, _PREL64) else 4
    if size > room:
        raise LoaderError(f"object: relocation of {size} bytes where {room} are left")
    if kind in (_ABS64, _PREL64):
        result = value if kind == _ABS64 else value - place
        struct.pack_into("<Q", image, at, result & 0xFFFFFFFFFFFFFFFF)
        return
    if kind in (_ABS32, _PREL32):
        result = value if kind == _ABS32 else value - place
        if not -(1 << 31) <= result < 1 << 32:
            raise _out_of_range(kind, result)
        struct.pack_into("<I", image, at, result & 0xFFFFFFFF)
        return
    (word,) = struct.unpack_from("<I", image, at)
    if kind in (_CALL26, _JUMP26):
        result = value - place
        if not -(1 << 27) <= result < 1 << 27 or result & 3:
            raise _out_of_range(kind, result)
        word = word & 0xFC000000 | result >> 2 & 0x03FFFFFF
    elif kind in (_ADR_PAGE, _ADR_PAGE_NC, _GOT_PAGE):
        pages = (value >> 12) - (place >> 12)
        if not -(1 << 20) <= pages < 1 << 20:
            raise _out_of_range(kind, pages)
        word = word & 0x9F00001F | (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5
    elif kind in _LDST_SHIFT or kind == _LD64_GOT_LO12:
        shift = 3 if kind == _LD64_GOT_LO12 else _LDST_SHIFT[kind]
        low = value & 0xFFF
        if low & ((1 << shift) - 1):
            raise _out_of_range(kind, low)
        word = word & 0xFFC003FF | (low >> shift) << 10
    else:
        raise LoaderError(f"object: relocation type {kind} of aarch64 is not supported")
    struct.pack_into("<I", image, at, word)


def _write_cells(
    machine: int, image: bytearray, start: int, symbols: list[int], addresses: list[int]
) -> None:
    """The cell of each symbol: its address, and a stub that jumps there."""
    for index, symbol in enumerate(symbols):
        at = start + index * CELL
        struct.pack_into("<Q", image, at, addresses[symbol] & 0xFFFFFFFFFFFFFFFF)
        if machine == elf.X86_64:
            # jmp qword [rip + d], the next instruction being 6 bytes after the stub's start
            struct.pack_into("<BBi", image, at + _STUB, 0xFF, 0x25, -(_STUB + 6))
        else:
            # ldr x16, [pc - 8]; br x16
            load = 0x58000010 | (-_STUB >> 2 & 0x7FFFF) << 5
            struct.pack_into("<II", image, at + _STUB, load, 0xD61F0200)


def apply(
    parsed: elf.Object,
    image: bytearray,
    base: int,
    cell_start: int,
    cell_symbols: list[int],
    addresses: list[int],
) -> None:
    """Relocate ``image``, which will lie at ``base``. ``addresses`` holds every symbol's."""
    machine = parsed.machine
    _write_cells(machine, image, cell_start, cell_symbols, addresses)
    cells = {symbol: cell_start + CELL * index for index, symbol in enumerate(cell_symbols)}
    calls = (_PLT32,) if machine == elf.X86_64 else (_CALL26, _JUMP26)
    reach = 1 << (31 if machine == elf.X86_64 else 27)
    for section, rows in parsed.relocations.items():
        start, size = parsed.sections[section].address, parsed.sections[section].size
        for offset, kind, symbol, addend in rows:
            at = start + offset
            place = base + at
            target = addresses[symbol]
            cell = cells.get(symbol, 0)
            if needs_cell(machine, kind):
                target = base + cell
            elif kind in calls and cell and not -reach <= target + addend - place < reach:
                target = base + cell + _STUB
            if machine == elf.X86_64:
                _apply_x86(image, at, size - offset, kind, target + addend, place)
            else:
                _apply_aarch64(image, at, size - offset, kind, target + addend, place)


def flush_instructions(base: int, size: int, clear_cache: int) -> None:
    """Make freshly written instructions visible to the fetch unit (aarch64)."""
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(clear_cache)(base, base + size)
