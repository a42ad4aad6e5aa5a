"""The Mersenne Twister in vector IR: raw draws, and the noise of dropout made from them.

Source of the recurrence and its constants: Matsumoto, Nishimura, Mersenne Twister, 1998 (MT19937).
x[n + 624] = x[n + 397] ^ A(x[n], x[n + 1]) reaches back at least 227 words, so a vector of words
needs none of its own. The state is NumPy's: 624 words and the position of the next (int32).
"""

from __future__ import annotations

from collections.abc import Sequence

from diptych.compiler.llvm.writer import Function, Module, Value, constant, vector
from diptych.compiler.target import Target
from diptych.compiler.unit import CodeUnit

_WORDS, _AHEAD = 624, 397
_UPPER, _LOWER, _MATRIX = 0x80000000, 0x7FFFFFFF, 0x9908B0DF
_CHUNK = 2048  # elements of noise at a time: their draws wait on the stack


def draws_unit(target: Target) -> CodeUnit:
    """``kernel([count], [state, out])``: the next draws as 32-bit words."""

    def text() -> str:
        writer = TwisterWriter(Module("Mersenne Twister"), target)
        writer.draws("twister_draws")
        return writer.module.text()

    return CodeUnit("twister_draws", (("kernel", "twister.draws"),), text)


def noise_unit(target: Target) -> CodeUnit:
    """``kernel([count, top, rest, bits of a float], [state, out])``: that float or 0.

    It is the float where a double draw's low 53 bits lie below ``top * 2**32 + rest``.
    """

    def text() -> str:
        writer = TwisterWriter(Module("noise of dropout"), target)
        writer.noise("twister_noise")
        return writer.module.text()

    return CodeUnit("twister_noise", (("kernel", "twister.noise"),), text)


def _word(number: int) -> int:
    """A 32-bit pattern as LLVM's signed constant."""
    return number - (1 << 32) if number >= 1 << 31 else number


class TwisterWriter:
    """Writes the kernels of one module."""

    def __init__(self, module: Module, target: Target) -> None:
        self.module = module
        self.lanes = target.lanes(4)
        self.vector = vector(self.lanes, "i32")
        self._advance()
        self._fill()

    def _splat(self, number: int) -> Value:
        return constant(self.vector, _word(number))

    def _advance(self) -> None:
        """``advance(words)``: the block after ``words[0:624]`` to ``words[624:1248]``."""
        f = self.module.function("advance", [("ptr", "words")], internal=True)
        (words,) = f.parameters
        with f.loop(0, constant("i64", _WORDS), self.lanes, runs=True) as loop:
            here = f.offset(words, loop.index, "i32")
            a, b = f.load(self.vector, here), f.load(self.vector, f.offset(here, 1, "i32"))
            far = f.load(self.vector, f.offset(here, _AHEAD, "i32"))
            y = f.binary(
                "or", f.binary("and", a, self._splat(_UPPER)),
                f.binary("and", b, self._splat(_LOWER)),
            )  # fmt: skip
            odd = f.sub(constant(self.vector, 0), f.binary("and", y, self._splat(1)))
            mixed = f.binary("xor", f.binary("lshr", y, 1), far)
            made = f.binary("xor", mixed, f.binary("and", odd, self._splat(_MATRIX)))
            f.store(made, f.offset(here, _WORDS, "i32"))
        f.ret()

    def _tempered(self, f: Function, y: Value) -> Value:
        y = f.binary("xor", y, f.binary("lshr", y, 11))
        for shift, mask in ((7, 0x9D2C5680), (15, 0xEFC60000)):
            moved = f.binary("shl", y, shift)
            y = f.binary("xor", y, f.binary("and", moved, constant(y.type, _word(mask))))
        return f.binary("xor", y, f.binary("lshr", y, 18))

    def _fill(self) -> None:
        """``fill(state, out, count)``: the next draws; the state is advanced."""
        f = self.module.function(
            "fill", [("ptr", "state"), ("ptr", "out"), ("i64", "count")], internal=True
        )
        state, out, count = f.parameters
        words = f.stack("i32", 2 * _WORDS)
        block = constant("i64", 4 * _WORDS)
        f.call("memcpy", "ptr", [words, state, block])
        place = f.offset(state, _WORDS, "i32")
        position = f.cast("zext", f.load("i32", place), "i64")
        first = f.minimum(count, f.sub(constant("i64", _WORDS), position))
        self._temper(f, f.offset(words, position, "i32"), out, first)
        left = f.sub(count, first)
        following = f.offset(words, _WORDS, "i32")
        reached = [f.add(position, first)]
        with f.loop(first, count, _WORDS, carried=reached) as loop:
            f.call("advance", "void", [words])
            f.call("memcpy", "ptr", [words, following, block])
            part = f.minimum(f.sub(count, loop.index), _WORDS)
            self._temper(f, words, f.offset(out, loop.index, "i32"), part)
            loop.next([part])
        with f.when(f.compare("sgt", left, 0)):
            f.call("memcpy", "ptr", [state, words, block])
        f.store(f.cast("trunc", loop.results[0], "i32"), place)
        f.ret()

    def _temper(self, f: Function, source: Value, out: Value, count: Value) -> None:
        whole = f.binary("and", count, -self.lanes)
        with f.loop(0, whole, self.lanes) as loop:
            y = f.load(self.vector, f.offset(source, loop.index, "i32"))
            f.store(self._tempered(f, y), f.offset(out, loop.index, "i32"))
        with f.loop(whole, count) as rest:
            one = f.load("i32", f.offset(source, rest.index, "i32"))
            f.store(self._tempered(f, one), f.offset(out, rest.index, "i32"))

    def _kernel(self, name: str) -> tuple[Function, list[Value], Sequence[Value]]:
        f = self.module.function(name, [("ptr", "desc"), ("ptr", "ptrs")])
        desc, ptrs = f.parameters
        numbers = [f.load("i64", f.offset(desc, i, "i64")) for i in range(4)]
        pointers = [f.load("ptr", f.offset(ptrs, i, "ptr")) for i in range(2)]
        return f, numbers, pointers

    def draws(self, name: str) -> None:
        f, numbers, (state, out) = self._kernel(name)
        f.call("fill", "void", [state, out, numbers[0]])
        f.ret()

    def noise(self, name: str) -> None:
        f, numbers, (state, out) = self._kernel(name)
        count, *bounds = numbers
        top, rest, value = (f.cast("trunc", bound, "i32") for bound in bounds)
        room = f.stack("i32", 2 * _CHUNK)
        lanes = self.lanes
        tops, rests, values = (f.splat(x, lanes) for x in (top, rest, value))

        def chosen(high: Value, low: Value, t: Value, r: Value, v: Value) -> Value:
            high = f.binary("and", high, constant(high.type, 0x1FFFFF))
            tied = f.binary("and", f.compare("eq", high, t), f.compare("ult", low, r))
            below = f.binary("or", f.compare("ult", high, t), tied)
            return f.select(below, v, constant(v.type, 0))

        with f.loop(0, count, _CHUNK) as loop:
            part = f.minimum(f.sub(count, loop.index), _CHUNK)
            f.call("fill", "void", [state, room, f.mul(part, 2)])
            into = f.offset(out, loop.index, "i32")
            whole = f.binary("and", part, -lanes)
            with f.loop(0, whole, lanes) as inner:
                pairs = f.offset(room, f.mul(inner.index, 2), "i32")
                a = f.load(self.vector, pairs)
                b = f.load(self.vector, f.offset(pairs, lanes, "i32"))
                even = f.shuffle(a, [2 * i for i in range(lanes)], b)
                odd = f.shuffle(a, [2 * i + 1 for i in range(lanes)], b)
                made = chosen(even, odd, tops, rests, values)
                f.store(made, f.offset(into, inner.index, "i32"))
            with f.loop(whole, part) as inner:
                pair = f.offset(room, f.mul(inner.index, 2), "i32")
                high, low = f.load("i32", pair), f.load("i32", f.offset(pair, 1, "i32"))
                made = chosen(high, low, top, rest, value)
                f.store(made, f.offset(into, inner.index, "i32"))
        f.ret()
