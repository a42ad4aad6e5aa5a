"""Zip archives whose entries are stored as they are: written in one pass, read with suspicion.

The writer aligns the bytes of every entry, so that a file can be mapped and its arrays used where
they lie. The reader refuses what such an archive never has: compression, overlapping or repeated
entries, names that lead out of it, sizes that the file cannot hold.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import Any

from diptych.errors import ArgumentError

ALIGNMENT = 64
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_END64 = struct.Struct("<4sQHHIIQQQQ")
_LOCATOR64 = struct.Struct("<4sIQI")
_UTF8 = 0x800
_DATE = (1 << 5) | 1  # 1 January 1980, the first day that zip knows
_MAX32, _MAX16 = 0xFFFFFFFF, 0xFFFF
_CHUNK = 1 << 24


class ArchiveError(ArgumentError):
    """An archive that is damaged, or is not what a tensor's file is."""


def checksum(view: memoryview) -> int:
    """The CRC-32 of the bytes."""
    crc = 0
    for start in range(0, len(view), _CHUNK):
        crc = zlib.crc32(view[start : start + _CHUNK], crc)
    return crc


class ArchiveWriter:
    """Writes entries one after another to anything with ``write``; nothing is read back or sought.

    ``checksums=False`` leaves the CRCs 0, which saves a pass over the bytes.
    """

    def __init__(self, file: Any, alignment: int = ALIGNMENT, checksums: bool = True) -> None:
        self.file = file
        self.alignment = alignment
        self.checksums = checksums
        self.position = 0
        self.directory: list[bytes] = []

    def write(self, data: Any) -> None:
        self.file.write(data)
        self.position += len(data)

    def put(self, name: str, data: bytes | memoryview) -> None:
        """Add an entry; its bytes begin at a multiple of the alignment."""
        view = memoryview(data).cast("B")
        size, start = len(view), self.position
        crc = checksum(view) if self.checksums else 0
        encoded = name.encode()
        large = size >= _MAX32
        extra = struct.pack("<HHQQ", 1, 16, size, size) if large else b""
        before = start + _LOCAL.size + len(encoded) + len(extra) + 4
        filler = -before % self.alignment
        extra += b"FB" + struct.pack("<H", filler) + b"Z" * filler
        short = _MAX32 if large else size
        version = 45 if large or start >= _MAX32 else 20
        self.write(
            _LOCAL.pack(
                b"PK\x03\x04", version, _UTF8, 0, 0, _DATE, crc, short, short, len(encoded),
                len(extra),
            )
        )  # fmt: skip
        self.write(encoded + extra)
        self.write(view)
        wide = ([size, size] if large else []) + ([start] if start >= _MAX32 else [])
        extra = struct.pack(f"<HH{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
        self.directory.append(
            _CENTRAL.pack(
                b"PK\x01\x02", version, version, _UTF8, 0, 0, _DATE, crc, short, short,
                len(encoded), len(extra), 0, 0, 0, 0, min(start, _MAX32),
            )
            + encoded
            + extra
        )  # fmt: skip

    def finish(self) -> None:
        """Write the directory; the archive is complete."""
        start, count = self.position, len(self.directory)
        for record in self.directory:
            self.write(record)
        size = self.position - start
        if start >= _MAX32 or count >= _MAX16:
            end = self.position
            self.write(_END64.pack(b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start))
            self.write(_LOCATOR64.pack(b"PK\x06\x07", 0, end, 1))
        count, start = min(count, _MAX16), min(start, _MAX32)
        self.write(_END.pack(b"PK\x05\x06", 0, 0, count, count, min(size, _MAX32), start, 0))


class ArchiveReader:
    """The stored entries of an archive in an open, seekable file."""

    def __init__(self, file: Any) -> None:
        self.file = file
        try:
            with zipfile.ZipFile(file) as archive:
                infos = archive.infolist()
                end = archive.start_dir
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error) as error:
            raise ArchiveError(f"the archive is damaged: {error}") from error
        self.entries: dict[str, tuple[int, int, int]] = {}  # name: start, size, CRC
        reached = 0
        for info in sorted(infos, key=lambda info: info.header_offset):
            check_name(info.filename)
            if info.filename in self.entries:
                raise ArchiveError(f"the archive has two entries {info.filename!r}")
            if info.header_offset < reached:
                raise ArchiveError(f"entry {info.filename!r} of the archive overlaps another")
            start = self._data_start(info)
            reached = start + info.file_size
            if reached > end:
                raise ArchiveError(f"entry {info.filename!r} reaches beyond the archive's entries")
            self.entries[info.filename] = (start, info.file_size, info.CRC)

    def _data_start(self, info: zipfile.ZipInfo) -> int:
        """Where an entry's bytes begin: after a header of its own, which must agree."""
        name = info.filename
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise ArchiveError(f"entry {name!r} is compressed: tensors' files have none such")
        if info.flag_bits & 1:
            raise ArchiveError(f"entry {name!r} is encrypted")
        self.file.seek(info.header_offset)
        header = self.file.read(_LOCAL.size)
        if len(header) != _LOCAL.size or header[:4] != b"PK\x03\x04":
            raise ArchiveError(f"entry {name!r} has no header of its own")
        *_, length, extra = _LOCAL.unpack(header)
        if self.file.read(length) != info.orig_filename.encode():
            raise ArchiveError(f"entry {name!r} has another name in its own header")
        return int(info.header_offset) + _LOCAL.size + int(length) + int(extra)

    def size(self, name: str) -> int:
        """Bytes of an entry; KeyError if there is none."""
        return self.entries[name][1]

    def read_into(self, name: str, view: memoryview) -> None:
        """Read an entry into memory of its size, and check it."""
        start, size, crc = self.entries[name]
        if len(view) != size:
            raise ArchiveError(f"entry {name!r} has {size} bytes, not {len(view)}")
        self.file.seek(start)
        filled = found = 0
        while filled < size:
            chunk = view[filled : filled + _CHUNK]
            count = read_some(self.file, chunk)
            if not count:
                raise ArchiveError(f"entry {name!r} ends early")
            found = zlib.crc32(chunk[:count], found)
            filled += count
        if crc not in (0, found):  # 0: written without a checksum
            raise ArchiveError(f"entry {name!r} is damaged: its checksum is wrong")

    def read(self, name: str) -> bytes:
        """An entry's bytes."""
        size = self.size(name)
        data = bytearray(size)  # no more than the file holds: the entry was found to lie in it
        self.read_into(name, memoryview(data))
        return bytes(data)


def read_some(file: Any, view: memoryview) -> int:
    """Read into memory, however the file object does that; how many bytes came."""
    if hasattr(file, "readinto"):
        return int(file.readinto(view) or 0)
    data = file.read(len(view))
    view[: len(data)] = data
    return len(data)


def check_name(name: str) -> None:
    """ArchiveError for a name that leads out of the archive."""
    parts = name.split("/")
    if not name or name.startswith("/") or "\\" in name or ".." in parts or "\0" in name:
        raise ArchiveError(f"the archive has an entry {name!r}, whose name leads out of it")
    if len(name) > 2 and name[1] == ":":
        raise ArchiveError(f"the archive has an entry {name!r}, whose name leads out of it")
