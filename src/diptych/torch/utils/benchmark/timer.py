"""Timer: times a statement, after a warm-up, on a chosen number of threads."""

from __future__ import annotations

import contextlib
import enum
import textwrap
import timeit
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import diptych.torch as torch
from diptych.torch.utils.benchmark.measurement import Measurement, TaskSpec

timer: Callable[[], float] = perf_counter
_MOST_RUNS = 1 << 31
_OVERHEAD = 1e-4  # of a block's time may be the timer's own


class Language(enum.Enum):
    """The language of a statement."""

    PYTHON = 0
    CPP = 1


class Timer:
    """Times ``stmt``; ``label``, ``sub_label``, ``description`` and ``env`` are for tables."""

    def __init__(
        self, stmt: str = "pass", setup: str = "pass", global_setup: str = "",
        timer: Callable[[], float] = timer, globals: dict[str, Any] | None = None,
        label: str | None = None, sub_label: str | None = None, description: str | None = None,
        env: str | None = None, num_threads: int = 1, language: Language | str = Language.PYTHON,
    ) -> None:  # fmt: skip
        if not isinstance(stmt, str):
            raise ValueError("Currently only a `str` stmt is supported.")
        if language in (Language.CPP, "cpp", "c++"):
            raise NotImplementedError(
                "torch.utils.benchmark.Timer(language='c++') is not implemented in diptych"
            )
        if language not in (Language.PYTHON, "py", "python"):
            raise ValueError(f"Invalid language `{language}`.")
        if global_setup:
            raise ValueError(
                f"global_setup is C++ only, got `{global_setup}`. "
                "Most likely this code can simply be moved to `setup`."
            )
        names = dict(globals or {})
        names.setdefault("torch", torch)
        stmt, setup = _dedented(stmt), _dedented(setup)
        self._globals = names
        self._timer = timeit.Timer(stmt, setup, timer, globals=names)
        self._task_spec = TaskSpec(
            stmt, setup, global_setup, label, sub_label, description, env, num_threads
        )

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """The time of ``number`` runs, after a few to warm up."""
        with self._threads():
            self._time(max(number // 100, 2))
            return self._measured(number, [self._time(number)])

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Times of blocks of runs, each long enough to time, for at least ``min_run_time``."""
        with self._threads():
            number = self._block(min_run_time)

            def enough(times: list[float]) -> bool:
                return sum(times) >= min_run_time

            return self._measured(number, self._collect(number, enough, callback))

    def adaptive_autorange(
        self, threshold: float = 0.1, *, min_run_time: float = 0.01, max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:  # fmt: skip
        """Times of blocks until they agree: their middle half within ``threshold`` of the median,
        or ``max_run_time`` has passed."""
        with self._threads():
            number = self._block(min_run_time)

            def enough(times: list[float]) -> bool:
                total = sum(times)
                if total >= max_run_time:
                    return True
                agreed = len(times) > 3 and self._measured(number, times).meets_confidence(
                    threshold
                )
                return total >= min_run_time and agreed

            return self._measured(number, self._collect(number, enough, callback))

    def autorange(self, callback: Any = None) -> Any:
        """Not there: see ``blocked_autorange``."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def repeat(self, repeat: int = -1, number: int = -1) -> Any:
        """Not there: see ``blocked_autorange``."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def collect_callgrind(self, *args: Any, **kwargs: Any) -> Any:
        """Not implemented: counts instructions with Valgrind."""
        raise NotImplementedError(
            "torch.utils.benchmark.Timer.collect_callgrind is not implemented in diptych"
        )

    # ---- one block

    @contextlib.contextmanager
    def _threads(self) -> Iterator[None]:
        before = torch.get_num_threads()
        torch.set_num_threads(self._task_spec.num_threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def _time(self, number: int) -> float:
        return max(self._timer.timeit(number), 1e-9)

    def _measured(self, number: int, times: list[float]) -> Measurement:
        return Measurement(number, list(times), self._task_spec)

    def _collect(
        self, number: int, enough: Callable[[list[float]], bool],
        callback: Callable[[int, float], Any] | None,
    ) -> list[float]:  # fmt: skip
        times: list[float] = []
        while not times or not enough(times):
            times.append(self._time(number))
            if callback is not None:
                callback(number, times[-1])
        return times

    def _block(self, min_run_time: float) -> int:
        """How many runs take long enough to be timed as one."""
        self._time(2)  # the first calls compile: they would pass for slow ones
        overhead = sorted(timeit.Timer().timeit(0) for _ in range(5))[2]
        number = 1
        while True:
            taken = self._time(number)
            long = taken >= min_run_time / 1000 and overhead / taken <= _OVERHEAD
            if long or taken > min_run_time or number * 10 > _MOST_RUNS:
                return number
            number *= 10


def _dedented(code: str) -> str:
    """Code without the indentation it has in the caller's file, or empty lines around it."""
    return textwrap.dedent(code.strip("\n") if code.startswith("\n") else code).strip()
