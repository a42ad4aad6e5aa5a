"""What is the same along most of a nest's space: computed once and stored, not once an element.

A batch norm over the channels of an image applies per-channel coefficients; written into each
element's expression they would be made from sums, a division and a square root, again and again.
"""

from __future__ import annotations

import math

from diptych.compiler.lazy import Apply, Lazy, Moved, Number, Stored
from diptych.compiler.readers import price
from diptych.compiler.spaces import Resolve, remap
from diptych.compiler.steps import Place
from diptych.core.layout import Shape

_LEAST = 1 << 15  # elements of a space in which another kernel, for the stored part, pays
_SPREAD = 16  # how many elements share what is stored, at least
_SAVED = 3  # operations and loads that storing must save each of them


class Invariants:
    """The trees under some roots that vary along few axes; each is outermost of its kind."""

    def __init__(self, resolve: Resolve) -> None:
        self.resolve = resolve
        self.axes: dict[int, frozenset[int] | None] = {}
        self.found: dict[int, Apply] = {}
        self.seen: set[int] = set()
        self.alive: list[Lazy] = []

    def plain(self, lazy: Lazy) -> Lazy:
        """A value in its stored form where it has one, views of stored values too."""
        value = self.resolve(lazy)
        if isinstance(value, Moved):
            base = self.resolve(value.base)
            if isinstance(base, Stored):
                value = remap(base, value.axes, value.shape, self.resolve, {})
                self.alive.append(value)
        return value

    def varies(self, lazy: Lazy) -> frozenset[int] | None:
        """The axes along which a value changes; None where it holds more than arithmetic."""
        value = self.plain(lazy)
        if id(value) not in self.axes:
            self.axes[id(value)] = self._varies(value)
            self.alive.append(value)
        return self.axes[id(value)]

    def _varies(self, value: Lazy) -> frozenset[int] | None:
        if isinstance(value, Stored):
            steps = zip(value.shape, value.place.strides, strict=True)
            return frozenset(k for k, (extent, step) in enumerate(steps) if step and extent != 1)
        if isinstance(value, Number):
            return frozenset()
        if not isinstance(value, Apply):
            return None
        parts = [self.varies(arg) for arg in value.args]
        known = [part for part in parts if part is not None]
        return frozenset().union(*known) if len(known) == len(parts) else None

    def search(self, root: Lazy) -> None:
        """Enter the invariant trees under a value that is computed over its whole shape."""
        size = math.prod(root.shape)
        if size < _LEAST:
            return
        stack = [root]
        while stack:
            value = self.resolve(stack.pop())
            if id(value) in self.seen or not isinstance(value, Apply):
                continue
            self.seen.add(id(value))
            self.alive.append(value)
            axes = self.varies(value)
            # What no axis changes is a number, and stays in a register.
            if axes and _SPREAD * math.prod(value.shape[k] for k in axes) <= size:
                if self.saves(value) >= _SAVED:
                    self.found[id(value)] = value
                continue
            stack.extend(value.args)

    def saves(self, root: Apply) -> int:
        """What an element costs less when it loads the value: its operations, all loads but one."""
        total, seen = -1, set()
        stack: list[Lazy] = [root]
        while stack:
            value = self.plain(stack.pop())
            if id(value) in seen:
                continue
            seen.add(id(value))
            total += isinstance(value, Stored) + price(value)
            if isinstance(value, Apply):
                stack.extend(value.args)
        return total

    def narrowed(self, root: Apply) -> Lazy:
        """The same tree over the axes along which it changes; the others have one element."""
        axes = self.varies(root) or frozenset()
        memo: dict[int, Lazy] = {}

        def made(lazy: Lazy) -> Lazy:
            value = self.plain(lazy)
            if id(value) in memo:
                return memo[id(value)]
            shape = tuple(extent if k in axes else 1 for k, extent in enumerate(value.shape))
            result: Lazy
            if isinstance(value, Stored):
                place = value.place
                result = Stored(
                    Place(place.storage, place.offset, place.dtype, shape, place.strides)
                )
            elif isinstance(value, Apply):
                args = tuple(made(arg) for arg in value.args)
                result = Apply(value.op, value.params, args, value.dtype, shape)
            else:
                assert isinstance(value, Number), "others are not invariant"
                result = Number(value.value, value.dtype, shape)
            memo[id(value)] = result
            return result

        return made(root)


def spread(place: Place, shape: Shape) -> Stored:
    """A narrowed value seen over the whole shape."""
    strides = tuple(
        step if extent != 1 else 0 for extent, step in zip(place.shape, place.strides, strict=True)
    )
    return Stored(Place(place.storage, place.offset, place.dtype, shape, strides))
