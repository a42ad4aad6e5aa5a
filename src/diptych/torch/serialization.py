"""torch.save and torch.load: PyTorch's zip format, read without running anything in it."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

from diptych.core.buffer import PooledBuffer
from diptych.torch.device import device
from diptych.torch.pickling import Pickler, public_module
from diptych.torch.unpickling import LoadedStorage, Unpickler

_ALIGNMENT = 64
_safe_globals: dict[str, Any] = {}


# ---- saving


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write an object with its tensors to a file (a path or a file object)."""
    if not _use_new_zipfile_serialization:
        raise NotImplementedError(
            "torch.save: the format from before PyTorch 1.6 is not supported yet; leave "
            "_use_new_zipfile_serialization=True"
        )
    stem = "archive"
    if isinstance(f, (str, os.PathLike)):
        path = os.fspath(f)
        parent = os.path.dirname(path)
        if parent and not os.path.isdir(parent):
            raise RuntimeError(f"Parent directory {parent} does not exist.")
        stem = os.path.splitext(os.path.basename(path))[0] or "archive"
        target: Any = path
    elif hasattr(f, "write"):
        target = Unseekable(f)
    else:
        raise AttributeError(
            f"expected 'f' to be string, path, or a file-like object, got {type(f)}"
        )
    pickled = io.BytesIO()
    pickler = Pickler(pickled, pickle_protocol)
    pickler.dump(obj)
    with zipfile.ZipFile(target, "w") as archive:
        put(archive, f"{stem}/data.pkl", pickled.getvalue())
        put(archive, f"{stem}/.format_version", b"1")
        put(archive, f"{stem}/.storage_alignment", str(_ALIGNMENT).encode())
        if not _disable_byteorder_record:
            put(archive, f"{stem}/byteorder", b"little")
        for storage in pickler.storages.values():
            view = memoryview(storage.buffer.memory).cast("B")[: storage.buffer.nbytes]
            put(archive, f"{stem}/data/{storage.key}", view)
        put(archive, f"{stem}/version", b"3\n")


class Unseekable:
    """A file object to which a zip is only appended: nothing of it is read back."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.position = 0

    def write(self, data: Any) -> int:
        self.file.write(bytes(data) if isinstance(data, memoryview) else data)
        self.position += len(data)
        return len(data)

    def flush(self) -> None:
        if hasattr(self.file, "flush"):
            self.file.flush()

    def tell(self) -> int:
        return self.position

    def seekable(self) -> bool:
        return False


def put(archive: zipfile.ZipFile, name: str, data: Any) -> None:
    """Store an entry without compression, its bytes aligned within the file as PyTorch's."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    start = archive.start_dir + 30 + len(name.encode()) + 4  # header, name, the filler's own header
    filler = -start % _ALIGNMENT
    info.extra = b"FB" + filler.to_bytes(2, "little") + b"Z" * filler
    with archive.open(info, "w", force_zip64=False) as entry:
        entry.write(data)


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
    """Read an object that ``torch.save`` wrote, ours or PyTorch's.

    Only tensors, plain containers and allowed classes are made; nothing in the file is run, with
    ``weights_only=False`` neither.
    """
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    encoding = pickle_load_args.pop("encoding", "utf-8")
    if isinstance(f, (str, os.PathLike)):
        with open(f, "rb") as file:
            return load_from(file, map_location, weights_only, encoding)
    if not hasattr(f, "read") or not hasattr(f, "seek"):
        raise AttributeError(
            "'f' must be a path or a file that can be read and sought. You can only torch.load "
            "from a file that is seekable. Please pre-load the data into a buffer like io.BytesIO "
            "and try to load from it instead."
        )
    return load_from(f, map_location, weights_only, encoding)


def load_from(file: Any, map_location: Any, weights_only: bool | None, encoding: str) -> Any:
    """Read from an open file, from where it stands."""
    start = file.tell()
    head = file.read(4)
    file.seek(start)
    if head != b"PK\x03\x04":
        if not head:
            raise EOFError("Ran out of input")
        raise NotImplementedError(
            "torch.load: the file is not in PyTorch's zip format. Formats from before PyTorch 1.6 "
            "are not supported yet: load the file with an older PyTorch and save it again"
        )
    data = io.BytesIO(file.read()) if start else file
    try:
        with zipfile.ZipFile(data) as archive:
            reader = Reader(archive, map_location)
            return Unpickler(
                reader.entry("data.pkl"),
                reader.storage,
                _safe_globals,
                weights_only is None or weights_only,
                encoding,
            ).load()
    except zipfile.BadZipFile as error:
        raise RuntimeError(f"PytorchStreamReader failed reading zip archive: {error}") from error
    except (pickle.UnpicklingError, RuntimeError):
        raise
    except (
        AttributeError, EOFError, IndexError, KeyError, MemoryError, OverflowError, TypeError,
        ValueError, struct.error,
    ) as error:  # fmt: skip
        raise pickle.UnpicklingError(
            f"torch.load: the file is damaged ({type(error).__name__}: {error})"
        ) from error


class Reader:
    """The entries of an archive, and the storages made of them, each read once."""

    def __init__(self, archive: zipfile.ZipFile, map_location: Any) -> None:
        self.archive = archive
        self.map_location = map_location
        self.made: dict[str, LoadedStorage] = {}
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if not pickles:
            raise RuntimeError("PytorchStreamReader failed locating file data.pkl: file not found")
        self.stem = pickles[0][: -len("data.pkl")]
        names = set(archive.namelist())
        if f"{self.stem}constants.pkl" in names:
            raise NotImplementedError(
                "torch.load: the file is a TorchScript archive; torch.jit is not supported yet"
            )
        if f"{self.stem}byteorder" in names and self.entry("byteorder").strip() != b"little":
            raise NotImplementedError("torch.load: big-endian files are not supported yet")

    def info(self, name: str) -> zipfile.ZipInfo:
        try:
            info = self.archive.getinfo(self.stem + name)
        except KeyError:
            raise RuntimeError(
                f"PytorchStreamReader failed locating file {name}: file not found"
            ) from None
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise RuntimeError(f"torch.load: the entry {info.filename} is compressed")
        return info

    def entry(self, name: str) -> bytes:
        return self.archive.read(self.info(name))

    def storage(self, key: str, core: Any, nbytes: int, location: str) -> LoadedStorage:
        """The storage of a number: its bytes must be as many as the pickle says."""
        found = self.made.get(key)
        if found is None:
            info = self.info(f"data/{key}")
            if info.file_size != nbytes:
                raise RuntimeError(
                    f"torch.load: storage {key} has {info.file_size} bytes in the file, but "
                    f"{nbytes} are expected"
                )
            check_location(self.map_location, location)
            buffer = PooledBuffer(nbytes)
            if nbytes:
                view = memoryview(buffer.memory).cast("B")[:nbytes]
                with self.archive.open(info) as source:
                    filled = 0
                    while filled < nbytes:
                        count = source.readinto(view[filled:])  # type: ignore[attr-defined]
                        if not count:
                            raise RuntimeError(f"torch.load: storage {key} ends early")
                        filled += count
            found = self.made[key] = LoadedStorage(buffer, core, location)
            if callable(self.map_location):
                self.map_location(found, location)
        elif found.buffer.nbytes != nbytes or found.core is not core:
            raise pickle.UnpicklingError(
                f"torch.load: the file is damaged: storage {key} is described in two ways"
            )
        return found


def check_location(map_location: Any, location: str) -> None:
    """RuntimeError where a storage is to live on a device that is not there."""
    wanted = location
    if isinstance(map_location, dict):
        wanted = map_location.get(location, location)
    elif isinstance(map_location, (str, device)):
        wanted = str(map_location)
    elif map_location is not None:
        return  # a function: what it gives back lies in memory all the same
    if str(wanted).startswith("cuda"):
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is "
            "False. If you are running on a CPU-only machine, please use torch.load with "
            "map_location=torch.device('cpu') to map your storages to the CPU."
        )
    if str(wanted) not in ("cpu", "cpu:0"):
        raise RuntimeError(
            f"don't know how to restore data location of torch.UntypedStorage "
            f"(tagged with {wanted})"
        )


# ---- classes that a file may name


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Let files name these classes or functions (or (object, name) pairs)."""
    for entry in safe_globals:
        if isinstance(entry, tuple):
            _safe_globals[entry[1]] = entry[0]
        else:
            _safe_globals[f"{public_module(entry.__module__)}.{entry.__qualname__}"] = entry


def get_safe_globals() -> list[Any]:
    """What was let in."""
    return list(_safe_globals.values())


def clear_safe_globals() -> None:
    """Let nothing in but what is always allowed."""
    _safe_globals.clear()


@contextlib.contextmanager
def _safe_within(safe_globals: list[Any]) -> Iterator[None]:
    before = dict(_safe_globals)
    add_safe_globals(safe_globals)
    try:
        yield
    finally:
        _safe_globals.clear()
        _safe_globals.update(before)


safe_globals = _safe_within


def get_default_load_endianness() -> None:
    """None: a file says so itself."""
    return None
