"""The user's line: the innermost frame of a call that is not ours."""

from __future__ import annotations

import os
import sys
from types import FrameType

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep


def is_ours(filename: str) -> bool:
    """Whether a file belongs to diptych itself."""
    return filename.startswith(_OURS)


def user_frame() -> FrameType | None:
    """The innermost frame outside diptych and the import system; None if there is none."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(_OURS) and not name.startswith("<frozen "):
            return frame
        frame = frame.f_back
    return None


def user_line() -> str:
    """``file:line`` of the user's call; empty where there is none."""
    frame = user_frame()
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"
