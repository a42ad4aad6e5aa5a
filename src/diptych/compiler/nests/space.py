"""What row and column kernels share: the descriptor's numbers, addresses, loads and stores."""

from __future__ import annotations

from dataclasses import dataclass, field

from diptych.compiler.llvm.writer import (
    Function,
    Value,
    lanes_of,
    vector,
)
from diptych.compiler.nests.conversion import memory_type, narrow, widen
from diptych.compiler.nests.evaluation import evaluate
from diptych.compiler.target import Target
from diptych.core.dtypes import DType
from diptych.loops.expression import (
    Constant,
    Expression,
    InnerIndex,
    Load,
    LoadAt,
    OuterIndex,
    walk,
)
from diptych.loops.nest import Access, Nest, Operand, per_row


@dataclass
class Descriptor:
    """Where a kernel's numbers lie: ``outer`` is the index of the rank, ``extra`` the strides an
    operand has beyond its outer ones."""

    w: Function
    desc: Value
    outer: int
    extra: int

    def number(self, index: int | Value) -> Value:
        return self.w.load("i64", self.w.offset(self.desc, index, "i64"))

    def stride(self, rank: Value, operand: int, axis: Value | int) -> Value:
        """The stride of an operand along an outer axis."""
        w = self.w
        each = w.add(rank, self.extra)
        start = w.add(w.add(rank, self.outer + 1), w.mul(each, operand))
        return self.number(w.add(start, axis))

    def extra_stride(self, rank: Value, operand: int, which: int) -> Value:
        """One of the strides after the outer ones."""
        return self.stride(rank, operand, self.w.add(rank, which))


@dataclass
class Space:
    """One run along the inner axis: where each operand starts, and what is known of the row."""

    w: Function
    target: Target
    nest: Nest
    bases: list[Value]
    inner_strides: list[Value]
    length: Value
    outer_index: Value
    known: dict[Expression, Value] = field(default_factory=dict)

    # -- row scalars ----------------------------------------------------------------------------

    def scalars(self, roots: list[Expression]) -> None:
        """Compute expressions with one value per row into ``known``."""
        evaluate(self.w, self.target, roots, 1, self._scalar_leaf, self.known)

    def _scalar_leaf(self, node: Expression) -> Value:
        w = self.w
        if isinstance(node, OuterIndex):
            return self.outer_index
        assert isinstance(node, Load | LoadAt), f"{node!r} is no row scalar"
        pointer = self.bases[node.operand]
        if isinstance(node, LoadAt):
            last = w.maximum(w.sub(self.length, 1), 0)
            inside = w.minimum(w.maximum(self.known[node.position], 0), last)
            pointer = self._address(node.operand, inside)
        stored = w.load(memory_type(node.dtype), pointer)
        return widen(w, self.target, node.dtype, stored)

    def _address(self, operand: int, index: Value) -> Value:
        access = self.nest.operands[operand].access
        if access is Access.BROADCAST:
            return self.bases[operand]
        if access is Access.STRIDED:
            stride = self.w.splat(self.inner_strides[operand], lanes_of(index.type))
            index = self.w.mul(index, stride)
        return self.w.offset(
            self.bases[operand], index, memory_type(self.nest.operands[operand].dtype)
        )

    def store_scalar(self, output: int, value: Value) -> None:
        operand = len(self.nest.inputs) + output
        dtype = self.nest.operands[operand].dtype
        self.w.store(narrow(self.w, self.target, dtype, value), self.bases[operand])

    # -- elements -------------------------------------------------------------------------------

    def hoist(self, roots: list[Expression], lanes: int) -> dict[Expression, Value]:
        """Compute what is the same for all elements, once, as vectors."""
        return self.hoist_beside(roots, lanes, {})

    def hoist_beside(
        self, roots: list[Expression], lanes: int, given: dict[Expression, Value]
    ) -> dict[Expression, Value]:
        """The same where ``given`` already has vectors for some expressions."""
        same = per_row(self.nest, roots, given)
        used = [node for node in roots if node in same]
        for node in walk(roots, same):
            used += [argument for argument in node.arguments() if argument in same]
        # Constants become literals in the instructions; they need no register here.
        used = [node for node in dict.fromkeys(used) if not isinstance(node, Constant)]
        self.scalars(used)
        return {node: self.w.splat(self.known[node], lanes) for node in used}

    def elements(
        self,
        roots: list[Expression],
        hoisted: dict[Expression, Value],
        index: Value,
        lanes: int,
        mask: Value | None,
    ) -> dict[Expression, Value]:
        """Values of ``roots`` at ``index`` and the lanes after it."""
        known = dict(hoisted)

        def leaf(node: Expression) -> Value:
            if isinstance(node, InnerIndex):
                return self.positions(index, lanes)
            assert isinstance(node, Load), f"{node!r} is not an element"
            return self._load(node.operand, node.dtype, index, lanes, mask)

        evaluate(self.w, self.target, roots, lanes, leaf, known)
        return known

    def positions(self, index: Value, lanes: int) -> Value:
        w = self.w
        return index if lanes == 1 else w.add(w.splat(index, lanes), w.iota(lanes))

    def _load(
        self, operand: int, dtype: DType, index: Value, lanes: int, mask: Value | None
    ) -> Value:
        w, type_ = self.w, vector(lanes, memory_type(dtype))
        if self.nest.operands[operand].access is Access.STRIDED and lanes > 1:
            if mask is None:
                stored = self._collect(operand, type_, index, lanes)
            else:
                stored = w.gather(type_, self._address(operand, self.positions(index, lanes)), mask)
        elif mask is None or lanes == 1:
            stored = w.load(type_, self._address(operand, index))
        else:
            stored = w.masked_load(type_, self._address(operand, index), mask)
        return widen(w, self.target, dtype, stored)

    def _lane_addresses(self, operand: int, index: Value, lanes: int) -> list[Value]:
        """The addresses of the lanes of a strided operand."""
        w, type_ = self.w, memory_type(self.nest.operands[operand].dtype)
        pointers = [self._address(operand, index)]
        for _ in range(1, lanes):
            pointers.append(w.offset(pointers[-1], self.inner_strides[operand], type_))
        return pointers

    def _collect(self, operand: int, type_: str, index: Value, lanes: int) -> Value:
        """Load strided lanes one by one: on the chips we know quicker than their gathers."""
        w, made = self.w, Value("poison", type_)
        element = memory_type(self.nest.operands[operand].dtype)
        for lane, pointer in enumerate(self._lane_addresses(operand, index, lanes)):
            made = w.insert(made, w.load(element, pointer), lane)
        return made

    def address(self, output: int, index: Value) -> Value:
        """Where an output's element lies."""
        return self._address(len(self.nest.inputs) + output, index)

    def store(
        self,
        output: int,
        value: Value,
        index: Value,
        lanes: int,
        mask: Value | None,
        streaming: bool = False,
    ) -> None:
        """Store elements; ``streaming`` says past the caches, where it is whole vectors."""
        w, operand = self.w, len(self.nest.inputs) + output
        described: Operand = self.nest.operands[operand]
        bits = narrow(w, self.target, described.dtype, value)
        if described.access is Access.STRIDED and lanes > 1 and mask is None:
            for lane, pointer in enumerate(self._lane_addresses(operand, index, lanes)):
                w.store(w.extract(bits, lane), pointer)
        elif described.access is Access.STRIDED and lanes > 1:
            w.scatter(bits, self._address(operand, self.positions(index, lanes)), mask)
        elif mask is None and streaming:
            size = lanes * described.dtype.itemsize
            w.store(bits, self._address(operand, index), align=size, nontemporal=True)
        elif mask is None or lanes == 1:
            w.store(bits, self._address(operand, index))
        else:
            w.masked_store(bits, self._address(operand, index), mask)


def operand_pointers(w: Function, nest: Nest, ptrs: Value) -> list[Value]:
    return [w.load("ptr", w.offset(ptrs, k, "ptr")) for k in range(len(nest.operands))]


def decode(
    w: Function, numbers: Descriptor, nest: Nest, rank: Value, row: Value
) -> tuple[Value, list[Value]]:
    """Row number -> (position on the last outer axis, offset of each operand there)."""
    last = w.sub(rank, 1)
    extent = numbers.number(w.add(last, numbers.outer + 1))
    rest, position = w.binary("udiv", row, extent), w.binary("urem", row, extent)
    count = len(nest.operands)
    offsets = [w.mul(position, numbers.stride(rank, k, last)) for k in range(count)]
    with w.loop(0, last, 1, [rest, *offsets]) as loop:
        axis = w.sub(w.sub(last, 1), loop.index)
        size = numbers.number(w.add(axis, numbers.outer + 1))
        inside = w.binary("urem", loop.carried[0], size)
        moved = [
            w.add(offset, w.mul(inside, numbers.stride(rank, k, axis)))
            for k, offset in enumerate(loop.carried[1:])
        ]
        loop.next([w.binary("udiv", loop.carried[0], size), *moved])
    return position, loop.results[1:]
