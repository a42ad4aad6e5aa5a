"""torch.utils.checkpoint: computing again in the backward pass what was not kept in the forward.

Without reentry, the forward is recorded as always, but what its calls save are only numbers; the
first of them that the backward pass asks for runs the function again and fills them all in. With
reentry, the function is one node of the tape, which runs it and a backward pass of its own.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from diptych.core import saving, tape
from diptych.core.tensor import alias
from diptych.torch.amp.autocast_mode import autocast
from diptych.torch.amp.state import (
    get_autocast_dtype,
    is_autocast_cache_enabled,
    is_autocast_enabled,
)
from diptych.torch.autograd.engine import backward
from diptych.torch.autograd.function import Function
from diptych.torch.func import trees
from diptych.torch.random import fork_rng, get_rng_state, set_rng_state
from diptych.torch.tensor import Tensor


class CheckpointError(RuntimeError):
    """The function computed something else the second time."""


class _Enough(Exception):  # noqa: N818 (it stops a computation that has given all that is wanted)
    """Everything that the backward pass needs has been computed."""


class _Settings:
    """What checkpoint does unless it is told: see the functions that set it."""

    debug: bool | None = None
    early_stop = True


def noop_context_fn() -> tuple[Any, Any]:
    """Contexts for the forward and the second computation that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Accepted: errors name the tensor that differs in any case."""
    before, _Settings.debug = _Settings.debug, enabled
    try:
        yield
    finally:
        _Settings.debug = before


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Whether the second computation stops when all that is needed is there."""
    before, _Settings.early_stop = _Settings.early_stop, enable
    try:
        yield
    finally:
        _Settings.early_stop = before


def detach_variable(inputs: Any) -> tuple[Any, ...]:
    """The inputs off the tape, wanting gradients as they did."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            "Only tuple of tensors is supported. Got Unsupported input type: "
            + type(inputs).__name__
        )
    return tuple([_detached(x) if isinstance(x, Tensor) else x for x in inputs])


def _detached(x: Any) -> Any:
    return x.detach().requires_grad_(x.requires_grad)


def check_backward_validity(inputs: Any) -> None:
    """Warn when no input wants a gradient: none would be computed."""
    if not any(isinstance(x, Tensor) and x.requires_grad for x in inputs):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=3
        )


class _Surroundings:
    """What a computation depends on beside its arguments: random state and autocast."""

    def __init__(self, preserve: bool) -> None:
        self.state = get_rng_state() if preserve else None
        self.autocast: dict[str, Any] = {
            "enabled": is_autocast_enabled("cpu"),
            "dtype": get_autocast_dtype("cpu"),
            "cache_enabled": is_autocast_cache_enabled(),
        }

    @contextlib.contextmanager
    def again(self) -> Iterator[None]:
        """The same surroundings inside the ``with`` block."""
        with fork_rng(enabled=self.state is not None), autocast("cpu", **self.autocast):
            if self.state is not None:
                set_rng_state(self.state)
            yield


# ---- with reentry


class CheckpointFunction(Function):
    """A function as one node: its backward runs it again, and a backward pass through that."""

    @staticmethod
    def forward(ctx: Any, run_function: Any, preserve_rng_state: bool, *args: Any) -> Any:
        check_backward_validity(args)
        ctx.run_function = run_function
        ctx.surroundings = _Surroundings(preserve_rng_state)
        ctx.places = [place for place, x in enumerate(args) if isinstance(x, Tensor)]
        ctx.others = [None if isinstance(x, Tensor) else x for x in args]
        ctx.wanted = [isinstance(x, Tensor) and x.requires_grad for x in args]
        ctx.save_for_backward(*[args[place] for place in ctx.places])
        with tape.recording(False):
            return run_function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        args = list(ctx.others)
        for place, x in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[place] = x.detach().requires_grad_(ctx.wanted[place])
        with tape.recording(True), ctx.surroundings.again():
            outputs = ctx.run_function(*args)
        outputs = outputs if isinstance(outputs, (tuple, list)) else (outputs,)
        pairs = [
            (y, g)
            for y, g in zip(outputs, grads, strict=False)
            if isinstance(y, Tensor) and y.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        backward([y for y, _ in pairs], [g for _, g in pairs])
        return (None, None, *[x.grad if isinstance(x, Tensor) else None for x in args])


# ---- without


class _Frame:
    """One checkpointed call: how to compute it again, and what it saved."""

    def __init__(
        self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], preserve: bool,
        again: Any, check: bool, early_stop: bool,
    ) -> None:  # fmt: skip
        self.function = function
        self.surroundings = _Surroundings(preserve)
        self.again = again
        self.check = check
        self.early_stop = early_stop
        leaves, self.structure = trees.flatten((args, kwargs))
        # Inside another checkpoint the arguments are kept as that one keeps what it saves.
        outer = saving.innermost()
        self.arguments = [
            (x if outer is None else saving.Packed(outer, x), x.requires_grad)
            if isinstance(x, Tensor)
            else (x, None)
            for x in leaves
        ]
        self.layouts: list[Any] = []  # of what the forward saved, in order
        self.found: dict[int, Any] = {}

    def pack(self, x: Any) -> int:
        self.layouts.append(x.layout)
        return len(self.layouts) - 1

    def unpack(self, place: int) -> Any:
        if place not in self.found:
            self.compute()
        return self.found.pop(place)  # a second backward pass computes once more

    def compute(self) -> None:
        """Run the function again and keep what it saves."""
        made: list[Any] = []
        wanted = len(self.layouts)

        def keep(x: Any) -> int:
            made.append(alias(x, Tensor))
            if self.early_stop and len(made) == wanted:
                raise _Enough
            return len(made) - 1

        leaves = []
        for x, needs in self.arguments:
            if needs is not None:
                held: Any = x.value() if isinstance(x, saving.Packed) else x
                x = held.detach().requires_grad_(needs)
            leaves.append(x)
        args, kwargs = trees.unflatten(self.structure, leaves)
        with saving.unwatched(), tape.recording(True), self.surroundings.again(), self.again:
            before = saving.enter(saving.Hooks(keep, made.__getitem__))
            try:
                self.function(*args, **kwargs)
            except _Enough:
                pass
            finally:
                saving.leave(before)
        self.compare(made)
        self.found = dict(enumerate(made[:wanted]))

    def compare(self, made: list[Any]) -> None:
        """CheckpointError when the second computation saved something else."""
        if len(made) < len(self.layouts) or (self.check and len(made) != len(self.layouts)):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the "
                "original forward and recomputation.\nNumber of tensors saved during forward: "
                f"{len(self.layouts)}\nNumber of tensors saved during recomputation: {len(made)}"
            )
        if not self.check:
            return
        for place, (was, now) in enumerate(zip(self.layouts, made, strict=False)):
            if was.shape != now.layout.shape or was.dtype is not now.layout.dtype:
                raise CheckpointError(
                    "torch.utils.checkpoint: Recomputed values for the following tensors have "
                    f"different metadata than during the forward pass.\ntensor at position {place}"
                    f":\nsaved metadata: {was}\nrecomputed metadata: {now.layout}"
                )


def _without_reentry(
    function: Any, args: tuple[Any, ...], kwargs: dict[str, Any], preserve: bool,
    contexts: Any, check: str, early_stop: bool,
) -> Any:  # fmt: skip
    if check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of ['default', 'none'], but got {check}")
    forward, again = contexts()
    if not tape.mode.enabled:
        with forward:
            return function(*args, **kwargs)
    frame = _Frame(
        function, args, kwargs, preserve, again, check == "default",
        early_stop and _Settings.early_stop,
    )  # fmt: skip
    before = saving.enter(saving.Hooks(frame.pack, frame.unpack))
    try:
        with forward:
            return function(*args, **kwargs)
    finally:
        saving.leave(before)


# ---- the functions


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """What ``function`` gives, without keeping its intermediate values: they are computed again."""
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
            "Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an "
            "exception. use_reentrant=False is recommended, but if you need to preserve the "
            "current default behavior, you can pass use_reentrant=True.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError(
                "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
            )
        return CheckpointFunction.apply(function, preserve, *args)
    return _without_reentry(
        function, args, kwargs, preserve, context_fn, determinism_check, early_stop
    )


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """A sequence of modules in ``segments`` parts, each but the last under :func:`checkpoint`."""
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be "
            "passed explicitly. In version 2.9 we will raise an exception if use_reentrant is not "
            "passed. use_reentrant=False is recommended, but if you need to preserve the current "
            "default behavior, you can pass use_reentrant=True.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    functions = list(functions.children()) if hasattr(functions, "children") else list(functions)

    def part(start: int, end: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for function in functions[start : end + 1]:
                x = function(x)
            return x

        return run

    size = len(functions) // segments
    end = -1
    for start in range(0, size * (segments - 1), size):
        end = start + size - 1
        input = checkpoint(
            part(start, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve
        )
    return part(end + 1, len(functions) - 1)(input)


__all__ = [
    "CheckpointError", "CheckpointFunction", "check_backward_validity", "checkpoint",
    "checkpoint_sequential", "detach_variable", "noop_context_fn", "set_checkpoint_debug_enabled",
    "set_checkpoint_early_stop",
]  # fmt: skip
