"""The layer that mixes the channels of groups."""

from __future__ import annotations

from typing import Any

from diptych.torch.nn import functional as F
from diptych.torch.nn.modules.module import Module


class ChannelShuffle(Module):
    """Channels of groups, one of each in turn."""

    __constants__ = ["groups"]

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Any) -> Any:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
