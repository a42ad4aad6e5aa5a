"""Short-time Fourier transforms: stft and istft."""

from __future__ import annotations

import warnings
from typing import Any

from diptych.core import dtypes as engine
from diptych.ops import arithmetic, fft, indexing, movement, padding, select
from diptych.ops.creation import iota
from diptych.torch import movement as views
from diptych.torch.joining import real_view
from diptych.torch.tensor import Tensor, face


def _window(window: Any, length: int, n_fft: int, x: Tensor, name: str) -> Any:
    """The window in the middle of n_fft places (ones where none is given)."""
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{name}: expected 0 < win_length <= n_fft, but got win_length={length}")
    if window is None:
        weights: Any = x.new_ones((length,), dtype=None)  # type: ignore[attr-defined]
        if x.layout.dtype.is_complex:
            weights = select.real(weights)
    else:
        weights = face(window, name, "window")
        if weights.layout.shape != (length,):
            raise RuntimeError(
                f"{name}: expected a 1D window tensor of size equal to win_length={length}, but "
                f"got window with size {list(weights.layout.shape)}"
            )
    if length < n_fft:
        before = (n_fft - length) // 2
        weights = movement.pad(weights, ((before, n_fft - length - before),))
    return weights


def stft(
    input: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Any = None, center: bool = True, pad_mode: str = "reflect", normalized: bool = False,
    onesided: bool | None = None, return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:  # fmt: skip
    """The spectra of overlapping pieces of a signal: (batch,) frequency, piece."""
    x: Any = face(input, "stft")
    if x.layout.ndim not in (1, 2) or not x.layout.dtype.is_inexact:
        raise RuntimeError(
            f"stft: expected a 1D or 2D tensor of floating or complex values, got shape "
            f"{list(x.layout.shape)} of {x.layout.dtype}"
        )
    hop = n_fft // 4 if hop_length is None else hop_length
    if hop <= 0:
        raise RuntimeError(f"stft: expected hop_length > 0, but got hop_length={hop}")
    weights = _window(window, n_fft if win_length is None else win_length, n_fft, x, "stft")
    complex_in = x.layout.dtype.is_complex or weights.layout.dtype.is_complex
    if return_complex is None:
        if not complex_in:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs"
            )
        return_complex = True
    elif not return_complex:
        warnings.warn(
            "stft with return_complex=False is deprecated. In a future pytorch release, stft will "
            "return complex tensors for all inputs, and return_complex=False will raise an error.",
            UserWarning,
            stacklevel=2,
        )
    alone = x.layout.ndim == 1
    x = movement.reshape(x, (1, x.layout.size)) if alone else x
    if center:
        edge = n_fft // 2
        widths = ((0, 0), (edge, edge))
        if pad_mode == "constant":
            x = movement.pad(x, widths)
        else:
            x = padding.pad_edges(x, pad_mode, widths)
    extent = x.layout.shape[1]
    if not 0 < n_fft <= extent:
        raise RuntimeError(f"stft: expected 0 < n_fft <= {extent}, but got n_fft={n_fft}")
    one_side = not complex_in if onesided is None else onesided
    if one_side and complex_in:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    pieces = views.unfold(face(x, "stft"), 1, n_fft, hop)
    dtype = engine.complex_of(x.layout.dtype) if complex_in else x.layout.dtype
    pieces = arithmetic.mul(pieces, weights, dtype)
    norm = "ortho" if normalized else "backward"
    spectrum = (fft.rfft if one_side else fft.fft)(pieces, (2,), None, norm)
    result = movement.swap_axes(spectrum, 1, 2)
    if alone:
        result = movement.reshape(result, result.layout.shape[1:])
    return result if return_complex else real_view(result)


def istft(
    input: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Any = None, center: bool = True, normalized: bool = False,
    onesided: bool | None = None, length: int | None = None, return_complex: bool = False,
) -> Any:  # fmt: skip
    """The signal whose overlapping pieces have these spectra, by weighted overlap and addition."""
    x: Any = face(input, "istft")
    if not x.layout.dtype.is_complex:
        raise RuntimeError("istft requires a complex-valued input tensor matching the output from "
                           "stft with return_complex=True.")  # fmt: skip
    if x.layout.ndim not in (2, 3) or not x.layout.size:
        raise RuntimeError(
            f"istft: expected a non-empty tensor with 2 or 3 dimensions, got {list(x.layout.shape)}"
        )
    one_side = (x.layout.shape[-2] != n_fft) if onesided is None else onesided
    rows = n_fft // 2 + 1 if one_side else n_fft
    if x.layout.shape[-2] != rows:
        raise RuntimeError(
            f"istft: expected the frequency dimension (3rd to the last) of the input tensor to "
            f"match {'n_fft / 2 + 1' if one_side else 'n_fft'}, got {x.layout.shape[-2]}"
        )
    width = n_fft if win_length is None else win_length
    hop = n_fft // 4 if hop_length is None else hop_length
    if not 0 < hop <= width:
        raise RuntimeError(f"istft: expected 0 < hop_length <= win_length, but got {hop}")
    alone = x.layout.ndim == 2
    x = movement.reshape(x, (1, *x.layout.shape)) if alone else x
    spectra = movement.swap_axes(x, 1, 2)
    norm = "ortho" if normalized else "backward"
    if one_side and return_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    if return_complex:
        pieces: Any = fft.ifft(spectra, (2,), None, norm)
    else:  # the half that says all of a real signal
        half = movement.narrow(spectra, 2, 0, n_fft // 2 + 1)
        pieces = fft.irfft(half, (2,), (n_fft,), norm)
    weights = _window(window, width, n_fft, face(pieces, "istft"), "istft")
    if weights.layout.dtype.is_complex and not pieces.layout.dtype.is_complex:
        raise RuntimeError("istft: a complex window needs return_complex=True")
    result = _overlapped(pieces, weights, n_fft, hop, center, length)
    return movement.reshape(result, result.layout.shape[1:]) if alone else result


def _overlapped(
    pieces: Any, weights: Any, n_fft: int, hop: int, center: bool, length: int | None
) -> Any:
    """Weighted pieces added where they overlap, divided by what the weights add up to."""
    batch, count, _ = pieces.layout.shape
    total = n_fft + hop * (count - 1)
    dtype = pieces.layout.dtype
    starts = arithmetic.mul(iota((count, 1), 0), hop)
    places = arithmetic.add(starts, iota((1, n_fft), 1))

    def added(values: Any, rows: int) -> Any:
        zeros = indexing.zeros((rows, total), values.layout.dtype)
        return indexing.index_add(zeros, places, values, 1)

    shaped = movement.broadcast_to(arithmetic.square(weights), (1, count, n_fft))
    signal, envelope = added(arithmetic.mul(pieces, weights, dtype), batch), added(shaped, 1)
    start = n_fft // 2 if center else 0
    if length is not None:
        end = start + length
    else:
        end = total - n_fft // 2 if center else total
    end = max(start, min(end, total))
    signal = movement.narrow(signal, 1, start, end - start)
    envelope = movement.narrow(envelope, 1, start, end - start)
    least = float(abs(envelope.values()).min()) if end > start else 1.0
    if not least > 1e-11:
        raise RuntimeError(f"window overlap add min: {least}")
    result = arithmetic.div(signal, envelope, dtype)
    missing = 0 if length is None else length - (end - start)
    if missing > 0:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded "
            "with zeros in the tail. Please check your center, hop_length and/or n_fft arguments.",
            UserWarning,
            stacklevel=3,
        )
        result = movement.pad(result, ((0, 0), (0, missing)))
    return face(result, "istft")


METHODS: dict[str, Any] = {"stft": stft, "istft": istft}
FUNCTIONS: dict[str, Any] = METHODS
