"""The one call path: operations are bound here to the evaluator in force."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from diptych.core.operation import Operation, Params
from diptych.core.tensor import Tensor
from diptych.errors import DiptychError


class Evaluator(Protocol):
    """What runs, records or merely shapes an operation; ``updates``: also in place."""

    updates: bool

    def apply1(self, op: Operation, x: Tensor, params: Params) -> Any:
        """The result of a one-operand call (a Tensor, or a tuple of them)."""

    def apply2(self, op: Operation, a: Tensor, b: Tensor, params: Params) -> Any:
        """The result of a two-operand call."""

    def apply(self, op: Operation, operands: Sequence[Tensor], params: Params) -> Any:
        """The result of a call with any number of operands."""

    def into(self, out: Tensor, op: Operation, operands: Sequence[Tensor], params: Params) -> None:
        """Write the single result of a call into ``out``'s memory; no tape, no version change."""

    def gradient(
        self, op: Operation, params: Params, saved: tuple[Any, ...], outputs: tuple[Any, ...],
        cotangents: tuple[Any, ...], needs: tuple[bool, ...],
    ) -> tuple[Any, ...]:  # fmt: skip
        """The cotangents of the operands that need one, not recorded on the tape."""


class _Nothing:
    """Stands until the engine installs an evaluator."""

    def __getattr__(self, name: str) -> Any:
        raise DiptychError("no evaluator is installed: import diptych.engine first")


current: Evaluator = _Nothing()


def install(evaluator: Evaluator) -> None:
    """Make ``evaluator`` run all operations from now on."""
    global current
    current = evaluator


@contextlib.contextmanager
def installed(evaluator: Evaluator) -> Iterator[None]:
    """Make ``evaluator`` run all operations inside the ``with`` block."""
    global current
    before = current
    current = evaluator
    try:
        yield
    finally:
        current = before


def apply(op: Operation, *operands: Tensor, params: Params = ()) -> Any:
    """Bind ``op`` to the evaluator in force: the readable spelling, for paths that are not hot."""
    return current.apply(op, operands, params)
