"""Old or rare names of the namespace: norms, windows, switches, hashes, sizes taken from others."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from diptych.core import tape
from diptych.core.tensor import Tensor as CoreTensor
from diptych.ops import hashing
from diptych.torch import outputs, reductions
from diptych.torch.creation import as_dtype
from diptych.torch.dtypes import scalar_name
from diptych.torch.namespace import Determinism
from diptych.torch.signal import windows
from diptych.torch.tensor import face

# ---- norms and hashes


def frobenius_norm(input: Any, dim: Any = (), keepdim: bool = False, *, out: Any = None) -> Any:
    """The square root of the sum of squares over dims (all of them for none)."""
    axes = (dim,) if isinstance(dim, int) else tuple(dim)
    return reductions.norm(input, "fro", axes or None, keepdim, out=out)


def nuclear_norm(
    input: Any, *args: Any, keepdim: bool = False, out: Any = None, **given: Any
) -> Any:
    """The sum of singular values."""
    dim = given.pop("dim", None)
    for value in args:
        if isinstance(value, bool):
            keepdim = value
        else:
            dim = value
    return reductions.norm(input, "nuc", dim, keepdim, out=out)


def hash_tensor(
    input: Any, dim: Any = (), *, keepdim: bool = False, mode: int = 0, out: Any = None
) -> Any:
    """The exclusive or of the elements' bits (as float64 or int64)."""
    x = face(input, "hash_tensor")
    if mode != 0:
        raise RuntimeError(f"hash_tensor: Only mode 0 (xor) is supported, got {mode}")
    axes = reductions.axes_or_all(dim, x.layout.ndim)
    if x.layout.dtype.is_complex:
        word = scalar_name(x.layout.dtype)
        raise NotImplementedError(f"\"xor_sum_cpu\" not implemented for '{word}'")
    for axis in axes if dim not in ((), None) else ():
        if x.layout.ndim and not x.layout.shape[axis]:
            raise IndexError(f"hash_tensor: Expected reduction dim {dim} to have non-zero size.")
    if not x.layout.size and dim in ((), None):
        raise RuntimeError(
            "hash_tensor: Expected reduction dim to be specified for input.numel() == 0. Specify "
            "the reduction dim with the 'dim' argument."
        )
    result = reductions.kept(hashing.bit_hash(x.detach(), axes), x, axes, keepdim)
    return outputs.finish(result, out, "hash_tensor")


# ---- windows by their old names


def bartlett_window(window_length: int, periodic: bool = True, **given: Any) -> Any:
    """A triangle, zero at the ends."""
    return windows.bartlett(window_length, sym=not periodic, **_known(given))


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, **given: Any
) -> Any:
    """Kaiser's window."""
    return windows.kaiser(window_length, beta=beta, sym=not periodic, **_known(given))


def _known(given: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in given.items() if k in ("dtype", "device", "requires_grad")}


# ---- switches


def get_deterministic_debug_mode() -> int:
    """0, 1 (warn) or 2 (error): what ``use_deterministic_algorithms`` was told."""
    return 0 if not Determinism.on else 1 if Determinism.warn else 2


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """``use_deterministic_algorithms`` by number or word; every algorithm here is deterministic."""
    words: dict[int | str, int] = {"default": 0, "warn": 1, "error": 2, 0: 0, 1: 1, 2: 2}
    if debug_mode not in words:
        raise RuntimeError(
            f"invalid value of debug_mode, expected 0, 1, 2 or `default`, `warn`, `error`, but got "
            f"{debug_mode}"
        )
    Determinism.on, Determinism.warn = words[debug_mode] > 0, words[debug_mode] == 1


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return bool(tape.mode.anomaly)


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly detection looks for NaN."""
    return bool(tape.mode.check_nan)


def set_anomaly_enabled(enabled: bool, check_nan: bool = True) -> None:
    """Anomaly detection on or off."""
    tape.mode.anomaly, tape.mode.check_nan = bool(enabled), bool(check_nan)


def get_device(input: Any) -> int:
    """-1: the tensor is on the CPU."""
    face(input, "get_device")
    return -1


def get_device_module(device: Any = None) -> Any:
    """``torch.cpu``: the module of the one device there is."""
    return importlib.import_module("diptych.torch.cpu")


def is_distributed(input: Any) -> bool:
    """False: no tensor lies on several machines."""
    face(input, "is_distributed")
    return False


# ---- methods


def is_set_to(self: Any, tensor: CoreTensor) -> bool:
    """Whether two tensors show the same memory in the same way."""
    return self.address == tensor.address and self.layout is tensor.layout


def dim_order(self: Any, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The axes from the one with the largest stride to the densest."""
    strides = self.layout.strides
    return tuple(sorted(range(self.layout.ndim), key=lambda axis: -strides[axis]))


def new(self: Any, *args: Any, **given: Any) -> Any:
    """A tensor of this one's type: of a size, or of data."""
    if len(args) == 1 and not isinstance(args[0], (int, CoreTensor)):
        return self.new_tensor(args[0], **given)
    if len(args) == 1 and isinstance(args[0], CoreTensor):
        return args[0].view_as(args[0]).to(self.dtype)  # type: ignore[attr-defined]
    return self.new_empty(args or (0,), **given)


def map2_(self: Any, x: Any, y: Any, callable: Any) -> Any:
    """Apply a Python function to triples of elements, in place."""
    x, y = face(x, "map2_", "x"), face(y, "map2_", "y", 2)
    rows = zip(*(v.values().ravel().tolist() for v in (self, x, y)), strict=True)
    values = np.array([callable(a, b, c) for a, b, c in rows]).reshape(self.layout.shape)
    return self.copy_(as_dtype(values, self.layout.dtype))


def const_data_ptr(self: Any) -> int:
    """The address of element zero, for reading."""
    return self.data_ptr()


def record_stream(self: Any, stream: Any) -> None:
    """Nothing: there is one stream."""


def to_dense(self: Any, dtype: Any = None, *, masked_grad: Any = None) -> Any:
    """The tensor itself, which is dense."""
    return self if dtype is None else self.to(dtype)


_BOTH = (is_distributed, hash_tensor)
METHODS: dict[str, Any] = {
    f.__name__: f
    for f in (*_BOTH, is_set_to, dim_order, new, map2_, const_data_ptr, record_stream, to_dense)
}
FUNCTIONS: dict[str, Any] = {
    f.__name__: f
    for f in (*_BOTH, frobenius_norm, nuclear_norm, bartlett_window, kaiser_window,
              get_deterministic_debug_mode, set_deterministic_debug_mode, is_anomaly_enabled,
              is_anomaly_check_nan_enabled, set_anomaly_enabled, get_device, get_device_module)
}  # fmt: skip
