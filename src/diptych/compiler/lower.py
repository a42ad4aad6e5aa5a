"""Graph to steps: values stay unstored as long as they can be fused into what reads them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from diptych.compiler.expressions import compilable
from diptych.compiler.families import lower_family
from diptych.compiler.fuse import Builder, Built, Root
from diptych.compiler.invariants import Invariants, spread
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
    axis_map,
    move,
    walk,
)
from diptych.compiler.nests.emit import supported, unit
from diptych.compiler.products import emit_product, products
from diptych.compiler.readers import (
    MOST_FOLDS,
    Readers,
    kept_values,
    too_large,
    worth_storing_before_spreading,
)
from diptych.compiler.sharing import needed
from diptych.compiler.spaces import AxisMap, Resolve, Space, kept_map, remap, space_of, uses
from diptych.compiler.steps import HostStep, KernelStep, Lowered, Place, Storage
from diptych.compiler.target import Target
from diptych.compiler.writes import WRITERS, parts
from diptych.core.dtypes import DType, int64
from diptych.core.layout import Layout, Shape, row_major
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import GraphError
from diptych.graph.graph import Graph, Node
from diptych.loops.layout import descriptor
from diptych.ops.movement import BROADCAST
from diptych.ops.select import CAST

_MOST_USES = 1  # a product read more often than this is stored instead of becoming an epilogue
_GROUP_OUTPUTS = 8

View = Callable[[Lazy], Lazy | None]
Back = Callable[[Lazy, Place], Place | None]  # the place of a value, from that of a view of it


class Lowering:
    """Lowers one graph for one target. ``out`` is the first output's layout, if not fresh."""

    def __init__(self, graph: Graph, target: Target, out: Layout | None = None) -> None:
        self.graph = graph
        self.target = target
        self.out = out
        self.result = Lowered()
        self.values: dict[int, Lazy] = {}
        self.stored: dict[int, Stored] = {}
        self.alive: list[Lazy] = []
        self.pending: list[Lazy] = []
        self.readers = Readers(graph)
        self.origins: dict[int, tuple[Lazy, View, Back]] = {}  # views of what others read too
        self.counts: dict[int, int] = {}
        self.aranges: dict[int, Stored] = {}

    # ---- storages

    def add_storage(self, storage: Storage) -> int:
        self.result.storages.append(storage)
        return len(self.result.storages) - 1

    def fresh(self, dtype: DType, shape: Shape, kind: str = "temporary") -> Place:
        """A new row-major place."""
        size = 1
        for extent in shape:
            size *= extent
        storage = self.add_storage(Storage(kind, size * dtype.itemsize))
        return Place(storage, 0, dtype, shape, row_major(shape))

    def constant(self, tensor: Tensor) -> Lazy:
        """A tensor known at compile time: a number where it is one, else its memory."""
        place = tensor.layout
        if place.size == 1 and not place.dtype.is_complex:
            return Number(tensor.values().reshape(()).item(), place.dtype, place.shape)
        storage = self.add_storage(Storage("constant", tensor=tensor))
        return Stored(Place(storage, 0, place.dtype, place.shape, place.strides))

    def positions(self, extent: int) -> Stored:
        """A constant that holds 0, 1, ... extent - 1."""
        found = self.aranges.get(extent)
        if found is None:
            made = self.constant(copy_array(np.arange(max(extent, 2)), Tensor, int64))
            assert isinstance(made, Stored), "two elements or more are stored"
            found = self.aranges[extent] = made
        return found

    def resolve(self, lazy: Lazy) -> Lazy:
        """The stored form of a value, once it has one."""
        found = self.stored.get(id(lazy))
        if found is not None:
            return found
        origin = self.origins.get(id(lazy))
        if origin is not None:
            base = self.resolve(origin[0])
            seen = origin[1](base) if isinstance(base, Stored) else None
            if isinstance(seen, Stored):
                return self.remember(lazy, seen)
        return lazy

    def note_views(self, memo: Mapping[int, Lazy | None], view: View, back: Back) -> None:
        """Remember of rearranged trees what they are views of: once either is stored, both are."""
        for base, made in memo.items():
            form = self.readers.forms.get(base)
            if form is not None and isinstance(made, Apply) and id(made) != base:
                self.readers.enter_copy(form, made)
                if self.readers.shared(form):
                    self.origins[id(made)] = (form, view, back)

    def storable(self, lazy: Lazy) -> bool:
        """Whether storing this form of a value gives the value itself."""
        origin = self.origins.get(id(lazy))
        if origin is None:
            return True
        place = Place(-1, 0, lazy.dtype, lazy.shape, row_major(lazy.shape))
        return origin[2](origin[0], place) is not None and self.storable(origin[0])

    def seen_as(self, lazy: Lazy, axes: AxisMap, shape: Shape) -> Lazy:
        """A value through an axis map; stored before when it is costly and much is made of it."""
        if worth_storing_before_spreading(lazy, math.prod(shape), self.resolve):
            lazy = self.store(lazy)
        memo: dict[int, Lazy] = {}
        made = remap(lazy, axes, shape, self.resolve, memo)
        self.note_views(
            memo,
            lambda base: remap(base, axes, shape, self.resolve, {}),
            lambda base, place: turned_back(base, place, axes),
        )
        return made

    # ---- the walk over the graph

    def run_nodes(self, last: Sequence[Node] = ()) -> None:
        """Enter inputs and constants, and lower every node but those that come last."""
        graph = self.graph
        for index, value in enumerate(graph.inputs):
            place = graph.layouts[value]
            storage = self.add_storage(Storage("input", index=index))
            self.values[value] = Stored(Place(storage, 0, place.dtype, place.shape, place.strides))
        for value, tensor in graph.constants.items():
            self.values[value] = self.constant(tensor)
        for node in graph.nodes:
            for operand in node.operands:
                self.counts[operand] = self.counts.get(operand, 0) + 1
        for value in graph.outputs:
            self.counts[value] = self.counts.get(value, 0) + 1
        later = {id(node) for node in last}
        for node in graph.nodes:
            if id(node) not in later:
                self.lower(node)

    def last_views(self) -> list[Node]:
        """Movements of which nothing but outputs is made: what they move may be stored with others.

        Lowering one may store its operand; that waits until all that is asked for is known.
        """
        graph = self.graph
        read = {value for node in graph.nodes for value in node.operands}
        return [
            node
            for node in graph.nodes
            if node.op.family == "movement" and read.isdisjoint(node.results)
        ]

    def run(self) -> Lowered:
        """Lower every node, then store the outputs."""
        graph = self.graph
        last = self.last_views()
        self.run_nodes(last)
        asked = [value for node in last for value in node.operands]
        asked += [value for value in graph.outputs if value in self.values]
        outputs = [self.values[value] for value in dict.fromkeys(asked)]
        self.pending = outputs + needed(outputs, self.resolve)
        for node in last:
            self.lower(node)
        for index, value in enumerate(graph.outputs):
            self.result.outputs.append(self.output(self.values[value], index))
        return self.result

    def lower(self, node: Node) -> None:
        """Record what a node's results are, storing as little as possible."""
        family = node.op.family
        method = getattr(self, f"lower_{family}", None)
        made: tuple[Lazy, ...] | None
        if method is not None:
            single = method(node)
            made = None if single is None else (single,)
        else:
            made = lower_family(self, node)
        if made is None:
            self.host(node)
            return
        self.alive.extend(made)
        for value, lazy in zip(node.results, made, strict=True):
            self.values[value] = lazy
            if not isinstance(lazy, Stored):
                self.readers.enter(value, lazy)

    def operands(self, node: Node) -> list[Lazy]:
        return [self.resolve(self.values[value]) for value in node.operands]

    def shape(self, node: Node) -> Shape:
        return self.graph.layouts[node.results[0]].shape

    def dtype(self, node: Node) -> DType:
        return self.graph.layouts[node.results[0]].dtype

    # ---- families

    def lower_elementwise(self, node: Node) -> Lazy | None:
        args = self.operands(node)
        dtype, shape = self.dtype(node), self.shape(node)
        kinds = tuple(arg.dtype for arg in args)
        if not compilable(node.op, node.params[0], kinds, dtype, self.target):
            return None
        while True:
            aligned = []
            for arg in args:
                axes = axis_map(BROADCAST, (shape,), arg.shape, shape)
                assert axes is not None, "a broadcast only rearranges axes"
                aligned.append(arg if arg.shape == shape else self.seen_as(arg, axes, shape))
            made = Apply(node.op, node.params, tuple(aligned), dtype, shape)
            if not too_large(made, self.resolve):
                return made
            heaviest = max(range(len(args)), key=lambda k: args[k].weight)
            args[heaviest] = self.store(args[heaviest])

    def lower_movement(self, node: Node) -> Lazy | None:
        writer = WRITERS.get(node.op.name)
        if writer is not None:
            return writer(self, node)
        if node.op.view is None:
            return None
        source = self.operands(node)[0]
        shape = self.shape(node)
        axes = axis_map(node.op, node.params, source.shape, shape)
        if axes is not None:
            return self.seen_as(source, axes, shape)
        if node.op.name == "as_strided":  # it counts in row-major memory, wherever the value is
            stored = self.store(source)
            if not stored.place.layout.contiguous:
                stored = self.copied(stored)
            return move(stored, node.op, node.params, shape, {})
        memo: dict[int, Lazy | None] = {}
        made = move(source, node.op, node.params, shape, memo)
        if made is not None:
            self.note_views(
                memo,
                lambda base: move(base, node.op, node.params, shape, {}),
                reshaped_back if node.op.name == "reshape" else lambda base, place: None,
            )
        else:
            stored = self.store(source)
            made = move(stored, node.op, node.params, shape, {})
            if made is None:  # strides that no view can express: copy to row-major first
                made = move(self.copied(stored), node.op, node.params, shape, {})
        return made

    def lower_reduction(self, node: Node) -> Lazy | None:
        source = self.operands(node)[0]
        dtype = self.dtype(node)
        axes: Shape
        computing: DType
        if node.op.name in ("argmax", "argmin"):
            axes, computing = (node.params[0],), source.dtype
        else:
            axes, computing = node.params
        if computing.is_complex or source.dtype.is_complex:
            return None
        if not axes:
            return Apply(CAST, (dtype,), (source,), dtype, source.shape)
        if products(source, self.resolve) or source.folds >= MOST_FOLDS:
            source = self.store(source)
        return Reduced(node.op.name, source, tuple(axes), computing, dtype, self.shape(node))

    def lower_iota(self, node: Node) -> Lazy | None:
        shape, axis, dtype = node.params
        position = Position(axis, shape)
        if dtype is int64:
            return position
        return Apply(CAST, (dtype,), (position,), dtype, shape)

    def lower_pick(self, node: Node) -> Lazy | None:
        source, index = self.operands(node)
        axis = node.params[0]
        stored = self.store(source)
        if axis != len(source.shape) - 1 or stored.dtype.is_complex:
            return None
        if any(
            n != m
            for k, (n, m) in enumerate(zip(source.shape, index.shape, strict=True))
            if k != axis
        ):
            return None
        return Pick(stored, index, axis)

    def lower_contraction(self, node: Node) -> Lazy | None:
        a, b = (self.store(x).place for x in self.operands(node))
        dtype, shape = self.dtype(node), self.shape(node)
        if not dtype.is_float:
            return None
        product = Product(a, b, dtype, shape)
        if self.counts.get(node.results[0], 0) > _MOST_USES:
            return self.store(product)
        return product

    # ---- storing

    def cast(self, lazy: Lazy, dtype: DType) -> Lazy:
        if lazy.dtype is dtype:
            return lazy
        return Apply(CAST, (dtype,), (lazy,), dtype, lazy.shape)

    def host_cast(self, lazy: Lazy, dtype: DType) -> Lazy:
        """The value in a dtype to or from which kernels do not convert: NumPy does it."""
        if lazy.dtype is dtype:
            return lazy
        stored, made = self.store(lazy).place, self.fresh(dtype, lazy.shape)
        node = Node(CAST, (), (dtype,), (), "")
        self.result.steps.append(HostStep(node, (stored,), (made,)))
        return Stored(made)

    def output(self, lazy: Lazy, index: int) -> Place:
        """Where an output lies: an operand's own memory when it is one, else fresh memory."""
        into = self.out if index == 0 else None
        lazy = self.resolve(lazy)
        if into is not None:
            storage = self.add_storage(Storage("output", into.nbytes))
            place = Place(storage, 0, into.dtype, into.shape, into.strides)
            if into.dtype.is_complex or lazy.dtype.is_complex:
                lazy = self.host_cast(lazy, into.dtype)
            self.write(self.cast(lazy, into.dtype), place)
            return place
        stored = self.store(lazy, "output")
        kind = self.result.storages[stored.place.storage].kind
        if kind == "constant":
            return self.copied(stored, "output").place
        if kind == "temporary":
            self.result.storages[stored.place.storage].kind = "output"
        return stored.place

    def copied(self, stored: Stored, kind: str = "temporary") -> Stored:
        """A row-major copy."""
        place = self.fresh(stored.dtype, stored.shape, kind)
        self.write(stored, place)
        return Stored(place)

    def store(self, lazy: Lazy, kind: str = "temporary") -> Stored:
        """The value in memory; computes it, together with pending outputs of the same group."""
        lazy = self.resolve(lazy)
        if isinstance(lazy, Stored):
            return lazy
        if isinstance(lazy, Moved):
            base = self.store(lazy.base)
            seen = remap(base, lazy.axes, lazy.shape, self.resolve, {})
            assert isinstance(seen, Stored), "a stored value stays stored"
            return self.remember(lazy, seen)
        place = self.fresh(lazy.dtype, lazy.shape, kind)
        self.emit([(lazy, place)], join=True)
        return self.stored[id(lazy)]

    def remember(self, lazy: Lazy, stored: Stored) -> Stored:
        self.stored[id(lazy)] = stored
        self.alive += [lazy, stored]
        origin = self.origins.get(id(lazy))
        if origin is not None and id(origin[0]) not in self.stored:
            place = origin[2](origin[0], stored.place)
            plain = place is not None and place.layout.contiguous
            if place is not None and (plain or not self.readers.is_output(origin[0])):
                self.remember(origin[0], Stored(place))
        return stored

    def write(self, lazy: Lazy, place: Place) -> None:
        """Compute a value into a given place."""
        lazy = self.resolve(lazy)
        if place.dtype.is_complex:  # kernels have no complex values, but they can copy the parts
            if not isinstance(lazy, Number):
                stored = self.store(lazy)
                assert stored.dtype is place.dtype, "the host converts complex values"
                lazy = Stored(parts(stored.place))
            place = parts(place)
            if isinstance(lazy, Number):
                assert lazy.value == 0, "other complex numbers are stored"
                lazy = Number(0, place.dtype, place.shape)
        if isinstance(lazy, (Moved, Product)) and not (
            isinstance(lazy, Product) and lazy.dtype is place.dtype
        ):
            lazy = self.store(lazy)
        if isinstance(lazy, (Stored, Number, Position, Pick)):
            lazy = Apply(CAST, (lazy.dtype,), (lazy,), lazy.dtype, lazy.shape)
            self.alive.append(lazy)
        self.emit([(lazy, place)], join=False)

    def write_anew(self, lazy: Lazy, place: Place) -> None:
        """Compute a value into a place that changes afterwards: it is not where the value lies."""
        lazy = self.resolve(lazy)
        self.write(lazy, place)
        form: Lazy | None = lazy
        while form is not None:  # what it is a view of was remembered with it
            found = self.stored.get(id(form))
            if found is not None and found.place.storage == place.storage:
                del self.stored[id(form)]
            origin = self.origins.get(id(form))
            form = origin[0] if origin is not None else None

    # ---- groups

    def settle(self, lazy: Lazy, columns_too: bool) -> tuple[Space | None, bool]:
        """Store what cannot be grouped with ``lazy``; its space (None: pointwise) and kept-ness."""
        while True:
            found = uses(lazy, self.resolve)
            if not found:
                return None, False
            space = space_of(found[0][0])
            full = lazy.shape == space.shape
            if full and not all(
                space_of(base) == space and space.spreads(kept_map(base, axes))
                for base, axes in found
            ):
                full = False
            kept = not full and all(
                space_of(base) == space and space.injects(kept_map(base, axes), lazy.shape)
                for base, axes in found
            ) and len({kept_map(base, axes) for base, axes in found}) == 1  # fmt: skip
            if (full and (columns_too or self.prefers_rows(space, found))) or kept:
                bad = next((base for base, _ in found if self.unsettled(base, space)), None)
                if bad is not None:
                    self.store(inner_of(bad))
                    continue
                if full or self.prefers_rows(space, found) or not self.nested([lazy]):
                    return space, kept
                # Columns are reduced one after another: what a reduction reads comes first.
                deeper = [
                    below for base, _ in found for below, _ in uses(inner_of(base), self.resolve)
                ]
                if any(isinstance(base, Pick) for base in deeper):
                    return space, kept
                self.store(deeper[0])
                continue
            foreign = [base for base, _ in found if base is not lazy]
            if not foreign:
                return space, kept
            self.store(foreign[0])

    def unsettled(self, base: Lazy, space: Space) -> bool:
        """Whether a reduction's argument holds reductions that this space does not line up with."""
        inner = inner_of(base)
        found = uses(inner, self.resolve)
        if isinstance(base, Pick):
            return bool(found)
        return any(
            space_of(deeper) != space
            or not space.spreads(kept_map(deeper, axes))
            or self.unsettled(deeper, space)
            for deeper, axes in found
        )

    def prefers_rows(self, space: Space, found: list[tuple[Lazy, Any]]) -> bool:
        """Whether the reduced axes hold the unit stride of most elements that are read."""
        if any(isinstance(base, Pick) for base, _ in found):
            return True
        votes = 0
        for base, _ in found:
            stack: list[Lazy] = [base]
            seen: set[int] = set()
            while stack:
                value = self.resolve(stack.pop())
                if id(value) in seen:
                    continue
                seen.add(id(value))
                if isinstance(value, Stored) and value.shape == space.shape:
                    steps = list(zip(value.shape, value.place.strides, strict=True))
                    units = [axis for axis, (n, s) in enumerate(steps) if n != 1 and abs(s) == 1]
                    if units:
                        weight = math.prod(n for n, s in steps if s)  # not what is broadcast
                        votes += weight if units[-1] in space.axes else -weight
                elif isinstance(value, Apply):
                    stack.extend(value.args)
                elif isinstance(value, Reduced) and value is base:
                    stack.append(value.arg)
        return votes >= 0

    def emit(self, wanted: list[tuple[Lazy, Place]], join: bool) -> None:
        """Add the steps that compute a value into its place, with ``join`` its partners too."""
        lazy, place = wanted[0]
        if emit_product(self, lazy, place):
            self.remember(lazy, Stored(place))
            return
        self.storeproducts(lazy)
        while True:
            space, _ = self.settle(lazy, columns_too=False)
            asked = kept_values(self.readers, lazy, self.resolve, self.storable)
            apart = next((x for x in asked if not self.joins(x, lazy, space)), None)
            if apart is None:
                break
            self.store(apart)
        group = [(lazy, place), *self.partners(lazy, space, asked, join)]
        self.store_invariants([value for value, _ in group])
        if space is None:
            space = Space(lazy.shape, ())
            builder = Builder(space, self.resolve, self.positions)
            built: Built | None = builder.pointwise([self.full_root(x, p) for x, p in group])
        else:
            built = self.build_reducing(space, group)
            if built is None and len(group) > 1:
                group = group[:1]
                built = self.build_reducing(space, group)
        if built is None:
            self.split(lazy, place)
            return
        self.add_nest(built, pointwise=not space.axes)
        for value, where in group:
            self.remember(value, Stored(where))

    def store_invariants(self, roots: Sequence[Lazy]) -> None:
        """Store what a nest of these values would compute for each element, and need not."""
        found = Invariants(self.resolve)
        for root in roots:
            found.search(root)
            for base, _ in uses(root, self.resolve):
                found.search(inner_of(base))
        groups: dict[Shape, list[tuple[Lazy, Lazy, Place]]] = {}
        for value in found.found.values():
            small = found.narrowed(value)
            group = groups.setdefault(small.shape, [])
            if len(group) < _GROUP_OUTPUTS:
                group.append((value, small, self.fresh(small.dtype, small.shape)))
        for shape, group in groups.items():
            builder = Builder(Space(shape, ()), self.resolve, self.positions)
            self.add_nest(builder.pointwise([self.full_root(x, p) for _, x, p in group]))
            for wide, _, place in group:
                self.remember(wide, spread(place, wide.shape))
        self.alive += found.alive

    def partners(
        self, lazy: Lazy, space: Space | None, asked: list[Lazy], join: bool
    ) -> list[tuple[Lazy, Place]]:
        """Values that the same nest can store: those of its own that others read, and pending."""
        found = {id(other): other for other in asked[: _GROUP_OUTPUTS - 1]}
        for other in self.waiting(lazy, space) if join else ():
            if len(found) + 1 >= _GROUP_OUTPUTS:
                break
            other = self.resolve(other)
            if other is lazy or isinstance(other, (Stored, Moved, Product, Number, Position)):
                continue
            if not products(other, self.resolve) and self.joins(other, lazy, space):
                found[id(other)] = other
        return [(other, self.fresh(other.dtype, other.shape)) for other in found.values()]

    def waiting(self, lazy: Lazy, space: Space | None) -> list[Lazy]:
        """Pending values that the nest of ``lazy`` may be able to store; of many, relatives."""
        self.pending = [x for x in self.pending if id(x) not in self.stored]
        if space is not None:
            return [x for x in self.pending if x.folds]
        found = [x for x in self.pending if x.shape == lazy.shape and not x.folds]
        if len(found) <= _GROUP_OUTPUTS:
            return found
        read = storages_of(lazy, self.resolve)
        return [x for x in found if not read.isdisjoint(storages_of(x, self.resolve))]

    def joins(self, other: Lazy, lazy: Lazy, space: Space | None) -> bool:
        """Whether the nest of ``lazy`` can store ``other`` without storing anything first."""
        found = uses(other, self.resolve)
        if space is None:
            return not found and other.shape == lazy.shape
        if not found:
            rows = other.shape == space.shape and other.weight > 0
            return rows and self.prefers_rows(space, uses(lazy, self.resolve))
        if any(space_of(base) != space or self.unsettled(base, space) for base, _ in found):
            return False
        maps = {kept_map(base, axes) for base, axes in found}
        rows = self.prefers_rows(space, uses(lazy, self.resolve))
        if other.shape == space.shape and all(space.spreads(axes) for axes in maps):
            return rows
        if not rows and self.nested([other]):
            return False
        return len(maps) == 1 and all(space.injects(axes, other.shape) for axes in maps)

    def full_root(self, lazy: Lazy, place: Place) -> Root:
        return Root(lazy, place, place.strides, kept=False)

    def kept_root(self, lazy: Lazy, place: Place, space: Space) -> Root:
        """A once-per-row value, lifted to the full space."""
        base, axes = uses(lazy, self.resolve)[0]
        lift = space.lift(kept_map(base, axes))
        lifted = remap(lazy, lift, space.shape, self.resolve, {})
        self.alive.append(lifted)
        strides = tuple(0 if axis is None else place.strides[axis] for axis in lift)
        return Root(lifted, place, strides, kept=True)

    def build_reducing(self, space: Space, group: list[tuple[Lazy, Place]]) -> Built | None:
        """A row nest or a column nest of a group over one space, by where the unit strides lie."""
        roots = []
        for lazy, place in group:
            full = lazy.shape == space.shape and all(
                space.spreads(kept_map(base, axes)) for base, axes in uses(lazy, self.resolve)
            )
            roots.append(
                self.full_root(lazy, place) if full else self.kept_root(lazy, place, space)
            )
        rows_first = self.prefers_rows(space, uses(group[0][0], self.resolve))
        columns_possible = all(root.kept for root in roots) and not self.nested(
            [lazy for lazy, _ in group]
        )
        order = ["rows", "columns"] if rows_first else ["columns", "rows"]
        for kind in order:
            if kind == "columns" and not columns_possible:
                continue
            builder = Builder(space, self.resolve, self.positions)
            built = builder.rows(roots) if kind == "rows" else builder.columns(roots)
            if built is not None:
                return built
        return None

    def nested(self, group: Sequence[Lazy]) -> bool:
        """Whether a reduction of the group reads another one, or a pick: columns cannot do that."""
        for lazy in group:
            for base, _ in uses(lazy, self.resolve):
                if isinstance(base, Pick) or uses(inner_of(base), self.resolve):
                    return True
        return False

    def split(self, lazy: Lazy, place: Place) -> None:
        """Reduce over axes that do not merge in two steps: the last of them first."""
        bases = [base for base, _ in uses(lazy, self.resolve)]
        for base in bases:
            assert isinstance(base, Reduced), "picks have one axis"
            first, last = base.axes[:-1], base.axes[-1]
            shape = tuple(n for axis, n in enumerate(base.arg.shape) if axis != last)
            if not first:
                raise GraphError(
                    f"lowering: no nest reduces axis {last} of shape {list(base.arg.shape)}"
                )
            inner = Reduced(base.name, base.arg, (last,), base.computing, base.computing, shape)
            stored = self.store(inner)
            outer = Reduced(base.name, stored, first, base.computing, base.dtype, base.shape)
            if base is lazy:
                self.alive.append(outer)
                self.emit([(outer, place)], join=False)
                self.remember(lazy, Stored(place))
                return
            self.remember(base, self.store(outer))
        self.emit([(lazy, place)], join=False)

    def add_nest(self, built: Built, pointwise: bool = False) -> None:
        numbers = descriptor(built.nest, built.layout)
        if not supported(built.nest, self.target):
            raise GraphError("lowering: a nest holds an operation that kernels do not have")
        self.result.steps.append(
            KernelStep(unit(built.nest, self.target), tuple(numbers), built.operands, pointwise)
        )

    # ---- products

    def storeproducts(self, lazy: Lazy) -> None:
        """Store the products under a value whose nest is not an epilogue."""
        for product in products(lazy, self.resolve):
            if product is not lazy:
                self.store(product)

    # ---- host

    def host(self, node: Node) -> None:
        """Let NumPy run a node: its operands stored, its results fresh."""
        operands = tuple(self.store(x).place for x in self.operands(node))
        results = []
        for value in node.results:
            place = self.graph.layouts[value]
            made = self.fresh(place.dtype, place.shape)
            results.append(made)
            self.values[value] = Stored(made)
        self.result.steps.append(HostStep(node, operands, tuple(results)))


def lower_update(graph: Graph, target: Target, over: Sequence[int]) -> Lowered:
    """The one kernel that writes output i over input ``over[i]``: an update of tensors in place.

    Every output is elementwise in the inputs and has the shape of the input it replaces, so each
    element is read before it is written. Raises GraphError for anything else.
    """
    lowering = Lowering(graph, target)
    lowering.run_nodes()
    group = []
    for value, index in zip(graph.outputs, over, strict=True):
        lazy = lowering.resolve(lowering.values[value])
        place = lowering.values[graph.inputs[index]]
        assert isinstance(place, Stored), "inputs are stored"
        if lazy.shape != place.shape or lowering.result.steps or uses(lazy, lowering.resolve):
            raise GraphError(f"update: output {index} is not elementwise in tensors of its shape")
        group.append((lowering.cast(lazy, place.dtype), place.place))
    shape = group[0][0].shape
    if any(lazy.shape != shape for lazy, _ in group):
        raise GraphError("update: the tensors of one update must have one shape")
    builder = Builder(Space(shape, ()), lowering.resolve, lowering.positions)
    lowering.add_nest(builder.pointwise([lowering.full_root(x, p) for x, p in group]))
    return lowering.result


def turned_back(base: Lazy, place: Place, axes: AxisMap) -> Place | None:
    """The place of a value whose view through an axis map lies in ``place``; None if not all."""
    strides = [0] * len(base.shape)
    for axis, source in enumerate(axes):
        if source is not None:
            strides[source] = place.strides[axis]
    if math.prod(base.shape) != math.prod(place.shape) or not math.prod(place.shape):
        return None
    if any(n != 1 and axis not in axes for axis, n in enumerate(base.shape)):
        return None
    return Place(place.storage, place.offset, place.dtype, base.shape, tuple(strides))


def reshaped_back(base: Lazy, place: Place) -> Place | None:
    """The place of a value whose elements lie in ``place`` in their order; None if they do not."""
    if math.prod(base.shape) != math.prod(place.shape) or not place.layout.contiguous:
        return None
    return Place(place.storage, place.offset, place.dtype, base.shape, row_major(base.shape))


def storages_of(lazy: Lazy, resolve: Resolve) -> set[int]:
    """The storages that a value without reductions is computed from."""
    return {x.place.storage for x in walk([lazy], resolve) if isinstance(x, Stored)}


def inner_of(base: Lazy) -> Lazy:
    """What a reduction reduces, or the index of a pick."""
    assert isinstance(base, (Reduced, Pick)), "only these have a space"
    return base.arg if isinstance(base, Reduced) else base.index


def lower(graph: Graph, target: Target, out: Layout | None = None) -> Lowered:
    """The steps of a graph; with ``out``, the first output goes over memory of that layout."""
    return Lowering(graph, target, out).run()
