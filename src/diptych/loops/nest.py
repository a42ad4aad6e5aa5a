"""Loop nests as data: operands with access kinds, stages of reductions and stores.

A nest fixes the *structure* of a kernel; extents and strides are run-time numbers (``layout.py``).
A RowNest works along one inner axis, row by row; a ColumnNest reduces over an axis while the inner
axis is kept. See README.md.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Container
from dataclasses import dataclass

from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.loops.expression import (
    Apply,
    Constant,
    Expression,
    InnerIndex,
    Load,
    LoadAt,
    OuterIndex,
    RowValue,
    text,
    walk,
)

REDUCTIONS = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")


class Access(enum.Enum):
    """How an operand moves along the inner axis: stride 1, stride 0, or a run-time stride."""

    CONTIGUOUS = "contiguous"
    BROADCAST = "broadcast"
    STRIDED = "strided"


@dataclass(frozen=True)
class Operand:
    """An input or output: its dtype and how it moves along the inner axis.

    In a RowNest an output with BROADCAST access holds one element per row.
    """

    dtype: DType
    access: Access

    def text(self) -> str:
        return f"{self.dtype} {self.access.value}"


@dataclass(frozen=True)
class Reduce:
    """A reduction of ``value`` over the reduced axis, in the value's dtype.

    max and min propagate NaN; argmax and argmin give the first position (int64), a NaN wins.
    Of nothing: sum 0, prod 1, any False, all True, max and min the lowest and highest value,
    argmax and argmin 0.
    """

    op: str
    value: Expression

    @property
    def dtype(self) -> DType:
        return dtypes.int64 if self.op in ("argmax", "argmin") else self.value.dtype

    def __post_init__(self) -> None:
        if self.op not in REDUCTIONS:
            raise ValueError(f"{self.op!r} is not a reduction; known are {', '.join(REDUCTIONS)}")
        if (self.op in ("any", "all")) != (self.value.dtype is dtypes.bool_):
            raise TypeError(
                f"{self.op}: got {self.value.dtype}; any and all, and only they, take bool"
            )


@dataclass(frozen=True)
class Store:
    """Stores ``value`` to the output-th output."""

    output: int
    value: Expression


@dataclass(frozen=True)
class Stage:
    """One pass along the inner axis.

    ``reduces`` give row values; then ``rows``, scalar expressions of row values, give more. Stores
    to BROADCAST outputs happen once, after ``rows``; others at every element, and cannot see this
    stage's row values. Without reduces and element stores no loop runs.
    """

    reduces: tuple[Reduce, ...] = ()
    stores: tuple[Store, ...] = ()
    rows: tuple[Expression, ...] = ()


@dataclass(frozen=True)
class RowNest:
    """Stages run one after another on each row of an outer index space."""

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        _once_checked(self)

    def __hash__(self) -> int:
        return _hash(self)

    @property
    def operands(self) -> tuple[Operand, ...]:
        return self.inputs + self.outputs

    @property
    def pointwise(self) -> bool:
        """Whether elements are independent, so that a row may be cut anywhere."""
        return len(self.stages) == 1 and not self.stages[0].reduces and not any(
            self.outputs[s.output].access is Access.BROADCAST for s in self.stages[0].stores
        )  # fmt: skip

    def element_stores(self, stage: Stage) -> list[Store]:
        return [s for s in stage.stores if self.outputs[s.output].access is not Access.BROADCAST]

    def row_stores(self, stage: Stage) -> list[Store]:
        return [s for s in stage.stores if self.outputs[s.output].access is Access.BROADCAST]

    def roots(self) -> list[Expression]:
        """All expressions of the stages, in order."""
        found: list[Expression] = []
        for stage in self.stages:
            found += [r.value for r in stage.reduces] + list(stage.rows)
            found += [s.value for s in stage.stores]
        return found

    def text(self) -> str:
        """The canonical text: equal nests, and only they, have equal texts."""
        lines, names = text(self.roots())
        following = iter(names)
        tail: list[str] = []
        for stage in self.stages:
            tail.append("stage")
            tail += [f"  reduce {r.op} {next(following)}" for r in stage.reduces]
            tail += [f"  row {next(following)}" for _ in stage.rows]
            tail += [f"  store {s.output} {next(following)}" for s in stage.stores]
        return "\n".join(["rows", *_operand_lines(self), *lines, *tail])


@dataclass(frozen=True)
class ColumnNest:
    """Reduces over one axis for every position of a kept inner axis.

    ``reduces`` see loads at (outer, reduced, inner); ``stores`` see their results as RowValue(k)
    and loads at (outer, inner), where the reduced index is 0. InnerIndex is the kept position.
    """

    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]
    reduces: tuple[Reduce, ...]
    stores: tuple[Store, ...]

    def __post_init__(self) -> None:
        _once_checked(self)

    def __hash__(self) -> int:
        return _hash(self)

    @property
    def operands(self) -> tuple[Operand, ...]:
        return self.inputs + self.outputs

    def roots(self) -> list[Expression]:
        return [r.value for r in self.reduces] + [s.value for s in self.stores]

    def text(self) -> str:
        """The canonical text: equal nests, and only they, have equal texts."""
        lines, names = text(self.roots())
        count = len(self.reduces)
        reduces = [f"reduce {r.op} {n}" for r, n in zip(self.reduces, names, strict=False)]
        stores = [f"store {s.output} {n}" for s, n in zip(self.stores, names[count:], strict=True)]
        return "\n".join(["columns", *_operand_lines(self), *lines, *reduces, *stores])


Nest = RowNest | ColumnNest


def _operand_lines(nest: Nest) -> list[str]:
    inputs = [f"in {operand.text()}" for operand in nest.inputs]
    return inputs + [f"out {operand.text()}" for operand in nest.outputs]


def per_row(
    nest: Nest, roots: list[Expression], varying: Container[Expression] = ()
) -> set[Expression]:
    """The expressions under ``roots`` that have one value for a whole row.

    ``varying`` are expressions known to have more (a column nest's results).
    """
    found: set[Expression] = set()
    for node in walk(roots):
        if node in varying:
            same = False
        elif isinstance(node, Load):
            same = nest.operands[node.operand].access is Access.BROADCAST
        elif isinstance(node, InnerIndex):
            same = False
        elif isinstance(node, Constant | RowValue | OuterIndex | LoadAt):
            same = True
        else:
            same = all(argument in found for argument in node.arguments())
        if same:
            found.add(node)
    return found


# Nests that were checked: a new shape makes an equal nest anew, as only its descriptor differs.
_checked: set[Nest] = set()
_CHECKED_LIMIT = 4096


def _once_checked(nest: Nest) -> None:
    if nest not in _checked:
        _check(nest)
        if len(_checked) >= _CHECKED_LIMIT:
            _checked.clear()
        _checked.add(nest)


def _hash(nest: Nest) -> int:
    """The hash of a nest's fields, worked out once: several memories look it up."""
    found = nest.__dict__.get("hash")
    if found is None:
        shape = (nest.inputs, nest.outputs)
        rest = (nest.stages,) if isinstance(nest, RowNest) else (nest.reduces, nest.stores)
        found = nest.__dict__["hash"] = hash((shape, rest))
    return int(found)


def _check(nest: Nest) -> None:
    """Raise if the nest refers to what it does not have."""
    stores = (
        nest.stores if isinstance(nest, ColumnNest) else [s for t in nest.stages for s in t.stores]
    )
    for store in stores:
        if not 0 <= store.output < len(nest.outputs):
            raise ValueError(f"{store!r}: the nest has {len(nest.outputs)} outputs")
    for node in walk(nest.roots()):
        if isinstance(node, Load | LoadAt):
            limit = len(nest.operands)
            if not 0 <= node.operand < limit:
                raise ValueError(f"{node!r}: operand {node.operand} of {limit}")
            if nest.operands[node.operand].dtype is not node.dtype:
                got = nest.operands[node.operand].dtype
                raise TypeError(f"{node!r}: operand {node.operand} has dtype {got}")
        if isinstance(node, LoadAt) and isinstance(nest, ColumnNest):
            raise NotImplementedError("LoadAt in a ColumnNest")
    if isinstance(nest, ColumnNest):
        values = [r.dtype for r in nest.reduces]
        _check_stores(nest, nest.stores, values)
        _check_values([r.value for r in nest.reduces], [])
        if any(operand.access is Access.BROADCAST for operand in nest.outputs):
            raise ValueError(
                "ColumnNest: an output with BROADCAST access has no room for its columns"
            )
        return
    values = []
    for stage in nest.stages:
        _check_values([r.value for r in stage.reduces], values)
        _check_stores(nest, tuple(nest.element_stores(stage)), values)
        values += [r.dtype for r in stage.reduces]
        for row in stage.rows:
            _check_values([row], values)
            if row not in per_row(nest, [row]):
                raise ValueError(f"{row!r} is not one value per row")
            values.append(row.dtype)
        _check_stores(nest, tuple(nest.row_stores(stage)), values)
        for store in nest.row_stores(stage):
            if store.value not in per_row(nest, [store.value]):
                raise ValueError(
                    f"output {store.output} has one element per row; {store!r} has more"
                )


def _check_values(roots: list[Expression], values: list[DType]) -> None:
    for node in walk(roots):
        if isinstance(node, RowValue) and (
            node.index >= len(values) or values[node.index] is not node.dtype
        ):
            raise ValueError(f"{node!r}: known here are row values of dtypes {values}")


def _check_stores(nest: Nest, stores: tuple[Store, ...], values: list[DType]) -> None:
    for store in stores:
        _check_values([store.value], values)
        if nest.outputs[store.output].dtype is not store.value.dtype:
            raise TypeError(
                f"{store!r}: the output has dtype {nest.outputs[store.output].dtype}; insert a Cast"
            )


@functools.lru_cache(4096)
def cost(nest: Nest) -> int:
    """About how long an element takes, in units of a simple operation: sets the size of tasks."""
    total = 0
    for node in walk(nest.roots()):
        if isinstance(node, Apply):
            total += _COSTS.get(node.op, 1)
        elif isinstance(node, Load):
            total += nest.operands[node.operand].access is Access.STRIDED and 4 or 1
    return max(2, total)


_COSTS = {
    **dict.fromkeys("div sqrt rsqrt reciprocal".split(), 3),
    **dict.fromkeys("exp exp2 log log2 log10 sigmoid tanh".split(), 6),
    **dict.fromkeys("expm1 log1p sin cos erf erfc tan atan asin acos".split(), 12),
    **dict.fromkeys("sinh cosh asinh acosh atanh pow cbrt".split(), 25),
    **dict.fromkeys("fmod rem floordiv truncdiv atan2 hypot".split(), 20),
}
