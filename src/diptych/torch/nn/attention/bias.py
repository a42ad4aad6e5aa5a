"""Causal biases for scaled_dot_product_attention, aligned at either corner of the scores."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from diptych.core.tensor import copy_array
from diptych.torch.device import check_device
from diptych.torch.tensor import Tensor

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(enum.IntEnum):
    """Where the triangle of what is seen touches the scores."""

    UPPER_LEFT = 1
    LOWER_RIGHT = 2


class CausalBias(Tensor):
    """What each query sees, as a bool tensor that scaled_dot_product_attention knows by its kind.

    It is computed with as it is, and masks blocks of scores without being read.
    """

    variant: CausalVariant
    seq_len_q: int
    seq_len_kv: int

    def __new__(cls, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> CausalBias:
        assert isinstance(variant, CausalVariant)  # noqa: S101
        offset = _offset(variant, seq_len_q, seq_len_kv)
        made = copy_array(np.tri(seq_len_q, seq_len_kv, offset, dtype=bool), cls)
        made.variant = variant
        made.seq_len_q = seq_len_q
        made.seq_len_kv = seq_len_kv
        return made

    def __init__(self, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> None:
        """Made in ``__new__``."""

    @property
    def causal_offset(self) -> int:
        """Query i sees keys up to i + offset."""
        return _offset(self.variant, self.seq_len_q, self.seq_len_kv)

    def _materialize(self, device: Any = None) -> Tensor:
        """The bias as a plain tensor."""
        check_device(device)
        return copy_array(self.values(), Tensor)


def _offset(variant: CausalVariant, queries: int, keys: int) -> int:
    return keys - queries if variant is CausalVariant.LOWER_RIGHT else 0


def causal_upper_left(*size: int) -> CausalBias:
    """Query i sees keys 0 to i."""
    return CausalBias(CausalVariant.UPPER_LEFT, *_pair(size))


def causal_lower_right(*size: int) -> CausalBias:
    """The last query sees every key, the one before it all but the last, and so on."""
    return CausalBias(CausalVariant.LOWER_RIGHT, *_pair(size))


def _pair(size: tuple[int, ...]) -> tuple[int, int]:
    assert len(size) == 2, "the biases only support 2D tensors"  # noqa: S101
    return size[0], size[1]
