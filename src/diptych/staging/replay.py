"""A recording made ready: each stretch a program, with the changes of Python state between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from diptych.core import call, tape
from diptych.core.buffer import PooledBuffer
from diptych.core.layout import Layout
from diptych.core.tape import Leaf
from diptych.core.tensor import Tensor, store, wrap
from diptych.engine import NativeBackend, ReferenceExecutable
from diptych.errors import GradientError
from diptych.graph.graph import Graph
from diptych.graph.trace import trace
from diptych.ops.select import ASSIGN
from diptych.runtime import objects
from diptych.runtime.program import Program
from diptych.staging.entries import Effect, Input, Stretch
from diptych.staging.gradient import (
    Backward,
    CompiledNode,
    recorded_by_calls,
    traced_with_gradient,
)
from diptych.staging.lowering import lower_stretch
from diptych.staging.recorder import Recorder, RefusedError

Run = Callable[[Sequence[Tensor]], Sequence[Tensor]]


class SpentNode(tape.Node):
    """Stands for a graph whose backward pass was part of the call."""

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        raise GradientError(
            "Trying to backward through the graph a second time: the compiled function has called "
            "backward() itself. Specify retain_graph=True there, or call backward() only outside."
        )


class Stage:
    """One stretch: its program, where operands come from, and what is done with the results."""

    def __init__(
        self, stretch: Stretch, backend: Any, live: Sequence[int], holder: Callable[[Input], Any]
    ) -> None:
        inputs = [(value, place) for value, place in stretch.inputs if place.kind != "constant"]
        self.template: list[Any] = []
        self.fills: list[tuple[int, str, Any]] = []
        for index, (_, place) in enumerate(inputs):
            self.template.append(place.key if place.kind == "state" else None)
            if place.kind != "state":
                self.fills.append((index, place.kind, place.key))
        self.inputs = [place for _, place in inputs]
        self.written = [
            next(index for index, (_, place) in enumerate(inputs) if place is origin)
            for _, origin in stretch.writes
        ]
        self.registers = list(enumerate(stretch.registers.values()))
        self.grads = stretch.grads
        self.checks = stretch.checks
        self.run: Run | None = None
        self.half: Backward | None = None
        results = [*stretch.registers, *[n for n, _ in stretch.writes]]
        self.count = len(stretch.registers)
        if live:
            self.differentiable(stretch, inputs, results, live, holder, backend)
            return
        self.graph = trace(whole(stretch, inputs, results), [p.layout for p in self.inputs])
        if results:
            self.run = linked(self.graph, self.count, self.written, backend)

    def differentiable(
        self, stretch: Stretch, inputs: list[tuple[int, Input]], results: list[int],
        live: Sequence[int], holder: Callable[[Input], Any], backend: Any,
    ) -> None:  # fmt: skip
        """Two programs, since gradients will flow back through the results."""
        wanting = [
            index
            for index, place in enumerate(self.inputs)
            if place.kind in ("state", "argument") and holder(place).node is not None
        ]
        halves = traced_with_gradient(stretch, inputs, wanting, results, live)
        if halves is None:
            raise RefusedError("gradients flow through a function that is no operation")
        # What is saved comes after the state's new values there; here it is a result like others.
        forward, total, count = halves.forward, len(results), self.count
        outputs = forward.outputs
        forward.outputs = (*outputs[:count], *outputs[total:], *outputs[count:total])
        self.graph = forward
        self.saved = halves.saved
        self.run = linked(forward, count + len(self.saved), self.written, backend)
        run = linked(halves.backward, len(halves.backward.outputs), [], backend)
        self.half = Backward(run, halves.arrived, halves.places, halves.used)

    def node(self, operands: Sequence[Tensor], results: Sequence[Tensor]) -> CompiledNode:
        """The tape's node of one run."""
        assert self.half is not None, "only where gradients flow"
        kept = [
            result if result.layout is place else restrided(result, place)
            for result, place in zip(results[self.count :], self.saved, strict=True)
        ]
        sources = [operands[index] for index in self.half.inputs]
        edges = tuple([None if x.node is None else (x.node, x.output) for x in sources])
        return CompiledNode(edges, self.half, kept)


def whole(
    stretch: Stretch, inputs: Sequence[tuple[int, Input]], results: Sequence[int]
) -> Callable[..., list[Any]]:
    """A stretch as a function of its inputs, to be traced."""
    constants = [(v, place.key) for v, place in stretch.inputs if place.kind == "constant"]

    def function(*operands: Tensor) -> list[Any]:
        values: dict[int, Any] = dict(constants)
        values.update((value, x) for (value, _), x in zip(inputs, operands, strict=True))
        for entry in stretch.entries:
            entry.run(values)
        return [values[number] for number in results]

    return function


def linked(graph: Graph, count: int, written: Sequence[int], backend: Any) -> Run:
    """What runs a graph, gives its first ``count`` outputs and writes the others over inputs."""
    outputs = graph.outputs
    writes = list(zip(outputs[count:], written, strict=True))
    if isinstance(backend, NativeBackend):
        graph.outputs = outputs[:count]
        return Program(lower_stretch(graph, objects.target(), writes)).run
    executable = ReferenceExecutable(graph)

    def run(operands: Sequence[Tensor]) -> Sequence[Tensor]:
        results = executable.run(operands)
        for index, result in zip(written, results[count:], strict=True):
            store(operands[index], result.array())
        return results[:count]

    return run


class Replay:
    """A whole call as stages and effects.

    ``result`` is the recorded call's; ``looks``: it may have looked whether there are gradients.
    """

    def __init__(self, recorder: Recorder, result: Any, looks: bool) -> None:
        self.givens: list[Given] = []
        self.output = output_of(recorder, result, self.givens)
        recorder.cut()
        if any(leaf() is not None for leaf in recorder.inner):
            raise RefusedError("a tensor that wants a gradient is made and kept")
        if recorder.failure is not None:
            raise RefusedError(recorder.failure[0])
        parts = [p for p in recorder.parts if isinstance(p, Effect) or p.entries or p.grads]
        live = [given.value for given in self.givens if given.value >= 0]
        if live and len(parts) != 1:
            raise RefusedError("a result wants a gradient, and the call changes Python state")
        self.places: dict[int, Layout] = {}
        for part in recorder.parts:
            if isinstance(part, Stretch):
                for _, place in part.inputs:
                    if place.kind == "register":
                        self.places[place.key] = place.layout
                for _, made in part.grads:
                    self.expect(made)
        for given in self.givens:
            self.expect(given.spec)
        self.parts: list[Stage | Effect] = [
            part
            if isinstance(part, Effect)
            else Stage(part, recorder.backend, live, recorder.held_by)
            for part in parts
        ]
        self.count = recorder.registers
        stages = [part for part in self.parts if isinstance(part, Stage)]
        inputs = [place for stage in stages for place in stage.inputs]
        held = {id(p.key): p for p in inputs if p.kind == "state"}
        self.states = [place.key for place in held.values()]
        self.layouts = [place.layout for place in held.values()]
        self.plain = [x.node is None for x in self.states]
        grads = {id(p.key): p for p in inputs if p.kind == "grad"}
        self.grads = [(place.key, place.layout) for place in grads.values()]
        looks = looks or bool(grads) or len(stages) != 1 or bool(stages[0].grads)
        self.entry = recorder.entry_grads if looks else []
        first = stages[0].grads if stages else []
        self.dropped = [leaf for leaf, _ in first if id(leaf) not in grads]

    def expect(self, made: Any) -> None:
        if made is not None and made[0].kind == "register":
            self.places[made[0].key] = made[0].layout

    def holds(self) -> bool:
        """Whether the state's tensors are as they were recorded."""
        if [x.layout for x in self.states] != self.layouts:
            return False
        if [x.node is None for x in self.states] != self.plain:
            return False
        for leaf, had in self.entry:
            if (leaf.held_grad is not None) is not had:
                return False
        return all(leaf.held_grad.layout is place for leaf, place in self.grads)

    def __call__(self, arguments: Sequence[Tensor]) -> Any:
        registers: list[Any] = [None] * (self.count + 1)  # the last holds the tape's node
        for leaf in self.dropped:
            leaf.held_grad = None
        for part in self.parts:
            if isinstance(part, Effect):
                part.call(*part.args)
            else:
                self.stage(part, arguments, registers)
        return made(self.output, arguments, registers)

    def stage(self, stage: Stage, arguments: Sequence[Tensor], registers: list[Any]) -> None:
        """Run one stretch, and do with its results what the call did."""
        for test, spec, args in stage.checks:
            test(tensor_of(spec, arguments, registers), *args)
        operands = stage.template.copy()
        for index, kind, key in stage.fills:
            if kind == "argument":
                operands[index] = arguments[key]
            elif kind == "feed":
                operands[index] = key[0](*key[1])
            elif kind == "register":
                operands[index] = registers[key]
            else:
                operands[index] = key.held_grad
        if stage.run is not None:
            results = stage.run(operands)
            for position, number in stage.registers:
                result = results[position]
                place = self.places.get(number)
                if place is not None and result.layout is not place:
                    result = restrided(result, place)
                registers[number] = result
            for index in stage.written:
                operands[index].buffer.version += 1
            if stage.half is not None:
                registers[-1] = stage.node(operands, results)
        for leaf, spec in stage.grads:
            leaf.held_grad = None if spec is None else tensor_of(spec, arguments, registers)


def restrided(result: Tensor, place: Layout) -> Tensor:
    """A result in the layout that the eager call gave it."""
    buffer = PooledBuffer(place.span * place.dtype.itemsize)
    out = wrap(Tensor, place, buffer, buffer.address - place.lowest * place.dtype.itemsize)
    call.current.into(out, ASSIGN, (out, result), (place.dtype,))
    return out


# ---- what the call returns


class Given:
    """One tensor of the result: how it is made, and what it was on the tape.

    ``value`` is its value where gradients flow back through it, else -1.
    """

    def __init__(self, spec: Any, spent: bool = False, itself: bool = False) -> None:
        self.spec = spec
        self.spent = spent
        self.itself = itself
        self.value = -1
        self.output = 0  # of the replay's node


def output_of(recorder: Recorder, result: Any, found: list[Given]) -> Any:
    """The result with every tensor replaced by how to make it; these are added to ``found``."""
    if isinstance(result, Tensor):
        given = given_of(recorder, result)
        if given.value >= 0:
            given.output = sum(other.value >= 0 for other in found)
        found.append(given)
        return given
    kind = type(result)
    if kind in (list, tuple):
        return kind([output_of(recorder, item, found) for item in result])
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return kind(*[output_of(recorder, item, found) for item in result])
    if kind is dict:
        return {key: output_of(recorder, item, found) for key, item in result.items()}
    if kind in (int, float, bool, str, bytes, complex, type(None)):
        return result
    raise RefusedError(f"the function returns a {kind.__name__}")


def given_of(recorder: Recorder, result: Tensor) -> Given:
    node = result.node
    if node is not None and not isinstance(node, Leaf) and not spent(node):
        return live(recorder, result)
    spec = recorder.result(result)
    holder = spec[0]
    itself = holder.kind != "register" and recorder.held_by(holder) is result
    if node is None or itself:
        return Given(spec, itself=itself)
    if isinstance(node, Leaf):
        raise RefusedError("a tensor that wants a gradient is made and returned")
    return Given(spec, spent=True)


def live(recorder: Recorder, result: Tensor) -> Given:
    """A result through which gradients will flow back."""
    spec = recorder.result(result)
    holder = spec[0]
    if holder.kind != "register":
        node: Any = result.node
        if recorder.held_by(holder) is result and node.sequence <= recorder.first:
            return Given(spec, itself=True)
        raise RefusedError("a result that wants a gradient shares memory with what was given")
    if not recorded_by_calls(result.node, recorder.first):
        raise RefusedError("a result wants a gradient through hooks or functions of the user's")
    given = Given(spec)
    given.value = recorder.value_of(result)
    return given


def spent(node: Any) -> bool:
    """Whether the graph under a node was used up by a backward pass."""
    seen = {id(node)}
    stack = [node]
    while stack:
        found = stack.pop()
        if getattr(found, "versions", ()) and getattr(found, "saved", ()) is None:
            return True
        for edge in found.edges:
            if edge is not None and id(edge[0]) not in seen:
                seen.add(id(edge[0]))
                stack.append(edge[0])
    return False


def made(output: Any, arguments: Sequence[Tensor], registers: list[Any]) -> Any:
    """The result of a replay."""
    kind = output.__class__
    if kind is Given:
        if output.itself:
            return source_of(output.spec[0], arguments, registers)
        tensor = tensor_of(output.spec, arguments, registers)
        if output.spent:
            tensor.node = SpentNode((None,))
        elif output.value >= 0:
            tensor.node = registers[-1]
            tensor.output = output.output
        return tensor
    if kind in (list, tuple):
        return kind([made(item, arguments, registers) for item in output])
    if kind is dict:
        return {key: made(item, arguments, registers) for key, item in output.items()}
    if isinstance(output, tuple):
        return kind(*[made(item, arguments, registers) for item in output])
    return output


def source_of(holder: Input, arguments: Sequence[Tensor], registers: list[Any]) -> Any:
    """The tensor whose memory a result has."""
    kind = holder.kind
    if kind == "register":
        return registers[holder.key]
    if kind == "argument":
        return arguments[holder.key]
    return holder.key.held_grad if kind == "grad" else holder.key


def tensor_of(spec: Any, arguments: Sequence[Tensor], registers: list[Any]) -> Tensor:
    """A tensor of a replay: a view of what holds its memory."""
    holder, place, offset, cls = spec
    base = source_of(holder, arguments, registers)
    return wrap(cls, place, base.buffer, base.address + offset)
