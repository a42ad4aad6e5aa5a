"""The backward graph from outside: nodes, edges, and hooks on several tensors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from diptych.core import saving
from diptych.core.tensor import cast_class
from diptych.torch.autograd.engine import GradientEdge as GradientEdge
from diptych.torch.gradient_nodes import GradFn as Node
from diptych.torch.gradient_nodes import grad_fn_of
from diptych.torch.tensor import Tensor


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """The (node, output) at which a tensor's gradient arrives."""
    if tensor.node is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    return GradientEdge(grad_fn_of(tensor.node), tensor.output)


def increment_version(tensor: Any) -> None:
    """Count a change in place that the tape did not see."""
    for one in tensor if isinstance(tensor, (tuple, list)) else (tensor,):
        one.buffer.version += 1


class saved_tensors_hooks:  # noqa: N801 (PyTorch's name)
    """Inside, what is saved for the backward pass goes through a pair of functions."""

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        self.before = saving.enter(saving.Hooks(self.packed, self.unpack_hook))

    def __exit__(self, *_: Any) -> None:
        saving.leave(self.before)

    def packed(self, x: Any) -> Any:
        """What the hook makes of a value, as a tensor of this face."""
        return self.pack_hook(x if isinstance(x, Tensor) else cast_class(x, Tensor))


class save_on_cpu(saved_tensors_hooks):  # noqa: N801 (PyTorch's name)
    """Saves on the CPU, where everything is: a copy of each value, as PyTorch's."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda x: x.detach().clone(), lambda x: x)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Inside, hooks on saved values are refused with this message."""
    saving.watching.refused.append(error_message)
    try:
        yield
    finally:
        saving.watching.refused.pop()


__all__ = [
    "GradientEdge", "Node", "disable_saved_tensors_hooks", "get_gradient_edge",
    "increment_version", "save_on_cpu", "saved_tensors_hooks",
]  # fmt: skip
