"""Blocks of shared memory: used again when both sides are done, given up with the worker."""

from __future__ import annotations

import os
import sys

import pytest

from diptych.data.channel import LARGEST, Link
from diptych.data.shared import PAGE, Arena, Reader, SharedFile


def test_a_block_is_free_when_both_sides_let_go() -> None:
    file = SharedFile()
    arena, reader = Arena(file), Reader(file)
    first = arena.allocate(1000)
    first.memory[:] = 7
    place = arena.send(first)
    received = reader.buffer(place, 1000)
    assert received.memory.tolist() == [7] * 1000 and received.nbytes == 1000
    received.memory[0] = 8
    assert first.memory[0] == 8
    del first
    assert arena.allocate(1000).place != place  # the parent still has it
    del received
    (returned,) = reader.take_returned()
    assert returned == place and reader.take_returned() == []
    arena.let_go(returned)
    assert arena.allocate(900).place == place  # of the same class
    unsent = arena.allocate(5000)
    again = unsent.place
    del unsent
    assert arena.allocate(5000).place == again
    assert arena.allocate(3000).place.nbytes >= 3000  # a larger free block serves, up to four times
    file.close()


def test_segments_double_and_blocks_do_not_overlap() -> None:
    file = SharedFile()
    arena, reader = Arena(file), Reader(file)
    blocks = [arena.allocate(300_000 + 4096 * k) for k in range(40)]
    for number, block in enumerate(blocks):
        block.memory[:] = number
    assert len(arena.segments) <= 6
    for number, block in enumerate(blocks):
        received = reader.buffer(arena.send(block), block.nbytes)
        assert received.memory[0] == received.memory[-1] == number
        assert received.address % 64 == 0
    assert arena.allocate(0).nbytes == 0
    file.close()


def test_progress_is_seen_from_outside() -> None:
    file = SharedFile()
    Arena(file).note(3, -1, 1.5)
    assert file.progress() == (3, -1, 1.5)
    file.close()
    file.close()


@pytest.mark.skipif(sys.platform != "linux", reason="holes in files")
def test_a_kept_block_does_not_keep_the_rest() -> None:
    file = SharedFile()
    arena, reader = Arena(file), Reader(file)
    watched = os.dup(file.descriptor)

    def pages() -> int:
        return os.fstat(watched).st_blocks * 512 // PAGE

    sent = []
    for number in range(6):
        block = arena.allocate(1 << 20)
        block.memory[:] = number
        sent.append(reader.buffer(arena.send(block), 1 << 20))
    whole = (1 << 20) // PAGE
    assert pages() >= 6 * whole
    kept = sent[2]
    del sent, block
    reader.close()
    file.close()
    assert whole <= pages() <= whole + 4
    assert kept.memory.min() == kept.memory.max() == 2
    del kept
    assert pages() <= 4
    os.close(watched)


def test_a_sender_never_blocks() -> None:
    link = Link()
    tasks, _ = link.theirs
    link.tasks.send(b"x" * (1 << 20))  # more than a pipe holds
    link.tasks.send(b"second")
    assert link.tasks.pending
    received = b""
    while not received.endswith(b"second"):
        link.tasks.flush()
        received += os.read(tasks.fileno(), 1 << 16)
    assert len(received) == (1 << 20) + 6 + 8 and not link.tasks.pending
    with pytest.raises(ValueError, match="at most"):
        link.tasks.send(Huge())
    link.close()


class Huge(bytes):
    def __len__(self) -> int:
        return LARGEST + 1


def test_a_reader_that_is_gone_is_no_error() -> None:
    link = Link()
    link.started()
    link.tasks.send(b"nobody reads this")
    assert not link.tasks.pending
    link.close()
    link.close()
