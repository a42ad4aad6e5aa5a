"""Blocks of memory that a worker process fills and its parent reads: reused, and without a name.

The memory is an anonymous file (``memfd``; an unlinked temporary file where there is none) that the
parent makes and the worker inherits. Nothing about it can leak: it has no name, and the system
frees it with the last process that maps it, however that process ends. The worker cuts it into
segments and those into blocks; the parent maps a segment when the first message names it. A block
is free again once the worker's buffer is gone *and* the parent has returned it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import tempfile
from collections import deque
from multiprocessing import reduction
from typing import Any, NamedTuple

import numpy as np

from diptych.core.buffer import Buffer
from diptych.runtime.allocator import class_size

PAGE = max(4096, mmap.ALLOCATIONGRANULARITY)
FIRST_SEGMENT = 1 << 20
ALIGNMENT = 64
_PROGRESS = struct.Struct("=qqd")


class Place(NamedTuple):
    """A block: its segment's start and size in the file, its offset in the segment, its size."""

    start: int
    size: int
    offset: int
    nbytes: int


def anonymous_file() -> int:
    """The descriptor of an empty file that has no name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("diptych-data", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class SharedFile:
    """The anonymous file of one worker. Pickled for a spawned child, it carries its descriptor."""

    def __init__(self, descriptor: int | None = None) -> None:
        if descriptor is None:
            descriptor = anonymous_file()
            os.ftruncate(descriptor, PAGE)
        self.descriptor = descriptor

    def map(self, start: int, size: int) -> np.ndarray[Any, Any]:
        """These bytes of the file, as an array that keeps the mapping alive."""
        return np.frombuffer(mmap.mmap(self.descriptor, size, offset=start), np.uint8)

    def progress(self) -> tuple[int, int, float]:
        """What the worker last noted: the batch, the position in it, and when it began."""
        return _PROGRESS.unpack(os.pread(self.descriptor, _PROGRESS.size, 0))

    def close(self) -> None:
        """Give the descriptor back; what is mapped stays mapped."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __reduce__(self) -> tuple[Any, ...]:
        return (_received_file, (reduction.DupFd(self.descriptor),))


def _received_file(duplicate: Any) -> SharedFile:
    return SharedFile(duplicate.detach())


def _address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


# ---- the worker's side


class FilledBuffer(Buffer):
    """A block that this worker fills. ``sent``: the parent holds it too."""

    __slots__ = ("arena", "place", "sent")

    def __init__(self, arena: Arena, place: Place, memory: np.ndarray[Any, Any]) -> None:
        super().__init__(_address(memory), memory.size, memory)
        self.arena = arena
        self.place = place
        self.sent = False

    def __del__(self) -> None:
        self.arena.let_go(self.place)


class Arena:
    """The worker's blocks."""

    def __init__(self, file: SharedFile) -> None:
        self.file = file
        self.end = PAGE  # of the file; its first page is the progress
        self.segments: dict[int, np.ndarray[Any, Any]] = {}
        self.free: dict[int, list[Place]] = {}
        self.room = Place(0, 0, 0, 0)  # the segment being cut, and how far
        self.held: dict[Place, int] = {}  # by how many: our buffer, the parent's
        self.noted: Any = file.map(0, PAGE)

    def note(self, batch: int, position: int, began: float) -> None:
        """Tell the parent, should it look, what is being worked on."""
        _PROGRESS.pack_into(self.noted, 0, batch, position, began)

    def allocate(self, nbytes: int) -> FilledBuffer:
        """A buffer of at least ``nbytes`` that can be sent."""
        size = class_size(max(nbytes, ALIGNMENT))
        place = self._waiting(size) or self._cut(size)
        self.held[place] = 1
        segment = self.segments[place.start]
        return FilledBuffer(self, place, segment[place.offset : place.offset + nbytes])

    def _waiting(self, size: int) -> Place | None:
        """A free block of this class, or of one up to four times larger."""
        exact = self.free.get(size)
        if exact:
            return exact.pop()
        fitting = [s for s, blocks in self.free.items() if blocks and size < s <= 4 * size]
        return self.free[min(fitting)].pop() if fitting else None

    def _cut(self, size: int) -> Place:
        room = self.room
        if room.size - room.offset < size:
            room = self._segment(size)
        place = Place(room.start, room.size, room.offset, size)
        self.room = room._replace(offset=room.offset + -(-size // ALIGNMENT) * ALIGNMENT)
        return place

    def _segment(self, size: int) -> Place:
        """A new segment, as large as all before together: there are few, however much is held."""
        wanted = max(FIRST_SEGMENT, size, self.end - PAGE)
        wanted = -(-wanted // PAGE) * PAGE
        start = self.end
        os.ftruncate(self.file.descriptor, start + wanted)
        self.segments[start] = self.file.map(start, wanted)
        self.end = start + wanted
        return Place(start, wanted, 0, 0)

    def send(self, buffer: FilledBuffer) -> Place:
        """The parent is told of this block: it holds it from now on."""
        buffer.sent = True
        self.held[buffer.place] += 1
        return buffer.place

    def let_go(self, place: Place) -> None:
        """One of its holders is done with a block."""
        left = self.held[place] = self.held[place] - 1
        if not left:
            del self.held[place]
            self.free.setdefault(place.nbytes, []).append(place)


# ---- the parent's side


class ReceivedBuffer(Buffer):
    """A block that a worker filled; it goes back when the last tensor lets go of it."""

    __slots__ = ("home", "place")
    shared = True

    def __init__(self, home: Reader, place: Place, memory: np.ndarray[Any, Any]) -> None:
        super().__init__(_address(memory), memory.size, memory)
        self.home = home
        self.place = place

    def __del__(self) -> None:
        self.home.take_back(self.place)


class Reader:
    """The parent's view of one worker's memory."""

    def __init__(self, file: SharedFile) -> None:
        self.file = file
        self.segments: dict[int, np.ndarray[Any, Any]] = {}
        self.held: set[Place] = set()
        self.returned: deque[Place] = deque()  # appended to by whatever thread drops a tensor
        self.closed = False

    def buffer(self, place: Place, nbytes: int) -> ReceivedBuffer:
        """The first ``nbytes`` of the block as a buffer."""
        segment = self.segments.get(place.start)
        if segment is None:
            segment = self.segments[place.start] = self.file.map(place.start, place.size)
        self.held.add(place)
        return ReceivedBuffer(self, place, segment[place.offset : place.offset + nbytes])

    def take_back(self, place: Place) -> None:
        """A block that no tensor is on any more: for the worker, or for the system."""
        self.held.discard(place)
        if self.closed:
            self._give_up(place.start, place.offset, place.offset + place.nbytes)
        else:
            self.returned.append(place)

    def close(self) -> None:
        """The worker is gone: give the memory back that no tensor is on.

        A file's pages live as long as anything of it is mapped, so a tensor that is kept would
        keep all of them.
        """
        self.closed = True
        kept = sorted((place.start, place.offset, place.nbytes) for place in list(self.held))
        for start, segment in self.segments.items():
            free = 0
            for _, offset, nbytes in [block for block in kept if block[0] == start]:
                self._give_up(start, free, offset)
                free = offset + nbytes
            self._give_up(start, free, segment.size)

    def _give_up(self, start: int, first: int, end: int) -> None:
        """Free the whole pages between two places of a segment."""
        first, end = -(-first // PAGE) * PAGE, end // PAGE * PAGE
        area: Any = self.segments[start].base
        area = area.obj if isinstance(area, memoryview) else area
        if end > first and isinstance(area, mmap.mmap) and hasattr(mmap, "MADV_REMOVE"):
            with contextlib.suppress(OSError, ValueError):
                area.madvise(mmap.MADV_REMOVE, first, end - first)

    def take_returned(self) -> list[Place]:
        """The blocks that may be filled again, each told once."""
        taken = []
        while True:
            try:
                taken.append(self.returned.popleft())
            except IndexError:
                return taken
