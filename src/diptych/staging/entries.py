"""What a recording holds: calls in order over numbered values, and where values come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from diptych.core import call, tape
from diptych.core.layout import Layout
from diptych.core.operation import Composite, Operation, Params
from diptych.core.tensor import Tensor

# A value as an operand: its number, and whether a gradient was wanted of it there.
Operand = tuple[int, bool]


@dataclass(frozen=True)
class Input:
    """Where a value that no call made comes from.

    ``kind``: "argument" (``key`` its place among the call's tensors), "state" (``key`` the tensor
    that holds it), "grad" (``key`` the tensor whose gradient it is), "feed" (``key`` a callable and
    its arguments), "register" (``key`` the number of an earlier stretch's output), "constant"
    (``key`` a tensor).
    """

    kind: str
    key: Any
    layout: Layout


@dataclass(frozen=True)
class Call:
    """One operation; ``recorded`` says whether the tape was on."""

    op: Operation
    operands: tuple[Operand, ...]
    params: Params
    results: tuple[int, ...]
    recorded: bool
    source: str

    def run(self, values: dict[int, Any]) -> None:
        operands = [operand(values, number) for number in self.operands]
        with tape.recording(self.recorded and tape.mode.enabled):
            results = traced(self.op, operands, self.params)
        values.update(zip(self.results, results, strict=False))  # of a change, only the first


@dataclass(frozen=True)
class Pull:
    """One gradient rule; what was saved as a layout stays one, absent values are None."""

    op: Operation
    params: Params
    saved: tuple[Any, ...]  # value numbers or layouts
    outputs: tuple[Any, ...]
    cotangents: tuple[Any, ...]
    needs: tuple[bool, ...]
    results: tuple[Any, ...]  # value numbers or None
    source: str

    def run(self, values: dict[int, Any]) -> None:
        def given(items: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(
                [operand(values, (item, False)) if type(item) is int else item for item in items]
            )

        with tape.recording(False):
            pulled = call.current.gradient(
                self.op, self.params, given(self.saved), given(self.outputs),
                given(self.cotangents), self.needs,
            )  # fmt: skip
        for number, value in zip(self.results, pulled, strict=False):
            if number is not None:
                values[number] = value


@dataclass(frozen=True)
class Rule:
    """An update rule applied to tensors; its numbers are constants."""

    function: Callable[..., Sequence[Any]]
    operands: tuple[int, ...]
    results: tuple[int, ...]

    def run(self, values: dict[int, Any]) -> None:
        with tape.recording(False):
            made = self.function(*[operand(values, (number, False)) for number in self.operands])
        values.update(zip(self.results, made, strict=True))


@dataclass(frozen=True)
class Attach:
    """Parts of a value that a node of their own hangs on the tape."""

    hang: Callable[..., None]
    whole: Operand
    parts: tuple[int, ...]

    def run(self, values: dict[int, Any]) -> None:
        if tape.mode.enabled:
            whole = operand(values, self.whole)
            if whole.node is not None:
                self.hang(whole, [values[number] for number in self.parts])


@dataclass
class Stretch:
    """Calls between two changes of Python state: what becomes one program."""

    inputs: list[tuple[int, Input]] = field(default_factory=list)
    entries: list[Call | Pull | Rule | Attach] = field(default_factory=list)
    registers: dict[int, int] = field(default_factory=dict)  # value -> register
    writes: list[tuple[int, Input]] = field(default_factory=list)  # final values of state
    grads: list[tuple[Tensor, Any]] = field(default_factory=list)  # leaf, its new gradient
    checks: list[tuple[Callable[..., Any], Any, tuple[Any, ...]]] = field(default_factory=list)


@dataclass(frozen=True)
class Effect:
    """A change of Python state between two stretches."""

    call: Callable[..., Any]
    args: tuple[Any, ...]


def operand(values: dict[int, Any], number: Operand) -> Any:
    """A value as it was used: off the tape where no gradient was wanted of it."""
    value, wanted = number
    found = values[value]
    if found.node is not None and not wanted:
        found = tape.copy_alias(found)
        found.node = None
        found.output = 0
    return found


def traced(op: Operation, operands: Sequence[Any], params: Params) -> tuple[Any, ...]:
    """All results of an operation, residuals included, under the tracing evaluator in force."""
    evaluator: Any = call.current
    if isinstance(op, Composite):
        with tape.recording(False):
            result = op.forward(*operands, *params)
    else:
        result = evaluator.add(op, operands, params)
    results = result if isinstance(result, (tuple, list)) else (result,)
    if tape.mode.enabled and op.differentiable and any(x.node is not None for x in operands):
        results = tuple(
            [tape.copy_alias(r) if any(r is x for x in operands) else r for r in results]
        )
        tape.record(op, params, operands, results)
    return tuple(results)
