"""Functions composed of other functions of the face: covariances, distances, products of sets."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import copy_array
from diptych.ops import comparison, movement, select
from diptych.torch import binary, linalg, outputs, special
from diptych.torch.creation import as_dtype
from diptych.torch.dtypes import Default, core_of
from diptych.torch.gradient_nodes import label
from diptych.torch.joining import cat, meshgrid, stack
from diptych.torch.return_types import make
from diptych.torch.tensor import Tensor, axis_of, face


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: Any = None) -> Any:
    """The distances between the rows of two matrices."""
    a, b = face(x1, "cdist", "x1"), face(x2, "cdist", "x2", 2)
    if a.layout.shape[-1] != b.layout.shape[-1]:
        raise RuntimeError(
            "X1 and X2 must have the same number of columns. X1: "
            f"{a.layout.shape[-1]} X2: {b.layout.shape[-1]}"
        )
    gap: Any = a.unsqueeze(-2) - b.unsqueeze(-3)  # type: ignore[attr-defined]
    return label(gap.norm(p, -1), "CdistBackward0")


def renorm(input: Any, p: float, dim: int, maxnorm: float, *, out: Any = None) -> Any:
    """Sub-tensors along an axis scaled down to a norm that they exceed."""
    x: Any = face(input, "renorm")
    axis = axis_of(dim, x.layout.ndim)
    others = tuple(k for k in range(x.layout.ndim) if k != axis)
    size = linalg.vector_norm(x, p, others, True)
    factor = select.where(comparison.gt(size, maxnorm), maxnorm / (size + 1e-7), 1.0)
    return outputs.finish(x * factor, out, "renorm")


# ---- sets


def cartesian_prod(*tensors: Any) -> Any:
    """All tuples of the elements of vectors, a row each."""
    if len(tensors) == 1:
        return tensors[0]
    grids = meshgrid(*tensors, indexing="ij")
    return stack([grid.reshape(-1) for grid in grids], 1)


def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All choices of r elements of a vector, a row each."""
    x: Any = face(input, "combinations")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = np.array(list(choose(range(x.layout.size), r)), np.int64).reshape(-1, r)
    return x[copy_array(rows, Tensor)]


def block_diag(*tensors: Any) -> Any:
    """Matrices along the diagonal of a matrix of zeros."""
    given: list[Any] = [face(x, "block_diag", "tensors") for x in tensors]
    blocks: list[Any] = [x.reshape(1, -1) if x.layout.ndim < 2 else x for x in given]
    width = sum(block.layout.shape[1] for block in blocks)
    rows = []
    before = 0
    for block in blocks:
        columns = block.layout.shape[1]
        widths = ((0, 0), (before, width - before - columns))
        rows.append(movement.pad(block, widths))
        before += columns
    return cat(rows, 0)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The matrix of a vector's powers."""
    x = face(x, "vander", "x")
    count = x.layout.size if N is None else N
    powers = range(count) if increasing else range(count - 1, -1, -1)
    return stack([binary.pow(x, k) for k in powers], 1)


def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Positions in row-major order as one tensor of indices per axis."""
    found = np.unravel_index(face(indices, "unravel_index").array(), tuple(shape))
    return tuple(copy_array(np.asarray(part, np.int64), Tensor) for part in found)


# ---- elementwise


def ldexp(input: Any, other: Any, *, out: Any = None) -> Any:
    """input * 2 ** other."""
    return outputs.finish(face(input, "ldexp") * binary.pow(2.0, other), out, "ldexp")


def logaddexp2(input: Any, other: Any, *, out: Any = None) -> Any:
    """log2(2 ** input + 2 ** other) without overflow."""
    a, b = face(input, "logaddexp2"), face(other, "logaddexp2", "other", 2)
    scale = math.log(2.0)
    result = binary.logaddexp(a * scale, b * scale) / scale  # type: ignore[operator]
    return outputs.finish(result, out, "logaddexp2")


def frexp(input: Any, *, out: Any = None) -> Any:
    """Mantissas in [0.5, 1) and exponents."""
    x = face(input, "frexp")
    if not x.layout.dtype.is_float:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    mantissa, exponent = np.frexp(x.values())
    core = x.layout.dtype
    values = (
        copy_array(np.asarray(mantissa), Tensor, core),
        copy_array(np.asarray(exponent), Tensor),
    )
    if x.node is not None:  # the exponents are constants of the gradient
        return make("frexp", (x / binary.pow(2.0, values[1]), values[1]))
    return make("frexp", values)


def threshold(input: Any, threshold: float, value: float) -> Any:
    """``value`` where the input does not exceed the threshold."""
    x = face(input, "threshold")
    return face(select.where(comparison.gt(x, threshold), x, value), "threshold")


# ---- copies with a part replaced


def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """A copy with one entry of an axis replaced."""
    made = face(input, "select_scatter").clone()  # type: ignore[attr-defined]
    made.select(dim, index).copy_(src)
    return made


def slice_scatter(input: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None,
                  step: int = 1) -> Any:  # fmt: skip
    """A copy with a slice of an axis replaced."""
    made = face(input, "slice_scatter").clone()  # type: ignore[attr-defined]
    axis = axis_of(dim, made.layout.ndim)
    index = (*[slice(None)] * axis, slice(start, end, step))
    made[index] = src
    return made


def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A copy with a diagonal replaced."""
    made = face(input, "diagonal_scatter").clone()  # type: ignore[attr-defined]
    made.diagonal(offset, dim1, dim2).copy_(src)
    return made


def sum_to_size(self: Any, *size: Any) -> Any:
    """Summed over the axes along which ``size`` was broadcast."""
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    return movement.sum_to(self, tuple(shape))


def in_place_view(name: str) -> Any:
    """The in-place form of a view function: the tensor itself takes the view's layout."""

    def method(self: Any, *args: Any) -> Any:
        viewed = getattr(self, name)(*args)
        if self.node is not None:
            raise NotImplementedError(
                f"Tensor.{name}_ of a tensor that records gradients is not implemented in diptych"
            )
        self.layout, self.address = viewed.layout, viewed.address
        return self

    method.__name__ = f"{name}_"
    return method


def map_(self: Any, tensor: CoreTensor, callable: Any) -> Any:
    """Apply a Python function to pairs of elements, in place."""
    pairs = zip(self.values().ravel().tolist(), tensor.values().ravel().tolist(), strict=True)
    values = np.array([callable(a, b) for a, b in pairs]).reshape(self.layout.shape)
    return self.copy_(as_dtype(values, self.layout.dtype))


def apply_(self: Any, callable: Any) -> Any:
    """Apply a Python function to every element, in place."""
    values = np.array([callable(v) for v in self.values().ravel().tolist()])
    return self.copy_(as_dtype(values.reshape(self.layout.shape), self.layout.dtype))


# ---- windows


def _window(name: str, weights: tuple[float, ...]) -> Any:
    def function(window_length: int, periodic: bool = True, *, dtype: Any = None,
                 device: Any = None, requires_grad: bool = False, **rest: Any) -> Any:  # fmt: skip
        core = Default.core if dtype is None else core_of(dtype)
        if window_length == 1:
            return as_dtype(np.ones(1), core)
        turn = 2 * math.pi / max(window_length - (not periodic), 1)
        phase = turn * np.arange(window_length)
        values = sum(w * np.cos(k * phase) for k, w in enumerate(weights))
        return as_dtype(np.asarray(values).reshape(window_length), core)

    function.__name__ = function.__qualname__ = name
    return function


hann_window = _window("hann_window", (0.5, -0.5))
hamming_window = _window("hamming_window", (0.54, -0.46))
blackman_window = _window("blackman_window", (0.42, -0.5, 0.08))

_BOTH = (renorm, ldexp, logaddexp2, frexp, select_scatter, slice_scatter,
         diagonal_scatter)  # fmt: skip
METHODS: dict[str, Any] = {f.__name__: f for f in (*_BOTH, sum_to_size, map_, apply_)}
METHODS.update({
    f"{name}_": in_place_view(name)
    for name in ("squeeze", "unsqueeze", "transpose", "t", "swapaxes", "swapdims")
})  # fmt: skip
METHODS.update(linalg.NAMESPACE, **special.NAMESPACE)
REPLACED_IN_PLACE = ("i0", "polygamma", "mvlgamma", "igamma", "igammac", "ldexp", "renorm")
FUNCTIONS: dict[str, Any] = {
    f.__name__: f
    for f in (*_BOTH, cdist, cartesian_prod, combinations, block_diag, vander,
              unravel_index, threshold, hann_window, hamming_window, blackman_window)
}  # fmt: skip
FUNCTIONS.update(linalg.NAMESPACE, **special.NAMESPACE)
