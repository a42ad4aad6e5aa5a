"""Hooks around a module's call: the global ones, and those on its backward pass."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from diptych.core import tape
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import alias, cast_class
from diptych.torch.tensor import Tensor
from diptych.torch.utils.hooks import RemovableHandle, register


class GlobalHooks:
    """Hooks that run for every module. ``any`` is what a module's call asks first."""

    def __init__(self) -> None:
        self.forward_pre: OrderedDict[int, Any] = OrderedDict()
        self.forward: OrderedDict[int, Any] = OrderedDict()
        self.forward_with_kwargs: OrderedDict[int, Any] = OrderedDict()
        self.forward_always: OrderedDict[int, Any] = OrderedDict()
        self.backward_pre: OrderedDict[int, Any] = OrderedDict()
        self.backward: OrderedDict[int, Any] = OrderedDict()
        self.registration: dict[str, OrderedDict[int, Any]] = {
            kind: OrderedDict() for kind in ("parameter", "module", "buffer")
        }

    def call(self) -> bool:
        """Whether a module's call must look at them."""
        return bool(self.forward_pre or self.forward or self.backward_pre or self.backward)


everywhere = GlobalHooks()


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, inputs)`` before every module's forward."""
    return register(everywhere.forward_pre, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Run ``hook(module, inputs, output)`` after every module's forward."""
    handle = register(
        everywhere.forward, hook, extra=[everywhere.forward_with_kwargs, everywhere.forward_always]
    )
    if with_kwargs:
        everywhere.forward_with_kwargs[handle.id] = True
    if always_call:
        everywhere.forward_always[handle.id] = True
    return handle


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, grad_output)`` before every module's backward."""
    return register(everywhere.backward_pre, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, grad_input, grad_output)`` when every module's backward is done."""
    return register(everywhere.backward, hook)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, name, parameter)`` when any module registers a parameter."""
    return register(everywhere.registration["parameter"], hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, name, submodule)`` when any module registers a submodule."""
    return register(everywhere.registration["module"], hook)


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(module, name, buffer)`` when any module registers a buffer."""
    return register(everywhere.registration["buffer"], hook)


def on_registration(kind: str, module: Any, name: str, value: Any) -> Any:
    """What is to be registered after the registration hooks had their say."""
    for hook in everywhere.registration[kind].values():
        changed = hook(module, name, value)
        if changed is not None:
            value = changed
    return value


def seen(value: Any) -> Any:
    """A cotangent as hooks see it: a tensor of this face (or None)."""
    if isinstance(value, CoreTensor) and not isinstance(value, Tensor):
        return cast_class(value, Tensor)
    return value


class IdentityNode(tape.Node):
    """Passes several values through together, so that one hook sees all their cotangents."""

    __slots__ = ("see",)

    def __init__(self, edges: tuple[Any, ...], see: Callable[[list[Any]], Sequence[Any]]) -> None:
        super().__init__(edges, len(edges))
        self.see = see

    @property
    def name(self) -> str:
        return "BackwardHookFunctionBackward"

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        return self.see([seen(cotangent) for cotangent in cotangents])


def pass_through(values: Sequence[Any], see: Callable[[list[Any]], Sequence[Any]]) -> list[Any]:
    """The same values, those that want a gradient routed through one node that calls ``see``.

    ``see`` gets a cotangent (or None) per value and returns as many.
    """
    places = [i for i, v in enumerate(values) if isinstance(v, CoreTensor) and v.node is not None]
    out = list(values)
    if not places or not tape.mode.enabled:
        return out

    def spread(cotangents: list[Any]) -> Sequence[Any]:
        every: list[Any] = [None] * len(values)
        for place, cotangent in zip(places, cotangents, strict=True):
            every[place] = cotangent
        changed = see(every)
        return [changed[place] for place in places]

    node = IdentityNode(tuple([(values[i].node, values[i].output) for i in places]), spread)
    for index, place in enumerate(places):
        other = alias(values[place], values[place].result_type)
        other.node, other.output = node, index
        out[place] = other
    return out


class BackwardHooks:
    """The backward hooks of one call of a module: wraps its inputs and its outputs.

    The outputs' node runs first in the backward pass and keeps their cotangents; the inputs' node
    runs last and calls the hooks with both; where no input wants a gradient, the outputs' does.
    """

    def __init__(self, module: Any, pre: Sequence[Any], full: Sequence[Any]) -> None:
        self.module = module
        self.pre = pre
        self.full = full
        self.grad_outputs: tuple[Any, ...] | None = None
        self.inputs = 0
        self.watches_inputs = False

    def wrap_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.inputs = len(args)
        self.watches_inputs = bool(self.full) and any(
            isinstance(a, CoreTensor) and a.node is not None for a in args
        )
        if not self.watches_inputs:
            return args
        return tuple(pass_through(args, self.see_inputs))

    def wrap_outputs(self, result: Any) -> Any:
        values = result if isinstance(result, tuple) else (result,)
        wrapped = pass_through(values, self.see_outputs)
        return tuple(wrapped) if isinstance(result, tuple) else wrapped[0]

    def see_outputs(self, cotangents: list[Any]) -> Sequence[Any]:
        grads = tuple(cotangents)
        for hook in self.pre:
            changed = hook(self.module, grads)
            if changed is not None:
                grads = self.checked(changed, len(grads), "Backward pre hook")
        self.grad_outputs = grads
        if not self.watches_inputs:
            for hook in self.full:
                changed = hook(self.module, (None,) * self.inputs, grads)
                if changed is not None and any(g is not None for g in as_tuple(changed)):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should "
                        "always return None or None for all gradients."
                    )
        return grads

    def see_inputs(self, cotangents: list[Any]) -> Sequence[Any]:
        if self.grad_outputs is None:
            raise RuntimeError(
                "Module backward hook for grad_input is called before the grad_output one. This "
                "happens because the gradient in your nn.Module flows to the Module's input "
                "without passing through the Module's output. Make sure that the output depends "
                "on the input and that the loss is computed based on the output."
            )
        grads = tuple(cotangents)
        for hook in self.full:
            changed = hook(self.module, grads, self.grad_outputs)
            if changed is not None:
                grads = self.checked(changed, len(grads), "Backward hook")
        self.grad_outputs = None
        return grads

    @staticmethod
    def checked(changed: Any, wanted: int, what: str) -> tuple[Any, ...]:
        grads = as_tuple(changed)
        if len(grads) != wanted:
            raise RuntimeError(
                f"{what} returned an invalid number of grad_input, got {len(grads)}, "
                f"but expected {wanted}"
            )
        return grads


def as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
