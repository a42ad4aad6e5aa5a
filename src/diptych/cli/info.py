"""``diptych info``: versions, target, threads and cache, for people and as JSON."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys
from pathlib import Path
from typing import Any

from diptych import config
from diptych.cli.resolution import FACES, hidden_from
from diptych.cli.version import version
from diptych.runtime import objects, pool
from diptych.runtime.store import default_directory


def package_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def cache_contents(folder: Path) -> dict[str, Any]:
    """Files and bytes in the cache of kernels; nothing is made where there is none."""
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    return {
        "folder": str(folder),
        "files": len(files),
        "bytes": sum(path.stat().st_size for path in files),
        "limit_mb": config.CACHE_LIMIT_MB.get(),
    }


def collect() -> dict[str, Any]:
    """All there is to say, as a table of tables."""
    target = objects.target()
    return {
        "diptych": version(),
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": platform.platform(),
        "packages": {name: package_version(name) for name in ("numpy", "llvmlite", "scipy")},
        "faces": {name: face.version for name, face in FACES.items()},
        "hidden from": sorted(hidden_from(config.HIDE_FROM.get())),
        "evaluator": config.EVALUATOR.get(),
        "target": {
            "triple": target.triple,
            "cpu": target.cpu,
            "vector_bytes": target.vector_bytes,
            "features": sorted(target.features),
        },
        "threads": {"usable cpus": pool.usable_cpus(), "set": config.NUM_THREADS.get()},
        "cache": cache_contents(Path(default_directory())),
        "set variables": {
            variable.name: str(variable.get())
            for variable in config.VARIABLES.values()
            if str(variable.get()) != str(variable.default)
        },
    }


def lines(found: dict[str, Any], indent: str = "") -> list[str]:
    text = []
    for name, value in found.items():
        if isinstance(value, dict):
            text += [f"{indent}{name}:", *lines(value, indent + "  ")]
        else:
            shown = " ".join(value) if isinstance(value, list) else value
            text.append(f"{indent}{name}: {'not installed' if shown is None else shown}")
    return text


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="diptych info", description=(__doc__ or "").strip())
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(arguments)
    try:
        found = collect()
    except config.ConfigError as error:
        print(f"diptych info: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found, indent=1) if options.json else "\n".join(lines(found)))
    return 0
