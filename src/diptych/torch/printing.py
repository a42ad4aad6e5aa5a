"""Printing tensors to the letter as PyTorch prints them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from diptych.core import dtypes as engine
from diptych.core.tape import Leaf
from diptych.torch import dtypes
from diptych.torch.dtypes import Default
from diptych.torch.gradient_nodes import node_name
from diptych.torch.tensor import Tensor

Array = np.ndarray[Any, Any]


class Options:
    """What ``set_printoptions`` sets."""

    precision = 4
    threshold: float = 1000
    edgeitems = 3
    linewidth = 80
    sci_mode: bool | None = None


_PROFILES: dict[str, tuple[int, float, int, int]] = {
    "default": (4, 1000, 3, 80), "short": (2, 1000, 2, 80), "full": (4, math.inf, 3, 80),
}  # fmt: skip


def set_printoptions(
    precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None,
    linewidth: int | None = None, profile: str | None = None, sci_mode: bool | None = None,
) -> None:  # fmt: skip
    """Change how tensors print; a profile first, then what is given besides."""
    if profile is not None:
        Options.precision, Options.threshold, Options.edgeitems, Options.linewidth = _PROFILES[
            profile.lower()
        ]
    if precision is not None:
        Options.precision = precision
    if threshold is not None:
        Options.threshold = threshold
    if edgeitems is not None:
        Options.edgeitems = edgeitems
    if linewidth is not None:
        Options.linewidth = linewidth
    Options.sci_mode = sci_mode


class NumberFormat:
    """One width for all elements: whole numbers, fixed point, or powers of ten."""

    def __init__(self, values: Array) -> None:
        self.floating = values.dtype.kind == "f"
        self.scientific = False
        self.whole = True
        self.width = 1
        if not self.floating:
            self.width = max((len(str(v)) for v in values.ravel().tolist()), default=1)
            return
        flat = values.ravel().astype(np.float64)
        flat = flat[np.isfinite(flat) & (flat != 0)]
        if not flat.size:
            return
        size = np.abs(flat)
        smallest, largest = float(size.min()), float(size.max())
        if values.dtype == np.float32:  # PyTorch divides in the tensor's precision widened
            smallest, largest = float(np.float32(smallest)), float(np.float32(largest))
        self.whole = bool((flat == np.ceil(flat)).all())
        self.scientific = Options.sci_mode if Options.sci_mode is not None else (
            largest / smallest > 1000.0 or largest > 1e8 or smallest < 1e-4
        )  # fmt: skip
        if self.scientific:
            texts = [f"{v:.{Options.precision}e}" for v in flat.tolist()]
            self.width = max(self.width, max(map(len, texts)))
        elif self.whole:  # the point that follows takes a place of its own
            self.width = max(self.width, max(len(f"{v:.0f}") for v in flat.tolist()) + 1)
        else:
            texts = [f"{v:.{Options.precision}f}" for v in flat.tolist()]
            self.width = max(self.width, max(map(len, texts)))

    def text(self, value: Any) -> str:
        """One element, padded to the common width."""
        if not self.floating:
            return str(value).rjust(self.width)
        if self.scientific:
            shown = f"{value:.{Options.precision}e}"
        elif self.whole:
            shown = f"{value:.0f}" + ("." if math.isfinite(value) else "")
        else:
            shown = f"{value:.{Options.precision}f}"
        return shown.rjust(self.width)


class ComplexFormat:
    """Real and imaginary parts, each with its own common width."""

    def __init__(self, values: Array) -> None:
        self.real, self.imag = NumberFormat(values.real), NumberFormat(values.imag)
        self.width = self.real.width + self.imag.width + 1

    def text(self, value: complex) -> str:
        """One element; the imaginary part carries its sign."""
        imaginary = self.imag.text(value.imag).lstrip() + "j"
        sign = "" if imaginary[0] in "+-" else "+"
        return self.real.text(value.real) + sign + imaginary


def _edges(values: Array) -> Array:
    """The part that is printed of a large tensor, from which the widths are taken."""
    for axis, extent in enumerate(values.shape):
        if extent > 2 * Options.edgeitems:
            kept = np.r_[0 : Options.edgeitems, extent - Options.edgeitems : extent]
            values = values[(slice(None),) * axis + (kept,)]
    return values


def _row(values: Array, indent: int, summarize: bool, number: Any) -> str:
    per_line = max(1, (Options.linewidth - indent) // (number.width + 2))
    edge = Options.edgeitems
    if summarize and not edge:
        items = ["..."]
    elif summarize and len(values) > 2 * edge:
        items = [number.text(v) for v in values[:edge].tolist()]
        items += [" ...", *[number.text(v) for v in values[-edge:].tolist()]]
    else:
        items = [number.text(v) for v in values.tolist()]
    lines = [items[k : k + per_line] for k in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(", ".join(line) for line in lines) + "]"


def _nested(values: Array, indent: int, summarize: bool, number: Any) -> str:
    if values.ndim == 0:
        return str(number.text(values.item()))
    if values.ndim == 1:
        return _row(values, indent, summarize, number)
    edge = Options.edgeitems
    if summarize and len(values) > 2 * edge:
        parts = [_nested(v, indent + 1, summarize, number) for v in values[:edge]]
        parts.append("...")
        parts += [_nested(v, indent + 1, summarize, number) for v in values[len(values) - edge :]]
    else:
        parts = [_nested(v, indent + 1, summarize, number) for v in values]
    return "[" + ("," + "\n" * (values.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def contents(values: Array, indent: int) -> str:
    """The elements in brackets, starting ``indent`` columns in."""
    if not values.size:
        return "[]"
    summarize = values.size > Options.threshold
    seen = _edges(values) if summarize else values
    number = ComplexFormat(seen) if seen.dtype.kind == "c" else NumberFormat(seen)
    return _nested(values, indent, summarize, number)


def _suffixes(x: Any) -> list[str]:
    place = x.layout
    found = []
    usual = (Default.core, engine.int64, engine.bool_, dtypes.default_complex())
    if not place.size:
        if place.ndim != 1:
            found.append(f"size={tuple(place.shape)}")
        if place.dtype is not Default.core:
            found.append(f"dtype={dtypes.of(place.dtype)}")
    elif place.dtype not in usual:
        found.append(f"dtype={dtypes.of(place.dtype)}")
    node = x.node
    if node is not None:
        if isinstance(node, Leaf):
            found.append("requires_grad=True")
        else:
            found.append(f"grad_fn=<{node_name(node).rpartition('::')[2]}>")
    return found


def text_of(self: Any, *, tensor_contents: str | None = None) -> str:
    """``repr`` of a tensor."""
    cls = type(self)
    plain = cls is Tensor or cls.__dict__.get("results_are_plain", False)
    prefix = "tensor(" if plain else f"{cls.__name__}("
    indent = len(prefix)
    body = contents(self.values(), indent) if tensor_contents is None else tensor_contents
    parts = [prefix + body]
    last = len(prefix + body) - (prefix + body).rfind("\n") + 1
    for suffix in _suffixes(self):
        if last + len(suffix) + 2 > Options.linewidth:
            parts.append(",\n" + " " * indent + suffix)
            last = indent + len(suffix)
        else:
            parts.append(", " + suffix)
            last += len(suffix) + 2
    return "".join(parts) + ")"


METHODS: dict[str, Any] = {"__repr__": text_of, "__str__": lambda self: repr(self)}
FUNCTIONS: dict[str, Any] = {"set_printoptions": set_printoptions}
