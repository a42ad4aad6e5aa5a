"""Batch norm layers, with the running statistics they keep."""

from __future__ import annotations

from typing import Any

from diptych.core import tape
from diptych.torch.creation import empty, ones, tensor, zeros
from diptych.torch.dtypes import NAMED
from diptych.torch.nn import functional as F
from diptych.torch.nn import init
from diptych.torch.nn.modules.lazy import LazyModuleMixin
from diptych.torch.nn.modules.module import Module
from diptych.torch.nn.parameter import Parameter, UninitializedBuffer, UninitializedParameter

_LONG = NAMED["int64"]


class _NormBase(Module):
    """What batch and instance norm share: scale, shift and running statistics."""

    _version = 2
    __constants__ = ["track_running_stats", "momentum", "eps", "num_features", "affine"]
    num_features: int
    eps: float
    momentum: float | None
    affine: bool
    track_running_stats: bool
    running_mean: Any
    running_var: Any
    num_batches_tracked: Any

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            made = Parameter(empty(num_features, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, made)
        if track_running_stats:
            self.register_buffer("running_mean", zeros(num_features, device=device, dtype=dtype))
            self.register_buffer("running_var", ones(num_features, device=device, dtype=dtype))
            self.register_buffer("num_batches_tracked", tensor(0, dtype=_LONG, device=device))
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input: Any) -> None:
        raise NotImplementedError

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self._parameters.get('bias') is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: Any,
        unexpected_keys: Any, error_msgs: Any,
    ) -> None:  # fmt: skip
        version = local_metadata.get("version", None)
        key = prefix + "num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state_dict:
            own = self.num_batches_tracked  # files of PyTorch before 0.4.1 have none
            state_dict[key] = tensor(0, dtype=_LONG) if own is None else own
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class _BatchNorm(_NormBase):
    def forward(self, input: Any) -> Any:
        self._check_input_dim(input)
        buffers = self._buffers
        running_mean, running_var = buffers["running_mean"], buffers["running_var"]
        momentum = self.momentum
        training = self.training
        if training:
            if not self.track_running_stats:
                running_mean = running_var = None
            elif buffers["num_batches_tracked"] is not None:
                tracked: Any = buffers["num_batches_tracked"]
                with tape.recording(False):
                    tracked.add_(1)
                if momentum is None:  # the average of all batches so far
                    momentum = 1.0 / float(tracked)
        else:
            training = running_mean is None and running_var is None
        return F.batch_norm(
            input, running_mean, running_var, self.weight, self.bias, training,
            0.0 if momentum is None else momentum, self.eps,
        )  # fmt: skip


class _LazyNormBase(LazyModuleMixin, _NormBase):
    """The number of channels is that of the first input."""

    weight: Any
    bias: Any

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, False, False, device, dtype)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                self.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = tensor(0, dtype=_LONG, device=device)

    def reset_parameters(self) -> None:
        if self.num_features != 0 and not self.has_uninitialized_params():
            super().reset_parameters()

    def initialize_parameters(self, input: Any) -> None:
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        if self.affine:
            self.weight.materialize((self.num_features,))
            if self.bias is not None:
                self.bias.materialize((self.num_features,))
        if self.track_running_stats:
            self.running_mean.materialize((self.num_features,))
            self.running_var.materialize((self.num_features,))
        self.reset_parameters()


def _ranks(*allowed: int) -> Any:
    """A method that refuses inputs of another number of axes."""
    words = " or ".join(f"{n}D" for n in allowed)

    def _check_input_dim(self: Any, input: Any) -> None:
        if input.layout.ndim not in allowed:
            raise ValueError(f"expected {words} input (got {input.layout.ndim}D input)")

    return _check_input_dim


class BatchNorm1d(_BatchNorm):
    """Batch norm of (N, C) or (N, C, L)."""

    _check_input_dim = _ranks(2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch norm of (N, C, H, W)."""

    _check_input_dim = _ranks(4)


class BatchNorm3d(_BatchNorm):
    """Batch norm of (N, C, D, H, W)."""

    _check_input_dim = _ranks(5)


class LazyBatchNorm1d(_LazyNormBase, _BatchNorm):
    """BatchNorm1d whose number of channels is that of its first input."""

    cls_to_become = BatchNorm1d
    _check_input_dim = _ranks(2, 3)


class LazyBatchNorm2d(_LazyNormBase, _BatchNorm):
    """BatchNorm2d whose number of channels is that of its first input."""

    cls_to_become = BatchNorm2d
    _check_input_dim = _ranks(4)


class LazyBatchNorm3d(_LazyNormBase, _BatchNorm):
    """BatchNorm3d whose number of channels is that of its first input."""

    cls_to_become = BatchNorm3d
    _check_input_dim = _ranks(5)


class SyncBatchNorm(_BatchNorm):
    """Batch norm over the batches of all processes; in one process it is batch norm."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def _check_input_dim(self, input: Any) -> None:
        if input.layout.ndim < 2:
            raise ValueError(f"expected at least 2D input (got {input.layout.ndim}D input)")

    @classmethod
    def convert_sync_batchnorm(cls, module: Any, process_group: Any = None) -> Any:
        """The module with every batch norm in it replaced by one of this class."""
        made = module
        if isinstance(module, _BatchNorm):
            made = cls(
                module.num_features, module.eps, module.momentum, module.affine,
                module.track_running_stats, process_group,
                bias=module._parameters.get("bias") is not None,
            )  # fmt: skip
            if module.affine:
                with tape.recording(False):
                    made.weight = module.weight
                    made.bias = module.bias
            made.running_mean = module.running_mean
            made.running_var = module.running_var
            made.num_batches_tracked = module.num_batches_tracked
            made.training = module.training
        for name, child in module.named_children():
            made.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return made
