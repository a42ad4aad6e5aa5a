"""torch.signal: windows."""

from diptych.torch.signal import windows as windows

__all__ = ["windows"]
