"""The picture of a benchmark: for each case, every engine's median over diptych's."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402 - after the choice of a backend without a window

from diptych.cli.bench.report import OURS, Report  # noqa: E402

# Colours that stay apart for the colour-blind, and in print.
COLOURS = ["#0072b2", "#56b4e9", "#e69f00", "#009e73", "#999999", "#cc79a7"]


def draw(report: Report, file: str) -> None:
    """Writes the chart as PNG."""
    engines = [name for name in report.engines() if name != OURS]
    rows = [row for row in report.rows if OURS in row.samples and len(row.samples) > 1]
    height = 1.2 + 0.16 * sum(len(row.samples) for row in rows) + 0.15 * len(rows)
    figure, axes = plt.subplots(figsize=(9, height), layout="constrained")
    place, ticks = 0.0, []
    seen: set[str] = set()
    for row in reversed(rows):
        start = place
        for name in reversed(engines):
            ratio = row.ratio(name)
            if ratio is None:
                continue
            label = "" if name in seen else name
            seen.add(name)
            colour = COLOURS[engines.index(name) % len(COLOURS)]
            axes.barh(place, ratio - 1, left=1, height=0.9, color=colour, label=label)
            axes.annotate(
                f"{ratio:.2f}",
                (ratio, place),
                xytext=(3 if ratio >= 1 else -3, 0),
                textcoords="offset points",
                ha="left" if ratio >= 1 else "right",
                va="center",
                fontsize=7,
            )
            place += 1
        ticks.append(((start + place - 1) / 2, row.label))
        place += 1
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.margins(x=0.08, y=0.01)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.set_yticks([at for at, _ in ticks], [text for _, text in ticks], fontsize=8)
    axes.set_xlabel("the engine's median / diptych's: right of the line, diptych is better")
    machine = report.machine
    axes.set_title(f"{machine.get('cpu', '')}, {machine.get('threads')} threads", fontsize=9)
    if seen:
        handles, labels = axes.get_legend_handles_labels()
        order = sorted(range(len(labels)), key=lambda index: engines.index(labels[index]))
        axes.legend([handles[i] for i in order], [labels[i] for i in order], fontsize=8)
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130)
