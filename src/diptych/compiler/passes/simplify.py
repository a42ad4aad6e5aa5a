"""Simplification: operations that do nothing, and movements of movements; exact bit by bit.

What a rule must respect: -0.0 + 0.0 is 0.0, so adding zero changes something and subtracting it
does not; NaN times anything is NaN; a cast to a narrower dtype rounds, wherever it stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from diptych.compiler.passes.rewriting import Rewriting
from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.core.operation import lookup
from diptych.graph.graph import Graph, Node
from diptych.graph.interpreter import rounded

_FOLLOWED = frozenset({"broadcast", "reshape"})
_SPANS = {  # of integers: bits of magnitude
    dtypes.bool_: 1, dtypes.uint8: 8, dtypes.int8: 7, dtypes.uint16: 16, dtypes.int16: 15,
    dtypes.uint32: 32, dtypes.int32: 31, dtypes.uint64: 64, dtypes.int64: 63,
}  # fmt: skip


def simplify(graph: Graph) -> Graph:
    """The graph without operations that change nothing, chains of movements and casts joined."""
    made = Rewriting(graph)
    for node in graph.nodes:
        rule = RULES.get(node.op.name)
        if rule is None or not rule(made, node):
            made.keep(node)
    return made.finish()


def _as(made: Rewriting, node: Node, value: int) -> bool:
    """Let a value stand for a node's result, cast where that has another dtype; same shape only."""
    result = node.results[0]
    mine, wanted = made.layouts[value], made.layouts[result]
    if mine.shape != wanted.shape:
        return False
    if mine.dtype is wanted.dtype:
        return made.replace(result, value)
    made.put(node, lookup("cast"), (value,), (wanted.dtype,))
    return True


def _number(made: Rewriting, value: int, dtype: DType) -> Any:
    """The one number that a value holds everywhere, as read in a dtype; None when not known."""
    while True:
        tensor = made.constants.get(value)
        if tensor is not None:
            if tensor.layout.size != 1 or tensor.layout.dtype.is_complex or dtype.is_complex:
                return None
            return rounded(tensor.values().reshape(()), dtype).item()
        node = made.defined.get(value)
        if node is None or node.op.name not in _FOLLOWED:
            return None
        value = node.operands[0]


# ---- elementwise


def _neutral(*accepted: tuple[int, Callable[[Any, DType], bool]]) -> Any:
    """A rule: an operand (by position) that is neutral leaves the other one."""

    def rule(made: Rewriting, node: Node) -> bool:
        operands = made.operands(node)
        for position, neutral in accepted:
            number = _number(made, operands[position], node.params[0])
            if number is not None and neutral(number, node.params[0]):
                return _as(made, node, operands[1 - position])
        return False

    return rule


def _is_one(number: Any, dtype: DType) -> bool:
    return bool(number == 1)


def _is_zero(number: Any, dtype: DType) -> bool:
    """Zero, which of a float may have either sign only where subtracting 0.0 is meant."""
    return bool(number == 0) and (not dtype.is_float or math.copysign(1.0, number) > 0)


def _is_negative_zero(number: Any, dtype: DType) -> bool:
    """What added to any number leaves it: -0.0 among floats."""
    return bool(number == 0) and (not dtype.is_float or math.copysign(1.0, number) < 0)


def _twice(made: Rewriting, node: Node) -> bool:
    """The inverse of itself, applied twice in one dtype that the operand has."""
    inner = made.defined.get(made.operands(node)[0])
    if inner is None or inner.op is not node.op or inner.params != node.params:
        return False
    if made.layouts[inner.operands[0]].dtype is not node.params[0]:
        return False
    return _as(made, node, inner.operands[0])


def _chosen(made: Rewriting, node: Node) -> bool:
    """``where`` between a value and itself."""
    _, a, b = made.operands(node)
    return a == b and _as(made, node, a)


def _of_itself(made: Rewriting, node: Node) -> bool:
    a, b = made.operands(node)
    return a == b and _as(made, node, a)


def lossless(source: DType, target: DType) -> bool:
    """Whether every value of a dtype has its like in another of the same kind."""
    if source is target:
        return True
    if source.is_float and target.is_float:
        return source.itemsize < target.itemsize
    if source in _SPANS and target in _SPANS and target is not dtypes.bool_:
        signed = source.kind == "i" and target.kind != "i"
        return not signed and _SPANS[source] <= _SPANS[target]
    return False


def _cast(made: Rewriting, node: Node) -> bool:
    (value,) = made.operands(node)
    if made.layouts[value].dtype is node.params[0]:
        return _as(made, node, value)
    inner = made.defined.get(value)
    if inner is None or inner.op is not node.op:
        return False
    source = inner.operands[0]
    if not lossless(made.layouts[source].dtype, inner.params[0]):
        return False
    if made.layouts[source].dtype is node.params[0] and _as(made, node, source):
        return True
    made.put(node, node.op, (source,), node.params)
    return True


# ---- movement


def _joined(join: Callable[[Any, Any], Any]) -> Any:
    """A rule: a movement of a movement of its kind is one; one that moves nothing is none."""

    def rule(made: Rewriting, node: Node) -> bool:
        (value,) = made.operands(node)
        params = node.params[0]
        inner = made.defined.get(value)
        joined = inner is not None and inner.op is node.op
        if inner is not None and joined:
            value, params = inner.operands[0], join(inner.params[0], params)
        if _idle(node.op.name, params, made.layouts[value].shape) and _as(made, node, value):
            return True
        if joined:
            made.put(node, node.op, (value,), (params,))
        return joined

    return rule


def _idle(name: str, params: Any, shape: tuple[int, ...]) -> bool:
    """Whether a movement leaves a value of this shape as it is."""
    if name == "transpose":
        return bool(params == tuple(range(len(shape))))
    if name == "slice":
        return all(
            start == 0 and step == 1 and stop == n
            for (start, stop, step), n in zip(params, shape, strict=True)
        )
    return bool(tuple(params) == shape)


def _last(inner: Any, outer: Any) -> Any:
    return outer


def _permuted(inner: Any, outer: Any) -> Any:
    return tuple([inner[axis] for axis in outer])


def _cut(inner: Any, outer: Any) -> Any:
    """Limits of a slice of a slice."""
    made = []
    for (start, _, step), (first, stop, stride) in zip(inner, outer, strict=True):
        count = len(range(first, stop, stride))
        begin, pace = start + step * first, step * stride
        made.append((begin, begin + count * pace, pace) if count else (0, 0, 1))
    return tuple(made)


RULES: dict[str, Callable[[Rewriting, Node], bool]] = {
    "mul": _neutral((0, _is_one), (1, _is_one)),
    "div": _neutral((1, _is_one)),
    "add": _neutral((0, _is_negative_zero), (1, _is_negative_zero)),
    "sub": _neutral((1, _is_zero)),
    "neg": _twice,
    "logical_not": _twice,
    "bitwise_not": _twice,
    "where": _chosen,
    "maximum": _of_itself,
    "minimum": _of_itself,
    "cast": _cast,
    "transpose": _joined(_permuted),
    "reshape": _joined(_last),
    "broadcast": _joined(_last),
    "slice": _joined(_cut),
}
