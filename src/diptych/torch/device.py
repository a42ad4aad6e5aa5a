"""torch.device, layouts and memory formats: one device, the CPU, told in PyTorch's words."""

from __future__ import annotations

from typing import Any

from diptych.core.layout import Layout

_TYPES = (
    "cpu", "cuda", "ipu", "xpu", "mkldnn", "opengl", "opencl", "ideep", "hip", "ve", "fpga", "maia",
    "xla", "lazy", "vulkan", "mps", "meta", "hpu", "mtia", "privateuseone",
)  # fmt: skip


class device:  # noqa: N801 (PyTorch's name)
    """Where a tensor lives: ``device("cpu")``, ``device("cuda:0")``, ``device("cuda", 0)``."""

    __slots__ = ("index", "type")
    __module__ = "torch"

    type: str
    index: int | None

    def __init__(self, type: Any = None, index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index if index is None else index
        elif isinstance(type, int) and not isinstance(type, bool):
            if type < 0:
                raise RuntimeError("Device index must not be negative")
            raise RuntimeError("Cannot access accelerator device when none is available.")
        elif isinstance(type, str):
            name, colon, number = type.partition(":")
            if name not in _TYPES:
                raise RuntimeError(
                    f"Expected one of {', '.join(_TYPES)} device type at start of device string: "
                    f"{name}"
                )
            if colon:
                if index is not None:
                    raise RuntimeError(
                        f"type (string) must not include an index because index was passed "
                        f"explicitly: {type}"
                    )
                if not number.isdigit() or (number[0] == "0" and len(number) > 1):
                    raise RuntimeError(f"Invalid device string: '{type}'")
                index = int(number)
            if index is not None and index < 0:
                raise RuntimeError("Device index must not be negative")
            type = name
        else:
            raise TypeError(
                f"device(): argument 'type' (position 1) must be str, not {type.__class__.__name__}"
            )
        object.__setattr__(self, "type", type)
        object.__setattr__(self, "index", index)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"attribute '{name}' of 'torch.device' objects is not writable")

    def __repr__(self) -> str:
        index = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, device):
            return NotImplemented
        return self.type == other.type and self.index == other.index

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> tuple[Any, ...]:
        return (device_of, (self.type, self.index))

    def __enter__(self) -> device:
        check_device(self)
        return self

    def __exit__(self, *exc: Any) -> None:
        """Nothing to undo: every factory makes its tensor on the CPU."""


def device_of(kind: str, index: int | None) -> device:
    """What a pickled device calls when it is read."""
    return device(kind, index)


CPU = device("cpu")


def check_device(given: Any) -> None:
    """Accept the CPU (or None); fail as a PyTorch without that accelerator does."""
    if given is None or given is CPU:
        return
    kind = given if given.__class__ is device else device(given)
    if kind.type == "cpu":
        return
    if kind.type == "cuda":
        raise AssertionError("Torch not compiled with CUDA enabled")
    if kind.type == "meta":
        raise NotImplementedError("the 'meta' device is not implemented in diptych")
    raise RuntimeError(
        f"PyTorch is not linked with support for {kind.type} devices (diptych runs on the CPU)"
    )


class _Named:
    """A constant that prints as its public name."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (named, (type(self).__name__, self._name))


class layout(_Named):  # noqa: N801 (PyTorch's name)
    """How elements are arranged: ``torch.strided`` is the one we have.

    A tensor's ``layout`` attribute is the core's Layout; it equals ``torch.strided``.
    """

    __slots__ = ()
    __module__ = "torch"

    def __eq__(self, other: object) -> bool:
        return other is self or (self is strided and isinstance(other, Layout))

    def __hash__(self) -> int:
        return hash(self._name)


class memory_format(_Named):  # noqa: N801 (PyTorch's name)
    """The order of a tensor's axes in memory."""

    __slots__ = ()
    __module__ = "torch"


LAYOUTS = {
    name: layout(name)
    for name in ("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc")
}
MEMORY_FORMATS = {
    name: memory_format(name)
    for name in ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d")
}
strided = LAYOUTS["strided"]


def named(kind: str, name: str) -> Any:
    """The layout or memory format of this name (what pickles refer to)."""
    return (LAYOUTS if kind == "layout" else MEMORY_FORMATS)[name]


def check_layout(given: Any) -> None:
    """Accept the strided layout; NotImplementedError for the sparse ones."""
    if given is not None and given != strided and given is not strided:
        raise NotImplementedError(f"tensors of layout {given} are not implemented in diptych")
