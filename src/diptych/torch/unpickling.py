"""What a file of PyTorch's may name: an allow-list, none of which runs a program's code."""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.util
import pathlib
import pickle
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import Any

import numpy as np

from diptych.core import tape
from diptych.core.layout import check_shape
from diptych.core.layout import layout as layout_of
from diptych.core.tensor import wrap
from diptych.formats.pickles import Name, PickleReader, described
from diptych.torch.conversion import OWN_STATE
from diptych.torch.device import LAYOUTS, MEMORY_FORMATS, device
from diptych.torch.dtypes import NAMED, dtype
from diptych.torch.nn.parameter import Buffer as ModuleBuffer
from diptych.torch.nn.parameter import Parameter
from diptych.torch.size import Size
from diptych.torch.storage import KINDS, TypedStorage
from diptych.torch.tensor import Tensor

_LARGEST = 1 << 47  # bytes; no address space has more


class StorageKind:
    """The name of a kind of storage in a file: its element type (None: bytes)."""

    __slots__ = ("core",)

    def __init__(self, core: Any) -> None:
        self.core = core


class TensorKind:
    """The name of a kind of tensor, which only the oldest files have."""

    __slots__ = ()


def invalid(what: str) -> pickle.UnpicklingError:
    return pickle.UnpicklingError(f"torch.load: the file is damaged: {what}")


def absent(what: str) -> Callable[..., Any]:
    def call(reader: PickleReader, *args: Any) -> Any:
        raise NotImplementedError(f"torch.load: the file has {what}: not implemented in diptych")

    return call


# ---- tensors


def strided(storage: Any, offset: Any, size: Any, stride: Any, core: Any = None) -> Any:
    """A strided tensor on a storage, once it is known to lie within it."""
    if type(storage) is not TypedStorage:
        raise invalid("a tensor without a storage")
    core = core or storage._core
    if not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) != len(stride):
        raise invalid("a tensor whose size and stride do not agree")
    numbers = (*size, *stride, offset)
    if not all(type(n) is int and 0 <= n < 1 << 62 for n in numbers):
        raise invalid(f"a tensor of size {size}, stride {stride}, offset {offset}")
    place = layout_of(core, check_shape(size, "torch.load"), tuple(stride))
    nbytes = storage._buffer.nbytes
    if place.nbytes > _LARGEST:  # of strides 0: it takes no memory here, and no machine's elsewhere
        raise invalid(f"a tensor of size {size}")
    reach = (offset + place.span) * core.itemsize if place.size else 0
    if reach > nbytes or offset * core.itemsize > nbytes:
        raise invalid(
            f"a tensor of size {size}, stride {stride}, offset {offset} reaches beyond its storage "
            f"of {nbytes} bytes"
        )
    address = storage._buffer.address + offset * core.itemsize
    if address % min(core.itemsize, 8):
        raise invalid(f"a tensor of {core} at an odd place of its storage")
    return wrap(Tensor, place, storage._buffer, address)


def rebuilt_tensor(
    reader: PickleReader, storage: Any, offset: Any, size: Any, stride: Any,
    requires_grad: Any = False, backward_hooks: Any = None, metadata: Any = None,
    core: Any = None,
) -> Any:  # fmt: skip
    """A tensor on a storage, that wants a gradient or not."""
    tensor = strided(storage, offset, size, stride, core)
    if isinstance(metadata, dict) and metadata.get("conj"):
        tensor = tensor.conj()
    if isinstance(metadata, dict) and metadata.get("neg"):
        tensor = -tensor
    if requires_grad:
        if not tensor.layout.dtype.is_inexact:
            raise invalid(f"a tensor of {tensor.dtype} that requires a gradient")
        tape.require_gradient(tensor)
    return tensor


def rebuilt_tensor_v3(
    reader: PickleReader, storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any,
    backward_hooks: Any, kind: Any, metadata: Any = None,
) -> Tensor:  # fmt: skip
    """A tensor on an untyped storage, its dtype given apart."""
    if not isinstance(kind, dtype) or kind.engine is None:
        raise NotImplementedError(f"torch.load: tensors of {kind} are not implemented in diptych")
    return rebuilt_tensor(
        reader, storage, offset, size, stride, requires_grad, backward_hooks, metadata, kind.engine
    )


def rebuilt_parameter(
    reader: PickleReader, data: Any, requires_grad: Any, backward_hooks: Any, state: Any = None
) -> Any:
    """A parameter on a tensor, with the attributes it had."""
    if not isinstance(data, Tensor):
        raise invalid("a parameter without a tensor")
    if requires_grad and not data.layout.dtype.is_inexact:
        raise invalid(f"a parameter of {data.layout.dtype} that requires a gradient")
    made = Parameter(data, bool(requires_grad))
    if state is not None:
        set_attributes(made, state)
    return made


def rebuilt_from_type(reader: PickleReader, function: Any, kind: Any, args: Any, state: Any) -> Any:
    """A tensor of a subclass, or with attributes of its own."""
    made = reader.called(function, args)
    name = reader.name_of(kind, "makes a tensor of the class")
    if not isinstance(name.value, type) or not issubclass(name.value, Tensor):
        raise invalid(f"a tensor of the class {described(kind)}")
    if not isinstance(made, Tensor):
        raise invalid("a tensor of other than a tensor")
    if type(made) is not name.value:
        made = made.as_subclass(name.value)  # type: ignore[attr-defined]
    set_attributes(made, state)
    return made


def set_attributes(made: Any, state: Any) -> None:
    """Attributes that an object had; those that it lives by are not a file's to set."""
    if isinstance(state, tuple) and len(state) == 2:
        state = {**(state[0] or {}), **(state[1] or {})}
    if not isinstance(state, dict) or not all(type(key) is str for key in state):
        raise invalid(f"a state of {described(made)} that is no dict of attributes")
    if isinstance(made, Tensor):
        bad = [key for key in state if key in OWN_STATE or key.startswith("__")]
        if bad:
            raise invalid(f"a tensor with an attribute {bad[0]!r} of its own")
    made.__dict__.update(state)


# ---- containers and small things


def _counted(reader: PickleReader, given: Any) -> Any:
    if type(given) not in (list, tuple, dict, set, frozenset, OrderedDict):
        raise invalid(f"a container made of {described(given)}")
    reader.copied(len(given))
    return given


def container(kind: Any) -> Callable[..., Any]:
    """A constructor that takes nothing, or another container; what it copies is counted."""

    def make(reader: PickleReader, *args: Any) -> Any:
        if len(args) > 1:
            raise invalid(f"a {kind.__name__} made of {len(args)} arguments")
        if not args:
            return kind()
        items = _counted(reader, args[0])
        if kind in (dict, OrderedDict, Counter) and not isinstance(items, dict):
            if not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in items):
                raise invalid(f"a {kind.__name__} made of other than pairs")
            items = [(reader.hashable(key), value) for key, value in items]
        elif kind in (set, frozenset):
            items = map(reader.hashable, items)
        return kind(items)

    return make


def made_defaultdict(reader: PickleReader, factory: Any = None) -> Any:
    """A defaultdict of a plain type."""
    if factory not in (None, dict, list, set, int, float):
        raise invalid(f"a defaultdict of {described(factory)}")
    return defaultdict(factory)


def made_deque(reader: PickleReader, items: Any = (), maxlen: Any = None) -> Any:
    """A deque, of a length or without bound."""
    if maxlen is not None and type(maxlen) is not int:
        raise invalid("a deque of an odd length")
    return deque(_counted(reader, items), maxlen)


def made_bytes(reader: PickleReader, text: Any, encoding: Any = "latin1") -> bytes:
    """Bytes as protocol 2 writes them."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise invalid("bytes in an unknown encoding")
    reader.copied(len(text))
    return text.encode("latin1")


def made_bytearray(reader: PickleReader, given: Any = b"", encoding: Any = None) -> bytearray:
    """A bytearray of bytes, or of text as protocol 2 writes them."""
    if type(given) is str:
        given = made_bytes(reader, given, encoding)
    if type(given) is not bytes:
        raise invalid("a bytearray of other than bytes")
    reader.copied(len(given))
    return bytearray(given)


def numbers(kind: Any, most: int) -> Callable[..., Any]:
    """A constructor of a few plain numbers, names or None."""

    def make(reader: PickleReader, *args: Any) -> Any:
        if len(args) > most or not all(
            arg is None or type(arg) in (int, float, str, bool) for arg in args
        ):
            raise invalid(f"a {kind.__name__} of odd arguments")
        return kind(*args)

    return make


def made_size(reader: PickleReader, extents: Any = ()) -> Size:
    """A torch.Size."""
    if type(extents) not in (tuple, list) or not all(type(n) is int for n in extents):
        raise invalid("a size of other than integers")
    reader.copied(len(extents))
    return Size(extents)


def made_layout(reader: PickleReader, name: Any) -> Any:
    """A layout by its name."""
    found = LAYOUTS.get(name.removeprefix("torch.")) if type(name) is str else None
    if found is None:
        raise invalid("a layout that there is not")
    return found


def made_path(reader: PickleReader, *parts: Any) -> pathlib.Path:
    """A path, of this system."""
    if not all(type(part) is str for part in parts):
        raise invalid("a path of other than strings")
    return pathlib.Path(*parts)


def made_date(kind: Any) -> Callable[..., Any]:
    def make(reader: PickleReader, *args: Any) -> Any:
        if not args or not all(type(arg) in (bytes, str, int) for arg in args):
            raise invalid("a date of odd arguments")
        return kind(*args)

    return make


# ---- NumPy's objects


def _numpy_dtype(reader: PickleReader, name: Any, *rest: Any) -> Any:
    if type(name) is not str or len(name) > 16:
        raise invalid("a NumPy dtype that is no name")
    made = np.dtype(name)
    if made.kind not in "biufcSU":
        raise invalid(f"a NumPy dtype of kind {made.kind!r}")
    return made


def _dtype_state(made: Any, state: Any) -> None:
    if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", "|", "="):
        raise invalid("a NumPy dtype of another byte order")


def _numpy_scalar(reader: PickleReader, kind: Any, data: Any) -> Any:
    if type(data) is str:
        data = data.encode("latin1")
    if not isinstance(kind, np.dtype) or type(data) is not bytes or len(data) != kind.itemsize:
        raise invalid("a NumPy number of odd bytes")
    return np.frombuffer(data, kind)[0]


def _numpy_array(reader: PickleReader, cls: Any, shape: Any, code: Any) -> Any:
    if cls is not np.ndarray:
        raise invalid("a NumPy array of another class")
    return np.empty(0, np.uint8)


def _array_state(made: Any, state: Any) -> None:
    if type(state) is not tuple or len(state) != 5:
        raise invalid("a NumPy array without a state")
    _, shape, kind, columns, data = state
    if type(data) is str:
        data = data.encode("latin1")
    _check_array(shape, kind, data)
    # The shell itself is what the pickle refers to: it takes on this array's memory.
    made.__setstate__((1, shape, kind, bool(columns), bytes(data)))


def _array_on(reader: PickleReader, data: Any, kind: Any, shape: Any, order: Any) -> Any:
    """An array as protocol 5 writes it."""
    _check_array(shape, kind, data)
    if order not in ("C", "F"):
        raise invalid("a NumPy array of an unknown order")
    reader.copied(len(data))
    return np.frombuffer(bytearray(data), kind).reshape(shape, order=order)


def _check_array(shape: Any, kind: Any, data: Any) -> None:
    if (
        not isinstance(kind, np.dtype) or type(data) not in (bytes, bytearray)
        or type(shape) is not tuple or len(shape) > 32
        or not all(type(n) is int and n >= 0 for n in shape)
    ):  # fmt: skip
        raise invalid("a NumPy array of odd parts")
    count = 1
    for extent in shape:
        count *= extent
    if count * kind.itemsize != len(data):
        raise invalid(f"a NumPy array of shape {shape} in {len(data)} bytes")


# ---- what may be named


ALLOWED: dict[str, Name] = {
    "collections.OrderedDict": Name(
        OrderedDict, container(OrderedDict), state=lambda made, state: set_attributes(made, state)
    ),
    "collections.defaultdict": Name(defaultdict, made_defaultdict),
    "collections.Counter": Name(Counter, container(Counter)),
    "_codecs.encode": Name(made_bytes, made_bytes),
    "builtins.set": Name(set, container(set)),
    "builtins.frozenset": Name(frozenset, container(frozenset)),
    "builtins.dict": Name(dict, container(dict)),
    "builtins.list": Name(list, container(list)),
    "builtins.int": Name(int, numbers(int, 0)),
    "builtins.float": Name(float, numbers(float, 1)),
    "builtins.complex": Name(complex, numbers(complex, 2)),
    "builtins.slice": Name(slice, numbers(slice, 3)),
    "builtins.range": Name(range, numbers(range, 3)),
    "builtins.bytearray": Name(bytearray, made_bytearray),
    "torch._utils._rebuild_tensor": Name(rebuilt_tensor, rebuilt_tensor),
    "torch._utils._rebuild_tensor_v2": Name(rebuilt_tensor, rebuilt_tensor),
    "torch._utils._rebuild_tensor_v3": Name(rebuilt_tensor_v3, rebuilt_tensor_v3),
    "torch._utils._rebuild_parameter": Name(rebuilt_parameter, rebuilt_parameter),
    "torch._utils._rebuild_parameter_with_state": Name(rebuilt_parameter, rebuilt_parameter),
    "torch._tensor._rebuild_from_type_v2": Name(rebuilt_from_type, rebuilt_from_type),
    "torch.serialization._get_layout": Name(made_layout, made_layout),
    "torch.Size": Name(Size, made_size),
    "torch.device": Name(device, numbers(device, 2)),
    "torch.Tensor": Name(Tensor),
    "torch.nn.parameter.Parameter": Name(Parameter),
    "torch.nn.parameter.Buffer": Name(ModuleBuffer),
    **{
        f"{module}.{name}": Name(StorageKind(core))
        for name, core in KINDS.items()
        for module in ("torch", "torch.storage", "torch.cuda")
    },
    **{f"torch.{name.removesuffix('Storage')}Tensor": Name(TensorKind()) for name in KINDS},
    "torch.storage.UntypedStorage": Name(StorageKind(None)),
    "torch.UntypedStorage": Name(StorageKind(None)),
    **{f"torch.{name}": Name(kind) for name, kind in NAMED.items()},
    **{
        f"torch._utils.{name}": Name(call, call)
        for name, call in (
            (name, absent(f"a tensor made by {name}"))
            for name in (
                "_rebuild_sparse_tensor", "_rebuild_qtensor", "_rebuild_nested_tensor",
                "_rebuild_meta_tensor_no_storage", "_rebuild_sparse_csr_tensor",
                "_rebuild_device_tensor_from_numpy", "_rebuild_wrapper_subclass",
                "_rebuild_device_tensor_from_cpu_tensor",
            )
        )
    },
}  # fmt: skip

# Let in by ``weights_only=False``, or when a program allows the real thing of this name.
TRUSTED: dict[str, Name] = {
    "argparse.Namespace": Name(
        argparse.Namespace, lambda r: argparse.Namespace(), state=set_attributes
    ),
    "types.SimpleNamespace": Name(
        types.SimpleNamespace, lambda r: types.SimpleNamespace(), state=set_attributes
    ),
    "collections.deque": Name(deque, made_deque),
    **{
        f"{module}.{name}": Name(pathlib.Path, made_path)
        for module in ("pathlib", "pathlib._local")
        for name in (
            "Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath"
        )
    },
    "datetime.datetime": Name(datetime.datetime, made_date(datetime.datetime)),
    "datetime.date": Name(datetime.date, made_date(datetime.date)),
    "datetime.timedelta": Name(datetime.timedelta, numbers(datetime.timedelta, 3)),
    "numpy.dtype": Name(np.dtype, _numpy_dtype, state=_dtype_state),
    "numpy.ndarray": Name(np.ndarray),
    **{
        f"numpy.{core}.multiarray.{name}": entry
        for core in ("core", "_core")
        for name, entry in (
            ("_reconstruct", Name(_numpy_array, _numpy_array, state=_array_state)),
            ("scalar", Name(_numpy_scalar, _numpy_scalar)),
        )
    },
    "numpy.core.numeric._frombuffer": Name(_array_on, _array_on),
    "numpy._core.numeric._frombuffer": Name(_array_on, _array_on),
    **{f"torch.{name}": Name(value) for name, value in MEMORY_FORMATS.items()},
    "builtins.object": Name(object),
}  # fmt: skip


def module_state(made: Any, state: Any) -> None:
    """The state of a module: dicts of parameters, buffers and modules, and plain attributes."""
    if not isinstance(state, dict) or not all(type(key) is str for key in state):
        raise invalid(f"a state of {type(made).__name__} that is no dict")
    nn = importlib.import_module("diptych.torch.nn")
    for part, kinds in (
        ("_parameters", Tensor), ("_buffers", Tensor), ("_modules", nn.Module),
    ):  # fmt: skip
        members = state.get(part)
        if not isinstance(members, dict) or not all(
            type(key) is str and (value is None or isinstance(value, kinds))
            for key, value in members.items()
        ):
            raise invalid(f"a {type(made).__name__} without {part}")
    made.__setstate__(state)  # a layer's own, or Module's: see programs_module


def module_name(cls: Any) -> Name:
    """A class of modules: made without its ``__init__``, given its state."""

    def new(reader: PickleReader, *args: Any) -> Any:
        if args:
            raise invalid(f"a {cls.__name__} made of arguments")
        return object.__new__(cls)

    return Name(cls, new=new, state=module_state)


def layer(module: str, name: str) -> Name | None:
    """A layer or function of ``torch.nn``, or None."""
    if module in ("torch.nn.functional", "torch._C._nn"):
        function = getattr(importlib.import_module("diptych.torch.nn.functional"), name, None)
        return None if function is None or name.startswith("_") else Name(function)
    if not module.startswith("torch.nn.") or not module.isascii():
        return None
    try:
        if importlib.util.find_spec(f"diptych.{module}") is None:
            return None
        found = vars(importlib.import_module(f"diptych.{module}")).get(name)
    except ImportError:
        return None
    nn = importlib.import_module("diptych.torch.nn")
    if found is None:
        found = getattr(nn, name, None)
    if isinstance(found, type) and issubclass(found, nn.Module):
        return module_name(found)
    return None


def programs_module(module: str, name: str) -> Name | None:
    """A subclass of Module that the program itself has defined, or None.

    Nothing of the program runs for it: it is made without ``__init__`` and gets its attributes by
    Module's own ``__setstate__``. A class with a ``__setstate__`` or ``__new__`` of its own must
    be allowed by the program.
    """
    defined = sys.modules.get(module)
    cls: Any = vars(defined).get(name) if isinstance(defined, types.ModuleType) else None
    nn: Any = importlib.import_module("diptych.torch.nn")
    if not isinstance(cls, type) or not issubclass(cls, nn.Module):
        return None
    made: Any = cls
    ours = made.__setstate__.__module__.startswith("diptych.torch.nn.")
    return module_name(cls) if ours and made.__new__ is object.__new__ else None


def allowed_by_program(full: str, value: Any) -> Name:
    """A class or function that the program let in: it is trusted with whatever it does."""
    if full in TRUSTED:
        return TRUSTED[full]
    if not isinstance(value, type):
        return Name(value, lambda reader, *args: value(*args))
    if issubclass(value, Tensor):
        return Name(value, state=set_attributes)

    def new(reader: PickleReader, *args: Any, **options: Any) -> Any:
        return value.__new__(value, *args, **options)

    def state(made: Any, given: Any) -> None:
        if hasattr(made, "__setstate__"):
            made.__setstate__(given)
        else:
            set_attributes(made, given)

    return Name(value, lambda reader, *args: value(*args), new, state)


class Finder:
    """Finds the names of one file; ``safe`` are those that the program let in."""

    def __init__(self, safe: dict[str, Any], weights_only: bool) -> None:
        self.safe = safe
        self.weights_only = weights_only
        self.found: dict[str, Name] = {}

    def __call__(self, module: str, name: str) -> Name:
        full = f"{module}.{name}"
        found = self.found.get(full)
        if found is None:
            found = self.found[full] = self.look_up(module, name, full)
        return found

    def look_up(self, module: str, name: str, full: str) -> Name:
        if full in ALLOWED:
            return ALLOWED[full]
        if full in self.safe:
            value = self.safe[full]
            nn = importlib.import_module("diptych.torch.nn")
            own = getattr(value, "__module__", "") or ""
            if (
                isinstance(value, type)
                and issubclass(value, nn.Module)
                and (own.startswith("diptych.torch.nn."))
            ):
                return module_name(value)
            return allowed_by_program(full, value)
        if not self.weights_only:
            found = TRUSTED.get(full) or layer(module, name) or programs_module(module, name)
            if found is not None:
                return found
            if full == "copyreg._reconstructor":
                return Name(reconstructed, reconstructed)
        raise self.refusal(full)

    def refusal(self, full: str) -> pickle.UnpicklingError:
        last = full.rpartition(".")[2]
        if not self.weights_only:
            return pickle.UnpicklingError(
                f"torch.load: the file names {full}, which diptych does not know to be harmless, "
                "and it runs nothing that a file names, with weights_only=False neither. If you "
                "trust this class or function, let it in with "
                f"torch.serialization.add_safe_globals([{last}]) or within "
                f"torch.serialization.safe_globals([{last}]); for a model, save "
                "model.state_dict() instead of the model"
            )
        return pickle.UnpicklingError(
            "Weights only load failed. In PyTorch 2.6, we changed the default value of the "
            "`weights_only` argument in `torch.load` from `False` to `True`. Please file an issue "
            "with the following so that we can make `weights_only=True` compatible with your use "
            f"case: WeightsUnpickler error: Unsupported global: GLOBAL {full} was not an allowed "
            f"global by default. Please use `torch.serialization.add_safe_globals([{last}])` or "
            f"the `torch.serialization.safe_globals([{last}])` context manager to allowlist this "
            "global if you trust this class/function."
        )


def reconstructed(reader: PickleReader, cls: Any, base: Any, state: Any) -> Any:
    """An object as protocols 0 and 1 make it."""
    if base is not object or state is not None:
        raise invalid("an object on another base than object")
    return reader.instantiated(cls, ())
