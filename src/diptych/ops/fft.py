"""Fourier transforms over any axes, through NumPy's pocketfft."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import COMPLEX, FLOATS, complex_of, float32, float64, real_of
from diptych.core.layout import Layout, Shape, layout
from diptych.core.operation import BadCall, Params, Primitive, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import ArgumentError, DTypeError
from diptych.ops.arithmetic import mul
from diptych.ops.comparison import eq, logical_or
from diptych.ops.creation import iota
from diptych.ops.families import hooks, primitive
from diptych.ops.indexing import roll
from diptych.ops.movement import narrow, pad
from diptych.ops.select import cast, real, where

TOLERANCE = Tolerance({"float32": 2e-5, "complex64": 2e-5, "float64": 1e-12, "complex128": 1e-12})

# Parameters: ``axes`` counted from the front, and ``scale``, by which the plain sum is multiplied
# ("forward", "ortho" and "backward" normalisation are three values of it). A length other than the
# operand's is padding or slicing, done before.


def _check(place: Layout, axes: Shape, accepts: Any, op: str) -> None:
    if place.dtype not in accepts:
        raise DTypeError(f"{op}: Unsupported dtype {place.dtype}", op=op, got=place.dtype)
    if not axes or any(not 0 <= axis < place.ndim for axis in axes):
        raise ArgumentError(
            op=op, argument="axes", got=axes, expected=f"axes of shape {list(place.shape)}"
        )
    if any(place.shape[axis] < 1 for axis in axes):
        raise ArgumentError(
            f"Invalid number of data points (0) specified: {op} got shape {list(place.shape)}",
            op=op,
        )


def _batch(
    op: Primitive, operands: tuple[Any, ...], axes: tuple[int | None, ...], params: Params
) -> tuple[Any, int]:
    x = hooks.move_axis(operands[0], axes[0] or 0, 0)
    shifted = tuple(axis + 1 for axis in params[0])
    return call.current.apply1(op, x, (shifted, *params[1:])), 0


def _draws(dtypes: Iterable[Any]) -> Iterable[Any]:
    for dtype in dtypes:
        generator = np.random.default_rng(dtype.index)
        for shape, axes in [((5,), (0,)), ((3, 4), (1,)), ((2, 3, 4), (0, 2)), ((4, 1), (0, 1))]:
            values = generator.uniform(-1, 1, shape)
            if dtype.is_complex:
                values = values + 1j * generator.uniform(-1, 1, shape)
            yield values.astype(dtype.numpy), axes


def _errors(*rest: Any) -> Callable[[], Iterable[BadCall]]:
    return lambda: [
        BadCall((np.ones(3, np.int32),), DTypeError, "Unsupported dtype", ((0,), *rest)),
        BadCall((np.ones((0, 2), np.complex64),), ArgumentError, "number of data",
                ((0,), *rest)),
        BadCall((np.ones(3, np.complex64),), ArgumentError, "axes", ((1,), *rest)),
    ]  # fmt: skip


def _unscaled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A NumPy transform without its own factor, times ``scale``, in the operand's precision."""

    def transform(x: Any, axes: Shape, scale: float) -> Any:
        wide = np.asarray(x, np.complex128 if x.dtype.kind == "c" else np.float64)
        return function(wide, axes=axes) * scale

    return transform


# ---- complex to complex


def _complex_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    _check(layouts[0], params[0], COMPLEX, "fft")
    return layout(layouts[0].dtype, layouts[0].shape)


FFT = primitive(
    "fft", "host", params=("axes", "scale"), infer=_complex_infer, batch=_batch,
    reference=_unscaled(lambda x, axes: np.fft.fftn(x, axes=axes, norm="backward")),
    vjp=lambda ctx, ct: call.current.apply1(INVERSE, ct, ctx.params), tolerance=TOLERANCE,
    samples=lambda: [Sample((x,), (axes, 0.5)) for x, axes in _draws(COMPLEX)],
    errors=_errors(1.0),
)  # fmt: skip
INVERSE: Primitive = primitive(
    "inverse_fft", "host", params=("axes", "scale"), infer=_complex_infer, batch=_batch,
    reference=_unscaled(lambda x, axes: np.fft.ifftn(x, axes=axes, norm="forward")),
    vjp=lambda ctx, ct: call.current.apply1(FFT, ct, ctx.params), tolerance=TOLERANCE,
    samples=lambda: [Sample((x,), (axes, 0.5)) for x, axes in _draws(COMPLEX)],
    errors=_errors(1.0),
)  # fmt: skip


# ---- real to half of the spectrum, and back: the last of ``axes`` is the halved one


def _real_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    place, axes = layouts[0], params[0]
    _check(place, axes, FLOATS[2:], "rfft")
    shape = list(place.shape)
    shape[axes[-1]] = shape[axes[-1]] // 2 + 1
    return layout(complex_of(place.dtype), tuple(shape))


def _rfft_vjp(ctx: Any, ct: Any) -> Any:
    """The real part of the transposed transform: of the half spectrum in a border of zeros."""
    axes, scale = ctx.params
    missing = ctx.layout(0).shape[axes[-1]] - ct.layout.shape[axes[-1]]
    whole = _extended(ct, axes[-1], missing)
    return real(call.current.apply1(INVERSE, whole, (axes, scale)))


def _extended(x: Tensor, axis: int, missing: int) -> Tensor:
    if not missing:
        return x
    widths = tuple((0, missing if k == axis else 0) for k in range(x.layout.ndim))
    return pad(x, widths)


REAL = primitive(
    "rfft", "host", params=("axes", "scale"), infer=_real_infer, vjp=_rfft_vjp, batch=_batch,
    reference=_unscaled(lambda x, axes: np.fft.rfftn(x, axes=axes, norm="backward")),
    samples=lambda: [Sample((x,), (axes, 0.5)) for x, axes in _draws((float32, float64))],
    errors=lambda: [
        BadCall((np.ones(3, np.complex64),), DTypeError, "Unsupported dtype", ((0,), 1.0)),
        BadCall((np.ones((0, 2), np.float32),), ArgumentError, "number of data", ((0,), 1.0)),
    ],
    tolerance=TOLERANCE,
)  # fmt: skip


def _inverse_real_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    axes, _, count = params
    place = layouts[0]
    _check(place, axes, COMPLEX, "irfft")
    if count < 1 or place.shape[axes[-1]] != count // 2 + 1:
        raise ArgumentError(
            f"Invalid number of data points ({count}) specified: irfft needs {count // 2 + 1} of "
            f"the spectrum, got {place.shape[axes[-1]]}",
            op="irfft", argument="count", got=count,
        )  # fmt: skip
    shape = list(place.shape)
    shape[axes[-1]] = count
    return layout(real_of(place.dtype), tuple(shape))


def _irfft(x: Any, axes: Shape, scale: float, count: int) -> Any:
    lengths = [x.shape[axis] for axis in axes[:-1]] + [count]
    return np.fft.irfftn(np.asarray(x, np.complex128), lengths, axes, norm="forward") * scale


def _irfft_vjp(ctx: Any, ct: Any) -> Any:
    """The half spectrum of the cotangent, twice where an entry stands for two conjugate ones."""
    axes, scale, count = ctx.params
    half = call.current.apply1(REAL, ct, (axes, scale))
    extent = half.layout.shape[axes[-1]]
    shape = [1] * half.layout.ndim
    shape[axes[-1]] = extent
    place = iota(tuple(shape), axes[-1])
    alone = eq(place, 0)
    if count % 2 == 0:
        alone = logical_or(alone, eq(place, count // 2))
    return where(alone, half, mul(half, 2.0))


INVERSE_REAL = primitive(
    "irfft", "host", params=("axes", "scale", "count"), infer=_inverse_real_infer, reference=_irfft,
    vjp=_irfft_vjp, batch=_batch, tolerance=TOLERANCE,
    samples=lambda: [
        Sample((x,), (axes, 0.5, 2 * x.shape[axes[-1]] - 2 + odd))
        for x, axes in _draws(COMPLEX) for odd in (0, 1) if x.shape[axes[-1]] > 1
    ],
    errors=lambda: [
        BadCall((np.ones(3, np.float32),), DTypeError, "Unsupported dtype", ((0,), 1.0, 4)),
        BadCall((np.ones(3, np.complex64),), ArgumentError, "number of data", ((0,), 1.0, 9)),
    ],
)  # fmt: skip


# ---- the functions: ``norm`` is "backward", "ortho" or "forward"


def _scale(count: int, norm: str, inverse: bool, op: str) -> float:
    if norm not in ("backward", "ortho", "forward"):
        raise ArgumentError(f"Invalid normalization mode: {norm!r}", op=op, argument="norm")
    if norm == "ortho":
        return float(1.0 / np.sqrt(count))
    return 1.0 / count if (norm == "backward") == inverse else 1.0


def _resized(x: Tensor, axes: Shape, lengths: Shape | None) -> Tensor:
    """``x`` cut off, or continued by zeros, to these lengths."""
    for axis, length in zip(axes, lengths or (), strict=False):
        have = x.layout.shape[axis] if 0 <= axis < x.layout.ndim else 0
        if length > have:
            x = _extended(x, axis, length - have)
        elif 0 < length < have:
            x = narrow(x, axis, 0, length)
        elif length < 1:
            raise ArgumentError(f"Invalid number of data points ({length}) specified", op="fft")
    return x


def _count(x: Tensor, axes: Shape, op: str) -> int:
    _check(x.layout, axes, (*FLOATS[2:], *COMPLEX), op)
    return int(np.prod([x.layout.shape[axis] for axis in axes]))


def _as_complex(x: Tensor) -> Tensor:
    return cast(x, complex_of(x.layout.dtype)) if x.layout.dtype in FLOATS[2:] else x


def fft(x: Tensor, axes: Shape, lengths: Shape | None = None, norm: str = "backward") -> Tensor:
    """The discrete Fourier transform over ``axes``, cut or zero-padded to ``lengths`` first."""
    x = _resized(_as_complex(x), axes, lengths)
    scale = _scale(_count(x, axes, "fft"), norm, False, "fft")
    return call.current.apply1(FFT, x, (axes, scale))


def ifft(x: Tensor, axes: Shape, lengths: Shape | None = None, norm: str = "backward") -> Tensor:
    """The inverse of :func:`fft`."""
    x = _resized(_as_complex(x), axes, lengths)
    scale = _scale(_count(x, axes, "ifft"), norm, True, "ifft")
    return call.current.apply1(INVERSE, x, (axes, scale))


def rfft(x: Tensor, axes: Shape, lengths: Shape | None = None, norm: str = "backward") -> Tensor:
    """The transform of real values: half of the spectrum along the last of ``axes``."""
    x = _resized(x, axes, lengths)
    scale = _scale(_count(x, axes, "rfft"), norm, False, "rfft")
    return call.current.apply1(REAL, x, (axes, scale))


def irfft(x: Tensor, axes: Shape, lengths: Shape | None = None, norm: str = "backward") -> Tensor:
    """The inverse of :func:`rfft`; the last length is 2 (n - 1) of what is given unless stated."""
    x = _as_complex(x)
    _check(x.layout, axes, COMPLEX, "irfft")
    extents = [x.layout.shape[axis] for axis in axes]
    wanted = lengths or (*extents[:-1], 2 * (extents[-1] - 1))
    x = _resized(x, axes, (*wanted[:-1], wanted[-1] // 2 + 1))
    scale = _scale(int(np.prod(wanted)), norm, True, "irfft") if wanted[-1] > 0 else 1.0
    return call.current.apply1(INVERSE_REAL, x, (axes, scale, wanted[-1]))


def fftshift(x: Tensor, axes: Shape) -> Tensor:
    """The zero frequency moved to the middle of each axis."""
    return roll(x, [x.layout.shape[axis] // 2 for axis in axes], axes)


def ifftshift(x: Tensor, axes: Shape) -> Tensor:
    """The inverse of :func:`fftshift`."""
    return roll(x, [-(x.layout.shape[axis] // 2) for axis in axes], axes)
