"""Draws bad calls one after another and looks at what each of them does; run by test_bad_calls.

    python -m tests.fuzz.worker --face torch --seed 1 --start 0 --count 1000 [--keep-going]

Each call is drawn from the seed and its own number alone, so ``--start N --count 1`` repeats one.
The call about to be made is written to ``--log`` first: what stands there after a crash is the
culprit. ``--guards`` surrounds our own memory with bytes that must survive, ``--strict`` also
refuses messages that tell of our inside, ``--trace`` prints where a failure came from.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import gc
import importlib
import os
import re
import resource
import sys
import time
import traceback
import warnings
from typing import Any

import numpy as np

from diptych.core import buffer as buffers
from diptych.core.tensor import Tensor
from diptych.errors import GraphError
from diptych.runtime.checking import CheckError
from tests.fuzz.call import Disagreement
from tests.fuzz.draw import GUARD, Drawer

ADDRESS_SPACE = 3 << 29  # what the process may take beyond what it has at the start
RESIDENT = 3 << 29  # and what it may ever occupy
LONGEST = 10.0  # seconds for one call
HANGING = 40  # seconds after which a call is given up

EXPECTED = (
    ArithmeticError, AttributeError, BufferError, ImportError, IndexError, MemoryError,
    NotImplementedError, OSError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
OUR_BUGS = (
    AssertionError, CheckError, GraphError, KeyError, NameError, RecursionError, SystemError,
    ZeroDivisionError,
)  # fmt: skip
# Only the faces of frameworks that assert what their users give them may do so too (and ruff's S101
# keeps assertions of our own out of them).
ASSERTING = os.path.join("diptych", "torch", "")
# What only someone who has read our code would understand.
PRIVATE = re.compile(
    r"has no attribute '(layout|buffer|node|address|engine|_\w*|is_inexact|ndim|size|values)'"
    r"|object is not iterable$|ufunc|unhashable|<lambda>|unexpected keyword argument '_"
)


class Guards:
    """An allocator that surrounds and fills each block with guard bytes, and checks them after."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.owners: dict[int, Any] = {}
        self.broken = 0

    def allocate(self, nbytes: int) -> tuple[int, Any]:
        address, memory = self.inner.allocate(nbytes + 128)
        whole = np.frombuffer(memory, np.uint8)
        whole[:64] = GUARD
        whole[64 + nbytes : 128 + nbytes] = GUARD
        whole[64 : 64 + min(nbytes, 1 << 16)] = GUARD
        self.owners[address] = memory
        return address + 64, whole[64 : 64 + nbytes]

    def release(self, nbytes: int, address: int, memory: Any) -> None:
        owner = self.owners.pop(address - 64)
        whole = np.frombuffer(owner, np.uint8)
        if (whole[:64] != GUARD).any() or (whole[64 + nbytes : 128 + nbytes] != GUARD).any():
            self.broken += 1
        self.inner.release(nbytes + 128, address - 64, owner)


class Failure(Exception):
    """A call that did what no call may do."""


def tensors_in(value: Any, depth: int = 3) -> Any:
    """The tensors that a result holds."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)) and depth:
        for item in value[:20]:
            yield from tensors_in(item, depth - 1)
    elif isinstance(value, dict) and depth:
        yield from tensors_in(list(value.values()), depth - 1)


def check_bounds(x: Tensor) -> None:
    """Fail when a tensor reaches outside its buffer."""
    place, buffer = x.layout, x.buffer
    if any(extent < 0 for extent in place.shape):
        raise Failure(f"a result of shape {place.shape}")
    if not place.size:
        return
    first = x.address + place.lowest * place.dtype.itemsize
    if first < buffer.address or (
        first + place.span * place.dtype.itemsize > buffer.address + buffer.nbytes
    ):
        raise Failure(f"{place} at byte {x.address - buffer.address} of {buffer.nbytes}")


def overlaps(array: np.ndarray[Any, Any]) -> bool:
    """Whether two elements of an array share a place in memory."""
    places = np.zeros((), np.int64)
    for extent, stride in zip(array.shape, array.strides, strict=True):
        places = places[..., None] + np.arange(extent) * stride
    return len(np.unique(places)) < places.size


def judge(error: BaseException, strict: bool) -> str | None:
    """Why an exception is not one that a user may meet; None for an ordinary one.

    ``strict`` also wants words that do not tell of our inside.
    """
    words = str(error)
    name = type(error).__name__
    place = traceback.extract_tb(error.__traceback__)[-1].filename
    if isinstance(error, AssertionError) and words and ASSERTING in place:
        return None
    if isinstance(error, KeyError) and " " in words and not place.startswith("<"):
        return None  # a sentence: raised on purpose, for a key that the user left out
    if isinstance(error, (Failure, Disagreement)):
        return words
    if isinstance(error, OUR_BUGS):
        return f"{name} is a bug of ours"
    if not isinstance(error, EXPECTED) and not type(error).__module__.startswith("tensorflow"):
        return f"{name} is not what a user expects"
    if not words.strip():
        return f"{name} says nothing"
    if type(error).__module__.startswith("numpy") and name.startswith("_"):
        return f"{name} is NumPy's own affair"
    if strict and PRIVATE.search(words):
        return f"{name} tells of our inside"
    return None


class Worker:
    """Runs the calls and keeps the account."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.log = os.open(options.log, os.O_CREAT | os.O_WRONLY, 0o644) if options.log else -1
        self.calls = importlib.import_module(f"tests.fuzz.{options.face}_calls")
        self.targets = self.calls.targets()
        self.counts: collections.Counter[str] = collections.Counter()
        self.failures: dict[str, str] = {}
        self.allocator = Guards(buffers.installed)
        if options.guards:
            buffers._WAITING_BLOCKS = 0
            buffers.install(self.allocator)

    def announce(self, text: str) -> None:
        if self.log >= 0:
            os.ftruncate(self.log, 0)
            os.pwrite(self.log, text.encode(errors="backslashreplace")[:4000], 0)

    def run(self) -> int:
        """All calls; the number of failures."""
        for number in range(self.options.start, self.options.start + self.options.count):
            self.one(number)
            if self.failures and not self.options.keep_going:
                break
            if number % 500 == 499:
                gc.collect()
        return len(self.failures)

    def one(self, number: int) -> None:
        """Draw and make one call."""
        seed = f"{self.options.seed}:{number}"
        self.announce(f"{self.options.face} {seed} (while it was drawn)")
        rearm(HANGING)
        drawer = Drawer(seed, self.calls.TENSOR, self.calls.dtypes())
        text = "(while it was drawn)"
        started = time.perf_counter()
        why: str | None = None
        where = ""
        try:
            call = self.calls.draw(drawer, self.targets)
            text = call.text
            self.announce(f"{self.options.face} {seed} {text}")
            started = time.perf_counter()
            outcome = call.run()
            for x in tensors_in(outcome):
                check_bounds(x)
                if x.layout.size <= 1 << 16:
                    np.array(x.array())
            for x in call.operands:
                check_bounds(x)
            self.counts["returned"] += 1
        except BaseException as error:  # noqa: BLE001 (whatever comes is looked at)
            if isinstance(error, KeyboardInterrupt):
                raise
            self.counts[type(error).__name__] += 1
            why = judge(error, self.options.strict)
            excused = not getattr(self.calls, "PURE", False) and isinstance(error, CheckError)
            if excused and any(overlaps(x) for x in drawer.arrays):
                why = None  # what writing to elements that share a place leaves is anybody's guess
            if why is not None:
                frames = traceback.extract_tb(error.__traceback__)
                place = frames[-1]
                where = f"{os.path.relpath(place.filename)}:{place.lineno}"
                why = f"{why}: {type(error).__name__}: {str(error)[:300]}"
                if self.options.trace:
                    traceback.print_exception(error)
            del error
        finally:
            self.calls.reset()
        took = time.perf_counter() - started
        faulthandler.cancel_dump_traceback_later()
        if why is None and not drawer.intact():
            why = "it wrote outside its operands"
        if why is None and self.allocator.broken:
            why = "something was written outside a tensor (by this call, or one before it)"
        if why is None and took > LONGEST:
            why = f"it took {took:.1f} s"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        if why is None and peak > RESIDENT:
            why = f"{peak >> 20} MB were occupied"
        self.allocator.broken = 0
        if why is not None:
            key = f"{text.split('(')[0]} {where} {why[:60]}"
            if key not in self.failures:
                self.failures[key] = why
                told = f"@@ FAILED {self.options.face} {seed} {text[:1500]}\n    {where} {why}"
                print("\n" + told, flush=True)


def rearm(seconds: float) -> None:
    """End the process, telling where it was, unless the call is over by then."""
    faulthandler.dump_traceback_later(seconds, exit=True)


def limit_memory() -> None:
    """Let the process take only so much more address space: a huge request then fails at once."""
    with open("/proc/self/statm") as file:
        have = int(file.read().split()[0]) * resource.getpagesize()
    bound = have + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--face", default="torch")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--log", default="")
    parser.add_argument("--keep-going", action="store_true")
    parser.add_argument("--guards", action="store_true")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    faulthandler.enable()
    worker = Worker(options)
    limit_memory()
    started = time.perf_counter()
    failures = worker.run()
    drawn = sum(worker.counts.values())
    kinds = ", ".join(f"{name} {count}" for name, count in worker.counts.most_common())
    took = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{drawn} calls in {took:.1f} s, at most {peak} MB: {kinds}; {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
