"""Groups of values that one nest computes, and the nests they become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diptych.compiler.expressions import applied
from diptych.compiler.lazy import Apply, Lazy, Moved, Number, Pick, Position, Reduced, Stored
from diptych.compiler.spaces import AxisMap, Resolve, Space, remap
from diptych.compiler.steps import Place
from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.core.layout import Shape
from diptych.loops import expression
from diptych.loops import layout as planning
from diptych.loops.expression import Constant, Expression, InnerIndex, Load, LoadAt, RowValue, walk
from diptych.loops.nest import ColumnNest, Nest, Operand, Reduce, RowNest, Stage, Store

_BOOL_REDUCTIONS = {
    "sum": "any",
    "max": "any",
    "prod": "all",
    "min": "all",
    "any": "any",
    "all": "all",
}


@dataclass(frozen=True)
class Root:
    """A value to store: as seen over the group's space, where it goes, and whether once per row."""

    lazy: Lazy
    place: Place
    strides: Shape  # of ``place`` over the space; 0 on reduced axes when ``kept``
    kept: bool


@dataclass(frozen=True)
class Built:
    """A nest with its layout and its operands in order."""

    nest: Nest
    layout: planning.Layout
    operands: tuple[Place, ...]


class Builder:
    """Turns the roots of one group into a nest over ``space``."""

    def __init__(self, space: Space, resolve: Resolve, positions: Any) -> None:
        self.space = space
        self.resolve = resolve
        self.positions = positions  # extent -> a Stored arange
        self.leaves: dict[Any, int] = {}
        self.places: list[tuple[Place, Shape]] = []
        self.memo: dict[int, Expression] = {}
        self.keep: list[Lazy] = []
        self.ordered = False
        self.reduced: dict[int, tuple[Reduced, int]] = {}  # id -> (reduction, stage)
        self.numbers: dict[int, int] = {}
        self.positional = False  # whether InnerIndex may be used (row nests over one axis)

    # ---- leaves

    def leaf(self, place: Place) -> int:
        """The operand number of a place seen over the space."""
        strides = tuple(
            0 if extent == 1 else stride
            for extent, stride in zip(self.space.shape, place.strides, strict=True)
        )
        key = (place.storage, place.offset, place.dtype, strides)
        found = self.leaves.get(key)
        if found is None:
            found = self.leaves[key] = len(self.places)
            self.places.append((place, strides))
        return found

    # ---- reductions

    def find_reduced(self, lazy: Lazy, seen: dict[int, int]) -> int:
        """Register the reductions under a value; the stage after which it is known (-1: none)."""
        lazy = self.resolve(lazy)
        base = self.resolve(lazy.base) if isinstance(lazy, Moved) else lazy
        known = seen.get(id(base))
        if known is not None:
            return known
        if isinstance(base, Reduced):
            stage = 1 + self.find_reduced(base.arg, seen)
            self.reduced.setdefault(id(base), (base, stage))
        elif isinstance(base, Pick):
            stage = max(-1, self.find_reduced(base.index, seen))
        elif isinstance(base, Apply):
            stage = max((self.find_reduced(arg, seen) for arg in base.args), default=-1)
        else:
            stage = -1
        seen[id(base)] = stage
        return stage

    def order(self, roots: list[Root]) -> list[list[Reduced]]:
        """The reductions under the roots by stage, numbered as row values."""
        seen: dict[int, int] = {}
        for root in roots:
            self.find_reduced(root.lazy, seen)
        count = 1 + max((stage for _, stage in self.reduced.values()), default=-1)
        stages: list[list[Reduced]] = [[] for _ in range(count)]
        for base, stage in self.reduced.values():
            stages[stage].append(base)
        for number, base in enumerate(base for stage in stages for base in stage):
            self.numbers[id(base)] = number
        return stages

    def reduce_of(self, base: Reduced) -> Reduce:
        """The reduction as the nest states it."""
        name, computing = base.name, base.computing
        value = self.expression(base.arg)
        if name in ("argmax", "argmin"):
            self.ordered = True
            return Reduce(
                name, expression.cast(value, dtypes.uint8) if computing is dtypes.bool_ else value
            )
        if computing is dtypes.bool_:
            return Reduce(_BOOL_REDUCTIONS[name], expression.cast(value, dtypes.bool_))
        if name in ("sum", "prod"):
            computing = dtypes.accumulator(computing)
        return Reduce(name, expression.cast(value, computing))

    # ---- expressions

    def expression(self, lazy: Lazy) -> Expression:
        """The scalar expression of a value seen over the space."""
        lazy = self.resolve(lazy)
        found = self.memo.get(id(lazy))
        if found is None:
            found = self.memo[id(lazy)] = self._expression(lazy)
            self.keep.append(lazy)
        return found

    def _expression(self, lazy: Lazy) -> Expression:
        if isinstance(lazy, Stored):
            return Load(self.leaf(lazy.place), lazy.dtype)
        if isinstance(lazy, Number):
            return Constant(lazy.value, lazy.dtype)
        if isinstance(lazy, Apply):
            args = [self.expression(arg) for arg in lazy.args]
            return applied(lazy.op, lazy.params[0], args, lazy.dtype)
        if isinstance(lazy, Position):
            return self.position(lazy)
        base = self.resolve(lazy.base) if isinstance(lazy, Moved) else lazy
        if isinstance(base, Stored):
            assert isinstance(lazy, Moved), "a stored value was handled above"
            seen = remap(base, lazy.axes, lazy.shape, self.resolve, {})
            self.keep.append(seen)
            return self.expression(seen)
        if isinstance(base, Pick):
            return self.picked(base)
        assert isinstance(base, Reduced), f"{type(base).__name__} has to be stored first"
        reduce = self.reduce_of(base)
        return expression.cast(RowValue(self.numbers[id(base)], reduce.dtype), base.dtype)

    def position(self, lazy: Position) -> Expression:
        if self.positional and self.space.axes == (lazy.axis,):
            self.ordered = True
            return InnerIndex()
        stored = self.positions(self.space.shape[lazy.axis])
        strides = tuple(1 if axis == lazy.axis else 0 for axis in range(len(self.space.shape)))
        place = stored.place
        return Load(
            self.leaf(Place(place.storage, place.offset, place.dtype, self.space.shape, strides)),
            place.dtype,
        )

    def picked(self, pick: Pick) -> Expression:
        """The element of a row at a position that is one for the row."""
        self.ordered = True
        axes: AxisMap = tuple(
            None if axis == pick.axis else axis for axis in range(len(self.space.shape))
        )
        index = remap(pick.index, axes, self.space.shape, self.resolve, {})
        self.keep.append(index)
        position = expression.cast(self.expression(index), dtypes.int64)
        return LoadAt(self.leaf(pick.source.place), position, pick.dtype)

    # ---- nests

    def rows(self, roots: list[Root]) -> Built | None:
        """A RowNest of the roots, or None when the reduced axes do not merge into one."""
        self.positional = len(self.space.axes) == 1
        stages = self.order(roots)
        reduces = [tuple(self.reduce_of(base) for base in stage) for stage in stages]
        begin = [0]
        for group in reduces:
            begin.append(begin[-1] + len(group))

        def known_after(root: Expression) -> int:
            used = [node.index for node in walk([root]) if isinstance(node, RowValue)]
            return -1 if not used else max(s for s in range(len(reduces)) if begin[s] <= max(used))

        stores: dict[int, list[Store]] = {}
        for output, root in enumerate(roots):
            value = expression.cast(self.expression(root.lazy), root.place.dtype)
            stage = known_after(value)
            stage = max(stage, 0) if root.kept else stage + 1
            stores.setdefault(stage, []).append(Store(output, value))
        last = max([len(reduces) - 1, *stores], default=0)
        built = tuple(
            Stage(reduces[s] if s < len(reduces) else (), tuple(stores.get(s, ())))
            for s in range(last + 1)
        )
        strides = [s for _, s in self.places] + [root.strides for root in roots]
        found = planning.rows(self.space.shape, strides, self.space.axes, self.ordered, len(roots))
        if found is None:
            return None
        return self.finish(roots, found, lambda i, o: RowNest(i, o, built))

    def columns(self, roots: list[Root]) -> Built | None:
        """A ColumnNest of the roots, all of which are kept, or None when the axes do not merge."""
        stages = self.order(roots)
        reduces = tuple(self.reduce_of(base) for base in stages[0])
        stores = tuple(
            Store(output, expression.cast(self.expression(root.lazy), root.place.dtype))
            for output, root in enumerate(roots)
        )
        strides = [s for _, s in self.places] + [root.strides for root in roots]
        found = planning.columns(
            self.space.shape, strides, self.space.axes, self.ordered, len(roots)
        )
        if found is None:
            return None
        return self.finish(roots, found, lambda i, o: ColumnNest(i, o, reduces, stores))

    def pointwise(self, roots: list[Root]) -> Built:
        """A RowNest of one stage without reductions."""
        stores = tuple(
            Store(output, expression.cast(self.expression(root.lazy), root.place.dtype))
            for output, root in enumerate(roots)
        )
        strides = [s for _, s in self.places] + [root.strides for root in roots]
        found = planning.pointwise(self.space.shape, strides, len(roots))
        return self.finish(roots, found, lambda i, o: RowNest(i, o, (Stage(stores=stores),)))

    def finish(self, roots: list[Root], found: planning.Layout, make: Any) -> Built:
        """The nest for a layout's access kinds."""
        places = [place for place, _ in self.places]
        kinds: list[DType] = [place.dtype for place in places] + [
            root.place.dtype for root in roots
        ]
        operands = [
            Operand(dtype, access) for dtype, access in zip(kinds, found.accesses, strict=True)
        ]
        cut = len(places)
        nest = make(tuple(operands[:cut]), tuple(operands[cut:]))
        return Built(nest, found, (*places, *(root.place for root in roots)))
