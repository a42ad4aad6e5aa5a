"""A worker process: fetches the batches it is told to, and sends them back."""

from __future__ import annotations

import functools
import gc
import importlib
import os
import pickle
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from diptych.data.shared import Arena, SharedFile
from diptych.torch.namespace import set_num_threads
from diptych.torch.random import manual_seed
from diptych.torch.utils.data import collate, messages

_LOOK_EACH = 5.0  # seconds after which a waiting worker looks whether its parent is still there
COLLATING = -1
STREAMING = -2


class WorkerInfo:
    """What a worker may know of itself."""

    id: int
    num_workers: int
    seed: int
    dataset: Any
    _frozen = False

    def __init__(self, **fields: Any) -> None:
        for name, value in fields.items():
            setattr(self, name, value)
        self._names = tuple(fields)
        self._frozen = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._frozen:
            raise RuntimeError(f"Cannot assign attributes to {type(self).__name__} objects")
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        return f"WorkerInfo({', '.join(f'{name}={getattr(self, name)}' for name in self._names)})"


class _Here:
    """Of this process: None in a program, set in a worker."""

    info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """In a worker: its ``id``, ``num_workers``, ``seed`` and ``dataset``; elsewhere None."""
    return _Here.info


@dataclass
class Settings:
    """What a worker is told when it starts; the same for all but ``worker_id``."""

    dataset: Any
    streams: bool
    auto_collation: bool
    collate_fn: Callable[[Any], Any]
    drop_last: bool
    base_seed: int
    worker_init_fn: Callable[[int], Any] | None
    worker_id: int
    num_workers: int


class Failure:
    """An exception on its way to the parent: its class, where it happened, and its traceback."""

    def __init__(self, where: str) -> None:
        kind, error, _ = sys.exc_info()
        self.kind: Any = kind
        self.where = where
        frames = error.__traceback__ if error is not None else None
        while frames is not None and frames.tb_frame.f_globals.get("__name__") == __name__:
            frames = frames.tb_next  # the program's frames alone, where there are any
        if error is not None and frames is not None:
            error = error.with_traceback(frames)
        self.text = "".join(traceback.format_exception(error))

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__

    def portable(self) -> Failure:
        """Itself; as RuntimeError where the exception's class cannot be sent."""
        try:
            pickle.dumps(self.kind)
        except Exception:
            self.text = f"{self.text}(of the class {self.kind.__qualname__}, which cannot be sent)"
            self.kind = RuntimeError
        return self

    def error(self) -> BaseException:
        """The exception as it is raised here, with what is known of its origin as its text."""
        text = f"Caught {self.kind.__name__} {self.where}\nOriginal {self.text}"
        try:
            if self.kind is KeyError:
                return KeyError(_Plain(text))
            if getattr(self.kind, "message", None):
                made = self.kind(message=text)
            else:
                made = self.kind(text)
        except Exception:
            return RuntimeError(text)
        return made if isinstance(made, BaseException) else RuntimeError(text)


class _Plain(str):
    """Text that a KeyError shows as it is."""

    def __repr__(self) -> str:
        return str(self)


class Fetcher:
    """Makes batches; ``note`` is told the position of the sample that is being made."""

    def __init__(self, settings: Settings, note: Callable[[int], Any] = bool) -> None:
        self.settings = settings
        self.note = note
        self.samples: Iterator[Any] | None = iter(settings.dataset) if settings.streams else None
        self.ended = False
        self.several = getattr(settings.dataset, "__getitems__", None)

    def fetch(self, index: Any) -> Any:
        """The batch of these indices (or the sample of this one); StopIteration at the end."""
        settings = self.settings
        if self.samples is not None:
            data = self.streamed(self.samples, index)
        elif not settings.auto_collation:
            self.note(0)
            data = settings.dataset[index]
        elif self.several:
            data = self.several(index)
        else:
            dataset, note = settings.dataset, self.note
            data = []
            for position, one in enumerate(index):
                note(position)
                data.append(dataset[one])
        self.note(COLLATING)
        return settings.collate_fn(data)

    def streamed(self, samples: Iterator[Any], index: Any) -> Any:
        if self.ended:
            raise StopIteration
        self.note(STREAMING)
        if not self.settings.auto_collation:
            return next(samples)
        batch = []
        for _ in index:
            try:
                batch.append(next(samples))
            except StopIteration:
                self.ended = True
                break
        if not batch or (self.settings.drop_last and len(batch) < len(index)):
            raise StopIteration
        return batch


def described(index: Any, position: int) -> str:
    """The sample or the step that a worker was at."""
    if position == STREAMING:
        return "reading from the stream"
    if position == COLLATING:
        return f"in collate_fn, of the samples {shortened(index)}"
    if isinstance(index, (list, tuple)):
        return f"at dataset[{index[position]!r}], position {position} of its batch"
    return f"at dataset[{index!r}]"


def shortened(index: Any) -> str:
    text = repr(index)
    return text if len(text) <= 200 else f"{text[:197]}..."


def seeded(base_seed: int, worker_id: int) -> int:
    """Seed torch, random and NumPy as PyTorch seeds them in this worker; gives the seed."""
    seed = base_seed + worker_id
    random.seed(seed)
    manual_seed(seed)
    entropy = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    np.random.seed(np.random.SeedSequence(entropy).generate_state(4))
    return seed


def worker_main(
    settings: Settings, file: SharedFile, tasks: Connection, results: Connection
) -> None:
    """The process: until it is told to end, its parent is gone, or it is interrupted."""
    try:
        gc.freeze()  # what was inherited is not looked through, and so not copied, page by page
        set_num_threads(1)
        importlib.import_module("diptych.torch.utils.data")
        _serve(settings, Arena(file), tasks, results)
    except (KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        pass  # the parent has its own interrupt, or is gone


def _next_task(tasks: Connection, parent: int) -> Any:
    """What to do next; None to end."""
    while not tasks.poll(_LOOK_EACH):
        if os.getppid() != parent:
            return None
    try:
        return pickle.loads(tasks.recv_bytes())
    except EOFError:
        return None


def _serve(settings: Settings, arena: Arena, tasks: Connection, results: Connection) -> None:
    parent = os.getppid()
    worker_id = settings.worker_id
    seed = seeded(settings.base_seed, worker_id)
    _Here.info = WorkerInfo(
        id=worker_id, num_workers=settings.num_workers, seed=seed, dataset=settings.dataset
    )
    collate.Placing.empty = functools.partial(messages.shared_empty, arena)
    fetcher: Fetcher | None = None
    failed: Failure | None = None
    where = f"in DataLoader worker process {worker_id}."
    current = [0, COLLATING, 0.0]

    def note(position: int) -> None:
        current[1] = position
        arena.note(int(current[0]), position, float(current[2]))

    try:
        if settings.worker_init_fn is not None:
            settings.worker_init_fn(worker_id)
        fetcher = Fetcher(settings, note)
    except Exception:
        failed = Failure(where).portable()
    while True:
        task = _next_task(tasks, parent)
        if task is None:
            return
        batch, index, returned = task
        for place in returned:
            arena.let_go(place)
        if batch < 0:  # the next epoch
            try:
                fetcher = None if failed else Fetcher(settings, note)
            except Exception:
                fetcher, failed = None, Failure(where).portable()
            results.send_bytes(messages.encoded(arena, batch, messages.RESUMED, None))
            continue
        current[0], current[2] = batch, time.time()
        if fetcher is None:
            message = messages.encoded(arena, batch, messages.FAILURE, failed)
        else:
            message = _answer(fetcher, arena, batch, index, current)
        results.send_bytes(message)
        arena.note(-1, COLLATING, time.time())
        del message, task, index


def _answer(fetcher: Fetcher, arena: Arena, batch: int, index: Any, current: list[Any]) -> bytes:
    """The message with a batch, or with what went wrong."""
    settings = fetcher.settings
    try:
        data = fetcher.fetch(index)
        return messages.encoded(arena, batch, messages.BATCH, data)
    except Exception as error:
        if isinstance(error, StopIteration) and settings.streams:
            return messages.encoded(arena, batch, messages.EXHAUSTED, None)
        where = f"in DataLoader worker process {settings.worker_id}."
        place = described(index, current[1])
        failed = Failure(f"{where}\nIt was {place} (batch {batch} of this epoch).")
        return messages.encoded(arena, batch, messages.FAILURE, failed.portable())
