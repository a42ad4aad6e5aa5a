"""Tracing: an evaluator that adds each primitive to a graph instead of running it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from diptych.core import call, tape
from diptych.core.buffer import Buffer
from diptych.core.layout import Layout, layout
from diptych.core.operation import Composite, Context, Operation, Params, Primitive
from diptych.core.tensor import Tensor
from diptych.errors import GraphError
from diptych.graph.graph import Graph, Node
from diptych.source import user_line

_NOWHERE = Buffer(0, 0, b"")  # traced values have no memory; saved versions compare equal for ever


class Traced(Tensor):
    """A value of a graph being traced: layout, no memory.

    Its number stands where other tensors have an address, so whatever aliases a tensor keeps it.
    """

    @property
    def value(self) -> int:
        return self.address

    def array(self) -> Any:
        raise GraphError("a traced value has no elements yet: it cannot be read while tracing")


Traced.result_type = Traced


class TraceEvaluator:
    """Adds primitives to ``graph``; composites expand into the primitives they are written in."""

    updates = False

    def __init__(self, outer: call.Evaluator) -> None:
        self.graph = Graph()
        self.outer = outer
        self.thread = threading.get_ident()
        self.known: dict[int, int] = {}
        self.alive: list[Tensor] = []
        self.source = user_line()

    # ---- values

    def fresh(self, place: Layout) -> Traced:
        """A traced tensor for a new value."""
        return self.traced(self.graph.new_value(place))

    def traced(self, value: int) -> Traced:
        tensor = Traced.__new__(Traced)
        tensor.layout = self.graph.layouts[value]
        tensor.buffer = _NOWHERE
        tensor.address = value
        return tensor

    def value_of(self, operand: Tensor) -> int:
        """The number of an operand; a tensor from outside the trace becomes a constant."""
        if isinstance(operand, Traced):
            return operand.value
        value = self.known.get(id(operand))
        if value is None:
            value = self.known[id(operand)] = self.graph.new_value(operand.layout)
            self.graph.constants[value] = operand
            self.alive.append(operand)
        return value

    # ---- the evaluator's interface

    def apply1(self, op: Operation, x: Tensor, params: Params) -> Any:
        return self.apply(op, (x,), params)

    def apply2(self, op: Operation, a: Tensor, b: Tensor, params: Params) -> Any:
        return self.apply(op, (a, b), params)

    def apply(self, op: Operation, operands: Sequence[Tensor], params: Params) -> Any:
        if threading.get_ident() != self.thread:
            return self.outer.apply(op, operands, params)
        if isinstance(op, Composite):
            with tape.recording(False):
                result = op.forward(*operands, *params)
        else:
            assert isinstance(op, Primitive), "operations are primitives or composites"
            result = self.add(op, operands, params)
        wanted = any(operand.node is not None for operand in operands)
        if wanted and tape.mode.enabled and op.differentiable:
            results = result if isinstance(result, tuple) else (result,)
            results = tuple(
                [tape.copy_alias(r) if any(r is x for x in operands) else r for r in results]
            )
            tape.record(op, params, operands, results)
            result = results if isinstance(result, tuple) else results[0]
        return visible(op, result)

    def add(self, op: Primitive, operands: Sequence[Tensor], params: Params) -> Any:
        """Append a node and return its traced result(s)."""
        inferred = op.infer(tuple([operand.layout for operand in operands]), params)
        places = inferred if isinstance(inferred, tuple) else (inferred,)
        values = tuple([self.value_of(operand) for operand in operands])
        results = tuple([self.fresh(layout(place.dtype, place.shape)) for place in places])
        numbers = tuple([result.value for result in results])
        self.graph.nodes.append(Node(op, values, params, numbers, self.source))
        return results if isinstance(inferred, tuple) else results[0]

    def into(self, out: Tensor, op: Operation, operands: Sequence[Tensor], params: Params) -> None:
        if threading.get_ident() != self.thread:
            self.outer.into(out, op, operands, params)
            return
        raise GraphError(
            f"{op.name}: an in-place change cannot be traced here; operations are pure"
        )

    def gradient(
        self, op: Operation, params: Params, saved: tuple[Any, ...], outputs: tuple[Any, ...],
        cotangents: tuple[Any, ...], needs: tuple[bool, ...],
    ) -> tuple[Any, ...]:  # fmt: skip
        if threading.get_ident() != self.thread:
            return self.outer.gradient(op, params, saved, outputs, cotangents, needs)
        return tuple(tape.open_rule(op, Context(saved, outputs, params, needs), cotangents))


def visible(op: Operation, result: Any) -> Any:
    """What a caller gets of a composite's results: its outputs without the residuals."""
    if isinstance(op, Composite) and op.residuals:
        return result[0] if op.outputs == 1 else result[: op.outputs]
    return result


def trace(function: Callable[..., Any], layouts: Sequence[Layout]) -> Graph:
    """The graph of ``function`` on operands of these layouts; it returns a Tensor or a sequence.

    Entries of the result that are None are left out of the graph's outputs: the caller knows them.
    """
    evaluator = TraceEvaluator(call.current)
    inputs = [evaluator.fresh(place) for place in layouts]
    evaluator.graph.inputs = tuple(x.value for x in inputs)
    with call.installed(evaluator), tape.recording(False):
        result = function(*inputs)
    results = result if isinstance(result, (tuple, list)) else (result,)
    graph = evaluator.graph
    graph.outputs = tuple(evaluator.value_of(r) for r in results if r is not None)
    graph.prune()
    return graph
