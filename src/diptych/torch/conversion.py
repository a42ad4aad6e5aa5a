"""Leaving and changing form: numbers, lists, arrays, other dtypes, DLPack, copies, pickles."""

from __future__ import annotations

import copy as copying
from typing import Any

import numpy as np

from diptych.core import call, inplace, recording, tape
from diptych.core import dtypes as engine
from diptych.core.dtypes import DType
from diptych.core.layout import check_shape, layout
from diptych.core.tape import Leaf
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import cast_class, copy_array, from_array, number, wrap
from diptych.ops import select
from diptych.ops.select import ASSIGN, CAST
from diptych.torch import dtypes
from diptych.torch.creation import as_tensor, fitting
from diptych.torch.device import CPU, check_device, device
from diptych.torch.dtypes import core_of
from diptych.torch.gradient_nodes import label
from diptych.torch.memory_formats import arranged
from diptych.torch.operators import check_in_place_shape
from diptych.torch.promotion import PARAMS
from diptych.torch.tensor import Tensor, face

# ---- numbers and lists


def item(self: Any) -> Any:
    """The only element as a Python number."""
    place = self.layout
    if place.size != 1:
        raise RuntimeError(f"a Tensor with {place.size} elements cannot be converted to Scalar")
    return number(self)


def tolist(self: Any) -> Any:
    """The elements as nested lists of Python numbers."""
    return self.values().tolist()


def to_bool(self: Any) -> bool:
    """The truth of the only element."""
    size = self.layout.size
    if size != 1:
        if not size:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
    return bool(number(self))


def to_float(self: Any) -> float:
    """The only element as a float."""
    return float(item(self))


def to_int(self: Any) -> int:
    """The only element as an int."""
    return int(item(self))


def to_complex(self: Any) -> complex:
    """The only element as a complex."""
    return complex(item(self))


def to_index(self: Any) -> int:
    """The only element of a tensor of whole numbers, where Python wants an index."""
    place = self.layout
    if place.size != 1 or place.dtype.is_inexact:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(number(self))


def length(self: Any) -> int:
    """The first axis' extent."""
    if not self.layout.ndim:
        raise TypeError("len() of a 0-d tensor")
    return int(self.layout.shape[0])


def iterate(self: Any) -> Any:
    """Views of the entries of the first axis, in turn."""
    if not self.layout.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


def contains(self: Any, element: Any) -> bool:
    """Whether some element equals the number or 0-d tensor."""
    if isinstance(element, (CoreTensor, bool, int, float, complex, np.generic)):
        return bool((self == element).any().item())
    raise RuntimeError(
        f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
    )


def formatted(self: Any, spec: str) -> str:
    """A single number by its format; anything else as it prints."""
    if not self.layout.ndim and type(self) is Tensor:
        return format(number(self), spec)
    return object.__format__(self, spec)


# ---- arrays


def numpy(self: Any, *, force: bool = False) -> np.ndarray[Any, Any]:
    """The same memory as a NumPy array."""
    if self.node is not None:
        if not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
        return numpy(self.detach())
    if not self.layout.dtype.exact:
        raise TypeError("Got unsupported ScalarType BFloat16")
    return self.export()


def as_array(self: Any, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
    """NumPy's protocol: the memory shared, unless a conversion or a copy is asked for."""
    array = numpy(self)
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


def array_wrap(self: Any, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
    """What a NumPy function of a tensor returns: a tensor again."""
    if array.dtype == bool:
        array = array.astype("uint8")
    return as_tensor(np.asarray(array))


# ---- dtypes and devices


def convert(x: Any, core: DType, copy: bool = False) -> Any:
    """``x`` in a dtype: itself when it has it, unless a copy is asked for."""
    if x.layout.dtype is core and not copy:
        return x
    return label(call.current.apply1(CAST, x, PARAMS[core]), "ToCopyBackward0")


def to(self: Any, *args: Any, **kwargs: Any) -> Any:
    """The tensor with another dtype, on a device, or as another tensor's."""
    if len(args) == 1 and not kwargs:  # the commonest calls: .to(dtype), .to(device)
        only = args[0]
        if only.__class__ is dtypes.dtype:
            return convert(self, core_of(only, "to"))
        if only is CPU or (only.__class__ is str and only == "cpu"):
            return self
    copy = kwargs.pop("copy", False)
    kwargs.pop("non_blocking", None)
    memory_format = kwargs.pop("memory_format", None)
    dtype = kwargs.pop("dtype", None)
    place = kwargs.pop("device", None)
    other = kwargs.pop("other", None)
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(kwargs))}'")
    rest = list(args)
    if rest:
        first = rest.pop(0)
        if isinstance(first, CoreTensor):
            other = first
        elif first.__class__ is dtypes.dtype or first in (float, int, bool, complex):
            dtype = first
        elif first is not None or not rest:
            place = first
        if rest and rest[0].__class__ is dtypes.dtype:
            dtype = rest.pop(0)
    if place is not None:
        if not isinstance(place, (str, device, int)):
            raise TypeError(
                "to() received an invalid combination of arguments - got "
                f"({type(place).__name__}), but expected one of: (torch.device device, torch.dtype "
                "dtype), (torch.dtype dtype), (Tensor other)"
            )
        if isinstance(place, int):
            raise RuntimeError("Cannot access accelerator device when none is available.")
        check_device(place)
    if other is not None:
        core = other.layout.dtype
    elif dtype is None:
        core = self.layout.dtype
    else:
        core = core_of(dtype, "to")
    if len(rest) > 1 and rest[1]:
        copy = True
    made = convert(self, core, copy)
    return made if memory_format is None else arranged(made, memory_format)


def type_(self: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The tensor type's name, or the tensor converted to a dtype or type."""
    if dtype is None:
        return f"torch.{dtypes.scalar_name(self.layout.dtype)}Tensor"
    if isinstance(dtype, str):
        name = dtype.rpartition(".")[2].removesuffix("Tensor")
        core = next((c for c in engine.ALL if dtypes.scalar_name(c) == name), None)
        if core is None:
            raise ValueError(f"invalid type: '{dtype}'")
        return convert(self, core)
    if isinstance(dtype, type) and hasattr(dtype, "tensor_dtype"):
        return convert(self, dtype.tensor_dtype)
    return convert(self, core_of(dtype, "type"))


def type_as(self: Any, other: CoreTensor) -> Any:
    """The tensor in another's dtype."""
    other = face(other, "type_as", "other", 2)
    return convert(self, other.layout.dtype)


def _converter(name: str, core: DType) -> Any:
    def method(self: Any, memory_format: Any = None) -> Any:
        if self.layout.dtype is core:
            return self
        return label(call.current.apply1(CAST, self, PARAMS[core]), "ToCopyBackward0")

    method.__name__ = method.__qualname__ = name
    return method


def cpu(self: Any, memory_format: Any = None) -> Any:
    """The tensor itself: it is on the CPU."""
    return self


def cuda(self: Any, device: Any = None, non_blocking: bool = False) -> Any:
    """Fails as a PyTorch without CUDA does."""
    raise AssertionError("Torch not compiled with CUDA enabled")


def pin_memory(self: Any, device: Any = None) -> Any:
    """Fails as a PyTorch without an accelerator does."""
    raise RuntimeError("Cannot access accelerator device when none is available.")


def share_memory_(self: Any) -> Any:
    """The tensor itself; memory shared between processes is not there yet."""
    raise NotImplementedError("Tensor.share_memory_ is not implemented in diptych")


# ---- writing


def copy_(self: Any, src: Any, non_blocking: bool = False) -> Any:
    """Take over another tensor's values, in place."""
    if isinstance(src, (bool, int, float, complex)):
        return fill_(self, src)
    if not isinstance(src, CoreTensor):
        raise TypeError(
            f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}"
        )
    shape = self.layout.shape
    if src.layout.shape != shape:
        src = cast_class(src, Tensor) if not isinstance(src, Tensor) else src
        if src.layout.ndim > len(shape) or any(
            have not in (1, want)
            for have, want in zip(src.layout.shape[::-1], shape[::-1], strict=False)
        ):
            check_in_place_shape(self, src)
    inplace.update(self, ASSIGN, (self, src), PARAMS[self.layout.dtype])
    return self


def fill_(self: Any, value: Any) -> Any:
    """One value everywhere, in place."""
    core = self.layout.dtype
    if isinstance(value, CoreTensor):
        if value.layout.ndim:
            raise RuntimeError(
                "fill_ only supports 0-dimension value tensor but got tensor with "
                f"{value.layout.ndim} dimensions."
            )
        new: CoreTensor = value
    else:
        new = select.constant(fitting(value, core), core)
    inplace.update(self, ASSIGN, (self, new), PARAMS[core])
    return self


def zero_(self: Any) -> Any:
    """Zero everywhere, in place."""
    return fill_(self, 0)


def fill(input: Any, value: Any) -> Any:
    """A copy with one value everywhere."""
    return fill_(input.clone(), value)


def resize_(self: Any, *sizes: Any, memory_format: Any = None) -> Any:
    """Another shape in the same memory; more memory where it does not suffice."""
    recording.refuse("a tensor is resized in place")
    shape = tuple(sizes[0]) if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    place = layout(self.layout.dtype, check_shape(shape, "resize_"))
    if self.node is not None and tape.mode.enabled:
        raise RuntimeError("cannot resize variables that require grad")
    if place.nbytes + (self.address - self.buffer.address) > self.buffer.nbytes:
        old = self.values() if self.layout.size else None
        fresh = copy_array(np.zeros(place.shape, place.dtype.numpy), Tensor, place.dtype)
        if old is not None:
            flat = fresh.array().reshape(-1)
            held = self.array().reshape(-1)
            flat[: held.size] = held
        self.buffer, self.address = fresh.buffer, fresh.address
    self.layout = place
    return self


# ---- other libraries


def dlpack(self: Any, *, stream: Any = None, max_version: Any = None, **rest: Any) -> Any:
    """A DLPack capsule on the same memory."""
    if self.node is not None:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return numpy(self).__dlpack__()


def dlpack_device(self: Any) -> tuple[int, int]:
    """The CPU, as DLPack counts devices."""
    return (1, 0)


def from_dlpack(ext_tensor: Any) -> Any:
    """A tensor on the memory of any object that speaks DLPack."""
    if isinstance(ext_tensor, Tensor):
        return ext_tensor.detach()
    if not hasattr(ext_tensor, "__dlpack__"):
        given = type(ext_tensor).__name__
        raise TypeError(f"from_dlpack(): expected an object with __dlpack__, got {given}")
    return from_array(np.from_dlpack(ext_tensor), Tensor)


# ---- copies and pickles


def deepcopy(self: Any, memo: dict[int, Any]) -> Any:
    """A leaf's copy: values, whether it wants a gradient, and its gradient."""
    found = memo.get(id(self))
    if found is not None:
        return found
    if self.node is not None and not isinstance(self.node, Leaf):
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment.  If you were attempting to deepcopy a module, this may be "
            "because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001"
        )
    made = copy_array(self.array(), type(self), self.layout.dtype)
    memo[id(self)] = made
    if self.node is not None:
        tape.require_gradient(made)
    if self.grad is not None:
        made.grad = copying.deepcopy(self.grad, memo)
    for key, value in self.__dict__.items():
        if key not in OWN_STATE:
            made.__dict__[key] = copying.deepcopy(value, memo)
    return made


OWN_STATE = {
    "layout", "buffer", "address", "node", "output", "grad", "base", "views", "hooks_here",
    "accumulated_here",
}  # fmt: skip


def reduce(self: Any, protocol: Any) -> Any:
    """What pickle stores: class, dtype, shape, bytes, and whether a gradient is wanted."""
    if self.node is not None and not isinstance(self.node, Leaf):
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) can be pickled: "
            "detach() the tensor first"
        )
    values = np.ascontiguousarray(self.array()).reshape(self.layout.shape)
    state = {k: v for k, v in self.__dict__.items() if k not in OWN_STATE}
    kind = None if type(self) is Tensor else type(self)
    wanted = self.node is not None
    return (rebuild, (kind, self.dtype, values, wanted, state))


def rebuild(kind: Any, dtype: Any, values: Any, requires_grad: bool, state: Any) -> Any:
    """What a pickled tensor calls when it is read."""
    made = copy_array(values, kind or Tensor, core_of(dtype))
    made.__dict__.update(state)
    if requires_grad:
        tape.require_gradient(made)
    return made


def as_subclass(self: Any, cls: Any) -> Any:
    """The same value as a tensor of a subclass."""
    return cast_class(self, cls)


def make_subclass(cls: Any, data: Any, require_grad: bool = False) -> Any:
    """``Tensor._make_subclass``: a subclass instance on the data's memory."""
    made = wrap(cls, data.layout, data.buffer, data.address)
    if require_grad:
        tape.require_gradient(made)
    return made


METHODS: dict[str, Any] = {
    f.__name__: f
    for f in (
        item, tolist, numpy, to, type_as, cpu, cuda, pin_memory, share_memory_, copy_, fill_, zero_,
        resize_, as_subclass,
    )
}  # fmt: skip
METHODS.update({
    name: _converter(name, engine.dtype(dtypes.ALIASES.get(name, name)))
    for name in ("float", "double", "half", "bfloat16", "int", "long", "short", "bool", "cfloat",
                 "cdouble")
})  # fmt: skip
METHODS.update(
    char=_converter("char", engine.int8), byte=_converter("byte", engine.uint8), type=type_,
    _make_subclass=staticmethod(make_subclass), __bool__=to_bool, __float__=to_float,
    __int__=to_int, __complex__=to_complex, __index__=to_index, __len__=length, __iter__=iterate,
    __contains__=contains, __format__=formatted, __array__=as_array, __array_wrap__=array_wrap,
    __dlpack__=dlpack, __dlpack_device__=dlpack_device, __deepcopy__=deepcopy,
    __reduce_ex__=reduce,
)  # fmt: skip
FUNCTIONS: dict[str, Any] = {"from_dlpack": from_dlpack, "fill": fill}
