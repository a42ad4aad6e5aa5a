"""What a drawn call is: a text to announce it by, what runs it, and the tensors it was given."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from diptych.core.tensor import Tensor


class Disagreement(BaseException):
    """Ours and NumPy's answers differ, or only one of them is an answer."""


@dataclasses.dataclass
class Call:
    """One drawn call."""

    text: str
    run: Callable[[], Any]
    operands: list[Any]


@dataclasses.dataclass
class Target:
    """Something to call; ``parameters`` is None where it does not say what it takes."""

    name: str
    function: Callable[..., Any]
    parameters: list[inspect.Parameter] | None


def signature_of(function: Any) -> list[inspect.Parameter] | None:
    """A callable's parameters, or None when it hides them."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def describe(args: Sequence[Any], kwargs: dict[str, Any] | None = None) -> str:
    """Arguments as one reads them: a tensor by its layout."""
    parts = [_one(value) for value in args]
    parts += [f"{name}={_one(value)}" for name, value in (kwargs or {}).items()]
    return ", ".join(parts)


def _one(value: Any, depth: int = 3) -> str:
    if isinstance(value, Tensor):
        marks = "" if value.buffer.writable else " read-only"
        if value.node is not None:
            marks += " grad"
        few = ""
        if value.layout.size <= 4 and not value.layout.dtype.is_complex:
            few = f" {value.values().tolist()}"
        return f"<{value.layout!r}{marks}{few}>"
    if isinstance(value, np.ndarray):
        return f"<array {value.dtype}{list(value.shape)}>"
    if isinstance(value, (list, tuple)) and depth and len(value) < 50:
        inner = ", ".join(_one(item, depth - 1) for item in value)
        return f"[{inner}]" if isinstance(value, list) else f"({inner},)"
    return f"{value!r:.120}"
