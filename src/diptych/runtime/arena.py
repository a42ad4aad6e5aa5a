"""The memory plan: where in one arena the temporaries of a program lie, by when they are needed."""

from __future__ import annotations

from bisect import bisect_left, insort

from diptych.compiler.steps import HostStep, KernelStep, Lowered, Place, Storage

ALIGNMENT = 64

Step = KernelStep | HostStep


def places_of(step: Step) -> tuple[Place, ...]:
    """All places that a step touches."""
    return step.operands if isinstance(step, KernelStep) else (*step.operands, *step.results)


def room(storage: Storage) -> int:
    """Bytes of the arena that a temporary takes."""
    return -(-max(storage.nbytes, 1) // ALIGNMENT) * ALIGNMENT


class _Free:
    """The free blocks below the arena's end, joined where they touch; the best fit is found."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []  # (size, offset), sorted
        self.starts: dict[int, int] = {}  # offset -> size
        self.ends: dict[int, int] = {}  # end -> offset
        self.end = 0

    def take(self, size: int) -> int:
        """The offset of a block: the smallest that is large enough, else at the end."""
        at = bisect_left(self.sizes, (size, -1))
        if at < len(self.sizes):
            have, offset = self.sizes[at]
            self._drop(offset)
            if have > size:
                self._add(offset + size, have - size)
            return offset
        offset = self.ends.get(self.end, self.end)  # the last block may be free: it grows
        if offset != self.end:
            self._drop(offset)
        self.end = offset + size
        return offset

    def give(self, offset: int, size: int) -> None:
        """Free a block."""
        following = self.starts.get(offset + size)
        if following is not None:
            self._drop(offset + size)
            size += following
        before = self.ends.get(offset)
        if before is not None:
            size += self.starts[before]
            self._drop(before)
            offset = before
        self._add(offset, size)

    def _add(self, offset: int, size: int) -> None:
        insort(self.sizes, (size, offset))
        self.starts[offset] = size
        self.ends[offset + size] = offset

    def _drop(self, offset: int) -> None:
        size = self.starts.pop(offset)
        del self.ends[offset + size]
        del self.sizes[bisect_left(self.sizes, (size, offset))]


def plan_arena(lowered: Lowered) -> tuple[dict[int, int], int]:
    """Offsets of the temporaries in bytes, and how large the arena is.

    A room is free again after the last step that touches it. The result of a pointwise step may
    take the room of an operand that nothing reads afterwards.
    """
    last: dict[int, int] = {}
    for number, step in enumerate(lowered.steps):
        for place in places_of(step):
            last[place.storage] = number
    storages = lowered.storages
    offsets: dict[int, int] = {}
    free = _Free()
    for number, step in enumerate(lowered.steps):
        touched = dict.fromkeys(place.storage for place in places_of(step))
        fresh = [i for i in touched if storages[i].kind == "temporary" and i not in offsets]
        dying = [i for i in touched if last[i] == number and i in offsets]
        taken = _in_place(lowered, step, fresh, dying)
        for index in fresh:
            if index in taken:
                offsets[index] = offsets[taken[index]]
            else:
                offsets[index] = free.take(room(storages[index]))
        given = set(taken.values())
        for index in touched:
            if last[index] == number and index in offsets and index not in given:
                free.give(offsets[index], room(storages[index]))
    return offsets, free.end


def _in_place(lowered: Lowered, step: Step, fresh: list[int], dying: list[int]) -> dict[int, int]:
    """Which results of a pointwise step lie where which of its operands did, element by element."""
    if not fresh or not dying or not isinstance(step, KernelStep) or not step.pointwise:
        return {}
    places: dict[int, list[Place]] = {}
    for place in step.operands:
        places.setdefault(place.storage, []).append(place)
    found: dict[int, int] = {}
    left = [i for i in dying if len(places[i]) == 1]
    for index in fresh:
        if len(places[index]) != 1:
            continue
        for operand in left:
            if room(lowered.storages[operand]) == room(lowered.storages[index]) and _alike(
                places[operand][0], places[index][0]
            ):
                found[index] = operand
                left.remove(operand)
                break
    return found


def _alike(a: Place, b: Place) -> bool:
    """Whether two places put the same element at the same byte."""
    return (a.offset, a.shape, a.strides, a.dtype.itemsize) == (
        b.offset, b.shape, b.strides, b.dtype.itemsize,
    )  # fmt: skip
