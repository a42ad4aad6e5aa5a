"""torch.utils.tensorboard: event files for TensorBoard, written with its own package."""

from __future__ import annotations

from diptych.torch.utils.tensorboard.writer import FileWriter as FileWriter
from diptych.torch.utils.tensorboard.writer import SummaryWriter as SummaryWriter
