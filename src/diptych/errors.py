"""The engine's errors: what was asked, what was got, what was expected, what to do."""

from __future__ import annotations

from typing import Any


class DiptychError(Exception):
    """Base of the engine's errors.

    Fields: ``op``, ``argument``, ``got``, ``expected``, ``hint``; each may be None. The text is
    made of them unless ``message`` gives it in a face's own words.
    """

    def __init__(
        self,
        message: str = "",
        *,
        op: str | None = None,
        argument: str | None = None,
        got: Any = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.op = op
        self.argument = argument
        self.got = got
        self.expected = expected
        self.hint = hint
        if not message:
            where = argument if got is None else f"{argument} {got}" if argument else str(got)
            message = "; ".join(part for part in (where, expected, hint) if part)
            if op:
                message = f"{op}: {message}"
        super().__init__(message)


# The classes below also derive from the built-in classes that PyTorch's users catch, so an engine
# error needs no translation there; TensorFlow's face translates to its own hierarchy.


class ShapeError(DiptychError, RuntimeError, ValueError):
    """Shapes that do not fit an operation."""


class DTypeError(DiptychError, RuntimeError, TypeError):
    """An element type that an operation does not accept."""


class UnsupportedDTypeError(DTypeError, NotImplementedError):
    """An element type for which an operation has no implementation."""


class ArgumentError(DiptychError, RuntimeError, ValueError):
    """An argument out of its legal values."""


class AxisError(DiptychError, IndexError, ValueError):
    """An axis outside a tensor's dimensions."""


class OutOfRangeError(DiptychError, IndexError, RuntimeError):
    """An index outside a tensor's extents (PyTorch raises one or the other, by the function)."""


class IndexTypeError(DTypeError, IndexError):
    """An index tensor of an element type that cannot index."""


class IndexShapeError(ShapeError, IndexError):
    """Index tensors whose shapes do not fit each other, or what they index."""


class LinAlgError(DiptychError, RuntimeError, ValueError):
    """A matrix that an algorithm cannot work on: singular, indefinite, not converging."""


class GradientError(DiptychError, RuntimeError):
    """A backward pass that cannot be run."""


class GraphError(DiptychError, RuntimeError):
    """A graph that breaks its own rules: our bug, or a damaged file."""
