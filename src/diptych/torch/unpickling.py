"""Reading what PyTorch pickled: an allow-list of names, none of which runs a program's code."""

from __future__ import annotations

import io
import pickle
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

from diptych.core import tape
from diptych.core.buffer import Buffer
from diptych.core.layout import check_shape, layout
from diptych.core.tensor import wrap
from diptych.torch.device import device
from diptych.torch.dtypes import NAMED, dtype
from diptych.torch.nn.parameter import Parameter
from diptych.torch.pickling import STORAGES
from diptych.torch.size import Size
from diptych.torch.tensor import Tensor


class Allowed:
    """A name that a file may call. The file cannot change it, and it is not the thing itself."""

    __slots__ = ("function", "value")
    function: Callable[..., Any]
    value: Any

    def __init__(self, function: Callable[..., Any], value: Any = None) -> None:
        object.__setattr__(self, "function", function)
        object.__setattr__(self, "value", value)

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __setattr__(self, name: str, value: Any) -> None:
        raise pickle.UnpicklingError("the file tries to change a function")

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("the file tries to change a function")


class StorageType:
    """The name of a kind of storage: its element type (None: bytes)."""

    __slots__ = ("core",)

    def __init__(self, core: Any) -> None:
        self.core = core

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("the file tries to change a storage type")


class LoadedStorage:
    """The memory that a persistent id named."""

    __slots__ = ("buffer", "core", "location")

    def __init__(self, buffer: Buffer, core: Any, location: str) -> None:
        self.buffer = buffer
        self.core = core
        self.location = location

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("the file tries to change a storage")

    def cpu(self) -> LoadedStorage:
        return self


def invalid(what: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"torch.load: the file is damaged: {what}")


def rebuilt_tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    *rest: Any,
    core: Any = None,
) -> Tensor:
    """A strided tensor on a storage, once it is known to lie within it."""
    if not isinstance(storage, LoadedStorage):
        raise invalid("a tensor without a storage")
    core = core or storage.core
    if core is None:
        raise invalid("a tensor on an untyped storage")
    if len(size) != len(stride) or not all(
        isinstance(n, int) and n >= 0 for n in (*size, *stride, offset)
    ):
        raise invalid(f"a tensor of size {size}, stride {stride}, offset {offset}")
    shape = check_shape(size, "torch.load")
    place = layout(core, shape, tuple(stride))
    if place.size and (offset + place.span) * core.itemsize > storage.buffer.nbytes:
        raise invalid(
            f"a tensor of size {tuple(size)}, stride {tuple(stride)}, offset {offset} reaches "
            f"beyond its storage of {storage.buffer.nbytes} bytes"
        )
    address = storage.buffer.address + offset * core.itemsize
    tensor = wrap(Tensor, place, storage.buffer, address)
    if requires_grad:
        if not core.is_inexact:
            raise invalid(f"a tensor of {core} that requires a gradient")
        tape.require_gradient(tensor)
    return tensor


def rebuilt_tensor_v3(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any,
    backward_hooks: Any,
    kind: Any,
    *rest: Any,
) -> Tensor:
    """A tensor on an untyped storage, its dtype given apart."""
    if not isinstance(kind, dtype) or kind.engine is None:
        raise NotImplementedError(f"torch.load: tensors of {kind} are not supported yet")
    return rebuilt_tensor(
        storage, offset, size, stride, requires_grad, backward_hooks, core=kind.engine
    )


def rebuilt_parameter(data: Any, requires_grad: Any, backward_hooks: Any, *state: Any) -> Any:
    """A parameter on a tensor."""
    if not isinstance(data, Tensor):
        raise invalid("a parameter without a tensor")
    return Parameter(data, bool(requires_grad))


def made_defaultdict(*args: Any) -> Any:
    """A defaultdict of a plain type."""
    factory = args[0] if args else None
    if isinstance(factory, Allowed):
        factory = factory.value
    if factory not in (None, dict, list, set, int, float):
        raise invalid(f"a defaultdict of {factory}")
    return defaultdict(factory)


def encoded(text: Any, encoding: Any) -> bytes:
    """Bytes as protocol 2 writes them."""
    if not isinstance(text, str) or encoding != "latin1":
        raise invalid("bytes in an unknown encoding")
    return text.encode("latin1")


ALLOWED: dict[str, Any] = {
    "collections.OrderedDict": Allowed(OrderedDict, OrderedDict),
    "collections.defaultdict": Allowed(made_defaultdict),
    "collections.Counter": Allowed(Counter),
    "_codecs.encode": Allowed(encoded),
    **{
        f"{module}.{kind.__name__}": Allowed(kind, kind)
        for module in ("builtins", "__builtin__")
        for kind in (set, frozenset, dict, list, int, float, complex, bytearray, slice, range)
    },
    "torch._utils._rebuild_tensor_v2": Allowed(rebuilt_tensor),
    "torch._utils._rebuild_tensor_v3": Allowed(rebuilt_tensor_v3),
    "torch._utils._rebuild_parameter": Allowed(rebuilt_parameter),
    "torch._utils._rebuild_parameter_with_state": Allowed(rebuilt_parameter),
    "torch.Size": Allowed(Size, Size),
    "torch.device": Allowed(device, device),
    "torch.Tensor": Allowed(Tensor, Tensor),
    "torch.nn.parameter.Parameter": Allowed(Parameter, Parameter),
    **{f"torch.{name}": StorageType(core) for name, core in STORAGES.items()},
    **{f"torch.storage.{name}": StorageType(core) for name, core in STORAGES.items()},
    "torch.storage.UntypedStorage": StorageType(None),
    **{f"torch.{name}": kind for name, kind in NAMED.items() if kind.engine is not None},
}


class Unpickler(pickle.Unpickler):
    """Reads a pickle whose names are all allowed; ``storage`` gives the memory of a number."""

    def __init__(
        self,
        data: bytes,
        storage: Callable[[str, Any, int, str], LoadedStorage],
        safe: dict[str, Any],
        weights_only: bool,
        encoding: str = "utf-8",
    ) -> None:
        super().__init__(io.BytesIO(data), encoding=encoding)
        self.storage = storage
        self.safe = safe
        self.weights_only = weights_only

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module}.{name}"
        found = ALLOWED.get(full)
        if found is None:
            found = self.safe.get(full)
        if found is None:
            self.refuse(full)
        return found

    def refuse(self, full: str) -> None:
        if not self.weights_only:
            raise NotImplementedError(
                f"torch.load: the file names {full}. Files that need a program's own classes are "
                "not supported yet: save model.state_dict() instead of the model, or allow the "
                f"class with torch.serialization.add_safe_globals([{full.rpartition('.')[2]}])"
            )
        raise pickle.UnpicklingError(
            "Weights only load failed. In PyTorch 2.6, we changed the default value of the "
            "`weights_only` argument in `torch.load` from `False` to `True`. Please file an issue "
            "with the following so that we can make `weights_only=True` compatible with your use "
            f"case: WeightsUnpickler error: Unsupported global: GLOBAL {full} was not an allowed "
            "global by default. Please use "
            f"`torch.serialization.add_safe_globals([{full.rpartition('.')[2]}])` or the "
            f"`torch.serialization.safe_globals([{full.rpartition('.')[2]}])` context manager to "
            "allowlist this global if you trust this class/function."
        )

    def persistent_load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage":
            raise invalid(f"unknown persistent id {pid!r}")
        _, kind, key, location, count = pid
        if not isinstance(kind, StorageType) or not isinstance(count, int) or count < 0:
            raise invalid(f"unknown kind of storage {kind!r}")
        core = kind.core
        itemsize = 1 if core is None else core.itemsize
        return self.storage(str(key), core, count * itemsize, str(location))
