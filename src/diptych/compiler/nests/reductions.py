"""Reductions in IR: identities, combining in a fixed order, and their partial results in memory.

The state of a reduction is a list of values: the running result, and for argmax and argmin the
position (an integer as wide as the value, at least 32 bits; ``nowhere`` before the first element).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from diptych.compiler.llvm.writer import (
    Function,
    Value,
    bits_of,
    constant,
    lanes_of,
    vector,
)
from diptych.compiler.nests.arithmetic import extremum
from diptych.compiler.nests.conversion import register_type
from diptych.core.dtypes import DType
from diptych.loops.nest import Reduce

State = list[Value]


def is_arg(reduce: Reduce) -> bool:
    return reduce.op in ("argmax", "argmin")


def _greatest(reduce: Reduce) -> bool:
    return reduce.op in ("max", "argmax")


def _lowest(dtype: DType) -> float:
    if dtype.is_float:
        return -math.inf
    return -(1 << (8 * dtype.itemsize - 1)) if dtype.kind == "i" else 0


def _highest(dtype: DType) -> float:
    if dtype.is_float:
        return math.inf
    bits = 8 * dtype.itemsize
    return (
        1 if dtype.kind == "b" else (1 << (bits - 1)) - 1 if dtype.kind == "i" else (1 << bits) - 1
    )


def position_type(reduce: Reduce, lanes: int = 1) -> str:
    """The type of an arg-reduction's running position."""
    bits = bits_of(register_type(reduce.value.dtype))
    return vector(lanes, "i64" if bits == 64 else "i32")


def nowhere(type_: str) -> int:
    """The position of a state that has taken in nothing better than its identity."""
    return (1 << (bits_of(type_) - 1)) - 1


def identity(reduce: Reduce, lanes: int) -> State:
    """The state before the first element."""
    dtype = reduce.value.dtype
    number: float
    if reduce.op == "sum":
        number = 0
    elif reduce.op in ("prod", "all"):
        number = 1
    elif reduce.op == "any":
        number = 0
    else:
        number = _lowest(dtype) if _greatest(reduce) else _highest(dtype)
    state = [constant(register_type(dtype, lanes), number)]
    if is_arg(reduce):
        type_ = position_type(reduce, lanes)
        state.append(constant(type_, nowhere(type_)))
    return state


def _combine_values(w: Function, reduce: Reduce, a: Value, b: Value) -> Value:
    if reduce.op == "sum":
        return w.add(a, b)
    if reduce.op == "prod":
        return w.mul(a, b)
    if reduce.op in ("any", "all"):
        return w.binary("or" if reduce.op == "any" else "and", a, b)
    return extremum(w, reduce.value.dtype, a, b, _greatest(reduce))


def _better(w: Function, reduce: Reduce, a: Value, b: Value) -> Value:
    """Whether ``b`` beats ``a``; NaN beats all but NaN."""
    dtype = reduce.value.dtype
    if dtype.is_float:
        # Unordered compares are true for a NaN on either side.
        wins = w.compare("ugt" if _greatest(reduce) else "ult", b, a)
        return w.binary("and", wins, w.compare("ord", a, a))
    sign = "s" if dtype.kind == "i" else "u"
    return w.compare(sign + ("gt" if _greatest(reduce) else "lt"), b, a)


def step(w: Function, reduce: Reduce, state: State, value: Value, position: Value | None) -> State:
    """Take in one more element (or vector of them), later than all before it in its lane."""
    if not is_arg(reduce):
        return [_combine_values(w, reduce, state[0], value)]
    assert position is not None, "an arg-reduction needs positions"
    wins = _better(w, reduce, state[0], value)
    return [w.select(wins, value, state[0]), w.select(wins, position, state[1])]


def combine(w: Function, reduce: Reduce, a: State, b: State) -> State:
    """Combine two states; of equal values the first position wins."""
    if not is_arg(reduce):
        return [_combine_values(w, reduce, a[0], b[0])]
    wins, loses = _better(w, reduce, a[0], b[0]), _better(w, reduce, b[0], a[0])
    tie = w.binary("and", w.binary("xor", loses, 1), w.compare("slt", b[1], a[1]))
    wins = w.binary("or", wins, tie)
    return [w.select(wins, b[0], a[0]), w.select(wins, b[1], a[1])]


def combine_all(w: Function, reduce: Reduce, states: Sequence[State]) -> State:
    """Combine neighbours, then their results, and so on."""
    states = list(states)
    while len(states) > 1:
        pairs = [combine(w, reduce, states[i], states[i + 1]) for i in range(0, len(states) - 1, 2)]
        states = pairs + ([states[-1]] if len(states) % 2 else [])
    return states[0]


def across_lanes(w: Function, reduce: Reduce, state: State) -> State:
    """Combine the lanes: halves, then halves of halves."""
    while lanes_of(state[0].type) > 1:
        parts = [w.halves(value) for value in state]
        state = combine(w, reduce, [low for low, _ in parts], [high for _, high in parts])
    return state


def position_of(w: Function, state: State, start: Value) -> Value:
    """The position of an arg-reduction's scalar state as i64, counted from ``start``."""
    found = w.compare("eq", state[1], nowhere(state[1].type))
    wide = w.cast("sext", w.select(found, constant(state[1].type, 0), state[1]), "i64")
    return w.add(wide, start)


def flat(states: Sequence[State]) -> list[Value]:
    """All values of several states, for a loop to carry."""
    return [value for state in states for value in state]


def unflat(reduces: Sequence[Reduce], values: Sequence[Value]) -> list[State]:
    """The inverse of ``flat`` for one state per reduction."""
    states, at = [], 0
    for reduce in reduces:
        size = 2 if is_arg(reduce) else 1
        states.append(list(values[at : at + size]))
        at += size
    return states
