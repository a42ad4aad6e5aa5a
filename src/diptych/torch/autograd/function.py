"""Function: an operation with a backward of one's own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from diptych.core import saving, tape
from diptych.core.layout import broadcast_shapes
from diptych.core.samples import SampleBuffer, attached
from diptych.core.tape import Leaf, Node, arithmetic
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import alias, cast_class
from diptych.errors import GradientError, ShapeError
from diptych.ops.movement import sum_to
from diptych.ops.select import cast
from diptych.torch.gradient_nodes import NodeHook, grad_fn_of
from diptych.torch.tensor import Tensor

_FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)


class Name(str):
    """A node's name, which programs call (``grad_fn.name()``) and the tape reads."""

    __slots__ = ()

    def __call__(self) -> str:
        return str(self)


class FunctionCtx(Node):
    """What forward and backward share: the tape's node of the call itself.

    It is both the ``ctx`` argument and the outputs' ``grad_fn``, so that no cycle keeps what was
    saved alive.
    """

    function: type[Function]

    def __init__(self, needs: tuple[bool, ...]) -> None:
        super().__init__((), 1)
        self.needs_input_grad = needs
        self.to_save: tuple[Any, ...] = ()
        self.saved: list[Any] | None = []
        self.saved_for_forward: tuple[Any, ...] = ()
        self.materialize = True
        self.not_differentiable: tuple[Any, ...] = ()
        self.dirty_tensors: tuple[Any, ...] = ()
        self.inputs: tuple[Any, ...] = ()  # each argument's layout, None for what is no tensor
        self.results: tuple[Any, ...] = ()  # each output's layout

    # ---- for forward

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors for the backward pass, watched for changes in place."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, CoreTensor):
                raise TypeError(
                    "save_for_backward can only save variables, but argument "
                    f"{tensors.index(tensor)} is of type {type(tensor).__name__}"
                )
        self.to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Any) -> None:
        """Say which inputs forward changed in place."""
        self.dirty_tensors = args

    def mark_non_differentiable(self, *args: Any) -> None:
        """Say which outputs have no gradient."""
        self.not_differentiable = args

    def mark_shared_storage(self, *pairs: Any) -> None:
        """Nothing to do: sharing is seen from the memory."""

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (or None) for outputs that were not used."""
        self.materialize = value

    # ---- for backward

    def close(self, outputs: Sequence[Any]) -> None:
        """Take hold of what is to be saved: outputs as aliases, lest they hold us in a circle."""
        saved: list[Any] = []
        hooks = saving.innermost()
        for tensor in self.to_save:
            place = next((i for i, out in enumerate(outputs) if out is tensor), None)
            if tensor is None:
                saved.append((None, 0, None))
            elif hooks is not None:
                value = tensor if place is None else alias(tensor, type(tensor))
                origin = None if place is not None else (tensor.node, tensor.output)
                saved.append((saving.Packed(hooks, value), origin, place))
            elif place is None:
                saved.append((tensor, tensor.buffer.version, None))
            else:
                held = alias(tensor, type(tensor))
                saved.append((held, tensor.buffer.version, place))
        self.saved = saved
        self.to_save = ()

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        if self.saved is None:
            raise RuntimeError(_FREED)
        out = []
        for tensor, version, place in self.saved:
            if isinstance(tensor, saving.Packed):
                value: Any = tensor.value()
                tensor = alias(value, type(value))
                tensor.node, tensor.output = version or (self, place)
            elif tensor is not None:
                if tensor.buffer.version != version:
                    raise GradientError(
                        "one of the variables needed for gradient computation has been modified by "
                        f"an inplace operation: [{tensor.type()} {list(tensor.shape)}] is at "
                        f"version {tensor.buffer.version}; expected version {version} instead. "
                        "Hint: enable anomaly detection to find the operation that failed to "
                        "compute its gradient, with torch.autograd.set_detect_anomaly(True)."
                    )
                if place is not None:
                    tensor = alias(tensor, type(tensor))
                    tensor.node, tensor.output = self, place
            out.append(tensor)
        return tuple(out)

    saved_variables = saved_tensors

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        grads = []
        for cotangent, place in zip(cotangents, self.results, strict=True):
            if cotangent is None:
                if self.materialize and place is not None:
                    cotangent = cast_class(arithmetic.zeros(place), Tensor)
            elif not isinstance(cotangent, Tensor):
                cotangent = cast_class(cotangent, Tensor)
            grads.append(cotangent)
        pulled = self.function.pull()(self, *grads)
        return self.checked(pulled if isinstance(pulled, tuple) else (pulled,))

    def checked(self, pulled: tuple[Any, ...]) -> list[Any]:
        """One gradient per argument, of its shape and dtype."""
        wanted = len(self.inputs)
        if len(pulled) > wanted and all(grad is None for grad in pulled[wanted:]):
            pulled = pulled[:wanted]
        if len(pulled) != wanted:
            raise RuntimeError(
                f"function {self.name} returned an incorrect number of gradients "
                f"(expected {wanted}, got {len(pulled)})"
            )
        out = []
        for index, (grad, place) in enumerate(zip(pulled, self.inputs, strict=True)):
            if grad is not None:
                if place is None:
                    raise RuntimeError(
                        f"function {self.name} returned a gradient different from None at position "
                        f"{index + 1}, but the corresponding forward input was not a Variable"
                    )
                if not isinstance(grad, CoreTensor):
                    raise TypeError(f"expected Variable or None (got {type(grad).__name__})")
                grad = self.fitted(grad, place, index)
            out.append(grad)
        return out

    def fitted(self, grad: Any, place: Any, index: int) -> Any:
        if grad.layout.shape != place.shape:
            try:
                fits = broadcast_shapes((grad.layout.shape, place.shape), "") == grad.layout.shape
            except ShapeError:
                fits = False
            if not fits:
                raise RuntimeError(
                    f"Function {self.name} returned an invalid gradient at index {index} - got "
                    f"{list(grad.layout.shape)} but expected shape compatible with "
                    f"{list(place.shape)}"
                )
            grad = sum_to(grad, place.shape)
        return cast(grad, place.dtype) if place.dtype.is_inexact else grad

    def release(self) -> None:
        self.saved = None

    # ---- as grad_fn

    @property
    def name(self) -> Any:
        return Name(type(self).__name__)

    @property
    def face_object(self) -> FunctionCtx:
        return self

    @property
    def next_functions(self) -> tuple[Any, ...]:
        return tuple(
            (None, 0) if edge is None else (grad_fn_of(edge[0]), edge[1])
            for edge, place in zip(self.edges, self.inputs, strict=True)
            if place is not None
        )

    @property
    def node(self) -> FunctionCtx:
        return self

    def register_hook(self, hook: Callable[..., Any]) -> Any:
        if self.post_hooks is None:
            self.post_hooks = {}
        return NodeHook(self.post_hooks, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Any:
        if self.pre_hooks is None:
            self.pre_hooks = {}
        return NodeHook(self.pre_hooks, hook)


class Function:
    """Subclass it with static ``forward`` and ``backward``; call it by ``apply``."""

    context_class: type[FunctionCtx]
    generate_vmap_rule = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all "
            "static, so you should invoke them on the class itself. Instantiating an autograd "
            "function will raise an error in a future version of PyTorch."
        )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.context_class = type(f"{cls.__name__}Backward", (FunctionCtx,), {"function": cls})

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @classmethod
    def pull(cls) -> Callable[..., Any]:
        """The backward that the class defines, under either of its names."""
        if cls.vjp is not Function.vjp:
            if cls.backward is not Function.backward:
                raise RuntimeError(
                    "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. "
                    "You should only implement one of them."
                )
            return cls.vjp
        return cls.backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward, and record that backward is its gradient."""
        separate = cls.setup_context is not Function.setup_context
        if kwargs:
            bound = inspect.signature(cls.forward).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        needs = tuple([isinstance(a, CoreTensor) and a.node is not None for a in args])
        ctx = cls.context_class(needs)
        recorded = tape.mode.enabled and any(needs)
        if tape.mode.enabled:
            refuse_mapped(cls, args)
        with tape.recording(False):
            if separate:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
            else:
                result = cls.forward(ctx, *args)
        several = isinstance(result, (tuple, list))
        outputs = list(result) if several else [result]
        outputs = attach(ctx, args, outputs, recorded)
        return tuple(outputs) if several else outputs[0]


def refuse_mapped(cls: type[Function], args: Sequence[Any]) -> None:
    """Raise where vmap's samples would lose a gradient that is taken outside vmap."""
    tensors = [a for a in args if isinstance(a, CoreTensor)]
    samples = [a.buffer for a in tensors if a.buffer.__class__ is SampleBuffer]
    outside = [b.value for b in samples] + [a for a in tensors if a.buffer not in samples]
    if samples and any(attached(value) for value in outside):
        raise NotImplementedError(
            f"{cls.__name__}: a gradient of vmap over a torch.autograd.Function is not supported "
            "yet; take the gradient inside vmap, or write the function in torch's operations"
        )


def attach(ctx: FunctionCtx, args: Sequence[Any], outputs: list[Any], recorded: bool) -> list[Any]:
    """Hang the outputs off the context's node; inputs that come back get another object."""
    for changed in ctx.dirty_tensors:
        changed.buffer.version += 1
        if recorded and isinstance(changed.node, Leaf):
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation."
            )
    for place, out in enumerate(outputs):
        dirty = any(out is tensor for tensor in ctx.dirty_tensors)
        if isinstance(out, CoreTensor) and not dirty and any(out is a for a in args):
            outputs[place] = other = alias(out, Tensor)
            ctx.to_save = tuple([other if t is out else t for t in ctx.to_save])
    if not recorded:
        ctx.to_save = ()
        return outputs
    ctx.edges = tuple(
        [(a.node, a.output) if isinstance(a, CoreTensor) and a.node else None for a in args]
    )
    ctx.outputs = len(outputs)
    ctx.inputs = tuple([a.layout if isinstance(a, CoreTensor) else None for a in args])
    ctx.results = tuple([o.layout if isinstance(o, CoreTensor) else None for o in outputs])
    ctx.close(outputs)
    for place, out in enumerate(outputs):
        if isinstance(out, CoreTensor) and out.layout.dtype.is_inexact:
            if not any(out is tensor for tensor in ctx.not_differentiable):
                out.node, out.output = ctx, place
    ctx.dirty_tensors = ctx.not_differentiable = ()
    return outputs


class OnceNode(Node):
    """Stands behind gradients that may not be differentiated again."""

    __slots__ = ()

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """A backward whose own gradient must not be asked for."""

    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with tape.recording(False):
            result = fn(ctx, *args)
        if not tape.mode.enabled:
            return result
        edges = [
            (a.node, a.output) for a in args if isinstance(a, CoreTensor) and a.node is not None
        ]
        edges.extend(edge for edge in ctx.edges if edge is not None)
        values = result if isinstance(result, tuple) else (result,)
        node = OnceNode(tuple(edges), len(values))
        out = []
        for place, value in enumerate(values):
            if isinstance(value, CoreTensor):
                value = alias(value, Tensor)
                value.node, value.output = node, place
            out.append(value)
        return tuple(out) if isinstance(result, tuple) else out[0]

    return wrapper
