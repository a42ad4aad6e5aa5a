"""Writes LLVM IR as text: fresh names, structured loops, vector and masked operations.

Knows LLVM's language and nothing of what is being computed. A ``Module`` collects declarations and
functions; a ``Function`` appends instructions to its current block. Loops are written rotated (the
test at the bottom), because our modules skip LLVM's mid-level passes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

FLOAT_TYPES = ("half", "bfloat", "float", "double")
_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64, "ptr": 64}


class Value(NamedTuple):
    """An operand: its text (``%x.3`` or a constant) and its LLVM type."""

    text: str
    type: str

    def __str__(self) -> str:
        return f"{self.type} {self.text}"


def vector(lanes: int, element: str) -> str:
    """The type of ``lanes`` elements; the element type itself for one lane."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def lanes_of(type_: str) -> int:
    return int(type_[1:].split(" ", 1)[0]) if type_.startswith("<") else 1


def element_of(type_: str) -> str:
    return type_[1:-1].split(" x ", 1)[1] if type_.startswith("<") else type_


def with_element(type_: str, element: str) -> str:
    """The type with as many lanes as ``type_``, of ``element``."""
    return vector(lanes_of(type_), element)


def bits_of(type_: str) -> int:
    """Bits of one element of ``type_``."""
    element = element_of(type_)
    return _BITS[element] if element in _BITS else int(element[1:])


def is_float(type_: str) -> bool:
    return element_of(type_) in FLOAT_TYPES


def int_type(type_: str) -> str:
    """The integer type of the same shape and width."""
    return with_element(type_, f"i{bits_of(type_)}")


def _literal(element: str, number: float) -> str:
    if element == "ptr":
        return "null"
    if element not in FLOAT_TYPES:
        return str(int(number))
    if element == "half":
        return "0xH" + struct.pack(">e", number).hex().upper()
    if element == "float":  # LLVM writes floats as the double of the same value
        try:
            number = struct.unpack("f", struct.pack("f", number))[0]
        except OverflowError:
            number = float("inf") if number > 0 else float("-inf")
    return "0x" + struct.pack(">d", number).hex().upper()


def constant(type_: str, number: float) -> Value:
    """A constant; for a vector type the same number in every lane."""
    element = element_of(type_)
    text = _literal(element, number)
    if type_ == element:
        return Value(text, type_)
    return Value("zeroinitializer" if number == 0 and text in ("0", "null") else
                 f"splat ({element} {text})", type_)  # fmt: skip


def constants(element: str, numbers: Sequence[float]) -> Value:
    """A vector constant with these lanes."""
    text = ", ".join(f"{element} {_literal(element, n)}" for n in numbers)
    return Value(f"<{text}>", vector(len(numbers), element))


class Module:
    """One translation unit: globals, functions and the declarations they collected."""

    def __init__(self, comment: str = "") -> None:
        self.comment = comment
        self.functions: list[Function] = []
        self._declarations: dict[str, str] = {}
        self._globals: dict[str, str] = {}

    def declare(self, name: str, result: str, arguments: Sequence[str]) -> None:
        self._declarations.setdefault(name, f"declare {result} @{name}({', '.join(arguments)})")

    def table(self, name: str, element: str, numbers: Sequence[float]) -> Value:
        """A private constant array, 64-byte aligned; written once per name."""
        body = ", ".join(f"{element} {_literal(element, n)}" for n in numbers)
        array = f"[{len(numbers)} x {element}] [{body}]"
        self._globals.setdefault(name, f"@{name} = private unnamed_addr constant {array}, align 64")
        return Value(f"@{name}", "ptr")

    def function(
        self,
        name: str,
        parameters: Sequence[tuple[str, str]],
        result: str = "void",
        internal: bool = False,
        attributes: str = "nounwind",
    ) -> Function:
        """A new function; ``parameters`` are (type with attributes, name)."""
        made = Function(self, name, parameters, result, internal, attributes)
        self.functions.append(made)
        return made

    def text(self) -> str:
        defined = {function.name for function in self.functions}
        declared = [text for name, text in self._declarations.items() if name not in defined]
        parts = [f"; {line}" for line in self.comment.splitlines()]
        parts += [*self._globals.values(), *sorted(declared)]
        parts += [function.text() for function in self.functions]
        return "\n".join([*parts, "!0 = !{i32 1}", ""])


class Loop:
    """A loop being written: ``index``, the carried values, and after it their ``results``.

    ``step`` may be set in the body, where it is not known before.
    """

    def __init__(self, index: Value, step: Value | int, carried: list[Value]) -> None:
        self.index = index
        self.step = step
        self.carried = carried
        self.following: list[Value] = carried
        self.results: list[Value] = carried

    def next(self, values: Sequence[Value]) -> None:
        """Give the carried values of the next iteration."""
        assert [v.type for v in values] == [v.type for v in self.carried], "carried types changed"
        self.following = list(values)


class Function:
    """A function being written, one instruction after another."""

    def __init__(
        self,
        module: Module,
        name: str,
        parameters: Sequence[tuple[str, str]],
        result: str,
        internal: bool,
        attributes: str,
    ) -> None:
        self.module = module
        self.name = name
        self.parameters = tuple(Value(f"%{n}", t.split(" ", 1)[0]) for t, n in parameters)
        text = ", ".join(f"{t} %{n}" for t, n in parameters)
        linkage = "internal " if internal else ""
        self._head = f"define {linkage}{result} @{name}({text}) {attributes} {{"
        self._lines = ["entry:"]
        self._entry_end = 1  # allocas go here
        self._count = 0
        self.label = "entry"  # of the block being written

    def text(self) -> str:
        return "\n".join([self._head, *self._lines, "}"])

    # -- instructions ---------------------------------------------------------------------------

    def fresh(self, hint: str = "v") -> str:
        self._count += 1
        return f"{hint}.{self._count}"

    def do(self, text: str) -> None:
        """Append an instruction without a result."""
        self._lines.append("  " + text)

    def emit(self, type_: str, text: str, hint: str = "v") -> Value:
        """Append an instruction and name its result."""
        name = "%" + self.fresh(hint)
        self._lines.append(f"  {name} = {text}")
        return Value(name, type_)

    def comment(self, text: str) -> None:
        self._lines.append(f"  ; {text}")

    def binary(self, op: str, a: Value, b: Value | float) -> Value:
        """Any two-operand instruction; a Python number takes the type of ``a``."""
        right = b if isinstance(b, Value) else constant(a.type, b)
        assert a.type == right.type, f"{op}: {a.type} with {right.type}"
        return self.emit(a.type, f"{op} {a}, {right.text}")

    def _arithmetic(self, op: str, a: Value, b: Value | float) -> Value:
        # No `contract`: x*y - x*y must be 0. Code that wants fused steps says fma or muladd.
        return self.binary(f"f{op}" if is_float(a.type) else op, a, b)

    def add(self, a: Value, b: Value | float) -> Value:
        return self._arithmetic("add", a, b)

    def sub(self, a: Value, b: Value | float) -> Value:
        return self._arithmetic("sub", a, b)

    def mul(self, a: Value, b: Value | float) -> Value:
        return self._arithmetic("mul", a, b)

    def neg(self, a: Value) -> Value:
        return (
            self.emit(a.type, f"fneg {a}") if is_float(a.type) else self.sub(constant(a.type, 0), a)
        )

    def fma(self, a: Value, b: Value | float, c: Value | float) -> Value:
        """``a * b + c`` rounded once (LLVM falls back to libm's fma where the CPU has none)."""
        rest = [x if isinstance(x, Value) else constant(a.type, x) for x in (b, c)]
        return self.intrinsic("fma", a.type, [a, *rest])

    def muladd(self, a: Value, b: Value | float, c: Value | float) -> Value:
        """``a * b + c``, fused where that is quick."""
        rest = [x if isinstance(x, Value) else constant(a.type, x) for x in (b, c)]
        return self.intrinsic("fmuladd", a.type, [a, *rest])

    def compare(self, predicate: str, a: Value, b: Value | float) -> Value:
        """``icmp`` or ``fcmp`` by type; an i1 (vector)."""
        right = b if isinstance(b, Value) else constant(a.type, b)
        assert a.type == right.type, f"{predicate}: {a.type} with {right.type}"
        op = "fcmp" if is_float(a.type) else "icmp"
        return self.emit(with_element(a.type, "i1"), f"{op} {predicate} {a}, {right.text}")

    def select(self, condition: Value, a: Value, b: Value | float) -> Value:
        right = b if isinstance(b, Value) else constant(a.type, b)
        return self.emit(a.type, f"select {condition}, {a}, {right}")

    def cast(self, op: str, a: Value, type_: str) -> Value:
        """A conversion instruction (zext, sitofp, bitcast, ...) to ``type_``."""
        return a if a.type == type_ else self.emit(type_, f"{op} {a} to {type_}")

    def minimum(self, a: Value, b: Value | float) -> Value:
        """The smaller of two signed integers."""
        right = b if isinstance(b, Value) else constant(a.type, b)
        return self.intrinsic("smin", a.type, [a, right])

    def maximum(self, a: Value, b: Value | float) -> Value:
        """The greater of two signed integers."""
        right = b if isinstance(b, Value) else constant(a.type, b)
        return self.intrinsic("smax", a.type, [a, right])

    # -- calls ----------------------------------------------------------------------------------

    def call(self, name: str, result: str, arguments: Sequence[Value]) -> Value:
        """Call a function by name, declaring it."""
        self.module.declare(name, result, [a.type for a in arguments])
        text = f"call {result} @{name}({', '.join(map(str, arguments))})"
        if result == "void":
            self.do(text)
            return Value("", "void")
        return self.emit(result, text)

    def intrinsic(self, name: str, type_: str, arguments: Sequence[Value]) -> Value:
        """Call ``llvm.<name>`` overloaded on ``type_`` alone, which is also the result's type."""
        return self.call(f"llvm.{name}.{_mangled(type_)}", type_, arguments)

    # -- vectors --------------------------------------------------------------------------------

    def splat(self, a: Value, lanes: int) -> Value:
        if lanes == 1:
            return a
        one = self.insert(Value("poison", vector(lanes, a.type)), a, 0)
        return self.shuffle(one, [0] * lanes)

    def iota(self, lanes: int, element: str = "i64") -> Value:
        """0, 1, 2, ... as a constant."""
        return constant(element, 0) if lanes == 1 else constants(element, range(lanes))

    def insert(self, whole: Value, item: Value, lane: int) -> Value:
        return self.emit(whole.type, f"insertelement {whole}, {item}, i32 {lane}")

    def extract(self, whole: Value, lane: int) -> Value:
        if lanes_of(whole.type) == 1:
            return whole
        return self.emit(element_of(whole.type), f"extractelement {whole}, i32 {lane}")

    def shuffle(self, a: Value, indices: Sequence[int], b: Value | None = None) -> Value:
        other = b.text if b is not None else "poison"
        mask = ", ".join(f"i32 {i}" for i in indices)
        type_ = f"<{len(indices)} x {element_of(a.type)}>"
        return self.emit(
            type_, f"shufflevector {a}, {a.type} {other}, <{len(indices)} x i32> <{mask}>"
        )

    def halves(self, a: Value) -> tuple[Value, Value]:
        """The lower and upper half of a vector (scalars when two lanes are left)."""
        half = lanes_of(a.type) // 2
        if half == 1:
            return self.extract(a, 0), self.extract(a, 1)
        return self.shuffle(a, range(half)), self.shuffle(a, range(half, 2 * half))

    def reduce(self, a: Value, combine: Callable[[Value, Value], Value]) -> Value:
        """Combine all lanes in a fixed order: halves, then halves of halves."""
        while lanes_of(a.type) > 1:
            low, high = self.halves(a)
            a = combine(low, high)
        return a

    def first_lanes(self, count: Value, lanes: int, bits: int = 32) -> Value:
        """A mask of the first ``count`` (i64, >= 0) of ``lanes``; ``bits`` is the data's width."""
        if lanes == 1:
            return self.compare("sgt", count, 0)
        # The compared vector fills a register at least: LLVM 22 loses the zeroes above a mask that
        # came from a widened compare, and a masked store then writes past its end.
        element = f"i{min(64, max(bits, 128 // lanes, 8))}"
        capped = self.intrinsic("smin", "i64", [count, constant("i64", lanes)])
        narrow = self.cast("trunc", capped, element)
        return self.compare("slt", self.iota(lanes, element), self.splat(narrow, lanes))

    # -- memory ---------------------------------------------------------------------------------

    def offset(self, pointer: Value, index: Value | int, element: str) -> Value:
        """The address ``index`` elements on. ``pointer`` or ``index`` may be a vector."""
        where = index if isinstance(index, Value) else constant("i64", index)
        type_ = vector(max(lanes_of(pointer.type), lanes_of(where.type)), "ptr")
        return self.emit(type_, f"getelementptr {element}, {pointer}, {where}", "p")

    def load(self, type_: str, pointer: Value, align: int = 0) -> Value:
        """Load; by default aligned as one element is."""
        return self.emit(type_, f"load {type_}, {pointer}, align {align or bits_of(type_) // 8}")

    def store(
        self, value: Value, pointer: Value, align: int = 0, nontemporal: bool = False
    ) -> None:
        tail = ", !nontemporal !0" if nontemporal else ""
        self.do(f"store {value}, {pointer}, align {align or bits_of(value.type) // 8}{tail}")

    def masked_load(self, type_: str, pointer: Value, mask: Value, other: float = 0) -> Value:
        """Load the lanes in ``mask``; the rest are ``other`` and their memory is not touched."""
        if lanes_of(type_) == 1:
            raise ValueError(f"masked_load wants a vector type, got {type_}; branch instead")
        name = f"llvm.masked.load.{_mangled(type_)}.p0"
        self.module.declare(name, type_, ["ptr", "i32 immarg", mask.type, type_])
        align = bits_of(type_) // 8
        return self.emit(
            type_,
            f"call {type_} @{name}({pointer}, i32 {align}, {mask}, {constant(type_, other)})",
        )

    def masked_store(self, value: Value, pointer: Value, mask: Value) -> None:
        name = f"llvm.masked.store.{_mangled(value.type)}.p0"
        self.module.declare(name, "void", [value.type, "ptr", "i32 immarg", mask.type])
        self.do(f"call void @{name}({value}, {pointer}, i32 {bits_of(value.type) // 8}, {mask})")

    def gather(self, type_: str, pointers: Value, mask: Value | None = None) -> Value:
        """Load one element from each address of a pointer vector."""
        lanes, align = lanes_of(type_), bits_of(type_) // 8
        where = mask or constant(vector(lanes, "i1"), 1)
        name = f"llvm.masked.gather.{_mangled(type_)}.v{lanes}p0"
        self.module.declare(name, type_, [pointers.type, "i32 immarg", where.type, type_])
        other = constant(type_, 0)
        return self.emit(type_, f"call {type_} @{name}({pointers}, i32 {align}, {where}, {other})")

    def scatter(self, value: Value, pointers: Value, mask: Value | None = None) -> None:
        """Store each lane to its own address."""
        lanes, align = lanes_of(value.type), bits_of(value.type) // 8
        where = mask or constant(vector(lanes, "i1"), 1)
        name = f"llvm.masked.scatter.{_mangled(value.type)}.v{lanes}p0"
        self.module.declare(name, "void", [value.type, pointers.type, "i32 immarg", where.type])
        self.do(f"call void @{name}({value}, {pointers}, i32 {align}, {where})")

    def prefetch(self, pointer: Value, locality: int = 3, write: bool = False) -> None:
        self.module.declare(
            "llvm.prefetch.p0", "void", ["ptr", "i32 immarg", "i32 immarg", "i32 immarg"]
        )
        self.do(f"call void @llvm.prefetch.p0({pointer}, i32 {int(write)}, i32 {locality}, i32 1)")

    def stack(self, type_: str, count: int = 1, align: int = 64) -> Value:
        """Room on the stack, made once at the function's entry."""
        name = "%" + self.fresh("stack")
        self._lines.insert(
            self._entry_end, f"  {name} = alloca {type_}, i32 {count}, align {align}"
        )
        self._entry_end += 1
        return Value(name, "ptr")

    # -- control --------------------------------------------------------------------------------

    def block(self, label: str) -> None:
        """Start a block."""
        self._lines.append(f"{label}:")
        self.label = label

    def jump(self, label: str) -> None:
        self.do(f"br label %{label}")

    def branch(self, condition: Value, then: str, otherwise: str) -> None:
        self.do(f"br {condition}, label %{then}, label %{otherwise}")

    def ret(self, value: Value | None = None) -> None:
        self.do(f"ret {value}" if value is not None else "ret void")

    def phi(self, type_: str, arms: Sequence[tuple[Value, str]]) -> Value:
        """A phi over (value, label of the block it comes from)."""
        return self.emit(type_, _phi(type_, arms), "phi")

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Write what runs only if ``condition`` (i1) holds."""
        then, after = self.fresh("then"), self.fresh("after")
        self.branch(condition, then, after)
        self.block(then)
        yield
        self.jump(after)
        self.block(after)

    def choose(
        self,
        condition: Value,
        then: Callable[[], Sequence[Value]],
        otherwise: Callable[[], Sequence[Value]],
    ) -> list[Value]:
        """Run one of two writers; the values both return are merged."""
        labels = self.fresh("then"), self.fresh("else")
        after = self.fresh("after")
        self.branch(condition, *labels)
        arms = []
        for label, write in zip(labels, (then, otherwise), strict=True):
            self.block(label)
            values = list(write())
            arms.append((values, self.label))
            self.jump(after)
        self.block(after)
        (left, left_label), (right, right_label) = arms
        return [
            self.phi(a.type, [(a, left_label), (b, right_label)])
            for a, b in zip(left, right, strict=True)
        ]

    @contextmanager
    def loop(
        self,
        start: Value | int,
        stop: Value,
        step: Value | int = 1,
        carried: Sequence[Value] = (),
        runs: bool = False,
    ) -> Iterator[Loop]:
        """Write a loop from ``start`` while below ``stop`` (signed), by ``step``.

        ``carried`` are the initial values of the loop's phis; call ``loop.next`` in the body. After
        the block ``loop.results`` holds their last values. ``runs`` says that the first iteration
        certainly runs, which saves a test.
        """
        first = start if isinstance(start, Value) else constant(stop.type, start)
        body, after, before = self.fresh("loop"), self.fresh("after"), self.label
        if runs:
            self.jump(body)
        else:
            self.branch(self.compare("slt", first, stop), body, after)
        self.block(body)
        holes = range(len(self._lines), len(self._lines) + 1 + len(carried))
        index = self.emit(stop.type, "phi", "i")
        loop = Loop(index, step, [self.emit(value.type, "phi", "c") for value in carried])
        yield loop
        following = self.add(index, loop.step)
        again, end = self.compare("slt", following, stop), self.label
        self.branch(again, body, after)
        starts, nexts = [first, *carried], [following, *loop.following]
        for hole, here, early, late in zip(
            holes, [index, *loop.carried], starts, nexts, strict=True
        ):
            arms = [(early, before), (late, end)]
            self._lines[hole] = f"  {here.text} = {_phi(here.type, arms)}"
        self.block(after)
        if runs:
            loop.results = loop.following
        else:
            pairs = zip(carried, loop.following, strict=True)
            loop.results = [self.phi(a.type, [(a, before), (b, end)]) for a, b in pairs]


def _phi(type_: str, arms: Sequence[tuple[Value, str]]) -> str:
    return f"phi {type_} " + ", ".join(f"[ {v.text}, %{label} ]" for v, label in arms)


def _mangled(type_: str) -> str:
    """A type as LLVM spells it inside an intrinsic's name."""
    element = {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16", "ptr": "p0"}
    name = element.get(element_of(type_), element_of(type_))
    return f"v{lanes_of(type_)}{name}" if type_.startswith("<") else name
