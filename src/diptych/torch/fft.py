"""torch.fft: discrete Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from diptych.ops import arithmetic
from diptych.ops import fft as operations
from diptych.ops.select import cast
from diptych.torch import outputs
from diptych.torch.creation import as_dtype
from diptych.torch.dtypes import Default, core_of
from diptych.torch.operators import FRACTIONS
from diptych.torch.tensor import Tensor, axis_of, face


def _axes(dim: Any, s: Any, ndim: int, default: Any) -> tuple[int, ...]:
    if dim is None:
        dim = default if s is None else range(-len(s), 0)
        dim = range(ndim) if dim is None else dim
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    return tuple(axis_of(d, ndim) for d in dims)


def _float(x: Tensor) -> Any:
    return cast(x, FRACTIONS[x.layout.dtype][0])


def _lengths(n: Any, x: Any, axes: tuple[int, ...]) -> Any:
    if n is None:
        return None
    sizes = (n,) if isinstance(n, int) else tuple(n)
    for size in sizes:
        if size < 1 and size != -1:
            raise RuntimeError(f"Invalid number of data points ({size}) specified")
    return tuple(
        x.layout.shape[axis] if size == -1 else size for size, axis in zip(sizes, axes, strict=True)
    )


def _one(name: str, transform: Callable[..., Any]) -> Any:
    def function(
        input: Any, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Any = None
    ) -> Any:
        x = _float(face(input, name))
        axes = _axes(dim, None, x.layout.ndim, -1)
        lengths = _lengths(n, x, axes)
        if lengths is None and x.layout.shape[axes[0]] < 1:
            raise RuntimeError("Invalid number of data points (0) specified")
        return outputs.finish(transform(x, axes, lengths, norm or "backward"), out, name)

    function.__name__ = function.__qualname__ = name
    return function


def _several(name: str, transform: Callable[..., Any], default: Any) -> Any:
    def function(
        input: Any, s: Any = None, dim: Any = default, norm: str | None = None, *, out: Any = None
    ) -> Any:
        x = _float(face(input, name))
        axes = _axes(dim, s, x.layout.ndim, default)
        return outputs.finish(
            transform(x, axes, _lengths(s, x, axes), norm or "backward"), out, name
        )

    function.__name__ = function.__qualname__ = name
    return function


fft, ifft = _one("fft", operations.fft), _one("ifft", operations.ifft)
rfft, irfft = _one("rfft", operations.rfft), _one("irfft", operations.irfft)
fft2, ifft2 = (
    _several("fft2", operations.fft, (-2, -1)),
    _several("ifft2", operations.ifft, (-2, -1)),
)
rfft2 = _several("rfft2", operations.rfft, (-2, -1))
irfft2 = _several("irfft2", operations.irfft, (-2, -1))
fftn, ifftn = _several("fftn", operations.fft, None), _several("ifftn", operations.ifft, None)
rfftn, irfftn = _several("rfftn", operations.rfft, None), _several("irfftn", operations.irfft, None)

_OTHER = {"backward": "forward", "forward": "backward", "ortho": "ortho"}


def _opposite(norm: Any, name: str) -> str:
    """The normalization of the transform in the other direction."""
    if norm is not None and not isinstance(norm, str):
        raise TypeError(f"fft_{name}(): argument 'norm' must be str, not {type(norm).__name__}")
    if norm and norm not in _OTHER:
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    return _OTHER[norm or "backward"]


def hfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The transform of a Hermitian signal: real values."""
    x = face(input, "hfft")
    return irfft(arithmetic.conj(x), n, dim, _opposite(norm, "hfft"))


def ihfft(input: Any, n: int | None = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of hfft."""
    return arithmetic.conj(rfft(input, n, dim, _opposite(norm, "ihfft")))


def fftshift(input: Any, dim: Any = None) -> Any:
    """The zero frequency moved to the middle."""
    x = face(input, "fftshift")
    return operations.fftshift(x, _axes(dim, None, x.layout.ndim, None))


def ifftshift(input: Any, dim: Any = None) -> Any:
    """The inverse of fftshift."""
    x = face(input, "ifftshift")
    return operations.ifftshift(x, _axes(dim, None, x.layout.ndim, None))


def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, **rest: Any) -> Any:
    """The frequencies of a transform's results."""
    with np.errstate(all="ignore"):  # a distance of 0 gives infinities, as in PyTorch
        made = np.fft.fftfreq(n, np.float64(d))
    return as_dtype(made, Default.core if dtype is None else core_of(dtype))


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, **rest: Any) -> Any:
    """The frequencies of a real transform's results."""
    with np.errstate(all="ignore"):
        made = np.fft.rfftfreq(n, np.float64(d))
    return as_dtype(made, Default.core if dtype is None else core_of(dtype))


def _hermitian(name: str, default: Any) -> Any:
    """The transform of a signal that is Hermitian along the last axis: real values."""

    def function(
        input: Any, s: Any = None, dim: Any = default, norm: str | None = None, *, out: Any = None
    ) -> Any:
        x = face(input, name)
        lines = _axes(dim, s, x.layout.ndim, default)
        sizes = _lengths(s, x, lines)
        result = operations.irfft(arithmetic.conj(_float(x)), lines, sizes, _opposite(norm, name))
        return outputs.finish(result, out, name)

    function.__name__ = function.__qualname__ = name
    return function


def _inverse_hermitian(name: str, default: Any) -> Any:
    """The inverse: half of the spectrum of real values, conjugated."""

    def function(
        input: Any, s: Any = None, dim: Any = default, norm: str | None = None, *, out: Any = None
    ) -> Any:
        x = face(input, name)
        lines = _axes(dim, s, x.layout.ndim, default)
        spectrum = operations.rfft(_float(x), lines, _lengths(s, x, lines), _opposite(norm, name))
        return outputs.finish(arithmetic.conj(spectrum), out, name)

    function.__name__ = function.__qualname__ = name
    return function


hfft2, hfftn = _hermitian("hfft2", (-2, -1)), _hermitian("hfftn", None)
ihfft2, ihfftn = _inverse_hermitian("ihfft2", (-2, -1)), _inverse_hermitian("ihfftn", None)
