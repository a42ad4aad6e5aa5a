"""Trains a small network to read handwritten digits: a plain PyTorch program.

    diptych run examples/digits_mlp.py            on diptych
    python examples/digits_mlp.py                 on PyTorch

``--data mnist`` takes MNIST's digits in place of scikit-learn's; see digits.py.
"""

from __future__ import annotations

import digits
from torch import nn


def network(side: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(side * side, 256),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(256, 128),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(128, 10),
    )


if __name__ == "__main__":
    options = digits.arguments(__doc__, "digits_mlp", {"digits": 30, "mnist": 6})
    digits.run(network, options, wanted=0.96)
