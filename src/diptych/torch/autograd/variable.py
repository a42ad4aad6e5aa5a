"""Variable: what tensors with gradients were once called."""

from __future__ import annotations

from typing import Any

from diptych.torch.tensor import Tensor


class _VariableMeta(type):
    def __instancecheck__(cls, other: Any) -> bool:
        return isinstance(other, Tensor)

    def __call__(cls, data: Any, requires_grad: bool = False, volatile: bool = False) -> Any:
        out = data.detach()
        return out.requires_grad_() if requires_grad else out


class Variable(metaclass=_VariableMeta):
    """``Variable(tensor)`` gives a tensor on the same memory."""
