"""Uniform and normal numbers in vector IR, from the twister's draws: PyTorch's, to the last bit.

Normals come in groups of 16 draws by Box-Muller: the first eight give radii, the second eight
angles, and element i pairs with element i + 8. The logarithm, sine and cosine are Cephes' single
precision polynomials in fused steps, the constants and their order those of
``core.random.box_muller``, which is the reference.
"""

from __future__ import annotations

from collections.abc import Sequence

from diptych.compiler.llvm.writer import Function, Module, Value, constant, vector
from diptych.compiler.target import Target
from diptych.compiler.twister import TwisterWriter
from diptych.compiler.unit import CodeUnit
from diptych.core.random import box_muller as numbers

_HALF = 8  # of a group
_GROUP = numbers.GROUP
_ROOM = 2048  # draws at a time: they wait on the stack
_LOW24 = (1 << 24) - 1


def uniform_unit(target: Target) -> CodeUnit:
    """``kernel([], [state, out, count])``: float32 in [0, 1); the count rides as an address."""
    return _unit("twister_uniform", target)


def normal_unit(target: Target) -> CodeUnit:
    """``kernel([], [state, out, groups, scale])``: groups of 16 normals (float32).

    ``scale`` holds the bits of the mean above those of the deviation (two float32).
    """
    return _unit("twister_normal", target)


def _unit(name: str, target: Target) -> CodeUnit:
    def text() -> str:
        writer = GaussianWriter(Module("uniform and normal numbers"), target)
        (writer.uniform if name == "twister_uniform" else writer.normal)(name)
        return writer.module.text()

    return CodeUnit(name, (("kernel", name),), text)


class GaussianWriter(TwisterWriter):
    """Writes kernels that turn raw draws into numbers."""

    def _open(self, name: str, count: int) -> tuple[Function, Sequence[Value]]:
        f = self.module.function(name, [("ptr", "desc"), ("ptr", "ptrs")])
        ptrs = f.parameters[1]
        return f, [f.load("ptr", f.offset(ptrs, i, "ptr")) for i in range(count)]

    # ---- uniform

    def uniform(self, name: str) -> None:
        f, (state, out, counted) = self._open(name, 3)
        count = f.cast("ptrtoint", counted, "i64")
        # The draws go to their results' places, which have their size.
        f.call("fill", "void", [state, out, count])
        whole = f.binary("and", count, -self.lanes)
        with f.loop(0, whole, self.lanes) as loop:
            here = f.offset(out, loop.index, "i32")
            f.store(_unit24(f, f.load(self.vector, here)), here)
        with f.loop(whole, count) as loop:
            here = f.offset(out, loop.index, "i32")
            f.store(_unit24(f, f.load("i32", here)), here)
        f.ret()

    # ---- normal

    def normal(self, name: str) -> None:
        f, (state, out, counted, scales) = self._open(name, 4)
        draws = f.mul(f.cast("ptrtoint", counted, "i64"), _GROUP)
        bits = f.cast("ptrtoint", scales, "i64")
        std, mean = (
            f.splat(f.cast("bitcast", f.cast("trunc", part, "i32"), "float"), _HALF)
            for part in (bits, f.binary("lshr", bits, 32))
        )
        room = f.stack("i32", _ROOM)
        whole = vector(_HALF, "i32")
        with f.loop(0, draws, _ROOM) as chunk:
            part = f.minimum(f.sub(draws, chunk.index), _ROOM)
            f.call("fill", "void", [state, room, part])
            into = f.offset(out, chunk.index, "float")
            with f.loop(0, part, _GROUP) as loop:
                here = f.offset(room, loop.index, "i32")
                radius = _radius(f, f.load(whole, here))
                waves = _cos_sin(f, f.load(whole, f.offset(here, _HALF, "i32")))
                to = f.offset(into, loop.index, "float")
                for side, wave in enumerate(waves):
                    made = f.fma(f.mul(radius, wave), std, mean)
                    f.store(made, f.offset(to, side * _HALF, "float"))
        f.ret()


def _floats(type_: str) -> str:
    return type_.replace("i32", "float")


def _unit24(f: Function, draw: Value) -> Value:
    """The low 24 bits of a draw as a fraction."""
    low = f.binary("and", draw, _LOW24)
    return f.mul(f.cast("sitofp", low, _floats(draw.type)), float(numbers.ULP24))


def _horner(f: Function, coefficients: Sequence[float], at: Value) -> Value:
    value = constant(at.type, coefficients[0])
    for coefficient in coefficients[1:]:
        value = f.fma(value, at, coefficient)
    return value


def _radius(f: Function, draw: Value) -> Value:
    """``sqrt(-2 log(1 - draw / 2**24))``."""
    floats = _floats(draw.type)
    low = f.binary("and", draw, _LOW24)
    left = f.sub(constant(draw.type, 1 << 24), low)
    value = f.mul(f.cast("sitofp", left, floats), float(numbers.ULP24))
    integer = f.cast("bitcast", value, draw.type)
    exponent = f.binary("ashr", f.sub(integer, int(numbers.SQRT_HALF_BITS)), 23)
    mantissa = f.sub(integer, f.binary("shl", exponent, 23))  # of a float in [sqrt(1/2), sqrt(2))
    power = f.cast("sitofp", exponent, floats)
    x = f.sub(f.cast("bitcast", mantissa, floats), 1.0)
    square = f.mul(x, x)
    y = f.mul(_horner(f, numbers.LOG, x), x)
    y = f.fma(y, square, f.mul(power, float(numbers.LN2_LOW)))
    y = f.sub(y, f.mul(square, 0.5))
    log = f.add(f.add(x, y), f.mul(power, float(numbers.LN2_HIGH)))
    return f.intrinsic("sqrt", floats, [f.mul(log, -2.0)])


def _cos_sin(f: Function, draw: Value) -> tuple[Value, Value]:
    """The cosine and sine of ``2 pi draw / 2**24``."""
    integers, floats = draw.type, _floats(draw.type)
    angle = f.mul(_unit24(f, draw), float(numbers.TWO_PI))
    octant = f.cast("fptosi", f.mul(angle, float(numbers.FOUR_OVER_PI)), integers)
    octant = f.binary("and", f.add(octant, 1), -2)
    turns = f.cast("sitofp", octant, floats)
    for part in (numbers.PI4_HIGH, numbers.PI4_MIDDLE):  # exact: few bits times few bits
        angle = f.sub(angle, f.mul(turns, float(part)))
    x = f.fma(turns, -float(numbers.PI4_LOW), angle)
    square = f.mul(x, x)
    cosine = f.mul(_horner(f, numbers.COS, square), square)
    cosine = f.add(f.fma(cosine, square, f.mul(square, -0.5)), 1.0)
    sine = f.fma(f.mul(_horner(f, numbers.SIN, square), square), x, x)
    swap = f.compare("ne", f.binary("and", octant, 2), 0)
    below = f.binary("xor", f.sub(octant, 2), -1)
    turned = []
    for wave, sign in (
        (f.select(swap, sine, cosine), below),
        (f.select(swap, cosine, sine), octant),
    ):
        flip = f.binary("shl", f.binary("and", sign, 4), 29)
        bits = f.binary("xor", f.cast("bitcast", wave, integers), flip)
        turned.append(f.cast("bitcast", bits, floats))
    return turned[0], turned[1]
