"""PyTorch's formats from before its zip files: a row of pickles and raw storages, and a tar."""

from __future__ import annotations

import contextlib
import io
import mmap
import pickle
import struct
import tarfile
from typing import Any

import numpy as np

from diptych.core.buffer import Buffer, PooledBuffer
from diptych.formats.pickles import PickleReader
from diptych.torch.pickling import Pickler
from diptych.torch.storage import TypedStorage
from diptych.torch.unpickling import StorageKind, invalid, strided

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
_SYSTEM = {
    "protocol_version": PROTOCOL, "little_endian": True,
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}  # fmt: skip
_COUNT = struct.Struct("<q")


def write(file: Any, data: bytes, pickler: Pickler, protocol: int) -> None:
    """The format of ``_use_new_zipfile_serialization=False``."""
    for header in (MAGIC, PROTOCOL, _SYSTEM):
        file.write(pickle.dumps(header, protocol))
    file.write(data)
    storages = sorted(pickler.storages.values(), key=lambda storage: storage.key)
    file.write(pickle.dumps([storage.key for storage in storages], protocol))
    for storage in storages:
        file.write(_COUNT.pack(storage.buffer.nbytes // storage.itemsize))
        file.write(storage.view())


def bytes_of(file: Any) -> memoryview:
    """What is left of a file, mapped where it is a real one."""
    start = file.tell()
    with contextlib.suppress(OSError, ValueError, AttributeError, io.UnsupportedOperation):
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))[start:]
    return memoryview(file.read()).cast("B")


def read(call: Any, file: Any) -> Any:
    """Read a file that is no zip; ``call`` is the ``Loading`` that says what is allowed."""
    if file.tell() == 0:
        try:
            with tarfile.open(fileobj=file, mode="r:") as tar:
                return Tar(call, tar).load()
        except tarfile.TarError:
            file.seek(0)
    data = bytes_of(file)
    magic, position = plain(data, 0)
    if type(magic) is not int or magic != MAGIC:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version, position = plain(data, position)
    if version != PROTOCOL:
        raise RuntimeError(f"Invalid protocol version: {version}")
    system, position = plain(data, position)
    if type(system) is not dict or system.get("little_endian") is not True:
        raise invalid("a file of another byte order")
    storages = Storages(call, len(data))
    found, position = call.unpickled(data, position, storages.persistent)
    keys, position = plain(data, position)
    position = storages.fill(keys, data, position)
    if hasattr(file, "seek"):  # several objects may follow one another
        file.seek(position - len(data), io.SEEK_END)
    return found


def plain(data: memoryview, position: int) -> tuple[Any, int]:
    """A pickle without names: a number, a list, a dict."""

    def refuse(*what: Any) -> Any:
        raise invalid("a header that names something")

    reader = PickleReader(data, position, refuse, refuse)
    return reader.load(), reader.position


def storage_on(buffer: Buffer, core: Any) -> TypedStorage:
    """A storage of these elements on a buffer."""
    made = TypedStorage.__new__(TypedStorage)
    made._buffer, made._core = buffer, core
    return made


def part_of(storage: TypedStorage, offset: Any, count: Any) -> TypedStorage:
    """Some of a storage's elements, in the same memory."""
    if not all(type(n) is int and n >= 0 for n in (offset, count)):
        raise invalid("a part of a storage of odd bounds")
    size, buffer = storage._core.itemsize, storage._buffer
    if (offset + count) * size > buffer.nbytes:
        raise invalid(f"a part of a storage that reaches beyond its {buffer.nbytes} bytes")
    memory = np.frombuffer(buffer.memory, np.uint8)[offset * size : (offset + count) * size]
    return storage_on(Buffer(buffer.address + offset * size, count * size, memory), storage._core)


class Storages:
    """The storages of one file: made when they are named, filled at its end."""

    def __init__(self, call: Any, room: int) -> None:
        self.call = call
        self.room = room  # bytes that the storages can have in all: the file's
        self.raw: dict[str, Buffer] = {}
        self.itemsize: dict[str, int] = {}
        self.made: dict[str, TypedStorage] = {}
        self.parts: dict[Any, TypedStorage] = {}

    def persistent(self, pid: Any) -> Any:
        """A storage, or the class of a module that was saved with its source."""
        if type(pid) is not tuple or not pid:
            raise invalid("an unknown persistent id")
        if pid[0] == "module" and len(pid) >= 2 and isinstance(pid[1], type):
            return pid[1]
        if pid[0] != "storage" or len(pid) != 6:
            raise invalid("an unknown persistent id")
        _, kind, key, location, count, view = pid
        if type(kind) is not StorageKind or type(count) is not int or count < 0:
            raise invalid("a storage of an unknown kind")
        if type(key) not in (str, int) or type(location) is not str:
            raise invalid("a storage of an odd name or place")
        storage = self.storage(str(key), kind, count, location)
        if view is None:
            return storage
        if type(view) is not tuple or len(view) != 3 or type(view[0]) not in (str, int):
            raise invalid("a part of a storage of odd bounds")
        if view[0] not in self.parts:
            self.parts[view[0]] = part_of(storage, view[1], view[2])
        return self.parts[view[0]]

    def storage(self, key: str, kind: StorageKind, count: int, location: str) -> TypedStorage:
        core = kind.core or self.call.finder("torch", "ByteStorage").value.core
        nbytes = count * core.itemsize
        found = self.made.get(key)
        if found is None:
            self.room -= nbytes
            if self.room < 0:
                raise invalid(f"storage {key} is to have {nbytes} bytes, which the file has not")
            self.raw[key], self.itemsize[key] = PooledBuffer(nbytes), core.itemsize
            storage = storage_on(self.raw[key], core)
            found = self.made[key] = self.call.restore(storage, location)
        elif found._core is not core or self.raw[key].nbytes != nbytes:
            raise invalid(f"storage {key} is described in two ways")
        return found

    def fill(self, keys: Any, data: memoryview, position: int) -> int:
        """Read the storages' bytes, in the order of ``keys``; gives where they end."""
        if type(keys) is not list or {str(key) for key in keys} != set(self.raw):
            raise invalid("other storages than its tensors have")
        for key in map(str, keys):
            buffer = self.raw.pop(key, None)
            if buffer is None:
                raise invalid(f"storage {key} twice")
            if len(data) - position < _COUNT.size:
                raise invalid(f"storage {key} ends early")
            (count,) = _COUNT.unpack_from(data, position)
            position += _COUNT.size
            if count * self.itemsize[key] != buffer.nbytes:
                raise invalid(f"storage {key} has {count} elements, other than described")
            if len(data) - position < buffer.nbytes:
                raise invalid(f"storage {key} ends early")
            view = memoryview(buffer.memory).cast("B")[: buffer.nbytes]
            view[:] = data[position : position + buffer.nbytes]
            position += buffer.nbytes
        return position


class Tar:
    """The oldest format: storages, tensors and a pickle that names them, in a tar."""

    def __init__(self, call: Any, tar: tarfile.TarFile) -> None:
        self.call = call
        self.tar = tar
        self.found: dict[str, Any] = {}

    def member(self, name: str) -> memoryview:
        info = self.tar.getmember(name)
        if not info.isreg() or info.issparse():
            raise invalid(f"its member {name!r} is no plain file")
        file = self.tar.extractfile(info)
        return memoryview(file.read() if file is not None else b"")

    def load(self) -> Any:
        self.read_storages(self.member("storages"))
        self.read_tensors(self.member("tensors"))
        found, _ = self.call.unpickled(self.member("pickle"), 0, self.persistent)
        return found

    def persistent(self, pid: Any) -> Any:
        if type(pid) is tuple and pid and isinstance(pid[0], type):
            return pid[0]  # a module's class, with its source
        if type(pid) in (int, str) and str(pid) in self.found:
            return self.found[str(pid)]
        raise invalid("an unknown persistent id")

    def counted(self, data: memoryview) -> tuple[int, int]:
        count, position = plain(data, 0)
        if type(count) is not int or not 0 <= count <= len(data):
            raise invalid("an odd number of storages or tensors")
        return count, position

    def read_storages(self, data: memoryview) -> None:
        count, position = self.counted(data)
        for _ in range(count):
            entry, position = self.call.unpickled(data, position, self.persistent)
            if type(entry) is not tuple or len(entry) != 3 or type(entry[2]) is not StorageKind:
                raise invalid("a storage of an unknown kind")
            key, location, kind = entry
            core = kind.core or self.call.finder("torch", "ByteStorage").value.core
            if len(data) - position < _COUNT.size:
                raise invalid(f"storage {key} ends early")
            (extent,) = _COUNT.unpack_from(data, position)
            position += _COUNT.size
            nbytes = extent * core.itemsize
            if extent < 0 or len(data) - position < nbytes:
                raise invalid(f"storage {key} is to have {nbytes} bytes, which the file has not")
            buffer = PooledBuffer(nbytes)
            memoryview(buffer.memory).cast("B")[:nbytes] = data[position : position + nbytes]
            position += nbytes
            self.found[str(key)] = self.call.restore(storage_on(buffer, core), str(location))
        views, _ = plain(data, position)
        for view in views if type(views) is list else ():
            if type(view) is not tuple or len(view) != 4 or str(view[1]) not in self.found:
                raise invalid("a part of a storage that there is not")
            target, root, offset, extent = view
            self.found[str(target)] = part_of(self.found[str(root)], offset, extent)

    def read_tensors(self, data: memoryview) -> None:
        count, position = self.counted(data)
        for _ in range(count):
            entry, position = self.call.unpickled(data, position, self.persistent)
            if type(entry) is not tuple or len(entry) != 3:
                raise invalid("a tensor of odd parts")
            storage = self.found.get(str(entry[1]))
            if type(storage) is not TypedStorage:
                raise invalid("a tensor without a storage")
            if len(data) - position < 8:
                raise invalid("a tensor that ends early")
            (ndim,) = struct.unpack_from("<i", data, position)
            if not 0 <= ndim <= 64 or len(data) - position < 16 + 16 * ndim:
                raise invalid(f"a tensor of {ndim} dimensions")
            numbers = struct.unpack_from(f"<{2 * ndim + 1}q", data, position + 8)
            position += 16 + 16 * ndim
            tensor = strided(storage, numbers[-1], numbers[:ndim], numbers[ndim : 2 * ndim])
            self.found[str(entry[0])] = tensor
