"""Reads a relocatable ELF64 object: sections, symbols, relocations, every offset checked."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from diptych.errors import DiptychError

X86_64 = 62
AARCH64 = 183

_SHT_PROGBITS, _SHT_SYMTAB, _SHT_RELA, _SHT_NOBITS, _SHT_REL = 1, 2, 4, 8, 9
_SHF_WRITE, _SHF_ALLOC, _SHF_TLS = 1, 2, 0x400
_SHN_UNDEF, _SHN_ABS, _SHN_COMMON = 0, 0xFFF1, 0xFFF2

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELA = struct.Struct("<QQq")

# More than any kernel has; what lies beyond is a damaged file, not a bigger program.
_MAX_SECTIONS = 4096
_MAX_ALIGNMENT = 4096
_MAX_IMAGE = 1 << 26


class LoaderError(DiptychError, RuntimeError):
    """An object that cannot be loaded: damaged, of another machine, or with a name unresolved."""


@dataclass
class Section:
    """A section that takes memory: where its bytes are in the file and how they lie in memory."""

    index: int
    start: int  # in the file; meaningless when ``empty``
    size: int
    alignment: int
    writable: bool
    empty: bool  # NOBITS: zeros that the file does not hold
    address: int = 0  # offset in the image, set by the loader


@dataclass(frozen=True)
class Object:
    """What the loader needs of an object file."""

    machine: int
    sections: dict[int, Section]
    # name, section index (0: undefined, -1: absolute), value, is the name visible outside
    symbols: list[tuple[str, int, int, bool]]
    # section index -> (offset, type, symbol index, addend)
    relocations: dict[int, list[tuple[int, int, int, int]]]


def _name(table: memoryview, start: int) -> str:
    """The zero-terminated name at ``start`` of a string table."""
    if start >= len(table):
        raise LoaderError(f"object: name at {start} is outside its table of {len(table)} bytes")
    piece = bytes(table[start : start + 4096])
    end = piece.find(b"\0")
    if end < 0:
        raise LoaderError(f"object: name at {start} does not end")
    return piece[:end].decode("utf-8", "replace")


def _slice(data: memoryview, start: int, size: int, what: str) -> memoryview:
    if start + size > len(data):
        raise LoaderError(
            f"object: {what} at {start}..{start + size} is outside the file of {len(data)} bytes"
        )
    return data[start : start + size]


def _headers(data: memoryview) -> tuple[int, list[tuple[int, ...]], memoryview]:
    """Machine, section headers and the sections' names, once the file header is believed."""
    if len(data) < _HEADER.size:
        raise LoaderError(f"object: {len(data)} bytes are fewer than an ELF header")
    (ident, kind, machine, _, _, _, start, _, _, _, _, entry, count, names) = _HEADER.unpack_from(
        data
    )
    if ident[:7] != b"\x7fELF\x02\x01\x01":
        raise LoaderError(f"object: {ident[:7]!r} does not open a little-endian ELF64 file")
    if kind != 1:
        raise LoaderError(f"object: ELF type {kind} is not a relocatable object (1)")
    if entry != _SECTION.size or not 0 < count <= _MAX_SECTIONS:
        raise LoaderError(f"object: {count} section headers of {entry} bytes")
    table = _slice(data, start, count * _SECTION.size, "section header table")
    headers = list(_SECTION.iter_unpack(table))
    if names >= count:
        raise LoaderError(f"object: section names in section {names} of {count}")
    return machine, headers, _slice(data, headers[names][4], headers[names][5], "section names")


def _section(index: int, header: tuple[int, ...], data: memoryview) -> Section:
    _, kind, flags, _, start, size, _, _, alignment, _ = header
    alignment = alignment or 1
    if alignment & (alignment - 1) or alignment > _MAX_ALIGNMENT:
        raise LoaderError(f"object: section {index} asks for alignment {alignment}")
    if size > _MAX_IMAGE:
        raise LoaderError(f"object: section {index} asks for {size} bytes")
    if flags & _SHF_TLS:
        raise LoaderError(f"object: section {index} is thread-local, which is not supported")
    if kind != _SHT_NOBITS:
        _slice(data, start, size, f"section {index}")
    return Section(index, start, size, alignment, bool(flags & _SHF_WRITE), kind == _SHT_NOBITS)


def _symbols(
    headers: list[tuple[int, ...]], data: memoryview, sections: dict[int, Section]
) -> tuple[int, list[tuple[str, int, int, bool]]]:
    """Index of the symbol table and its entries, each inside its section."""
    tables = [index for index, header in enumerate(headers) if header[1] == _SHT_SYMTAB]
    if len(tables) != 1:
        raise LoaderError(f"object: {len(tables)} symbol tables, expected one")
    _, _, _, _, start, size, link, _, _, entry = headers[tables[0]]
    if entry != _SYMBOL.size or size % _SYMBOL.size or link >= len(headers):
        raise LoaderError(f"object: symbol table of {size} bytes with entries of {entry}")
    names = _slice(data, headers[link][4], headers[link][5], "string table")
    entries: list[tuple[str, int, int, bool]] = []
    for name, info, _, place, value, _ in _SYMBOL.iter_unpack(
        _slice(data, start, size, "symbol table")
    ):
        text = _name(names, name) if name else ""
        binding = info >> 4
        if place == _SHN_ABS:
            place = -1
        elif place == _SHN_COMMON or (place != _SHN_UNDEF and place >= len(headers)):
            raise LoaderError(f"object: symbol {text!r} lies in section {place}")
        elif place in sections and value > sections[place].size:
            raise LoaderError(
                f"object: symbol {text!r} at {value} is outside section {place} "
                f"of {sections[place].size} bytes"
            )
        entries.append((text, place, value, binding != 0))
    return tables[0], entries


def read(content: bytes) -> Object:
    """Read an object; LoaderError for anything that is not one, whatever its bytes."""
    data = memoryview(content)
    machine, headers, names = _headers(data)
    sections: dict[int, Section] = {}
    for index, header in enumerate(headers):
        if not header[2] & _SHF_ALLOC or header[1] not in (_SHT_PROGBITS, _SHT_NOBITS):
            continue
        # Unwind tables (of a type of their own on x86-64) are of no use: kernels do not throw.
        if _name(names, header[0]) != ".eh_frame":
            sections[index] = _section(index, header, data)
    table, symbols = _symbols(headers, data, sections)
    relocations: dict[int, list[tuple[int, int, int, int]]] = {}
    for index, header in enumerate(headers):
        _, kind, _, _, start, size, link, target, _, entry = header
        if kind == _SHT_REL and target in sections:
            raise LoaderError(f"object: section {index} holds relocations without addends")
        if kind != _SHT_RELA or target not in sections:
            continue
        if entry != _RELA.size or size % _RELA.size or link != table:
            raise LoaderError(f"object: relocation section {index} of {size} bytes")
        rows = relocations.setdefault(target, [])
        for offset, info, addend in _RELA.iter_unpack(_slice(data, start, size, "relocations")):
            if info >> 32 >= len(symbols):
                raise LoaderError(f"object: relocation names symbol {info >> 32}")
            if sections[target].empty:
                raise LoaderError(f"object: relocation in section {target}, which holds zeros")
            rows.append((offset, info & 0xFFFFFFFF, info >> 32, addend))
    return Object(machine, sections, symbols, relocations)
