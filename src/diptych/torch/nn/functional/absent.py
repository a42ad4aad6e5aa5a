"""Functions that are not there yet: each raises, naming itself, when it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# reason -> names
ABSENT: dict[str, tuple[str, ...]] = {
    "it is rarely used and comes with a later issue": (
        "grouped_mm",
        "scaled_grouped_mm", "scaled_mm",
    ),
}  # fmt: skip


def absent(name: str, reason: str) -> Callable[..., Any]:
    """A function that says it is not there yet."""

    def function(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"torch.nn.functional.{name} is not supported yet: {reason}")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Not supported yet: {reason}."
    return function


FUNCTIONS = {name: absent(name, reason) for reason, names in ABSENT.items() for name in names}
