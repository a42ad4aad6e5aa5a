"""compile: a function that is recorded once for each kind of call, and replayed after that."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from diptych import config, source
from diptych.core import buffer as buffers
from diptych.core import call, recording, tape
from diptych.core.buffer import EPOCH_BITS
from diptych.core.tensor import Tensor
from diptych.engine import EagerEvaluator
from diptych.errors import DiptychError
from diptych.staging.guards import Watch
from diptych.staging.recorder import Recorder, RefusedError
from diptych.staging.replay import Replay

_PLAIN = frozenset((int, float, bool, str, bytes, complex, type(None), type(Ellipsis)))

# What faces add: each gives a value that a recording depends on (default dtypes, autocast).
environment: list[Callable[[], Any]] = []


class CaptureError(DiptychError, RuntimeError):
    """A function that was to be captured whole does something that cannot be."""


class Variant:
    """One recording: what it read, and its replay."""

    def __init__(self, watch: Watch, replay: Replay) -> None:
        self.watch = watch
        self.replay = replay

    def holds(self) -> bool:
        return self.watch.holds() and self.replay.holds()


class Compiled:
    """A function and its recordings. ``whole``: raise where one cannot be made."""

    def __init__(self, function: Callable[..., Any], whole: bool = False) -> None:
        self.function = function
        self.whole = whole
        self.variants: dict[Any, list[Variant]] = {}
        self.eager: dict[Any, tuple[str, str]] = {}
        self.kept: list[Any] = []  # objects whose identity is in a key
        self.count = 0
        self.warned: set[str] = set()
        self.limit = config.VARIANTS.get()
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        evaluator = call.current
        if not isinstance(evaluator, EagerEvaluator) or tape.mode.anomaly:
            return self.function(*args, **kwargs)
        tensors: list[Tensor] = []
        mode = tape.mode
        key: Any = [mode.enabled, mode.inference]
        for value in args:
            if isinstance(value, Tensor):
                tensors.append(value)
                key.append(value.layout)
                key.append(value.node is None)
            else:
                describe(value, key, tensors)
        if kwargs:
            for name, value in kwargs.items():
                key.append(name)
                describe(value, key, tensors)
        for say in environment:
            key.append(say())
        key = tuple(key)
        for variant in self.variants.get(key, ()):
            if variant.holds():
                return variant.replay(tensors)
        if key in self.eager:
            return self.function(*args, **kwargs)
        if self.count >= self.limit:
            self.say(
                "limit", f"it was recorded {self.limit} times already and is called in yet another "
                "way (DIPTYCH_VARIANTS sets the limit)", "",
            )  # fmt: skip
            return self.function(*args, **kwargs)
        return self.record(evaluator, key, tensors, args, kwargs)

    def record(
        self, evaluator: EagerEvaluator, key: Any, tensors: list[Tensor], args: Any, kwargs: Any
    ) -> Any:
        """Run the function eagerly, and keep what it did if that can be repeated."""
        recorder = Recorder(evaluator, tensors)
        watch = Watch(lambda x: recorder.own(x, "state", x), lambda: recorder.depth > 0)
        watch.visit(self.function)
        for value in (*args, *kwargs.values()):
            if not isinstance(value, Tensor):
                watch.visit(value)
        before = buffers.epoch
        buffers.epoch = recorder.number << EPOCH_BITS
        call.current = recorder
        recording.active = recorder
        watch.start()
        try:
            result = self.function(*args, **kwargs)
        finally:
            watch.stop()
            recording.active = None
            call.current = evaluator
            buffers.epoch = before
        changed = watch.finish()
        reason = recorder.failure or watch.problem
        if reason is None and changed is not None:
            reason = (f"the call changes {changed} that it reads", "")
        if reason is None:
            try:
                replay = Replay(recorder, result, watch.looks_at_gradients())
            except RefusedError as error:
                reason = recorder.failure or (str(error), "")
            else:
                self.kept += [*args, *kwargs.values()] if has_objects(args, kwargs) else []
                self.variants.setdefault(key, []).append(Variant(watch, replay))
                self.count += 1
                return result
        self.eager[key] = reason
        if len(self.eager) > 64 * self.limit:
            self.eager.clear()
        self.say(*reason[:1], reason[0], reason[1])
        return result

    def say(self, mark: str, reason: str, line: str) -> None:
        """Warn once that the function runs eagerly, or raise where it has to be captured whole."""
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        where = f" ({line})" if line else ""
        text = f"compile: {name} runs eagerly: {reason}{where}"
        if self.whole:
            raise CaptureError(text)
        if mark not in self.warned:
            self.warned.add(mark)
            frame = source.user_frame()
            if frame is None:
                warnings.warn(text, stacklevel=2)
            else:
                warnings.warn_explicit(text, UserWarning, frame.f_code.co_filename, frame.f_lineno)


def has_objects(args: Any, kwargs: Any) -> bool:
    """Whether a key holds the identity of an argument."""
    return any(
        not isinstance(value, Tensor) and type(value) not in _PLAIN
        for value in (*args, *kwargs.values())
    )


def describe(value: Any, key: list[Any], tensors: list[Tensor]) -> None:
    """Add what a recording depends on of an argument to its key; collect the tensors."""
    kind = type(value)
    if isinstance(value, Tensor):
        tensors.append(value)
        key.append(value.layout)
        key.append(value.node is None)
    elif kind in _PLAIN:
        key.append(kind)
        key.append(value)
    elif isinstance(value, (list, tuple)):
        key.append(kind)
        key.append(len(value))
        for item in value:
            describe(item, key, tensors)
    elif isinstance(value, dict):
        key.append(kind)
        key.append(tuple(value))
        for item in value.values():
            describe(item, key, tensors)
    else:
        key.append(id(value))


def compile(function: Callable[..., Any], *, whole: bool = False) -> Compiled:  # noqa: A001
    """A function that does what ``function`` does, by programs recorded from its calls."""
    return Compiled(function, whole)
