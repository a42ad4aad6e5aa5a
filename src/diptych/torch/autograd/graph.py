"""The backward graph from outside: nodes, edges, and hooks on several tensors."""

from __future__ import annotations

from typing import Any

from diptych.torch.autograd.engine import GradientEdge as GradientEdge
from diptych.torch.gradient_nodes import GradFn as Node
from diptych.torch.gradient_nodes import grad_fn_of


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
    """Would run functions on what is saved for the backward pass."""

    def __init__(self, pack_hook: Any, unpack_hook: Any) -> None:
        raise NotImplementedError(
            "torch.autograd.graph.saved_tensors_hooks: hooks on saved values are not supported yet"
        )


class save_on_cpu:  # noqa: N801 (PyTorch's name)
    """Saves on the CPU, where everything is: nothing to do."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        pass

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        pass


__all__ = ["GradientEdge", "Node", "get_gradient_edge", "increment_version", "save_on_cpu"]
