"""torch.storage: the memory under tensors, as bytes or as elements of one type."""

from __future__ import annotations

import mmap
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from diptych.core import dtypes as engine
from diptych.core.buffer import Buffer, PooledBuffer, of_array
from diptych.core.layout import layout
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import store, wrap
from diptych.torch.device import CPU, check_device
from diptych.torch.dtypes import BY_INDEX, Default, core_of
from diptych.torch.tensor import Tensor, TwinBuffer

# Element types whose storages have a class of their own; newer ones have UntypedStorage alone.
KINDS = {
    "FloatStorage": engine.float32, "DoubleStorage": engine.float64, "HalfStorage": engine.float16,
    "BFloat16Storage": engine.bfloat16, "LongStorage": engine.int64, "IntStorage": engine.int32,
    "ShortStorage": engine.int16, "CharStorage": engine.int8, "ByteStorage": engine.uint8,
    "BoolStorage": engine.bool_, "ComplexFloatStorage": engine.complex64,
    "ComplexDoubleStorage": engine.complex128,
}  # fmt: skip


def owner_of(buffer: Buffer) -> Buffer:
    """The buffer itself, where a tensor has a twin of it."""
    return buffer.owner if isinstance(buffer, TwinBuffer) else buffer


class _Storage:
    """What bytes and typed elements have in common."""

    __module__ = "torch.storage"
    is_cuda = is_sparse = is_sparse_csr = is_hpu = False
    filename: str | None = None
    _buffer: Buffer
    _core: Any

    @property
    def device(self) -> Any:
        return CPU

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._buffer.nbytes

    def element_size(self) -> int:
        """Bytes of one element."""
        return int(self._core.itemsize)

    def size(self) -> int:
        """The number of elements."""
        return self._buffer.nbytes // self.element_size()

    def __len__(self) -> int:
        return self.size()

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return self._buffer.address if self._buffer.nbytes else 0

    def get_device(self) -> int:
        """-1: the memory is the CPU's."""
        return -1

    def is_shared(self) -> bool:
        """Whether the memory is shared between processes."""
        return bool(getattr(self._buffer, "shared", False))

    def is_pinned(self, device: Any = "cuda") -> bool:
        """False: there is no device to pin memory for."""
        return False

    def resizable(self) -> bool:
        """Whether ``resize_`` is possible."""
        return self._buffer.writable

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """The elements for NumPy, and so for ``torch.asarray``, in the same memory."""
        array = self._tensor().array()
        return {**array.__array_interface__, "data": (self._buffer.address, False)}

    def _tensor(self) -> Any:
        place = layout(self._core, (self.size(),))
        return wrap(Tensor, place, self._buffer, self._buffer.address)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            start, stop, step = index.indices(self.size())
            if step != 1:
                raise RuntimeError(f"Trying to slice with a step of {step}, but only 1 is possible")
            return self._part(start, max(stop, start))
        return self._tensor()[operator.index(index)].item()

    def _part(self, start: int, stop: int) -> Any:
        size = self.element_size()
        buffer = self._buffer
        memory = np.frombuffer(buffer.memory, np.uint8)[start * size : stop * size]
        part = Buffer(buffer.address + start * size, memory.size, memory, buffer.writable)
        return self._like(part)

    def _like(self, buffer: Buffer) -> Any:
        made = type(self).__new__(type(self))
        made._buffer, made._core = buffer, self._core
        return made

    def __setitem__(self, index: Any, value: Any) -> None:
        self._tensor()[index] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def tolist(self) -> list[Any]:
        """The elements as a list."""
        return list(self._tensor().tolist())

    def fill_(self, value: Any) -> Any:
        """One value everywhere."""
        self._tensor().fill_(value)
        return self

    def clone(self) -> Any:
        """A copy in memory of its own."""
        fresh = PooledBuffer(self._buffer.nbytes)
        made = self._like(fresh)
        made._tensor().copy_(self._tensor())
        return made

    def copy_(self, source: Any, non_blocking: bool | None = None) -> Any:
        """Take over another storage's elements."""
        self._tensor().copy_(source._tensor())
        return self

    def cpu(self) -> Any:
        """Itself: the memory is the CPU's."""
        return self

    def cuda(self, device: Any = None, non_blocking: bool = False) -> Any:
        """Fails as a PyTorch without CUDA does."""
        check_device("cuda")
        return self

    def to(self, *, device: Any, non_blocking: bool = False) -> Any:
        """Itself, for the CPU."""
        check_device(device)
        return self

    def pin_memory(self, device: Any = "cuda") -> Any:
        """Itself: there is no device to pin memory for."""
        return self

    def share_memory_(self) -> Any:
        """Itself."""
        return self

    def resize_(self, size: int) -> None:
        """Another number of elements; those that fit stay. Tensors made before keep the old one."""
        fresh = PooledBuffer(int(size) * self.element_size())
        kept = min(fresh.nbytes, self._buffer.nbytes)
        old = np.frombuffer(self._buffer.memory, np.uint8)
        np.frombuffer(fresh.memory, np.uint8)[:kept] = old[:kept]
        self._buffer = fresh

    def __copy__(self) -> Any:
        return self.clone()

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        found = memo.get(id(self))
        if found is None:
            found = memo[id(self)] = self.clone()
        return found

    def __repr__(self) -> str:
        rows = "".join(f" {value}\n" for value in self.tolist())
        return f"{rows}[{self._title()} of size {self.size()}]"

    def _title(self) -> str:
        raise NotImplementedError(f"{type(self).__name__}._title")


class UntypedStorage(_Storage):
    """Bytes."""

    _core = engine.uint8

    def __init__(self, *args: Any, device: Any = None) -> None:
        check_device(device)
        if len(args) > 1:
            raise TypeError(f"UntypedStorage() takes at most one argument, got {len(args)}")
        given = args[0] if args else 0
        if isinstance(given, Sequence):
            self._buffer = of_array(np.array(list(given), np.uint8))
        else:
            self._buffer = PooledBuffer(operator.index(given))

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
        """The first bytes of a file, mapped; with ``shared``, writing to them writes the file."""
        with open(filename, "r+b" if shared else "rb") as file:
            size = file.seek(0, 2)
            if size < nbytes and not shared:
                raise RuntimeError(f"file {filename} has {size} bytes, fewer than {nbytes}")
            if size < nbytes:
                file.truncate(nbytes)
            if not nbytes:
                return cls(0)
            access = mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY
            area = mmap.mmap(file.fileno(), nbytes, access=access)
        made = untyped(of_array(np.frombuffer(area, np.uint8)))
        made.filename = str(filename) if shared else None
        return made

    def untyped(self) -> UntypedStorage:
        """Itself."""
        return self

    def type(self, dtype: Any = None) -> Any:
        """The name of the class."""
        return "torch.storage.UntypedStorage"

    def _title(self) -> str:
        return "torch.storage.UntypedStorage(device=cpu)"


class TypedStorage(_Storage):
    """Elements of one type; ``FloatStorage`` and its like have one of their own."""

    def __init__(
        self, *args: Any, wrap_storage: Any = None, dtype: Any = None, device: Any = None,
        _internal: bool = False,
    ) -> None:  # fmt: skip
        check_device(device)
        own = KINDS.get(type(self).__name__)
        self._core = own or (Default.core if dtype is None else core_of(dtype))
        if wrap_storage is not None:
            self._buffer = wrap_storage._buffer
            return
        given = args[0] if args else 0
        if isinstance(given, Sequence):
            self._buffer = PooledBuffer(len(given) * self.element_size())
            store(self._tensor(), np.array(given))
        else:
            self._buffer = PooledBuffer(operator.index(given) * self.element_size())

    @property
    def dtype(self) -> Any:
        return BY_INDEX[self._core.index]

    @property
    def _untyped_storage(self) -> UntypedStorage:
        return untyped(self._buffer)

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return self._untyped_storage

    def pickle_storage_type(self) -> str:
        """The name of the class that files know these elements by."""
        return next(name for name, core in KINDS.items() if core is self._core)

    def type(self, dtype: Any = None) -> Any:
        """The name of the class."""
        return f"torch.{self.pickle_storage_type()}"

    def _converted(self, core: Any) -> TypedStorage:
        name = next(name for name, kind in KINDS.items() if kind is core)
        made = CLASSES[name](self.size())
        made._tensor().copy_(self._tensor())
        return made

    def _title(self) -> str:
        if type(self) is TypedStorage:
            return f"torch.storage.TypedStorage(dtype={self.dtype}, device=cpu)"
        return f"{type(self).__module__}.{type(self).__name__}"


def _conversion(core: Any) -> Any:
    return lambda self: self._converted(core)


for _name, _core in (
    ("float", engine.float32), ("double", engine.float64), ("half", engine.float16),
    ("bfloat16", engine.bfloat16), ("long", engine.int64), ("int", engine.int32),
    ("short", engine.int16), ("char", engine.int8), ("byte", engine.uint8), ("bool", engine.bool_),
):  # fmt: skip
    setattr(TypedStorage, _name, _conversion(_core))

CLASSES: dict[str, Any] = {
    name: type(name, (TypedStorage,), {"__module__": "torch", "__doc__": f"Elements of {core}."})
    for name, core in KINDS.items()
}
globals().update(CLASSES)


def untyped(buffer: Buffer) -> UntypedStorage:
    """A buffer as PyTorch's object."""
    made = UntypedStorage.__new__(UntypedStorage)
    made._buffer = owner_of(buffer)
    return made


# ---- methods of tensors


def untyped_storage(self: CoreTensor) -> UntypedStorage:
    """The memory under the tensor, as bytes."""
    return untyped(self.buffer)


def storage(self: CoreTensor) -> TypedStorage:
    """The memory under the tensor, as elements of its type."""
    made = TypedStorage.__new__(TypedStorage)
    made._buffer, made._core = owner_of(self.buffer), self.layout.dtype
    return made


def storage_type(self: CoreTensor) -> Any:
    """The class of typed storages for the tensor's elements; None where there is none."""
    names = (name for name, core in KINDS.items() if core is self.layout.dtype)
    return CLASSES.get(next(names, ""))


def set_(
    self: Any, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Any:
    """Become another tensor's memory and layout, or a view of a storage."""
    if isinstance(source, _Storage):
        core = self.layout.dtype
        if isinstance(source, TypedStorage) and source._core is not core:
            raise RuntimeError(
                f"Expected a Storage of type {self.dtype} or an UntypedStorage, but got type "
                f"{source.dtype} for argument 1 'storage'"
            )
        count = source._buffer.nbytes // core.itemsize
        flat: Any = wrap(Tensor, layout(core, (count,)), source._buffer, source._buffer.address)
        shape = (count - storage_offset,) if size is None else tuple(size)
        if stride is None:
            stride = layout(core, shape).strides
        source = flat.as_strided(shape, tuple(stride), storage_offset)
    elif source is None:
        source = wrap(Tensor, layout(self.layout.dtype, (0,)), PooledBuffer(0), 0)
        source.address = source.buffer.address
    elif not isinstance(source, CoreTensor):
        raise TypeError(f"set_(): argument 'source' must be Tensor, not {type(source).__name__}")
    self.data = source
    return self


METHODS = {f.__name__: f for f in (untyped_storage, storage, storage_type, set_)}
FUNCTIONS = {**CLASSES, "UntypedStorage": UntypedStorage, "TypedStorage": TypedStorage}
