"""Parameters and buffers: tensors that modules register when they are assigned."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from diptych.core import tape
from diptych.core.dtypes import float32
from diptych.core.layout import layout
from diptych.core.tensor import empty, wrap
from diptych.torch.creation import empty as new_empty
from diptych.torch.dtypes import NAMED, get_default_dtype
from diptych.torch.dtypes import dtype as DType
from diptych.torch.tensor import Tensor


def _own(cls: Any, data: Any, what: str) -> Any:
    """A tensor of class ``cls`` on the data's memory, off the tape."""
    if data is None:
        return empty(layout(float32, (0,)), cls)
    if not isinstance(data, Tensor):
        raise TypeError(
            f"{what}(): argument 'data' must be Tensor, not {type(data).__name__}; "
            "make one with torch.tensor(...)"
        )
    return wrap(cls, data.layout, data.buffer, data.address)


class Parameter(Tensor):
    """A tensor that a Module counts among its parameters; by default it wants a gradient."""

    results_are_plain = True

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        self = _own(cls, data, "Parameter")
        if requires_grad:
            if not self.layout.dtype.is_inexact:
                raise RuntimeError(
                    "Only Tensors of floating point and complex dtype can require gradients"
                )
            tape.require_gradient(self)
        return self

    def __init__(self, *_: Any, **__: Any) -> None:
        """Everything is done in ``__new__``."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        found = memo.get(id(self))
        if found is None:
            held: Any = self.detach()
            found = type(self)(held.clone(), self.requires_grad)
            memo[id(self)] = found
        return found

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (rebuild_parameter, (self.detach(), self.requires_grad, OrderedDict()))


def rebuild_parameter(data: Any, requires_grad: bool, backward_hooks: Any) -> Parameter:
    """What a pickled Parameter calls when it is read."""
    return Parameter(data, requires_grad)


class Buffer(Tensor):
    """A tensor that a Module counts among its buffers; ``persistent`` ones enter its state dict."""

    results_are_plain = True
    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        self = _own(cls, data, "Buffer")
        self.persistent = persistent
        if data is not None and data.requires_grad:
            tape.require_gradient(self)
        return self

    def __init__(self, *_: Any, **__: Any) -> None:
        """Everything is done in ``__new__``."""


class UninitializedTensorMixin:
    """A tensor that has a dtype but no shape yet: whatever asks for its layout gets an error."""

    cls_to_become: Any
    wanted_dtype: Any

    def _say(self) -> str:
        return (
            f"Attempted to use an uninitialized parameter ({type(self).__name__}). This error "
            "happens when you are using a `LazyModule` or explicitly manipulating "
            f"`torch.nn.parameter.{type(self).__name__}` objects. When using LazyModules Call "
            "`forward` with a dummy batch to initialize the parameters before calling torch "
            "functions"
        )

    @property
    def layout(self) -> Any:
        raise ValueError(self._say())

    @property
    def shape(self) -> Any:
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually "
            "happens in `load_state_dict` when trying to load an uninitialized parameter into an "
            "initialized one. Call `forward` to initialize the parameters before accessing their "
            "attributes."
        )

    @property
    def dtype(self) -> Any:
        return self.wanted_dtype

    @property
    def data(self) -> Any:
        return self

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become a tensor of this shape, its elements not set."""
        made = new_empty(shape, device=device, dtype=dtype or self.wanted_dtype)
        own = self.__dict__
        del own["wanted_dtype"]
        self.__class__ = self.cls_to_become
        for name in ("layout", "buffer", "address"):
            own[name] = getattr(made, name)

    def detach(self) -> Any:
        return self

    def share_memory_(self) -> Any:
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to "
            "initialize the parameters before calling `module.share_memory()`."
        )

    def is_floating_point(self) -> bool:
        return bool(self.wanted_dtype.is_floating_point)

    def is_complex(self) -> bool:
        return bool(self.wanted_dtype.is_complex)

    def to(self, *args: Any, device: Any = None, dtype: Any = None, **_: Any) -> Any:
        found = next((value for value in args if isinstance(value, DType)), dtype)
        if found is not None:
            self.wanted_dtype = found
        return self

    def cpu(self) -> Any:
        return self

    def double(self) -> Any:
        return self.to(NAMED["float64"])

    def float(self) -> Any:
        return self.to(NAMED["float32"])

    def half(self) -> Any:
        return self.to(NAMED["float16"])

    def bfloat16(self) -> Any:
        return self.to(NAMED["bfloat16"])

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        tape.require_gradient(self, requires_grad)  # type: ignore[arg-type]
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        found = memo.get(id(self))
        if found is None:
            made: Any = type(self)
            found = memo[id(self)] = made(self.requires_grad, dtype=self.wanted_dtype)  # type: ignore[attr-defined]
        return found

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (rebuild_uninitialized, (type(self), self.requires_grad, self.wanted_dtype))  # type: ignore[attr-defined]

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"<{type(self).__name__}>"


def rebuild_uninitialized(cls: Any, requires_grad: bool, dtype: Any) -> Any:
    """What a pickled parameter without a shape calls when it is read."""
    return cls(requires_grad, dtype=dtype)


def _uninitialized(cls: Any, requires_grad: bool, device: Any, dtype: Any) -> Any:
    if device is not None:
        new_empty((0,), device=device)  # refuses a device that is not there
    self = object.__new__(cls)
    self.wanted_dtype = dtype or get_default_dtype()
    if requires_grad:
        tape.require_gradient(self)
    return self


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc, override]
    """A parameter whose shape is not known yet: lazy modules learn it from their first input."""

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return _uninitialized(cls, requires_grad, device, dtype)


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[override]
    """A buffer whose shape is not known yet."""

    cls_to_become = Tensor
    results_are_plain = True
    persistent = True

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> Any:
        self = _uninitialized(cls, requires_grad, device, dtype)
        self.persistent = persistent
        return self

    def __init__(self, *_: Any, **__: Any) -> None:
        """Everything is done in ``__new__``."""


def is_lazy(param: Any) -> bool:
    """Whether a parameter or buffer has no shape yet."""
    return isinstance(param, UninitializedTensorMixin)


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """What of a module's keywords goes to functions that make tensors: device, dtype and such.

    ``factory_kwargs`` among them holds those whose names the module needs otherwise.
    """
    if kwargs is None:
        return {}
    simple = {"device", "dtype", "memory_format"}
    unexpected = set(kwargs) - simple - {"factory_kwargs"}
    if unexpected:
        raise TypeError(f"unexpected kwargs {unexpected}")
    made = dict(kwargs.get("factory_kwargs", {}))
    for name in simple & set(kwargs):
        if name in made:
            raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
        made[name] = kwargs[name]
    return made
