"""The triangles of matrices: tril and triu."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.operation import BadCall, Composite, Params, Sample
from diptych.core.tensor import Tensor
from diptych.errors import ShapeError
from diptych.ops.arithmetic import add
from diptych.ops.comparison import ge, le
from diptych.ops.creation import iota
from diptych.ops.families import hooks, ulp
from diptych.ops.select import where


def _triangle(name: str, keeps: Any) -> Composite:
    def forward(x: Tensor, diagonal: int) -> Tensor:
        shape = x.layout.shape
        if len(shape) < 2:
            raise ShapeError(
                f"{name}: input tensor must have at least 2 dimensions", op=name, got=shape
            )
        rows, columns = iota(shape[-2:], 0), iota(shape[-2:], 1)
        return where(keeps(columns, add(rows, diagonal)), x, 0)

    def batch(
        op: Composite, operands: tuple[Any, ...], axes: tuple[int | None, ...], params: Params
    ) -> tuple[Any, int]:
        return call.current.apply1(op, hooks.move_axis(operands[0], axes[0] or 0, 0), params), 0

    return Composite(
        name, params=("diagonal",), forward=forward, batch=batch, tolerance=ulp(0),
        vjp=lambda ctx, ct: call.apply(LOWER if name == "tril" else UPPER, ct, params=ctx.params),
        samples=lambda: [
            Sample((np.arange(12, dtype=np.float32).reshape(3, 4) + 1,), (k,)) for k in (-1, 0, 2)
        ] + [Sample((np.ones((2, 3, 3), np.int64),), (0,)), Sample((np.ones((0, 2)),), (0,))],
        errors=lambda: [BadCall((np.ones(3, np.float32),), ShapeError, "2 dimensions", (0,))],
    )  # fmt: skip


LOWER = _triangle("tril", le)
UPPER = _triangle("triu", ge)


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """Matrices with zeros above a diagonal."""
    return call.current.apply1(LOWER, x, (diagonal,))


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """Matrices with zeros below a diagonal."""
    return call.current.apply1(UPPER, x, (diagonal,))
