"""Writing objects as PyTorch pickles them: tensors beside the pickle, names as PyTorch's."""

from __future__ import annotations

import importlib
import io
import pickle
from collections import OrderedDict
from types import BuiltinFunctionType, FunctionType
from typing import Any

from diptych.core.buffer import Buffer
from diptych.core.tape import Leaf
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import copy_array
from diptych.torch.conversion import OWN_STATE
from diptych.torch.device import device, layout
from diptych.torch.dtypes import BY_INDEX, dtype
from diptych.torch.nn.parameter import Parameter
from diptych.torch.size import Size
from diptych.torch.storage import KINDS, TypedStorage, UntypedStorage, owner_of
from diptych.torch.tensor import Tensor

_KIND_OF = {core: name for name, core in KINDS.items()}
# Layers that PyTorch keeps in another file than we do.
_PLACES = {
    "MultiheadAttention": "torch.nn.modules.activation",
    "LinearCrossEntropyLoss": "torch.nn.modules.loss",
    "LinearCrossEntropyOptions": "torch.nn.modules.linear_cross_entropy_options",
    "DataParallel": "torch.nn.parallel.data_parallel",
}
# Functions that PyTorch has in its extension, and so names otherwise.
_BUILT_IN = frozenset("gelu leaky_relu hardtanh elu softplus log_sigmoid one_hot".split())


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

    __slots__ = ("buffer", "core", "kept", "key")

    def __init__(self, buffer: Buffer, core: Any, key: str, kept: Any) -> None:
        self.buffer = buffer
        self.core = core
        self.key = key
        self.kept = kept  # whatever owns the memory

    @property
    def itemsize(self) -> int:
        """Bytes of what the file counts: elements, or bytes where no class has the elements."""
        return int(self.core.itemsize) if self.core in _KIND_OF else 1

    def view(self) -> memoryview:
        """The bytes."""
        return memoryview(self.buffer.memory).cast("B")[: self.buffer.nbytes]


def public_module(module: str) -> str:
    """The module a program would import the name from."""
    if module == "diptych.torch" or module.startswith("diptych.torch."):
        return module[len("diptych.") :]
    return module


def public_function(function: Any) -> Global | None:
    """The name in a file of one of our functions; None for another's."""
    module, name = public_module(function.__module__ or ""), function.__qualname__
    if not (module == "torch" or module.startswith("torch.")):
        return None
    if module.startswith("torch.nn.functional"):
        module = "torch._C._nn" if name in _BUILT_IN else "torch.nn.functional"
    elif vars(importlib.import_module("diptych.torch")).get(name) is function:
        module = "torch"
    return named(module, name)


class Pickler(pickle._Pickler):
    """Pickles as PyTorch does: tensors as calls of its rebuilding functions on storages.

    ``legacy``: storages are described as the format from before PyTorch 1.6 does.
    """

    def __init__(self, file: io.BytesIO, protocol: int, legacy: bool = False) -> None:
        super().__init__(file, protocol)
        self.storages: dict[int, Storage] = {}
        self.legacy = legacy

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
        if isinstance(obj, (FunctionType, BuiltinFunctionType)):
            public = public_function(obj)
            if public is not None:
                self.save(public)
                return
        if isinstance(obj, type):
            module = public_module(obj.__module__ or "")
            if module == "torch" or module.startswith("torch."):
                name = obj.__qualname__
                module = _PLACES.get(name, module) if module.startswith("torch.nn.") else module
                self.save(named(module, name))
                return
        super().save(obj, save_persistent_id)  # type: ignore[misc]

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, (TypedStorage, UntypedStorage)):
            obj = self.storage_of(owner_of(obj._buffer), obj._core, obj)
        elif not isinstance(obj, Storage):
            return None
        name = _KIND_OF.get(obj.core)
        kind = named("torch.storage", "UntypedStorage") if name is None else named("torch", name)
        pid = ("storage", kind, obj.key, "cpu", obj.buffer.nbytes // obj.itemsize)
        return (*pid, None) if self.legacy else pid

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, CoreTensor):
            return self.reduced_tensor(obj)
        if isinstance(obj, device):
            text = (obj.type,) if obj.index is None else (obj.type, obj.index)
            return named("torch", "device"), text
        if isinstance(obj, Size):
            return named("torch", "Size"), (tuple(obj),)
        if isinstance(obj, layout):
            return named("torch.serialization", "_get_layout"), (repr(obj),)
        return NotImplemented

    def reduced_tensor(self, tensor: CoreTensor) -> Any:
        """A tensor, with its class and its attributes where it has any of its own."""
        if tensor.node is not None and not isinstance(tensor.node, Leaf):
            wanted = True
        else:
            wanted = tensor.node is not None
        state = {k: v for k, v in tensor.__dict__.items() if k not in OWN_STATE}
        if isinstance(tensor, Parameter):
            data = CoreTensor.__new__(Tensor)
            data.layout, data.buffer, data.address = tensor.layout, tensor.buffer, tensor.address
            if state:
                function = named("torch._utils", "_rebuild_parameter_with_state")
                return function, (data, wanted, OrderedDict(), state)
            return named("torch._utils", "_rebuild_parameter"), (data, wanted, OrderedDict())
        function, args = self.rebuilding(tensor, wanted)
        if type(tensor) in (Tensor, CoreTensor) and not state:
            return function, args
        kind = type(tensor) if isinstance(tensor, Tensor) else Tensor
        return named("torch._tensor", "_rebuild_from_type_v2"), (function, kind, args, state)

    def rebuilding(self, tensor: CoreTensor, wanted: bool) -> tuple[Global, tuple[Any, ...]]:
        """The function that makes the tensor again, and its arguments."""
        place = tensor.layout
        start = tensor.address - tensor.buffer.address
        if start % place.dtype.itemsize:
            tensor = copy_array(tensor.array(), Tensor, place.dtype)
            place, start = tensor.layout, 0
        storage = self.storage_of(owner_of(tensor.buffer), place.dtype, tensor)
        rest: tuple[Any, ...] = (wanted, OrderedDict())
        function = "_rebuild_tensor_v2"
        offset = start // place.dtype.itemsize
        if place.dtype not in _KIND_OF:
            function, rest = "_rebuild_tensor_v3", (*rest, BY_INDEX[place.dtype.index])
        args = (storage, offset, tuple(place.shape), tuple(place.strides), *rest)
        return named("torch._utils", function), args

    def storage_of(self, buffer: Buffer, core: Any, kept: Any) -> Storage:
        found = self.storages.get(id(buffer))
        if found is None:
            key = str(len(self.storages))
            found = self.storages[id(buffer)] = Storage(buffer, core, key, kept)
        elif found.core is not core:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different "
                "types"
            )
        return found
