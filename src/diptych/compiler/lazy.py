"""Values that lowering has not stored yet: trees of what would compute them, movable like views."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from diptych.compiler.steps import Place
from diptych.core.dtypes import DType, int64
from diptych.core.layout import Shape
from diptych.core.operation import Params, Primitive

_MOST_WEIGHT = 1 << 20


class Lazy:
    """A value of a shape and dtype; subclasses say how it comes about.

    Of the tree that would compute it, as it was made: ``weight``, how many operations (those that
    are shared count each time); ``folds``, how many reductions lie one in another; ``multiplies``,
    whether a product is there. What has been stored since may make them less, never more.
    """

    __slots__ = ("dtype", "shape")
    dtype: DType
    shape: Shape
    weight: int = 0
    folds: int = 0
    multiplies: bool = False

    def children(self) -> tuple[Lazy, ...]:
        return ()


class Stored(Lazy):
    """A value in memory."""

    __slots__ = ("place",)

    def __init__(self, place: Place) -> None:
        self.place = place
        self.shape = place.shape
        self.dtype = place.dtype


class Number(Lazy):
    """One number everywhere."""

    __slots__ = ("value",)

    def __init__(self, value: Any, dtype: DType, shape: Shape) -> None:
        self.value = value
        self.dtype = dtype
        self.shape = shape


class Position(Lazy):
    """The position along an axis."""

    __slots__ = ("axis",)

    def __init__(self, axis: int, shape: Shape) -> None:
        self.axis = axis
        self.shape = shape
        self.dtype = int64


class Apply(Lazy):
    """An elementwise operation on values of this shape, computed in ``params[0]``."""

    __slots__ = ("args", "folds", "multiplies", "op", "params", "weight")

    def __init__(
        self, op: Primitive, params: Params, args: tuple[Lazy, ...], dtype: DType, shape: Shape
    ) -> None:
        self.op = op
        self.params = params
        self.args = args
        self.dtype = dtype
        self.shape = shape
        weight, folds, multiplies = 1, 0, False
        for arg in args:
            weight += arg.weight
            folds = max(folds, arg.folds)
            multiplies = multiplies or arg.multiplies
        self.weight = min(weight, _MOST_WEIGHT)
        self.folds = folds
        self.multiplies = multiplies

    def children(self) -> tuple[Lazy, ...]:
        return self.args


class Reduced(Lazy):
    """A reduction of ``arg`` over ``axes``; its shape is what is kept."""

    __slots__ = ("arg", "axes", "computing", "folds", "name", "weight")

    def __init__(
        self, name: str, arg: Lazy, axes: Shape, computing: DType, dtype: DType, shape: Shape
    ) -> None:
        self.name = name
        self.arg = arg
        self.axes = axes
        self.computing = computing
        self.dtype = dtype
        self.shape = shape
        self.weight = arg.weight + 1
        self.folds = arg.folds + 1

    def children(self) -> tuple[Lazy, ...]:
        return (self.arg,)

    @property
    def space(self) -> tuple[Shape, Shape]:
        """The index space it runs over, and the axes of it that it reduces."""
        return self.arg.shape, self.axes


class Pick(Lazy):
    """One element of each row of ``source`` (along ``axis``), at ``index`` (extent 1 there)."""

    __slots__ = ("axis", "folds", "index", "source", "weight")

    def __init__(self, source: Stored, index: Lazy, axis: int) -> None:
        self.source = source
        self.index = index
        self.axis = axis
        self.shape = index.shape
        self.dtype = source.dtype
        self.weight = index.weight + 1
        self.folds = index.folds + 1

    def children(self) -> tuple[Lazy, ...]:
        return (self.index,)

    @property
    def space(self) -> tuple[Shape, Shape]:
        return self.source.shape, (self.axis,)


class Product(Lazy):
    """A batched matrix product that is not stored yet, so that what follows can be its epilogue."""

    __slots__ = ("a", "b")
    multiplies = True

    def __init__(self, a: Place, b: Place, dtype: DType, shape: Shape) -> None:
        self.a = a
        self.b = b
        self.dtype = dtype
        self.shape = shape


class Moved(Lazy):
    """A value with its axes rearranged: ``axes[i]`` is the base's axis under axis i, or None."""

    __slots__ = ("axes", "base", "folds", "multiplies", "weight")

    def __init__(self, base: Lazy, axes: tuple[int | None, ...], shape: Shape) -> None:
        self.base = base
        self.axes = axes
        self.shape = shape
        self.dtype = base.dtype
        self.weight = base.weight
        self.folds = base.folds
        self.multiplies = base.multiplies

    def children(self) -> tuple[Lazy, ...]:
        return (self.base,)


def axis_map(
    op: Primitive, params: Params, source: Shape, shape: Shape
) -> tuple[int | None, ...] | None:
    """Which source axis each axis of the result reads, for movements that only rearrange axes."""
    if op.name == "broadcast":
        pad = len(shape) - len(source)
        return tuple(
            None if i < pad or (source[i - pad] == 1 and extent != 1) else i - pad
            for i, extent in enumerate(shape)
        )
    if op.name == "transpose":
        return tuple(params[0])
    if op.name == "reshape":
        old = [axis for axis, extent in enumerate(source) if extent != 1]
        if [source[axis] for axis in old] != [extent for extent in shape if extent != 1]:
            return None
        following = iter(old)
        return tuple(None if extent == 1 else next(following) for extent in shape)
    return None


def move(
    lazy: Lazy, op: Primitive, params: Params, shape: Shape, memo: dict[int, Lazy | None]
) -> Lazy | None:
    """``lazy`` under a movement, without computing it; None when it has to be stored first."""
    key = id(lazy)
    if key in memo:
        return memo[key]
    memo[key] = found = _move(lazy, op, params, shape, memo)
    return found


def _move(
    lazy: Lazy, op: Primitive, params: Params, shape: Shape, memo: dict[int, Lazy | None]
) -> Lazy | None:
    if isinstance(lazy, Stored):
        assert op.view is not None, "only movement is moved"
        place = lazy.place
        viewed = op.view(place.layout, params)
        if viewed is None:
            return None
        strided, offset = viewed
        start = place.offset + (offset if strided.size else 0)  # nothing lies past the end
        return Stored(Place(place.storage, start, place.dtype, strided.shape, strided.strides))
    if isinstance(lazy, Number):
        return Number(lazy.value, lazy.dtype, shape)
    if isinstance(lazy, Apply):
        args = []
        for arg in lazy.args:
            moved = move(arg, op, params, shape, memo)
            if moved is None:
                return None
            args.append(moved)
        return Apply(lazy.op, lazy.params, tuple(args), lazy.dtype, shape)
    axes = axis_map(op, params, lazy.shape, shape)
    return None if axes is None else rearranged(lazy, axes, shape)


def rearranged(lazy: Lazy, axes: tuple[int | None, ...], shape: Shape) -> Lazy:
    """A value that is no tree of elementwise operations, under an axis map."""
    if isinstance(lazy, Position):
        if lazy.axis in axes:
            return Position(axes.index(lazy.axis), shape)
        return Number(0, int64, shape)
    if isinstance(lazy, Moved):
        joined = tuple(None if axis is None else lazy.axes[axis] for axis in axes)
        return rearranged(lazy.base, joined, shape)
    if axes == tuple(range(len(lazy.shape))):
        return lazy
    return Moved(lazy, axes, shape)


def walk(roots: list[Lazy], resolve: Callable[[Lazy], Lazy]) -> Iterator[Lazy]:
    """Every value under ``roots`` once, in the form it is stored in where it is."""
    seen: set[int] = set()
    stack = [resolve(root) for root in reversed(roots)]
    while stack:
        value = stack.pop()
        if id(value) not in seen:
            seen.add(id(value))
            yield value
            stack.extend([resolve(child) for child in reversed(value.children())])


def place_strides(place: Place, axes: tuple[int | None, ...]) -> Shape:
    """The strides of a place seen through an axis map."""
    return tuple(0 if axis is None else place.strides[axis] for axis in axes)
