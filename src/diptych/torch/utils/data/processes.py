"""The iterator of a DataLoader with worker processes: hands out tasks, gathers batches in order.

Workers are forked where the system can: datasets defined in a script without a ``__main__`` guard,
lambdas and closures then work, as they do with PyTorch on Linux. The native thread pool is stopped
while it happens, so no thread of ours is lost half-way, and starts again with the next kernel.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import pickle
import select
import signal
import sys
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from diptych.core import recording
from diptych.data.channel import Link
from diptych.runtime import pool
from diptych.torch.utils.data import messages
from diptych.torch.utils.data.sampler import drawn_seed
from diptych.torch.utils.data.worker import Settings, described, worker_main

_PATIENCE = 5.0  # seconds that a worker has for the end of what it is doing
_LOOK_EACH = 5.0  # seconds after which the processes are looked at, whatever the pipes say


def context_of(given: Any) -> Any:
    """The multiprocessing context to start workers with.

    What the loader was given, or the program's own choice of start method; else fork where there is
    one, on every Python (3.14 changed its own default).
    """
    if given is not None:
        return given
    if multiprocessing.get_start_method(allow_none=True) is None and sys.platform == "linux":
        return multiprocessing.get_context("fork")
    return multiprocessing.get_context()


class Worker:
    """The parent's side of one worker."""

    def __init__(self, context: Any, settings: Settings) -> None:
        self.link = Link()
        self.active = True
        self.tasks = 0  # that it was told and whose batches were not handed out
        self.process = context.Process(
            target=worker_main,
            args=(settings, self.link.file, *self.link.theirs),
            daemon=True,
        )
        try:
            with warnings.catch_warnings():
                # Python 3.12 warns of threads at a fork: NumPy's BLAS keeps its own safe.
                warnings.filterwarnings("ignore", category=DeprecationWarning, message=".*fork.*")
                self.process.start()
        except BaseException:
            self.link.close()
            raise
        self.link.started()
        self.pid = self.process.pid

    def send(self, batch: int, index: Any) -> None:
        task = (batch, index, self.link.reader.take_returned())
        self.link.tasks.send(pickle.dumps(task, pickle.HIGHEST_PROTOCOL))

    def receive(self) -> tuple[int, int, Any] | None:
        """The next message; None when the worker is gone."""
        try:
            message = self.link.results.recv_bytes()
        except (EOFError, ConnectionResetError):
            return None
        return messages.decoded(self.link.reader, message)


@dataclass
class Task:
    """A batch on its way: who makes it, of what, and the batch once it is here."""

    worker: int
    index: Any
    arrived: bool = False
    kind: int = messages.BATCH
    data: Any = None


class _MultiProcessingDataLoaderIter:
    """Gives the batches that worker processes make."""

    def __init__(self, loader: Any) -> None:
        self._pid = os.getpid()
        self._closed = False
        self._workers: list[Worker] = []
        self._loader = loader
        self._timeout = loader.timeout
        self._persistent = loader.persistent_workers
        self._in_order = loader.in_order
        self._ahead = loader.prefetch_factor * loader.num_workers
        self._sampler_iter: Iterator[Any] = iter(loader._index_sampler)
        self._base_seed = drawn_seed(loader.generator)
        self._generation = 0
        try:
            self._start()
            self._reset(loader, first=True)
        except BaseException:
            self._shutdown()
            raise

    def _start(self) -> None:
        loader = self._loader
        context = context_of(loader.multiprocessing_context)
        settings = Settings(
            loader.dataset, loader.streams, loader._auto_collation, loader.collate_fn,
            loader.drop_last, self._base_seed, loader.worker_init_fn, 0, loader.num_workers,
        )  # fmt: skip
        self._poll = select.poll()
        self._by_fd: dict[int, int] = {}
        with pool.stopped():
            for number in range(loader.num_workers):
                self._workers.append(Worker(context, replace(settings, worker_id=number)))
        for number, worker in enumerate(self._workers):
            for fd in (worker.link.results.fileno(), worker.process.sentinel):
                self._by_fd[fd] = number
                self._poll.register(fd, select.POLLIN)

    def _reset(self, loader: Any, first: bool = False) -> None:
        """Begin an epoch."""
        self._sampler_iter = iter(loader._index_sampler)
        self._yielded = 0
        self._sent = self._received = 0  # the next task to send, to hand out
        self._tasks: dict[int, Task] = {}
        self._turns = itertools.cycle(range(len(self._workers)))
        for worker in self._workers:
            worker.active, worker.tasks = True, 0
        if not first:
            self._resume()
        for _ in range(self._ahead):
            self._send_next()

    def _resume(self) -> None:
        """Tell the workers of a new epoch, and pass over what is left of the one before."""
        self._generation -= 1
        for worker in self._workers:
            worker.send(self._generation, None)
        waiting = set(range(len(self._workers)))
        while waiting:
            number, message = self._message()
            if message[:2] == (self._generation, messages.RESUMED):
                waiting.discard(number)

    def _send_next(self) -> None:
        try:
            index = next(self._sampler_iter)
        except StopIteration:
            return
        active = sum(worker.active for worker in self._workers)
        for _ in self._workers:
            number = next(self._turns)
            worker = self._workers[number]
            if worker.active and (self._in_order or worker.tasks < self._ahead // active):
                break
        else:
            return
        worker.send(self._sent, index)
        worker.tasks += 1
        self._tasks[self._sent] = Task(number, index)
        self._sent += 1

    # ---- batches

    def __iter__(self) -> _MultiProcessingDataLoaderIter:
        return self

    def __len__(self) -> int:
        return len(self._loader._index_sampler)

    def __next__(self) -> Any:
        recording.refuse("a DataLoader is iterated")
        if self._closed:
            raise StopIteration
        data = self._next_data()
        self._yielded += 1
        self._loader._check_length(self._yielded)
        return data

    def _next_data(self) -> Any:
        while True:
            task = self._first_pending()
            if task is None:
                if not self._persistent:
                    self._shutdown()
                raise StopIteration
            if task.arrived:
                del self._tasks[self._received]
                self._received += 1
                return self._handed_out(task)
            number, (batch, kind, data) = self._message()
            arrived = self._tasks.get(batch)
            if arrived is None or batch < 0:
                continue
            if kind == messages.EXHAUSTED:
                self._workers[number].active = False
                if not self._persistent:
                    self._workers[number].link.tasks.close()
                self._send_next()
                continue
            arrived.arrived, arrived.kind, arrived.data = True, kind, data
            if not self._in_order:
                del self._tasks[batch]
                return self._handed_out(arrived)

    def _first_pending(self) -> Task | None:
        """The task whose batch is due; those that an ended stream left undone are passed over."""
        while self._received < self._sent:
            task = self._tasks.get(self._received)
            if task is not None:
                if task.arrived or self._workers[task.worker].active:
                    return task
                del self._tasks[self._received]
            self._received += 1
        return None

    def _handed_out(self, task: Task) -> Any:
        self._workers[task.worker].tasks -= 1
        self._send_next()
        if task.kind == messages.FAILURE:
            raise task.data.error()
        return task.data

    # ---- waiting

    def _message(self) -> tuple[int, tuple[int, int, Any]]:
        """The next message of any worker, and whose it is."""
        deadline = time.monotonic() + self._timeout if self._timeout > 0 else None
        while True:
            self._flush()
            wait = _LOOK_EACH
            if deadline is not None:
                wait = min(wait, max(deadline - time.monotonic(), 0))
            unwritten = any(worker.link.tasks.pending for worker in self._workers)
            ready = self._poll.poll(10 if unwritten else wait * 1000)
            for fd, _ in ready:
                number = self._by_fd.get(fd, -1)
                if number < 0:
                    continue  # of a worker that was found to have ended, just now
                worker = self._workers[number]
                if worker.link.results.poll(0):
                    message = worker.receive()
                    if message is not None:
                        return number, message
                self._ended(number)
            if not ready and deadline is not None and time.monotonic() >= deadline:
                text = self._culprits()
                raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds: {text}")

    def _flush(self) -> None:
        for worker in self._workers:
            if worker.link.tasks.pending:
                worker.link.tasks.flush()

    def _ended(self, number: int) -> None:
        """A worker's pipe or process has ended: as it should, or with an error."""
        worker = self._workers[number]
        for fd in [fd for fd, owner in self._by_fd.items() if owner == number]:
            self._poll.unregister(fd)
            del self._by_fd[fd]
        worker.process.join(_PATIENCE)
        if not worker.active and not worker.process.exitcode:
            return  # a stream that is through
        text = (
            f"DataLoader worker (pid(s) {worker.pid}) exited unexpectedly: worker {number} "
            f"{_ending(worker.process.exitcode)}{self._doing(number)}"
        )
        self._shutdown()
        raise RuntimeError(text)

    def _doing(self, number: int) -> str:
        """What a worker was at, as far as it noted it."""
        batch, position, began = self._workers[number].link.file.progress()
        task = self._tasks.get(batch)
        if task is None or task.worker != number or not began:
            return ""
        seconds = max(time.time() - began, 0)
        place = described(task.index, position)
        return f" {place} (batch {batch}, begun {seconds:.1f} s ago)"

    def _culprits(self) -> str:
        """The workers that are waited for, and where they are."""
        due = self._tasks.get(self._received)
        numbers = {task.worker for task in self._tasks.values() if not task.arrived}
        if self._in_order and due is not None:
            numbers = {due.worker}
        return "; ".join(
            f"worker {number} (pid {self._workers[number].pid}) is"
            f"{self._doing(number) or ' between two batches'}"
            for number in sorted(numbers)
        )

    # ---- the end

    def _shutdown(self) -> None:
        """End the workers, and let go of all that belongs to them."""
        if self._closed or self._pid != os.getpid():
            return
        self._closed = True
        self._tasks = {}
        for worker in self._workers:
            worker.link.tasks.close()
            worker.link.results.close()
        deadline = time.monotonic() + _PATIENCE
        for step in (None, "terminate", "kill"):
            for worker in self._workers:
                process = worker.process
                with contextlib.suppress(AttributeError, ValueError):  # the interpreter's own end
                    if step and process.is_alive():
                        getattr(process, step)()
                    process.join(max(deadline - time.monotonic(), 0.1))
            if not any(worker.process.is_alive() for worker in self._workers):
                break
            deadline = time.monotonic() + 1.0
        for worker in self._workers:
            worker.link.close()
            with contextlib.suppress(ValueError):
                worker.process.close()

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self._shutdown()

    def __getstate__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


def _ending(exitcode: int | None) -> str:
    if exitcode is None:
        return "closed its pipe"
    if exitcode < 0:
        try:
            name = signal.Signals(-exitcode).name
        except ValueError:
            name = "unknown"
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return f"was killed by signal {-exitcode} ({name}){hint}"
    return f"ended with exit status {exitcode}"
