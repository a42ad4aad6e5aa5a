"""Scalar expressions to IR: values of expressions at one place of a nest."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from diptych.compiler.llvm import math
from diptych.compiler.llvm.writer import Function, Value, constant
from diptych.compiler.nests import arithmetic
from diptych.compiler.nests.conversion import cast, register_bytes, register_type
from diptych.compiler.target import Target
from diptych.core import dtypes
from diptych.loops.expression import (
    OPS,
    Apply,
    Cast,
    Constant,
    Expression,
    RowValue,
    Select,
    walk,
)
from diptych.loops.nest import Nest

Leaf = Callable[[Expression], Value]


def evaluate(
    w: Function,
    target: Target,
    roots: Iterable[Expression],
    lanes: int,
    leaf: Leaf,
    known: dict[Expression, Value],
) -> None:
    """Emit ``roots`` and all they need, adding their values to ``known``.

    ``leaf`` gives loads and indices; values already in ``known`` are used as they are.
    """
    for node in walk(roots, known):
        known[node] = _emit(w, target, node, lanes, leaf, known)


def _emit(
    w: Function,
    target: Target,
    node: Expression,
    lanes: int,
    leaf: Leaf,
    known: dict[Expression, Value],
) -> Value:
    if isinstance(node, Constant):
        return constant(register_type(node.dtype, lanes), node.value)
    if isinstance(node, Cast):
        return cast(w, target, known[node.operand], node.operand.dtype, node.dtype)
    if isinstance(node, Select):
        return w.select(known[node.condition], known[node.a], known[node.b])
    if isinstance(node, Apply):
        args = [known[argument] for argument in node.args]
        dtype = node.args[0].dtype
        if node.op == "pow" and not dtype.is_float:
            return arithmetic.integer_power(w, dtype, args)
        if node.op == "hypot" and dtype is not dtypes.float64:
            return arithmetic.HYPOT32(w, dtype, args)
        if node.op in arithmetic.OPS:
            return arithmetic.OPS[node.op](w, dtype, args)
        return math.emit(w, target, node.op, args)
    return leaf(node)


def supported(root: Expression, target: Target) -> bool:
    """Whether kernels can compute ``root``; else the engine uses NumPy."""
    for node in walk([root]):
        if node.dtype.is_complex:
            return False
        if isinstance(node, Apply):
            known = node.op in arithmetic.OPS or node.op in math.OPS
            if not known and node.op not in ("pow", "hypot"):
                return False
    return True


def unsupported_operations() -> list[str]:
    """The operations of the vocabulary that kernels do not have."""
    return sorted(set(OPS) - set(arithmetic.OPS) - set(math.OPS) - {"pow", "hypot"})


def lanes_for(nest: Nest, target: Target) -> int:
    """Elements worked on at a time: one register of the widest type.

    Where smaller numbers take part, 8-byte ones are given two registers.
    """
    types = {node.dtype for node in walk(nest.roots()) if not isinstance(node, RowValue)}
    types |= {operand.dtype for operand in nest.operands}
    sizes = {register_bytes(dtype) for dtype in types if dtype.kind != "b"} or {1}
    widest = max(sizes)
    if widest == 8 and sizes & {1, 2, 4}:
        widest = 4
    return max(1, target.vector_bytes // widest)
