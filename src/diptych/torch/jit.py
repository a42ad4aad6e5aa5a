"""torch.jit: decorators that leave a function as it is; scripting and tracing are not there yet."""

from __future__ import annotations

from typing import Any


def ignore(drop: Any = False, **kwargs: Any) -> Any:
    """Marks a method that scripting leaves alone."""
    return drop if callable(drop) else lambda function: function


def unused(fn: Any) -> Any:
    """Marks a method that scripting leaves out."""
    return fn


def export(fn: Any) -> Any:
    """Marks a method that scripting compiles too."""
    return fn


def is_scripting() -> bool:
    """False: nothing is scripted."""
    return False


def is_tracing() -> bool:
    """False: nothing is traced."""
    return False


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value, with a type for the compiler."""
    return the_value


Final = Any


def _absent(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"torch.jit.{name} is not implemented in diptych")

    function.__name__ = name
    return function


script, trace, load, save, freeze, trace_module, script_if_tracing, fork, wait = map(
    _absent,
    ("script", "trace", "load", "save", "freeze", "trace_module", "script_if_tracing", "fork",
     "wait"),
)  # fmt: skip


class ScriptModule:
    """What scripting gives; here for isinstance."""


class ScriptFunction:
    """What scripting gives; here for isinstance."""
