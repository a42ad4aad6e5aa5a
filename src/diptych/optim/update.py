"""The update of many tensors at once: a rule, traced over all parameters, run as one program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from diptych.core import call, inplace, recording, tape
from diptych.core.dtypes import float64
from diptych.core.layout import Layout, layout
from diptych.core.tensor import Tensor, copy_array
from diptych.engine import Backend, Update
from diptych.errors import ArgumentError, ShapeError
from diptych.graph.trace import trace
from diptych.ops.select import ASSIGN, constant

Flags = tuple[Any, ...]
# (parameter, gradient, its slots, the numbers, flags) -> the new parameter and slots, in order
Formula = Callable[
    [Tensor, Tensor, tuple[Tensor, ...], tuple[Tensor, ...], Flags], tuple[Tensor, ...]
]
Plan = Callable[[Sequence[Tensor], Sequence[float]], None]

_PLANS_LIMIT = 1024


class Rule:
    """One optimizer's update of one parameter, as a pure function.

    ``slots`` names the tensors that it keeps for each parameter, ``numbers`` the run-time numbers
    (learning rate, bias corrections, ...): operands, so that changing one compiles nothing. What
    changes the formula itself goes into the flags of the call. A formula that looks at more than
    corresponding elements (a mean, a product of matrices) says so with ``whole``.
    """

    __slots__ = ("name", "numbers", "plans", "slots", "update", "whole")

    def __init__(
        self, name: str, slots: tuple[str, ...], numbers: tuple[str, ...], update: Formula,
        *, whole: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.slots = slots
        self.numbers = numbers
        self.update = update
        self.whole = whole
        self.plans: dict[Any, Plan] = {}

    def __repr__(self) -> str:
        return f"<Rule {self.name}>"


def step(
    rule: Rule,
    flags: Flags,
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    slots: Sequence[Sequence[Tensor]],
    numbers: Sequence[float],
) -> None:
    """Update all parameters and their slots in place, as one native call.

    ``slots`` holds, for each of the rule's slots, one tensor per parameter; ``numbers`` follow the
    rule's. Gradients have their parameter's shape. Nothing is recorded. Raises ArgumentError for
    memory that must not be written.
    """
    tensors = [x for row in zip(parameters, *slots, gradients, strict=True) for x in row]
    key = (flags, *[x.layout for x in tensors])
    plan = rule.plans.get(key)
    if plan is None:
        plan = make_plan(rule, flags, tensors)
        if len(rule.plans) >= _PLANS_LIMIT:
            rule.plans.clear()
        rule.plans[key] = plan
    for parameter in parameters:
        if not parameter.buffer.writable:
            raise ArgumentError(
                f"{rule.name}: a parameter's memory is read-only (it belongs to a read-only "
                "array); clone it first"
            )
    if recording.active is None:
        plan(tensors, numbers)
        return
    found, held = plan, 1 + len(rule.slots)

    def one(*given: Tensor) -> Sequence[Tensor]:
        scalars = tuple([constant(number, float64) for number in numbers])
        return rule.update(given[0], given[held], given[1:held], scalars, flags)

    groups = [tensors[start : start + held + 1] for start in range(0, len(tensors), held + 1)]
    recording.active.step(one, groups, held, lambda: found(tensors, numbers))


def make_plan(rule: Rule, flags: Flags, tensors: Sequence[Tensor]) -> Plan:
    """The program of one update of these tensors: (parameter, its slots, its gradient) in turn."""
    held = 1 + len(rule.slots)
    count = len(rule.numbers)

    def one(*given: Tensor) -> Sequence[Tensor]:
        slots, numbers = given[1:held], given[held + 1 :]
        return rule.update(given[0], given[held], slots, numbers, flags)

    backend = getattr(call.current, "backend", None)
    if backend is None:
        return open_plan(one, held)
    groups = [tensors[start : start + held + 1] for start in range(0, len(tensors), held + 1)]
    for group in groups:
        parameter, gradient = group[0], group[held]
        if gradient.layout.shape != parameter.layout.shape:
            raise ShapeError(
                f"a gradient of shape {list(gradient.layout.shape)} was given for a parameter of "
                f"shape {list(parameter.layout.shape)}; they must be the same",
                op=rule.name, argument="gradient", got=gradient.layout.shape,
            )  # fmt: skip
        for name, slot in zip(rule.slots, group[1:held], strict=True):
            if not rule.whole and slot.layout.shape != parameter.layout.shape:
                raise ShapeError(
                    f"the state '{name}' of a parameter of shape {list(parameter.layout.shape)} "
                    f"has shape {list(slot.layout.shape)}; they must be the same",
                    op=rule.name, argument=name, got=slot.layout.shape,
                )  # fmt: skip
        for target in group[:held]:
            inplace.refuse_overlap(target, ASSIGN)
    layouts = [tuple([x.layout for x in group]) for group in groups]
    if rule.whole:
        return whole_plan(one, layouts, held, count, backend)
    return Update(one, layouts, tuple(range(held)), count)


def whole_plan(
    one: Callable[..., Sequence[Tensor]], layouts: Sequence[tuple[Layout, ...]], held: int,
    count: int, backend: Backend,
) -> Plan:  # fmt: skip
    """All parameters' updates as one program whose results are then written over the old values."""
    width = held + 1
    total = width * len(layouts)

    def all_of_them(*given: Tensor) -> list[Tensor]:
        numbers = given[total:]
        results: list[Tensor] = []
        for start in range(0, total, width):
            results += one(*given[start : start + width], *numbers)
        return results

    scalars = [layout(float64, ())] * count
    graph = trace(all_of_them, [*[place for group in layouts for place in group], *scalars])
    program = backend.compile(graph)

    def plan(tensors: Sequence[Tensor], numbers: Sequence[float]) -> None:
        operands = [copy_array(np.float64(number), Tensor) for number in numbers]
        results = iter(program.run([*tensors, *operands]))
        for start in range(0, total, width):
            for target in tensors[start : start + held]:
                target.array()[...] = next(results).array()
                target.buffer.version += 1

    return plan


def open_plan(one: Callable[..., Sequence[Tensor]], held: int) -> Plan:
    """The update run operation by operation, where another evaluator is in force."""

    def plan(tensors: Sequence[Tensor], numbers: Sequence[float]) -> None:
        scalars = [constant(number, float64) for number in numbers]
        with tape.recording(False):
            for start in range(0, len(tensors), held + 1):
                group = tensors[start : start + held + 1]
                for target, result in zip(group, one(*group, *scalars), strict=False):
                    inplace.update(target, ASSIGN, (target, result), (target.layout.dtype,))

    return plan
