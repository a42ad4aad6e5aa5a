"""Family constructors: what all elementwise operations, reductions, ... have in common."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from diptych.core import call, dtypes
from diptych.core.dtypes import DType
from diptych.core.layout import Layout, broadcast_shapes, layout, row_major
from diptych.core.operation import (
    BadCall,
    Context,
    NoBatching,
    NotDifferentiable,
    Params,
    Primitive,
    Sample,
    Tolerance,
)
from diptych.core.tensor import Tensor
from diptych.errors import DTypeError, ShapeError, UnsupportedDTypeError

Rule = Callable[..., Any]
Call = Callable[..., Any]  # the function that calls an operation


def ulp(count: float) -> Tolerance:
    """A tolerance of ``count`` units in the last place, in every float dtype."""
    return Tolerance(
        {"float32": count * 2.0**-23, "float64": count * 2.0**-52, "complex64": count * 2.0**-22,
         "complex128": count * 2.0**-50, "float16": count * 2.0**-10, "bfloat16": count * 2.0**-7}
    )  # fmt: skip


# ---- elementwise


def elementwise(
    name: str,
    arity: int,
    *,
    accepts: tuple[DType, ...],
    reference: Callable[..., Any],
    lower: Callable[..., Any] | str,
    vjp: Rule | NotDifferentiable,
    saves: str | tuple[str, ...] = "",
    result: str = "same",
    domain: tuple[float, float] = (-3.0, 3.0),
    tolerance: Tolerance | None = None,
    special: Iterable[float] = (),
    reads: tuple[DType | None, ...] | None = None,
) -> Primitive:
    """Declare an operation on corresponding elements of its broadcast operands.

    The one parameter is the dtype it computes in: operands are cast to it as they are read, so
    mixed operands cost no pass of their own. ``result`` is "same", "bool", or "real" (of a
    complex). ``lower`` maps expressions to an expression (a name stands for the scalar operation
    so called),
    ``reference`` NumPy arrays of the computed dtype to an array. ``vjp(ctx, ct)`` gives one
    cotangent per operand at the broadcast shape, in the computed dtype; the family brings each back
    to its operand's shape and dtype. ``domain`` bounds the generated samples. ``reads`` names
    operands that are read in a dtype of their own (``where``'s condition as bool), None for the
    computed one.
    """

    def infer(layouts: tuple[Layout, ...], params: Params) -> Layout:
        dtype = params[0]
        if dtype not in accepts:
            raise UnsupportedDTypeError(
                f'"{name}" not implemented for \'{dtype}\'',
                op=name, got=dtype, expected="one of " + ", ".join(d.name for d in accepts),
            )  # fmt: skip
        shape = layouts[0].shape
        for other in layouts[1:]:
            if other.shape != shape:
                shape = broadcast_shapes(tuple(place.shape for place in layouts), name)
                break
        if result == "bool":
            dtype = dtypes.bool_
        elif result == "real":
            dtype = dtypes.real_of(dtype)
        return layout(dtype, shape)

    def samples() -> Iterable[Sample]:
        return elementwise_samples(arity, accepts, domain, tuple(special))

    def errors() -> Iterable[BadCall]:
        bad = [d for d in (dtypes.complex64, dtypes.bool_, dtypes.int32) if d not in accepts]
        for d in bad[:1]:
            yield BadCall(
                tuple(np.ones(2, d.numpy) for _ in range(arity)),
                DTypeError,
                "not implemented",
                (d,),
            )
        if arity > 1:
            pair = (np.ones((2, 3), accepts[-1].numpy), np.ones((2, 4), accepts[-1].numpy))
            operands = pair if arity == 2 else (*pair, *([pair[0]] * (arity - 2)))
            yield BadCall(operands, ShapeError, "must match", (accepts[-1],))

    rule = vjp if isinstance(vjp, NotDifferentiable) else _elementwise_vjp(vjp)
    return Primitive(
        name,
        "elementwise",
        params=("dtype",),
        infer=infer,
        vjp=rule,
        saves=saves,
        batch=_elementwise_batch,
        reference=reference,
        lower=lower,
        samples=samples,
        errors=errors,
        tolerance=tolerance or ulp(4),
        reads=reads or (None,) * arity,
    )


def _elementwise_vjp(rule: Rule) -> Rule:
    """Wrap a gradient rule: each cotangent goes back to its operand's dtype and shape."""

    def vjp(ctx: Context, ct: Any) -> tuple[Any, ...]:
        pulled = rule(ctx, ct)
        if not isinstance(pulled, tuple):
            pulled = (pulled,)
        return tuple(
            [
                unbroadcast(value, ctx.layout(index)) if value is not None and need else None
                for index, (value, need) in enumerate(zip(pulled, ctx.needs, strict=True))
            ]
        )

    return vjp


class Hooks:
    """Operations that families need and that are declared in files which import this one."""

    cast: Callable[[Tensor, DType], Tensor]
    sum_to: Callable[[Tensor, tuple[int, ...]], Tensor]
    real: Callable[[Tensor], Tensor]
    move_axis: Callable[[Tensor, int, int], Tensor]
    reshape: Callable[[Tensor, tuple[int, ...]], Tensor]
    broadcast_to: Callable[[Tensor, tuple[int, ...]], Tensor]
    expand_axis: Callable[[Tensor, int, int], Tensor]
    constant: Callable[[Any, DType], Tensor]


hooks = Hooks()


def unbroadcast(value: Tensor, place: Layout) -> Tensor:
    """A cotangent at the broadcast shape and computed dtype, brought to an operand's own."""
    if value.layout.shape != place.shape:
        value = hooks.sum_to(value, place.shape)
    if value.layout.dtype is not place.dtype:
        if value.layout.dtype.is_complex and not place.dtype.is_complex:
            value = hooks.real(value)
        value = hooks.cast(value, place.dtype)
    return value


def _elementwise_batch(
    op: Primitive, operands: tuple[Any, ...], axes: tuple[int | None, ...], params: Params
) -> tuple[Any, int]:
    """Batch by moving the mapped axes to the front and padding ranks so that they line up."""
    rank = max(x.layout.ndim - (axis is not None) for x, axis in zip(operands, axes, strict=True))
    moved = []
    for x, axis in zip(operands, axes, strict=True):
        if axis is not None:
            x = hooks.move_axis(x, axis, 0)
            while x.layout.ndim < rank + 1:
                x = hooks.expand_axis(x, 1, 1)
        moved.append(x)
    return call.current.apply(op, moved, params), 0


def elementwise_samples(
    arity: int, accepts: tuple[DType, ...], domain: tuple[float, float], special: tuple[float, ...]
) -> Iterable[Sample]:
    """Operands over dtypes, broadcast shapes, zero sizes and special values."""
    shapes: dict[int, list[tuple[tuple[int, ...], ...]]] = {
        1: [((),), ((0,),), ((5,),), ((37, 3),), ((2, 1, 67),)],
        2: [
            ((), ()),
            ((5,), ()),
            ((0, 3), (3,)),
            ((4, 37), (37,)),
            ((3, 1), (1, 70)),
            ((9,), (9,)),
        ],
        3: [((), (), ()), ((4, 37), (37,), ()), ((0, 2), (2,), (1,)), ((9,), (9,), (9,))],
    }
    for dtype in accepts:
        generator = np.random.default_rng(dtype.index)
        for combination in shapes[arity]:
            operands = tuple(
                draw(generator, shape, dtype, domain).astype(dtype.numpy)
                if dtype.exact
                else dtypes.float32_to_bfloat16(draw(generator, shape, dtypes.float32, domain))
                for shape in combination
            )
            yield Sample(operands, (dtype,))
        if dtype.is_float and dtype.exact and special:
            values = np.array(list(itertools.product(special, repeat=arity)), dtype.numpy)
            yield Sample(tuple(values[:, i].copy() for i in range(arity)), (dtype,))


def draw(
    generator: np.random.Generator,
    shape: tuple[int, ...],
    dtype: DType,
    domain: tuple[float, float],
) -> np.ndarray[Any, Any]:
    """Random values of a dtype inside ``domain`` (integers: its whole numbers, at least 0 to 3)."""
    low, high = domain
    if dtype.kind == "b":
        return generator.integers(0, 2, shape).astype(bool)
    if dtype.is_integer:
        least = int(np.ceil(low)) if dtype.kind == "i" else max(0, int(np.ceil(low)))
        return generator.integers(least, max(int(high), least + 3) + 1, shape).astype(dtype.numpy)
    if dtype.is_complex:
        real, imaginary = generator.uniform(low, high, (2, *shape))
        return np.asarray(real + 1j * imaginary, dtype.numpy)
    return np.asarray(generator.uniform(low, high, shape), dtype.numpy)


def unary_call(op: Primitive) -> Callable[..., Any]:
    """The function that calls a one-operand elementwise operation in its operand's dtype."""

    def function(x: Tensor, dtype: DType | None = None) -> Any:
        return call.current.apply1(op, x, (dtype or x.layout.dtype,))

    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = f"Elementwise {op.name}; ``dtype`` is what it computes in."
    return function


def binary_call(op: Primitive) -> Callable[..., Any]:
    """The function that calls a two-operand elementwise operation; a number may stand for one."""

    def function(a: Any, b: Any, dtype: DType | None = None) -> Any:
        if not isinstance(b, Tensor):
            b = hooks.constant(b, dtype or a.layout.dtype)
        elif not isinstance(a, Tensor):
            a = hooks.constant(a, dtype or b.layout.dtype)
        return call.current.apply2(op, a, b, (dtype or a.layout.dtype,))

    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = f"Elementwise {op.name}; ``dtype`` is what it computes in."
    return function


# ---- other families: thin, because what they share is less


def primitive(
    name: str,
    family: str,
    *,
    params: tuple[str, ...] = (),
    infer: Callable[..., Any],
    reference: Callable[..., Any],
    vjp: Rule | NotDifferentiable,
    samples: Callable[[], Iterable[Sample]],
    errors: Callable[[], Iterable[BadCall]],
    saves: str | tuple[str, ...] = "",
    lower: Any = "host",
    batch: Any = None,
    view: Any = None,
    tolerance: Tolerance | None = None,
) -> Primitive:
    """Declare a primitive of another family; ``lower`` is "host" when NumPy implements it."""
    return Primitive(
        name,
        family,
        params=params,
        infer=infer,
        reference=reference,
        vjp=vjp,
        saves=saves,
        samples=samples,
        errors=errors,
        lower=lower,
        batch=batch or NoBatching(f"{name}: no batching rule is written yet"),
        view=view,
        tolerance=tolerance or Tolerance(),
    )


def movement(
    name: str,
    *,
    params: tuple[str, ...],
    shape: Callable[[Layout, Params], tuple[int, ...]],
    view: Callable[[Layout, Params], tuple[Layout, int] | None],
    reference: Callable[..., Any],
    vjp: Rule,
    samples: Callable[[], Iterable[Sample]],
    errors: Callable[[], Iterable[BadCall]],
    batch: Any = None,
) -> Primitive:
    """Declare a rearrangement of elements that a strided view can (usually) express."""

    def infer(layouts: tuple[Layout, ...], given: Params) -> Layout:
        place = layouts[0]
        wanted = shape(place, given)
        return layout(place.dtype, wanted, row_major(wanted))

    return primitive(
        name,
        "movement",
        params=params,
        infer=infer,
        reference=reference,
        vjp=vjp,
        samples=samples,
        errors=errors,
        lower="view",
        batch=batch,
        view=view,
    )
