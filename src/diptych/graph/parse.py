"""Graphs from their text form: data only, checked, bounded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from diptych.core.dtypes import DType
from diptych.core.layout import MAX_NDIM, Layout, layout
from diptych.core.operation import Operation, Primitive, lookup, records
from diptych.core.tensor import Tensor, copy_array
from diptych.errors import DiptychError, GraphError
from diptych.graph.graph import Graph, Node
from diptych.graph.text import BY_SHORT, read_elements

MAX_TEXT = 1 << 23
MAX_DEPTH = 16
_LARGEST = 1 << 62

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    | \#[ ]*(?P<source>[^\n]*)
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<value>%\d{1,9}) | (?P<entry>\$\d{1,9})
    | (?P<float>-?(?:\d{1,400}\.\d{0,400}(?:e[+-]?\d{1,4})?|\d{1,400}e[+-]?\d{1,4}|inf\b|nan\b))
    | (?P<int>-?\d{1,400})
    | (?P<name>[A-Za-z_]\w*)
    | (?P<mark>[\[\](){},:;=])""",
    re.VERBOSE | re.ASCII,
)


def parse(text: str, constants: Sequence[Tensor] = ()) -> Graph:
    """The graph that a text describes, verified.

    ``constants`` is the table of those shown by number (`text.table` of the graph that was
    printed). Values are numbered anew, in the order of their numbers in the text. Raises GraphError
    for anything that is not a graph.
    """
    if len(text) > MAX_TEXT:
        raise GraphError(f"text: {len(text)} characters are more than a graph may have")
    parser = _Parser(text, constants)
    graph = parser.graph(0)
    parser.take("end")
    graph.verify()
    return graph


class _Parser:
    """Reads tokens from left to right; every method takes one part of the grammar."""

    def __init__(self, text: str, constants: Sequence[Tensor]) -> None:
        self.text = text
        self.constants = constants
        self.tokens: list[tuple[str, str, int]] = []
        position = 0
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None:
                self.fail("an unknown character", position)
                break
            kind = found.lastgroup or "source"
            if kind != "space":
                self.tokens.append((kind, found.group(kind), position))
            position = found.end()
        self.tokens.append(("end", "", len(text)))
        self.at = 0

    def fail(self, problem: str, position: int | None = None) -> None:
        at = self.tokens[min(self.at, len(self.tokens) - 1)][2] if position is None else position
        line = self.text.count("\n", 0, at) + 1
        shown = self.text[at : at + 30].split("\n")[0]
        raise GraphError(f"text: line {line}: {problem} at {shown!r}")

    def peek(self) -> str:
        """The mark or name that comes next; of other tokens their kind."""
        kind, text, _ = self.tokens[self.at]
        return text if kind in ("mark", "name") else kind

    def take(self, wanted: str) -> str:
        """The next token, which must be this mark or name, or of this kind."""
        kind, text, _ = self.tokens[self.at]
        if wanted not in (kind, text) or (kind == "string" and wanted != "string"):
            self.fail(f"expected {wanted}")
        self.at += kind != "end"
        return text

    def listed(self, item: Callable[[], Any], end: str) -> list[Any]:
        """Items between commas up to a closing mark; a comma may stand before it."""
        made: list[Any] = []
        while self.peek() != end:
            made.append(item())
            if self.peek() != ",":
                break
            self.take(",")
        self.take(end)
        return made

    # ---- statements

    def graph(self, depth: int) -> Graph:
        if depth > MAX_DEPTH:
            self.fail("graphs nested too deeply")
        places: dict[int, Layout] = {}
        made = Graph()
        constants: dict[int, Tensor] = {}
        nodes: list[Node] = []
        self.take("inputs")
        inputs = self.declarations(places)
        while self.peek() == "value":
            results = self.declarations(places)
            self.take("=")
            if self.peek() == "constant" and len(results) == 1:
                self.take("constant")
                constants[results[0]] = self.constant(places[results[0]])
            else:
                nodes.append(self.node(results, depth))
        self.take("outputs")
        outputs = self.values()
        numbers = {value: position for position, value in enumerate(sorted(places))}

        def known(values: Sequence[int]) -> tuple[int, ...]:
            unknown = next((v for v in values if v not in numbers), None)
            if unknown is not None:
                raise GraphError(argument=f"value %{unknown}", expected="defined first")
            return tuple(numbers[v] for v in values)

        made.layouts = [places[value] for value in sorted(places)]
        made.inputs = known(inputs)
        made.constants = {numbers[value]: tensor for value, tensor in constants.items()}
        made.nodes = [
            Node(n.op, known(n.operands), n.params, known(n.results), n.source) for n in nodes
        ]
        made.outputs = known(outputs)
        return made

    def declarations(self, places: dict[int, Layout]) -> list[int]:
        """``%1: f32[2, 3], %2: ...``, or ``none``."""
        if self.peek() == "none":
            self.take("none")
            return []
        values = []
        while True:
            value = self.value()
            if value in places:
                self.fail(f"%{value} is declared twice")
            self.take(":")
            places[value] = self.layout()
            values.append(value)
            if self.peek() != ",":
                return values
            self.take(",")

    def values(self) -> list[int]:
        """``%1, %2``, or ``none``."""
        if self.peek() == "none":
            self.take("none")
            return []
        values = [self.value()]
        while self.peek() == ",":
            self.take(",")
            values.append(self.value())
        return values

    def value(self) -> int:
        return int(self.take("value")[1:])

    def layout(self) -> Layout:
        name = self.take("name")
        if name not in BY_SHORT:
            self.fail(f"{name} is no dtype")
        self.take("[")
        shape = tuple(self.listed(self.extent, "]"))
        strides = None
        if self.peek() == "{":
            self.take("{")
            strides = tuple(self.listed(self.extent, "}"))
        if len(shape) > MAX_NDIM or (strides is not None and len(strides) != len(shape)):
            self.fail("a layout of so many dimensions")
        try:
            return layout(BY_SHORT[name], shape, strides)
        except DiptychError as error:
            raise GraphError(f"text: {error}") from error

    def extent(self) -> int:
        number = int(self.take("int"))
        if abs(number) > _LARGEST:
            self.fail("an extent out of range")
        return number

    def node(self, results: list[int], depth: int) -> Node:
        op = self.operation(self.take("name"))
        self.take("(")
        operands = [] if self.peek() in (";", ")") else self.values()
        params: list[Any] = []
        if self.peek() == ";":
            self.take(";")
            params = self.listed(lambda: self.named(op, len(params), depth), ")")
        else:
            self.take(")")
        source = ""
        if self.peek() == "source":
            source = self.take("source").rstrip()
            if source.startswith('"'):
                source = self.string(source)
        return Node(op, tuple(operands), tuple(params), tuple(results), source)

    def operation(self, name: str) -> Primitive:
        op: Operation | None
        try:
            op = lookup(name)
        except KeyError:
            op = None
        if not isinstance(op, Primitive):
            raise GraphError(f"text: there is no primitive called '{name}'")
        return op

    # ---- constants and parameters

    def constant(self, place: Layout) -> Tensor:
        if self.peek() == "entry":
            number = int(self.take("entry")[1:])
            if number >= len(self.constants):
                raise GraphError(
                    f"text: constant ${number} is not in the table of {len(self.constants)}",
                    hint="pass what text.table(graph) gives, or use archive.save and load",
                )
            return self.constants[number]
        if self.peek() == "[":
            self.take("[")
            values = self.listed(lambda: self.param(MAX_DEPTH - 1), "]")
        else:
            values = [self.param(MAX_DEPTH - 1)]
        bits = read_elements(values, place)
        return copy_array(bits, Tensor, place.dtype)

    def named(self, op: Primitive, position: int, depth: int) -> Any:
        """``name=value``; names are those of the operation, in its order."""
        kind, text, _ = self.tokens[self.at]
        following = self.tokens[min(self.at + 1, len(self.tokens) - 1)]
        if kind == "name" and following[1] == "=" and following[0] == "mark":
            if text not in op.params:
                self.fail(f"{op.name} has no parameter {text}")
            self.at += 2
        return self.param(depth + 1)

    def param(self, depth: int) -> Any:
        """One parameter: a number, string, dtype, tuple, slice, None or graph."""
        if depth > MAX_DEPTH:
            self.fail("parameters nested too deeply")
        kind, text, _ = self.tokens[self.at]
        if kind == "int":
            return int(self.take("int"))
        if kind == "float":
            return float(self.take("float"))
        if kind == "string":
            return self.string(self.take("string"))
        if text == "(":
            self.take("(")
            return tuple(self.listed(lambda: self.param(depth + 1), ")"))
        if kind == "name":
            return self.word(self.take("name"), depth)
        self.fail("expected a parameter")
        return None

    def word(self, name: str, depth: int) -> Any:
        words: dict[str, Any] = {"none": None, "true": True, "false": False}
        if name in words:
            return words[name]
        if name in BY_SHORT:
            found: DType = BY_SHORT[name]
            return found
        if name in ("slice", "complex"):
            self.take("(")
            parts = self.listed(lambda: self.param(depth + 1), ")")
            if name == "slice" and len(parts) == 3:
                return slice(*parts)
            if name == "complex" and [type(part) for part in parts] == [float, float]:
                return complex(*parts)
        if name in records:
            return self.record(records[name], depth)
        if name == "graph":
            self.take("{")
            made = self.graph(depth + 1)
            self.take("}")
            return made
        self.fail(f"'{name}' is no parameter")
        return None

    def record(self, cls: Any, depth: int) -> Any:
        """A named tuple: all its fields in order, of the types that it declares."""
        self.take("(")
        parts = []
        for name, declared in cls.__annotations__.items():
            self.take(name)
            self.take("=")
            value = self.param(depth + 1)
            kind = getattr(declared, "__forward_arg__", declared)
            if type(value).__name__ != str(kind).partition("[")[0]:
                self.fail(f"{name} of {cls.__name__} has to be {kind}")
            parts.append(value)
            if self.peek() == ",":
                self.take(",")
        self.take(")")
        return cls(*parts)

    def string(self, text: str) -> str:
        try:
            made = json.loads(text)
        except ValueError:
            made = None
        if not isinstance(made, str):
            self.fail("a string that does not end")
        return str(made)
