"""Runs one program to its end and says how long it took and how much memory it held.

``launcher.py LOG COMMAND...``, a process of its own and a small one: what the kernel reports as a
child's most memory counts its parent's at the time of the fork.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time


def main() -> None:
    log, *command = sys.argv[1:]
    with open(log, "a") as errors:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    scale = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    result = {
        "status": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "megabytes": usage.ru_maxrss * scale / (1 << 20),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
