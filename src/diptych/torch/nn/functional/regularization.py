"""Dropout and its kin: the masks are those PyTorch draws from the same seed."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from diptych.core import call, inplace, recording
from diptych.core.dtypes import float32
from diptych.core.layout import layout, row_major
from diptych.core.random import torch_stream
from diptych.core.samples import drawing_level, each_sample
from diptych.core.tensor import copy_array, empty, from_array
from diptych.ops.arithmetic import MUL, add, mul
from diptych.ops.movement import expand_axis, squeeze_axes, transpose
from diptych.ops.select import ASSIGN
from diptych.torch.dtypes import scalar_name
from diptych.torch.promotion import PARAMS
from diptych.torch.random import default_generator
from diptych.torch.tensor import Tensor, face

_SELU_LIMIT = 1.7580993408473766  # -alpha' of alpha dropout: Klambauer et al., arXiv 1706.02515


def check_probability(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _noise(shape: tuple[int, ...], keep: float, dtype: Any, scale: bool) -> Any:
    level = drawing_level()
    if level is not None:
        return each_sample(level, lambda grown: _noise(grown, keep, dtype, scale), shape)
    if recording.active is None:
        return _drawn_noise(shape, keep, dtype, scale)
    return recording.fed(_drawn_noise, shape, keep, dtype, scale)


def _drawn_noise(shape: tuple[int, ...], keep: float, dtype: Any, scale: bool) -> Any:
    """Ones with probability ``keep`` and zeros, the ones divided by it if ``scale``."""
    if not dtype.is_inexact and scale:
        raise RuntimeError(
            f"result type Float can't be cast to the desired output type {scalar_name(dtype)}"
        )
    if dtype is float32:
        noise = empty(layout(dtype, shape), Tensor)
        value = float(np.float32(1) / np.float32(keep)) if scale else 1.0
        if torch_stream.bernoulli_noise(
            default_generator, noise.address, noise.layout.size, keep, value
        ):
            return noise
    mask = torch_stream.bernoulli(default_generator, shape, keep)
    if not dtype.exact:
        return copy_array(
            mask.astype(np.float32) / (np.float32(keep) if scale else 1), Tensor, dtype
        )
    one = dtype.numpy.type(1)
    factor = one / dtype.numpy.type(keep) if scale else one
    return from_array(np.multiply(mask, factor, dtype=dtype.numpy), Tensor)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero elements with probability p, and scale the others by 1 / (1 - p), in training."""
    if not isinstance(input, Tensor):
        input = face(input, "dropout")
    if p < 0.0 or p > 1.0:
        check_probability(p)
    if not training or p == 0 or not input.layout.size:
        return input
    place = input.layout
    if p == 1:
        return _times(input, _zeros(place), inplace)
    noise = _noise_like(place, 1 - p)
    return _times(input, noise, inplace)


def _noise_like(place: Any, keep: float) -> Any:
    """Noise drawn in the order of the input's memory, where that is another order of its axes."""
    shape, strides = place.shape, place.strides
    if not place.contiguous:
        order = sorted(range(place.ndim), key=lambda axis: (-strides[axis], axis))
        inside = tuple(shape[axis] for axis in order)
        if tuple(strides[axis] for axis in order) == row_major(inside):
            back = tuple(order.index(axis) for axis in range(place.ndim))
            return transpose(_noise(inside, keep, place.dtype, True), back)
    return _noise(shape, keep, place.dtype, True)


def _zeros(place: Any) -> Any:
    return copy_array(np.zeros(place.shape, np.float32), Tensor, place.dtype)


def _times(input: Any, noise: Any, in_place: bool) -> Any:
    params = PARAMS[input.layout.dtype]
    if in_place:
        inplace.update(input, MUL, (input, noise), params)
        return input
    return call.current.apply2(MUL, input, noise, params)


def _feature_dropout(input: Any, p: float, training: bool, inplace: bool) -> Any:
    """Dropout of whole channels: one draw for each of the first two axes' places."""
    place = input.layout
    if not training or p == 0 or not place.size:
        return input
    if place.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    if p == 1:
        return _times(input, _zeros(place), inplace)
    shape = (*place.shape[:2], *([1] * (place.ndim - 2)))
    return _times(input, _noise(shape, 1 - p, place.dtype, True), inplace)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N, C, L) or (C, L)."""
    input = face(input, "dropout1d")
    check_probability(p)
    ndim = input.layout.ndim
    if ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {ndim}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, "
            "a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    return _unbatched(input, ndim == 2, p, training, inplace)


def _unbatched(input: Any, single: bool, p: float, training: bool, inplace: bool) -> Any:
    if not single:
        return _feature_dropout(input, p, training, inplace)
    result = squeeze_axes(_feature_dropout(expand_axis(input, 0), p, training, inplace), (0,))
    return input if inplace else result


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N, C, H, W) or (N, C, L)."""
    input = face(input, "dropout2d")
    check_probability(p)
    ndim = input.layout.ndim
    if ndim not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {ndim}-D input to dropout2d, which is deprecated and will "
            "result in an error in a future release. To retain the behavior and silence this "
            "warning, please use dropout instead. Note that dropout2d exists to provide "
            "channel-wise dropout on inputs with 2 spatial dimensions, a channel dimension, and an "
            "optional batch dimension (i.e. 3D or 4D inputs).",
            stacklevel=2,
        )
    if ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim. This behavior will change in a future release to interpret the input as one "
            "without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise "
            "dropout behavior, please switch to using dropout1d instead.",
            stacklevel=2,
        )
    return _feature_dropout(input, p, training, inplace)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    input = face(input, "dropout3d")
    check_probability(p)
    ndim = input.layout.ndim
    if ndim not in (4, 5):
        warnings.warn(
            f"dropout3d: Received a {ndim}-D input to dropout3d, which is deprecated and will "
            "result in an error in a future release. To retain the behavior and silence this "
            "warning, please use dropout instead. Note that dropout3d exists to provide "
            "channel-wise dropout on inputs with 3 spatial dimensions, a channel dimension, and an "
            "optional batch dimension (i.e. 4D or 5D inputs).",
            stacklevel=2,
        )
    return _unbatched(input, ndim == 4, p, training, inplace)


def _alpha(input: Any, p: float, training: bool, inplace_: bool, features: bool) -> Any:
    """Dropout that keeps mean and variance where the input went through selu."""
    check_probability(p)
    place = input.layout
    if not training or p == 0 or not place.size:
        return input
    if p == 1:
        return _times(input, _zeros(place), inplace_)
    if features and place.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    shape = (*place.shape[:2], *([1] * (place.ndim - 2))) if features else place.shape
    noise = _noise(shape, 1 - p, place.dtype, False)
    a = 1.0 / math.sqrt((_SELU_LIMIT * _SELU_LIMIT * p + 1) * (1 - p))
    shift = add(mul(add(noise, -1), _SELU_LIMIT * a), _SELU_LIMIT * a * p)
    result = add(mul(input, mul(noise, a)), shift)
    if inplace_:
        inplace.update(input, ASSIGN, (input, result), PARAMS[place.dtype])
        return input
    return result


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout to selu's lower limit, scaled to keep mean and variance."""
    return _alpha(face(input, "alpha_dropout"), p, training, inplace, False)


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """Alpha dropout of whole channels."""
    return _alpha(face(input, "feature_alpha_dropout"), p, training, inplace, True)
