"""Convolution over one to three axes, and its two adjoints: closed under differentiation.

All three are bilinear in their operands and share the parameters ``stride``, ``padding`` (a pair
before and after for each axis; a negative one cuts), ``dilation`` and ``groups``. With
y = convolution(x, w): ``convolution_input`` gives x's cotangent from (y, w), which is also the
transposed convolution; ``convolution_weight`` gives w's from (x, y). The gradients of each are the
other two, so derivatives of any order are convolutions again.

Layouts: x (images, channels, *sizes), w (features, channels / groups, *kernel), y (images,
features, *outputs). The first two take a bias as a third operand, one number a channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from diptych.core import call
from diptych.core.dtypes import NUMERIC, bool_, float32, float64
from diptych.core.layout import Layout, Shape, layout
from diptych.core.operation import BadCall, NoBatching, Params, Primitive, Sample, Tolerance
from diptych.core.tensor import Tensor
from diptych.errors import ArgumentError, DTypeError, ShapeError, UnsupportedDTypeError
from diptych.ops.arithmetic import conj
from diptych.ops.families import draw, primitive
from diptych.ops.reduction import sum_

Pairs = tuple[tuple[int, int], ...]
Array = np.ndarray[Any, Any]

# Sums of thousands of products; the error is measured against the largest result.
TOLERANCE = Tolerance({"float32": 5e-5, "complex64": 5e-5}, half=2e-2)
_MAX_SPATIAL = 3


# ---- shapes


def output_extents(
    sizes: Shape, kernel: Shape, stride: Shape, padding: Pairs, dilation: Shape
) -> Shape:
    """The extents of a convolution's result: how often the dilated kernel fits."""
    return tuple(
        [
            (size + before + after - dilated * (taps - 1) - 1) // step + 1
            for size, taps, step, (before, after), dilated in zip(
                sizes, kernel, stride, padding, dilation, strict=True
            )
        ]
    )


def _check_window(op: str, spatial: int, params: Params) -> None:
    stride, padding, dilation, groups = params[:4]
    if not 1 <= spatial <= _MAX_SPATIAL:
        raise ShapeError(
            op=op, argument="sizes", got=f"of {spatial} axes", expected=f"1 to {_MAX_SPATIAL}"
        )
    for name, given in (("stride", stride), ("padding", padding), ("dilation", dilation)):
        if len(given) != spatial:
            raise ShapeError(
                f"expected {name} to be a single integer value or a list of {spatial} values to "
                f"match the convolution dimensions, but got {name}={list(given)}",
                op=op, argument=name, got=given,
            )  # fmt: skip
    if min(stride) < 1:
        raise ArgumentError("non-positive stride is not supported", op=op, got=stride)
    if min(dilation) < 1:
        raise ArgumentError(
            f"dilation should be greater than zero, but got {list(dilation)}", op=op, got=dilation
        )
    if groups < 1:
        raise ArgumentError("non-positive groups is not supported", op=op, got=groups)


def _check_dtypes(op: str, layouts: tuple[Layout, ...]) -> None:
    first = layouts[0].dtype
    for other in layouts[1:]:
        if other.dtype is not first:
            raise DTypeError(
                f"{op}: the operands must have one dtype, got {first} and {other.dtype}", op=op
            )
    if first is bool_:
        raise UnsupportedDTypeError(f"\"{op}\" not implemented for 'Bool'", op=op, got=first)


def _check_weight(op: str, weight: Layout, groups: int) -> None:
    shape = list(weight.shape)
    if weight.shape[0] < groups:
        raise ShapeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but "
            f"got weight of size {shape} instead",
            op=op, argument="weight", got=weight.shape,
        )  # fmt: skip
    if weight.shape[0] % groups:
        raise ShapeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got weight of size [{shape}] instead",
            op=op, argument="weight", got=weight.shape,
        )  # fmt: skip
    if math.prod(weight.shape[2:]) < 1:
        raise ShapeError(
            op=op, argument="weight", got=weight.shape, expected="a kernel of one tap or more"
        )


def _check_bias(op: str, bias: tuple[Layout, ...], weight: Layout, channels: int) -> None:
    if bias and bias[0].shape != (channels,):
        raise ShapeError(
            f"Given weight of size {list(weight.shape)}, expected bias to be 1-dimensional with "
            f"{channels} elements, but got bias of size {list(bias[0].shape)} instead",
            op=op, argument="bias", got=bias[0].shape,
        )  # fmt: skip


def _forward_shape(op: str, x: Shape, weight: Shape, params: Params) -> Shape:
    """The shape of convolution(x, w) with the checks that x's channels and sizes allow it."""
    stride, padding, dilation, groups = params[:4]
    if x[1] != weight[1] * groups:
        raise ShapeError(
            f"Given groups={groups}, weight of size {list(weight)}, expected input{list(x)} to "
            f"have {weight[1] * groups} channels, but got {x[1]} channels instead",
            op=op, argument="x", got=x,
        )  # fmt: skip
    padded = [n + before + after for n, (before, after) in zip(x[2:], padding, strict=True)]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, weight[2:], strict=True)]
    if any(have < need for have, need in zip(padded, reach, strict=True)):
        shown = [" x ".join(map(str, extents)) for extents in (padded, reach)]
        raise ShapeError(
            f"Calculated padded input size per channel: ({shown[0]}). Kernel size: ({shown[1]}). "
            "Kernel size can't be greater than actual input size",
            op=op, argument="x", got=x,
        )  # fmt: skip
    return (x[0], weight[0], *output_extents(x[2:], weight[2:], stride, padding, dilation))


def _same_rank(op: str, first: Layout, second: Layout) -> int:
    if first.ndim != second.ndim:
        raise ShapeError(
            op=op, argument="operands", got=(first.shape, second.shape),
            expected="the same number of axes",
        )  # fmt: skip
    return first.ndim - 2


def _convolution_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    op = "convolution"
    x, weight, *bias = layouts
    _check_window(op, _same_rank(op, x, weight), params)
    _check_dtypes(op, layouts)
    _check_weight(op, weight, params[3])
    shape = _forward_shape(op, x.shape, weight.shape, params)
    _check_bias(op, tuple(bias), weight, weight.shape[0])
    return layout(x.dtype, shape)


def _input_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    op = "convolution_input"
    y, weight, *bias = layouts
    sizes = params[4]
    _check_window(op, _same_rank(op, y, weight), params)
    _check_dtypes(op, layouts)
    _check_weight(op, weight, params[3])
    shape = (y.shape[0], weight.shape[1] * params[3], *sizes)
    made = _forward_shape(op, shape, weight.shape, params)
    if made != y.shape:
        raise ShapeError(op=op, argument="y", got=y.shape, expected=f"{made} for x of {shape}")
    _check_bias(op, tuple(bias), weight, shape[1])
    return layout(y.dtype, shape)


def _weight_infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
    op = "convolution_weight"
    x, y = layouts
    groups, kernel = params[3], params[4]
    spatial = _same_rank(op, x, y)
    _check_window(op, spatial, params)
    _check_dtypes(op, layouts)
    if len(kernel) != spatial or x.shape[1] % groups:
        raise ShapeError(op=op, argument="kernel", got=kernel, expected=f"to fit {x.shape}")
    shape = (y.shape[1], x.shape[1] // groups, *kernel)
    _check_weight(op, layout(x.dtype, shape), groups)
    made = _forward_shape(op, x.shape, shape, params)
    if made != y.shape:
        raise ShapeError(op=op, argument="y", got=y.shape, expected=f"{made} for x of {x.shape}")
    return layout(x.dtype, shape)


# ---- references: one matrix product for each tap of the kernel


def _wide(array: Array) -> Array:
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _padded(x: Array, padding: Pairs) -> Array:
    """``x`` with zeros around it, or cut where a width is negative."""
    cut: Any = [
        slice(max(-before, 0), n - max(-after, 0))
        for n, (before, after) in zip(x.shape[2:], padding, strict=True)
    ]
    widths = [(max(before, 0), max(after, 0)) for before, after in padding]
    return np.pad(x[tuple([slice(None), slice(None), *cut])], [(0, 0), (0, 0), *widths])


def _taps(kernel: Shape, outputs: Shape, stride: Shape, dilation: Shape) -> Iterable[Any]:
    """For every tap of the kernel: its index in a weight, and the padded input that it meets."""
    for tap in np.ndindex(*kernel):
        window = [
            slice(k * d, k * d + s * (n - 1) + 1, s) if n else slice(0, 0)
            for k, d, s, n in zip(tap, dilation, stride, outputs, strict=True)
        ]
        yield (Ellipsis, *tap), (slice(None), slice(None), *window)


def _grouped(x: Array, groups: int) -> Array:
    """(images, channels, *sizes) as (images, groups, channels of one, pixels)."""
    count = math.prod(x.shape[2:])
    return x.reshape(x.shape[0], groups, x.shape[1] // groups, count)


def _convolution(x: Array, weight: Array, *rest: Any) -> Array:
    *bias, stride, padding, dilation, groups = rest
    x, weight = _wide(x), _wide(weight)
    kernel = weight.shape[2:]
    outputs = output_extents(x.shape[2:], kernel, stride, padding, dilation)
    padded = _padded(x, padding)
    features, channels = weight.shape[:2]
    split = weight.reshape(groups, features // groups, channels, *kernel)
    total: Any = np.zeros(
        (x.shape[0], groups, features // groups, math.prod(outputs)),
        np.result_type(x, weight),
    )
    for tap, window in _taps(kernel, outputs, stride, dilation):
        seen = _grouped(padded[window], groups)
        total += np.matmul(split[tap], seen)
    total = total.reshape(x.shape[0], features, *outputs)
    return total + bias[0].reshape(-1, *[1] * len(kernel)) if bias else total


def _convolution_input(y: Array, weight: Array, *rest: Any) -> Array:
    *bias, stride, padding, dilation, groups, sizes = rest
    y, weight = _wide(y), _wide(weight)
    kernel, outputs = weight.shape[2:], y.shape[2:]
    features, channels = weight.shape[:2]
    split = weight.reshape(groups, features // groups, channels, *kernel)
    grown = [n + before + after for n, (before, after) in zip(sizes, padding, strict=True)]
    total = np.zeros((y.shape[0], groups * channels, *grown), np.result_type(y, weight))
    given = _grouped(y, groups)
    for tap, window in _taps(kernel, outputs, stride, dilation):
        part = np.matmul(np.swapaxes(split[tap], -1, -2), given)
        total[window] += part.reshape(y.shape[0], groups * channels, *outputs)
    total = _padded(total, tuple((-before, -after) for before, after in padding))
    return total + bias[0].reshape(-1, *[1] * len(kernel)) if bias else total


def _convolution_weight(
    x: Array, y: Array, stride: Shape, padding: Pairs, dilation: Shape, groups: int, kernel: Shape
) -> Array:
    x, y = _wide(x), _wide(y)
    padded, outputs = _padded(x, padding), y.shape[2:]
    channels = x.shape[1] // groups
    made = np.zeros((groups, y.shape[1] // groups, channels, *kernel), np.result_type(x, y))
    given = _grouped(y, groups)
    for tap, window in _taps(kernel, outputs, stride, dilation):
        seen = _grouped(padded[window], groups)
        made[tap] = np.matmul(given, np.swapaxes(seen, -1, -2)).sum(0)
    return made.reshape(y.shape[1], channels, *kernel)


# ---- gradients


def _sum_channels(ct: Tensor) -> Tensor:
    """A bias's cotangent: the sum over everything but the channels."""
    return sum_(ct, (0, *range(2, ct.layout.ndim)))


def _convolution_vjp(ctx: Any, ct: Any) -> Any:
    window = ctx.params
    x = weight = None
    if ctx.needs[0]:
        sizes = ctx.layout(0).shape[2:]
        x = call.current.apply2(CONVOLUTION_INPUT, ct, conj(ctx.x[1]), (*window, sizes))
    if ctx.needs[1]:
        kernel = ctx.layout(1).shape[2:]
        weight = call.current.apply2(CONVOLUTION_WEIGHT, conj(ctx.x[0]), ct, (*window, kernel))
    if len(ctx.needs) == 2:
        return x, weight
    return x, weight, _sum_channels(ct) if ctx.needs[2] else None


def _input_vjp(ctx: Any, ct: Any) -> Any:
    window = ctx.params[:4]
    y = weight = None
    if ctx.needs[0]:
        y = call.current.apply2(CONVOLUTION, ct, conj(ctx.x[1]), window)
    if ctx.needs[1]:
        kernel = ctx.layout(1).shape[2:]
        weight = call.current.apply2(CONVOLUTION_WEIGHT, ct, conj(ctx.x[0]), (*window, kernel))
    if len(ctx.needs) == 2:
        return y, weight
    return y, weight, _sum_channels(ct) if ctx.needs[2] else None


def _weight_vjp(ctx: Any, ct: Any) -> Any:
    window = ctx.params[:4]
    x = y = None
    if ctx.needs[0]:
        sizes = ctx.layout(0).shape[2:]
        x = call.current.apply2(CONVOLUTION_INPUT, conj(ctx.x[1]), ct, (*window, sizes))
    if ctx.needs[1]:
        y = call.current.apply2(CONVOLUTION, conj(ctx.x[0]), ct, window)
    return x, y


# ---- samples

# (x, features, kernel, stride, padding, dilation, groups)
_WINDOWS: tuple[tuple[Shape, int, Shape, Shape, Pairs, Shape, int], ...] = (
    ((2, 3, 7), 4, (3,), (1,), ((1, 1),), (1,), 1),
    ((1, 4, 9), 6, (3,), (2,), ((2, 0),), (2,), 2),
    ((2, 3, 6, 5), 4, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    ((2, 3, 7, 8), 5, (3, 2), (2, 3), ((0, 1), (2, 1)), (1, 2), 1),
    ((1, 4, 5, 5), 8, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
    ((2, 3, 4, 4), 2, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 2, 5, 6), 3, (2, 2), (1, 2), ((-1, 0), (1, -2)), (1, 1), 1),
    ((1, 2, 4, 3, 5), 3, (2, 3, 2), (1, 1, 2), ((0, 0), (1, 1), (0, 1)), (1, 1, 1), 1),
    ((0, 2, 4, 4), 3, (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    ((2, 0, 4, 4), 3, (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
)
_KINDS = tuple(d for d in NUMERIC if d.exact)


def _drawn(role: str) -> Callable[[], Iterable[Sample]]:
    """Samples of one of the three operations; the first two with and without a bias."""

    def samples() -> Iterable[Sample]:
        for number, case in enumerate(_WINDOWS):
            x, features, kernel, stride, padding, dilation, groups = case
            window = (stride, padding, dilation, groups)
            weight = (features, x[1] // groups, *kernel)
            y = (x[0], features, *output_extents(x[2:], kernel, stride, padding, dilation))
            calls: dict[str, tuple[tuple[Shape, ...], Params]] = {
                "convolution": ((x, weight, (features,)), window),
                "input": ((y, weight, (x[1],)), (*window, x[2:])),
                "weight": ((x, y), (*window, kernel)),
            }
            shapes, params = calls[role]
            for dtype in _KINDS if number == 3 else (float32, float64):
                generator = np.random.default_rng(dtype.index)
                arrays = tuple(draw(generator, shape, dtype, (-1.0, 1.0)) for shape in shapes)
                yield Sample(arrays, params)
                if role != "weight" and number % 2:
                    yield Sample(arrays[:2], params)

    return samples


def _ones(*shape: int) -> Array:
    return np.ones(shape, np.float32)


_PLAIN = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)


def _errors(*more: BadCall) -> Callable[[], Iterable[BadCall]]:
    return lambda: list(more)


def _declare(
    name: str, role: str, infer: Any, reference: Any, vjp: Any, saves: Any, extra: tuple[str, ...],
    errors: Any,
) -> Primitive:  # fmt: skip
    return primitive(
        name, "convolution", params=("stride", "padding", "dilation", "groups", *extra),
        infer=infer, reference=reference, vjp=vjp, saves=saves, samples=_drawn(role),
        errors=errors, lower=name, tolerance=TOLERANCE,
        batch=NoBatching("its batch axis is the first; a batching rule is not written yet"),
    )  # fmt: skip


CONVOLUTION = _declare(
    "convolution", "convolution", _convolution_infer, _convolution, _convolution_vjp,
    ("1", "0", ""), (),
    _errors(
        BadCall((_ones(1, 2, 8, 8), _ones(4, 3, 3, 3)), ShapeError, "to have 3 channels", _PLAIN),
        BadCall((_ones(1, 3, 2, 2), _ones(4, 3, 3, 3)), ShapeError, "Kernel size: .3 x 3", _PLAIN),
        BadCall((_ones(1, 3, 8, 8), _ones(4, 3, 3, 3), _ones(5)), ShapeError, "bias", _PLAIN),
        BadCall((_ones(1, 3, 8, 8), np.ones((4, 3, 3, 3))), DTypeError, "one dtype", _PLAIN),
        BadCall(
            (_ones(1, 4, 8, 8), _ones(3, 2, 3, 3)), ShapeError, "divisible by 2",
            (*_PLAIN[:3], 2),
        ),
        BadCall(
            (_ones(1, 4, 8, 8), _ones(4, 4, 3, 3)), ArgumentError, "stride",
            ((0, 1), *_PLAIN[1:]),
        ),
    ),
)  # fmt: skip
CONVOLUTION_INPUT = _declare(
    "convolution_input", "input", _input_infer, _convolution_input, _input_vjp, ("1", "0", ""),
    ("sizes",),
    _errors(
        BadCall((_ones(1, 4, 6, 6), _ones(4, 3, 3, 3)), ShapeError, "for x of",
                (*_PLAIN, (9, 9))),
    ),
)  # fmt: skip
CONVOLUTION_WEIGHT = _declare(
    "convolution_weight", "weight", _weight_infer, _convolution_weight, _weight_vjp, ("1", "0"),
    ("kernel",),
    _errors(
        BadCall((_ones(1, 4, 6, 6), _ones(1, 3, 6, 6)), ShapeError, "for x of", (*_PLAIN, (3, 3))),
    ),
)  # fmt: skip


# ---- the functions


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Shape, padding: Pairs,
    dilation: Shape, groups: int,
) -> Tensor:  # fmt: skip
    """What each feature's kernel sees of ``x`` at every place, plus the feature's bias."""
    params = (stride, padding, dilation, groups)
    operands = (x, weight) if bias is None else (x, weight, bias)
    made: Tensor = call.current.apply(CONVOLUTION, operands, params)
    return made


def convolution_input(
    y: Tensor, weight: Tensor, bias: Tensor | None, stride: Shape, padding: Pairs,
    dilation: Shape, groups: int, sizes: Shape,
) -> Tensor:  # fmt: skip
    """The adjoint of a convolution in its input, of these sizes: the transposed convolution."""
    params = (stride, padding, dilation, groups, sizes)
    operands = (y, weight) if bias is None else (y, weight, bias)
    made: Tensor = call.current.apply(CONVOLUTION_INPUT, operands, params)
    return made


def convolution_weight(
    x: Tensor, y: Tensor, stride: Shape, padding: Pairs, dilation: Shape, groups: int,
    kernel: Shape,
) -> Tensor:  # fmt: skip
    """The adjoint of a convolution in its weight, of this kernel."""
    params = (stride, padding, dilation, groups, kernel)
    made: Tensor = call.current.apply2(CONVOLUTION_WEIGHT, x, y, params)
    return made
