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
_LOAD = 6
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
    """The readers of a graph's values, and the unstored forms that the values have.

    A form is the tree that would compute a value, or a copy of it seen through a movement.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers: dict[int, list[Node]] = {}
        for node in graph.nodes:
            for operand in dict.fromkeys(node.operands):
                self.readers.setdefault(operand, []).append(node)
        self.outputs = set(graph.outputs)
        self.names: dict[int, list[int]] = {}  # id of a form -> what it is in the graph
        self.forms: dict[int, Lazy] = {}
        self.views: set[int] = set()  # values that are only rearranged reductions or products

    def enter(self, value: int, lazy: Lazy) -> None:
        """Remember the form of a graph's value."""
        self.names.setdefault(id(lazy), []).append(value)
        self.forms[id(lazy)] = lazy
        if isinstance(lazy, Moved):
            self.views.add(value)

    def enter_copy(self, form: Lazy, copy: Lazy) -> None:
        """Remember that a tree is another one seen through a movement."""
        self.names[id(copy)] = self.names[id(form)]
        self.forms[id(copy)] = copy

    def is_output(self, lazy: Lazy) -> bool:
        """Whether a form is an output's."""
        return not self.outputs.isdisjoint(self.names.get(id(lazy), ()))

    def shared(self, lazy: Lazy) -> bool:
        """Whether a value is asked for more than once."""
        names = self.names.get(id(lazy), ())
        return sum(len(self.readers.get(v, ())) + (v in self.outputs) for v in names) > len(names)

    def present(self, tree: dict[int, Lazy]) -> set[int]:
        """The graph's values of which a tree holds a form."""
        return {name for form in tree for name in self.names.get(form, ())}

    def outside(self, lazy: Lazy, present: set[int]) -> int:
        """How many readers of a value, outputs included, are not among those in a tree."""
        memo: dict[int, bool] = {}

        def inside(value: int) -> bool:
            """Whether all that is made of a value is in the tree."""
            if value in present:
                return True
            if value not in self.views or value in self.outputs:
                return False
            if value not in memo:  # a view: whoever reads it may have moved on
                memo[value] = False
                readers = self.readers.get(value, ())
                memo[value] = all(inside(result) for node in readers for result in node.results)
            return memo[value]

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

    Every operand in memory but one counts, for that one is read in place of the value itself. A
    reduction counts as costly: computing it again reads all that it reduces.
    """
    total = -_LOAD
    seen: set[int] = set()
    stack = [resolve(root)]
    while stack and total < most:
        value = stack.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (Reduced, Pick, Product)):
            total += 2 * most
        elif isinstance(value, Stored) and value.place.layout.span >= value.place.layout.size:
            total += _LOAD
        total += price(value)
        stack.extend([resolve(child) for child in value.children()])
    return total


def kept_values(
    readers: Readers, root: Lazy, resolve: Resolve, storable: Callable[[Lazy], bool]
) -> list[Lazy]:
    """The values under a root to store for readers elsewhere, costly ones first."""
    tree = tree_of(root, resolve)
    present = readers.present(tree)
    found: list[tuple[int, int, Lazy]] = []
    for position, value in enumerate(tree.values()):
        if value is root or not isinstance(value, (Apply, Reduced)) or not readers.shared(value):
            continue
        elsewhere = readers.outside(value, present) if storable(value) else 0
        if not elsewhere:
            continue
        worth = cost(value, resolve, _WORTH)
        if worth * elsewhere >= _WORTH:
            found.append((-worth, position, value))
    return [value for _, _, value in sorted(found, key=lambda entry: entry[:2])]


def first_kept(readers: Readers, root: Lazy, product: Lazy, resolve: Resolve) -> Lazy | None:
    """What to store of a product that others than the tree under ``root`` need; None if none do.

    A product is never worth computing twice: this is the last value through which all readers
    get at it.
    """
    tree = tree_of(root, resolve, deep=False)
    present = readers.present(tree)
    if not any(
        value is not root and value.multiplies and readers.shared(value)
        and readers.outside(value, present)
        for value in tree.values()
    ):  # fmt: skip
        return None
    parents: dict[int, list[Lazy]] = {}
    for value in tree.values():
        for child in {id(x): x for x in map(resolve, value.children())}:
            parents.setdefault(child, []).append(value)
    last = product
    while last is not root:
        above = parents.get(id(last), [])
        if len(above) != 1 or (readers.shared(last) and readers.outside(last, present)):
            return last
        last = above[0]
    return None


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
