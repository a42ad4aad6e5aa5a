"""Runs lowered graphs step by step, every storage against a page that traps."""

from __future__ import annotations

from typing import Any

import numpy as np

from diptych.compiler.lower import lower
from diptych.compiler.steps import HostStep, Place
from diptych.compiler.target import Target
from diptych.core.operation import Primitive, Sample
from diptych.engine import traced_call
from tests.compiler.contraction.harness import call
from tests.compiler.contraction.test_bounds import Guarded
from tests.ops.samples import tensors

Array = np.ndarray[Any, Any]


def run_steps(
    guarded: Guarded, op: Primitive, sample: Sample, target: Target, at_end: bool
) -> tuple[list[Array], list[str]]:
    """The outputs of one call, and the names of the kernels that made them."""
    given = tensors(sample)
    lowered = lower(traced_call(op, [x.layout for x in given], sample.params), target)
    memory: list[Any] = []
    for storage in lowered.storages:
        if storage.kind == "constant":
            memory.append(storage.tensor.array())
        elif storage.kind == "input":
            memory.append(guarded.place(given[storage.index].array().reshape(-1), at_end))
        else:
            memory.append(guarded.place(np.full(storage.nbytes, 0xAB, np.uint8), at_end))

    def seen(place: Place) -> Array:
        raw = memory[place.storage].reshape(-1).view(np.uint8)
        steps = tuple(stride * place.dtype.itemsize for stride in place.strides)
        return np.ndarray(place.shape, place.dtype.numpy, raw, place.byte_offset, steps)

    names = []
    for step in lowered.steps:
        if isinstance(step, HostStep):
            arrays = [seen(place) for place in step.operands]
            step.node.op.reference(*arrays, *step.node.params)
            names.append(f"host {step.node.op.name}")
            continue
        addresses = [memory[p.storage].ctypes.data + p.byte_offset for p in step.operands]
        call(step.unit, step.desc, addresses, target)
        names.append(step.unit.name.rsplit("_", 1)[0])
    return [seen(place).copy() for place in lowered.outputs], names
