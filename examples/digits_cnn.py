"""Trains a convolutional network to read handwritten digits: a plain PyTorch program.

    diptych run examples/digits_cnn.py            on diptych
    python examples/digits_cnn.py                 on PyTorch

Convolutions with batch normalisation, max pooling and dropout; ``--data mnist`` takes MNIST's
digits in place of scikit-learn's; see digits.py.
"""

from __future__ import annotations

from functools import partial

import digits
import torch
from torch import nn


def network(side: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Unflatten(1, (1, side, side)),
        nn.Conv2d(1, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(64 * (side // 4) ** 2, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )


if __name__ == "__main__":
    options = digits.arguments(__doc__, "digits_cnn", {"digits": 15, "mnist": 2}, rate=0.02)
    wanted = 0.98 if options.data == "mnist" else 0.96
    digits.run(network, options, wanted, partial(torch.optim.SGD, momentum=0.9, nesterov=True))
