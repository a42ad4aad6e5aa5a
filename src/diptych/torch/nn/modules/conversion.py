"""Moving a module's tensors to another dtype or place, each staying the same object."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from diptych.core import recording, tape
from diptych.core.tensor import Tensor as CoreTensor
from diptych.torch.device import device as Device
from diptych.torch.dtypes import dtype as DType
from diptych.torch.memory_formats import in_format
from diptych.torch.nn.parameter import is_lazy
from diptych.torch.tensor import Tensor


def become(tensor: Any, new: CoreTensor) -> None:
    """``tensor`` takes over the memory of ``new``: what assigning to ``.data`` does."""
    recording.refuse("the memory of a tensor is exchanged")
    recording.restructured()
    tensor.layout = new.layout
    tensor.buffer = new.buffer
    tensor.address = new.address


def convert_tensors(module: Any, fn: Callable[[Any], Any]) -> None:
    """Apply ``fn`` to a module's own parameters, their gradients, and its buffers."""
    with tape.recording(False):
        for param in module._parameters.values():
            if param is None:
                continue
            if is_lazy(param):
                fn(param)
                continue
            become(param, fn(param.detach()))
            if param.grad is not None:
                become(param.grad, fn(param.grad.detach()))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = fn(buffer)


def converter(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[Any], Any]:
    """The conversion that ``Module.to(...)`` asks for: (device, dtype), (dtype) or (tensor)."""
    unknown = set(kwargs) - {"device", "dtype", "tensor", "non_blocking", "copy", "memory_format"}
    if unknown:
        raise TypeError(f"to() received an invalid argument: {sorted(unknown)[0]!r}")
    device, dtype = kwargs.get("device"), kwargs.get("dtype")
    like, memory_format = kwargs.get("tensor"), kwargs.get("memory_format")
    for value in args:
        if isinstance(value, DType):
            dtype = value
        elif isinstance(value, (str, Device, int)) and not isinstance(value, bool):
            device = value
        elif isinstance(value, Tensor):
            like = value
        elif value is not None and not isinstance(value, bool):
            raise TypeError(
                f"to() received an invalid combination of arguments - got "
                f"{type(value).__name__}; expected a device, a dtype or a tensor"
            )
    if like is not None:
        device, dtype = like.device, like.dtype
    if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
        raise TypeError(
            "nn.Module.to only accepts floating point or complex dtypes, "
            f"but got desired dtype={dtype}"
        )

    def convert(tensor: Any) -> Any:
        wanted = dtype if tensor.is_floating_point() or tensor.is_complex() else None
        made = tensor.to(device=device, dtype=wanted)
        return made if memory_format is None else in_format(made, memory_format)

    return convert
