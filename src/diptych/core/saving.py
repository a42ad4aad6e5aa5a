"""Functions on what the tape saves: an evaluator that packs the saved values of recorded calls.

While it is in force, each value that a recorded call keeps for its gradient goes through ``pack``,
and what that returns is kept in its place; ``unpack`` gives the value back when the gradient is
taken. Calls that nobody watches pay nothing for it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from diptych.core import call, tape
from diptych.core.operation import Operation, Params
from diptych.core.tape import CallNode
from diptych.core.tensor import Tensor, alias
from diptych.errors import ArgumentError


class Hooks:
    """A pair of functions: ``pack`` of a saved value, ``unpack`` of what it gave."""

    def __init__(self, pack: Callable[[Any], Any], unpack: Callable[[Any], Any]) -> None:
        self.pack = pack
        self.unpack = unpack


class Packed:
    """What a pack function made of a value."""

    __slots__ = ("hooks", "made")

    def __init__(self, hooks: Hooks, value: Tensor) -> None:
        version = value.buffer.version
        with unwatched(), tape.recording(False):
            self.made = hooks.pack(value)
        if value.buffer.version != version:
            raise ArgumentError(
                "A saved tensor pack hook is modifying its input in place. Tensors provided as "
                "input to pack hook cannot be modified by in-place operations as this can lead to "
                "unexpected side-effects. Please clone the tensor in the hook first."
            )
        self.hooks = hooks

    def value(self) -> Tensor:
        """The value again."""
        with tape.recording(tape.mode.enabled):
            value = self.hooks.unpack(self.made)
        if not isinstance(value, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of type "
                f"{type(value).__name__}"
            )
        return value


class PackedNode(CallNode):
    """The record of a call whose saved values were packed."""

    held: bool = True

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        if self.saved is None:
            return CallNode.backward(self, cotangents, create_graph)  # it says what is wrong
        saved, results = self.saved, self.results
        try:
            self.saved = tuple([x.value() if isinstance(x, Packed) else x for x in saved])
            self.results = tuple([x.value() if isinstance(x, Packed) else x for x in results])
            return CallNode.backward(self, cotangents, create_graph)
        finally:
            self.saved, self.results = saved, results

    def release(self) -> None:
        self.saved = None
        self.results = ()


class Watching(threading.local):
    """Per thread: the hooks in force, the innermost last, and why none may be installed."""

    def __init__(self) -> None:
        self.stack: list[Hooks] = []
        self.refused: list[str] = []


watching = Watching()


class SavingEvaluator:
    """Runs calls as the evaluator behind it does, and packs what their nodes saved."""

    updates = True

    def __init__(self, outer: call.Evaluator) -> None:
        self.outer = outer
        self.thread = threading.get_ident()

    def apply1(self, op: Operation, x: Tensor, params: Params) -> Any:
        return self.packed(self.outer.apply1(op, x, params), (x,))

    def apply2(self, op: Operation, a: Tensor, b: Tensor, params: Params) -> Any:
        return self.packed(self.outer.apply2(op, a, b, params), (a, b))

    def apply(self, op: Operation, operands: Sequence[Tensor], params: Params) -> Any:
        return self.packed(self.outer.apply(op, operands, params), operands)

    def packed(self, result: Any, operands: Sequence[Tensor]) -> Any:
        """The result, the saved values of its node packed."""
        results = result if isinstance(result, tuple) else (result,)
        node: Any = next((r.node for r in results if r.node is not None), None)
        if node.__class__ is not CallNode or any(x.node is node for x in operands):
            return result
        if threading.get_ident() != self.thread or not watching.stack or not node.versions:
            return result
        hooks = watching.stack[-1]
        cls = operands[0].result_type
        sources = {id(x): x for x in operands}
        saved = tuple(
            [
                Packed(hooks, sources.get(id(x), x)) if isinstance(x, Tensor) else x
                for x in node.saved or ()
            ]
        )
        held = tuple(
            [Packed(hooks, alias(x, cls)) if isinstance(x, Tensor) else x for x in node.results]
        )
        node.__class__ = PackedNode
        node.saved, node.results, node.versions = saved, held, ()
        return result

    def into(self, out: Tensor, op: Operation, operands: Sequence[Tensor], params: Params) -> None:
        self.outer.into(out, op, operands, params)

    def gradient(
        self, op: Operation, params: Params, saved: tuple[Any, ...], outputs: tuple[Any, ...],
        cotangents: tuple[Any, ...], needs: tuple[bool, ...],
    ) -> tuple[Any, ...]:  # fmt: skip
        return self.outer.gradient(op, params, saved, outputs, cotangents, needs)


def enter(hooks: Hooks) -> call.Evaluator:
    """Put hooks in force; returns what :func:`leave` needs."""
    if watching.refused:
        raise ArgumentError(watching.refused[-1])
    before = call.current
    watching.stack.append(hooks)
    call.install(SavingEvaluator(before))
    return before


def leave(before: call.Evaluator) -> None:
    """Undo the last :func:`enter`."""
    watching.stack.pop()
    call.install(before)


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """No hooks are in force inside the ``with`` block: for hooks themselves."""
    stack, evaluator = watching.stack, call.current
    watching.stack = []
    while isinstance(evaluator, SavingEvaluator):
        evaluator = evaluator.outer
    try:
        with call.installed(evaluator):
            yield
    finally:
        watching.stack = stack


def innermost() -> Hooks | None:
    """The hooks in force in this thread."""
    return watching.stack[-1] if watching.stack else None
