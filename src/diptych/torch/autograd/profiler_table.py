"""Tables of profiled events, in the columns PyTorch prints."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

_WIDTH = 12  # of columns of numbers
_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0}
_MEMORY = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB"))
_FLOPS = ("FLOPs", "KFLOPs", "MFLOPs", "GFLOPs", "TFLOPs", "PFLOPs")


def format_time(us: float, unit: str | None = None) -> str:
    """Microseconds as text: in ``unit``, or from 1 ms and from 1 s on in the larger ones."""
    if unit is None:
        unit = "s" if us >= _UNITS["s"] else "ms" if us >= _UNITS["ms"] else "us"
    return f"{us / _UNITS[unit]:.3f}{unit}"


def format_share(part: float, whole: float) -> str:
    """A percentage; NaN of nothing."""
    return f"{part * 100 / whole:.2f}%" if whole else ("NaN" if part else "0.00%")


def format_memory(nbytes: int) -> str:
    """Bytes as text, two decimals from 1 KB on."""
    for size, unit in _MEMORY:
        if abs(nbytes) >= size:
            return f"{nbytes / size:.2f} {unit}"
    return f"{nbytes} B"


def shortened(text: str, width: int) -> str:
    """The start of a text that is too long; a width of 0 or less cuts nothing."""
    return text if width <= 0 or len(text) <= width else text[: max(width - 3, 0)] + "..."


def shortened_path(text: str, width: int) -> str:
    """The end of a path that is too long."""
    return text if width <= 0 or len(text) <= width else "..." + text[len(text) - width + 3 :]


class Column(NamedTuple):
    """A header, a width, and what to print of an event."""

    header: str
    width: int
    text: Callable[[Any], str]


def _widest(texts: Sequence[str], least: int, most: int) -> int:
    """A column's width: what its texts need and a little room, up to ``most``."""
    needed = max([least, *[len(text) for text in texts]]) + 4
    return min(needed, most) if most > 0 else needed


def render(
    events: Any, sort_by: str | None, row_limit: int, source_width: int, name_width: int,
    shapes_width: int, header: str | None, top_level_only: bool, unit: str | None, *,
    memory: bool, flops: bool,
) -> str:  # fmt: skip
    """The table as text, ending with the total."""
    if len(events) == 0:
        return ""
    if unit is not None and unit not in _UNITS:
        raise ValueError(f"time_unit should be one of {list(_UNITS)} or None, but got {unit!r}")
    total = events.self_cpu_time_total
    rows = list(events)
    if sort_by is not None:
        attribute = sort_by.replace("cuda", "device").replace("xpu", "device")
        rows.sort(key=lambda event: getattr(event, attribute), reverse=True)
    columns = _columns(
        rows, total, unit, source_width, name_width, shapes_width, memory, flops
    )  # fmt: skip
    rule = "".join("-" * column.width + "  " for column in columns)
    lines = []
    if header is not None:
        lines += ["=" * len(rule), header]
    if top_level_only:
        lines += ["=" * len(rule), "This report only display top-level ops statistics"]
    lines += [rule, "".join(f"{c.header:>{c.width}}  " for c in columns), rule]
    shown = 0
    for event in rows:
        if row_limit >= 0 and shown == row_limit:
            break
        if top_level_only and event.cpu_parent is not None:
            continue
        shown += 1
        lines.append("".join(f"{c.text(event):>{c.width}}  " for c in columns))
    lines += [rule, f"Self CPU time total: {format_time(total, unit)}", ""]
    return "\n".join(lines)


def _columns(
    rows: Sequence[Any], total: float, unit: str | None, source_width: int, name_width: int,
    shapes_width: int, memory: bool, flops: bool,
) -> list[Column]:  # fmt: skip
    """The columns that these events fill."""

    def numbers(name: str, text: Callable[[Any], str]) -> Column:
        return Column(name, _WIDTH, text)

    wide = _widest([event.key for event in rows], 0, name_width)
    columns = [
        Column("Name", wide, lambda event: shortened(event.key, name_width)),
        numbers("Self CPU %", lambda event: format_share(event.self_cpu_time_total, total)),
        numbers("Self CPU", lambda event: format_time(event.self_cpu_time_total, unit)),
        numbers("CPU total %", lambda event: format_share(event.cpu_time_total, total)),
        numbers("CPU total", lambda event: format_time(event.cpu_time_total, unit)),
        numbers("CPU time avg", lambda event: format_time(event.cpu_time, unit)),
    ]
    if memory:
        columns += [
            numbers("CPU Mem", lambda event: format_memory(event.cpu_memory_usage)),
            numbers("Self CPU Mem", lambda event: format_memory(event.self_cpu_memory_usage)),
        ]
    columns.append(numbers("# of Calls", lambda event: str(event.count)))
    shapes = [str(event.input_shapes) for event in rows if event.input_shapes]
    if shapes:
        columns.append(
            Column(
                "Input Shapes",
                _widest(shapes, _WIDTH, shapes_width),
                lambda event: shortened(str(event.input_shapes), shapes_width),
            )  # fmt: skip
        )
    sources = [event.stack[0] for event in rows if event.stack]
    if sources:
        columns.append(
            Column(
                "Source Location",
                _widest(sources, _WIDTH, source_width),
                lambda event: shortened_path(event.stack[0], source_width) if event.stack else "",
            )  # fmt: skip
        )
    most = max([event.flops or 0 for event in rows])
    if flops and most > 0:
        power = min(int(math.log10(most) / 3), len(_FLOPS) - 1)
        scale = 1000.0**-power
        columns.append(
            numbers(
                f"Total {_FLOPS[power]}",
                lambda event: f"{event.flops * scale:.3f}" if event.flops else "--",
            )
        )
    return columns
