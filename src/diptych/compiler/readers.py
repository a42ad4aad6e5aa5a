"""Who reads each value: what is worth a place of its own, and what is computed anew by each reader.

A value stays unstored until something needs it in memory, so one with several readers may be
computed by each of them. In a whole training step that would add up to far more work than the
graph has. So a nest that computes such a value on its way also stores it, unless computing it
again costs less than the memory traffic; a tree grows only so large before it is cut; and what
is costly is stored before it is spread over a larger shape.
"""

from __future__ import annotations

from collections.abc import Callable

from diptych.compiler.lazy import (
    Apply,
    Lazy,
    Moved,
    Number,
    Pick,
    Position,
    Product,
    Reduced,
    Stored,
)
from diptych.compiler.spaces import Resolve
from diptych.graph.graph import Graph, Node

MOST_WEIGHT = 160  # operations in one tree; kernels beyond it are slow to compile and spill
MOST_FOLDS = 8  # reductions one in another: each is a pass over the row that computes all before
_WORTH = 20  # what computing an element again must cost, over all later readers, to store it
_COSTLY = 10
_SPREAD = 8  # spreading over so many times the elements makes storing pay
_LEAST_SPREAD = 64

_CHEAP = frozenset(
    "add sub mul neg abs cast where assign maximum minimum fmax fmin relu square sign copysign eq "
    "ne lt le gt ge logical_and logical_or logical_xor logical_not bitwise_and bitwise_or "
    "bitwise_xor bitwise_not shift_left shift_right isnan isinf isfinite signbit floor ceil round "
    "trunc conj real imag".split()
)
_MIDDLING = frozenset("div sqrt rsqrt reciprocal truncdiv floordiv remainder fmod".split())


def price(value: Lazy) -> int:
    """What one more element of a value costs besides its operands, in additions or so."""
    if isinstance(value, Apply):
        name = value.op.name
        return 1 if name in _CHEAP else 4 if name in _MIDDLING else _COSTLY
    return 0


class Readers:
    """The readers of a graph's values, and the unstored forms that the values have."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers: dict[int, list[Node]] = {}
        for node in graph.nodes:
            for operand in dict.fromkeys(node.operands):
                self.readers.setdefault(operand, []).append(node)
        self.outputs = set(graph.outputs)
        self.names: dict[int, list[int]] = {}  # id of an unstored value -> what it is in the graph
        self.values: dict[int, Lazy] = {}

    def enter(self, value: int, lazy: Lazy) -> None:
        """Remember the form of a graph's value."""
        self.values[value] = lazy
        self.names.setdefault(id(lazy), []).append(value)

    def shared(self, lazy: Lazy) -> bool:
        """Whether a value is asked for more than once."""
        names = self.names.get(id(lazy), ())
        return sum(len(self.readers.get(v, ())) + (v in self.outputs) for v in names) > len(names)

    def outside(self, lazy: Lazy, tree: dict[int, Lazy]) -> int:
        """How many readers of a value, outputs included, are not in a tree that holds it."""
        memo: dict[int, bool] = {}

        def inside(value: int) -> bool:
            """Whether all that is made of a value is in the tree."""
            if value in memo:
                return memo[value]
            memo[value] = False  # no value reads itself
            found = self.values.get(value)
            made = id(found) in tree
            if not made and isinstance(found, Moved) and value not in self.outputs:  # a view: whoever reads it may have moved on
                made = all(
                    inside(result)
                    for node in self.readers.get(value, ())
                    for result in node.results
                )
            memo[value] = made
            return made

        count = 0
        for name in self.names.get(id(lazy), ()):
            count += name in self.outputs
            for node in self.readers.get(name, ()):
                count += not all(inside(result) for result in node.results)
        return count


def tree_of(root: Lazy, resolve: Resolve, deep: bool = True) -> dict[int, Lazy]:
    """The unstored values under a value, itself included, readers before what they read."""
    found: dict[int, Lazy] = {}
    stack = [resolve(root)]
    while stack:
        value = stack.pop()
        if id(value) in found or isinstance(value, (Stored, Number, Position)):
            continue
        found[id(value)] = value
        if deep or not isinstance(value, (Reduced, Pick)):
            stack.extend([resolve(child) for child in value.children()])
    return found


def cost(root: Lazy, resolve: Resolve, most: int) -> int:
    """What computing an element of a value costs, counted no further than ``most``.

    A reduction counts as costly: computing it again reads all that it reduces.
    """
    total = 0
    seen: set[int] = set()
    stack = [resolve(root)]
    while stack and total < most:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (Reduced, Pick, Product)):
            total += most
        total += price(value)
        stack.extend([resolve(child) for child in value.children()])
    return total


def kept_values(
    readers: Readers, root: Lazy, resolve: Resolve, joins: Callable[[Lazy], bool]
) -> list[Lazy]:
    """The values under a root that its nest should store for readers elsewhere, costly ones first.

    ``joins`` says whether the nest can store a value.
    """
    tree = tree_of(root, resolve)
    found: list[tuple[int, int, Lazy]] = []
    for position, value in enumerate(tree.values()):
        if value is root or not isinstance(value, (Apply, Reduced)) or not readers.shared(value):
            continue
        elsewhere = readers.outside(value, tree)
        if not elsewhere:
            continue
        worth = cost(value, resolve, _WORTH)
        if worth * elsewhere >= _WORTH and joins(value):
            found.append((-worth, position, value))
    return [value for _, _, value in sorted(found, key=lambda entry: entry[:2])]


def first_kept(readers: Readers, root: Lazy, product: Lazy, resolve: Resolve) -> Lazy | None:
    """The value nearest to a product under a root that has readers elsewhere; None without one.

    A product is never worth computing twice.
    """
    tree = tree_of(root, resolve, deep=False)
    best: tuple[int, Lazy] | None = None
    for value in tree.values():
        if value is root or not value.multiplies or not readers.shared(value):
            continue
        if readers.outside(value, tree):
            size = len(tree_of(value, resolve, deep=False))
            if best is None or size < best[0]:
                best = (size, value)
    return None if best is None or best[1] is product else best[1]


def too_large(root: Lazy, resolve: Resolve) -> bool:
    """Whether a tree has more operations, shared ones counted once, than one kernel should."""
    if root.weight <= MOST_WEIGHT:
        return False
    count = sum(
        isinstance(value, (Apply, Reduced, Pick)) for value in tree_of(root, resolve).values()
    )
    if count <= MOST_WEIGHT and isinstance(root, Apply):
        root.weight = count
    return count > MOST_WEIGHT


def worth_storing_before_spreading(value: Lazy, size: int, resolve: Resolve) -> bool:
    """Whether a value read by every element of a shape of ``size`` should be stored before."""
    if value.folds or not isinstance(value, Apply):
        return False
    count = 1
    for extent in value.shape:
        count *= extent
    if count < _LEAST_SPREAD or size < _SPREAD * count:
        return False
    return cost(value, resolve, _COSTLY) >= _COSTLY
