"""Functions that are not there yet: each raises, naming itself, when it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# reason -> names
ABSENT: dict[str, tuple[str, ...]] = {
    "it comes with the convolutions": (
        "fold", "unfold",
    ),
    "pooling comes with the convolutions": (
        "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
        "adaptive_max_pool2d", "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d",
        "fractional_max_pool2d", "fractional_max_pool3d", "lp_pool1d", "lp_pool2d", "lp_pool3d",
        "max_pool1d", "max_pool2d", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
    ),
    "image resampling comes with a later issue": (
        "affine_grid", "channel_shuffle", "grid_sample", "interpolate", "native_channel_shuffle",
        "pixel_shuffle", "pixel_unshuffle", "upsample", "upsample_bilinear", "upsample_nearest",
    ),
    "attention comes with a later issue": (
        "multi_head_attention_forward", "scaled_dot_product_attention",
    ),
    "it is rarely used and comes with a later issue": (
        "ctc_loss", "embedding_bag", "grouped_mm", "linear_cross_entropy", "pdist",
        "scaled_grouped_mm", "scaled_mm",
    ),
}  # fmt: skip


def absent(name: str, reason: str) -> Callable[..., Any]:
    """A function that says it is not there yet."""

    def function(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"torch.nn.functional.{name} is not supported yet: {reason}")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Not supported yet: {reason}."
    return function


FUNCTIONS = {name: absent(name, reason) for reason, names in ABSENT.items() for name in names}
