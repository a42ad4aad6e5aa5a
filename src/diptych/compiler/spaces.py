"""Index spaces of fused groups: what runs over the same space, and how to see values in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from diptych.compiler.lazy import (
    Apply,
    Lazy,
    Moved,
    Number,
    Pick,
    Reduced,
    Stored,
    place_strides,
    rearranged,
)
from diptych.compiler.steps import Place
from diptych.core.layout import Shape

AxisMap = tuple[int | None, ...]
Resolve = Callable[[Lazy], Lazy]


@dataclass(frozen=True)
class Space:
    """An index space: its full shape and the axes that its reductions fold."""

    shape: Shape
    axes: Shape

    @property
    def kept(self) -> Shape:
        """The axes that stay."""
        return tuple(axis for axis in range(len(self.shape)) if axis not in self.axes)

    def spreads(self, axes: AxisMap) -> bool:
        """Whether a reduction's result, seen through ``axes``, lies as this space spreads it."""
        if len(axes) != len(self.shape):
            return False
        kept = self.kept
        for axis, source in enumerate(axes):
            if axis in self.axes:
                if source is not None:
                    return False
            elif source is None:
                if self.shape[axis] != 1:
                    return False
            elif source != kept.index(axis):
                return False
        return True

    def injects(self, axes: AxisMap, shape: Shape) -> bool:
        """Whether ``axes`` shows a reduction's result as ``shape``: kept axes in order."""
        used = [source for source in axes if source is not None]
        missing = set(range(len(self.kept))) - set(used)
        if used != sorted(set(used)) or any(
            self.shape[self.kept[source]] != 1 for source in missing
        ):
            return False
        return all(source is not None or shape[axis] == 1 for axis, source in enumerate(axes))

    def lift(self, axes: AxisMap) -> AxisMap:
        """The map that shows a value with ``axes`` (of the kept ones) over the full space."""
        position = {source: axis for axis, source in enumerate(axes) if source is not None}
        kept = self.kept
        return tuple(
            None if axis in self.axes else position.get(kept.index(axis))
            for axis in range(len(self.shape))
        )


def identity(ndim: int) -> AxisMap:
    """Every axis as it is."""
    return tuple(range(ndim))


def remap(lazy: Lazy, axes: AxisMap, shape: Shape, resolve: Resolve, memo: dict[int, Lazy]) -> Lazy:
    """Any value seen through an axis map; trees of elementwise operations are rebuilt around it."""
    lazy = resolve(lazy)
    found = memo.get(id(lazy))
    if found is not None:
        return found
    made: Lazy
    if isinstance(lazy, Stored):
        place = lazy.place
        made = Stored(
            Place(place.storage, place.offset, place.dtype, shape, place_strides(place, axes))
        )
    elif isinstance(lazy, Number):
        made = Number(lazy.value, lazy.dtype, shape)
    elif isinstance(lazy, Apply):
        args = tuple(remap(arg, axes, shape, resolve, memo) for arg in lazy.args)
        made = Apply(lazy.op, lazy.params, args, lazy.dtype, shape)
    else:
        made = rearranged(lazy, axes, shape)
    memo[id(lazy)] = made
    return made


def uses(root: Lazy, resolve: Resolve) -> list[tuple[Lazy, AxisMap]]:
    """The reductions and picks right under ``root`` (not nested), each with its axis map."""
    if not root.folds:
        return []
    found: list[tuple[Lazy, AxisMap]] = []
    seen: set[int] = set()
    stack = [resolve(root)]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        axes = identity(len(value.shape))
        base = value
        if isinstance(value, Moved):
            axes, base = value.axes, resolve(value.base)
        if isinstance(base, (Reduced, Pick)):
            found.append((base, axes))
        elif isinstance(value, Apply):
            stack.extend([resolve(arg) for arg in reversed(value.args) if arg.folds])
    return found


def space_of(base: Lazy) -> Space:
    """The space that a reduction or pick runs over."""
    assert isinstance(base, (Reduced, Pick)), "only these have a space"
    return Space(*base.space)


def pick_axes(pick: Pick, axes: AxisMap) -> AxisMap:
    """A pick's axis map with the picked axis (extent 1) left out, as if it had been reduced."""
    return tuple(
        None if source is None or source == pick.axis else source - (source > pick.axis)
        for source in axes
    )


def kept_map(base: Lazy, axes: AxisMap) -> AxisMap:
    """An axis map onto the kept axes of the base's space, whichever kind the base is."""
    return pick_axes(base, axes) if isinstance(base, Pick) else axes
