"""Scalar expressions: what a nest computes for one element, as a hash-consed graph.

Equal expressions are one object, so comparison and hashing are by identity and sharing costs
nothing. float16 and bfloat16 values are *carried* in float32 between loads and stores: only a Cast
to them, or a store, rounds. bool is a truth value; its storage is one byte, 0 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator
from typing import Any
from weakref import WeakValueDictionary

from diptych.core import dtypes
from diptych.core.dtypes import DType

# The scalar vocabulary: operation -> (number of arguments, kinds of dtype it takes).
_FLOAT_UNARY = (
    "exp exp2 expm1 log log2 log10 log1p sqrt rsqrt cbrt sin cos tan asin acos atan sinh cosh tanh "
    "asinh acosh atanh erf erfc sigmoid floor ceil round trunc reciprocal"
).split()
COMPARISONS = frozenset("eq ne lt le gt ge".split())
PREDICATES = frozenset("isnan isinf isfinite signbit".split())
LOGICAL = frozenset("logical_and logical_or logical_xor logical_not".split())
OPS: dict[str, tuple[int, str]] = {
    **dict.fromkeys("add sub mul".split(), (2, "uif")),
    **dict.fromkeys("floordiv truncdiv rem fmod pow".split(), (2, "uif")),
    **dict.fromkeys("minimum maximum fmin fmax".split(), (2, "uif")),
    **dict.fromkeys("div atan2 copysign hypot".split(), (2, "f")),
    **dict.fromkeys("neg abs sign square".split(), (1, "uif")),
    **dict.fromkeys(_FLOAT_UNARY, (1, "f")),
    **dict.fromkeys(COMPARISONS, (2, "buif")),
    **dict.fromkeys("logical_and logical_or logical_xor".split(), (2, "b")),
    "logical_not": (1, "b"),
    **dict.fromkeys("bitwise_and bitwise_or bitwise_xor".split(), (2, "bui")),
    "bitwise_not": (1, "bui"),
    **dict.fromkeys("shift_left shift_right".split(), (2, "ui")),
    **dict.fromkeys("isnan isinf isfinite".split(), (1, "f")),
    "signbit": (1, "if"),
    "fma": (3, "f"),
}


class _Interned(type):
    """Gives back the living expression with the same class and arguments, if there is one."""

    def __call__(cls, *args: Any) -> Any:
        made = super().__call__(*args)
        return _LIVING.setdefault((cls, made.identity()), made)


_LIVING: WeakValueDictionary[Any, Any] = WeakValueDictionary()


class Expression(metaclass=_Interned):
    """The base of all expressions; ``dtype`` is its value's."""

    __slots__ = ("__weakref__", "dtype")
    dtype: DType

    def identity(self) -> tuple[Any, ...]:
        """What makes this expression equal to another of its class."""
        raise NotImplementedError

    def arguments(self) -> tuple[Expression, ...]:
        return ()

    def head(self) -> str:
        """The expression's own words in the text form, arguments left out."""
        raise NotImplementedError

    def __repr__(self) -> str:
        inner = ", ".join(map(repr, self.arguments()))
        return f"{self.head()}({inner})" if inner else self.head()


class Load(Expression):
    """The element of an operand at the current index.

    Operands are numbered inputs first, then outputs; an output may be loaded in stages after the
    one that stored it.
    """

    __slots__ = ("operand",)

    def __init__(self, operand: int, dtype: DType) -> None:
        self.operand = operand
        self.dtype = dtype

    def identity(self) -> tuple[Any, ...]:
        return (self.operand, self.dtype)

    def head(self) -> str:
        return f"load {self.operand} {self.dtype}"


class LoadAt(Expression):
    """The element of an input at ``position`` along the inner axis of the current row.

    ``position`` is int64 and a row scalar; the nest's caller guarantees that it is in range
    (kernels clamp it into the row, so a bad index reads a wrong element, never foreign memory).
    """

    __slots__ = ("operand", "position")

    def __init__(self, operand: int, position: Expression, dtype: DType) -> None:
        if position.dtype is not dtypes.int64:
            raise TypeError(f"LoadAt: position has dtype {position.dtype}; it must be int64")
        self.operand = operand
        self.position = position
        self.dtype = dtype

    def identity(self) -> tuple[Any, ...]:
        return (self.operand, self.position, self.dtype)

    def arguments(self) -> tuple[Expression, ...]:
        return (self.position,)

    def head(self) -> str:
        return f"load_at {self.operand} {self.dtype}"


class Constant(Expression):
    """A number; kept as a Python bool, int (wrapped into the dtype's range) or float."""

    __slots__ = ("value",)

    def __init__(self, value: float, dtype: DType) -> None:
        self.value: float
        if dtype.kind == "b":
            self.value = bool(value)
        elif dtype.kind in "ui":
            bits = 8 * dtype.itemsize
            wrapped = int(value) % (1 << bits)
            top = dtype.kind == "i" and wrapped >= 1 << (bits - 1)
            self.value = wrapped - (1 << bits) if top else wrapped
        else:
            self.value = float(value)
        self.dtype = dtype

    def identity(self) -> tuple[Any, ...]:
        return (repr(self.value), self.dtype)  # repr tells -0.0 from 0.0, and nan equals itself

    def head(self) -> str:
        value = self.value
        exact = isinstance(value, float) and math.isfinite(value)
        return f"const {value.hex() if exact else value} {self.dtype}"


class RowValue(Expression):
    """The k-th row value: a reduction's result or a row expression, numbered through the stages."""

    __slots__ = ("index",)

    def __init__(self, index: int, dtype: DType) -> None:
        self.index = index
        self.dtype = dtype

    def identity(self) -> tuple[Any, ...]:
        return (self.index, self.dtype)

    def head(self) -> str:
        return f"row_value {self.index} {self.dtype}"


class InnerIndex(Expression):
    """The position along the inner axis, int64."""

    __slots__ = ()

    def __init__(self) -> None:
        self.dtype = dtypes.int64

    def identity(self) -> tuple[Any, ...]:
        return ()

    def head(self) -> str:
        return "inner_index"


class OuterIndex(Expression):
    """The number of the row, counted through the whole outer index space in order, int64."""

    __slots__ = ()

    def __init__(self) -> None:
        self.dtype = dtypes.int64

    def identity(self) -> tuple[Any, ...]:
        return ()

    def head(self) -> str:
        return "outer_index"


class Apply(Expression):
    """An operation of the vocabulary on arguments of one dtype."""

    __slots__ = ("args", "op")

    def __init__(self, op: str, args: Iterable[Expression]) -> None:
        self.op = op
        self.args = tuple(args)
        if op not in OPS:
            raise ValueError(
                f"{op!r} is not a scalar operation; known are {', '.join(sorted(OPS))}"
            )
        count, kinds = OPS[op]
        got = [a.dtype for a in self.args]
        if len(got) != count or len(set(got)) != 1 or got[0].kind not in kinds:
            raise TypeError(
                f"{op}: got arguments of dtypes {got}; it takes {count} of one dtype "
                f"of kind {', '.join(kinds)}; insert Casts"
            )
        truth = op in COMPARISONS or op in PREDICATES
        self.dtype = dtypes.bool_ if truth else got[0]

    def identity(self) -> tuple[Any, ...]:
        return (self.op, self.args)

    def arguments(self) -> tuple[Expression, ...]:
        return self.args

    def head(self) -> str:
        return self.op


class Cast(Expression):
    """Conversion as C has it (truncation to integers; out of range is unspecified but safe);
    to bool it is ``!= 0``; to float16 and bfloat16 it rounds to nearest even."""

    __slots__ = ("operand",)

    def __init__(self, operand: Expression, dtype: DType) -> None:
        self.operand = operand
        self.dtype = dtype

    def identity(self) -> tuple[Any, ...]:
        return (self.operand, self.dtype)

    def arguments(self) -> tuple[Expression, ...]:
        return (self.operand,)

    def head(self) -> str:
        return f"cast {self.dtype}"


class Select(Expression):
    """``a`` where ``condition`` holds, else ``b``; both are computed."""

    __slots__ = ("a", "b", "condition")

    def __init__(self, condition: Expression, a: Expression, b: Expression) -> None:
        if condition.dtype is not dtypes.bool_ or a.dtype is not b.dtype:
            raise TypeError(
                f"Select: got dtypes {condition.dtype}, {a.dtype}, {b.dtype}; "
                "it takes a bool and two of one dtype"
            )
        self.condition = condition
        self.a = a
        self.b = b
        self.dtype = a.dtype

    def identity(self) -> tuple[Any, ...]:
        return (self.condition, self.a, self.b)

    def arguments(self) -> tuple[Expression, ...]:
        return (self.condition, self.a, self.b)

    def head(self) -> str:
        return "select"


def apply(op: str, *args: Expression) -> Apply:
    """``Apply(op, args)``."""
    return Apply(op, args)


def cast(operand: Expression, dtype: DType) -> Expression:
    """A Cast, or the operand itself if it has the dtype."""
    return operand if operand.dtype is dtype else Cast(operand, dtype)


def walk(roots: Iterable[Expression], known: Container[Expression] = ()) -> Iterator[Expression]:
    """Every expression under ``roots`` once, arguments before their users.

    What is in ``known`` is left out, and so is what only it needs.
    """
    seen: set[Expression] = set()
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif node not in seen and node not in known:
            seen.add(node)
            stack.append((node, True))
            stack.extend((argument, False) for argument in reversed(node.arguments()))


def text(roots: Iterable[Expression]) -> tuple[list[str], list[str]]:
    """The canonical text: one line ``%k = head %i %j`` per expression, and the roots' names."""
    roots = list(roots)
    names: dict[Expression, str] = {}
    lines = []
    for node in walk(roots):
        name = names[node] = f"%{len(names)}"
        lines.append(" ".join([f"{name} =", node.head(), *(names[a] for a in node.arguments())]))
    return lines, [names[root] for root in roots]
