"""Times the cases of a benchmark file in one engine's process; imports the standard library alone.

Run by path under the engine's own Python: ``worker.py FILE CPUS``. It says what it has on one line
of JSON, then answers each ``{"case": name, "seconds": s}`` with the seconds of a call, sampled.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, TextIO

SAMPLE_SECONDS = 2e-3  # a sample lasts at least this long: shorter calls are timed by the dozen
MIN_SAMPLES = 5
WARM_UP_SECONDS = 0.3

Step = Callable[[], object]


def calls_per_sample(step: Step) -> int:
    """How many calls make a sample, found by doubling; warms up at the same time."""
    clock = time.perf_counter
    count, warm_until = 1, clock() + WARM_UP_SECONDS
    while True:
        start = clock()
        for _ in range(count):
            step()
        seconds = clock() - start
        if seconds < SAMPLE_SECONDS:
            count *= 2
        elif clock() >= warm_until:
            return count


def sample(step: Step, count: int, seconds: float) -> list[float]:
    """Seconds of one call, each the mean over ``count`` of them, for ``seconds`` in all."""
    clock = time.perf_counter
    found: list[float] = []
    step()  # what other engines did since has emptied the caches
    gc.collect()
    gc.disable()
    try:
        stop = clock() + seconds
        while len(found) < MIN_SAMPLES or clock() < stop:
            start = clock()
            for _ in range(count):
                step()
            found.append((clock() - start) / count)
    finally:
        gc.enable()
    return found


class Cases:
    """The cases of a file, each set up at its first turn and kept."""

    def __init__(self, cases: dict[str, dict[str, Any]]) -> None:
        self.cases = cases
        self.ready: dict[str, tuple[Step, int]] = {}

    def turn(self, name: str, seconds: float) -> list[float]:
        if name not in self.ready:
            step = self.cases[name]["setup"]()
            self.ready[name] = step, calls_per_sample(step)
        return sample(*self.ready[name], seconds)


def answer_to(cases: Cases, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"times": cases.turn(request["case"], request["seconds"])}
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def serve(file: str, requests: TextIO, answers: TextIO) -> None:
    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        cases = Cases(runpy.run_path(file)["CASES"])
    except Exception as error:
        traceback.print_exc()
        say({"error": f"{type(error).__name__}: {error}"})
        return
    work = ("flops", "bytes")
    say({"cases": {n: {k: c[k] for k in work if k in c} for n, c in cases.cases.items()}})
    for line in requests:
        say(answer_to(cases, json.loads(line)))


def main() -> None:
    file, cpus = sys.argv[1:]
    if cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [int(cpu) for cpu in cpus.split(",")])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    serve(file, sys.stdin, answers)


if __name__ == "__main__":
    main()
