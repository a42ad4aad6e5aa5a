"""A call that gradients flow through: its graph cut in two, and the tape's node between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from diptych.core import tape
from diptych.core.layout import Layout, layout
from diptych.core.tape import CallNode, Leaf
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import GradientError
from diptych.graph.graph import Graph, Node
from diptych.graph.trace import trace
from diptych.staging.entries import Input, Stretch

Run = Callable[[Sequence[Tensor]], Sequence[Tensor]]
# What the backward program computes again instead of having it saved.
_CHEAP = frozenset(("movement", "iota"))


class CompiledNode(tape.Node):
    """The record of one replay: the values saved for the backward program."""

    def __init__(self, edges: tuple[Any, ...], half: Backward, saved: Sequence[Tensor]) -> None:
        super().__init__(edges, len(half.places))
        self.half = half
        self.saved: Sequence[Tensor] | None = saved
        self.versions = [x.buffer.version for x in saved]

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        saved, half = self.saved, self.half
        if saved is None:
            raise GradientError(
                "Trying to backward through the graph a second time (or directly access saved "
                "tensors after they have already been freed). Specify retain_graph=True if you "
                "need to backward through the graph a second time."
            )
        if create_graph:
            raise NotImplementedError(
                "compile: gradients of gradients through a compiled function are not supported "
                "yet; call the function itself, or take the gradients inside of it"
            )
        for x, version in zip(saved, self.versions, strict=True):
            if x.buffer.version != version:
                raise GradientError(
                    "one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: [{x.layout.dtype} {list(x.layout.shape)}], saved by a "
                    f"compiled function, is at version {x.buffer.version}; expected version "
                    f"{version} instead. Hint: clone the value before changing it."
                )
        return half.pull(saved, cotangents)

    def release(self) -> None:
        self.saved = None


class Backward:
    """The second program: cotangents of the inputs from what was saved and those of the outputs.

    ``inputs`` lists the forward program's operands that get one, ``places`` the outputs' layouts.
    """

    def __init__(
        self, run: Run, inputs: Sequence[int], places: Sequence[Layout], used: Sequence[int]
    ) -> None:
        self.run = run
        self.inputs = tuple(inputs)
        self.places = tuple(places)
        self.used = tuple(used)  # the cotangents that it reads

    def pull(self, saved: Sequence[Tensor], cotangents: Sequence[Any]) -> Sequence[Any]:
        given = list(saved)
        for index in self.used:
            place, cotangent = self.places[index], cotangents[index]
            if cotangent is None:
                cotangent = copy_array(np.zeros(place.shape, np.float32), Tensor, place.dtype)
            elif cotangent.layout is not place:
                cotangent = copy_array(cotangent.array(), Tensor, place.dtype)
            given.append(cotangent)
        return self.run(given)


@dataclass
class Halves:
    """A stretch cut in two graphs: ``arrived`` are the inputs that get a cotangent, ``used`` the
    outputs whose cotangents are read; then the layouts of what is saved, and of those outputs."""

    forward: Graph
    backward: Graph
    arrived: list[int]
    used: list[int]
    saved: list[Layout]
    places: list[Layout]


def recorded_by_calls(node: Any, first: int) -> bool:
    """Whether only plain operations, without hooks, were recorded since ``first``."""
    stack, seen = [node], {id(node)}
    while stack:
        found = stack.pop()
        if found.sequence <= first or isinstance(found, Leaf):
            continue
        plain = type(found) is CallNode or getattr(found, "repeatable", False)
        hooks = (found.hooks, found.pre_hooks, found.post_hooks, found.retained)
        if not plain or hooks != (None, None, None, None):
            return False
        for edge in found.edges:
            if edge is not None and id(edge[0]) not in seen:
                seen.add(id(edge[0]))
                stack.append(edge[0])
    return True


def traced_with_gradient(
    stretch: Stretch, inputs: Sequence[tuple[int, Input]], wanting: Sequence[int],
    outputs: Sequence[int], live: Sequence[int],
) -> Halves | None:  # fmt: skip
    """The two graphs of a stretch; None where the tape of the recording cannot be followed.

    ``wanting`` are positions of inputs that want a gradient, ``live`` the values that gradients
    come in by, ``outputs`` what else the forward graph gives.
    """
    constants = [(v, place.key) for v, place in stretch.inputs if place.kind == "constant"]
    count = len(inputs)
    arrived: list[int] = []
    fits = [True]

    def whole(*operands: Tensor) -> list[Any]:
        values: dict[int, Any] = {}
        values.update(constants)
        for index, ((value, _), x) in enumerate(zip(inputs, operands, strict=False)):
            values[value] = x
            if index in wanting:
                x.node = Leaf(x)
        with tape.recording(True):
            for entry in stretch.entries:
                entry.run(values)
        roots = []
        for number, cotangent in zip(live, operands[count:], strict=True):
            result = values[number]
            if result.node is None:
                fits[0] = False
                continue
            roots.append((result.node, result.output, cotangent))
        leaves = [operands[index] for index in wanting]
        targets = [(x.node, 0) for x in leaves]
        found = tape.backward(roots, targets, accumulate=False)  # type: ignore[arg-type]
        arrived[:] = [index for index, x in zip(wanting, found, strict=True) if x is not None]
        return [values[n] for n in outputs] + [x for x in found if x is not None]

    places = [place.layout for _, place in inputs]
    layouts: list[Layout] = []
    shapes: dict[int, Layout] = {}

    def look(*operands: Tensor) -> list[Any]:
        values: dict[int, Any] = dict(constants)
        values.update((v, x) for (v, _), x in zip(inputs, operands, strict=True))
        for entry in stretch.entries:
            entry.run(values)
        shapes.update((n, values[n].layout) for n in live)
        return [values[n] for n in live]

    trace(look, places)
    layouts = [layout(shapes[n].dtype, shapes[n].shape) for n in live]
    graph = trace(whole, [*places, *layouts])
    if not fits[0]:
        return None
    forward, backward, saved = cut(graph, len(outputs), count)
    used = [index for index in range(len(live)) if graph.inputs[count + index] in backward.inputs]
    kept = [backward.layouts[value] for value in backward.inputs[:saved]]
    return Halves(forward, backward, arrived, used, kept, layouts)


def cut(graph: Graph, outputs: int, inputs: int) -> tuple[Graph, Graph, int]:
    """A graph's first outputs and all they need as one graph, the rest as another.

    The first hands over, as further outputs, what the second reads of it.
    """
    made: dict[int, Node] = {value: node for node in graph.nodes for value in node.results}
    wanted, rest = graph.outputs[:outputs], graph.outputs[outputs:]
    first = needed(wanted, made)
    cotangents = set(graph.inputs[inputs:])
    again: dict[int, None] = {}  # ids of nodes of the second graph
    saved: dict[int, None] = {}
    stack = list(rest)
    seen = set()
    while stack:
        value = stack.pop()
        if value in seen or value in cotangents or value in graph.constants:
            continue
        seen.add(value)
        node = made.get(value)
        if node is None or (id(node) in first and node.op.family not in _CHEAP):
            saved[value] = None
            continue
        again[id(node)] = None
        stack.extend(node.operands)
    kept = list(saved)
    forward = Graph(
        list(graph.layouts), graph.inputs[:inputs], dict(graph.constants),
        [node for node in graph.nodes if id(node) in first], (*wanted, *kept),
    )  # fmt: skip
    read = {value for node in graph.nodes if id(node) in again for value in node.operands}
    read.update(rest)
    places = list(graph.layouts)
    for value in kept:  # as the first program hands it over
        place = places[value]
        if value not in graph.inputs:
            places[value] = layout(place.dtype, place.shape)
    backward = Graph(
        places, (*kept, *[v for v in graph.inputs[inputs:] if v in read]), dict(graph.constants),
        [node for node in graph.nodes if id(node) in again], rest,
    )  # fmt: skip
    forward.prune()
    backward.prune()
    return forward, backward, len(kept)


def needed(values: Sequence[int], made: dict[int, Node]) -> set[int]:
    """Ids of the nodes that values are made by."""
    found: set[int] = set()
    stack = list(values)
    while stack:
        node = made.get(stack.pop())
        if node is not None and id(node) not in found:
            found.add(id(node))
            stack.extend(node.operands)
    return found
