"""The arithmetic of one step between its products: gates to states, and cotangents back.

Each function writes one vector of hidden units of one sequence. ``at.get(name, part)`` reads an
array's part (gates lie side by side, each ``hidden`` wide), ``at.put`` writes one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from diptych.compiler.llvm import math
from diptych.compiler.llvm.writer import Function, Value, constant
from diptych.compiler.recurrence.spec import Recurrence
from diptych.compiler.target import Target


class At(Protocol):
    """Where a vector of hidden units lies in every array."""

    def get(self, name: str, part: int = 0) -> Value:
        """Read."""
        ...

    def put(self, name: str, value: Value, part: int = 0) -> None:
        """Write."""
        ...


class Cell:
    """What the cells share: the writer, the target, the structure."""

    def __init__(self, f: Function, target: Target, spec: Recurrence) -> None:
        self.f = f
        self.target = target
        self.spec = spec

    def apply(self, op: str, x: Value) -> Value:
        return math.emit(self.f, self.target, op, [x])

    def rest(self, x: Value) -> Value:
        """1 - x."""
        return self.f.sub(constant(x.type, 1), x)

    def slope(self, x: Value) -> Value:
        """The derivative of a sigmoid whose value is x."""
        return self.f.mul(x, self.rest(x))

    def bend(self, x: Value) -> Value:
        """The derivative of a tanh whose value is x."""
        return self.f.sub(constant(x.type, 1), self.f.mul(x, x))

    def product(self, *factors: Value) -> Value:
        total = factors[0]
        for factor in factors[1:]:
            total = self.f.mul(total, factor)
        return total

    def upward(self, at: At) -> Value:
        """The whole cotangent of h (with a projection: of what is projected)."""
        if self.spec.projected:
            return at.get("up")
        carried = at.get("dh")
        return self.f.add(carried, at.get("dy")) if self.spec.incoming else carried


def lstm(cell: Cell, at: At) -> None:
    """Hochreiter and Schmidhuber 1997, with forget gates (Gers et al. 2000), in PyTorch's order."""
    f, spec = cell.f, cell.spec
    raw = [f.add(at.get("raw", k), at.get("x", k)) for k in range(4)]
    i, forget, o = (cell.apply("sigmoid", raw[k]) for k in (0, 1, 3))
    g = cell.apply("tanh", raw[2])
    c = at.get("c")
    new = f.muladd(forget, c, f.mul(i, g))
    h = f.mul(o, cell.apply("tanh", new))
    if spec.keep:
        for part, value in enumerate((i, forget, g, o)):
            at.put("gates", value, part)
        at.put("cells", c)
    at.put("c", new)
    if spec.projected:
        at.put("hidden", h)
        return
    _store_state(cell, at, h)


def _store_state(cell: Cell, at: At, h: Value) -> None:
    if cell.spec.keep:
        at.put("before", at.get("h"))
    if not cell.spec.across:  # then others still read the state
        at.put("h", h)
    at.put("y", h)


def gru(cell: Cell, at: At) -> None:
    """Cho et al. 2014, the reset gate after the product, as PyTorch has it."""
    f = cell.f
    raw = [at.get("raw", k) for k in range(3)]
    if cell.spec.extra:
        raw = [f.add(value, at.get("bias", k)) for k, value in enumerate(raw)]
    r, z = (cell.apply("sigmoid", f.add(raw[k], at.get("x", k))) for k in (0, 1))
    n = cell.apply("tanh", f.muladd(r, raw[2], at.get("x", 2)))
    if cell.spec.keep:
        for part, value in enumerate((r, z, n, raw[2])):
            at.put("gates", value, part)
    _store_state(cell, at, f.muladd(z, f.sub(at.get("h"), n), n))


def rnn_tanh(cell: Cell, at: At) -> None:
    """Elman 1990."""
    new = cell.apply("tanh", cell.f.add(at.get("raw"), at.get("x")))
    if cell.spec.keep:
        at.put("gates", new)
    _store_state(cell, at, new)


def rnn_relu(cell: Cell, at: At) -> None:
    """The same with a rectifier; NaN stays NaN."""
    f = cell.f
    total = f.add(at.get("raw"), at.get("x"))
    new = f.select(f.compare("olt", total, 0), constant(total.type, 0), total)
    if cell.spec.keep:
        at.put("gates", new)
    _store_state(cell, at, new)


def lstm_back(cell: Cell, at: At) -> None:
    f = cell.f
    i, forget, g, o = (at.get("kept", k) for k in range(4))
    before, up = at.get("before"), cell.upward(at)
    t = cell.apply("tanh", f.muladd(forget, before, f.mul(i, g)))
    down = f.muladd(f.mul(up, o), cell.bend(t), at.get("dc"))
    parts = [
        cell.product(down, g, cell.slope(i)), cell.product(down, before, cell.slope(forget)),
        cell.product(down, i, cell.bend(g)), cell.product(up, t, cell.slope(o)),
    ]  # fmt: skip
    for part, value in enumerate(parts):
        at.put("dgates", value, part)
    at.put("dc", f.mul(down, forget))


def gru_back(cell: Cell, at: At) -> None:
    f = cell.f
    r, z, n, hn = (at.get("kept", k) for k in range(4))
    up = cell.upward(at)
    dn = cell.product(up, cell.rest(z), cell.bend(n))
    dr = cell.product(dn, hn, cell.slope(r))
    dz = cell.product(up, f.sub(at.get("before"), n), cell.slope(z))
    for part, value in enumerate((dr, dz, dn)):
        at.put("dgates", value, part)
        at.put("dhidden", f.mul(dn, r) if part == 2 else value, part)
    at.put("dh", f.mul(up, z))  # the product adds the rest


def rnn_tanh_back(cell: Cell, at: At) -> None:
    at.put("dgates", cell.f.mul(cell.upward(at), cell.bend(at.get("kept"))))


def rnn_relu_back(cell: Cell, at: At) -> None:
    f, up = cell.f, cell.upward(at)
    positive = f.compare("ogt", at.get("kept"), 0)
    at.put("dgates", f.select(positive, up, constant(up.type, 0)))


FORWARD: dict[str, Callable[[Cell, At], None]] = {
    "lstm": lstm, "gru": gru, "rnn_tanh": rnn_tanh, "rnn_relu": rnn_relu,
}  # fmt: skip
BACKWARD: dict[str, Callable[[Cell, At], None]] = {
    "lstm": lstm_back, "gru": gru_back, "rnn_tanh": rnn_tanh_back, "rnn_relu": rnn_relu_back,
}  # fmt: skip
