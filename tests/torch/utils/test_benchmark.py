"""torch.utils.benchmark: timers, the statistics of their measurements, and tables."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

import diptych.torch as torch
from diptych.torch.utils.benchmark import (
    Compare,
    Measurement,
    TaskSpec,
    Timer,
    select_unit,
    trim_sigfig,
)


class Clock:
    """A timer that shows what a statement says has passed."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += seconds


def clocked(statement: str, seconds: float) -> Timer:
    clock = Clock()
    return Timer(statement, timer=clock, globals={"clock": clock, "dt": seconds})


def test_a_fixed_number_of_runs() -> None:
    clock = Clock()
    timer = Timer("clock.passes(0.5)", timer=clock, globals={"clock": clock})
    measured = timer.timeit(100)
    assert clock.now == 0.5 * (2 + 100)  # with those that warm up
    assert (measured.number_per_run, measured.raw_times) == (100, [50.0])
    assert measured.times == [0.5]
    assert measured.median == measured.mean == 0.5


def test_blocks_until_the_time_is_up() -> None:
    measured = clocked("clock.passes(dt)", 0.03).blocked_autorange(min_run_time=0.2)
    assert measured.number_per_run == 1
    assert len(measured.times) == 7
    assert measured.median == pytest.approx(0.03)
    blocks: list[int] = []
    fast = clocked("clock.passes(dt)", 1e-4)
    fast.blocked_autorange(lambda number, taken: blocks.append(number), min_run_time=0.05)
    assert set(blocks) == {blocks[0]} and blocks[0] % 10 == 0


def test_a_slow_first_call_does_not_decide_the_blocks() -> None:
    text = "clock.n = getattr(clock, 'n', 0) + 1; clock.passes(0.1 if clock.n == 1 else 1e-5)"
    assert clocked(text, 0).blocked_autorange(min_run_time=0.05).number_per_run >= 10


def test_blocks_until_the_times_agree() -> None:
    measured = clocked("clock.passes(dt)", 0.03).adaptive_autorange()
    assert len(measured.times) == 4
    text = "clock.n = getattr(clock, 'n', 0) + 1; clock.passes(0.01 * clock.n)"
    scattered = clocked(text, 0).adaptive_autorange(max_run_time=1.0)
    assert sum(scattered.times) >= 1.0
    assert scattered.has_warnings


def test_threads_are_set_for_the_run_and_put_back() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    Timer(
        "seen.append(torch.get_num_threads())", globals={"seen": seen}, num_threads=before + 1
    ).timeit(1)
    assert set(seen) == {before + 1}
    assert torch.get_num_threads() == before
    with pytest.raises(ZeroDivisionError):
        Timer("1 / 0", num_threads=before + 1).timeit(1)
    assert torch.get_num_threads() == before


def test_statements_may_be_indented_and_long() -> None:
    seen: list[int] = []
    Timer(
        """
        for i in range(2):
            seen.append(i + start)
        """,
        setup="""
        start = 5
        """,
        globals={"seen": seen},
    ).timeit(1)
    assert seen[-2:] == [5, 6]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Timer(lambda: 1),  # type: ignore[arg-type]
        lambda: Timer("pass", language="cobol"),
        lambda: Timer("pass", global_setup="#include"),
    ],
)
def test_what_timers_refuse(make: Callable[[], Any]) -> None:
    with pytest.raises(ValueError):
        make()


def test_what_is_not_there() -> None:
    for make in (
        lambda: Timer("pass", language="c++"),
        lambda: Timer("pass").collect_callgrind(),
        lambda: Timer("pass").repeat(),
        lambda: torch.utils.benchmark.Fuzzer(),
    ):
        with pytest.raises(NotImplementedError):
            make()
    with pytest.raises(AttributeError):
        _ = torch.utils.benchmark.nothing


def measurement(times: list[float], number: int = 1, **names: Any) -> Measurement:
    return Measurement(number, times, TaskSpec("x + y", "", **names))


def lines(measured: Measurement) -> list[str]:
    return repr(measured).splitlines()[1:]


def test_measurements_as_text() -> None:
    assert lines(measurement([1e-6])) == [
        "x + y",
        "  1.00 us",
        "  1 measurement, 1 runs , 1 thread",
    ]
    named = measurement(
        [1e-3, 2e-3, 3e-3, 4e-3], 100, label="L", sub_label="S", description="D", num_threads=2
    )
    assert lines(named) == [
        "L: S",
        "D",
        "  Median: 25.00 us",
        "  IQR:    15.00 us (17.50 to 32.50)",
        "  4 measurements, 100 runs per measurement, 2 threads",
        "  WARNING: Interquartile range is 60.0% of the median measurement.",
        "           This suggests significant environmental influence.",
    ]
    assert named.has_warnings
    spec = TaskSpec("a\nb", "s = 1")
    assert spec.summarize() == "stmt:\n  a\n  b\n\nsetup: s = 1"
    assert pickle.loads(pickle.dumps(named)).median == named.median


def test_figures_that_mean_something() -> None:
    # The timer's own uncertainty of 25 ns bounds what times without any scatter tell.
    assert measurement([1.234e-3] * 5, 10).significant_figures == 3
    assert measurement([5.6e-3] * 5, 10).significant_figures == 4
    assert measurement([1e-9] * 5).significant_figures == 1
    assert measurement([1.0, 1.1]).significant_figures == 1


def test_merging_puts_times_of_one_task_together() -> None:
    one, two = measurement([1.0], 2, label="a"), measurement([3.0], 2, label="a")
    merged = Measurement.merge([one, measurement([5.0], label="b"), two])
    assert [m.raw_times for m in merged] == [[0.5, 1.5], [5.0]]


def test_units_and_figures() -> None:
    assert [select_unit(t)[0] for t in (2.0, 1e-3, 5e-5, 1e-9, 1e-12)] == [
        "s", "ms", "us", "ns", "ns",
    ]  # fmt: skip
    assert trim_sigfig(123456, 3) == 123000
    assert trim_sigfig(0.0, 3) == 0


@pytest.fixture
def compare() -> Compare:
    def one(seconds: float, **names: Any) -> Measurement:
        return measurement([seconds] * 5, 10, label="L", **names)

    return Compare([
        one(1.234e-3, sub_label="s1", description="d1", env="e1"),
        one(5.6e-3, sub_label="s1", description="d2", env="e1"),
        one(8.9e-6, sub_label="s2", description="d1", env="e2", num_threads=4),
    ])  # fmt: skip


def test_tables_side_by_side(compare: Compare, capsys: pytest.CaptureFixture[str]) -> None:
    compare.print()
    assert capsys.readouterr().out.splitlines() == [
        "[--------------- L ----------------]",
        "            |     d1     |     d2   ",
        "1 threads: -------------------------",
        "  (e1)  s1  |  123400.0  |  560000.0",
        "4 threads: -------------------------",
        "  (e2)  s2  |     890.0  |          ",
        "",
        "Times are in nanoseconds (ns).",
        "",
    ]
    compare.trim_significant_figures()
    assert "  (e1)  s1  |  123000  |  560000" in str(compare)
    compare.colorize(rowwise=True)
    assert "\x1b[92m\x1b[1m123000\x1b[0m\x1b[0m" in str(compare)
    assert "\x1b[91m560000\x1b[0m" in str(compare)
    with pytest.raises(ValueError, match="Measurement"):
        compare.extend_results([1])  # type: ignore[list-item]


def test_tables_of_one_measurement() -> None:
    assert str(Compare([measurement([0.1], description=None)])).splitlines()[3].endswith("100.0")
    scattered = Compare([measurement([1.0, 2.0, 3.0, 4.0])])
    scattered.highlight_warnings()
    assert "(! 60%) " in str(scattered)
