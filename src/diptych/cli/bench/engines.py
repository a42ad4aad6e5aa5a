"""The engines a program can be timed on: which there are and how each is started."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from diptych.cli.tracebacks import PACKAGE
from diptych.cli.version import version

SOURCE = os.path.dirname(os.path.dirname(PACKAGE))
VENDOR_CHECK = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"


@dataclass(frozen=True)
class Engine:
    """One opponent: the interfaces whose programs it runs, and the packages that provide it."""

    name: str
    runs: tuple[str, ...]
    packages: tuple[str, ...] = ()
    unlocked: bool = False


ENGINES = (
    Engine("diptych", ("torch", "tensorflow")),
    Engine("pytorch", ("torch",), ("torch",)),
    # MKL takes its slow paths on processors of another maker; this asks for the fast ones.
    Engine("pytorch-unlocked", ("torch",), ("torch",), unlocked=True),
    Engine("tensorflow", ("tensorflow",), ("tensorflow", "tensorflow-cpu")),
    Engine("jax", ("jax",), ("jax",)),
    Engine("numpy", ("numpy",), ("numpy",)),
)

VERSIONS = """
import importlib.metadata as m, json, sys
found = {}
for name in sys.argv[1:]:
    try: found[name] = m.version(name)
    except m.PackageNotFoundError: pass
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Installed:
    """An engine that is there: how to start a Python program on it."""

    engine: Engine
    version: str
    command: tuple[str, ...]
    environment: dict[str, str]

    @property
    def name(self) -> str:
        return self.engine.name


def settings(threads: int) -> dict[str, str]:
    """Thread counts in every engine's own variable; those without one go by affinity."""
    count = str(threads)
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "DIPTYCH_NUM_THREADS")
    more = {"TF_NUM_INTRAOP_THREADS": count, "TF_NUM_INTEROP_THREADS": "1"}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
    # the peers' modules were compiled when they were installed; a tree's are at their first run
    compiled = {"PYTHONDONTWRITEBYTECODE": ""}
    return {**dict.fromkeys(names, count), **more, **quiet, **compiled}


def versions(python: str) -> dict[str, str]:
    """Those of the peers' packages that a Python has."""
    names = [package for engine in ENGINES for package in engine.packages]
    result = subprocess.run(
        [python, "-c", VERSIONS, *names], capture_output=True, text=True, check=False, timeout=60
    )
    if result.returncode:
        raise OSError(f"{python} does not run: {result.stderr.strip()}")
    found: dict[str, str] = json.loads(result.stdout)
    return found


def unlocking_library(folder: str) -> str | None:
    """Builds the library that answers MKL's question for the maker; None without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    source, library = Path(folder, "vendor.c"), Path(folder, "vendor.so")
    source.write_text(VENDOR_CHECK)
    command = [compiler, "-shared", "-fPIC", "-o", str(library), str(source)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    return str(library)


def installed(
    python: str, threads: int, only: list[str], folder: str | None = None
) -> tuple[list[Installed], list[str]]:
    """The engines that can be started, and a line for each that cannot, saying why."""
    found, missing = [], []
    there = versions(python)
    for engine in ENGINES:
        if only and engine.name not in only:
            continue
        environment = settings(threads)
        if not engine.packages:
            path = os.pathsep.join([SOURCE, *filter(None, [os.environ.get("PYTHONPATH")])])
            command = (sys.executable, "-m", "diptych", "run")
            environment["PYTHONPATH"] = path
            found.append(Installed(engine, version(), command, environment))
            continue
        provided = next((there[name] for name in engine.packages if name in there), None)
        if provided is None:
            missing.append(f"{engine.name}: {python} has no {engine.packages[0]}")
            continue
        if engine.unlocked:
            library = unlocking_library(folder or tempfile.mkdtemp(prefix="diptych-bench-"))
            if library is None:
                missing.append(
                    f"{engine.name}: its preload is built by cc, on Linux; there is none"
                )
                continue
            environment["LD_PRELOAD"] = library
        found.append(Installed(engine, provided, (python,), environment))
    return found, missing
