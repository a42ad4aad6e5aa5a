"""What a file given to ``diptych bench`` is: its interface, its cases, and how both are run."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diptych.cli.bench.engines import Installed

WORKER = str(Path(__file__).with_name("worker.py"))
LAUNCHER = str(Path(__file__).with_name("launcher.py"))
# A program that imports several is written for the first of these.
INTERFACES = ("torch", "tensorflow", "jax", "numpy")


class BenchError(Exception):
    """A file that cannot be timed, or an engine's process that broke off."""


@dataclass(frozen=True)
class Program:
    """A file, its arguments, the interface it is written for, and whether it defines ``CASES``."""

    file: str
    arguments: tuple[str, ...]
    interface: str
    has_cases: bool

    @property
    def name(self) -> str:
        return " ".join([Path(self.file).name, *self.arguments])


def read(word: str) -> Program:
    """A program from ``FILE`` or ``"FILE arguments..."``, its source parsed and not run."""
    file, *arguments = [word] if os.path.exists(word) else shlex.split(word)
    try:
        tree = ast.parse(Path(file).read_text(encoding="utf-8"), file)
    except (OSError, SyntaxError) as error:
        raise BenchError(f"cannot read {file}: {error}") from error
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.add(node.module.partition(".")[0])
    interface = next((name for name in INTERFACES if name in imported), "")
    if not interface:
        raise BenchError(f"{file} imports none of {', '.join(INTERFACES)}: nothing to compare")
    return Program(file, tuple(arguments), interface, defines_cases(tree))


def defines_cases(tree: ast.Module) -> bool:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign):
            targets = [node.target]
        if any(isinstance(target, ast.Name) and target.id == "CASES" for target in targets):
            return True
    return False


def affinity(threads: int) -> list[int]:
    """The processors that every engine is held to: as many as threads, if we may choose."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    return sorted(os.sched_getaffinity(0))[:threads]


class Worker:
    """An engine's process that holds a file's cases."""

    def __init__(self, engine: Installed, program: Program, threads: int, log: Path) -> None:
        self.engine = engine
        self.log = log
        cpus = ",".join(map(str, affinity(threads)))
        with log.open("a") as errors:
            self.process = subprocess.Popen(
                [*engine.command, WORKER, os.path.abspath(program.file), cpus],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **engine.environment},
            )
        try:
            self.cases: dict[str, dict[str, float]] = self._answer()["cases"]
        except BenchError:
            self.close()
            raise

    def _answer(self) -> dict[str, Any]:
        if self.process.stdout is None:
            raise BenchError("the worker was started without its pipes")
        line = self.process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "its process ended"}
        if "error" in answer:
            raise BenchError(f"{self.engine.name}: {answer['error']} (see {self.log})")
        return answer

    def times(self, case: str, seconds: float) -> list[float]:
        """One turn: seconds of a call, sampled for about ``seconds``."""
        if self.process.stdin is None:
            raise BenchError("the worker was started without its pipes")
        try:
            self.process.stdin.write(json.dumps({"case": case, "seconds": seconds}) + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, ValueError) as error:  # it ended, or was closed
            raise BenchError(f"{self.engine.name}: its process ended (see {self.log})") from error
        found: list[float] = self._answer()["times"]
        return found

    def close(self) -> None:
        """Ends the process, which stops when its requests do."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self.process.wait()


@dataclass(frozen=True)
class Run:
    """One whole run of a program: seconds from call to exit, and the most memory it held."""

    seconds: float
    megabytes: float


def run_whole(engine: Installed, program: Program, threads: int, log: Path) -> Run:
    """Runs the program once in a fresh process."""
    cpus = affinity(threads)
    before = os.sched_getaffinity(0) if cpus else None
    if cpus:
        os.sched_setaffinity(0, cpus)  # inherited by the child
    try:
        result = subprocess.run(
            [sys.executable, "-I", "-S", LAUNCHER, str(log)]
            + [*engine.command, program.file, *program.arguments],
            capture_output=True,
            text=True,
            env={**os.environ, **engine.environment},
            check=False,
        )
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)
    if result.returncode:
        raise BenchError(f"{engine.name}: {program.name} cannot be started: {result.stderr}")
    found = json.loads(result.stdout)
    if found["status"]:
        text = f"exits with {found['status']} (see {log})"
        raise BenchError(f"{engine.name}: {program.name} {text}")
    return Run(found["seconds"], found["megabytes"])
