"""Results: best and median of each case on each engine, ratios, as a table and as JSON."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any

from diptych.cli.bench.peaks import Peaks

OURS = "diptych"


@dataclass
class Row:
    """One case: samples by engine, in seconds (or in ``unit``), and the work that a call does."""

    case: str
    unit: str = "s"
    flops: float = 0
    bytes: float = 0
    samples: dict[str, list[float]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.case + (" (memory)" if self.unit == "MB" else "")

    def add(self, engine: str, found: list[float]) -> None:
        self.samples.setdefault(engine, []).extend(found)

    def best(self, engine: str) -> float:
        return min(self.samples[engine])

    def median(self, engine: str) -> float:
        return statistics.median(self.samples[engine])

    def ratio(self, engine: str) -> float | None:
        """The engine's median over diptych's: above one, diptych is faster."""
        if OURS not in self.samples or engine not in self.samples:
            return None
        return self.median(engine) / self.median(OURS)


@dataclass
class Report:
    """All that one run of ``diptych bench`` found."""

    rows: list[Row] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    peaks: Peaks | None = None
    failures: list[str] = field(default_factory=list)

    def engines(self) -> list[str]:
        return [name for name in self.versions if any(name in row.samples for row in self.rows)]

    def row(self, case: str, unit: str = "s") -> Row:
        for row in self.rows:
            if row.case == case and row.unit == unit:
                return row
        self.rows.append(Row(case, unit))
        return self.rows[-1]

    def json(self) -> dict[str, Any]:
        peaks = self.peaks
        return {
            "machine": self.machine,
            "peaks": vars(peaks) if peaks else None,
            "versions": self.versions,
            "failures": self.failures,
            "cases": [
                {
                    "case": row.case,
                    "unit": row.unit,
                    "flops": row.flops,
                    "bytes": row.bytes,
                    "results": {name: self.result(row, name) for name in row.samples},
                }
                for row in self.rows
            ],
        }

    def result(self, row: Row, name: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "best": row.best(name),
            "median": row.median(name),
            "samples": len(row.samples[name]),
            "ratio": row.ratio(name),
        }
        if row.flops:
            found["gflops"] = row.flops / row.median(name) / 1e9
            if self.peaks:
                found["share_of_peak"] = found["gflops"] / self.peaks.gflops
        if row.bytes:
            found["gbytes"] = row.bytes / row.median(name) / 1e9
        return found


def quantity(value: float, unit: str) -> str:
    """A number with three digits: ``1.23 ms``, ``204 MB``."""
    if unit == "MB":
        return f"{value:.0f} MB"
    for size, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= size * 0.9995:
            scaled = value / size
            digits = 0 if scaled >= 99.95 else 1 if scaled >= 9.995 else 2
            return f"{scaled:.{digits}f} {name}"
    return f"{value * 1e9:.0f} ns"


def table(report: Report) -> str:
    """Medians, and in brackets how many times diptych's; for diptych the share of the FMA peak."""
    engines = report.engines()
    lines = [["case", *engines]]
    for row in report.rows:
        cells = [row.label]
        for name in engines:
            cells.append(cell(report, row, name))
        lines.append(cells)
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = [
        "  ".join(
            word.ljust(width) if column == 0 else word.rjust(width)
            for column, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    notes = ["", "medians; in brackets the median over diptych's (above 1: diptych is better),"]
    notes.append("for diptych the share of the multiply-add peak, where a case counts its work")
    return "\n".join(text + notes)


def cell(report: Report, row: Row, name: str) -> str:
    if name not in row.samples:
        return "-"
    text, ratio = quantity(row.median(name), row.unit), row.ratio(name)
    if name == OURS:
        share = report.result(row, name).get("share_of_peak")
        return f"{text} ({share:.0%})" if share is not None else text
    return f"{text} ({ratio:.2f})" if ratio is not None else text


def markdown(report: Report) -> str:
    """The same for the README: medians and ratios."""
    engines = report.engines()
    lines = ["| case | " + " | ".join(engines) + " |", "|---|" + "---:|" * len(engines)]
    for row in report.rows:
        cells = " | ".join(cell(report, row, name) for name in engines)
        lines.append(f"| {row.label} | {cells} |")
    return "\n".join(lines)
