"""The plain interpreter of nests: the second reference machine, for tests and checks.

Slow and simple: rows one at a time, the inner axis with NumPy, every reduction without tricks.
Operands are one-dimensional arrays of their storage dtype (bfloat16 as uint16) and the element
where each starts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.loops.expression import (
    Apply,
    Cast,
    Constant,
    Expression,
    InnerIndex,
    Load,
    LoadAt,
    OuterIndex,
    RowValue,
    Select,
    walk,
)
from diptych.loops.layout import Layout
from diptych.loops.nest import Access, ColumnNest, Nest, Reduce, RowNest, Store

Array = np.ndarray[Any, Any]


def computed(dtype: DType) -> np.dtype[Any]:
    """The NumPy dtype in which values of ``dtype`` are carried."""
    small = dtype in (dtypes.float16, dtypes.bfloat16)
    return np.dtype(np.float32) if small else dtype.numpy


def widen(stored: Array, dtype: DType) -> Array:
    """Storage -> carried values."""
    if dtype is dtypes.bfloat16:
        return dtypes.bfloat16_to_float32(stored)
    return stored.astype(computed(dtype))


def narrow(value: Array, dtype: DType) -> Array:
    """Carried values -> storage."""
    if dtype is dtypes.bfloat16:
        return dtypes.float32_to_bfloat16(np.asarray(value, np.float32))
    return np.asarray(value).astype(dtype.numpy)


def cast(value: Array, dtype: DType) -> Array:
    """As C converts; float16 and bfloat16 round and are widened again."""
    if dtype.kind == "b":
        return np.asarray(value != 0)
    if dtype.is_integer and value.dtype.kind == "f":
        wide = np.int64 if dtype is not dtypes.uint64 else np.uint64
        return value.astype(wide).astype(dtype.numpy)
    if dtype in (dtypes.float16, dtypes.bfloat16):
        return widen(narrow(value.astype(np.float32), dtype), dtype)
    return value.astype(dtype.numpy)


# -- the scalar vocabulary -------------------------------------------------------------------------


def _each(function: Callable[[float], float]) -> Callable[[Array], Array]:
    return lambda x: np.array([function(v) for v in np.ravel(x).tolist()], x.dtype).reshape(x.shape)


def _truncdiv(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(np.trunc(a / b))
    safe = np.where(b == 0, 1, b).astype(b.dtype)
    down = a // safe
    up = (a - down * safe != 0) & ((a < 0) != (safe < 0))
    return np.where(b == 0, 0, np.where(up, down + 1, down)).astype(a.dtype)


def _integers(floats: Callable[..., Array]) -> Callable[[Array, Array], Array]:
    """NumPy's division functions, with 0 where an integer divisor is 0."""

    def evaluate(a: Array, b: Array) -> Array:
        if a.dtype.kind == "f":
            return floats(a, b)
        return np.where(b == 0, 0, floats(a, np.where(b == 0, 1, b).astype(b.dtype))).astype(
            a.dtype
        )

    return evaluate


def _pow(a: Array, b: Array) -> Array:
    if a.dtype.kind in "uf":
        return np.asarray(np.power(a, b))
    down = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0))
    up = np.power(a, np.where(b < 0, 0, b).astype(b.dtype))
    picked: Array = np.where(b < 0, down, up).astype(a.dtype)
    return picked


def _sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    top: Array = np.where(x >= 0, np.ones_like(x), small)
    return np.asarray(top / (1 + small))


def _sign(x: Array) -> Array:
    return np.sign(x) + 0 if x.dtype.kind == "f" else np.sign(x)


def _shift_left(a: Array, b: Array) -> Array:
    inside = (b >= 0) & (b < 8 * a.itemsize)
    return np.where(inside, a << np.where(inside, b, 0), 0).astype(a.dtype)


def _shift_right(a: Array, b: Array) -> Array:
    inside = (b >= 0) & (b < 8 * a.itemsize)
    most = 8 * a.itemsize - 1
    rest = a >> np.full_like(b, most) if a.dtype.kind == "i" else np.zeros_like(a)
    return np.where(inside, a >> np.where(inside, b, 0).astype(b.dtype), rest).astype(a.dtype)


OPS: dict[str, Callable[..., Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide,
    "floordiv": _integers(np.floor_divide), "truncdiv": _truncdiv, "rem": _integers(np.remainder),
    "fmod": _integers(np.fmod), "pow": _pow, "neg": np.negative, "abs": np.abs, "sign": _sign,
    "square": np.square, "reciprocal": lambda x: np.ones_like(x) / x, "exp": np.exp,
    "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "sqrt": np.sqrt, "rsqrt": lambda x: np.ones_like(x) / np.sqrt(x),
    "cbrt": np.cbrt, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
    "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "atan2": np.arctan2,
    "erf": _each(math.erf), "erfc": _each(math.erfc), "sigmoid": _sigmoid, "floor": np.floor,
    "ceil": np.ceil, "round": np.rint, "trunc": np.trunc, "minimum": np.minimum,
    "maximum": np.maximum, "fmin": np.fmin, "fmax": np.fmax, "eq": np.equal, "ne": np.not_equal,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor,
    "logical_not": np.logical_not, "bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or,
    "bitwise_xor": np.bitwise_xor, "bitwise_not": np.bitwise_not, "shift_left": _shift_left,
    "shift_right": _shift_right, "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite,
    "signbit": lambda x: np.signbit(x) if x.dtype.kind == "f" else x < 0,
    "copysign": np.copysign, "hypot": np.hypot,
    "fma": lambda a, b, c: (a.astype(np.longdouble) * b + c).astype(a.dtype),
}  # fmt: skip


def apply_op(op: str, args: Sequence[Array]) -> Array:
    """One operation of the vocabulary on carried values."""
    with np.errstate(all="ignore"):
        return OPS[op](*args)


# -- rows ------------------------------------------------------------------------------------------


class _Row:
    """One run along the inner axis."""

    def __init__(
        self, nest: Nest, length: int, memories: Sequence[Array], starts: list[int],
        steps: list[int], outer: int,
    ) -> None:  # fmt: skip
        self.nest, self.length, self.memories = nest, length, memories
        self.starts, self.steps, self.outer = starts, steps, outer
        self.values: list[Array] = []  # row values

    def places(self, operand: int) -> Array:
        """Where the operand's elements lie; one place if it has one per row."""
        if self.nest.operands[operand].access is Access.BROADCAST:
            return np.array([self.starts[operand]])
        return self.starts[operand] + np.arange(self.length) * self.steps[operand]

    def evaluate(self, root: Expression) -> Array:
        """The value of ``root``: ``length`` elements, or one where it is the same for all."""
        known: dict[Expression, Array] = {}
        for node in walk([root]):
            known[node] = self._node(node, known)
        return known[root]

    def _node(self, node: Expression, known: dict[Expression, Array]) -> Array:
        if isinstance(node, Load):
            return widen(self.memories[node.operand][self.places(node.operand)], node.dtype)
        if isinstance(node, LoadAt):
            at = int(np.clip(known[node.position][0], 0, max(0, self.length - 1)))
            place = self.starts[node.operand] + at * self.steps[node.operand]
            return widen(self.memories[node.operand][[place]], node.dtype)
        if isinstance(node, Constant):
            return np.array([node.value]).astype(computed(node.dtype))
        if isinstance(node, RowValue):
            return self.values[node.index]
        if isinstance(node, InnerIndex):
            return np.arange(self.length)
        if isinstance(node, OuterIndex):
            return np.array([self.outer])
        if isinstance(node, Cast):
            with np.errstate(all="ignore"):
                return cast(known[node.operand], node.dtype)
        if isinstance(node, Select):
            picked: Array = np.where(known[node.condition], known[node.a], known[node.b])
            return picked
        assert isinstance(node, Apply), f"{node!r} has no rule"
        return apply_op(node.op, [known[a] for a in node.args])

    def store(self, store: Store) -> None:
        operand = len(self.nest.inputs) + store.output
        dtype = self.nest.operands[operand].dtype
        places = self.places(operand)
        value = np.broadcast_to(self.evaluate(store.value), places.shape)
        self.memories[operand][places] = narrow(value, dtype)


def reduce_values(reduce: Reduce, values: Array) -> Array:
    """The reduction of ``values`` over their first axis."""
    if reduce.op in ("argmax", "argmin"):
        if not len(values):
            return np.zeros(values.shape[1:], np.int64)
        return np.asarray(getattr(np, reduce.op)(values, axis=0))
    if reduce.op in ("max", "min") and not len(values):
        low = reduce.op == "max"
        if values.dtype.kind == "f":
            return np.full(values.shape[1:], -np.inf if low else np.inf, values.dtype)
        if values.dtype.kind == "b":
            return np.full(values.shape[1:], not low)
        info = np.iinfo(values.dtype)
        return np.full(values.shape[1:], info.min if low else info.max, values.dtype)
    with np.errstate(all="ignore"):
        if reduce.op == "sum" and values.dtype.kind == "f":
            total: Array = values.sum(axis=0, dtype=np.longdouble)
            return np.asarray(total.astype(values.dtype))
        function = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum,
                    "any": np.logical_or, "all": np.logical_and}[reduce.op]  # fmt: skip
        return np.asarray(function.reduce(values, axis=0, dtype=values.dtype))


def run(
    nest: Nest, layout: Layout, memories: Sequence[Array], starts: Sequence[int] | None = None
) -> None:
    """Run ``nest`` over ``layout``, writing into the memories of its outputs."""
    starts = list(starts or [0] * len(memories))
    rank = len(layout.extents)
    for number, index in enumerate(itertools.product(*map(range, layout.extents))):
        here = [
            start + sum(i * s for i, s in zip(index, strides[:rank], strict=True))
            for start, strides in zip(starts, layout.strides, strict=True)
        ]
        steps = [strides[-1] for strides in layout.strides]
        if isinstance(nest, RowNest):
            _run_row(nest, _Row(nest, layout.inner, memories, here, steps, number))
        else:
            along = [strides[-2] for strides in layout.strides]
            _run_columns(nest, layout, memories, here, along, steps, number)


def _run_row(nest: RowNest, row: _Row) -> None:
    for stage in nest.stages:
        # Element by element a stage may store what it also loads: all values come first.
        found = [
            reduce_values(r, np.broadcast_to(row.evaluate(r.value), (row.length,)))
            for r in stage.reduces
        ]
        for store in nest.element_stores(stage):
            row.store(store)
        row.values += [np.asarray(value).reshape(1) for value in found]
        for expression in stage.rows:
            row.values.append(row.evaluate(expression))
        for store in nest.row_stores(stage):
            row.store(store)


def _run_columns(
    nest: ColumnNest, layout: Layout, memories: Sequence[Array], here: list[int],
    along: list[int], steps: list[int], number: int,
) -> None:  # fmt: skip
    taken: list[list[Array]] = [[] for _ in nest.reduces]
    for k in range(layout.reduced):
        starts = [start + k * step for start, step in zip(here, along, strict=True)]
        row = _Row(nest, layout.inner, memories, starts, steps, number)
        for values, reduce in zip(taken, nest.reduces, strict=True):
            values.append(np.broadcast_to(row.evaluate(reduce.value), (layout.inner,)))
    last = _Row(nest, layout.inner, memories, here, steps, number)
    for values, reduce in zip(taken, nest.reduces, strict=True):
        empty = np.empty((0, layout.inner), computed(reduce.value.dtype))
        last.values.append(reduce_values(reduce, np.array(values) if values else empty))
    for store in nest.stores:
        last.store(store)
