"""Trains an LSTM that reads handwritten digits row by row: a plain PyTorch program.

    diptych run examples/digits_lstm.py           on diptych
    python examples/digits_lstm.py                on PyTorch

``--data mnist`` takes MNIST's digits in place of scikit-learn's; see digits.py.
"""

from __future__ import annotations

import digits
import torch
from torch import nn


class Reader(nn.Module):
    """Two layers of LSTM over the rows of an image; the last state says which digit it is."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.lstm = nn.LSTM(side, 64, num_layers=2, dropout=0.2, batch_first=True)
        self.head = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        rows = images.view(-1, self.side, self.side)
        states, _ = self.lstm(rows)
        return self.head(states[:, -1])


if __name__ == "__main__":
    options = digits.arguments(__doc__, "digits_lstm", {"digits": 30, "mnist": 4})
    digits.run(Reader, options, wanted=0.94)
