"""Where a recording of a whole call listens: set while one is made, ``active`` is None otherwise.

The rooms below the recorder call it through this module: what reads a tensor's elements from
Python, draws random numbers, or changes Python state that a replay has to repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Recorder(Protocol):
    """What the rooms tell a recording."""

    def read(self, tensor: Any) -> None:
        """Python looks at a tensor's elements, or may write them."""

    def refuse(self, reason: str) -> None:
        """The call does what a replay could not repeat."""

    def draw(self) -> None:
        """A generator moves."""

    def feed(self, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """``call(*args)``, a new tensor that every replay has to make anew."""

    def effect(self, call: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """``call(*args)``, which changes Python state; every replay repeats it."""

    def check(self, test: Callable[..., Any], tensor: Any, args: tuple[Any, ...]) -> None:
        """``test(tensor, *args)``, which may raise; every replay does it first."""

    def attach(self, hang: Callable[..., None], x: Any, parts: Any) -> None:
        """``hang(x, parts)``, done already, put parts of ``x`` on the tape by a node of its own."""

    def touch(self, tensor: Any) -> None:
        """A tensor begins or ceases to want a gradient."""

    def step(self, one: Any, groups: Any, held: int, run: Callable[[], None]) -> None:
        """An update rule on groups of tensors, the first ``held`` of which it changes."""


active: Any = None  # a Recorder
structure = 0  # grows with every change of a module's members or attributes


def refuse(reason: str) -> None:
    """Tell a recording, if there is one, that this cannot be replayed."""
    if active is not None:
        active.refuse(reason)


def fed(call: Callable[..., Any], *args: Any) -> Any:
    """``call(*args)``: a new tensor of random numbers, drawn again in every replay."""
    if active is None:
        return call(*args)
    return active.feed(call, args)


def effect(call: Callable[..., Any], *args: Any) -> Any:
    """``call(*args)``, a change of Python state that every replay repeats."""
    if active is None:
        return call(*args)
    return active.effect(call, args)


def restructured() -> None:
    """Note that some module's members or attributes have changed."""
    global structure
    structure += 1
