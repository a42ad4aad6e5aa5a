"""``diptych bench``: reading files, turns, whole programs, and what is reported of them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from diptych.cli.bench import command, engines, peaks, programs, worker
from diptych.cli.bench.engines import Installed
from diptych.cli.bench.programs import BenchError, Program, Worker
from diptych.cli.bench.report import Report, Row, cell, markdown, quantity, table

BENCHMARK = """
import numpy as np
print("noise on the standard output")
def setup():
    x = np.ones(8)
    return lambda: x + x
def broken():
    raise ValueError("no such luck")
CASES = {"add": {"setup": setup, "flops": 8}, "bad": {"setup": broken}}
"""


@pytest.fixture
def benchmark(tmp_path: Path) -> Program:
    file = tmp_path / "bench_numpy.py"
    file.write_text(BENCHMARK)
    return programs.read(str(file))


@pytest.fixture
def numpy_engine() -> Installed:
    engine = next(engine for engine in engines.ENGINES if engine.name == "numpy")
    return Installed(engine, "1", (sys.executable,), {})


@pytest.mark.parametrize(
    ("text", "interface", "has_cases"),
    [
        ("import torch\nCASES = {}", "torch", True),
        ("import numpy\nimport torch.nn as nn", "torch", False),
        ("def f():\n  from tensorflow import keras", "tensorflow", False),
        ("from jax import numpy as np\nCASES: dict = {}", "jax", True),
        ("import numpy\nif 1:\n  CASES = {}", "numpy", False),
    ],
)
def test_read(text: str, interface: str, has_cases: bool, tmp_path: Path) -> None:
    file = tmp_path / "a b.py"
    file.write_text(text)
    found = programs.read(str(file))
    assert (found.interface, found.has_cases, found.arguments) == (interface, has_cases, ())
    found = programs.read(f"'{file}' --steps 1")
    assert found.arguments == ("--steps", "1") and found.name == "a b.py --steps 1"


def test_read_refuses(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import json")
    (tmp_path / "b.py").write_text("import torch(")
    for name in ("a.py", "b.py", "none.py"):
        with pytest.raises(BenchError, match=name):
            programs.read(str(tmp_path / name))


def test_worker_answers_in_turns(
    benchmark: Program, numpy_engine: Installed, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    held = Worker(numpy_engine, benchmark, 1, log)
    assert held.cases == {"add": {"flops": 8}, "bad": {}}
    for _ in range(2):
        times = held.times("add", 0.01)
        assert len(times) >= worker.MIN_SAMPLES and all(0 < t < 1 for t in times)
    with pytest.raises(BenchError, match="numpy: ValueError: no such luck"):
        held.times("bad", 0.01)
    held.times("add", 0.01)  # one case's failure is not another's
    held.close()
    assert held.process.returncode == 0
    assert "noise" in log.read_text() and "no such luck" in log.read_text()
    with pytest.raises(BenchError, match="ended"):
        held.times("add", 0.01)


def test_worker_file_that_fails(numpy_engine: Installed, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("import numpy\nimport no_such_package\nCASES = {}")
    with pytest.raises(BenchError, match="no_such_package"):
        Worker(numpy_engine, programs.read(str(tmp_path / "x.py")), 1, tmp_path / "log")


def test_worker_imports_the_standard_library_alone() -> None:
    code = "import runpy, sys; runpy.run_path(sys.argv[1]); print('diptych' in sys.modules)"
    command_line = [sys.executable, "-I", "-c", code, programs.WORKER]
    assert subprocess.run(command_line, capture_output=True, text=True).stdout == "False\n"


def test_sample_counts_calls() -> None:
    calls = []
    times = worker.sample(lambda: calls.append(1), 3, 0)
    assert len(times) == worker.MIN_SAMPLES and len(calls) == 1 + 3 * worker.MIN_SAMPLES


def test_serve_protocol(tmp_path: Path) -> None:
    file = tmp_path / "plain.py"
    file.write_text("CASES = {'a': {'setup': lambda: int, 'bytes': 4}}")
    answers = io.StringIO()
    worker.serve(str(file), io.StringIO('{"case": "a", "seconds": 0}\n'), answers)
    first, second = map(json.loads, answers.getvalue().splitlines())
    assert first == {"cases": {"a": {"bytes": 4}}} and len(second["times"]) >= worker.MIN_SAMPLES


def test_whole_program(numpy_engine: Installed, tmp_path: Path) -> None:
    file = tmp_path / "program.py"
    file.write_text("import sys, numpy\nif sys.argv[1] != 'ok': sys.exit(3)\n")
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    found = programs.run_whole(numpy_engine, programs.read(f"{file} ok"), 1, tmp_path / "log")
    assert 0 < found.seconds < 60
    held = bytearray(300 << 20)  # what this process holds is not the program's
    again = programs.run_whole(numpy_engine, programs.read(f"{file} ok"), 1, tmp_path / "log")
    assert len(held) >> 20 == 300 and 5 < again.megabytes < 250
    with pytest.raises(BenchError, match="exits with 3"):
        programs.run_whole(numpy_engine, programs.read(f"{file} no"), 1, tmp_path / "log")
    if before is not None:
        assert os.sched_getaffinity(0) == before  # ours is as it was


def filled() -> Report:
    report = Report(versions={"diptych": "1", "pytorch": "2", "jax": "3"})
    report.peaks = peaks.Peaks(100, 40, 2)
    row = report.row("gemm")
    row.flops = 1e8
    for engine, samples in {"diptych": [2e-3, 1e-3, 2e-3], "pytorch": [4e-3, 4e-3, 3e-3]}.items():
        row.add(engine, samples)
    report.row("program", "MB").add("diptych", [80.0])
    report.row("program", "MB").add("pytorch", [320.0])
    return report


def test_report() -> None:
    report = filled()
    row = report.row("gemm")
    assert (row.best("diptych"), row.median("diptych"), row.ratio("pytorch")) == (1e-3, 2e-3, 2)
    assert report.engines() == ["diptych", "pytorch"]  # jax ran nothing
    found = json.loads(json.dumps(report.json()))["cases"][0]["results"]
    assert found["diptych"]["gflops"] == pytest.approx(50)
    assert found["diptych"]["share_of_peak"] == pytest.approx(0.5)
    assert found["pytorch"]["ratio"] == 2 and found["pytorch"]["samples"] == 3
    assert cell(report, row, "diptych") == "2.00 ms (50%)" and cell(report, row, "jax") == "-"
    lines = table(report).splitlines()
    assert lines[1].split() == ["gemm", "2.00", "ms", "(50%)", "4.00", "ms", "(2.00)"]
    assert lines[2].startswith("program (memory)") and "320 MB (4.00)" in lines[2]
    assert markdown(report).splitlines()[1] == "|---|---:|---:|"


def test_ratio_needs_both() -> None:
    row = Row("x", samples={"jax": [1.0]})
    assert row.ratio("jax") is None and row.ratio("diptych") is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.2345, "1.23 s"),
        (0.0123, "12.3 ms"),
        (0.00123, "1.23 ms"),
        (0.123, "123 ms"),
        (0.99999, "1.00 s"),
        (45.6e-6, "45.6 us"),
        (99.96e-6, "100 us"),
        (12e-9, "12 ns"),
    ],
)
def test_quantity(seconds: float, text: str) -> None:
    assert quantity(seconds, "s") == text


def test_chart(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from diptych.cli.bench import chart

    chart.draw(filled(), str(tmp_path / "deep" / "chart.png"))
    assert (tmp_path / "deep" / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_command(benchmark: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    settings = ["--no-peaks", "--rounds", "1", "--seconds", "0.01", "--engines", "numpy"]
    arguments = [*settings, "--peers", sys.executable, "--json", str(out), benchmark.file]
    assert command.main([*arguments, "--case", "add"]) == 0
    found = json.loads(out.read_text())
    assert [case["case"] for case in found["cases"]] == ["add"]
    assert found["versions"].keys() == {"numpy"} and "numpy" in capsys.readouterr().out
    assert command.main(arguments) == 1  # a case that failed is said so, the others are reported
    assert "bad: numpy: ValueError" in capsys.readouterr().err
    assert command.main(["--engines", "mxnet", benchmark.file]) == 2
    assert command.main(["none.py"]) == 2


def test_absent_engines_are_named(tmp_path: Path) -> None:
    python = tmp_path / "python"  # one without any package
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    python.chmod(0o755)
    found, missing = engines.installed(str(python), 1, [], str(tmp_path))
    assert [engine.name for engine in found] == ["diptych"]
    assert len(missing) == len(engines.ENGINES) - 1 and "has no torch" in missing[0]
    assert found[0].environment["DIPTYCH_NUM_THREADS"] == "1"


@pytest.mark.native
def test_multiply_add_kernel_counts_its_rounds() -> None:
    """The peak is only as true as the count: ``rounds`` rounds are done, not fewer."""
    import ctypes

    import numpy as np

    from diptych.runtime import kernels, objects

    lanes = objects.target().lanes(4)
    address = kernels.load(peaks.multiply_add_unit(lanes))
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)
    for rounds in (1, 5):
        data = np.full(lanes, 0.5, np.float32)
        desc, ptrs = np.array([rounds]), np.array([data.ctypes.data], np.uintp)
        call(desc.ctypes.data, ptrs.ctypes.data)
        expected = 0.0
        for start in range(peaks.ACCUMULATORS):
            value = float(start)
            for _ in range(4 * rounds):
                value = value * 0.5 + 0.5
            expected += value
        np.testing.assert_allclose(data, expected, rtol=1e-5)


def test_benchmarks_of_this_tree_define_the_same_cases() -> None:
    """A case means the same in each file: same name, same work."""
    folder = Path(__file__).resolve().parents[3] / "benchmarks"
    names = {path.stem: path.read_text() for path in folder.glob("spine_*.py")}
    assert {"spine_torch", "spine_jax", "spine_tensorflow", "spine_numpy"} <= names.keys()
    for text in names.values():
        assert "gemm float32 {size}" in text and '"softmax 4096x1024"' in text
        assert "size**3" in text
