"""Reductions that have to be stored in any case: where one is computed, others can be beside it."""

from __future__ import annotations

from collections.abc import Sequence

from diptych.compiler.lazy import Lazy, Moved, Pick, Reduced
from diptych.compiler.spaces import AxisMap, Resolve, Space, kept_map, space_of, uses

_LEAST_REDUCED = 8  # of shorter reductions, the results are as many as what they read


def needed(roots: Sequence[Lazy], resolve: Resolve) -> list[Lazy]:
    """The reductions under ``roots`` that no reader of theirs can compute in its own nest.

    A sum over one space that is read by a sum over another, or by a value that reads sums over
    several, goes through memory. A nest that runs over its space anyway may as well store it.
    """
    found: dict[int, Lazy] = {}
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        value = resolve(stack.pop())
        base = resolve(value.base) if isinstance(value, Moved) else value
        if id(base) in seen:
            continue
        seen.add(id(base))
        if isinstance(base, Reduced):
            below = uses(base.arg, resolve)
            space = space_of(base)
            outside = [
                (deeper, axes)
                for deeper, axes in below
                if space_of(deeper) != space or not space.spreads(kept_map(deeper, axes))
            ]
        else:
            below = uses(base, resolve)
            outside = [] if _together(base, below) else below
        for deeper, _ in outside:
            if isinstance(deeper, Reduced) and _shrinks(deeper):
                found[id(deeper)] = deeper
        stack += [deeper for deeper, _ in below if not isinstance(deeper, Pick)]
    return list(found.values())


def _together(value: Lazy, below: list[tuple[Lazy, AxisMap]]) -> bool:
    """Whether one nest computes a value with all reductions that it reads."""
    if not below:
        return True
    space: Space = space_of(below[0][0])
    if any(space_of(base) != space for base, _ in below):
        return False
    maps = {kept_map(base, axes) for base, axes in below}
    if value.shape == space.shape and all(space.spreads(axes) for axes in maps):
        return True
    return len(maps) == 1 and all(space.injects(axes, value.shape) for axes in maps)


def _shrinks(base: Reduced) -> bool:
    count = 1
    for axis in base.axes:
        count *= base.arg.shape[axis]
    return count >= _LEAST_REDUCED
