"""Puts the rooms together: the eager evaluator, its plans, and compilation of traced functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from diptych.core import call, tape
from diptych.core.inplace import register_view
from diptych.core.layout import Layout, layout
from diptych.core.operation import Composite, Context, Operation, Params, Primitive
from diptych.core.tensor import Tensor, empty, store, wrap
from diptych.graph.graph import Graph
from diptych.graph.interpreter import interpret
from diptych.graph.trace import trace, visible
from diptych.ops import declared as declared

_PLANS_LIMIT = 4096  # per operation; programs whose shapes never repeat must not grow for ever

Executable = Callable[[Sequence[Tensor]], "list[Tensor]"]
# A plan takes the operands and gives the result: a Tensor, or a tuple of them.
Plan = Callable[..., Any]


def traced_call(op: Operation, layouts: Sequence[Layout], params: Params) -> Graph:
    """The graph of one call of an operation, residuals included."""
    if isinstance(op, Composite):
        return trace(lambda *operands: op.forward(*operands, *params), layouts)
    return trace(lambda *operands: call.current.apply(op, operands, params), layouts)


def reference_executable(graph: Graph) -> Executable:
    """Runs a graph with NumPy: what serves without LLVM, and the oracle of everything else."""
    places = [graph.layouts[value] for value in graph.outputs]

    def run(operands: Sequence[Tensor]) -> list[Tensor]:
        arrays = interpret(graph, [operand.values() for operand in operands])
        results = []
        for place, array in zip(places, arrays, strict=True):
            out = empty(layout(place.dtype, place.shape), Tensor)
            store(out, array)
            results.append(out)
        return results

    return run


class EagerEvaluator:
    """Runs every call now, through a plan found by operation, layouts and parameters.

    ``executable`` turns a graph into something that runs: NumPy's interpreter, or compiled code.
    """

    def __init__(self, executable: Callable[[Graph], Executable]) -> None:
        self.executable = executable

    # ---- calls

    def apply1(self, op: Operation, x: Tensor, params: Params) -> Any:
        key = (x.layout, params)
        plan = op.plans.get(key)
        if plan is None:
            plan = self.make_plan(op, (x,), params, key)
        out = plan(x)
        if x.node is not None and op.differentiable and tape.mode.enabled:
            tape.record(op, params, (x,), out)
        return out

    def apply2(self, op: Operation, a: Tensor, b: Tensor, params: Params) -> Any:
        key = (a.layout, b.layout, params)
        plan = op.plans.get(key)
        if plan is None:
            plan = self.make_plan(op, (a, b), params, key)
        out = plan(a, b)
        if (a.node is not None or b.node is not None) and op.differentiable and tape.mode.enabled:
            tape.record(op, params, (a, b), out)
        return out

    def apply(self, op: Operation, operands: Sequence[Tensor], params: Params) -> Any:
        key = (*[x.layout for x in operands], params)
        plan = op.plans.get(key)
        if plan is None:
            plan = self.make_plan(op, operands, params, key)
        out = plan(*operands)
        if op.differentiable:
            for x in operands:
                if x.node is not None:
                    if tape.mode.enabled:
                        tape.record(op, params, operands, out)
                    break
        return visible(op, out)

    def make_plan(
        self, op: Operation, operands: Sequence[Tensor], params: Params, key: Any
    ) -> Plan:
        """Build and remember the plan of a call."""
        plan: Plan | None = None
        if isinstance(op, Primitive) and op.view is not None:
            plan = view_plan(op, operands[0].layout, params)
        if plan is None:
            graph = traced_call(op, [x.layout for x in operands], params)
            plan = self.graph_plan(graph)
        if len(op.plans) >= _PLANS_LIMIT:
            op.plans.clear()
        op.plans[key] = plan
        return plan

    def graph_plan(self, graph: Graph) -> Plan:
        """A plan that runs a graph and gives its outputs the class of the first operand."""
        run = self.executable(graph)
        single = len(graph.outputs) == 1

        def plan(*operands: Tensor) -> Any:
            cls = operands[0].result_type if operands else Tensor
            results = run(operands)
            for result in results:
                result.__class__ = cls
            return results[0] if single else tuple(results)

        return plan

    # ---- in place

    def into(self, out: Tensor, op: Operation, operands: Sequence[Tensor], params: Params) -> None:
        key = ("into", out.layout, *[x.layout for x in operands], params)
        plan = op.plans.get(key)
        if plan is None:
            plan = self.into_plan(op, out, operands, params, key)
        plan(out, *operands)

    def into_plan(
        self, op: Operation, out: Tensor, operands: Sequence[Tensor], params: Params, key: Any
    ) -> Plan:
        graph = traced_call(op, [x.layout for x in operands], params)
        run = self.executable(graph)

        def plan(target: Tensor, *given: Tensor) -> None:
            store(target, run(given)[0].array())

        op.plans[key] = plan
        return plan

    # ---- gradients

    def gradient(
        self, op: Operation, params: Params, saved: tuple[Any, ...], outputs: tuple[Any, ...],
        cotangents: tuple[Any, ...], needs: tuple[bool, ...],
    ) -> tuple[Any, ...]:  # fmt: skip
        given = (*saved, *outputs, *cotangents)
        key = (
            params, needs, len(saved),
            *[v.layout if isinstance(v, Tensor) else v for v in given],
            *[isinstance(v, Tensor) for v in given],
        )  # fmt: skip
        plan = op.backward_plans.get(key)
        if plan is None:
            plan = gradient_plan(self, op, params, saved, outputs, cotangents, needs)
            if len(op.backward_plans) >= _PLANS_LIMIT:
                op.backward_plans.clear()
            op.backward_plans[key] = plan
        return plan(given)  # type: ignore[no-any-return]


def view_plan(op: Primitive, place: Layout, params: Params) -> Plan | None:
    """A plan that shares memory, when the operation's result can; it sets the view's base."""
    assert op.view is not None, "only movement has views"
    viewed = op.view(place, params)
    if viewed is None:
        return None
    strided, offset = viewed
    skip = offset * place.dtype.itemsize

    def plan(x: Tensor) -> Tensor:
        out = wrap(x.result_type, strided, x.buffer, x.address + skip)
        out.base = base = x if x.base is None else x.base
        if x.node is not None:
            register_view(out, base)
        return out

    return plan


def gradient_plan(
    evaluator: EagerEvaluator, op: Operation, params: Params, saved: tuple[Any, ...],
    outputs: tuple[Any, ...], cotangents: tuple[Any, ...], needs: tuple[bool, ...],
) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:  # fmt: skip
    """A compiled backward of one call: the gradient rule traced over what was saved."""
    given = (*saved, *outputs, *cotangents)
    places = [index for index, value in enumerate(given) if isinstance(value, Tensor)]
    arrived: list[int] = []

    def rule(*operands: Tensor) -> Sequence[Any]:
        filled = list(given)
        for index, operand in zip(places, operands, strict=True):
            filled[index] = operand
        first, second = len(saved), len(saved) + len(outputs)
        context = Context(tuple(filled[:first]), tuple(filled[first:second]), params, needs)
        pulled = list(tape.open_rule(op, context, filled[second:]))
        pulled = [value if need else None for value, need in zip(pulled, needs, strict=False)]
        arrived[:] = [index for index, value in enumerate(pulled) if value is not None]
        return pulled

    graph = trace(rule, [given[index].layout for index in places])
    plan = evaluator.graph_plan(graph)
    count = len(needs)
    single = len(graph.outputs) == 1

    def run(values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not arrived_places:
            return (None,) * count
        results = plan(*[values[index] for index in places])
        pulled: list[Any] = [None] * count
        for index, result in zip(arrived_places, (results,) if single else results, strict=True):
            pulled[index] = result
        return tuple(pulled)

    arrived_places = tuple(arrived)
    return run


def ensure() -> None:
    """Install the eager evaluator, once."""
    if not isinstance(call.current, EagerEvaluator):
        call.install(EagerEvaluator(reference_executable))


ensure()
