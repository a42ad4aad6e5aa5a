"""The profiler's results: events, lists and averages of them."""

from __future__ import annotations

import enum
import os
from collections import defaultdict
from typing import Any

from diptych.runtime.profiler import Event, Session
from diptych.torch.autograd import profiler_trace
from diptych.torch.autograd.profiler_names import public_name
from diptych.torch.autograd.profiler_table import format_time, render
from diptych.torch.gradient_nodes import backward_name

MEMORY_EVENT_NAME = "[memory]"
SCOPES = {"user": 7, "backward": 1}  # PyTorch's RecordScope; 0 is a function
_METRICS = [
    "self_cpu_time_total", "self_cuda_time_total", "self_xpu_time_total",
    "self_privateuse1_time_total",
]  # fmt: skip


class DeviceType(enum.IntEnum):
    """Kinds of devices; all events here are the CPU's."""

    CPU = 0
    CUDA = 1


class Interval:
    """A start and an end, in microseconds since the profile began."""

    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.end = end

    def elapsed_us(self) -> float:
        """How long it took."""
        return self.end - self.start


class Times:
    """What events and averages have in common: times of devices that are not there, and texts."""

    device_memory_usage = self_device_memory_usage = self_cuda_memory_usage = 0
    device_time_total = self_device_time_total = 0.0
    cuda_time_total = self_cuda_time_total = device_time = cuda_time = 0.0
    count: int
    cpu_time_total: float
    self_cpu_time_total: float

    @property
    def cpu_time(self) -> float:
        """Microseconds of one call."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def cpu_time_str(self) -> str:
        return format_time(self.cpu_time)

    @property
    def cpu_time_total_str(self) -> str:
        return format_time(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self) -> str:
        return format_time(self.self_cpu_time_total)

    device_time_str = device_time_total_str = self_device_time_total_str = "0.000us"


class FunctionEvent(Times):
    """One call: an operator, a node of the backward pass, or a block that the user named."""

    device_type = DeviceType.CPU
    device_index = device_resource_id = 0
    is_async = is_remote = is_legacy = False
    node_id = sequence_nr = -1
    overload_name = ""
    use_device = trace_name = None
    count = 1

    def __init__(
        self, id: int, name: str, thread: int, start_us: float, end_us: float,
        input_shapes: Any = None, stack: Any = None, scope: int = 0, cpu_memory_usage: int = 0,
        flops: int | None = None, is_user_annotation: bool = False,
    ) -> None:  # fmt: skip
        self.id, self.name, self.thread = id, name, thread
        self.time_range = Interval(start_us, end_us)
        self.input_shapes = input_shapes if input_shapes is not None else []
        self.input_types: list[str] = []
        self.concrete_inputs: list[Any] = []
        self.kwinputs: dict[str, Any] = {}
        self.stack = stack if stack is not None else []
        self.scope = scope
        self.cpu_memory_usage = cpu_memory_usage
        self.flops = flops
        self.is_user_annotation = is_user_annotation
        self.cpu_children: list[FunctionEvent] = []
        self.cpu_parent: FunctionEvent | None = None
        self.kernels: list[Any] = []
        self.ran_on = ""  # "native" or "host" (NumPy)
        self.compiled = False

    def append_cpu_child(self, child: FunctionEvent) -> None:
        """Enter an event that ran inside this one."""
        self.cpu_children.append(child)
        child.cpu_parent = self

    @property
    def key(self) -> str:
        return self.name

    @property
    def cpu_time_total(self) -> float:  # type: ignore[override]
        return self.time_range.elapsed_us()

    @property
    def self_cpu_time_total(self) -> float:  # type: ignore[override]
        return self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children)

    @property
    def self_cpu_memory_usage(self) -> int:
        return self.cpu_memory_usage - sum(c.cpu_memory_usage for c in self.cpu_children)

    def __repr__(self) -> str:
        children = [child.id for child in self.cpu_children]
        return (
            f"<FunctionEvent id={self.id} name={self.name} device_type=DeviceType.CPU "
            f"cpu_time={self.cpu_time_str} start_us={self.time_range.start:.3f} "
            f"end_us={self.time_range.end:.3f} cpu_children={children} thread={self.thread} "
            f"input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage}>"
        )


class FunctionEventAvg(Times):
    """The sum of all events with one key."""

    device_type = DeviceType.CPU
    overload_name = ""
    node_id = 0

    def __init__(self) -> None:
        self.key: str | None = None
        self.count = 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = self.self_cpu_memory_usage = 0
        self.input_shapes: Any = None
        self.stack: list[str] = []
        self.scope: int | None = None
        self.flops = 0
        self.cpu_children: list[FunctionEvent] | None = None
        self.cpu_parent: FunctionEvent | None = None
        self.is_async = self.is_remote = self.is_legacy = self.is_user_annotation = False
        self.use_device = None

    def add(self, other: Any) -> FunctionEventAvg:
        """Count another event, or another average, in."""
        if self.key is None:
            self.key = other.key
            self.input_shapes, self.stack = other.input_shapes, other.stack
            self.scope = other.scope
            self.cpu_parent = other.cpu_parent
            self.cpu_children = other.cpu_children
            self.is_user_annotation = other.is_user_annotation
        self.cpu_time_total += other.cpu_time_total
        self.self_cpu_time_total += other.self_cpu_time_total
        self.cpu_memory_usage += other.cpu_memory_usage
        self.self_cpu_memory_usage += other.self_cpu_memory_usage
        self.count += other.count
        self.flops += other.flops or 0
        return self

    def __iadd__(self, other: Any) -> FunctionEventAvg:
        return self.add(other)

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str}  self_cuda_time=0.000us cuda_time=0.000us "
            f"input_shapes={self.input_shapes} cpu_memory_usage={self.cpu_memory_usage} "
            "cuda_memory_usage=0>"
        )


class EventList(list[Any]):
    """Events, or averages of them."""

    def __init__(
        self, *args: Any, profile_memory: bool = False, with_flops: bool = False,
        session: Session | None = None, record_shapes: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(*args)
        self._profile_memory = profile_memory
        self._with_flops = with_flops
        self._session = session
        self._record_shapes = record_shapes

    def __str__(self) -> str:
        return self.table()

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds spent in all of them."""
        return sum(event.self_cpu_time_total for event in self)

    def table(
        self, sort_by: str | None = None, row_limit: int = 100, max_src_column_width: int = 75,
        max_name_column_width: int = 55, max_shapes_column_width: int = 80,
        header: str | None = None, top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:  # fmt: skip
        """The events as text, in the order of an attribute (``"cpu_time_total"``) if named."""
        return render(
            self, sort_by, row_limit, max_src_column_width, max_name_column_width,
            max_shapes_column_width, header, top_level_events_only, time_unit,
            memory=self._profile_memory, flops=self._with_flops,
        )  # fmt: skip

    def key_averages(
        self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:  # fmt: skip
        """One average per name, and per shapes or innermost frames of the stack if asked for."""
        groups: defaultdict[tuple[str, ...], FunctionEventAvg] = defaultdict(FunctionEventAvg)
        for event in self:
            key = [event.key]
            if group_by_input_shapes:
                key.append(str(event.input_shapes))
            if group_by_stack_n > 0:
                key += event.stack[:group_by_stack_n]
            groups[tuple(key)].add(event)
        averages = EventList(
            groups.values(), profile_memory=self._profile_memory, with_flops=self._with_flops
        )
        for average in averages:
            average.stack = average.stack[:group_by_stack_n]
            if not group_by_input_shapes:
                average.input_shapes = ""
        return averages

    def total_average(self) -> FunctionEventAvg:
        """All of them as one."""
        total = FunctionEventAvg()
        for event in self:
            total.add(event)
            total.key = None
        total.key = "Total"
        return total

    def supported_export_stacks_metrics(self) -> list[str]:
        """What ``export_stacks`` can weigh stacks by."""
        return list(_METRICS)

    def export_stacks(self, path: str, metric: str) -> None:
        """Write stacks with their weight, as flame graphs are drawn from."""
        if metric not in _METRICS:
            raise ValueError("metric should be one of: " + str(_METRICS))
        weights: defaultdict[str, int] = defaultdict(int)
        for event in self:
            weight = int(getattr(event, metric))
            if event.stack and weight > 0:
                frames = [event.name, *event.stack] if hasattr(event, "name") else event.stack
                weights[";".join(_plain_frame(f) for f in reversed(frames))] += weight
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(f"{stack} {weight}\n" for stack, weight in weights.items())

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write a trace for Perfetto or chrome://tracing; gzip for a name that ends in .gz."""
        if self._session is None:
            raise RuntimeError("export_chrome_trace: averages have no times; use events()")
        profiler_trace.write(self._session, path, self._record_shapes)


def _plain_frame(frame: str) -> str:
    """A frame without the letters that separate frames from each other and from the weight."""
    return frame.replace(";", "_").replace(" ", "_")


def shapes_of(event: Event) -> list[list[int]]:
    """The operands' shapes; empty for what is no tensor."""
    return [[] if place is None else list(place.shape) for place in event.layouts]


class _Builder:
    """Turns a session's spans into events."""

    def __init__(self, session: Session, record_shapes: bool) -> None:
        self.session, self.record_shapes = session, record_shapes
        self.made: list[FunctionEvent] = []
        self.threads: dict[int, int] = {}

    def event(self, span: Event, name: str, parent: FunctionEvent | None) -> FunctionEvent:
        start = self.session.start
        made = FunctionEvent(
            len(self.made), name, self.threads.setdefault(span.thread, len(self.threads) + 1),
            (span.start - start) / 1e3, (span.end - start) / 1e3,
            shapes_of(span) if self.record_shapes else [], list(span.stack),
            SCOPES.get(span.kind, 0), span.net_memory, is_user_annotation=span.kind == "user",
        )  # fmt: skip
        if span.kind != "user":
            made.ran_on = "host" if span.on_host else "native"
            made.compiled = span.compiled
        if parent is not None:
            parent.append_cpu_child(made)
        self.made.append(made)
        return made

    def build(self) -> list[FunctionEvent]:
        by_span: dict[int, FunctionEvent] = {}
        for span in sorted(self.session.events, key=lambda span: (span.start, -span.end)):
            parent = by_span.get(id(span.parent)) if span.parent is not None else None
            made = self.event(span, public_name(span), parent)
            if span.kind == "backward":  # PyTorch shows the node inside what evaluates it
                made = self.event(span, backward_name(span.name), made)
            made.flops = span.flops or None
            by_span[id(span)] = made
        for change in self.session.changes:
            at = (change.time - self.session.start) / 1e3
            thread = self.threads.setdefault(change.thread, len(self.threads) + 1)
            self.made.append(
                FunctionEvent(
                    len(self.made),
                    MEMORY_EVENT_NAME,
                    thread,
                    at,
                    at,
                    cpu_memory_usage=change.nbytes,
                )  # fmt: skip
            )
        return self.made


def events_of(session: Session, record_shapes: bool) -> EventList:
    """A closed session's events, in the order of their start."""
    return EventList(
        _Builder(session, record_shapes).build(), profile_memory=session.memory,
        with_flops=session.flops, session=session, record_shapes=record_shapes,
    )  # fmt: skip
