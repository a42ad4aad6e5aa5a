"""torch.Size: a shape, a tuple of ints that prints as PyTorch's does."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


class Size(tuple):
    """The shape of a tensor."""

    __slots__ = ()
    __module__ = "torch"

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    __str__ = __repr__

    def __getitem__(self, index: Any) -> Any:
        item = tuple.__getitem__(self, index)
        return Size(item) if isinstance(index, slice) else item

    def __add__(self, other: Any) -> Size:
        return Size(tuple.__add__(self, tuple(other) if isinstance(other, tuple) else other))

    def __radd__(self, other: Any) -> Any:
        return Size(other + tuple(self)) if isinstance(other, tuple) else NotImplemented

    def __mul__(self, count: Any) -> Size:
        return Size(tuple.__mul__(self, count))

    __rmul__ = __mul__

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        return math.prod(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return (size_of, (tuple(self),))


def size_of(shape: tuple[int, ...]) -> Size:
    """What a pickled Size calls when it is read."""
    return Size(shape)


def shape_of_arguments(size: tuple[Any, ...], function: str) -> tuple[int, ...]:
    """``f(2, 3)``, ``f((2, 3))``, ``f(Size)``: the shape that was meant; TypeError for no shape."""
    if len(size) == 1 and not isinstance(size[0], int):
        only = size[0]
        if isinstance(only, (tuple, list)):
            size = tuple(only)
        elif hasattr(only, "__index__") and not hasattr(only, "layout"):
            size = (only.__index__(),)
        elif hasattr(only, "__index__"):
            size = (int(only),)
        elif isinstance(only, Iterable) and not isinstance(only, (str, bytes)):
            size = tuple(only)
        else:
            raise TypeError(
                f"{function}(): argument 'size' (position 1) must be tuple of ints, not "
                f"{type(only).__name__}"
            )
    for extent in size:
        if extent.__class__ is not int:
            return _converted(size, function)
    return size


def _converted(size: tuple[Any, ...], function: str) -> tuple[int, ...]:
    converted = []
    for position, extent in enumerate(size):
        if isinstance(extent, float) or not hasattr(extent, "__index__"):
            raise TypeError(
                f"{function}(): argument 'size' (position 1) must be tuple of ints, but found "
                f"element of type {type(extent).__name__} at pos {position}"
            )
        converted.append(extent.__index__())
    return tuple(converted)
