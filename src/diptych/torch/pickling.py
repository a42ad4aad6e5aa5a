"""Writing objects as PyTorch pickles them: tensors beside the pickle, names as PyTorch's."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from types import FunctionType
from typing import Any

from diptych.core import dtypes as engine
from diptych.core.buffer import Buffer
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import copy_array
from diptych.torch.device import device
from diptych.torch.dtypes import BY_INDEX, dtype
from diptych.torch.nn.parameter import Parameter
from diptych.torch.size import Size
from diptych.torch.tensor import Tensor

# Element types whose storages have a class of their own; newer ones go by UntypedStorage.
STORAGES = {
    "FloatStorage": engine.float32, "DoubleStorage": engine.float64, "HalfStorage": engine.float16,
    "BFloat16Storage": engine.bfloat16, "LongStorage": engine.int64, "IntStorage": engine.int32,
    "ShortStorage": engine.int16, "CharStorage": engine.int8, "ByteStorage": engine.uint8,
    "BoolStorage": engine.bool_, "ComplexFloatStorage": engine.complex64,
    "ComplexDoubleStorage": engine.complex128,
}  # fmt: skip
_STORAGE_OF = {core: name for name, core in STORAGES.items()}


class Global:
    """A name in a module, to be written as it stands; ``call`` never runs here."""

    __slots__ = ("module", "name")
    known: dict[tuple[str, str], Global] = {}

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def __call__(self, *args: Any) -> Any:
        raise TypeError(f"{self.module}.{self.name} is only a name in a file")


def named(module: str, name: str) -> Global:
    """The one object of a name, so that a pickle holds it once."""
    return Global.known.setdefault((module, name), Global(module, name))


class Storage:
    """The memory of some tensors, by its number in the file; itself, it is a persistent id."""

    __slots__ = ("buffer", "core", "key", "kept")

    def __init__(self, buffer: Buffer, core: Any, key: str, kept: Any) -> None:
        self.buffer = buffer
        self.core = core
        self.key = key
        self.kept = kept  # whatever owns the memory


def public_module(module: str) -> str:
    """The module a program would import the name from."""
    if module == "diptych.torch" or module.startswith("diptych.torch."):
        return module[len("diptych.") :]
    return module


class Pickler(pickle._Pickler):
    """Pickles as PyTorch does: tensors as calls of its rebuilding functions on storages."""

    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol)
        self.storages: dict[int, Storage] = {}

    def save(self, obj: Any, save_persistent_id: bool = True) -> Any:
        if isinstance(obj, Global):
            found = self.memo.get(id(obj))  # type: ignore[attr-defined]
            if found is not None:
                self.write(self.get(found[0]))  # type: ignore[attr-defined]
                return
            line = f"c{obj.module}\n{obj.name}\n"
            self.write(line.encode())  # type: ignore[attr-defined]
            self.memoize(obj)  # type: ignore[attr-defined]
            return
        if isinstance(obj, dtype):
            self.save(named("torch", obj._name))
            return
        if isinstance(obj, (type, FunctionType)):
            module = public_module(obj.__module__ or "")
            if module == "torch" or module.startswith("torch."):
                self.save(named(module, obj.__qualname__))
                return
        super().save(obj, save_persistent_id)  # type: ignore[misc]

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, Storage):
            return None
        name = _STORAGE_OF.get(obj.core)
        if name is None:
            kind, count = named("torch.storage", "UntypedStorage"), obj.buffer.nbytes
        else:
            kind, count = named("torch", name), obj.buffer.nbytes // obj.core.itemsize
        return ("storage", kind, obj.key, "cpu", count)

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Parameter):
            data = CoreTensor.__new__(Tensor)
            data.layout, data.buffer, data.address = obj.layout, obj.buffer, obj.address
            wanted = obj.node is not None
            return named("torch._utils", "_rebuild_parameter"), (data, wanted, OrderedDict())
        if isinstance(obj, CoreTensor):
            return self.reduced_tensor(obj)
        if isinstance(obj, device):
            text = (obj.type,) if obj.index is None else (obj.type, obj.index)
            return named("torch", "device"), text
        if isinstance(obj, Size):
            return named("torch", "Size"), (tuple(obj),)
        return NotImplemented

    def reduced_tensor(self, tensor: CoreTensor) -> Any:
        place = tensor.layout
        start = tensor.address - tensor.buffer.address
        if start % place.dtype.itemsize:
            tensor = copy_array(tensor.array(), Tensor, place.dtype)
            place, start = tensor.layout, 0
        storage = self.storage_of(tensor)
        rest: tuple[Any, ...] = (tensor.node is not None, OrderedDict())
        function = "_rebuild_tensor_v2"
        offset = start // place.dtype.itemsize
        if place.dtype not in _STORAGE_OF:
            function, rest = "_rebuild_tensor_v3", (*rest, BY_INDEX[place.dtype.index])
        args = (storage, offset, tuple(place.shape), tuple(place.strides), *rest)
        return named("torch._utils", function), args

    def storage_of(self, tensor: CoreTensor) -> Storage:
        buffer = tensor.buffer
        buffer = getattr(buffer, "owner", buffer)
        core = tensor.layout.dtype
        found = self.storages.get(id(buffer))
        if found is None:
            found = self.storages[id(buffer)] = Storage(
                buffer, core, str(len(self.storages)), tensor
            )
        elif found.core is not core:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different "
                "types"
            )
        return found
