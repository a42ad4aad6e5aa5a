"""PyTorch's face, as the companion calls it."""

from __future__ import annotations

import importlib
from typing import Any

# Its names come from tables, which a type checker does not see.
torch: Any = importlib.import_module("diptych.torch")
