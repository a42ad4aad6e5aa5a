"""A program that does nothing but import PyTorch: timed whole, for its start and its memory."""

import torch

print(torch.__version__)
