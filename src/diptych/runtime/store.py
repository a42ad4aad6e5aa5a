"""The disk store of compiled objects: one file per key, safe with many processes, bounded.

A file is a fixed header (magic, lengths, checksum), the key's parts, and the object. It is written
beside its place and renamed into it, so a reader sees all of it or none. What fails the checksum
is deleted and counted as absent. A directory that cannot be used (read-only, another user's, one
that others may write to) makes the store empty, never an error: code from it would be run.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import struct
import threading
import time
from collections.abc import Iterator

from diptych import config
from diptych.runtime.keys import Key

_MAGIC = b"DPTYOBJ1"
_HEADER = struct.Struct("<8sIIQ16s")  # magic, zero, length of the parts, of the object, checksum
_SUFFIX = ".dpo"
_TOUCH_AFTER = 6 * 3600.0  # a use moves an entry to the front at most this often
_STALE_TEMPORARY = 3600.0
_SCAN_EVERY = 64  # writes between two looks at the directory's size


def default_directory() -> str:
    """DIPTYCH_CACHE_DIR, else diptych/ under the user's cache directory, else "" (no store)."""
    chosen = config.CACHE_DIR.get()
    if chosen:
        return chosen
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "diptych") if os.path.isabs(base) else ""


def _checksum(digest: str, parts: bytes, content: bytes) -> bytes:
    """Covers the key too, so that a file under another's name is noticed."""
    summed = hashlib.blake2b(digest.encode(), digest_size=16)
    summed.update(parts)
    summed.update(content)
    return summed.digest()


class Store:
    """Objects by key under one directory."""

    def __init__(self, directory: str, limit_bytes: int) -> None:
        self.directory = directory
        self.limit_bytes = limit_bytes
        self._usable: bool | None = None if directory and limit_bytes else False
        self._writable = True
        self._writes = 0
        self._lock = threading.Lock()

    def _ready(self, create: bool) -> bool:
        """Is the directory there and ours? Looked at once, and again before the first write."""
        if self._usable is None or (create and not self._usable and self._writable):
            if not self.directory or not self.limit_bytes:
                return False
            try:
                if create:
                    os.makedirs(self.directory, mode=0o700, exist_ok=True)
                self._usable = _trusted(self.directory)
            except OSError:
                self._usable = False
                self._writable = not create
        return self._usable

    def _path(self, key: Key) -> str:
        readable = re.sub(r"[^A-Za-z0-9_]", "_", key.name)[:64]
        return os.path.join(self.directory, f"{readable}-{key.digest}{_SUFFIX}")

    def get(self, key: Key) -> bytes | None:
        """The object of ``key``, or None. A damaged file is deleted."""
        if not self._ready(create=False):
            return None
        path = self._path(key)
        try:
            with open(path, "rb", buffering=0) as file:
                modified = os.fstat(file.fileno()).st_mtime
                data = file.read()
        except OSError:
            return None
        content = _unpack(data, key.digest)
        if content is None:
            self.discard(key)
        elif time.time() - modified > _TOUCH_AFTER:
            with contextlib.suppress(OSError):
                os.utime(path)
        return content

    def put(self, key: Key, content: bytes) -> bool:
        """Keep an object; False, and no error, where the directory cannot be written."""
        if not self._writable or not self._ready(create=True):
            return False
        parts = "".join(f"{name}\x1f{value}\x1e" for name, value in key.parts).encode()
        header = _HEADER.pack(
            _MAGIC, 0, len(parts), len(content), _checksum(key.digest, parts, content)
        )
        path = self._path(key)
        temporary = f"{path}.{os.getpid()}.{threading.get_ident()}.tmp"
        try:
            with open(temporary, "wb", buffering=0) as file:
                file.write(header + parts + content)
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            self._writable = False  # read-only or full: do not try at every kernel
            return False
        with self._lock:
            self._writes += 1
            look = self._writes % _SCAN_EVERY == 1
        if look:
            self.trim()
        return True

    def discard(self, key: Key) -> None:
        """Delete the entry of ``key`` if there is one."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(key))

    def _entries(self) -> Iterator[tuple[float, int, str]]:
        """Time of last use, size and path of every entry; stale temporaries are removed."""
        try:
            with os.scandir(self.directory) as listing:
                for entry in listing:
                    with contextlib.suppress(OSError):
                        state = entry.stat(follow_symlinks=False)
                        if entry.name.endswith(_SUFFIX):
                            yield state.st_mtime, state.st_size, entry.path
                        elif entry.name.endswith(".tmp") and (
                            time.time() - state.st_mtime > _STALE_TEMPORARY
                        ):
                            os.unlink(entry.path)
        except OSError:
            return

    def size(self) -> int:
        """Bytes that the entries take."""
        return sum(size for _, size, _ in self._entries())

    def trim(self) -> int:
        """Delete the entries used longest ago until nine tenths of the limit; returns how many."""
        entries = sorted(self._entries())
        total = sum(size for _, size, _ in entries)
        removed = 0
        if total <= self.limit_bytes:
            return 0
        for _, size, path in entries:
            if total <= self.limit_bytes * 9 // 10:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
                removed += 1
            total -= size
        return removed

    def clear(self) -> None:
        """Delete every entry."""
        for _, _, path in self._entries():
            with contextlib.suppress(OSError):
                os.unlink(path)

    def relatives(self, key: Key) -> tuple[tuple[str, str], ...] | None:
        """The parts of the newest other entry with the same symbol, to explain a miss."""
        start = os.path.basename(self._path(key))[: -len(key.digest) - len(_SUFFIX)]
        found = [e for e in self._entries() if os.path.basename(e[2]).startswith(start)]
        for _, _, path in sorted(found, reverse=True):
            try:
                with open(path, "rb") as file:
                    magic, _, length, _, _ = _HEADER.unpack(file.read(_HEADER.size))
                    parts = file.read(min(length, 1 << 20)).decode()
            except (OSError, struct.error, UnicodeDecodeError):
                continue
            if magic == _MAGIC and path != self._path(key):
                rows = [row.split("\x1f", 1) for row in parts.split("\x1e") if "\x1f" in row]
                return tuple((row[0], row[1]) for row in rows)
        return None


def _trusted(directory: str) -> bool:
    """Only we (or root) can have put files there."""
    state = os.stat(directory)
    if not stat.S_ISDIR(state.st_mode):
        return False
    if not hasattr(os, "geteuid"):
        return True
    return state.st_uid in (0, os.geteuid()) and not state.st_mode & stat.S_IWOTH


def _unpack(data: bytes, digest: str) -> bytes | None:
    """The object in a file's bytes, or None if they are not what was written for this key."""
    if len(data) < _HEADER.size:
        return None
    magic, zero, parts_length, length, checksum = _HEADER.unpack_from(data)
    start = _HEADER.size + parts_length
    if magic != _MAGIC or zero or len(data) != start + length:
        return None
    parts, content = data[_HEADER.size : start], data[start:]
    return content if _checksum(digest, parts, content) == checksum else None
