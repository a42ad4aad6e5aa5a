"""Programs: lowered graphs linked to code, with their memory laid out, ready to be called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from diptych.compiler.indexing.guard import GUARD
from diptych.compiler.steps import HostStep, KernelStep, Lowered, Place
from diptych.core import dtypes
from diptych.core.buffer import PooledBuffer
from diptych.core.tensor import Tensor, wrap
from diptych.graph.interpreter import evaluate
from diptych.runtime import kernels, native
from diptych.runtime.arena import plan_arena
from diptych.runtime.native import ProgramTable, Slot, Step

RELEASE_BYTES = 1 << 20  # operands from this size on: let other Python threads run meanwhile

Array = np.ndarray[Any, Any]

# What runs a step on the host; an open profiler puts one in its place that takes the time.
evaluate_host: Callable[..., Any] = evaluate


class Program:
    """A linked graph. ``run(operands)`` gives the outputs as new tensors of class Tensor.

    Native stretches are program tables walked by one call; host steps run between them.
    """

    def __init__(self, lowered: Lowered) -> None:
        self.lowered = lowered  # owns the constants
        self.offsets, self.arena_bytes = plan_arena(lowered)
        storages = lowered.storages
        self.inputs = sum(storage.kind == "input" for storage in storages)
        self.fresh = [i for i, storage in enumerate(storages) if storage.kind == "output"]
        self.argument = {
            i: storages[i].index for i in range(len(storages)) if storages[i].kind == "input"
        }
        for position, index in enumerate(self.fresh):
            self.argument[index] = self.inputs + position
        self.count = self.inputs + len(self.fresh)
        self.stretches = self._link()
        self.sizes = [storages[index].nbytes for index in self.fresh]
        positions = {index: position for position, index in enumerate(self.fresh)}
        self.outputs = [
            (
                positions.get(place.storage, -1 - storages[place.storage].index),
                place.layout,
                place.byte_offset,
            )
            for place in lowered.outputs
        ]

    def _link(self) -> list[Any]:
        """The steps as native tables and host calls."""
        stretches: list[Any] = []
        current: list[KernelStep] = []
        for step in self.lowered.steps:
            if isinstance(step, KernelStep):
                current.append(step)
                continue
            if current:
                stretches.append(self._table(current))
                current = []
            stretches.append(step)
        if current:
            stretches.append(self._table(current))
        return stretches

    def _slot(self, place: Place) -> Slot:
        index = place.storage
        storage = self.lowered.storages[index]
        offset = place.byte_offset
        if storage.kind == "constant":
            return Slot.constant(storage.tensor.address + offset)
        if storage.kind == "temporary":
            return Slot.arena(self.offsets[index] + offset)
        return Slot.argument(self.argument[index], offset)

    def _table(self, steps: Sequence[KernelStep]) -> NativeStretch:
        return linked([(step, self._slot) for step in steps], self.count)

    def direct(self) -> tuple[int, int, list[int]] | None:
        """(kernel, desc, order of arguments) when one kernel over whole operands is all."""
        if len(self.stretches) != 1 or not isinstance(self.stretches[0], NativeStretch):
            return None
        stretch = self.stretches[0]
        if len(stretch.steps) != 1 or any(s.kind != "argument" or s.offset for s in stretch.slots):
            return None
        step = stretch.steps[0]
        return step.kernel, step.desc, [stretch.slots[number].value for number in step.slots]

    def guard(self, step: Any) -> tuple[int, Callable[..., None]] | None:
        """Of a step that checks indices: the arena's byte that tells, and what then raises."""
        if not isinstance(step, HostStep) or step.node.op is not GUARD:
            return None
        (place,) = step.operands
        if self.lowered.storages[place.storage].kind != "temporary":
            return None
        at = self.offsets[place.storage] + place.byte_offset + place.dtype.itemsize

        def check(operands: Sequence[Tensor], buffers: Sequence[Any], arena: Any) -> None:
            self._host(step, operands, buffers, arena, 0)

        return at, check

    def run(self, operands: Sequence[Tensor]) -> list[Tensor]:
        """Run on operands of the layouts it was lowered for."""
        buffers = [PooledBuffer(nbytes) for nbytes in self.sizes]
        addresses = [x.address for x in operands]
        addresses += [buffer.address for buffer in buffers]
        self.execute(addresses, operands, buffers)
        results = []
        for position, place, offset in self.outputs:
            if position >= 0:
                buffer = buffers[position]
                results.append(wrap(Tensor, place, buffer, buffer.address + offset))
            else:
                operand = operands[-1 - position]
                result = wrap(Tensor, place, operand.buffer, operand.address + offset)
                results.append(result)
        return results

    def run_into(self, target: Tensor, operands: Sequence[Tensor]) -> None:
        """Run with the first output written over ``target``."""
        place = self.outputs[0][0]  # among the fresh storages: others may have been made before it
        buffers: list[Any] = [
            target.buffer if position == place else PooledBuffer(nbytes)
            for position, nbytes in enumerate(self.sizes)
        ]
        addresses = [x.address for x in operands]
        addresses += [buffer.address for buffer in buffers]
        addresses[len(operands) + place] = target.address
        self.execute(addresses, operands, buffers, target.address)

    def execute(
        self,
        addresses: list[int],
        operands: Sequence[Tensor],
        buffers: Sequence[Any],
        start: int = 0,
    ) -> None:
        """Run every stretch over these argument addresses."""
        arena = PooledBuffer(self.arena_bytes) if self.arena_bytes else None
        base = arena.address if arena is not None else 0
        for stretch in self.stretches:
            if isinstance(stretch, NativeStretch):
                stretch.run(base, addresses)
            else:
                self._host(stretch, operands, buffers, arena, start)

    def _host(
        self,
        step: HostStep,
        operands: Sequence[Tensor],
        buffers: Sequence[Any],
        arena: Any,
        start: int,
    ) -> None:
        arrays = []
        for place in step.operands:
            array = self._array(place, operands, buffers, arena, start)
            arrays.append(array if place.dtype.exact else dtypes.bfloat16_to_float32(array))
        places = [place.layout for place in step.results]
        made = evaluate_host(step.node.op, arrays, step.node.params, places)
        for place, values in zip(step.results, made, strict=True):
            array = self._array(place, operands, buffers, arena, start)
            if not place.dtype.exact:
                values = dtypes.float32_to_bfloat16(values)
            array[...] = values

    def _array(
        self,
        place: Place,
        operands: Sequence[Tensor],
        buffers: Sequence[Any],
        arena: Any,
        start: int,
    ) -> Array:
        """A place as a NumPy array."""
        index = place.storage
        storage = self.lowered.storages[index]
        if storage.kind == "temporary":
            memory, at = arena.memory, self.offsets[index]
        elif storage.kind == "output":
            position = self.argument[index] - self.inputs
            buffer = buffers[position]
            memory = buffer.memory
            into = start and position == self.outputs[0][0]
            at = start - buffer.address if into else 0
        else:
            tensor = storage.tensor if storage.kind == "constant" else operands[storage.index]
            memory, at = tensor.buffer.memory, tensor.address - tensor.buffer.address
        itemsize = place.dtype.itemsize
        strides = tuple(stride * itemsize for stride in place.strides)
        return np.ndarray(place.shape, place.dtype.numpy, memory, at + place.byte_offset, strides)


class NativeStretch:
    """Kernels in order, as one table."""

    def __init__(
        self,
        steps: list[Step],
        slots: list[Slot],
        arguments: int,
        widest: int,
        descriptions: Sequence[Array],
    ) -> None:
        self.steps = steps
        self.slots = slots
        self.table = ProgramTable(steps, slots, arguments, keep=descriptions)
        self.released = widest >= RELEASE_BYTES
        self.address = self.table.address

    def run(self, arena: int, addresses: list[int]) -> None:
        """Run over these argument addresses."""
        call = native.run_program_released if self.released else native.run_program
        call(self.address, arena, *addresses)


def linked(
    steps: Sequence[tuple[KernelStep, Callable[[Place], Slot]]], arguments: int
) -> NativeStretch:
    """One table of kernels; each step comes with what says where its places lie."""
    slots: dict[Slot, int] = {}
    made = []
    descriptions = []
    widest = 0
    for step, slot_of in steps:
        numbers = []
        for place in step.operands:
            numbers.append(slots.setdefault(slot_of(place), len(slots)))
            widest = max(widest, place.layout.nbytes)
        desc = np.array(step.desc, np.int64)
        descriptions.append(desc)
        address = int(desc.__array_interface__["data"][0])
        made.append(Step(kernels.load(step.unit), address, tuple(numbers)))
    return NativeStretch(made, list(slots), arguments, widest, descriptions)


def joined(parts: Sequence[Lowered], width: int, scalars: int) -> NativeStretch:
    """One table of the single kernels of several updates.

    Part i's tensors are arguments ``i * width`` to ``(i + 1) * width - 1``; its scalars are the
    last ``scalars`` arguments, shared by all. The caller keeps ``parts``, which own the constants.
    """
    first = width * len(parts)

    def placing(part: int, lowered: Lowered) -> Callable[[Place], Slot]:
        def slot_of(place: Place) -> Slot:
            storage = lowered.storages[place.storage]
            if storage.kind == "constant":
                return Slot.constant(storage.tensor.address + place.byte_offset)
            index = storage.index
            at = part * width + index if index < width else first + index - width
            return Slot.argument(at, place.byte_offset)

        return slot_of

    steps = []
    for part, lowered in enumerate(parts):
        (step,) = (step for step in lowered.steps if isinstance(step, KernelStep))
        steps.append((step, placing(part, lowered)))
    return linked(steps, first + scalars)
