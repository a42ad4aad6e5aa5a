"""Runs one case of training_torch.py three times: a program to be timed whole, for its memory.

diptych bench --peers PYTHON "benchmarks/memory_torch.py ResNet-50 112x112 batch 8 step"
"""

from __future__ import annotations

import sys

from training_torch import CASES

if __name__ == "__main__":
    wanted = " ".join(sys.argv[1:])
    run = CASES[wanted]["setup"]()
    for _ in range(3):
        run()
