"""In-place changes: the memory is written, the version counted, the tape told."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from diptych.core import call, tape
from diptych.core.operation import Operation, Params
from diptych.core.tape import CallNode, Leaf
from diptych.core.tensor import Tensor, alias
from diptych.errors import ArgumentError, GradientError


class Rearrangement:
    """The two operations that tie views to their bases; ``ops`` fills them in.

    ``as_strided(base; shape, strides, offset)`` reads a view out of a contiguous base,
    ``put_strided(base, part; shape, strides, offset)`` is the base with the view's elements
    replaced.
    """

    as_strided: Operation
    put_strided: Operation


rearrangement = Rearrangement()


def update(target: Tensor, op: Operation, operands: Sequence[Tensor], params: Params) -> None:
    """``target`` becomes ``op(*operands)``, in its own memory; views of it see the change.

    The result must have the target's shape; it is converted to the target's dtype. Raises
    GradientError for a leaf that wants a gradient, ArgumentError for read-only memory.
    """
    buffer = target.buffer
    if not buffer.writable:
        raise ArgumentError(
            f"{op.name}: the tensor's memory is read-only (it belongs to a constant or a read-only "
            "array); clone it first"
        )
    node = None
    recorded = target.node is not None
    if not recorded:
        for x in operands:
            if x.node is not None:
                recorded = True
                break
    if recorded and tape.mode.enabled:
        refuse_leaf(target)
        if op.differentiable and target.layout.dtype.is_inexact:
            node = CallNode(op, params, operands, (target,))
    if not target.layout.contiguous:
        refuse_overlap(target, op)
    call.current.into(target, op, operands, params)
    buffer.version += 1
    if node is not None:
        if op.saving(node.needs)[1] == 0:
            node.versions[-1] = buffer.version
        rebase(target, node)


def refuse_leaf(target: Tensor) -> None:
    """Raise GradientError when ``target`` is, or views, a leaf that wants a gradient."""
    if isinstance(target.node, Leaf):
        raise GradientError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    if target.base is not None and isinstance(target.base.node, Leaf):
        raise GradientError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation."
        )


def refuse_overlap(target: Tensor, op: Operation) -> None:
    """Raise ArgumentError when several elements of ``target`` share one place in memory."""
    place = target.layout
    if place.contiguous:
        return
    for extent, stride in zip(place.shape, place.strides, strict=True):
        if stride == 0 and extent > 1:
            raise ArgumentError(
                "unsupported operation: more than one element of the written-to tensor refers to a "
                "single memory location. Please clone() the tensor before performing the "
                "operation.",
                op=op.name,
            )


def geometry(view: Tensor, base: Tensor) -> Params:
    """Shape, strides and offset of a view within its contiguous base."""
    if not base.layout.contiguous:
        raise NotImplementedError(
            f"in-place change of a view whose base is not contiguous ({base.layout}) while a "
            "gradient is wanted: make the base contiguous first"
        )
    offset = (view.address - base.address) // base.layout.dtype.itemsize
    return (view.layout.shape, view.layout.strides, offset)


def rebase(target: Tensor, node: CallNode) -> None:
    """Give ``target`` its new history, and its base and the base's other views theirs."""
    base = target.base
    if base is None:
        target.node, target.output = node, 0
        base = target
    else:
        params = geometry(target, base)
        before = alias(base, base.result_type)
        before.node, before.output = base.node, base.output
        part = alias(target, target.result_type)
        part.node, part.output = node, 0
        after = CallNode(rearrangement.put_strided, params, (before, part), (base,))
        base.node, base.output = after, 0
        target.node, target.output = node, 0
    for reference in base.__dict__.get("views", ()):
        view = reference()
        if view is not None and view is not target:
            params = geometry(view, base)
            view.node = CallNode(rearrangement.as_strided, params, (base,), (view,))
            view.output = 0


def register_view(view: Tensor, base: Tensor) -> None:
    """Remember a view of a recorded base, so that in-place changes can renew its history."""
    views: Any = base.__dict__.setdefault("views", [])
    if len(views) >= 64:
        views[:] = [reference for reference in views if reference() is not None]
    views.append(weakref.ref(view))
