"""Common subexpressions: what was computed before is not computed again."""

from __future__ import annotations

import math
from typing import Any

from diptych.compiler.passes.rewriting import Rewriting, pure
from diptych.core.tensor import Tensor
from diptych.graph.graph import Graph

_SMALL = 64  # elements of constants that are compared by their bits


def merge_common(graph: Graph) -> Graph:
    """The graph with one node for each operation on the same values with the same parameters.

    A value that is an output stands for others, but nothing stands for it.
    """
    made = Rewriting(graph)
    constants: dict[Any, int] = {}
    for value, tensor in graph.constants.items():
        first = constants.setdefault(_constant_key(tensor), value)
        if first != value:
            made.replace(value, first)
    known: dict[Any, tuple[int, ...]] = {}
    for node in graph.nodes:
        if not pure(node):
            made.keep(node)
            continue
        key = (node.op, made.operands(node), frozen(node.params))
        found = known.get(key)
        if found is None or not made.outputs.isdisjoint(node.results):
            known.setdefault(key, node.results)
            made.keep(node)
            continue
        for result, earlier in zip(node.results, found, strict=True):
            made.replace(result, earlier)
    return made.finish()


def _constant_key(tensor: Tensor) -> Any:
    place = tensor.layout
    if place.size > _SMALL:
        return id(tensor)
    return (place.dtype, place.shape, tensor.array().tobytes())


def frozen(value: Any) -> Any:
    """A parameter as a key: 1, 1.0 and True differ, -0.0 and 0.0 differ, NaN is itself."""
    if isinstance(value, tuple):
        return (type(value), *[frozen(x) for x in value])
    if isinstance(value, float):
        return (float, "nan" if math.isnan(value) else value.hex())
    if isinstance(value, complex):
        return (complex, frozen(value.real), frozen(value.imag))
    if isinstance(value, slice):
        return (slice, frozen((value.start, value.stop, value.step)))
    if isinstance(value, Graph):
        return (Graph, id(value))
    return (type(value), value)
