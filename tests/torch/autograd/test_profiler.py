"""torch.autograd.profiler: events, averages, tables and stacks of a profiled block."""

from __future__ import annotations

from pathlib import Path

import pytest

import diptych.torch as torch
from diptych.core import call
from diptych.engine import EagerEvaluator, ReferenceBackend
from diptych.torch.autograd import profiler
from diptych.torch.autograd.profiler_table import (
    format_memory,
    format_share,
    format_time,
    shortened,
    shortened_path,
)
from diptych.torch.optim import optimizer


def train(model: torch.nn.Module) -> None:
    stepped = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(4, 8)).sum().backward()
    stepped.step()


def counts(events: profiler.EventList) -> dict[str, int]:
    return {event.key: event.count for event in events.key_averages()}


def test_a_training_step_in_pytorchs_names() -> None:
    with profiler.profile() as prof, profiler.record_function("step"):
        train(torch.nn.Sequential(torch.nn.Linear(8, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2)))
    found = counts(prof.function_events)
    assert found["step"] == 1
    assert found["aten::linear"] == 2
    assert found["aten::relu"] == 1
    assert found["autograd::engine::evaluate_function: ReluBackward0"] == 1
    assert found["ReluBackward0"] == 1
    assert found["Optimizer.step#SGD.step"] == 1
    step = prof.function_events[0]
    assert step.name == "step"
    assert all(event.cpu_parent is not None for event in prof.function_events[1:])
    assert step.self_cpu_time_total < step.cpu_time_total
    total = sum(event.self_cpu_time_total for event in prof.function_events)
    assert prof.self_cpu_time_total == pytest.approx(total)
    assert total == pytest.approx(step.cpu_time_total)


def test_names_of_products_convolutions_and_changes_in_place() -> None:
    x = torch.ones(2, 3)
    with profiler.profile() as prof:
        x @ x.T
        torch.bmm(torch.ones(2, 3, 3), torch.ones(2, 3, 3))
        torch.nn.functional.conv1d(torch.ones(1, 1, 5), torch.ones(1, 1, 3))
        torch.nn.functional.max_pool2d(torch.ones(1, 1, 4, 4), 2)
        x.add_(1)
        x.copy_(torch.zeros(2, 3))
        x.fill_(3)
    found = counts(prof.function_events)
    for name in ("mm", "bmm", "conv1d", "max_pool2d", "add_", "copy_", "fill_"):
        assert any(key.startswith(f"aten::{name}") for key in found), (name, found)


def test_the_table_has_pytorchs_columns() -> None:
    with profiler.profile(record_shapes=True, profile_memory=True, with_flops=True) as prof:
        torch.nn.functional.linear(torch.ones(40, 50), torch.ones(60, 50))
        torch.ones(3) + torch.ones(3)
    lines = prof.key_averages(group_by_input_shape=True).table(sort_by="flops").splitlines()
    assert lines[0] == lines[2] == lines[-2]
    assert set(lines[0]) == {"-", " "}
    assert (
        lines[1].split("  ")[0] == ""
        and lines[1].split()
        == (
            "Name Self CPU % Self CPU CPU total % CPU total CPU time avg CPU Mem Self CPU Mem "
            "# of Calls Input Shapes Total KFLOPs"
        ).split()
    )
    assert len({len(line) for line in lines[:-1]}) == 1
    first = lines[3].split()
    assert first[0] == "aten::linear"
    assert first[-1] == f"{2 * 40 * 50 * 60 / 1e3:.3f}"
    assert "9.38 KB" in lines[3]
    assert "[[40, 50], [60, 50]]" in lines[3]
    assert lines[-1].startswith("Self CPU time total: ")


def test_limits_of_the_table() -> None:
    with profiler.profile() as prof, profiler.record_function("x" * 80):
        torch.ones(3) + 1
        torch.ones(3) * 2
    events = prof.key_averages()
    text = events.table(row_limit=1, header="A TITLE", time_unit="s")
    rows = text.splitlines()
    assert rows[1] == "A TITLE"
    assert len(rows) == 8
    assert rows[5].split()[0] == "x" * 52 + "..."
    assert rows[5].split()[2].endswith("s") and not rows[5].split()[2].endswith("us")
    assert "aten::add" not in prof.table(top_level_events_only=True)
    assert len(events.table(row_limit=-1).splitlines()) == 4 + len(events) + 1
    with pytest.raises(AttributeError, match="nonsense"):
        events.table(sort_by="nonsense")
    with pytest.raises(ValueError, match="time_unit"):
        events.table(time_unit="days")
    assert profiler.EventList().table() == ""


def test_devices_that_are_not_there() -> None:
    with (
        pytest.warns(FutureWarning, match="use_device"),
        pytest.warns(UserWarning, match="CUDA is not available"),
    ):
        prof = profiler.profile(use_cuda=True)
    with prof:
        torch.ones(2) + 1
    assert "aten::add" in prof.key_averages().table(sort_by="cuda_time_total")


def test_shapes_stacks_and_memory_only_where_asked_for() -> None:
    with profiler.profile() as plain:
        torch.ones(2) + 1
    (event,) = plain.function_events
    assert (event.input_shapes, event.stack, event.cpu_memory_usage, event.flops) == (
        [],
        [],
        0,
        None,
    )
    with profiler.profile(record_shapes=True, with_stack=True, profile_memory=True) as full:
        kept = torch.ones(2) + 1
    (event,) = full.function_events
    assert event.input_shapes == [[2], []]
    assert event.cpu_memory_usage == kept.nbytes
    assert Path(__file__).name in event.stack[0]
    assert len(full.key_averages(group_by_stack_n=1)[0].stack) == 1
    assert "Source Location" in full.key_averages(group_by_stack_n=1).table()


def test_stacks_are_written_for_flame_graphs(tmp_path: Path) -> None:
    with profiler.profile(with_stack=True) as prof:
        torch.ones(5, 1, 7) * torch.ones(1, 6, 7)
    path = tmp_path / "stacks"
    prof.export_stacks(str(path))
    (line,) = [line for line in path.read_text().splitlines() if "aten::mul" in line]
    stack, _, weight = line.rpartition(" ")
    assert stack.endswith(";aten::mul") and " " not in stack
    assert int(weight) > 0
    with pytest.raises(ValueError, match="metric should be one of"):
        prof.export_stacks(str(path), "nonsense")
    with pytest.raises(AssertionError, match="with_stack=True"):
        profiler.profile().export_stacks(str(path))


def test_record_function_names_functions_and_costs_nothing_outside() -> None:
    @profiler.record_function("named")
    def function(x: int) -> int:
        """What it does."""
        return x + 1

    assert function(1) == 2
    assert function.__doc__ == "What it does."
    with profiler.profile() as prof:
        function(2)
        with profiler.record_function("block", "arguments"):
            pass
    assert counts(prof.function_events) == {"named": 1, "block": 1}


def test_use_before_and_after_and_twice() -> None:
    prof = profiler.profile()
    assert "unfinished" in repr(prof) and "unfinished" in str(prof)
    with pytest.raises(RuntimeError, match="finish"):
        prof.key_averages()
    before = call.current
    with pytest.raises(RuntimeError, match="not reentrant"), prof, prof:
        pass
    assert call.current is before
    with profiler.profile(enabled=False) as nothing:
        torch.ones(2) + 1
    assert nothing is None


def test_optimizers_are_watched_only_while_a_profile_is_open() -> None:
    model = torch.nn.Linear(8, 2)
    with profiler.profile() as outer:
        with profiler.profile() as inner:
            train(model)
        train(model)
    assert counts(inner.function_events)["Optimizer.step#SGD.step"] == 1
    assert counts(outer.function_events)["Optimizer.step#SGD.step"] == 2
    assert not optimizer._before_any_step and not optimizer._after_any_step


def test_events_say_where_they_ran() -> None:
    with call.installed(EagerEvaluator(ReferenceBackend())), profiler.profile() as prof:
        torch.ones(3, 1, 5, 1, 3) * 2  # of a layout that has no plan yet
    (event,) = prof.function_events
    assert event.ran_on == "host"


def test_an_error_inside_closes_the_profile() -> None:
    before = call.current
    with pytest.raises(RuntimeError), profiler.profile() as prof:
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert call.current is before
    assert prof.total_average().count == len(prof.function_events)


def test_marks_of_other_makers() -> None:
    for marks in (profiler.emit_nvtx, profiler.emit_itt):
        with pytest.raises(RuntimeError, match="not installed"), marks():
            pass
        with marks(enabled=False):
            pass
    with pytest.raises(NotImplementedError, match="load_nvprof"):
        profiler.load_nvprof("file")


def test_texts_of_numbers() -> None:
    assert [format_time(t) for t in (12.3456, 1234.5, 1234567.8)] == [
        "12.346us",
        "1.234ms",
        "1.235s",
    ]
    assert [format_memory(b) for b in (1, 1536, -3000000, 5 << 30)] == [
        "1 B", "1.50 KB", "-2.86 MB", "5.00 GB",
    ]  # fmt: skip
    assert format_share(1, 3) == "33.33%"
    assert format_share(1, 0) == "NaN"
    assert shortened("abcdefgh", 5) == "ab..."
    assert shortened_path("abcdefgh", 5) == "...gh"
