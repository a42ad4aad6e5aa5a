"""The two pipes between a program and one worker, and what a forked child must let go of."""

from __future__ import annotations

import contextlib
import os
import struct
import weakref
from multiprocessing.connection import Connection, Pipe

from diptych.data.shared import Reader, SharedFile

_LENGTH = struct.Struct("!i")  # as multiprocessing's Connection frames its messages
LARGEST = 0x7FFFFFFF


class Sender:
    """The writing end of a pipe that never blocks: what does not fit now waits for ``flush``.

    A parent that waited here for a worker that waits for the parent to read would wait for ever.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.pending = bytearray()
        os.set_blocking(connection.fileno(), False)

    def send(self, message: bytes) -> None:
        """Write a message, or as much of it as the pipe takes."""
        if len(message) > LARGEST:
            raise ValueError(f"a message of {len(message)} bytes; at most {LARGEST} are possible")
        self.pending += _LENGTH.pack(len(message))
        self.pending += message
        self.flush()

    def flush(self) -> None:
        """Write what waits, as far as the pipe takes it. A dead reader is noticed elsewhere."""
        while self.pending and not self.connection.closed:
            try:
                written = os.write(self.connection.fileno(), self.pending)
            except BlockingIOError:
                return
            except BrokenPipeError:
                self.pending.clear()
                return
            del self.pending[:written]

    def close(self) -> None:
        """Say that nothing more comes."""
        self.connection.close()


class Link:
    """The parent's ends: tasks out, results in, memory to read."""

    def __init__(self) -> None:
        self.file = SharedFile()
        self.reader = Reader(self.file)
        tasks, out = Pipe(duplex=False)
        self.results, results = Pipe(duplex=False)
        self.theirs = (tasks, results)
        self.tasks = Sender(out)
        _links.add(self)

    def started(self) -> None:
        """The worker has its ends; ours of them are closed, so that its death shows as an end."""
        for end in self.theirs:
            end.close()

    def close(self) -> None:
        """Let go of everything; tensors that were received stay."""
        self.tasks.close()
        self.results.close()
        self.reader.close()
        self.file.close()
        self.started()


_links: weakref.WeakSet[Link] = weakref.WeakSet()


def _leave_to_parent() -> None:
    """In a forked child: another process's ends of pipes would keep its workers from ending."""
    for link in list(_links):
        with contextlib.suppress(OSError):
            link.tasks.close()
            link.results.close()
            if link.theirs[0].closed:  # not this child's own, whose file it is about to use
                link.file.close()
    _links.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
