"""Tracebacks that end in the user's frames: ours are dropped unless asked for."""

from __future__ import annotations

import os
import sys
from types import TracebackType

from diptych import config

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def is_ours(filename: str) -> bool:
    """Whether a frame of this file is left out: diptych's own, and the import system's."""
    return filename.startswith((PACKAGE, "<frozen importlib", "<frozen runpy"))


def without_ours(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback linked past the frames that are ours; None if there are no others."""
    kept = []
    while traceback is not None:
        if not is_ours(traceback.tb_frame.f_code.co_filename):
            kept.append(traceback)
        traceback = traceback.tb_next
    for entry, following in zip(kept, [*kept[1:], None], strict=False):
        entry.tb_next = following
    return kept[0] if kept else None


# Raised in our code they say nothing to a user; an assertion is how we state our own bugs.
BUGS = (AssertionError, NameError, RecursionError, SystemError)


def is_our_bug(error: BaseException) -> bool:
    """An error in our own code that can only be a bug: its frames are what a report needs."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    innermost = traceback.tb_frame.f_code.co_filename if traceback is not None else ""
    return isinstance(error, BUGS) and innermost.startswith(PACKAGE)


def shorten(error: BaseException, seen: set[int] | None = None) -> None:
    """Drops our frames from an exception and from all that it is chained to."""
    seen = set() if seen is None else seen
    if id(error) in seen:
        return
    seen.add(id(error))
    if not is_our_bug(error):
        error.__traceback__ = without_ours(error.__traceback__)
    members = getattr(error, "exceptions", ())  # an exception group's
    for other in (
        error.__cause__,
        error.__context__,
        *(members if isinstance(members, tuple) else ()),
    ):
        if isinstance(other, BaseException):
            shorten(other, seen)


def shorten_as_asked(error: BaseException) -> None:
    """`shorten`, unless DIPTYCH_TRACEBACK asks for every frame."""
    try:
        full = config.TRACEBACK.get() == "full"
    except config.ConfigError:
        full = False  # a misspelt variable; the error at hand may be just about that
    if not full:
        shorten(error)


def report(error: BaseException) -> None:
    """What Python does with an exception that nobody caught, after the frames are dropped."""
    shorten_as_asked(error)
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except SystemExit:
        raise
    except BaseException as second:  # the program's own hook is at fault: say so, then the first
        print("Error in sys.excepthook:", file=sys.stderr)
        sys.__excepthook__(type(second), second, second.__traceback__)
        print("\nOriginal exception was:", file=sys.stderr)
        sys.__excepthook__(type(error), error, error.__traceback__)


def excepthook(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    """A ``sys.excepthook`` for processes that our program starts."""
    shorten_as_asked(error)
    sys.__excepthook__(kind, error, error.__traceback__)
