"""Gradients from a tensor's side: backward, grad's hooks, and the modes that switch recording."""

from __future__ import annotations

import functools
import weakref
from collections import OrderedDict
from typing import Any

from diptych.core import tape
from diptych.core.tape import Leaf
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import cast_class
from diptych.ops import arithmetic
from diptych.ops.select import constant
from diptych.torch.dtypes import scalar_name
from diptych.torch.tensor import Tensor
from diptych.torch.utils.hooks import RemovableHandle, register


def first_cotangent(root: CoreTensor, gradient: Any) -> Any:
    """What a backward pass starts with at ``root``: the gradient given, or one for a scalar."""
    place = root.layout
    if gradient is None:
        if place.size != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        if not place.dtype.is_float:
            raise RuntimeError(
                "grad can be implicitly created only for real scalar outputs but got "
                f"{Tensor.dtype.fget(root)}"  # type: ignore[attr-defined]
            )
        one = constant(1.0, place.dtype)
        if not place.ndim:
            return one
        return arithmetic.add(arithmetic.zeros_like(root.detach()), one)  # type: ignore[attr-defined]
    if not isinstance(gradient, CoreTensor):
        raise TypeError(
            f"gradients can be either Tensors or None, but got {type(gradient).__name__}"
        )
    if gradient.layout.shape != place.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[0] has a shape of {shape_text(gradient)} and "
            f"output[0] has a shape of {shape_text(root)}."
        )
    if gradient.layout.dtype.is_complex != place.dtype.is_complex:
        raise RuntimeError(
            "For complex Tensors, both grad_output and output are required to have the same "
            "dtype. Mismatch in dtype: grad_output[0] has a dtype of "
            f"{scalar_name(gradient.layout.dtype)}"
            f" and output[0] has a dtype of {scalar_name(place.dtype)}."
        )
    return gradient


def shape_text(x: CoreTensor) -> str:
    """A shape as PyTorch prints it in messages."""
    return f"torch.Size({list(x.layout.shape)})"


def backward(
    self: Any, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
    inputs: Any = None,
) -> None:  # fmt: skip
    """Add the gradient of this tensor to ``.grad`` of the leaves it was made of."""
    node = self.node
    if node is None:
        raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
    cotangent = first_cotangent(self, gradient)
    if inputs is None:
        tape.backward(
            ((node, self.output, cotangent),), retain_graph=retain_graph, create_graph=create_graph
        )
        return
    wanted = (inputs,) if isinstance(inputs, CoreTensor) else tuple(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    targets = []
    for index, tensor in enumerate(wanted):
        if tensor.node is None:
            raise RuntimeError(
                f"One of the differentiated Tensors does not require grad (inputs[{index}])"
            )
        targets.append((tensor.node, tensor.output))
    found = tape.backward(
        ((node, self.output, cotangent),), targets, retain_graph=retain_graph,
        create_graph=create_graph, accumulate=False,
    )  # fmt: skip
    for tensor, grad in zip(wanted, found, strict=True):
        if grad is not None:
            grad = tape.in_class_of(grad, tensor)
            tensor.grad = grad if tensor.grad is None else arithmetic.add(tensor.grad, grad)


def _hooked(self: Any, hook: Any) -> Any:
    """A hook that sees and returns tensors of this face."""

    def run(cotangent: Any) -> Any:
        if not isinstance(cotangent, Tensor):
            cotangent = cast_class(cotangent, Tensor)
        changed = hook(cotangent)
        if changed is not None and not isinstance(changed, CoreTensor):
            raise TypeError(f"hook must return None or a Tensor, but got {type(changed).__name__}")
        return changed

    return run


def register_hook(self: Any, hook: Any) -> RemovableHandle:
    """Run ``hook(grad)`` when this tensor's gradient is complete; what it returns replaces it."""
    if self.node is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    mine: OrderedDict[int, Any] = self.__dict__.setdefault("hooks_here", OrderedDict())
    handle = register(mine, hook)
    key = handle.id

    def run(cotangent: Any) -> Any:
        held = mine.get(key)
        return None if held is None else _hooked(self, held)(cotangent)

    tape.add_hook(self.node, self.output, key, run)
    return handle


def register_post_accumulate_grad_hook(self: Any, hook: Any) -> RemovableHandle:
    """Run ``hook(tensor)`` after a gradient was added to this leaf's ``.grad``."""
    node = self.node
    if node is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if not isinstance(node, Leaf):
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    mine: OrderedDict[int, Any] = self.__dict__.setdefault("accumulated_here", OrderedDict())
    handle = register(mine, hook)
    node.accumulated_hooks = mine
    return handle


def retain_grad(self: Any) -> None:
    """Keep the gradient of a tensor that is no leaf in its ``.grad``."""
    node = self.node
    if node is None:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if isinstance(node, Leaf):
        return
    if node.retained is None:
        node.retained = {}
    node.retained[self.output] = weakref.ref(self)


def retains_grad(self: Any) -> bool:
    """Whether :func:`retain_grad` was called."""
    node = self.node
    return node is not None and bool(node.retained) and self.output in node.retained


# ---- modes


class _Switch:
    """A context manager, decorator and (for set_grad_enabled) plain call that sets the mode."""

    enabled: bool
    inference = False

    def __init__(self) -> None:
        self.before: list[tuple[bool, bool]] = []

    def __enter__(self) -> None:
        mode = tape.mode
        self.before.append((mode.enabled, mode.inference))
        mode.enabled = self.enabled
        if self.inference:
            mode.inference = True

    def __exit__(self, *exc: Any) -> None:
        tape.mode.enabled, tape.mode.inference = self.before.pop()

    def clone(self) -> _Switch:
        """A fresh one with the same setting: a decorated function may call itself."""
        return type(self)()

    def __call__(self, function: Any) -> Any:
        if isinstance(function, type):
            raise TypeError(f"{type(self).__name__} decorates functions, not classes")
        code = getattr(function, "__code__", None)
        if code is not None and code.co_flags & 0x20:  # a generator

            @functools.wraps(function)
            def steps(*args: Any, **kwargs: Any) -> Any:
                running = function(*args, **kwargs)
                try:
                    sent = None
                    while True:
                        with self.clone():
                            item = running.send(sent)
                        sent = yield item
                except StopIteration as stop:
                    return stop.value

            return steps

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self.clone():
                return function(*args, **kwargs)

        return run


class no_grad(_Switch):  # noqa: N801 (PyTorch's name)
    """Nothing inside is recorded."""

    __module__ = "torch"
    enabled = False

    def __new__(cls, function: Any = None) -> Any:
        made = super().__new__(cls)
        if function is not None:
            made.__init__()  # type: ignore[misc]
            return made(function)
        return made

    def __init__(self, function: Any = None) -> None:
        super().__init__()


class enable_grad(no_grad):  # noqa: N801 (PyTorch's name)
    """Everything inside is recorded."""

    __module__ = "torch"
    enabled = True


class inference_mode(_Switch):  # noqa: N801 (PyTorch's name)
    """Nothing inside is recorded, and its results may never be."""

    __module__ = "torch"

    def __new__(cls, mode: Any = True) -> Any:
        made = super().__new__(cls)
        if not isinstance(mode, bool):
            made.__init__()  # type: ignore[misc]
            return made(mode)
        return made

    def __init__(self, mode: Any = True) -> None:
        super().__init__()
        self.mode = mode
        self.enabled = not mode
        self.inference = bool(mode)

    def clone(self) -> inference_mode:
        return inference_mode(self.mode)


class set_grad_enabled(_Switch):  # noqa: N801 (PyTorch's name)
    """Sets the mode at once; as a context manager, puts it back afterwards."""

    __module__ = "torch"

    def __init__(self, mode: bool) -> None:
        super().__init__()
        self.enabled = bool(mode)
        self.before.append((tape.mode.enabled, tape.mode.inference))
        tape.mode.enabled = self.enabled

    def __enter__(self) -> None:
        tape.mode.enabled = self.enabled

    def clone(self) -> set_grad_enabled:
        return set_grad_enabled(self.enabled)

    def __call__(self, function: Any) -> Any:
        tape.mode.enabled = self.before[-1][0]  # a decorator changes nothing until it is called
        return super().__call__(function)


def is_grad_enabled() -> bool:
    """Whether operations are recorded."""
    return tape.mode.enabled


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on."""
    return tape.mode.inference


def is_inference(input: Any) -> bool:
    """Whether a tensor was made in inference mode."""
    return bool(input.is_inference())


METHODS: dict[str, Any] = {
    function.__name__: function
    for function in (
        backward, register_hook, register_post_accumulate_grad_hook, retain_grad,
    )
}  # fmt: skip
METHODS["retains_grad"] = property(retains_grad)
FUNCTIONS: dict[str, Any] = {
    item.__name__: item
    for item in (
        no_grad, enable_grad, inference_mode, set_grad_enabled, is_grad_enabled,
        is_inference_mode_enabled, is_inference,
    )
}  # fmt: skip
