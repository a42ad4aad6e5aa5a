"""Vectorizing: an evaluator under which a function of one sample computes many at once.

A *sample tensor* looks like one sample: its layout is that of the sample, and its buffer holds the
value of all of them, with the axis along which they differ. :class:`Level` applies each operation
by its batching rule to those values, in the evaluator that was in force outside; so levels nest,
and what the outside records on the tape, it records of the whole values. The tape of a sample
tensor itself is that of derivatives taken inside the function: one level never sees another's.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from diptych.core import call, inplace, tape
from diptych.core.layout import layout
from diptych.core.operation import Composite, Context, NoBatching, Operation, Params
from diptych.core.samples import NOWHERE, SampleBuffer
from diptych.core.tensor import Tensor, alias, wrap
from diptych.errors import ArgumentError
from diptych.graph.trace import visible
from diptych.ops.batching import sample_of, stacked, to_front
from diptych.ops.movement import move_axis
from diptych.ops.reduction import sum_
from diptych.ops.select import ASSIGN, copy


class Level:
    """An evaluator: each operation by its batching rule, on the values of ``size`` samples.

    ``randomness`` is what random functions do: "error", "same" or "different" for each sample.
    """

    updates = False

    def __init__(self, outer: call.Evaluator, size: int, randomness: str = "error") -> None:
        self.outer = outer
        self.size = size
        self.randomness = randomness
        self.thread = threading.get_ident()
        self.recorded = False  # whether the outside recorded anything of ours

    # ---- samples and values

    def sample(self, value: Tensor, axis: int | None, cls: type[Tensor]) -> Tensor:
        """The sample tensor of a value whose samples lie along ``axis``."""
        place = value.layout
        shape = place.shape if axis is None else (*place.shape[:axis], *place.shape[axis + 1 :])
        own = layout(place.dtype, shape)
        if value.node is not None:
            self.recorded = True
        return wrap(cls, own, SampleBuffer(self, value, axis), NOWHERE)

    def owns(self, x: Any) -> bool:
        """Whether ``x`` is a sample tensor of this level."""
        buffer = x.buffer
        return buffer.__class__ is SampleBuffer and buffer.level is self

    def lift(self, x: Tensor) -> Tensor:
        """``x`` as a sample tensor, the same for all samples if it is none yet."""
        return x if self.owns(x) else self.sample(x, None, x.result_type)

    def spread(self, x: Tensor) -> Tensor:
        """A sample tensor with room for another value in each sample; they start as ``x``."""
        with call.installed(self.outer):
            value = copy(to_front(self.value(x)[0], self.value(x)[1], self.size))
        return self.sample(value, 0, x.result_type)

    def value(self, x: Tensor) -> tuple[Tensor, int | None]:
        """The value behind a tensor, and the axis of its samples."""
        buffer = x.buffer
        if buffer.__class__ is SampleBuffer and buffer.level is self:
            return buffer.value, buffer.axis
        return x, None

    # ---- the evaluator's interface

    def apply1(self, op: Operation, x: Tensor, params: Params) -> Any:
        return self.apply(op, (x,), params)

    def apply2(self, op: Operation, a: Tensor, b: Tensor, params: Params) -> Any:
        return self.apply(op, (a, b), params)

    def apply(self, op: Operation, operands: Sequence[Tensor], params: Params) -> Any:
        values: list[Tensor] = []
        axes: list[int | None] = []
        own = wanted = False
        for x in operands:
            buffer: Any = x.buffer
            if buffer.__class__ is SampleBuffer and buffer.level is self:
                own = True
                wanted = wanted or x.node is not None
                values.append(buffer.value)
                axes.append(buffer.axis)
            else:
                values.append(x)
                axes.append(None)
        if not own or threading.get_ident() != self.thread:
            with call.installed(self.outer):
                return self.outer.apply(op, operands, params)
        if wanted and op.differentiable and tape.mode.enabled:
            return self.recording_call(op, operands, values, axes, params)
        return self.call(op, values, tuple(axes), params, operands[0].result_type)

    def recording_call(
        self, op: Operation, operands: Sequence[Tensor], values: list[Tensor],
        axes: list[int | None], params: Params,
    ) -> Any:  # fmt: skip
        """A call that this level's tape records, residuals included."""
        cls = operands[0].result_type
        bare = [alias(x, x.result_type) if self.owns(x) else x for x in operands]
        if isinstance(op, Composite) and op.residuals:
            result = op.forward(*bare, *params)
        else:
            result = self.call(op, values, tuple(axes), params, cls)
        results = result if isinstance(result, tuple) else (result,)
        # Nothing but this level's own nodes: what others are on the outside sees for itself.
        held = [x if self.owns(x) else alias(x, x.result_type) for x in operands]
        lifted = tuple([self.sample(*self.value(r), r.result_type) for r in results])
        tape.record(op, params, held, lifted)
        return visible(op, lifted if isinstance(result, tuple) else lifted[0])

    def call(
        self, op: Operation, values: Sequence[Tensor], axes: tuple[int | None, ...],
        params: Params, cls: type[Tensor],
    ) -> Any:  # fmt: skip
        """The samples of a call on values."""
        with call.installed(self.outer):
            result, places = self.mapped(op, tuple(values), axes, params)
        if isinstance(result, tuple):
            if not isinstance(places, tuple):
                places = (places,) * len(result)
            return tuple([self.sample(r, a, cls) for r, a in zip(result, places, strict=True)])
        return self.sample(result, places, cls)

    def mapped(
        self, op: Operation, values: tuple[Tensor, ...], axes: tuple[int | None, ...],
        params: Params,
    ) -> tuple[Any, Any]:  # fmt: skip
        """The value of a call, and the axis of its samples."""
        if all(axis is None for axis in axes):
            return self.outer.apply(op, values, params), None
        if not isinstance(op.batch, NoBatching):
            result: tuple[Any, Any] = op.batch(op, values, axes, params)
            return result
        if isinstance(op, Composite):
            return self.outer.apply(lifted(op, axes, self.size), values, params), 0
        return looped(op, values, axes, params, self.size), 0

    def into(self, out: Tensor, op: Operation, operands: Sequence[Tensor], params: Params) -> None:
        """Write a result over a sample tensor: over its value, in the outer evaluator."""
        if not any(self.owns(x) for x in (out, *operands)):
            with call.installed(self.outer):
                self.outer.into(out, op, operands, params)
            return
        wanted = any(self.owns(x) and x.node is not None for x in (out, *operands))
        if wanted and tape.mode.enabled and isinstance(out.buffer, SampleBuffer):
            if out.buffer.value.base is not None:
                raise NotImplementedError(
                    f"{op.name}: an in-place change of a view inside vmap, while a gradient is "
                    "taken inside it, is not supported; use the out-of-place function"
                )
        bare = [alias(x, x.result_type) if self.owns(x) else x for x in operands]
        new, axis = self.value(self.lift(self.apply(op, bare, params)))
        target, place = self.value(out)
        if axis is not None and place is None:
            raise ArgumentError(
                f"vmap: {op.name}: an in-place change of a tensor that is one for all samples by "
                "values that differ between samples is not possible: there is no room for them. "
                "Use the out-of-place function (or, for running statistics of batch norm, a layer "
                "without them)"
            )
        with call.installed(self.outer):
            if place is not None:
                shape = target.layout.shape
                new = move_axis(to_front(new, axis, self.size), 0, place)
                if new.layout.shape != shape:
                    raise ArgumentError(
                        f"vmap: {op.name}: a result of shape {list(new.layout.shape)} cannot be "
                        f"written over {list(shape)} (the samples' axis included)"
                    )
            inplace.update(target, ASSIGN, (target, new), (target.layout.dtype,))

    def gradient(
        self, op: Operation, params: Params, saved: tuple[Any, ...], outputs: tuple[Any, ...],
        cotangents: tuple[Any, ...], needs: tuple[bool, ...],
    ) -> tuple[Any, ...]:  # fmt: skip
        given = [x for x in (*saved, *outputs, *cotangents) if isinstance(x, Tensor)]
        if not any(self.owns(x) for x in given):
            with call.installed(self.outer):
                return self.outer.gradient(op, params, saved, outputs, cotangents, needs)
        return tuple(tape.open_rule(op, Context(saved, outputs, params, needs), cotangents))


# ---- operations without a rule of their own


class Lifted(Composite):
    """A composite on many samples: its forward and gradient under a level, compiled whole."""

    __slots__ = ("axes", "of", "size")

    def __init__(self, op: Composite, axes: tuple[int | None, ...], size: int) -> None:
        Operation.__init__(
            self, f"vmap({op.name})", "composite", params=op.params, infer=op.infer,
            vjp=self.pulled, saves=op.saves,
            batch=NoBatching("it is batched through the operations it is made of"),
            samples=op.samples, errors=op.errors, tolerance=op.tolerance,
        )  # fmt: skip
        if op.vjp is None:
            self.vjp = None
        self.differentiable = op.differentiable
        self.of = op
        self.axes = axes
        self.size = size
        self.forward = self.mapped
        self.outputs = op.outputs
        self.residuals = op.residuals

    def mapped(self, *given: Any) -> Any:
        """The composite's results, samples first."""
        count = len(self.axes)
        level = Level(call.current, self.size)
        samples = [
            x if axis is None else level.sample(tape.copy_alias(x), axis, x.result_type)
            for x, axis in zip(given[:count], self.axes, strict=True)
        ]
        with call.installed(level):
            result = self.of.forward(*samples, *given[count:])
        if isinstance(result, tuple):
            return tuple([self.first(level, part) for part in result])
        return self.first(level, result)

    def first(self, level: Level, x: Tensor) -> Tensor:
        return to_front(*level.value(x), self.size)

    def pulled(self, ctx: Context, *cotangents: Any) -> tuple[Any, ...]:
        """The composite's own gradient rule, for all samples."""
        level = Level(call.current, self.size)

        def seen(x: Any, axis: int | None) -> Any:
            if axis is None:
                return x
            if isinstance(x, Tensor):
                return level.sample(x, axis, x.result_type)
            shape = (*x.shape[:axis], *x.shape[axis + 1 :])
            return layout(x.dtype, shape)

        operands = tuple([seen(x, axis) for x, axis in zip(ctx.x, self.axes, strict=True)])
        results = tuple([seen(y, 0) for y in ctx.y])
        inside = Context(operands, results, ctx.params, ctx.needs)
        with call.installed(level):
            pulled = tape.open_rule(self.of, inside, [seen(c, 0) for c in cotangents])
        made: list[Any] = []
        for x, axis in zip(pulled, self.axes, strict=False):
            if x is None:
                made.append(None)
                continue
            front = self.first(level, x)
            if axis is None:
                made.append(sum_(front, (0,)))
            else:
                made.append(move_axis(front, 0, axis))
        return tuple(made)


_lifted: dict[tuple[Operation, tuple[int | None, ...], int], Lifted] = {}
_LIFTED_LIMIT = 1024


def lifted(op: Composite, axes: tuple[int | None, ...], size: int) -> Lifted:
    """The operation that applies ``op`` to ``size`` samples along these axes of its operands."""
    key = (op, axes, size)
    found = _lifted.get(key)
    if found is None:
        if len(_lifted) >= _LIFTED_LIMIT:
            _lifted.clear()
        found = _lifted[key] = Lifted(op, axes, size)
    return found


_warned: set[str] = set()


def looped(
    op: Operation, values: tuple[Tensor, ...], axes: tuple[int | None, ...], params: Params,
    size: int,
) -> Any:  # fmt: skip
    """A call for each sample, one after the other: for operations without a batching rule."""
    if size == 0:
        raise NotImplementedError(
            f"vmap: '{op.name}' has no batching rule, and no samples to loop over"
        )
    if op.name not in _warned:
        _warned.add(op.name)
        warnings.warn(
            f"There is a performance drop because there is no batching rule for '{op.name}' yet: "
            "vmap calls it once for each sample.",
            stacklevel=2,
        )
    made = [
        call.current.apply(
            op,
            [
                x if axis is None else sample_of(x, axis, place)
                for x, axis in zip(values, axes, strict=True)
            ],
            params,
        )
        for place in range(size)
    ]
    if isinstance(made[0], tuple):
        return tuple([stacked(parts) for parts in zip(*made, strict=True)])
    return stacked(made)


# ---- from outside


def innermost() -> Level | None:
    """The level in force in this thread, if any."""
    level = call.current
    if isinstance(level, Level) and level.thread == threading.get_ident():
        return level
    return None


@contextlib.contextmanager
def mapping(size: int, randomness: str) -> Iterator[Level]:
    """A level in force inside the ``with`` block."""
    level = Level(call.current, size, randomness)
    with call.installed(level):
        yield level


def outside_recorded() -> bool:
    """Whether an evaluator around the levels in force recorded something of theirs."""
    level: Any = call.current
    while isinstance(level, Level):
        if level.recorded:
            return True
        level = level.outer
    return False
