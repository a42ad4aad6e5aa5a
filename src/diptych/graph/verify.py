"""The verifier: what holds of every graph, checked after every pass and for every file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from diptych.core.layout import Layout, layout
from diptych.core.operation import Primitive
from diptych.core.tensor import Tensor
from diptych.errors import GraphError

if TYPE_CHECKING:
    from diptych.graph.graph import Graph, Node


def verify(graph: Graph) -> None:
    """Raise GraphError unless the graph is what its class says; the message names node and line."""
    defined: set[int] = set()
    for kind, values in (("input", graph.inputs), ("constant", tuple(graph.constants))):
        for value in values:
            _known(graph, value, kind)
            if value in defined:
                raise GraphError(argument=f"{kind} %{value}", expected="defined once")
            defined.add(value)
    for value, tensor in graph.constants.items():
        place = graph.layouts[value]
        if not isinstance(tensor, Tensor):
            raise GraphError(
                argument=f"constant %{value}", got=type(tensor).__name__, expected="a Tensor"
            )
        if (tensor.layout.dtype, tensor.layout.shape) != (place.dtype, place.shape):
            raise GraphError(
                argument=f"constant %{value}", got=tensor.layout,
                expected=f"the dtype and shape of its layout, {place}",
            )  # fmt: skip
    for number, node in enumerate(graph.nodes):
        _node(graph, number, node, defined)
    for output in graph.outputs:
        if output not in defined:
            raise GraphError(argument=f"output %{output}", expected="a defined value")


def _known(graph: Graph, value: Any, kind: str) -> None:
    """Check that a value has a layout."""
    if type(value) is not int or not 0 <= value < len(graph.layouts):
        raise GraphError(argument=f"{kind} %{value}", expected="a value with a layout")
    if not isinstance(graph.layouts[value], Layout):
        raise GraphError(argument=f"{kind} %{value}", got=graph.layouts[value], expected="a Layout")


def _node(graph: Graph, number: int, node: Node, defined: set[int]) -> None:
    op: Any = node.op
    where = f"in node {number}" + (f", from {node.source}" if node.source else "")
    if not isinstance(op, Primitive):
        name = getattr(op, "name", type(op).__name__)
        raise GraphError(op=name, argument="operation", expected="a primitive", hint=where)
    for operand in node.operands:
        if operand not in defined:
            raise GraphError(
                op=op.name, argument=f"value %{operand}", expected="defined first", hint=where
            )
    if type(node.params) is not tuple:
        raise GraphError(
            op=op.name, argument="params", got=node.params, expected="a tuple", hint=where
        )
    expected = inferred(graph, node, where)
    for result in node.results:
        _known(graph, result, "result")
    got = tuple(graph.layouts[v] for v in node.results)
    if [(p.dtype, p.shape) for p in got] != [(p.dtype, p.shape) for p in expected]:
        raise GraphError(
            op=op.name, argument="results", got=got, expected=f"{expected}", hint=where
        )
    for result, place in zip(node.results, got, strict=True):
        if not place.contiguous:
            raise GraphError(
                op=op.name, argument="results", got=place, expected="row-major", hint=where
            )
        if result in defined:
            raise GraphError(
                op=op.name, argument=f"value %{result}", expected="defined once", hint=where
            )
        defined.add(result)


def inferred(graph: Graph, node: Node, where: str) -> tuple[Layout, ...]:
    """The layouts that the operation infers; GraphError for whatever it cannot make sense of."""
    operands = tuple(graph.layouts[v] for v in node.operands)
    try:
        made = node.op.infer(operands, node.params)
        if node.op.view is not None:
            _inside(node, operands[0])
    except GraphError:
        raise
    except Exception as error:  # a rule's own errors, and what it trips over in damaged files
        raise GraphError(f"{node.op.name}: {error}; {where}") from error
    return made if isinstance(made, tuple) else (made,)


def _inside(node: Node, operand: Layout) -> None:
    """A view must not reach outside its operand: native code would follow it."""
    assert node.op.view is not None, "only views are asked for"
    place = layout(operand.dtype, operand.shape)
    viewed = node.op.view(place, node.params)
    if viewed is None:
        return
    strided, offset = viewed
    lowest = offset + strided.lowest
    if strided.size and not (0 <= lowest and lowest + strided.span <= place.span):
        raise GraphError(
            op=node.op.name, argument="params", got=node.params, expected=f"a view inside {place}"
        )
