"""TensorShape: the extents of a tensor, any of which, or all, may be unknown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from diptych.core.layout import Layout

Extents = "tuple[int | None, ...] | None"


class TensorShape:
    """A shape; an unknown extent is None, the shape of unknown rank ``TensorShape(None)``."""

    __module__ = "tensorflow"
    __slots__ = ("_dims",)

    _dims: tuple[int | None, ...] | None

    def __init__(self, dims: Any) -> None:
        if dims is None:
            self._dims = None
        elif isinstance(dims, TensorShape):
            self._dims = dims._dims
        elif isinstance(dims, (tuple, list)) or hasattr(dims, "__iter__"):
            self._dims = tuple([_extent(dim) for dim in dims])
        else:
            self._dims = (_extent(dims),)

    # ---- what it is

    @property
    def rank(self) -> int | None:
        return None if self._dims is None else len(self._dims)

    ndims = rank

    @property
    def dims(self) -> list[int | None] | None:
        return None if self._dims is None else list(self._dims)

    def as_list(self) -> list[int | None]:
        """The extents as a list."""
        if self._dims is None:
            raise ValueError("as_list() is not defined on an unknown TensorShape.")
        return list(self._dims)

    def num_elements(self) -> int | None:
        """The product of the extents; None when one is unknown."""
        if self._dims is None:
            return None
        size = 1
        for dim in self._dims:
            if dim is None:
                return None
            size *= dim
        return size

    def is_fully_defined(self) -> bool:
        """Whether every extent is known."""
        return self._dims is not None and None not in self._dims

    def assert_is_fully_defined(self) -> None:
        """ValueError unless every extent is known."""
        if not self.is_fully_defined():
            raise ValueError(f"Shape {self} is not fully defined")

    # ---- as a sequence

    def __len__(self) -> int:
        if self._dims is None:
            raise ValueError("Cannot take the length of shape with unknown rank.")
        return len(self._dims)

    def __iter__(self) -> Iterator[int | None]:
        if self._dims is None:
            raise ValueError("Cannot iterate over a shape with unknown rank.")
        return iter(self._dims)

    def __getitem__(self, key: Any) -> Any:
        if self._dims is None:
            return TensorShape(None) if isinstance(key, slice) else None
        found = self._dims[key]
        return TensorShape(found) if isinstance(key, slice) else found

    def __bool__(self) -> bool:
        return self._dims is not None

    def __add__(self, other: Any) -> TensorShape:
        return self.concatenate(other)

    def __radd__(self, other: Any) -> TensorShape:
        return TensorShape(other).concatenate(self)

    def concatenate(self, other: Any) -> TensorShape:
        """This shape's extents followed by the other's."""
        other = as_shape(other)
        if self._dims is None or other._dims is None:
            return TensorShape(None)
        return TensorShape(self._dims + other._dims)

    # ---- comparing

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TensorShape):
            return self._dims == other._dims
        if other is None:
            return self._dims is None
        try:
            return self._dims == as_shape(other)._dims
        except TypeError:
            return NotImplemented

    def __hash__(self) -> int:
        return hash(self._dims)

    def is_compatible_with(self, other: Any) -> bool:
        """Whether the two could be the same shape once the unknown is known."""
        other = as_shape(other)
        if self._dims is None or other._dims is None:
            return True
        if len(self._dims) != len(other._dims):
            return False
        pairs = zip(self._dims, other._dims, strict=True)
        return all(a is None or b is None or a == b for a, b in pairs)

    def assert_is_compatible_with(self, other: Any) -> None:
        """ValueError unless the shapes are compatible."""
        if not self.is_compatible_with(other):
            raise ValueError(f"Shapes {self} and {other} are incompatible")

    def is_subtype_of(self, other: TensorShape) -> bool:
        """Whether every shape this one stands for is one that ``other`` stands for."""
        if other._dims is None:
            return True
        if self._dims is None or len(self._dims) != len(other._dims):
            return False
        return all(b is None or a == b for a, b in zip(self._dims, other._dims, strict=True))

    def most_specific_compatible_shape(self, other: Any) -> TensorShape:
        """The narrowest shape that stands for both."""
        other = as_shape(other)
        if self._dims is None or other._dims is None or len(self._dims) != len(other._dims):
            return TensorShape(None)
        pairs = zip(self._dims, other._dims, strict=True)
        return TensorShape([a if a == b else None for a, b in pairs])

    def merge_with(self, other: Any) -> TensorShape:
        """What is known of either; ValueError when they contradict one another."""
        other = as_shape(other)
        if self._dims is None:
            return other
        if other._dims is None:
            return self
        if not self.is_compatible_with(other):
            raise ValueError(f"Shapes {self} and {other} are not compatible")
        pairs = zip(self._dims, other._dims, strict=True)
        return TensorShape([b if a is None else a for a, b in pairs])

    def assert_has_rank(self, rank: int) -> None:
        """ValueError unless the rank is ``rank`` or unknown."""
        if self.rank not in (None, rank):
            raise ValueError(f"Shape {self} must have rank {rank}")

    def with_rank(self, rank: int) -> TensorShape:
        """This shape, known to have ``rank``; ValueError when it has another."""
        self.assert_has_rank(rank)
        return TensorShape([None] * rank) if self._dims is None else self

    def with_rank_at_least(self, rank: int) -> TensorShape:
        """This shape; ValueError when its rank is lower."""
        if self._dims is not None and len(self._dims) < rank:
            raise ValueError(f"Shape {self} must have rank at least {rank}")
        return self

    def __repr__(self) -> str:
        return f"TensorShape({None if self._dims is None else list(self._dims)})"

    def __str__(self) -> str:
        return "<unknown>" if self._dims is None else str(self._dims)

    def __reduce__(self) -> tuple[Any, ...]:
        return (TensorShape, (self._dims,))


def _extent(value: Any) -> int | None:
    """One extent, checked."""
    if value is None:
        return None
    try:
        extent = int(value.__index__())
    except AttributeError:
        raise TypeError(
            f"Dimension value must be integer or None or have an __index__ method, got value "
            f"{value!r} with type {type(value)!r}"
        ) from None
    if extent < 0:
        raise ValueError(f"Dimension {extent} must be >= 0")
    return extent


def as_shape(value: Any) -> TensorShape:
    """``value`` as a TensorShape."""
    return value if isinstance(value, TensorShape) else TensorShape(value)


def shape_of(place: Layout) -> TensorShape:
    """The shape of a layout; kept there, since tensors of one layout share it."""
    shape = place.face_shape
    if shape.__class__ is not TensorShape:
        shape = TensorShape.__new__(TensorShape)
        shape._dims = place.shape
        place.face_shape = shape
    return shape


def broadcast_static_shape(shape_x: TensorShape, shape_y: TensorShape) -> TensorShape:
    """The shape of two operands broadcast against each other, as far as it is known."""
    if shape_x._dims is None or shape_y._dims is None:
        return TensorShape(None)
    first, second = shape_x._dims, shape_y._dims
    count = max(len(first), len(second))
    result: list[int | None] = []
    for a, b in zip(
        (1,) * (count - len(first)) + first, (1,) * (count - len(second)) + second, strict=True
    ):
        if a == 1 or a == b:
            result.append(b)
        elif b == 1:
            result.append(a)
        elif a is None or b is None:
            result.append(b if a is None else a)
        else:
            raise ValueError(
                "Incompatible shapes for broadcasting. Two shapes are compatible if for each "
                "dimension pair they are either equal or one of them is 1. "
                f"Received: {shape_x} and {shape_y}."
            )
    return TensorShape(result)
