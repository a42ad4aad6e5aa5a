"""Parameters and buffers: tensors that modules register when they are assigned."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from diptych.core import tape
from diptych.core.dtypes import float32
from diptych.core.layout import layout
from diptych.core.tensor import empty, wrap
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


class UninitializedParameter:
    """A parameter whose shape is not known yet: for the Lazy modules, which are not here yet."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError(
            "torch.nn.UninitializedParameter: lazy modules are not supported yet; "
            "give the module its sizes"
        )


class UninitializedBuffer:
    """A buffer whose shape is not known yet: for the Lazy modules, which are not here yet."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError(
            "torch.nn.UninitializedBuffer: lazy modules are not supported yet; "
            "give the module its sizes"
        )


def is_lazy(param: Any) -> bool:
    """Whether a parameter has no shape yet; none of ours is so."""
    return isinstance(param, (UninitializedParameter, UninitializedBuffer))
