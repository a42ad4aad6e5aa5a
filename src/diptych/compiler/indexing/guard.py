"""The host step after a kernel that met indices: it raises for the one that was out of range."""

from __future__ import annotations

from typing import Any

from diptych.core.operation import NoBatching, NotDifferentiable, Operation, Primitive, Tolerance
from diptych.errors import OutOfRangeError

STATUS_WORDS = 2  # a bad index, and whether there is one


def _raise_for(status: Any, extent: int, axis: int, wrap: bool) -> tuple[()]:
    if status[1]:
        bad, least = int(status[0]), -extent if wrap else 0
        raise OutOfRangeError(
            f"index {bad} is out of bounds for dimension {axis} with size {extent}",
            argument="index", got=bad, expected=f"{least} to {extent - 1}",
        )  # fmt: skip
    return ()


class Guard(Primitive):
    """A primitive without results, which only the compiler puts into programs."""

    __slots__ = ()

    def __init__(self) -> None:
        Operation.__init__(
            self, "index_guard", "host", params=("extent", "axis", "wrap"),
            infer=lambda layouts, params: (), vjp=NotDifferentiable("it has no result"), saves="",
            batch=NoBatching("it has no result"), samples=lambda: (), errors=lambda: (),
            tolerance=Tolerance(),
        )  # fmt: skip
        self.reference = _raise_for
        self.lower = "host"
        self.view = None
        self.reads = ()


GUARD = Guard()
