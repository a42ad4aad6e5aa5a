"""Results of phases, each a plane of its own, brought together: neighbours come from two planes."""

from __future__ import annotations

from collections.abc import Sequence

from diptych.compiler.contraction.blocking import Tile
from diptych.compiler.contraction.convert import storage
from diptych.compiler.contraction.descriptor import Descriptor
from diptych.compiler.contraction.spec import LLVM_TYPES
from diptych.compiler.contraction.storing import zips
from diptych.compiler.convolution.descriptor import Slot
from diptych.compiler.llvm.writer import Module, Value, vector
from diptych.core.dtypes import DType


class InterleaveWriter:
    """Writes ``interleave(desc, result, out, lanes, images, c0, c1, c2, z0, z1, z2)``.

    ``c`` are a unit's places along each axis and ``z`` where they start; ``result`` holds the
    phases, each with its lanes, each with the places of the unit row by row.
    """

    def __init__(self, module: Module, dtype: DType, tile: Tile) -> None:
        self.size = dtype.itemsize
        self.lanes = tile.lanes
        self.stored = storage(LLVM_TYPES[dtype.name])
        names = ["lanes", "images", "c0", "c1", "c2", "z0", "z1", "z2"]
        self.f = module.function(
            "interleave",
            [("ptr", "desc"), ("ptr", "result"), ("ptr", "out"), *(("i64", n) for n in names)],
            internal=True,
        )

    def write(self) -> None:
        f = self.f
        desc, result, out, lanes, images, *rest = f.parameters
        d = Descriptor(f, desc)
        counts, firsts = rest[:3], rest[3:]
        pairs = f.binary(
            "and",
            f.compare("eq", d[Slot.OUT_STEP + 2], 2),
            f.compare("eq", d[Slot.C_LEVELS + 3], self.size),
        )
        pairs = f.binary("and", pairs, f.compare("eq", d[Slot.RESIDUES + 2], 2))
        alone = f.binary(
            "and",
            f.compare("eq", d[Slot.OUT_STEP + 2], 1),
            f.compare("eq", d[Slot.C_LEVELS + 3], self.size),
        )
        with (
            f.loop(0, lanes, runs=True) as lane,
            f.loop(0, images, runs=True) as image,
            f.loop(0, counts[0], runs=True) as plane,
            f.loop(0, d[Slot.RESIDUES], runs=True) as high,
            f.loop(0, counts[1], runs=True) as row,
            f.loop(0, d[Slot.RESIDUES + 1], runs=True) as middle,
        ):
            at = [self._place(d, axis, firsts[axis], index, residue)
                  for axis, (index, residue) in enumerate(((plane.index, high.index),
                                                           (row.index, middle.index)))]  # fmt: skip
            inside = f.binary(
                "and", f.compare("slt", at[0][0], d[Slot.OUT_SIZE]),
                f.compare("slt", at[1][0], d[Slot.OUT_SIZE + 1]),
            )  # fmt: skip
            with f.when(inside):
                number = f.add(f.mul(high.index, d[Slot.RESIDUES + 1]), middle.index)
                phase = f.mul(number, d[Slot.RESIDUES + 2])
                source = f.offset(result, f.mul(phase, d[Slot.RESULT_PHASE]), "i8")
                source = f.offset(source, f.mul(lane.index, d[Slot.RESULT_LANE]), "i8")
                line = f.add(f.mul(image.index, counts[0]), plane.index)
                line = f.add(f.mul(line, counts[1]), row.index)
                source = f.offset(source, f.mul(f.mul(line, counts[2]), self.size), "i8")
                to = f.add(f.mul(lane.index, d[Slot.C_LANE]), f.mul(image.index, d[Slot.C_LEVELS]))
                to = f.add(to, f.add(at[0][1], at[1][1]))
                target = f.offset(out, to, "i8")
                left = f.sub(d[Slot.OUT_SIZE + 2], f.mul(firsts[2], d[Slot.OUT_STEP + 2]))
                length = f.minimum(left, f.mul(counts[2], d[Slot.OUT_STEP + 2]))
                span = (source, target, length, counts[2])
                f.choose(pairs, lambda span=span: self._zip(d, *span),  # type: ignore[misc]
                         lambda span=span: self._other(d, alone, *span))  # type: ignore[misc]  # fmt: skip
        f.ret()

    def _place(
        self, d: Descriptor, axis: int, first: Value, index: Value, residue: Value
    ) -> tuple[Value, Value]:
        """(place in C along an axis, bytes from the unit's first place there)."""
        f = self.f
        near = f.add(f.mul(index, d[Slot.OUT_STEP + axis]), residue)
        far = f.add(near, f.mul(first, d[Slot.OUT_STEP + axis]))
        return far, f.mul(near, d[Slot.C_LEVELS + 1 + axis])

    def _zip(
        self, d: Descriptor, source: Value, target: Value, length: Value, count: Value
    ) -> Sequence[Value]:
        """Neighbours from two phases: two vectors make two."""
        f, lanes, size = self.f, self.lanes, self.size
        type_ = vector(lanes, self.stored)
        with f.loop(0, count, lanes) as loop:
            even = f.offset(source, loop.index, self.stored)
            odd = f.offset(even, d[Slot.RESULT_PHASE], "i8")
            pair = f.load(type_, even), f.load(type_, odd)
            at = f.mul(loop.index, 2)
            to = f.offset(target, at, self.stored)
            halves = [f.shuffle(pair[0], order, pair[1]) for order in zips(pair[0])]
            left = f.sub(length, at)

            def whole(to: Value = to, halves: list[Value] = halves) -> Sequence[Value]:
                for number, half in enumerate(halves):
                    f.store(half, f.offset(to, number * lanes, self.stored))
                return []

            def part(
                to: Value = to, halves: list[Value] = halves, left: Value = left
            ) -> Sequence[Value]:
                for number, half in enumerate(halves):
                    rest = f.maximum(f.sub(left, number * lanes), 0)
                    mask = f.first_lanes(rest, lanes, 8 * size)
                    f.masked_store(half, f.offset(to, number * lanes, self.stored), mask)
                return []

            f.choose(f.compare("sge", left, 2 * lanes), whole, part)
        return []

    def _other(
        self, d: Descriptor, alone: Value, source: Value, target: Value, length: Value, count: Value
    ) -> Sequence[Value]:
        """Whole rows of one phase, or elements one at a time."""
        f = self.f

        def row() -> Sequence[Value]:
            f.call("memcpy", "ptr", [target, source, f.mul(length, self.size)])
            return []

        def elements() -> Sequence[Value]:
            with f.loop(0, d[Slot.RESIDUES + 2], runs=True) as low:
                plane = f.offset(source, f.mul(low.index, d[Slot.RESULT_PHASE]), "i8")
                with f.loop(0, count, runs=True) as loop:
                    at = f.add(f.mul(loop.index, d[Slot.OUT_STEP + 2]), low.index)
                    with f.when(f.compare("slt", at, length)):
                        value = f.load(self.stored, f.offset(plane, loop.index, self.stored))
                        f.store(value, f.offset(target, f.mul(at, d[Slot.C_LEVELS + 3]), "i8"))
            return []

        f.choose(alone, row, elements)
        return []
