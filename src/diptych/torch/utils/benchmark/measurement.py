"""What was timed, the times, and their statistics."""

from __future__ import annotations

import dataclasses
import math
import textwrap
from collections.abc import Iterable
from typing import Any

import numpy as np

# A median is known to no better than this, however little its measurements differ.
_LEAST_INTERVAL = 25e-9
_MOST_FIGURES = 4
_NORMAL_90 = 1.645  # standard deviations of a 90 % confidence interval
_IQR_WARNING, _IQR_GROSS = 0.1, 0.25
_UNITS = (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0))
_ENGLISH = {"ns": "nanosecond", "us": "microsecond", "ms": "millisecond", "s": "second"}


def select_unit(t: float) -> tuple[str, float]:
    """The unit to print a time in, and its size in seconds."""
    for unit, size in reversed(_UNITS):
        if t >= size:
            return unit, size
    return _UNITS[0]


def unit_to_english(u: str) -> str:
    """The word of a unit's letters."""
    return _ENGLISH[u]


def trim_sigfig(x: float, n: int) -> float:
    """``x`` rounded to ``n`` significant figures."""
    if x == 0 or not math.isfinite(x):
        return x
    return float(round(x, n - 1 - math.floor(math.log10(abs(x)))))


def ordered_unique(elements: Iterable[Any]) -> list[Any]:
    """The elements without repetition, in order."""
    return list(dict.fromkeys(elements))


@dataclasses.dataclass(frozen=True)
class TaskSpec:
    """What is timed, and what tables call it."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self) -> str:
        """The label, or the statement where there is none."""
        if self.label is not None:
            return self.label + (f": {self.sub_label}" if self.sub_label else "")
        if "\n" not in self.stmt:
            return self.stmt + (f": {self.sub_label}" if self.sub_label else "")
        more = f"\n{self.sub_label}" if self.sub_label else ""
        return "stmt:" + more + "\n" + textwrap.indent(self.stmt, "  ")

    def setup_str(self) -> str:
        """The setup as the summary shows it."""
        if self.setup in ("", "pass"):
            return ""
        if "\n" in self.setup:
            return "setup:\n" + textwrap.indent(self.setup, "  ")
        return f"setup: {self.setup}"

    def summarize(self) -> str:
        """Title, description and setup, a part to a line."""
        gap = "\n\n" if "\n" in self.title else "\n"
        parts = [part for part in (self.description, self.setup_str()) if part]
        return self.title + (gap if parts else "") + "\n".join(parts)


@dataclasses.dataclass(init=False)
class Measurement:
    """Times of one task: each of ``raw_times`` is that of ``number_per_run`` runs."""

    number_per_run: int
    raw_times: list[float]
    task_spec: TaskSpec
    metadata: dict[Any, Any] | None = None

    def __init__(
        self, number_per_run: int, raw_times: list[float], task_spec: TaskSpec,
        metadata: dict[Any, Any] | None = None,
    ) -> None:  # fmt: skip
        self.number_per_run = number_per_run
        self.raw_times = raw_times
        self.task_spec = task_spec
        self.metadata = metadata

    @property
    def times(self) -> list[float]:
        """Seconds of one run, per measurement."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def median(self) -> float:
        """The middle time, in seconds."""
        return float(np.median(self.times)) if self.raw_times else math.nan

    @property
    def mean(self) -> float:
        """The average time, in seconds."""
        return float(np.mean(self.times)) if self.raw_times else math.nan

    def _quartiles(self) -> tuple[float, float]:
        low, high = np.quantile(self.times, [0.25, 0.75]) if self.raw_times else (0.0, 0.0)
        return float(low), float(high)

    @property
    def iqr(self) -> float:
        """The width of the middle half of the times, in seconds."""
        low, high = self._quartiles()
        return high - low

    @property
    def significant_figures(self) -> int:
        """How many figures of the median mean something: those its confidence interval leaves."""
        times = sorted(self.times)
        middle = times[len(times) // 4 : math.ceil(3 * len(times) / 4)]
        if not middle:
            return 1
        interval = _NORMAL_90 * float(np.std(middle)) / math.sqrt(len(middle))
        relative = self.median / max(interval, _LEAST_INTERVAL)
        figures = math.floor(math.log10(relative)) if relative > 0 else 1
        return min(max(figures, 1), _MOST_FIGURES)

    def meets_confidence(self, threshold: float = _IQR_WARNING) -> bool:
        """Whether the middle half of the times differs by less than this part of the median."""
        return bool(self.raw_times) and self.iqr / self.median < threshold

    @property
    def has_warnings(self) -> bool:
        """Whether the times scatter so much that the median says little."""
        return not self.meets_confidence()

    # ---- what the task says

    @property
    def title(self) -> str:
        return self.task_spec.title

    @property
    def env(self) -> str:
        return self.task_spec.env or "Unspecified env"

    @property
    def as_row_name(self) -> str:
        return self.task_spec.sub_label or self.task_spec.stmt or "[Unknown]"

    @property
    def stmt(self) -> str:
        return self.task_spec.stmt

    @property
    def setup(self) -> str:
        return self.task_spec.setup

    @property
    def label(self) -> str | None:
        return self.task_spec.label

    @property
    def sub_label(self) -> str | None:
        return self.task_spec.sub_label

    @property
    def description(self) -> str | None:
        return self.task_spec.description

    @property
    def num_threads(self) -> int:
        return self.task_spec.num_threads

    def __repr__(self) -> str:
        unit, scale = select_unit(self.median)
        count = len(self.raw_times)
        lines = [f"{object.__repr__(self)}", self.task_spec.summarize()]
        median = "" if count == 1 else "Median: "
        lines.append(f"  {median}{self.median / scale:.2f} {unit}")
        if count > 3:
            low, high = self._quartiles()
            lines.append(
                f"  IQR:    {self.iqr / scale:.2f} {unit} ({low / scale:.2f} to {high / scale:.2f})"
            )
        runs = f"{self.number_per_run} runs " + ("" if count == 1 else "per measurement")
        plural = "" if count == 1 else "s"
        threads = f"{self.num_threads} thread" + ("" if self.num_threads == 1 else "s")
        lines.append(f"  {count} measurement{plural}, {runs}, {threads}")
        if self.has_warnings and self.median:
            part = self.iqr / self.median
            lines.append(
                f"  WARNING: Interquartile range is {part * 100:.1f}% of the median measurement."
            )
            gross = part > _IQR_GROSS
            lines.append(
                "           This suggests significant environmental influence."
                if gross
                else "           This could indicate system fluctuation."
            )
        return "\n".join(lines)

    @staticmethod
    def merge(measurements: Iterable[Measurement]) -> list[Measurement]:
        """One measurement per task: the times of all of them, each of one run."""
        groups: dict[TaskSpec, list[Measurement]] = {}
        for measurement in measurements:
            groups.setdefault(measurement.task_spec, []).append(measurement)
        return [
            Measurement(1, [t for m in group for t in m.times], task)
            for task, group in groups.items()
        ]
