"""__torch_function__: subclasses that want to see the functions they are given to.

The face's functions do not ask each operand for the protocol: that would slow every call. The
first subclass that defines ``__torch_function__`` makes the namespace's functions and Tensor's
methods ask from then on.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from diptych.torch.tensor import Tensor

# Not wrapped: what builds tensors out of nothing, and what the protocol itself needs.
_PLAIN = frozenset(
    "as_subclass detach detach_ requires_grad_ size dim numel element_size data_ptr stride "
    "storage_offset is_contiguous is_floating_point is_complex nelement ndimension".split()
)
_DUNDERS = frozenset(
    "add radd iadd sub rsub isub mul rmul imul truediv rtruediv itruediv floordiv rfloordiv mod "
    "rmod pow rpow matmul neg abs invert eq ne lt le gt ge and or xor getitem setitem len".split()
)


def overriding(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[type]:
    """The classes among the operands that define the protocol, subclasses first."""
    found: list[type] = []
    for value in (*args, *kwargs.values()):
        for item in value if isinstance(value, (list, tuple)) else (value,):
            cls = type(item)
            own = getattr(cls, "__torch_function__", None)
            if own is not None and getattr(own, "__func__", own) is not _run:
                if cls not in found:
                    place = next((k for k, c in enumerate(found) if issubclass(cls, c)), len(found))
                    found.insert(place, cls)
    return found


def asking(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` that first offers the call to operands' ``__torch_function__``."""

    @functools.wraps(function)
    def ask(*args: Any, **kwargs: Any) -> Any:
        classes = overriding(args, kwargs) if State.enabled else []
        for cls in classes:
            result = cls.__torch_function__(ask, tuple(classes), args, kwargs)  # type: ignore[attr-defined]
            if result is not NotImplemented:
                return result
        if classes:
            raise TypeError(
                f"no implementation found for '{function.__name__}' on types that implement "
                f"__torch_function__: {classes}"
            )
        return function(*args, **kwargs)

    ask.__dict__["plain"] = function
    return ask


class State:
    """Whether functions ask already, and whether asking is off for the moment."""

    installed = False
    enabled = True


class DisableTorchFunctionSubclass:
    """Inside, functions take subclasses as plain tensors."""

    def __enter__(self) -> None:
        self.before = State.enabled
        State.enabled = False

    def __exit__(self, *exc: Any) -> None:
        State.enabled = self.before


def _run(cls: type, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """Run the function on plain terms and give its results the subclass."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
    return _converted(result, cls)


def _converted(result: Any, cls: type) -> Any:
    if isinstance(result, Tensor) and not isinstance(result, cls):
        return result.as_subclass(cls)  # type: ignore[attr-defined]
    if type(result) in (tuple, list):
        return type(result)(_converted(item, cls) for item in result)
    return result


METHODS: dict[str, Any] = {"__torch_function__": classmethod(_run)}


def install() -> None:
    """Make all functions and methods ask, once."""
    if State.installed:
        return
    State.installed = True
    namespace = sys.modules["diptych.torch"]
    for table in namespace.TABLES:
        for name, value in table.items():
            if callable(value) and not isinstance(value, type) and _asks(table, name):
                setattr(namespace, name, asking(value))
    for name, value in list(vars(Tensor).items()):
        dunder = name.startswith("__") and name.strip("_") in _DUNDERS
        if callable(value) and not isinstance(value, type) and name not in _PLAIN:
            if dunder or not name.startswith("_"):
                setattr(Tensor, name, asking(value))


def _asks(table: Any, name: str) -> bool:
    return not name.startswith(("set_", "get_", "is_grad", "manual_seed", "no_grad", "default_"))


def has_torch_function(relevant_args: Any) -> bool:
    """Whether some operand defines the protocol."""
    return bool(overriding(tuple(relevant_args), {}))


def handle_torch_function(public_api: Any, relevant_args: Any, *args: Any, **kwargs: Any) -> Any:
    """Offer a call of a user's function to its operands."""
    classes = overriding(tuple(relevant_args), {})
    for cls in classes:
        result = cls.__torch_function__(public_api, tuple(classes), args, kwargs)  # type: ignore[attr-defined]
        if result is not NotImplemented:
            return result
    raise TypeError(f"no implementation found for '{public_api.__name__}' on types {classes}")
