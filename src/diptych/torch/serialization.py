"""torch.save and torch.load: PyTorch's zip format and older ones; nothing in a file is run."""

from __future__ import annotations

import contextlib
import io
import mmap as memory_maps
import os
import pickle
import struct
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any

import numpy as np

from diptych.core.buffer import Buffer, PooledBuffer
from diptych.formats.archives import ArchiveError, ArchiveReader, ArchiveWriter
from diptych.formats.pickles import Name, PickleReader
from diptych.torch import legacy_files
from diptych.torch.device import device
from diptych.torch.pickling import Pickler, public_module
from diptych.torch.storage import TypedStorage, untyped
from diptych.torch.unpickling import ALLOWED, Finder, StorageKind, invalid

DEFAULT_PROTOCOL = 2
_NEWEST_VERSION = 10
# What damaged files may raise on their way, besides the errors that already say so.
_DAMAGE = (
    AttributeError, EOFError, IndexError, KeyError, MemoryError, OverflowError, RecursionError,
    TypeError, ValueError, struct.error,
)  # fmt: skip


class LoadEndianness(Enum):
    """The byte order of a file that does not say its own."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


class _Options:
    """What programs set for all files."""

    checksums = True
    mapping = memory_maps.MAP_PRIVATE
    endianness: LoadEndianness | None = None
    safe: dict[str, Any] = {}


class SourceChangeWarning(Warning):
    """PyTorch's warning of a module whose source has changed; never given here."""


# ---- saving


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write an object with its tensors to a file (a path or a file object)."""
    stem = "archive"
    if isinstance(f, (str, os.PathLike)):
        path = os.fspath(f)
        parent = os.path.dirname(path)
        if parent and not os.path.isdir(parent):
            raise RuntimeError(f"Parent directory {parent} does not exist.")
        stem = os.path.splitext(os.path.basename(path))[0] or "archive"
    elif not hasattr(f, "write"):
        raise AttributeError(
            f"expected 'f' to be string, path, or a file-like object, got {type(f)}"
        )
    pickled = io.BytesIO()
    pickler = Pickler(pickled, pickle_protocol, legacy=not _use_new_zipfile_serialization)
    pickler.dump(obj)  # before the file is opened: what cannot be pickled leaves it as it was
    context = open(path, "wb") if isinstance(f, (str, os.PathLike)) else contextlib.nullcontext(f)
    with context as file:
        if _use_new_zipfile_serialization:
            write_archive(file, stem, pickled.getvalue(), pickler, not _disable_byteorder_record)
        else:
            legacy_files.write(file, pickled.getvalue(), pickler, pickle_protocol)
        if hasattr(file, "flush"):
            file.flush()


def write_archive(file: Any, stem: str, data: bytes, pickler: Pickler, byteorder: bool) -> None:
    """The entries, in PyTorch's order."""
    archive = ArchiveWriter(file, checksums=_Options.checksums)
    archive.put(f"{stem}/data.pkl", data)
    archive.put(f"{stem}/.format_version", b"1")
    archive.put(f"{stem}/.storage_alignment", str(archive.alignment).encode())
    if byteorder:
        archive.put(f"{stem}/byteorder", b"little")
    for storage in pickler.storages.values():
        archive.put(f"{stem}/data/{storage.key}", storage.view())
    archive.put(f"{stem}/version", b"3\n")
    archive.finish()


# ---- loading


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read an object that ``torch.save`` wrote, ours or PyTorch's, in any of its formats.

    Only tensors, plain containers and allowed classes are made; nothing in the file is run, with
    ``weights_only=False`` neither.
    """
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    if weights_only is None:
        weights_only = default_weights_only(pickle_module)
    encoding = pickle_load_args.pop("encoding", "utf-8")
    errors = pickle_load_args.pop("errors", "strict")
    finder = Finder(_Options.safe, weights_only)
    call = Loading(finder, restorer(map_location), encoding, errors)
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return call.load(file, bool(mmap))
    if mmap:
        raise ValueError("f must be a file filename in order to use the mmap argument")
    if not hasattr(f, "read") or not hasattr(f, "seek"):
        raise AttributeError(
            "'f' must be a path or a file that can be read and sought. You can only torch.load "
            "from a file that is seekable. Please pre-load the data into a buffer like io.BytesIO "
            "and try to load from it instead."
        )
    return call.load(f, False)


def default_weights_only(pickle_module: Any) -> bool:
    """What ``weights_only=None`` means: PyTorch's environment variables may say so."""
    forced = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0")
    never = os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "0")
    yes = ("1", "y", "yes", "true")
    if forced.lower() in yes and never.lower() in yes:
        raise RuntimeError(
            "Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` "
            "should be set, but both were set."
        )
    return forced.lower() in yes or (pickle_module is None and never.lower() not in yes)


class Loading:
    """One call of ``load``: which names are allowed, where storages go, how old text is read."""

    def __init__(
        self, finder: Finder, restore: Callable[[TypedStorage, str], TypedStorage], encoding: str,
        errors: str,
    ) -> None:  # fmt: skip
        self.finder = finder
        self.restore = restore
        self.encoding = encoding
        self.errors = errors

    def load(self, file: Any, mapped: bool) -> Any:
        """Read from where the file stands; every kind of damage becomes an UnpicklingError."""
        start = file.tell()
        head = file.read(4)
        file.seek(start)
        if not head:
            raise EOFError("Ran out of input")
        try:
            if head == b"PK\x03\x04":
                return self.archive(io.BytesIO(file.read()) if start else file, mapped)
            if mapped:
                raise RuntimeError(
                    "mmap can only be used with files saved with "
                    "`torch.save(_use_new_zipfile_serialization=True), please torch.save your "
                    "checkpoint with this option in order to use mmap."
                )
            return legacy_files.read(self, file)
        except ArchiveError as error:
            text = f"PytorchStreamReader failed reading zip archive: {error}"
            raise RuntimeError(text) from error
        except (pickle.UnpicklingError, RuntimeError) as error:
            if isinstance(error, RecursionError):
                raise invalid("it nests too deeply") from error
            raise
        except _DAMAGE as error:
            raise invalid(f"{type(error).__name__}: {error}") from error

    def unpickled(self, data: memoryview, start: int, persistent: Any) -> tuple[Any, int]:
        """The object of the pickle that begins there, and where it ends."""
        reader = PickleReader(data, start, self.finder, persistent, self.encoding, self.errors)
        return reader.load(), reader.position

    def archive(self, file: Any, mapped: bool) -> Any:
        """Read the zip format."""
        reader = Archive(ArchiveReader(file), self, file if mapped else None)
        data = memoryview(reader.entry("data.pkl"))
        found, _ = self.unpickled(data, 0, reader.persistent)
        return found


class Archive:
    """The entries of a file in the zip format, and the storages made of them, each read once."""

    def __init__(self, archive: ArchiveReader, call: Loading, mapped: Any) -> None:
        self.archive = archive
        self.call = call
        self.made: dict[str, tuple[int, TypedStorage]] = {}
        pickles = [name for name in archive.entries if name.endswith("/data.pkl")]
        if not pickles:
            raise RuntimeError("PytorchStreamReader failed locating file data.pkl: file not found")
        self.stem = pickles[0][: -len("data.pkl")]
        stray = [name for name in archive.entries if not name.startswith(self.stem)]
        if stray:
            raise ArchiveError(f"the archive has an entry {stray[0]!r} beside {self.stem!r}")
        if f"{self.stem}constants.pkl" in archive.entries:
            raise NotImplementedError(
                "torch.load: the file is a TorchScript archive: not implemented in diptych"
            )
        self.check_version()
        self.swapped = self.byte_order() == b"big"
        self.area: Any = None
        if mapped is not None:
            shared = _Options.mapping == memory_maps.MAP_SHARED
            access = memory_maps.ACCESS_WRITE if shared else memory_maps.ACCESS_COPY
            if shared:
                with open(mapped.name, "r+b") as writable:
                    self.area = memory_maps.mmap(writable.fileno(), 0, access=access)
            else:
                self.area = memory_maps.mmap(mapped.fileno(), 0, access=access)

    def check_version(self) -> None:
        name = f"{self.stem}version"
        if name not in self.archive.entries:
            return
        text = self.archive.read(name).strip() if self.archive.size(name) < 20 else b""
        if not text.isdigit():
            raise ArchiveError(f"the version of the file is {text!r}")
        if int(text) > _NEWEST_VERSION:
            raise RuntimeError(
                f"Attempted to read a PyTorch file with version {int(text)}, but the maximum "
                f"supported version for reading is {_NEWEST_VERSION}. Your PyTorch installation "
                "may be too old."
            )

    def byte_order(self) -> bytes:
        name = f"{self.stem}byteorder"
        if name not in self.archive.entries:
            return b"big" if _Options.endianness is LoadEndianness.BIG else b"little"
        order = self.archive.read(name).strip() if self.archive.size(name) < 20 else b""
        if order not in (b"little", b"big"):
            raise ValueError(f"Unknown endianness type: {order.decode('latin1')}")
        return order

    def entry(self, name: str) -> bytes:
        return self.archive.read(self.stem + name)

    def persistent(self, pid: Any) -> TypedStorage:
        """The storage that a persistent id names, with as many bytes as the id says."""
        if type(pid) is not tuple or len(pid) != 5 or pid[0] != "storage":
            raise invalid("an unknown persistent id")
        _, kind, key, location, count = pid
        if type(kind) is not StorageKind or type(count) is not int or count < 0:
            raise invalid("a storage of an unknown kind")
        if type(location) is not str or type(key) not in (str, int):
            raise invalid("a storage of an odd name or place")
        core = kind.core or ALLOWED_BYTES.core
        nbytes = count * core.itemsize
        found = self.made.get(str(key))
        if found is None:
            storage = self.storage(str(key), core, nbytes)
            found = self.made[str(key)] = (nbytes, self.call.restore(storage, location))
        elif found[0] != nbytes or found[1]._core is not core:
            raise invalid(f"storage {key} is described in two ways")
        return found[1]

    def storage(self, key: str, core: Any, nbytes: int) -> TypedStorage:
        name = f"{self.stem}data/{key}"
        if name not in self.archive.entries:
            raise RuntimeError(
                f"PytorchStreamReader failed locating file data/{key}: file not found"
            )
        size = self.archive.size(name)
        if size != nbytes:
            raise RuntimeError(
                f"torch.load: storage {key} has {size} bytes in the file, but {nbytes} are expected"
            )
        made = typed(self.memory(name, nbytes), core)
        if self.swapped and core.itemsize > 1:
            if core.kind == "c":
                core = next(c for c in ALLOWED_PARTS if c.itemsize * 2 == core.itemsize)
            np.frombuffer(made._buffer.memory, core.numpy).byteswap(inplace=True)
        return made

    def memory(self, name: str, nbytes: int) -> Buffer:
        start = self.archive.entries[name][0]
        if self.area is not None and nbytes and not start % 16 and not self.swapped:
            memory = np.frombuffer(self.area, np.uint8, nbytes, start)
            address = memory.__array_interface__["data"][0]
            return Buffer(address, nbytes, memory)
        buffer = PooledBuffer(nbytes)
        self.archive.read_into(name, memoryview(buffer.memory).cast("B")[:nbytes])
        return buffer


def typed(buffer: Buffer, core: Any) -> TypedStorage:
    """A storage of these elements on a buffer."""
    made = TypedStorage.__new__(TypedStorage)
    made._buffer, made._core = buffer, core
    return made


# ---- where storages go


def restorer(map_location: Any) -> Callable[[TypedStorage, str], TypedStorage]:
    """What puts a storage, known with its place in the file, where ``map_location`` says."""
    if map_location is None:
        return default_restore
    if isinstance(map_location, dict):
        return lambda storage, place: default_restore(storage, map_location.get(place, place))
    if isinstance(map_location, (str, bytes)):
        name = map_location.decode("ascii") if isinstance(map_location, bytes) else map_location
        return lambda storage, place: default_restore(storage, name)
    if isinstance(map_location, device):
        return lambda storage, place: default_restore(storage, str(map_location))

    def restore(storage: TypedStorage, place: str) -> TypedStorage:
        found = map_location(untyped(storage._buffer), place)
        if found is None:
            return default_restore(storage, place)
        if not hasattr(found, "_buffer") or found._buffer.nbytes < storage._buffer.nbytes:
            raise TypeError(
                f"map_location must give a storage or None, but gave {type(found).__name__}"
            )
        return typed(found._buffer, storage._core)

    return restore


def default_restore(storage: TypedStorage, location: Any) -> TypedStorage:
    """The storage itself; RuntimeError where it is to live on a device that is not there."""
    wanted = str(location)
    if wanted.startswith("cuda"):
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is "
            "False. If you are running on a CPU-only machine, please use torch.load with "
            "map_location=torch.device('cpu') to map your storages to the CPU."
        )
    if wanted == "meta":
        raise NotImplementedError("the 'meta' device is not implemented in diptych")
    if wanted not in ("cpu", "cpu:0"):
        raise RuntimeError(
            f"don't know how to restore data location of torch.storage.UntypedStorage "
            f"(tagged with {wanted})"
        )
    return storage


default_restore_location = default_restore


def location_tag(storage: Any) -> str:
    """The place that a file gives a storage: the CPU."""
    return "cpu"


ALLOWED_BYTES: StorageKind = ALLOWED["torch.ByteStorage"].value
ALLOWED_PARTS = (
    ALLOWED["torch.FloatStorage"].value.core,
    ALLOWED["torch.DoubleStorage"].value.core,
)


# ---- classes that a file may name


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Let files name these classes or functions (or (object, name) pairs)."""
    for entry in safe_globals:
        if isinstance(entry, tuple):
            if len(entry) != 2 or not isinstance(entry[1], str):
                raise ValueError(
                    f"Expected a 2-tuple of (global, str of fully qualified name), got {entry}"
                )
            _Options.safe[entry[1]] = entry[0]
        else:
            _Options.safe[f"{public_module(entry.__module__)}.{entry.__qualname__}"] = entry


def get_safe_globals() -> list[Any]:
    """What was let in."""
    return list(_Options.safe.values())


def clear_safe_globals() -> None:
    """Let nothing in but what is always allowed."""
    _Options.safe.clear()


class safe_globals:  # noqa: N801 (PyTorch's name)
    """Lets classes in for as long as it is open."""

    def __init__(self, safe_globals: list[Any]) -> None:
        self.given = safe_globals
        self.before: dict[str, Any] = {}

    def __enter__(self) -> None:
        self.before = dict(_Options.safe)
        add_safe_globals(self.given)

    def __exit__(self, *exc: Any) -> None:
        _Options.safe.clear()
        _Options.safe.update(self.before)


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The names in a file (zip format) that neither PyTorch nor the program allows."""
    missing: dict[str, None] = {}

    def find(module: str, name: str) -> Name:
        full = f"{module}.{name}"
        if full not in ALLOWED and full not in _Options.safe:
            missing[full] = None
        inert: Any = type(name, (), {})
        return Name(
            inert, lambda r, *args: inert(), lambda r, *args, **options: inert(),
            lambda made, state: None,
        )  # fmt: skip

    with open(f, "rb") if isinstance(f, (str, os.PathLike)) else contextlib.nullcontext(f) as file:
        try:
            archive = Archive(
                ArchiveReader(file), Loading(Finder({}, True), restorer(None), "", ""), None
            )
            data = memoryview(archive.entry("data.pkl"))
        except ArchiveError as error:
            raise ValueError(
                "Expected input to be a checkpoint returned by torch.save but got a torchscript "
                f"checkpoint or another file: {error}"
            ) from error
    reader = PickleReader(data, 0, find, lambda pid: None)
    with contextlib.suppress(pickle.UnpicklingError):  # items set on what is no dict here
        reader.load()
    return sorted(missing)


# ---- options


def set_crc32_options(compute_crc32: bool) -> None:
    """Whether ``save`` computes checksums."""
    _Options.checksums = bool(compute_crc32)


def get_crc32_options() -> bool:
    """Whether ``save`` computes checksums."""
    return _Options.checksums


def get_default_load_endianness() -> LoadEndianness | None:
    """The byte order of files that do not say their own; None: this machine's."""
    return _Options.endianness


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Set the byte order of files that do not say their own."""
    if endianness is not None and not isinstance(endianness, LoadEndianness):
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    _Options.endianness = endianness


def get_default_mmap_options() -> int:
    """The flags with which ``mmap=True`` maps files."""
    return _Options.mapping


class set_default_mmap_options:  # noqa: N801 (PyTorch's name)
    """Sets the flags with which ``mmap=True`` maps files; as a context, until it ends."""

    def __init__(self, flags: int) -> None:
        if flags not in (memory_maps.MAP_PRIVATE, memory_maps.MAP_SHARED):
            raise ValueError(
                "Invalid argument in function set_default_mmap_options, expected mmap.MAP_PRIVATE "
                f"or mmap.MAP_SHARED, but got {flags}"
            )
        self.before, _Options.mapping = _Options.mapping, flags

    def __enter__(self) -> None:
        """The flags are set already."""

    def __exit__(self, *exc: Any) -> None:
        _Options.mapping = self.before


def skip_data(materialize_fake_tensors: bool = False) -> Iterator[None]:
    """Not implemented: files without their tensors' data."""
    raise NotImplementedError("torch.serialization.skip_data is not implemented in diptych")


def register_package(priority: int, tagger: Any, deserializer: Any) -> None:
    """Not implemented: devices of a program's own."""
    raise NotImplementedError("torch.serialization.register_package is not implemented in diptych")
