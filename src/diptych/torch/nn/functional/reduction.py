"""How losses are joined: none, mean or sum, and the two arguments that said so before."""

from __future__ import annotations

import warnings
from typing import Any


def legacy(size_average: Any, reduce: Any, reduction: str) -> str:
    """The reduction, from the deprecated arguments where they are given."""
    if size_average is None and reduce is None:
        return reduction
    average = size_average is None or size_average
    chosen = "none" if reduce is not None and not reduce else "mean" if average else "sum"
    warnings.warn(
        "size_average and reduce args will be deprecated, please use "
        f"reduction='{chosen}' instead.",
        stacklevel=4,
    )
    return chosen


def checked(reduction: str) -> str:
    """The reduction; ValueError when there is none of that name."""
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def reduced(loss: Any, reduction: str) -> Any:
    """The losses as they are, their mean or their sum."""
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    checked(reduction)
    return loss
