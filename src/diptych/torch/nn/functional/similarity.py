"""Distances and similarities between vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.core.tensor import from_array
from diptych.ops.indexing import index_select
from diptych.ops.indexing import one_hot as engine_one_hot
from diptych.torch import namespace
from diptych.torch.tensor import Tensor, face

cosine_similarity = namespace.cosine_similarity


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """The p-norm of ``x1 - x2 + eps`` along the last axis."""
    x1, x2 = face(x1, "pairwise_distance", "x1", 1), face(x2, "pairwise_distance", "x2", 2)
    return (x1 - x2 + eps).norm(p, -1, keepdim=keepdim)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Class numbers as rows with a one at the number (int64)."""
    tensor = face(tensor, "one_hot", "tensor")
    if tensor.layout.dtype.name != "int64":
        raise RuntimeError(
            "one_hot is only applicable to index tensor of type LongTensor, but got "
            f"{tensor.type()}"
        )
    values = tensor.detach().array()
    if values.size == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
    elif int(values.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    elif num_classes == -1:
        num_classes = int(values.max()) + 1
    elif num_classes < 1:
        raise RuntimeError("num_classes should be positive")
    elif int(values.max()) >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    return engine_one_hot(tensor, num_classes)


def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norm distances between all pairs of rows, in order."""
    x: Any = face(input, "pdist")
    if x.layout.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {x.layout.ndim}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    first, second = np.triu_indices(x.layout.shape[0], 1)
    left: Any = index_select(x, from_array(first, Tensor), 0)
    gap: Any = left - index_select(x, from_array(second, Tensor), 0)
    return gap.norm(p, -1)
