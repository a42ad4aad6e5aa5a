"""Differences, integrals and gradients of sampled functions."""

from __future__ import annotations

from typing import Any

from diptych.core.tensor import Tensor as CoreTensor
from diptych.ops import arithmetic, movement
from diptych.torch.joining import cat
from diptych.torch.ordering import diff
from diptych.torch.tensor import axes_of, axis_of, face


def _panels(y: Any, x: Any, dx: Any, axis: int, name: str) -> Any:
    """The area between neighbouring samples along an axis."""
    count = y.layout.shape[axis]
    if count < 1:
        return y
    mean: Any = (y.narrow(axis, 1, count - 1) + y.narrow(axis, 0, count - 1)) * 0.5
    if x is None:
        return mean * dx
    points = face(x, name, "x", 2)
    if points.layout.ndim == 1:
        if points.layout.shape[0] != count:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point")
        steps: Any = diff(points)
        return mean * steps.reshape([-1 if k == axis else 1 for k in range(y.layout.ndim)])
    missing = y.layout.ndim - points.layout.ndim
    if missing > 0:
        points = movement.reshape(points, (*[1] * missing, *points.layout.shape))  # type: ignore[assignment]
    return mean * diff(points, dim=axis - y.layout.ndim)


def trapezoid(y: Any, x: Any = None, *, dx: float = 1, dim: int = -1) -> Any:
    """The integral by the trapezoidal rule."""
    y = face(y, "trapezoid", "y")
    axis = axis_of(dim, y.layout.ndim)
    if not y.layout.shape[axis]:
        return y.sum(axis)
    return _panels(y, x, dx, axis, "trapezoid").sum(axis)


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: float = 1, dim: int = -1) -> Any:
    """The running integral by the trapezoidal rule."""
    y = face(y, "cumulative_trapezoid", "y")
    axis = axis_of(dim, y.layout.ndim)
    if not y.layout.shape[axis]:
        return y.sum(axis, True).narrow(axis, 0, 0)
    return _panels(y, x, dx, axis, "cumulative_trapezoid").cumsum(axis)


def gradient(input: Any, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> Any:
    """The derivative along each axis by second-order differences; one tensor for each axis."""
    x = face(input, "gradient")
    if edge_order not in (1, 2):
        raise RuntimeError(
            f"torch.gradient only supports edge_order=1 and edge_order=2, got {edge_order}"
        )
    if dim is None:
        axes: tuple[int, ...] = tuple(range(x.layout.ndim))
    elif isinstance(dim, int):
        axes = (axis_of(dim, x.layout.ndim),)
    else:
        axes_of(dim, x.layout.ndim)  # refuses an axis that comes twice
        axes = tuple(axis_of(d, x.layout.ndim) for d in dim)
    spacing = 1 if spacing is None else spacing
    many = isinstance(spacing, (tuple, list))
    spacings = list(spacing) if many else [spacing] * len(axes)
    if len(spacings) != len(axes):
        raise RuntimeError(
            f"torch.gradient expected spacing to be unspecified, a scalar, or a list of length "
            f"{len(axes)}, but got a list of length {len(spacings)}"
        )
    return tuple(
        _derivative(x, axis, step, edge_order) for axis, step in zip(axes, spacings, strict=True)
    )


def _derivative(x: Any, axis: int, spacing: Any, edge_order: int) -> Any:
    count = x.layout.shape[axis]
    if count < edge_order + 1:
        raise RuntimeError(
            "torch.gradient expected each dimension size to be at least edge_order+1, got "
            f"{count} along dimension {axis}"
        )
    if isinstance(spacing, CoreTensor) and spacing.layout.ndim == 1:
        return _uneven(x, axis, face(spacing, "gradient"), edge_order)
    h = spacing

    def at(start: int, length: int) -> Any:
        return movement.narrow(x, axis, start, length)

    inner: Any = arithmetic.sub(at(2, count - 2), at(0, count - 2)) if count > 2 else None
    if edge_order == 1:
        first: Any = (at(1, 1) - at(0, 1)) / h
        last: Any = (at(count - 1, 1) - at(count - 2, 1)) / h
    else:
        first = (at(0, 1) * -1.5 + at(1, 1) * 2.0 - at(2, 1) * 0.5) / h
        last = (at(count - 1, 1) * 1.5 - at(count - 2, 1) * 2.0 + at(count - 3, 1) * 0.5) / h
    parts = [first, last] if inner is None else [first, inner / (2 * h), last]
    return cat(parts, axis)


def _uneven(x: Any, axis: int, points: Any, edge_order: int) -> Any:
    """The derivative where samples stand at given points."""
    count = x.layout.shape[axis]
    if points.layout.shape[0] != count:
        raise RuntimeError(
            "torch.gradient expected the length of each spacing tensor to match the size of its "
            f"dimension, got {points.layout.shape[0]} for {count}"
        )
    shape = [-1 if k == axis else 1 for k in range(x.layout.ndim)]
    steps: Any = diff(points).reshape(shape)

    def at(start: int, length: int) -> Any:
        return movement.narrow(x, axis, start, length)

    def step(start: int, length: int) -> Any:
        return movement.narrow(steps, axis, start, length)

    parts: list[Any] = []
    if edge_order == 1:
        parts = [(at(1, 1) - at(0, 1)) / step(0, 1), (at(count - 1, 1) - at(count - 2, 1))
                 / step(count - 2, 1)]  # fmt: skip
    else:
        a, b = step(0, 1), step(1, 1)
        parts.append(
            at(0, 1) * (-(2.0 * a + b) / (a * (a + b)))
            + at(1, 1) * ((a + b) / (a * b))
            + at(2, 1) * (-a / (b * (a + b)))
        )
        a, b = step(count - 3, 1), step(count - 2, 1)
        parts.append(
            at(count - 3, 1) * (b / (a * (a + b)))
            + at(count - 2, 1) * (-(b + a) / (a * b))
            + at(count - 1, 1) * ((2.0 * b + a) / (b * (a + b)))
        )
    if count > 2:
        a, b = step(0, count - 2), step(1, count - 2)
        middle = (
            at(0, count - 2) * (-b / (a * (a + b)))
            + at(1, count - 2) * ((b - a) / (a * b))
            + at(2, count - 2) * (a / (b * (a + b)))
        )
        parts.insert(1, middle)
    return cat(parts, axis)


FUNCTIONS: dict[str, Any] = {
    "trapezoid": trapezoid, "trapz": trapezoid, "cumulative_trapezoid": cumulative_trapezoid,
    "gradient": gradient,
}  # fmt: skip
METHODS: dict[str, Any] = {}
