"""The text form of graphs: what prints on a screen, and what `parse` reads back."""

from __future__ import annotations

import json
import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from diptych.core import dtypes
from diptych.core.dtypes import DType
from diptych.core.layout import Layout, layout
from diptych.core.tensor import Tensor
from diptych.errors import GraphError

if TYPE_CHECKING:
    from diptych.graph.graph import Graph, Node

WIDTH = 100
INLINE_ELEMENTS = 8  # constants of more elements stand in the table

SHORT: dict[DType, str] = {
    d: {"b": "bool", "u": "u", "i": "i", "f": "f", "c": "c"}[d.kind]
    + ("" if d.kind == "b" else str(8 * d.itemsize))
    for d in dtypes.ALL
}
SHORT[dtypes.bfloat16] = "bf16"
BY_SHORT = {name: d for d, name in SHORT.items()}


def format_graph(graph: Graph) -> str:
    """The graph in lines of at most 100 columns; constants of many elements are numbered."""
    return "\n".join(_Printer().graph(graph, ""))


def table(graph: Graph) -> list[Tensor]:
    """The constants that the text of a graph shows by number, in order."""
    printer = _Printer()
    printer.graph(graph, "")
    return printer.table


def format_layout(place: Layout) -> str:
    """``f32[2, 3]``, with the strides in braces where elements are not in row-major order."""
    text = f"{SHORT[place.dtype]}[{', '.join(map(str, place.shape))}]"
    return text if place.contiguous else text + f"{{{', '.join(map(str, place.strides))}}}"


class _Printer:
    """One walk over a graph and the graphs within it; collects the table of constants."""

    def __init__(self) -> None:
        self.table: list[Tensor] = []

    def graph(self, graph: Graph, indent: str) -> list[str]:
        def declared(values: Any) -> str:
            return ", ".join(f"%{v}: {format_layout(graph.layouts[v])}" for v in values)

        lines = wrapped("inputs " + (declared(graph.inputs) or "none"), indent)
        for value, tensor in graph.constants.items():
            place = graph.layouts[value]
            place = layout(place.dtype, place.shape)  # a file holds it in row-major order
            name = f"%{value}: {format_layout(place)}"
            lines += wrapped(f"{name} = constant {self.constant(tensor)}", indent)
        for node in graph.nodes:
            lines += self.node(node, declared(node.results), indent)
        outputs = ", ".join(f"%{v}" for v in graph.outputs)
        lines += wrapped("outputs " + (outputs or "none"), indent)
        return lines

    def node(self, node: Node, results: str, indent: str) -> list[str]:
        operands = ", ".join(f"%{v}" for v in node.operands)
        names = [*node.op.params, *[""] * len(node.params)]
        params = ", ".join(
            (f"{name}=" if name else "") + self.param(value, indent)
            for name, value in zip(names, node.params, strict=False)
        )
        inside = "; ".join(part for part in (operands, params) if part)
        if params and not operands:
            inside = "; " + params
        lines = wrapped(f"{results} = {node.op.name}({inside})", indent)
        if node.source:
            shown = f"  # {node.source if printable(node.source) else json.dumps(node.source)}"
            fits = "\n" not in lines[-1] and len(lines[-1]) + len(shown) <= WIDTH
            if fits:
                lines[-1] += shown
            else:
                lines.append(indent + "  " + shown)
        return lines

    def constant(self, tensor: Tensor) -> str:
        """A constant's elements, or its number in the table."""
        text = inline(tensor)
        if text is None:
            text = f"${len(self.table)}"
            self.table.append(tensor)
        return text

    def param(self, value: Any, indent: str) -> str:
        """A parameter as text; what the text form has no words for stands between < and >."""
        if isinstance(value, tuple):
            names: tuple[str, ...] = getattr(value, "_fields", ())
            if names:
                named = zip(names, value, strict=True)
                inside = ", ".join(f"{name}={self.param(x, indent)}" for name, x in named)
                return f"{type(value).__name__}({inside})"
            inside = ", ".join(self.param(x, indent) for x in value)
            return f"({inside},)" if len(value) == 1 else f"({inside})"
        if isinstance(value, slice):
            parts = (self.param(x, indent) for x in (value.start, value.stop, value.step))
            return f"slice({', '.join(parts)})"
        if isinstance(value, DType):
            return SHORT[value]
        if hasattr(value, "nodes") and hasattr(value, "layouts"):
            lines = self.graph(value, indent + "    ")
            return "graph {\n" + "\n".join(lines) + f"\n{indent}}}"
        return number(value)


def number(value: Any) -> str:
    """None, a truth value, a number or a string as text."""
    if value is None:
        return "none"
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, float):
        return float.__repr__(value)
    if isinstance(value, np.floating):
        return float.__repr__(float(value))
    if isinstance(value, (complex, np.complexfloating)):
        return f"complex({number(float(value.real))}, {number(float(value.imag))})"
    if isinstance(value, str):
        return json.dumps(value)
    try:
        return str(operator.index(value))
    except TypeError:
        return f"<{type(value).__name__}>"


def inline(tensor: Tensor) -> str | None:
    """The elements of a small constant, if the text gives them back bit by bit."""
    place = tensor.layout
    if place.size > INLINE_ELEMENTS or not place.contiguous:
        return None
    try:
        bits = tensor.array()
        values = tensor.values().reshape(-1)
    except GraphError:  # still being traced
        return None
    texts = [element(x) for x in values]
    numbers = [literal(x) for x in values]
    if read_elements(numbers, place).tobytes() != bits.tobytes():
        return None
    return texts[0] if place.ndim == 0 else f"[{', '.join(texts)}]"


def element(value: Any) -> str:
    """One element of a constant, as short as its dtype lets it be."""
    if isinstance(value, np.floating):
        text = str(value)
        return text if any(c in text for c in ".en") else text + ".0"
    if isinstance(value, np.complexfloating):
        return f"complex({element(value.real)}, {element(value.imag)})"
    return number(value)


def literal(value: Any) -> Any:
    """What the parser makes of an element's text."""
    if isinstance(value, np.floating):
        return float(element(value))
    if isinstance(value, np.complexfloating):
        return complex(literal(value.real), literal(value.imag))
    return value.item()


def read_elements(values: list[Any], place: Layout) -> np.ndarray[Any, Any]:
    """The storage bits of a constant with these elements; GraphError for what its dtype lacks."""
    kinds: dict[str, tuple[type, ...]] = {
        "b": (bool,), "u": (int,), "i": (int,), "f": (float,), "c": (complex,)
    }  # fmt: skip
    if any(type(value) not in kinds[place.dtype.kind] for value in values):
        raise GraphError(f"text: a constant of {place} holds {values!r}")
    if len(values) != place.size:
        raise GraphError(f"text: a constant of {place} has {len(values)} elements")
    try:
        with np.errstate(all="ignore"):
            if place.dtype is dtypes.bfloat16:
                made = dtypes.float32_to_bfloat16(np.array(values, np.float32))
            elif place.dtype.kind in "fc":
                made = np.array(values, "f8" if place.dtype.is_float else "c16")
                made = made.astype(place.dtype.numpy)
            else:
                made = np.array(values, place.dtype.numpy)
    except (OverflowError, ValueError) as error:
        raise GraphError(f"text: a constant of {place} holds {values!r}") from error
    return made.reshape(place.shape)


def printable(text: str) -> bool:
    """Whether a source line can stand as it is."""
    return text.isprintable() and text == text.strip() and not text.startswith('"')


def wrapped(line: str, indent: str) -> list[str]:
    """A line cut after commas (not those in strings), what follows indented."""
    if "\n" in line:  # a graph within: its lines are cut already
        return [indent + line]
    lines = []
    line = indent + line
    while len(line) > WIDTH:
        cut, quoted = 0, False
        for at, c in enumerate(line[:WIDTH]):
            if c == '"' and line[at - 1] != "\\":
                quoted = not quoted
            elif c == "," and not quoted and line[at + 1 : at + 2] == " ":
                cut = at + 1
        if cut <= len(indent) + 4:
            break
        lines.append(line[:cut])
        line = indent + "    " + line[cut + 1 :]
    return [*lines, line]


def same_param(a: Any, b: Any) -> bool:
    """Whether two parameters are the same: of one type, NaN like NaN, -0.0 unlike 0.0."""
    if isinstance(a, tuple) or isinstance(b, tuple):
        return (
            type(a) is type(b)
            and len(a) == len(b)
            and all(same_param(x, y) for x, y in zip(a, b, strict=True))
        )
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (
            a == b and math.copysign(1.0, a) == math.copysign(1.0, b)
        )
    if isinstance(a, complex):
        return same_param(a.real, b.real) and same_param(a.imag, b.imag)
    if isinstance(a, slice):
        return same_param((a.start, a.stop, a.step), (b.start, b.stop, b.step))
    return bool(a == b)


def same_layout(a: Layout, b: Layout) -> bool:
    """Whether layouts mean the same; strides of axes of extent 1 mean nothing in row-major ones."""
    if a is b:
        return True
    if a.dtype is not b.dtype or a.shape != b.shape:
        return False
    return a.strides == b.strides or (a.contiguous and b.contiguous)


def same_constant(a: Tensor, b: Tensor) -> bool:
    """Whether two constants have the same dtype, shape and bits."""
    if a is b:
        return True
    mine, other = a.layout, b.layout
    if mine.dtype is not other.dtype or mine.shape != other.shape:
        return False
    return a.array().tobytes() == b.array().tobytes()


def same_graph(a: Graph, b: Graph) -> bool:
    """Whether two graphs do the same in the same order, however their values are numbered."""
    names: dict[int, int] = {}

    def pair(xs: Any, ys: Any) -> bool:
        """Values that are defined: the same layouts, and from now on the same name."""
        names.update(zip(xs, ys, strict=False))
        return len(xs) == len(ys) and all(
            same_layout(a.layouts[x], b.layouts[y]) for x, y in zip(xs, ys, strict=True)
        )

    def read(xs: Any, ys: Any) -> bool:
        return len(xs) == len(ys) and [names.get(x) for x in xs] == list(ys)

    if not pair(a.inputs, b.inputs) or len(a.nodes) != len(b.nodes):
        return False
    if len(a.constants) != len(b.constants):
        return False
    for (x, first), (y, second) in zip(a.constants.items(), b.constants.items(), strict=True):
        names[x] = y
        if not same_constant(first, second):
            return False
    for mine, other in zip(a.nodes, b.nodes, strict=True):
        if (
            mine.op is not other.op
            or not same_param(mine.params, other.params)
            or not read(mine.operands, other.operands)
            or not pair(mine.results, other.results)
        ):
            return False
    return read(a.outputs, b.outputs)
