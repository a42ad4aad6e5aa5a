"""Nested lists, tuples and dictionaries of values: taken apart, and put together again."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from typing import Any


class Leaf:
    """The structure of a single value."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Leaf)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "*"


LEAF = Leaf()


class Branch:
    """The structure of a container: its kind, what its entries are called, and their structures."""

    def __init__(self, kind: Any, names: tuple[Any, ...] | None, parts: list[Any]) -> None:
        self.kind = kind
        self.names = names
        self.parts = parts

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Branch)
            and self.kind is other.kind
            and self.names == other.names
            and self.parts == other.parts
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if self.names is None:
            return f"{self.kind.__name__}({', '.join(map(repr, self.parts))})"
        named = zip(self.names, self.parts, strict=True)
        return f"{self.kind.__name__}({', '.join(f'{n!r}: {p!r}' for n, p in named)})"

    def build(self, values: Iterator[Any]) -> Any:
        """The container again, with these values."""
        made = [built(part, values) for part in self.parts]
        if self.names is not None:
            pairs = zip(self.names, made, strict=True)
            return defaultdict(None, pairs) if self.kind is defaultdict else self.kind(pairs)
        return self.kind(*made) if hasattr(self.kind, "_fields") else self.kind(made)


def entries(value: Any) -> tuple[tuple[Any, ...] | None, list[Any]] | None:
    """The names (of a dictionary) and the entries of a container; None for anything else."""
    kind = type(value)
    if kind is tuple or kind is list or (isinstance(value, tuple) and hasattr(kind, "_fields")):
        return None, list(value)
    if kind in (dict, OrderedDict, defaultdict):
        return tuple(value), list(value.values())
    return None


def flatten(value: Any) -> tuple[list[Any], Any]:
    """The values in a tree, in order, and the tree's structure."""
    found = entries(value)
    if found is None:
        return [value], LEAF
    leaves: list[Any] = []
    parts = []
    for part in found[1]:
        inside, structure = flatten(part)
        leaves += inside
        parts.append(structure)
    return leaves, Branch(type(value), found[0], parts)


def built(structure: Any, values: Iterator[Any]) -> Any:
    return next(values) if isinstance(structure, Leaf) else structure.build(values)


def unflatten(structure: Any, values: Any) -> Any:
    """The tree of this structure with these values."""
    return built(structure, iter(values))


def mapped(function: Callable[..., Any], tree: Any) -> Any:
    """The tree with ``function`` of each of its values."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [function(leaf) for leaf in leaves])


def spread(prefix: Any, structure: Any) -> list[Any] | None:
    """For each value of ``structure`` the entry of ``prefix`` above it; None if they do not fit."""
    if isinstance(structure, Leaf):
        return None if entries(prefix) is not None else [prefix]
    found = entries(prefix)
    if found is None:
        return [prefix] * count(structure)
    names, parts = found
    same_kind = structure.kind in (tuple, list) or type(prefix) is structure.kind
    if len(parts) != len(structure.parts) or not same_kind:
        return None
    if names is not None:
        if structure.names is None or set(names) != set(structure.names):
            return None
        by_name = dict(zip(names, parts, strict=True))
        parts = [by_name[name] for name in structure.names]
    out: list[Any] = []
    for part, inside in zip(parts, structure.parts, strict=True):
        spread_part = spread(part, inside)
        if spread_part is None:
            return None
        out += spread_part
    return out


def count(structure: Any) -> int:
    """How many values a structure has."""
    return 1 if isinstance(structure, Leaf) else sum(count(part) for part in structure.parts)
