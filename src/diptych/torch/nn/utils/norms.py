"""What the norms of weights are computed with: by row, and by power iteration."""

from __future__ import annotations

from typing import Any

from diptych.core import tape
from diptych.torch.nn import functional as F


def check_module(module: Any, function: str) -> None:
    """TypeError for what is no module."""
    if not hasattr(module, "_forward_pre_hooks"):
        raise TypeError(f"{function}(): expected a Module, got {type(module).__name__}")


def norm_except_dim(v: Any, dim: int) -> Any:
    """The 2-norm over all axes but one, which keeps its extent; over all of them for dim -1."""
    if dim == -1:
        return v.norm(2)
    ndim = v.dim()
    axis = dim if dim >= 0 else dim + ndim
    axes = [k for k in range(ndim) if k != axis]
    return v.norm(2, axes, keepdim=True) if axes else v.abs()


def weight_norm(v: Any, g: Any, dim: int) -> Any:
    """v scaled to the norms g."""
    return v * (g / norm_except_dim(v, dim))


def as_matrix(weight: Any, dim: int) -> Any:
    """The weight with axis ``dim`` as rows and all others as columns."""
    if dim != 0:
        weight = weight.permute(dim, *[d for d in range(weight.dim()) if d != dim])
    return weight.reshape(weight.size(0), -1)


def power_iterations(matrix: Any, u: Any, v: Any, count: int, eps: float) -> None:
    """Move u and v, in place, towards the first singular vectors."""
    with tape.recording(False):
        matrix = matrix.detach()
        for _ in range(count):
            u.copy_(F.normalize(matrix.mv(v), dim=0, eps=eps))
            v.copy_(F.normalize(matrix.t().mv(u), dim=0, eps=eps))


def default_dim(module: Any) -> int:
    """The axis of a weight that counts outputs: 1 in transposed convolutions."""
    return 1 if "ConvTranspose" in "".join(c.__name__ for c in type(module).__mro__) else 0
