"""torch.profiler: schedules, what is done with traces, and the traces themselves."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import diptych.torch as torch
from diptych.torch.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)

NONE, WARMUP = ProfilerAction.NONE, ProfilerAction.WARMUP
RECORD, SAVE = ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE


def test_schedules() -> None:
    plan = schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
    cycle = [NONE, WARMUP, RECORD, SAVE]
    assert [plan(step) for step in range(11)] == [NONE, *cycle, *cycle, NONE, NONE]
    plan = schedule(wait=2, warmup=1, active=1, skip_first=1, skip_first_wait=1)
    assert [plan(step) for step in range(6)] == [NONE, WARMUP, SAVE, NONE, NONE, WARMUP]
    with pytest.raises(AssertionError, match="Invalid profiler schedule"):
        schedule(wait=-1, warmup=1, active=1)
    with pytest.raises(AssertionError, match="Invalid profiler schedule"):
        schedule(wait=0, warmup=1, active=0)
    with pytest.raises(AssertionError, match="non-negative"):
        plan(-1)
    with pytest.warns(UserWarning, match="warmup"):
        schedule(wait=0, warmup=0, active=1)


def test_each_cycle_is_handed_over_with_its_own_steps(tmp_path: Path) -> None:
    seen: list[tuple[int, list[str]]] = []

    def ready(prof: profile) -> None:
        prof.export_chrome_trace(tmp_path / f"{prof.step_num}.json")
        seen.append((prof.step_num, [e.name for e in prof.events()]))

    with profile(schedule=schedule(wait=1, warmup=1, active=2), on_trace_ready=ready) as prof:
        for _ in range(9):
            torch.ones(2) + 1
            prof.step()
    step = ["ProfilerStep*", "aten::add"]
    assert seen == [(4, step * 2), (8, step * 2)]
    entries = json.loads((tmp_path / "8.json").read_text())["traceEvents"]
    names = [entry["name"] for entry in entries if entry.get("cat") == "user_annotation"]
    assert names == ["ProfilerStep#6", "ProfilerStep#7"]


def test_events_of_all_cycles_are_kept_when_asked() -> None:
    with profile(schedule=schedule(wait=0, warmup=1, active=1), acc_events=True) as prof:
        for _ in range(4):
            torch.ones(2) + 1
            prof.step()
    assert {e.key: e.count for e in prof.key_averages()} == {"ProfilerStep*": 2, "aten::add": 2}


def test_without_a_schedule_all_is_one_trace() -> None:
    seen: list[Any] = []
    prof = profile(on_trace_ready=seen.append)
    prof.start()
    torch.ones(2) + 1
    prof.step()
    torch.ones(2) * 2
    prof.stop()
    assert seen == [prof]
    assert [event.name for event in prof.events()] == ["aten::add", "aten::mul"]


def test_recording_that_stops_unsaved_warns() -> None:
    plan = [RECORD, NONE]
    with pytest.warns(UserWarning, match="RECORD followed by NONE"):
        with profile(schedule=lambda step: plan[min(step, 1)]) as prof:
            prof.step()


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_traces_open_in_perfetto(tmp_path: Path, name: str) -> None:
    model = torch.nn.Linear(3, 2)
    with profile(record_shapes=True, with_stack=True, profile_memory=True, with_flops=True) as prof:
        with record_function("outer"):
            model(torch.ones(4, 3)).sum().backward()
        del model
    prof.add_metadata("key", "value")
    prof.add_metadata_json("more", '{"a": [1]}')
    path = tmp_path / name
    prof.export_chrome_trace(str(path))
    text = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
    trace = json.loads(text)
    assert (trace["schemaVersion"], trace["displayTimeUnit"]) == (1, "ms")
    assert (trace["key"], trace["more"]) == ("value", {"a": [1]})
    spans = [entry for entry in trace["traceEvents"] if entry["ph"] == "X"]
    for entry in spans:
        assert entry["dur"] >= 0 and entry["ts"] > 0
        assert {"name", "cat", "pid", "tid", "args"} <= set(entry)
    assert {entry["ph"] for entry in trace["traceEvents"]} <= {"X", "M", "i"}
    outer = next(entry for entry in spans if entry["name"] == "outer")
    linear = next(entry for entry in spans if entry["name"] == "aten::linear")
    assert outer["ts"] <= linear["ts"]
    assert linear["ts"] + linear["dur"] <= outer["ts"] + outer["dur"]
    args = linear["args"]
    assert args["Input Dims"] == [[4, 3], [2, 3], [2]]
    assert args["Input type"] == ["float"] * 3
    assert args["Ran"] in ("native", "host")
    assert args["flops"] == 2 * 4 * 3 * 2
    assert Path(__file__).name in args["Call stack"]
    names = [entry["name"] for entry in spans]
    at = names.index("autograd::engine::evaluate_function: SumBackward0")
    assert names[at + 1] == "SumBackward0"


def test_traces_for_tensorboard(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "logs"
    handler = tensorboard_trace_handler(str(folder), worker_name="me", use_gzip=True)
    with profile(on_trace_ready=handler):
        torch.ones(2) + 1
    (file,) = folder.iterdir()
    assert file.name.startswith("me.") and file.name.endswith(".pt.trace.json.gz")
    (tmp_path / "file").write_text("")
    with pytest.raises(RuntimeError, match="Can't create directory"):
        tensorboard_trace_handler(str(tmp_path / "file" / "x"))(profile())


def test_what_is_there_to_profile() -> None:
    assert supported_activities() == {ProfilerActivity.CPU}
    with pytest.raises(AssertionError, match="No valid profiler activities"):
        profile(activities=[])
    with pytest.warns(UserWarning, match="CUDA is not available"):
        profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA])


def test_results_before_there_are_any() -> None:
    for method in ("events", "key_averages"):
        with pytest.raises(AssertionError, match="must be initialized"):
            getattr(profile(), method)()
    with pytest.raises(AssertionError, match="must be initialized"):
        profile().export_chrome_trace("nowhere")
    with pytest.raises(NotImplementedError, match="export_memory_timeline"):
        profile().export_memory_timeline("nowhere")


def test_importing_torch_does_not_load_the_profiler() -> None:
    code = (
        "import sys, diptych.torch as torch; "
        "assert not [m for m in sys.modules if 'profiler' in m], sys.modules; "
        "torch.profiler.profile; torch.autograd.profiler.profile"
    )
    tree = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3] / "src")}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=tree)
