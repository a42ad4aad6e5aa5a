"""Compare: measurements side by side, a table to each label."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Sequence

from diptych.torch.utils.benchmark.measurement import (
    Measurement,
    ordered_unique,
    select_unit,
    trim_sigfig,
    unit_to_english,
)

_GAP = "  |  "
_BOLD, _GREEN, _RED, _END = "\033[1m", "\033[92m", "\033[91m", "\033[0m"


class Colorize(enum.Enum):
    """Among which cells the fastest is looked for."""

    NONE = "none"
    COLUMNWISE = "columnwise"
    ROWWISE = "rowwise"


class Compare:
    """A table of measurements: rows by ``sub_label`` and threads, columns by ``description``."""

    def __init__(self, results: list[Measurement]) -> None:
        self._results: list[Measurement] = []
        self._trim = False
        self._colorize = Colorize.NONE
        self._highlight = False
        self.extend_results(results)

    def extend_results(self, results: Iterable[Measurement]) -> None:
        """Add measurements."""
        added = list(results)
        for result in added:
            if not isinstance(result, Measurement):
                raise ValueError(
                    f"Expected an instance of `Measurement`, got {type(result)} instead."
                )
        self._results += added

    def trim_significant_figures(self) -> None:
        """Print no more figures than the measurements support."""
        self._trim = True

    def colorize(self, rowwise: bool = False) -> None:
        """Show the fastest in green and what is much slower in red."""
        self._colorize = Colorize.ROWWISE if rowwise else Colorize.COLUMNWISE

    def highlight_warnings(self) -> None:
        """Mark what scatters much."""
        self._highlight = True

    def print(self) -> None:
        """Print the tables."""
        print(str(self))

    def __str__(self) -> str:
        merged = Measurement.merge(self._results)
        titles = ordered_unique(m.label or m.stmt for m in merged)
        return "\n".join(
            self._table(title, [m for m in merged if (m.label or m.stmt) == title])
            for title in titles
        )

    # ---- one table

    def _table(self, title: str, results: Sequence[Measurement]) -> str:
        unit, scale = select_unit(min(m.median for m in results))
        columns = ordered_unique(m.description for m in results)
        rows = ordered_unique((m.num_threads, m.task_spec.env, m.as_row_name) for m in results)
        rows.sort(key=lambda row: row[0])
        cells = {(m.num_threads, m.task_spec.env, m.as_row_name, m.description): m for m in results}
        named = {row: self._name(row[1], row[2], rows) for row in rows}
        first = max([len(name) for name in named.values()])
        grid = {row: [cells.get((*row, column)) for column in columns] for row in rows}
        texts = {row: ["" if m is None else self._text(m, scale, results) for m in grid[row]]
                 for row in rows}  # fmt: skip
        widths = [
            max([len(column or ""), *[len(texts[row][i]) for row in rows]])
            for i, column in enumerate(columns)
        ]
        heads = [
            (column or "").center(width) for column, width in zip(columns, widths, strict=True)
        ]
        head = _GAP.join([" " * first, *heads])
        lines = [f"[{f' {title} ':-^{max(len(head) - 2, 0)}}]", head]
        threads = None
        for row in rows:
            if row[0] != threads:
                threads = row[0]
                lines.append(f"{f'{threads} threads: ':-<{len(head)}}")
            shown = [
                self._painted(text.rjust(width), m, row, i, grid)
                for i, (m, text, width) in enumerate(
                    zip(grid[row], texts[row], widths, strict=True)
                )
            ]
            lines.append(_GAP.join([named[row].ljust(first), *shown]))
        lines += ["", f"Times are in {unit_to_english(unit)}s ({unit}).", ""]
        if self._highlight and any(m.has_warnings for m in results):
            lines[-1] = "(! XX%) Measurement has high variance, where XX is the IQR / median * 100."
            lines.append("")
        return "\n".join(lines)

    def _name(self, env: str | None, name: str, rows: Sequence[tuple[int, str | None, str]]) -> str:
        if all(row[1] is None for row in rows):
            return "      " + name
        return f"  ({env or 'Unspecified env'})  {name}"

    def _text(self, m: Measurement, scale: float, results: Sequence[Measurement]) -> str:
        value = m.median / scale
        figures = 1
        if self._trim:
            value = trim_sigfig(value, m.significant_figures)
            largest = max(r.median for r in results) / scale
            digits = math.ceil(math.log10(largest)) if largest > 0 else 1
            figures = max(max(r.significant_figures for r in results) - digits, 0)
        text = f"{value:.{figures}f}"
        if self._highlight and m.has_warnings:
            text = f"(! {m.iqr / m.median * 100:.0f}%) " + text
        return text

    def _painted(
        self, text: str, m: Measurement | None, row: tuple[int, str | None, str], column: int,
        grid: dict[tuple[int, str | None, str], list[Measurement | None]],
    ) -> str:  # fmt: skip
        """The text in the colour of its speed among those it is compared with."""
        if m is None or self._colorize is Colorize.NONE:
            return text
        if self._colorize is Colorize.ROWWISE:
            others = grid[row]
        else:
            others = [cells[column] for other, cells in grid.items() if other[0] == row[0]]
        best = min(other.median for other in others if other is not None)
        ratio = m.median / best if best else 1.0
        if ratio <= 1.05:
            return f"{_GREEN}{_BOLD}{text}{_END}{_END}"
        if ratio <= 1.25:
            return f"{_GREEN}{text}{_END}"
        if ratio >= 5:
            return f"{_RED}{_BOLD}{text}{_END}{_END}"
        return f"{_RED}{text}{_END}" if ratio >= 2 else text
