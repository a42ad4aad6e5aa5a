"""The Tensor class: the core's tensor with PyTorch's attributes; tables give it its methods."""

from __future__ import annotations

import importlib
import operator
from typing import Any

from diptych.core import recording, tape
from diptych.core.buffer import EPOCH_BITS, Buffer
from diptych.core.tape import Leaf
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import alias, cast_class, wrap
from diptych.torch import dtypes, memory_formats
from diptych.torch.device import CPU, device
from diptych.torch.dtypes import BY_INDEX
from diptych.torch.gradient_nodes import grad_fn_of
from diptych.torch.size import Size

_COUNT = (1 << EPOCH_BITS) - 1


class TwinBuffer(Buffer):
    """The same memory with a version counter of its own: what ``.data`` writes is not tracked."""

    __slots__ = ("owner",)

    def __init__(self, owner: Buffer) -> None:
        super().__init__(owner.address, owner.nbytes, owner.memory, owner.writable)
        self.owner = owner


class Tensor(CoreTensor):
    """PyTorch's tensor."""

    __module__ = "torch"
    __array_priority__ = 1000  # NumPy's scalars leave the operator to us
    __hash__ = object.__hash__

    is_cuda = is_sparse = is_quantized = is_meta = is_mps = is_xpu = is_mkldnn = False
    is_sparse_csr = is_nested = is_vulkan = is_ipu = is_mtia = is_xla = is_maia = False
    is_cpu = True
    name = None

    def __init_subclass__(cls, **rest: Any) -> None:
        super().__init_subclass__(**rest)
        # Results of a subclass are of the subclass, unless it says otherwise (as parameters do).
        if "result_type" not in cls.__dict__ and not cls.__dict__.get("results_are_plain", False):
            cls.result_type = cls
        if "__torch_function__" in cls.__dict__:
            importlib.import_module("diptych.torch.overrides").install()

    # ---- what it is

    @property
    def dtype(self) -> Any:
        return BY_INDEX[self.layout.dtype.index]

    @property
    def shape(self) -> Size:
        place = self.layout
        shape = place.face_shape
        if shape.__class__ is not Size:
            shape = place.face_shape = Size(place.shape)
        return shape

    def size(self, dim: Any = None) -> Any:
        """The shape, or the extent of one axis."""
        if dim is None:
            return self.shape
        return self.layout.shape[axis_of(dim, self.layout.ndim)]

    def dim(self) -> int:
        """The number of axes."""
        return self.layout.ndim

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return self.layout.size

    nelement = numel

    @property
    def itemsize(self) -> int:
        return self.layout.dtype.itemsize

    def element_size(self) -> int:
        """Bytes of one element."""
        return self.layout.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.layout.nbytes

    @property
    def device(self) -> device:
        return CPU

    def get_device(self) -> int:
        """-1: the tensor is on the CPU."""
        return -1

    def stride(self, dim: Any = None) -> Any:
        """The step in elements along every axis, or along one."""
        if dim is None:
            return self.layout.strides
        return self.layout.strides[axis_of(dim, self.layout.ndim)]

    def storage_offset(self) -> int:
        """Elements between the start of the memory and element zero."""
        return self.offset

    def data_ptr(self) -> int:
        """The address of element zero (0 for none)."""
        return self.address if self.layout.size else 0

    def is_contiguous(self, memory_format: Any = None) -> bool:
        """Whether elements lie in row-major order without gaps."""
        if memory_format is not None:
            return memory_formats.is_arranged(self.layout, memory_format._name)
        return self.layout.contiguous

    def is_floating_point(self) -> bool:
        """Whether the dtype is a (real) floating one."""
        return self.layout.dtype.is_float

    def is_complex(self) -> bool:
        """Whether the dtype is complex."""
        return self.layout.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the dtype has negative values."""
        return self.layout.dtype.kind in "ifc"

    def is_pinned(self, device: Any = None) -> bool:
        """False: there is no device to pin memory for."""
        return False

    def is_shared(self) -> bool:
        """Whether the memory is shared between processes."""
        return bool(getattr(self.buffer, "shared", False))

    def is_inference(self) -> bool:
        """Whether the tensor was made in inference mode."""
        return bool(self.__dict__.get("inference", False))

    def is_same_size(self, other: CoreTensor) -> bool:
        """Whether the shapes agree."""
        return self.layout.shape == face(other, "is_same_size", "other", 2).layout.shape

    @property
    def _version(self) -> int:
        return self.buffer.version & _COUNT

    @property
    def _base(self) -> Any:
        base = self.base
        if base is not None and not isinstance(base, Tensor):
            return cast_class(base, Tensor)
        return base

    def _is_view(self) -> bool:
        return self.base is not None

    # ---- gradients

    def _put_grad(self, value: Any) -> None:
        if value is not None:
            check_gradient(self, value)
        self.held_grad = value

    def _forget_grad(self) -> None:
        self.held_grad = None

    grad: Any = property(operator.attrgetter("held_grad"), _put_grad, _forget_grad)

    @property
    def requires_grad(self) -> bool:
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Make the (leaf) tensor want a gradient, or none; returns it."""
        node = self.node
        if recording.active is not None and (node is not None) is not bool(requires_grad):
            recording.active.touch(self)
        if node is not None and not isinstance(node, Leaf):
            if not requires_grad:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to use "
                    "a computed variable in a subgraph that doesn't require differentiation use "
                    "var_no_grad = var.detach()."
                )
        elif requires_grad and not self.layout.dtype.is_inexact:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        else:
            tape.require_gradient(self, bool(requires_grad))
        return self

    @property
    def is_leaf(self) -> bool:
        return self.node is None or self.node.__class__ is Leaf

    @property
    def grad_fn(self) -> Any:
        node = self.node
        return None if node is None or node.__class__ is Leaf else grad_fn_of(node)

    @property
    def output_nr(self) -> int:
        return self.output

    @property
    def data(self) -> Tensor:
        return wrap(self.result_type, self.layout, TwinBuffer(self.buffer), self.address)  # type: ignore[return-value]

    @data.setter
    def data(self, value: CoreTensor) -> None:
        recording.refuse("the memory of a tensor is exchanged (.data = ...)")
        recording.restructured()
        buffer = value.buffer
        self.layout = value.layout
        self.buffer = buffer.owner if isinstance(buffer, TwinBuffer) else buffer
        self.address = value.address
        self.base = None

    def detach(self) -> Tensor:
        """The same memory, off the tape."""
        out = alias(self, self.result_type)
        out.base = self if self.base is None else self.base
        return out  # type: ignore[return-value]

    def detach_(self) -> Tensor:
        """Take this tensor itself off the tape."""
        self.node = None
        self.output = 0
        return self


Tensor.result_type = Tensor


def check_gradient(x: Tensor, value: Any) -> None:
    """Refuse what cannot be a tensor's gradient: its shape and dtype are the tensor's own."""
    if not isinstance(value, CoreTensor):
        raise TypeError(
            f"assigned grad expected to be a Tensor or None but got grad of type "
            f"{type(value).__name__}"
        )
    if value is x:
        raise RuntimeError("can't assign Variable as its own grad")
    place, own = value.layout, x.layout
    if place.shape != own.shape:
        raise RuntimeError(
            f"attempting to assign a gradient of size '{list(place.shape)}' to a tensor of size "
            f"'{list(own.shape)}'. Please ensure that the gradient and the tensor are the same size"
        )
    if place.dtype is not own.dtype:
        raise RuntimeError(
            f"attempting to assign a gradient with dtype '{scalar_name(value)}' to a tensor with "
            f"grad_dtype '{scalar_name(x)}'. The gradient must match the tensor's dtype: convert "
            "it with .to(...)"
        )


def axis_of(dim: Any, ndim: int) -> int:
    """``dim`` counted from the front; IndexError in PyTorch's words when it is out of range."""
    if dim.__class__ is not int:
        dim = operator.index(dim)
    count = ndim or 1
    if not -count <= dim < count:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-count}, {count - 1}], but got "
            f"{dim})"
        )
    return dim + count if dim < 0 else dim


def axes_of(dims: Any, ndim: int) -> tuple[int, ...]:
    """One dim or several, from the front and in order; RuntimeError when one comes twice."""
    if not isinstance(dims, (tuple, list)):
        return (axis_of(dims, ndim),)
    axes = [axis_of(dim, ndim) for dim in dims]
    if len(set(axes)) != len(axes):
        twice = next(axis for axis in axes if axes.count(axis) > 1)
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return tuple(sorted(axes))


def face(x: Any, function: str, argument: str = "input", position: int = 1) -> Tensor:
    """``x`` as a tensor of this face (no copy); TypeError in PyTorch's words for anything else."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, CoreTensor):
        return cast_class(x, Tensor)
    raise TypeError(
        f"{function}(): argument '{argument}' (position {position}) must be Tensor, not "
        f"{type(x).__name__}"
    )


def is_tensor(obj: Any) -> bool:
    """Whether an object is a tensor of this face."""
    return isinstance(obj, Tensor)


def scalar_name(x: CoreTensor) -> str:
    """PyTorch's word for a tensor's element type in messages."""
    return dtypes.scalar_name(x.layout.dtype)
