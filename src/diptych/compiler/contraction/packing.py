"""Packing: copies a block of an operand into panels that the register tile reads in order.

A panel holds, for each step along k, ``width`` neighbouring rows of A (or columns of B) side by
side: ``[k][width]``. The source has any strides: unit stride across the panel is a copy, unit
stride along k a transposition in registers, anything else goes one element at a time. Elements are
converted to the computing type on the way, or joined in pairs along k for the bfloat16 dot
instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from diptych.compiler.contraction.blocking import Tile
from diptych.compiler.contraction.convert import storage, widen
from diptych.compiler.contraction.spec import LLVM_TYPES
from diptych.compiler.contraction.storing import interleave
from diptych.compiler.llvm.writer import Module, Value, constant, vector
from diptych.compiler.target import Target
from diptych.core.dtypes import DType


class PackWriter:
    """Writes ``name(source, target, units, elements, valid, across, along, width)``.

    Packs ``units`` steps along k of ``lanes`` neighbours, of which ``valid`` exist (the rest become
    zeros), to rows ``width`` units apart. ``elements`` are the elements along k (odd for a last
    half pair); ``across`` and ``along`` are the source's strides in elements.
    """

    def __init__(
        self,
        module: Module,
        name: str,
        dtype: DType,
        tile: Tile,
        lanes: int,
        target: Target,
        dense: bool,
    ) -> None:
        self.dense = dense  # ``width`` is always ``lanes``
        self.tile = tile
        self.target = target
        self.lanes = lanes
        self.kind = LLVM_TYPES[dtype.name]
        self.stored = storage(self.kind)
        self.size = dtype.itemsize
        names = ["units", "elements", "valid", "across", "along", "width"]
        self.f = module.function(
            name,
            [("ptr", "source"), ("ptr", "target"), *(("i64", n) for n in names)],
            internal=True,
        )

    def write(self) -> None:
        f = self.f
        self.source, self.target_pointer, *rest = f.parameters
        self.units, self.elements, self.valid, self.across, self.along, self.width = rest

        def other() -> Sequence[Value]:
            f.choose(f.compare("eq", self.along, 1), self._transposed, self._by_element)
            return []

        f.choose(f.compare("eq", self.across, 1), self._copied, other)
        f.ret()

    # -- places ---------------------------------------------------------------------------------

    def _from(self, k: Value, lane: Value) -> Value:
        f = self.f
        p = f.offset(self.source, f.mul(k, self.along), self.stored)
        return f.offset(p, f.mul(lane, self.across), self.stored)

    def _to(self, unit: Value) -> Value:
        return self.f.offset(self.target_pointer, self.f.mul(unit, self.width), self.tile.unit)

    def _unit(self, value: Value) -> Value:
        """A loaded value in the computing type."""
        return widen(self.f, value, self.kind, self.tile.acc, self.target)

    # -- the three ways -------------------------------------------------------------------------

    def _copied(self) -> Sequence[Value]:
        """Neighbours are contiguous: one vector for each step along k."""
        f = self.f
        whole = f.compare("sge", self.valid, self.lanes)

        def unmasked() -> Sequence[Value]:
            self._copy_loop(None)
            return []

        def masked() -> Sequence[Value]:
            self._copy_loop(f.first_lanes(self.valid, self.lanes, 8 * self.size))
            return []

        f.choose(whole, unmasked, masked)
        return []

    def _copy_loop(self, mask: Value | None) -> None:
        f, loaded = self.f, vector(self.lanes, self.stored)

        def row(k: Value) -> Value:
            where = self._from(k, constant("i64", 0))
            return f.load(loaded, where) if mask is None else f.masked_load(loaded, where, mask)

        whole = f.binary("lshr", self.elements, self.tile.step - 1)
        with f.loop(0, whole if self.tile.pairs else self.units) as loop:
            if self.tile.pairs:
                k = f.mul(loop.index, 2)
                value = self._paired(row(k), row(f.add(k, 1)))
            else:
                value = self._unit(row(loop.index))
            f.store(value, self._to(loop.index), align=self.tile.unit_bytes)
        if self.tile.pairs:
            with f.when(f.compare("slt", whole, self.units)):  # the last pair is a half
                value = self._paired(row(f.mul(whole, 2)), constant(loaded, 0))
                f.store(value, self._to(whole), align=self.tile.unit_bytes)

    def _paired(self, even: Value, odd: Value) -> Value:
        order = [i // 2 + (i % 2) * self.lanes for i in range(2 * self.lanes)]
        return self.f.shuffle(even, order, odd)

    def _transposed(self) -> Sequence[Value]:
        """Steps along k are contiguous: ``tile.lanes`` at a time are turned in registers."""
        f, lanes, block = self.f, self.lanes, self.tile.lanes
        # Whole blocks of existing elements and rows take the quick loop, the rest the masked one.
        existing = f.binary("lshr", self.elements, self.tile.step - 1)
        every = f.compare("sge", self.valid, lanes)
        quick = f.select(every, f.binary("and", existing, -block), constant("i64", 0))

        def rows(start: Value, masks: Sequence[Value] | None) -> list[Value]:
            k = f.mul(start, self.tile.step)
            last = f.sub(self.valid, 1)
            return [
                self._row_along(
                    self._from(k, f.minimum(last, lane)), masks[lane] if masks is not None else None
                )
                for lane in range(lanes)
            ]

        with f.loop(0, quick, block) as loop:
            self._put_block(interleave(f, rows(loop.index, None)), loop.index)
        room = f.stack(self.tile.unit, lanes * block)

        def parts(masks: Callable[[Value], list[Value]]) -> Sequence[Value]:
            with f.loop(quick, self.units, block) as loop:
                left = f.sub(self.elements, f.mul(loop.index, self.tile.step))
                mixed = interleave(f, rows(loop.index, masks(left)))
                left_units = f.minimum(f.sub(self.units, loop.index), block)
                self._put_part(mixed, loop.index, left_units, room)
            return []

        # Short runs (the taps of a convolution) come here often: one mask where all rows exist.
        f.choose(every, lambda: parts(self._same_masks), lambda: parts(self._row_masks))
        return []

    def _same_masks(self, left: Value) -> list[Value]:
        """The next elements along k that exist, the same for each lane."""
        number = self.tile.lanes * self.tile.step
        return [self.f.first_lanes(left, number, 8 * self.size)] * self.lanes

    def _row_masks(self, left: Value) -> list[Value]:
        """For each lane of the panel, which of the next elements along k exist."""
        f, number = self.f, self.tile.lanes * self.tile.step
        exists = [f.compare("sgt", self.valid, lane) for lane in range(self.lanes)]
        zero = constant("i64", 0)
        return [f.first_lanes(f.select(here, left, zero), number, 8 * self.size) for here in exists]

    def _row_along(self, where: Value, mask: Value | None) -> Value:
        """``tile.lanes`` units along k from one row of the source."""
        f, type_ = self.f, vector(self.tile.lanes * self.tile.step, self.stored)
        value = f.load(type_, where) if mask is None else f.masked_load(type_, where, mask)
        if self.tile.pairs:
            return f.cast("bitcast", value, vector(self.tile.lanes, "i32"))
        return self._unit(value)

    def _put_block(self, mixed: Sequence[Value], start: Value) -> None:
        """Store ``[k][lane]`` vectors."""
        f, lanes, block = self.f, self.lanes, self.tile.lanes
        piece = block if self.dense else min(lanes, block)
        for index, value in enumerate(mixed):
            for part in range(block // piece):
                at = index * block + part * piece
                row = self._to(f.add(start, at // lanes))
                where = f.offset(row, at % lanes, self.tile.unit) if at % lanes else row
                chosen = range(part * piece, (part + 1) * piece)
                f.store(
                    value if piece == block else f.shuffle(value, chosen),
                    where,
                    align=self.tile.unit_bytes,
                )

    def _put_part(self, mixed: Sequence[Value], start: Value, count: Value, room: Value) -> None:
        """Store the first ``count`` steps of ``[k][lane]`` vectors, if need be by the stack."""
        f, lanes, block = self.f, self.lanes, self.tile.lanes
        if lanes == block:
            for index, value in enumerate(mixed):
                with f.when(f.compare("sgt", count, index)):
                    where = self._to(f.add(start, index))
                    f.store(value, where, align=self.tile.unit_bytes)
            return
        for index, value in enumerate(mixed):
            f.store(value, f.offset(room, index * block, self.tile.unit))
        whole = vector(lanes, self.tile.unit)
        with f.loop(0, count) as loop:
            value = f.load(whole, f.offset(room, f.mul(loop.index, lanes), self.tile.unit))
            f.store(value, self._to(f.add(start, loop.index)), align=self.tile.unit_bytes)

    def _by_element(self) -> Sequence[Value]:
        """Any strides."""
        f = self.f

        def element(k: Value, lane: Value) -> Value:
            return f.load(self.stored, self._from(k, lane))

        count = f.minimum(self.valid, self.lanes)
        with f.loop(0, self.units) as steps:
            row = self._to(steps.index)
            f.store(
                constant(vector(self.lanes, self.tile.unit), 0), row, align=self.tile.unit_bytes
            )
            with f.loop(0, count) as lane:
                where = f.offset(row, lane.index, self.tile.unit)
                if self.tile.pairs:
                    self._pair(element, steps.index, lane.index, where)
                else:
                    f.store(self._unit(element(steps.index, lane.index)), where)
        return []

    def _pair(
        self, element: Callable[[Value, Value], Value], unit: Value, lane: Value, where: Value
    ) -> None:
        """Two neighbours along k, or the last one and the zero that is there."""
        f = self.f
        k = f.mul(unit, 2)
        f.store(element(k, lane), where)
        odd = f.add(k, 1)
        with f.when(f.compare("slt", odd, self.elements)):
            f.store(element(odd, lane), f.offset(where, 1, "i16"))
