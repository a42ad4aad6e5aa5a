"""The command: reads its arguments, takes the engines in turns, writes what came of it."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from diptych.cli.bench import peaks
from diptych.cli.bench.engines import ENGINES, Installed, installed
from diptych.cli.bench.programs import BenchError, Program, Worker, read, run_whole
from diptych.cli.bench.report import Report, markdown, table
from diptych.runtime.pool import usable_cpus

PAUSE_SECONDS = 0.25  # lets the last engine's threads stop spinning before the next one's turn
EPILOG = """\
FILE is a benchmark, a Python file that defines CASES = {name: {"setup": f, "flops": n, "bytes": n}}
where f() prepares and gives the function to time, or any other program, timed from call to exit
(quoted together with its arguments, if it has any). What it imports says which engines run it: a
file written for PyTorch runs on diptych and on PyTorch, the same case in a file written for JAX or
NumPy on those. Every round starts fresh processes and takes the engines in turn, case by case.
"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="diptych bench",
        description="Times the same program on diptych and on every engine installed beside it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("files", nargs="+", metavar="FILE")
    made.add_argument(
        "--peers", metavar="PYTHON", help="the Python that has the peers (default: .venv-bench's)"
    )
    names = ", ".join(engine.name for engine in ENGINES)
    made.add_argument("--engines", default="", metavar="A,B", help=f"only these of: {names}")
    made.add_argument("--case", default="", metavar="REGEX", help="only the cases it is found in")
    made.add_argument("--threads", type=int, default=min(2, usable_cpus()))
    made.add_argument("--rounds", type=int, default=3, help="fresh processes, one after another")
    made.add_argument("--seconds", type=float, default=0.5, help="of each turn (default: 0.5)")
    made.add_argument("--json", metavar="FILE")
    made.add_argument("--markdown", metavar="FILE")
    made.add_argument("--chart", metavar="FILE", help="a PNG; needs matplotlib")
    made.add_argument("--no-peaks", action="store_true", help="do not measure the machine's peaks")
    return made


def default_peers() -> str:
    candidate = Path(".venv-bench", "bin", "python")
    return str(candidate) if candidate.exists() else sys.executable


def processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


class Bench:
    """One run of the command: its settings, the engines, and the report that fills."""

    def __init__(self, options: argparse.Namespace, engines: list[Installed], log: Path) -> None:
        self.options = options
        self.engines = engines
        self.log = log
        self.wanted = re.compile(options.case)
        self.report = Report(versions={engine.name: engine.version for engine in engines})
        self.owners: dict[tuple[str, str], str] = {}  # (case, engine): the file that has it

    def able(self, program: Program) -> Iterator[Installed]:
        return (engine for engine in self.engines if program.interface in engine.engine.runs)

    def fail(self, error: BenchError) -> None:
        text = str(error)
        if text not in self.report.failures:
            self.report.failures.append(text)
            print(text, file=sys.stderr)

    def run(self, programs: list[Program]) -> None:
        for number in range(self.options.rounds):
            print(f"round {number + 1} of {self.options.rounds}", file=sys.stderr)
            self.cases([program for program in programs if program.has_cases])
            for program in programs:
                if not program.has_cases:
                    self.whole(program, warm=number == 0)

    def cases(self, programs: list[Program]) -> None:
        """A round of all benchmark files: case by case, engine by engine."""
        workers: list[tuple[Program, Worker]] = []
        for program in programs:
            for engine in self.able(program):
                try:
                    workers.append(
                        (program, Worker(engine, program, self.options.threads, self.log))
                    )
                except BenchError as error:
                    self.fail(error)
        order = dict.fromkeys(case for _, worker in workers for case in worker.cases)
        for case in filter(self.wanted.search, order):
            for program, worker in workers:
                if case in worker.cases and self.owns(program, worker.engine.name, case):
                    self.turn(worker, case)
        for _, worker in workers:
            worker.close()

    def owns(self, program: Program, engine: str, case: str) -> bool:
        """Whether this file is the one in which the engine runs the case: the first that has it."""
        return self.owners.setdefault((case, engine), program.file) == program.file

    def turn(self, worker: Worker, case: str) -> None:
        time.sleep(PAUSE_SECONDS)
        row = self.report.row(case)
        row.flops = row.flops or worker.cases[case].get("flops", 0)
        row.bytes = row.bytes or worker.cases[case].get("bytes", 0)
        try:
            row.add(worker.engine.name, worker.times(case, self.options.seconds))
        except BenchError as error:
            self.fail(BenchError(f"{case}: {error}"))

    def whole(self, program: Program, warm: bool) -> None:
        """A round of one program, from call to exit; ``warm`` runs it once before, uncounted."""
        if not self.wanted.search(program.name):
            return
        for engine in list(self.able(program)):
            try:
                if warm:
                    run_whole(engine, program, self.options.threads, self.log)
                run = run_whole(engine, program, self.options.threads, self.log)
            except BenchError as error:
                self.fail(error)
                continue
            self.report.row(program.name).add(engine.name, [run.seconds])
            self.report.row(program.name, "MB").add(engine.name, [run.megabytes])


def write(report: Report, options: argparse.Namespace) -> None:
    for file, text in (
        (options.json, json.dumps(report.json(), indent=1) + "\n"),
        (options.markdown, markdown(report) + "\n"),
    ):
        if file:
            Path(file).parent.mkdir(parents=True, exist_ok=True)
            Path(file).write_text(text, encoding="utf-8")
    if options.chart:
        try:
            chart = importlib.import_module("diptych.cli.bench.chart")
        except ImportError as error:
            print(
                f"no chart: {error}; pip install matplotlib (or 'diptych[bench]')", file=sys.stderr
            )
        else:
            chart.draw(report, options.chart)


def describe(report: Report, missing: Iterable[str]) -> None:
    for name, version in report.versions.items():
        print(f"{name}: {version}")
    for line in missing:
        print(f"left out: {line}")
    if report.peaks:
        found = report.peaks
        print(
            f"this machine, {found.threads} threads: {found.gflops:.0f} GFLOP/s of float32 "
            f"multiply-adds, {found.copy_gbytes:.0f} GB/s of copies"
        )
    print(flush=True)


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    known = {engine.name for engine in ENGINES}
    only = list(filter(None, options.engines.split(",")))
    if not set(only) <= known:
        wrong = ", ".join(sorted(set(only) - known))
        print(f"diptych bench: no engine {wrong}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    folder = tempfile.mkdtemp(prefix="diptych-bench-")
    try:
        programs = [read(word) for word in options.files]
        engines, missing = installed(
            options.peers or default_peers(), options.threads, only, folder
        )
    except (BenchError, OSError) as error:
        print(f"diptych bench: {error}", file=sys.stderr)
        return 2
    bench = Bench(options, engines, Path(folder, "log.txt"))
    bench.report.machine = {
        "cpu": processor(),
        "cpus": os.cpu_count(),
        "threads": options.threads,
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    if not options.no_peaks:
        bench.report.peaks = peaks.measure(options.threads)
    describe(bench.report, missing)
    bench.run(programs)
    print(table(bench.report))
    write(bench.report, options)
    return 1 if bench.report.failures else 0
