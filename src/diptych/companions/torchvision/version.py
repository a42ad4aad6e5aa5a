"""The version of torchvision whose behaviour is followed."""

from __future__ import annotations

__version__ = "0.28.0"
git_version = "diptych"
cuda = None
