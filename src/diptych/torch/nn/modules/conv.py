"""Convolution layers, plain and transposed."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

from diptych.torch.creation import empty
from diptych.torch.nn import init
from diptych.torch.nn.functional import convolution as functions
from diptych.torch.nn.functional.padding import pad
from diptych.torch.nn.modules.lazy import LazyModuleMixin
from diptych.torch.nn.modules.module import Module
from diptych.torch.nn.parameter import Parameter, UninitializedParameter

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def spread(value: Any, count: int) -> Any:
    """An extent given once for all axes, or one for each (a string is left as it is)."""
    if isinstance(value, str):
        return value
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * count


class _ConvNd(Module):
    """What the six layers share: the parameters, their initial values, and how they print."""

    __constants__ = [
        "stride", "padding", "dilation", "groups", "padding_mode", "output_padding", "in_channels",
        "out_channels", "kernel_size",
    ]  # fmt: skip
    spatial = 0
    function: Callable[..., Any]
    weight: Any
    bias: Any

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any,
        dilation: Any, transposed: bool, output_padding: Any, groups: int, bias: bool,
        padding_mode: str, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(
                    f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}"
                )
            if padding == "same" and any(step != 1 for step in stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"padding_mode must be one of {set(_PADDING_MODES)}, but got "
                f"padding_mode={padding_mode!r}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.transposed = transposed
        self.output_padding = output_padding
        self.groups = groups
        self.padding_mode = padding_mode
        self._reversed_padding_repeated_twice = self._widths()
        shape = (
            (in_channels, out_channels // groups, *kernel_size)
            if transposed
            else (out_channels, in_channels // groups, *kernel_size)
        )
        self.weight = Parameter(empty(shape, device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _widths(self) -> Any:
        """The padding as ``F.pad`` takes it: pairs, the last axis first."""
        if self.padding == "same":
            widths: list[int] = []
            for dilated, taps in zip(self.dilation[::-1], self.kernel_size[::-1], strict=True):
                total = dilated * (taps - 1)
                widths += [total // 2, total - total // 2]
            return widths
        if self.padding == "valid":
            return [0, 0] * len(self.kernel_size)
        return tuple(width for width in reversed(self.padding) for _ in range(2))

    def reset_parameters(self) -> None:
        # A slope of sqrt(5) makes the bound 1 / sqrt(fan in): what PyTorch has always drawn.
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        shown = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        count = len(self.kernel_size)
        if self.padding != (0,) * count:
            shown += f", padding={self.padding}"
        if self.dilation != (1,) * count:
            shown += f", dilation={self.dilation}"
        if self.output_padding != (0,) * count:
            shown += f", output_padding={self.output_padding}"
        if self.groups != 1:
            shown += f", groups={self.groups}"
        if self.bias is None:
            shown += ", bias=False"
        if self.padding_mode != "zeros":
            shown += f", padding_mode={self.padding_mode}"
        return shown

    def __setstate__(self, state: Any) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("padding_mode", "zeros")


class _Forward(_ConvNd):
    """A convolution over ``spatial`` axes."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
        padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: bool = True,
        padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        count = self.spatial
        super().__init__(
            in_channels, out_channels, spread(kernel_size, count), spread(stride, count),
            spread(padding, count), spread(dilation, count), False, (0,) * count, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input = pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = 0
        return type(self).function(
            input, weight, bias, self.stride, padding, self.dilation, self.groups
        )

    def forward(self, input: Any) -> Any:
        return self._conv_forward(input, self.weight, self.bias)


class Conv1d(_Forward):
    """What each of ``out_channels`` kernels sees along the last axis."""

    spatial = 1
    function = staticmethod(functions.conv1d)


class Conv2d(_Forward):
    """What each of ``out_channels`` kernels sees at every place of an image."""

    spatial = 2
    function = staticmethod(functions.conv2d)


class Conv3d(_Forward):
    """What each of ``out_channels`` kernels sees at every place of a volume."""

    spatial = 3
    function = staticmethod(functions.conv3d)


# ---- transposed


class _ConvTransposeNd(_ConvNd):
    """The adjoint of a convolution over ``spatial`` axes, as a layer of its own."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
        padding: Any = 0, output_padding: Any = 0, groups: int = 1, bias: bool = True,
        dilation: Any = 1, padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        count = self.spatial
        super().__init__(
            in_channels, out_channels, spread(kernel_size, count), spread(stride, count),
            spread(padding, count), spread(dilation, count), True, spread(output_padding, count),
            groups, bias, padding_mode, device, dtype,
        )  # fmt: skip

    def _output_padding(self, input: Any, output_size: Any) -> Any:
        """What must be added at the ends for an output of the size asked for."""
        if output_size is None:
            return self.output_padding
        count = self.spatial
        wanted = [output_size] * count if isinstance(output_size, int) else list(output_size)
        batched = input.dim() == count + 2
        lead = 2 if batched else 1
        if len(wanted) == lead + count:
            wanted = wanted[lead:]
        if len(wanted) != count:
            raise ValueError(
                f"ConvTranspose{count}D: for {input.dim()}D input, output_size must have {count} "
                f"or {lead + count} elements (got {len(wanted)})"
            )
        sizes = tuple(input.shape)[lead:]
        least = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                sizes, self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        ]
        most = [low + s - 1 for low, s in zip(least, self.stride, strict=True)]
        if any(not a <= n <= b for a, n, b in zip(least, wanted, most, strict=True)):
            raise ValueError(
                f"requested an output size of {output_size}, but valid sizes range from {least} to "
                f"{most} (for an input of {input.shape[lead:]})"
            )
        return tuple(n - low for n, low in zip(wanted, least, strict=True))

    def forward(self, input: Any, output_size: Any = None) -> Any:
        return type(self).function(
            input, self.weight, self.bias, self.stride, self.padding,
            self._output_padding(input, output_size), self.groups, self.dilation,
        )  # fmt: skip


class ConvTranspose1d(_ConvTransposeNd):
    """Spreads every place of a sequence over the kernel's width."""

    spatial = 1
    function = staticmethod(functions.conv_transpose1d)


class ConvTranspose2d(_ConvTransposeNd):
    """Spreads every place of an image over the kernel's extent."""

    spatial = 2
    function = staticmethod(functions.conv_transpose2d)


class ConvTranspose3d(_ConvTransposeNd):
    """Spreads every place of a volume over the kernel's extent."""

    spatial = 3
    function = staticmethod(functions.conv_transpose3d)


# ---- lazy: the input's channels are known at the first call


class _LazyConv(LazyModuleMixin):
    """A convolution layer that takes ``in_channels`` from its first input."""

    def __init__(self, out_channels: int, *args: Any, **kwargs: Any) -> None:
        names = inspect.signature(self.cls_to_become.__init__).parameters
        given = dict(zip(list(names)[3:], args, strict=False))
        both = given.keys() & kwargs.keys()
        if len(given) < len(args) or both:
            raise TypeError(f"{type(self).__name__}: got arguments {args} and {sorted(kwargs)}")
        given.update(kwargs)
        bias = given.pop("bias", True)
        device, dtype = given.get("device"), given.get("dtype")
        # Made without channels and without bias: nothing is drawn before the first call.
        super().__init__(0, 0, bias=False, **given)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_channels = out_channels
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self: Any) -> None:
        if not self.has_uninitialized_params() and self.in_channels != 0:
            super().reset_parameters()  # type: ignore[misc]  # the convolution beside it

    def initialize_parameters(self: Any, input: Any, *args: Any, **kwargs: Any) -> None:
        """Give the weight its shape, from the channels of ``input``."""
        if not self.has_uninitialized_params():
            return
        count = self.spatial
        if input.dim() not in (count + 1, count + 2):
            raise RuntimeError(
                f"Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to "
                f"{type(self).__name__}, but got input of size: {input.shape}"
            )
        channels = input.shape[1] if input.dim() == count + 2 else input.shape[0]
        self.in_channels = channels
        if channels % self.groups:
            raise ValueError("in_channels must be divisible by groups")
        pair = (channels, self.out_channels // self.groups)
        if not self.transposed:
            pair = (self.out_channels, channels // self.groups)
        self.weight.materialize((*pair, *self.kernel_size))
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class LazyConv1d(_LazyConv, Conv1d):
    """``Conv1d`` that takes its input channels from the first input."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """``Conv2d`` that takes its input channels from the first input."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """``Conv3d`` that takes its input channels from the first input."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConv, ConvTranspose1d):
    """``ConvTranspose1d`` that takes its input channels from the first input."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConv, ConvTranspose2d):
    """``ConvTranspose2d`` that takes its input channels from the first input."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConv, ConvTranspose3d):
    """``ConvTranspose3d`` that takes its input channels from the first input."""

    cls_to_become = ConvTranspose3d
