"""Chrome traces of a profile: the JSON that Perfetto and chrome://tracing open."""

from __future__ import annotations

import gzip
import json
import os
import socket
from collections.abc import Mapping
from typing import Any

from diptych.runtime.profiler import Event, Session
from diptych.torch.autograd.profiler_names import public_name
from diptych.torch.dtypes import scalar_name
from diptych.torch.gradient_nodes import backward_name

_CATEGORIES = {"user": "user_annotation"}


def write(
    session: Session, path: str | os.PathLike[str], record_shapes: bool,
    metadata: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Write a session's trace to ``path``, compressed where its name ends in ``.gz``."""
    text = json.dumps({**trace(session, record_shapes, metadata), "traceName": os.fspath(path)})
    if os.fspath(path).endswith(".gz"):
        with gzip.open(path, "wt", encoding="utf-8") as packed:
            packed.write(text)
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)


def trace(
    session: Session, record_shapes: bool, metadata: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A session as the trace format's object."""
    pid = os.getpid()
    spans = sorted(session.events, key=lambda span: (span.start, -span.end))
    entries = _names(pid, [span.thread for span in spans])
    for number, span in enumerate(spans):
        entries += _spans(span, pid, number, record_shapes)
    for change in session.changes:
        entries.append(
            {
                "ph": "i", "cat": "cpu_instant_event", "s": "t", "name": "[memory]", "pid": pid,
                "tid": change.thread, "ts": change.time / 1e3,
                "args": {
                    "Bytes": change.nbytes, "Total Allocated": change.total, "Device Type": 0,
                    "Device Id": -1,
                },
            }
        )  # fmt: skip
    entries.append(
        {
            "ph": "X", "cat": "Trace", "name": "PyTorch Profiler (0)", "pid": "Spans",
            "tid": "PyTorch Profiler", "ts": session.start / 1e3,
            "dur": (session.end - session.start) / 1e3, "args": {"Op count": len(spans)},
        }
    )  # fmt: skip
    return {
        "schemaVersion": 1, "deviceProperties": [], "record_shapes": int(record_shapes),
        "profile_memory": int(session.memory), "with_stack": int(session.stacks),
        "with_flops": int(session.flops), "host_name": socket.gethostname(),
        "displayTimeUnit": "ms", "baseTimeNanoseconds": session.epoch, **(metadata or {}),
        "traceEvents": entries,
    }  # fmt: skip


def _names(pid: int, threads: list[int]) -> list[dict[str, Any]]:
    """What the process and its threads are called."""
    entries = [_label("process_name", pid, 0, {"name": "python"}),
               _label("process_labels", pid, 0, {"labels": "CPU"})]  # fmt: skip
    entries += [
        _label("thread_name", pid, thread, {"name": f"thread {thread} (python)"})
        for thread in dict.fromkeys(threads)
    ]
    return entries


def _label(name: str, pid: int, tid: int, args: dict[str, Any]) -> dict[str, Any]:
    return {"ph": "M", "name": name, "ts": 0, "pid": pid, "tid": tid, "args": args}


def _spans(span: Event, pid: int, number: int, record_shapes: bool) -> list[dict[str, Any]]:
    """One span as an entry; a node of the backward pass as two, one inside the other."""
    args: dict[str, Any] = {"External id": number + 1, "Ev Idx": number}
    if span.kind != "user":
        args["Ran"] = "host" if span.on_host else "native"
        if span.compiled:
            args["Compiled"] = True
    if record_shapes and span.layouts:
        places = span.layouts
        args["Input Dims"] = [[] if place is None else list(place.shape) for place in places]
        args["Input Strides"] = [[] if place is None else list(place.strides) for place in places]
        args["Input type"] = [
            "" if place is None else scalar_name(place.dtype).lower() for place in places
        ]
    if span.flops:
        args["flops"] = span.flops
    if span.allocated or span.freed:
        args["Bytes Allocated"], args["Bytes Freed"] = span.allocated, span.freed
    if span.stack:
        args["Call stack"] = ";".join(span.stack)
    if span.note:
        args["Args"] = span.note
    name = span.name if span.kind == "user" else public_name(span)
    entry = {
        "ph": "X", "cat": _CATEGORIES.get(span.kind, "cpu_op"), "name": name, "pid": pid,
        "tid": span.thread, "ts": span.start / 1e3, "dur": (span.end - span.start) / 1e3,
        "args": args,
    }  # fmt: skip
    if span.kind != "backward":
        return [entry]
    return [entry, {**entry, "name": backward_name(span.name)}]
