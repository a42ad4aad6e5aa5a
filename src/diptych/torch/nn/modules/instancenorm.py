"""Instance norm layers: every channel of every example by its own statistics."""

from __future__ import annotations

import warnings
from typing import Any

from diptych.torch.dynamic import face
from diptych.torch.nn import functional as F
from diptych.torch.nn.functional.channels import with_batch, without_batch
from diptych.torch.nn.modules.batchnorm import _LazyNormBase, _NormBase


class _InstanceNorm(_NormBase):
    _batched = 0  # the axes of a batch; one less is a single example
    _words = ""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _check_input_dim(self, input: Any) -> None:
        ndim = input.layout.ndim
        if ndim not in (self._batched - 1, self._batched):
            raise ValueError(
                f"expected {self._batched - 1}D or {self._batched}D input (got {ndim}D input)"
            )

    def forward(self, input: Any) -> Any:
        input = face(input, "instance_norm")
        self._check_input_dim(input)
        axis = input.layout.ndim - self._batched + 1
        channels = input.layout.shape[axis]
        if channels != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={axis} to match num_features "
                    f"({self.num_features}), but got: {channels}."
                )
            warnings.warn(
                f"input's size at dim={axis} does not match num_features. You can silence this "
                "warning by not passing in num_features, which is not used because affine=False",
                stacklevel=2,
            )
        x, added = with_batch(input, self._batched)
        result = F.instance_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats,
            self.momentum if self.momentum is not None else 0.0, self.eps,
        )  # fmt: skip
        return without_batch(result, added)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: Any,
        unexpected_keys: Any, error_msgs: Any,
    ) -> None:  # fmt: skip
        if local_metadata.get("version", None) is None and not self.track_running_stats:
            stale = [
                prefix + name
                for name in ("running_mean", "running_var")
                if prefix + name in state_dict
            ]
            if stale:
                names = " and ".join(f'"{key}"' for key in stale)
                error_msgs.append(
                    f"Unexpected running stats buffer(s) {names} for {type(self).__name__} with "
                    "track_running_stats=False. If state_dict is a checkpoint saved before 0.4.0, "
                    "this may be expected because it did not track running stats by default since "
                    "0.4.0; delete these keys from it, or set track_running_stats=True"
                )
                for key in stale:
                    state_dict.pop(key)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class _LazyInstanceNorm(_LazyNormBase, _InstanceNorm):
    """The number of channels is that of the first input."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def initialize_parameters(self, input: Any) -> None:
        if self.has_uninitialized_params():
            self._check_input_dim(input)
            x, _ = with_batch(input, self._batched)
            super().initialize_parameters(x)


class InstanceNorm1d(_InstanceNorm):
    """Instance norm of (N, C, L) or (C, L)."""

    _batched = 3


class InstanceNorm2d(_InstanceNorm):
    """Instance norm of (N, C, H, W) or (C, H, W)."""

    _batched = 4


class InstanceNorm3d(_InstanceNorm):
    """Instance norm of (N, C, D, H, W) or (C, D, H, W)."""

    _batched = 5


class LazyInstanceNorm1d(_LazyInstanceNorm):
    """InstanceNorm1d whose number of channels is that of its first input."""

    _batched = 3
    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyInstanceNorm):
    """InstanceNorm2d whose number of channels is that of its first input."""

    _batched = 4
    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyInstanceNorm):
    """InstanceNorm3d whose number of channels is that of its first input."""

    _batched = 5
    cls_to_become = InstanceNorm3d
