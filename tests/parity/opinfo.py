"""PyTorch's own operator samples (OpInfo) on the face: runs all entries, prints the shares.

    PYTHONPATH=src:. python -m tests.parity.opinfo [--only NAME...] [--write] [--json FILE]

in an environment that has the real PyTorch. ``--write`` keeps the results in opinfo.json, from
which docs/status-torch.md is made and below which test_opinfo.py lets no entry fall.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
KEPT = HERE / "opinfo.json"
WORKERS = 2
SILENCE = 200  # seconds after which a worker is taken for hung


def work(names: list[str] | None, start: int, step: int) -> None:
    """A worker: judge every ``step``-th entry from ``start``, a line of JSON each."""
    from torch.testing._internal.common_methods_invocations import op_db

    from tests.parity import opinfo_compare

    entries = sorted(op_db, key=lambda entry: entry.full_name)
    if names:
        entries = [e for e in entries if e.full_name in names or e.name in names]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for place in range(start, len(entries), step):
        entry = entries[place]
        print(json.dumps({"begin": entry.full_name, "place": place}), file=out, flush=True)
        begun = time.perf_counter()
        verdict = opinfo_compare.judge(entry)
        row = {
            "name": entry.full_name, "internal": opinfo_compare.internal(entry),
            "seconds": round(time.perf_counter() - begun, 2), **verdict._asdict(),
        }  # fmt: skip
        print(json.dumps(row), file=out, flush=True)


def results(names: list[str] | None = None) -> dict[str, dict[str, Any]]:
    """Entry -> what became of it, by several workers; one that dies costs the entry it was at."""
    running = [_Worker(names, k) for k in range(WORKERS)]
    found: dict[str, dict[str, Any]] = {}
    while running:
        ready, _, _ = select.select([w.process.stdout for w in running], [], [], 5)
        for worker in list(running):
            if worker.process.stdout in ready:
                line = worker.process.stdout.readline()
                if line:
                    worker.heard = time.monotonic()
                    row = json.loads(line)
                    if "begin" in row:
                        worker.at = row
                    else:
                        found[row.pop("name")] = row
                        worker.at = None
                    continue
                worker.process.wait()
            elif time.monotonic() - worker.heard > SILENCE:
                worker.process.kill()
                worker.process.wait()
            else:
                continue
            running.remove(worker)
            if worker.at is None and worker.process.returncode:
                worker.said.seek(0)
                raise RuntimeError(f"a worker could not begin:\n{worker.said.read()[-2000:]}")
            if worker.at is not None:
                found[worker.at["begin"]] = {
                    "internal": "", "seconds": 0, "verdict": "differs", "passed": 0, "samples": 0,
                    "gradients": 0, "reason": "the process died or hung",
                }  # fmt: skip
                running.append(_Worker(names, worker.at["place"] + WORKERS))
    return dict(sorted(found.items()))


class _Worker:
    def __init__(self, names: list[str] | None, start: int) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "tests.parity.opinfo"]
        command += ["--worker", str(start), "--only", *(names or [])]
        self.said = tempfile.TemporaryFile("w+")
        self.process: Any = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.said, bufsize=0,
            cwd=HERE.parents[1], env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self.heard = time.monotonic()
        self.at: dict[str, Any] | None = None


def share(rows: dict[str, dict[str, Any]], public: bool) -> tuple[int, int]:
    """How many entries agree, and how many there are: of all, or of the public ones."""
    counted = [row for row in rows.values() if not (public and row["internal"])]
    return sum(row["verdict"] == "agrees" for row in counted), len(counted)


def summary(rows: dict[str, dict[str, Any]]) -> str:
    lines = []
    for row in sorted(rows, key=lambda name: (rows[name]["verdict"], name)):
        if rows[row]["verdict"] != "agrees":
            r = rows[row]
            inside = f" [{r['internal']}]" if r["internal"] else ""
            lines.append(
                f"{r['verdict']:8}{row} ({r['passed']}/{r['samples']}){inside} {r['reason']}"
            )
    kinds = collections.Counter(row["verdict"] for row in rows.values())
    with_gradients = sum(bool(r["gradients"]) for r in rows.values() if r["verdict"] == "agrees")
    lines.append(", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    for word, public in (("all", False), ("public", True)):
        good, count = share(rows, public)
        lines.append(f"{word}: {good} of {count} agree, {100 * good / max(count, 1):.1f} %")
    samples = sum(row["samples"] for row in rows.values())
    lines.append(f"{with_gradients} of those that agree had gradients; {samples} samples were run")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="names of entries")
    parser.add_argument("--write", action="store_true", help="keep the results in opinfo.json")
    parser.add_argument("--json", help="write the results to this file")
    parser.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        work(options.only, options.worker, WORKERS)
        return
    begun = time.perf_counter()
    rows = results(options.only)
    print(summary(rows))
    print(f"{time.perf_counter() - begun:.0f} s")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=0))
    if options.write:
        KEPT.write_text(kept_text(rows))


def kept_text(rows: dict[str, dict[str, Any]]) -> str:
    """The results that are kept: one entry a line, without what changes from run to run."""
    fields = ("verdict", "internal", "passed", "samples", "gradients", "reason")
    lines = [
        f"{json.dumps(name)}: {json.dumps({k: row[k] for k in fields if row[k]})}"
        for name, row in rows.items()
    ]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    main()
