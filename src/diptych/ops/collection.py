"""Reductions over several tensors together, as one program."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import FLOATS, float32
from diptych.core.operation import BadCall, Composite, NoBatching, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import ArgumentError, UnsupportedDTypeError
from diptych.ops.arithmetic import add, sqrt, square
from diptych.ops.families import draw
from diptych.ops.reduction import sum_
from diptych.ops.select import cast


def _total_norm(*tensors: Tensor) -> Tensor:
    """The squares' sums are added as a tree: neighbours first."""
    if not tensors:
        raise ArgumentError("total_norm: it needs a tensor at least", op="total_norm")
    dtype = tensors[0].layout.dtype
    for x in tensors:
        if x.layout.dtype not in FLOATS:
            raise UnsupportedDTypeError(
                f"\"total_norm\" not implemented for '{x.layout.dtype}'", op="total_norm"
            )
    wide = dtype if dtype.itemsize > 2 else float32
    sums = [sum_(square(cast(x, wide))) for x in tensors]
    while len(sums) > 1:
        pairs = [add(a, b) for a, b in zip(sums[::2], sums[1::2], strict=False)]
        sums = pairs + (sums[-1:] if len(sums) % 2 else [])
    return cast(sqrt(sums[0]), dtype)


def _samples() -> list[Sample]:
    generator = np.random.default_rng(0)
    shapes: list[Any] = [[(3, 4)], [(2, 3), (5,), ()], [(70,)] * 4]
    return [
        Sample(tuple(draw(generator, shape, float32, (-2.0, 2.0)) for shape in several))
        for several in shapes
    ]


TOTAL_NORM = Composite(
    "total_norm", forward=_total_norm, params=(), samples=_samples,
    tolerance=Tolerance({"float32": 2e-5}),
    errors=lambda: [BadCall((np.ones(3, np.int32),), UnsupportedDTypeError, "not implemented")],
    batch=NoBatching("it is batched through the operations it is made of"),
)  # fmt: skip


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The 2-norm of all elements of several tensors, in the first one's dtype."""
    return call.current.apply(TOTAL_NORM, tensors, ())
