"""Puts the rooms together: the eager evaluator, its plans, and compilation of traced functions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from diptych import config
from diptych.compiler.llvm import backend
from diptych.compiler.lower import lower, lower_update
from diptych.compiler.pointwise import kernel_of
from diptych.core import buffer as buffers
from diptych.core import call, dtypes, tape
from diptych.core.buffer import PooledBuffer
from diptych.core.inplace import register_view
from diptych.core.layout import Layout, Shape, layout
from diptych.core.operation import Composite, Context, Operation, Params, Primitive, registered
from diptych.core.tensor import Tensor, copy_array, empty, store
from diptych.errors import ShapeError
from diptych.graph.graph import Graph
from diptych.graph.interpreter import interpret
from diptych.graph.trace import trace, visible
from diptych.ops import declared as declared
from diptych.runtime import draws, kernels, native, objects
from diptych.runtime.allocator import CachingAllocator
from diptych.runtime.checking import CheckedExecutable
from diptych.runtime.program import RELEASE_BYTES, NativeStretch, Program, joined

# Programs whose shapes never repeat must not grow for ever.
_PLANS_LIMIT = 4096  # plans of an operation
_ALL_PLANS_LIMIT = 1 << 14  # of all operations

# A plan takes the operands and gives the result: a Tensor, or a tuple of them.
Plan = Callable[..., Any]


class Executable(Protocol):
    """A graph ready to run on operands of the layouts it was traced with."""

    def run(self, operands: Sequence[Tensor]) -> list[Tensor]:
        """The outputs, as tensors of class Tensor."""

    def run_into(self, target: Tensor, operands: Sequence[Tensor]) -> None:
        """Write the first output over ``target``'s memory."""


class Backend(Protocol):
    """Turns graphs into executables."""

    def compile(self, graph: Graph, out: Layout | None = None) -> Executable:
        """Prepare a graph; with ``out``, to write the first output over memory of that layout."""

    def plan(self, graph: Graph) -> Plan:
        """A plan of a graph whose outputs take the class of the first operand."""

    def kernel(
        self, op: Primitive, params: Params, operands: Sequence[Layout], made: Layout, out: Layout
    ) -> Kernel | None:
        """One elementwise call as a single kernel that writes ``made`` into ``out``, if it is."""


def traced_call(op: Operation, layouts: Sequence[Layout], params: Params) -> Graph:
    """The graph of one call of an operation, residuals included."""
    if isinstance(op, Composite):
        return trace(lambda *operands: op.forward(*operands, *params), layouts)
    return trace(lambda *operands: call.current.apply(op, operands, params), layouts)


def general_plan(run: Callable[[Sequence[Tensor]], list[Tensor]], outputs: int) -> Plan:
    """A plan around any executable."""
    single = outputs == 1

    def plan(*operands: Tensor) -> Any:
        cls = operands[0].result_type if operands else Tensor
        results = run(operands)
        for result in results:
            result.__class__ = cls
        return results[0] if single else tuple(results)

    return plan


class ReferenceExecutable:
    """Runs a graph with NumPy: what serves without LLVM, and the oracle of everything else."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.places = [graph.layouts[value] for value in graph.outputs]

    def run(self, operands: Sequence[Tensor]) -> list[Tensor]:
        arrays = interpret(self.graph, [operand.values() for operand in operands])
        results = []
        for place, array in zip(self.places, arrays, strict=True):
            out = empty(layout(place.dtype, place.shape), Tensor)
            store(out, array)
            results.append(out)
        return results

    def run_into(self, target: Tensor, operands: Sequence[Tensor]) -> None:
        store(target, interpret(self.graph, [operand.values() for operand in operands])[0])


class ReferenceBackend:
    """NumPy's interpreter behind the plans."""

    def compile(self, graph: Graph, out: Layout | None = None) -> Executable:
        return ReferenceExecutable(graph)

    def plan(self, graph: Graph) -> Plan:
        return general_plan(ReferenceExecutable(graph).run, len(graph.outputs))

    def kernel(self, *_: Any) -> None:
        """None: there are no kernels."""


class NativeBackend:
    """Lowers graphs, and links them to generated machine code."""

    def __init__(self) -> None:
        native.install()
        draws.install()

    def compile(self, graph: Graph, out: Layout | None = None) -> Executable:
        return Program(lower(graph, objects.target(), out))

    def plan(self, graph: Graph) -> Plan:
        program = Program(lower(graph, objects.target()))
        plan = direct_plan(program) or stretch_plan(program)
        return plan or general_plan(program.run, len(graph.outputs))

    def kernel(
        self, op: Primitive, params: Params, operands: Sequence[Layout], made: Layout, out: Layout
    ) -> Kernel | None:
        found = kernel_of(op, params[0], operands, made, out, objects.target())
        if found is None:
            return None
        unit, numbers = found
        desc = np.array(numbers, np.int64)
        widest = max(place.nbytes for place in (*operands, out))
        return kernels.load(unit), buffers.address_of(desc), widest >= RELEASE_BYTES, desc


class CheckingBackend(NativeBackend):
    """Native code beside the reference, for DIPTYCH_CHECK=1."""

    def compile(self, graph: Graph, out: Layout | None = None) -> Executable:
        return CheckedExecutable(graph, out)

    def plan(self, graph: Graph) -> Plan:
        return general_plan(CheckedExecutable(graph).run, len(graph.outputs))

    def kernel(self, *_: Any) -> None:
        """None: every call is compared, so it goes the long way."""


def direct_plan(program: Program) -> Plan | None:
    """A plan for the common case: one kernel, one or two operands in order, one fresh result."""
    found = program.direct()
    if found is None:
        return None
    kernel, desc, order = found
    position, place, offset = program.outputs[0]
    nbytes = program.sizes[0] if program.sizes else 0
    if (
        len(program.outputs) != 1
        or position != 0
        or offset
        or order not in ([0, 1], [0, 1, 2], [0, 1, 2, 3])
    ):
        return None
    released = program.stretches[0].released
    return kernel_plan((kernel, desc, released, program), nbytes, place, program.inputs)


# A kernel, its descriptor's address, whether other threads run meanwhile, and what owns it all.
Kernel = tuple[int, int, bool, object]


def kernel_plan(kernel: Kernel, nbytes: int, place: Layout, inputs: int) -> Plan:
    """A plan of one kernel over one to three operands, into a fresh result of ``nbytes``."""
    code, desc, released, keep = kernel
    native_call = native.call_released if released else native.call
    new = object.__new__

    def plan1(x: Tensor) -> Tensor:
        buffer = PooledBuffer(nbytes)
        out = new(x.result_type)
        out.layout = place
        out.buffer = buffer
        out.address = address = buffer.address
        native_call(code, desc, x.address, address)
        return out

    def plan2(a: Tensor, b: Tensor) -> Tensor:
        buffer = PooledBuffer(nbytes)
        out = new(a.result_type)
        out.layout = place
        out.buffer = buffer
        out.address = address = buffer.address
        native_call(code, desc, a.address, b.address, address)
        return out

    def plan3(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        buffer = PooledBuffer(nbytes)
        out = new(a.result_type)
        out.layout = place
        out.buffer = buffer
        out.address = address = buffer.address
        native_call(code, desc, a.address, b.address, c.address, address)
        return out

    made: Any = (plan1, plan2, plan3)[inputs - 1]
    made.program = keep
    plan: Plan = made
    return plan


def stretch_plan(program: Program) -> Plan | None:
    """A plan for one native stretch into fresh results, which only checks of indices may follow."""
    first, *rest = program.stretches or [None]
    guards = [found for step in rest if (found := program.guard(step)) is not None]
    if not isinstance(first, NativeStretch) or len(guards) < len(rest):
        return None
    if not program.outputs or any(position < 0 for position, _, _ in program.outputs):
        return None
    run = native.run_program_released if first.released else native.run_program
    table, sizes, arena_bytes = first.address, program.sizes, program.arena_bytes
    single = len(program.outputs) == 1
    outputs = program.outputs
    new = object.__new__
    nbytes, (_, only, skip) = (sizes or [0])[0], outputs[0]

    def plan_one(*operands: Tensor) -> Any:  # one result, nothing in between
        buffer = PooledBuffer(nbytes)
        address = buffer.address
        run(table, 0, *[x.address for x in operands], address)
        out = new(operands[0].result_type)
        out.layout = only
        out.buffer = buffer
        out.address = address + skip
        return out

    def plan_any(*operands: Tensor) -> Any:
        arena = PooledBuffer(arena_bytes) if arena_bytes else None
        buffers = [PooledBuffer(nbytes) for nbytes in sizes]
        run(
            table, arena.address if arena is not None else 0,
            *[x.address for x in operands], *[buffer.address for buffer in buffers],
        )  # fmt: skip
        for at, check in guards:  # the kernel wrote whether an index was out of range
            if arena.memory[at]:  # type: ignore[union-attr]
                check(operands, buffers, arena)
        cls = operands[0].result_type if operands else Tensor
        results = []
        for position, place, offset in outputs:
            out = new(cls)
            out.layout = place
            out.buffer = buffer = buffers[position]
            out.address = buffer.address + offset
            results.append(out)
        return results[0] if single else tuple(results)

    simple = single and len(sizes) == 1 and not arena_bytes and program.inputs
    made: Any = plan_one if simple else plan_any
    made.program = program  # owns the table
    plan: Plan = made
    return plan


class EagerEvaluator:
    """Runs every call now, through a plan found by operation, layouts and parameters.

    ``backend`` turns graphs into something that runs: NumPy's interpreter, or compiled code.
    """

    updates = True

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.planned = 0  # plans made since all were dropped

    # ---- calls

    def apply1(self, op: Operation, x: Tensor, params: Params) -> Any:
        key = (x.layout, params)
        plan = op.plans.get(key)
        if plan is None:
            plan = self.make_plan(op, (x,), params, key)
        out = plan(x)
        if x.node is not None and op.differentiable and tape.mode.enabled:
            tape.record(op, params, (x,), out)
        return visible(op, out) if type(out) is tuple else out

    def apply2(self, op: Operation, a: Tensor, b: Tensor, params: Params) -> Any:
        key = (a.layout, b.layout, params)
        plan = op.plans.get(key)
        if plan is None:
            plan = self.make_plan(op, (a, b), params, key)
        out = plan(a, b)
        if (a.node is not None or b.node is not None) and op.differentiable and tape.mode.enabled:
            if type(out) is tuple:
                tape.record(op, params, (a, b), out)
            else:
                tape.record2(op, params, a, b, out)
        return visible(op, out) if type(out) is tuple else out

    def apply(self, op: Operation, operands: Sequence[Tensor], params: Params) -> Any:
        key = (*[x.layout for x in operands], params)
        plan = op.plans.get(key)
        if plan is None:
            plan = self.make_plan(op, operands, params, key)
        out = plan(*operands)
        if op.differentiable:
            for x in operands:
                if x.node is not None:
                    if tape.mode.enabled:
                        tape.record(op, params, operands, out)
                    break
        return visible(op, out) if type(out) is tuple else out

    def make_plan(
        self, op: Operation, operands: Sequence[Tensor], params: Params, key: Any
    ) -> Plan:
        """Build and remember the plan of a call."""
        plan: Plan | None = None
        if isinstance(op, Primitive) and op.view is not None:
            plan = view_plan(op, operands[0].layout, params)
        elif op.family == "elementwise" and isinstance(op, Primitive):
            layouts = [x.layout for x in operands]
            made: Any = op.infer(tuple(layouts), params)
            kernel = self.backend.kernel(op, params, layouts, made, made)
            if kernel is not None:
                plan = kernel_plan(kernel, made.nbytes, made, len(layouts))
        if plan is None:
            graph = traced_call(op, [x.layout for x in operands], params)
            plan = self.backend.plan(graph)
        self.remember(op.plans, key, plan)
        return plan

    def remember(self, plans: dict[Any, Any], key: Any, plan: Any) -> None:
        """Keep a plan, within the bounds on one operation's plans and on all."""
        if len(plans) >= _PLANS_LIMIT:
            plans.clear()
        self.planned += 1
        if self.planned > _ALL_PLANS_LIMIT:
            self.planned = 0
            for op in registered():
                op.plans.clear()
                op.backward_plans.clear()
        plans[key] = plan

    # ---- in place

    def into(self, out: Tensor, op: Operation, operands: Sequence[Tensor], params: Params) -> None:
        if len(operands) == 2:
            a, b = operands
            key: Any = ("into", out.layout, a.layout, b.layout, params)
        else:
            key = ("into", out.layout, *[x.layout for x in operands], params)
        plan = op.plans.get(key)
        if plan is None:
            plan = self.into_plan(op, out, operands, params, key)
        plan(out, operands)

    def into_plan(
        self, op: Operation, out: Tensor, operands: Sequence[Tensor], params: Params, key: Any
    ) -> Plan:
        write, elementwise = self.writing(op, out.layout, [x.layout for x in operands], params)

        def plan(target: Tensor, given: Sequence[Tensor]) -> None:
            buffer = target.buffer
            for x in given:
                if x.buffer is buffer and not (
                    elementwise and x.address == target.address and x.layout is target.layout
                ):
                    # An operand that overlaps the target otherwise: read it all before writing.
                    apart = [detached_copy(y) if y.buffer is buffer else y for y in given]
                    self.into(target, op, apart, params)
                    return
            write(target, given)

        self.remember(op.plans, key, plan)
        return plan

    def writing(
        self, op: Operation, out: Layout, operands: Sequence[Layout], params: Params
    ) -> tuple[Callable[[Tensor, Sequence[Tensor]], None], bool]:
        """What writes a call over its target, and whether that is elementwise."""
        if op.family == "elementwise" and isinstance(op, Primitive):
            made: Any = op.infer(tuple(operands), params)
            require_shape(op, out, made.shape)
            kernel = self.backend.kernel(op, params, operands, made, out)
            if kernel is not None:
                return kernel_write(kernel, len(operands)), True
        graph = traced_call(op, operands, params)
        require_shape(op, out, graph.layouts[graph.outputs[0]].shape)
        executable = self.backend.compile(graph, out)
        elementwise = len(graph.nodes) == 1 and graph.nodes[0].op.family == "elementwise"
        return direct_write(executable, len(operands)) or executable.run_into, elementwise

    # ---- gradients

    def gradient(
        self, op: Operation, params: Params, saved: tuple[Any, ...], outputs: tuple[Any, ...],
        cotangents: tuple[Any, ...], needs: tuple[bool, ...],
    ) -> tuple[Any, ...]:  # fmt: skip
        given = (*saved, *outputs, *cotangents)
        key = (
            params, needs, len(saved),
            *[v.layout if isinstance(v, Tensor) else v for v in given],
            *[isinstance(v, Tensor) for v in given],
        )  # fmt: skip
        plan = op.backward_plans.get(key)
        if plan is None:
            plan = gradient_plan(self, op, params, saved, outputs, cotangents, needs)
            self.remember(op.backward_plans, key, plan)
        return plan(given)


def require_shape(op: Operation, out: Layout, made: Shape) -> None:
    """Raise where a result would be written past its target's end."""
    if made != out.shape:
        raise ShapeError(
            f"output with shape {list(out.shape)} doesn't match the broadcast shape {list(made)}",
            op=op.name, argument="the target", got=out.shape,
        )  # fmt: skip


def direct_write(
    executable: Executable, operands: int
) -> Callable[[Tensor, Sequence[Tensor]], None] | None:
    """The single kernel of a program that writes over its target, called directly."""
    found = executable.direct() if isinstance(executable, Program) else None
    if found is None or not isinstance(executable, Program):
        return None
    kernel, desc, order = found
    if order != list(range(operands + 1)):
        return None
    released = executable.stretches[0].released
    return kernel_write((kernel, desc, released, executable), operands)


def kernel_write(kernel: Kernel, operands: int) -> Callable[[Tensor, Sequence[Tensor]], None]:
    """What calls a kernel to write over its target."""
    code, desc, released, keep = kernel
    native_call = native.call_released if released else native.call

    def write1(target: Tensor, given: Sequence[Tensor]) -> None:
        native_call(code, desc, given[0].address, target.address)

    def write2(target: Tensor, given: Sequence[Tensor]) -> None:
        a, b = given
        native_call(code, desc, a.address, b.address, target.address)

    def write_any(target: Tensor, given: Sequence[Tensor]) -> None:
        native_call(code, desc, *[x.address for x in given], target.address)

    write = write1 if operands == 1 else write2 if operands == 2 else write_any
    write.program = keep  # type: ignore[attr-defined]  # owns desc
    return write


def view_plan(op: Primitive, place: Layout, params: Params) -> Plan | None:
    """A plan that shares memory, when the operation's result can; it sets the view's base."""
    viewed = op.view(place, params) if op.view is not None else None
    if viewed is None:
        return None
    strided, offset = viewed
    lowest = offset + strided.lowest
    if strided.size and not (
        place.lowest <= lowest and lowest + strided.span <= place.lowest + place.span
    ):
        raise ShapeError(
            f"{op.name}: the view {strided} at element {offset} would reach outside {place}; "
            "its arguments do not fit the tensor",
            op=op.name,
        )
    # A view of no elements stays where its operand is: an offset could lie outside the buffer.
    skip = offset * place.dtype.itemsize if strided.size else 0

    new = object.__new__

    def plan(x: Tensor) -> Tensor:
        out = new(x.result_type)
        out.layout = strided
        out.buffer = x.buffer
        out.address = x.address + skip
        base = x.base
        out.base = base = x if base is None else base
        if x.node is not None:
            register_view(out, base)
        return out

    return plan


def gradient_plan(
    evaluator: EagerEvaluator, op: Operation, params: Params, saved: tuple[Any, ...],
    outputs: tuple[Any, ...], cotangents: tuple[Any, ...], needs: tuple[bool, ...],
) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:  # fmt: skip
    """A compiled backward of one call: the gradient rule traced over what was saved."""
    given = (*saved, *outputs, *cotangents)
    places = [index for index, value in enumerate(given) if isinstance(value, Tensor)]
    arrived: list[int] = []

    def rule(*operands: Tensor) -> Sequence[Any]:
        filled = list(given)
        for index, operand in zip(places, operands, strict=True):
            filled[index] = operand
        first, second = len(saved), len(saved) + len(outputs)
        context = Context(tuple(filled[:first]), tuple(filled[first:second]), params, needs)
        pulled = list(tape.open_rule(op, context, filled[second:]))
        pulled = [value if need else None for value, need in zip(pulled, needs, strict=False)]
        arrived[:] = [index for index, value in enumerate(pulled) if value is not None]
        return pulled

    graph = trace(rule, [given[index].layout for index in places])
    plan = evaluator.backend.plan(graph)
    count = len(needs)
    single = len(graph.outputs) == 1

    def run(values: tuple[Any, ...]) -> tuple[Any, ...]:
        if not arrived_places:
            return (None,) * count
        results = plan(*[values[index] for index in places])
        pulled: list[Any] = [None] * count
        for index, result in zip(arrived_places, (results,) if single else results, strict=True):
            pulled[index] = result
        return tuple(pulled)

    arrived_places = tuple(arrived)
    return run


class _Numbers(threading.local):
    """Room for an update's scalars: each thread's own, since two may step at once."""

    def __init__(self, count: int) -> None:
        self.values = np.zeros(max(count, 1), np.float64)
        first = int(self.values.__array_interface__["data"][0])
        self.addresses = [first + 8 * index for index in range(count)]


class Update:
    """An update rule over many groups of tensors, in place, as one native call.

    ``rule(*tensors, *scalars)`` gives the new values of the tensors at positions ``over``; scalars
    are float64 and read at run time. ``layouts`` lists each group's tensors' layouts. Call it with
    the groups' tensors (flat, in order) and the scalars.
    """

    def __init__(
        self,
        rule: Callable[..., Sequence[Tensor]],
        layouts: Sequence[tuple[Layout, ...]],
        over: tuple[int, ...],
        scalars: int,
    ) -> None:
        self.over = over
        self.width = len(layouts[0])
        self.numbers = _Numbers(scalars)
        number = layout(dtypes.float64, ())
        evaluator = getattr(call.current, "eager", call.current)  # a recorder runs what it records
        made: dict[tuple[Layout, ...], Any] = {}
        self.groups = []
        for group in layouts:
            if group not in made:
                graph = trace(rule, [*group, *[number] * scalars])
                made[group] = (
                    lower_update(graph, objects.target(), over)
                    if isinstance(getattr(evaluator, "backend", None), NativeBackend)
                    else ReferenceExecutable(graph)
                )
            self.groups.append(made[group])
        self.stretch: Any = None
        if not isinstance(self.groups[0], ReferenceExecutable):
            self.stretch = joined(self.groups, self.width, scalars)

    def __call__(self, tensors: Sequence[Tensor], scalars: Sequence[float]) -> None:
        if self.stretch is not None:
            numbers = self.numbers
            numbers.values[:] = scalars
            self.stretch.run(0, [*[x.address for x in tensors], *numbers.addresses])
        else:
            constants = [copy_array(np.float64(value), Tensor) for value in scalars]
            for start, executable in zip(
                range(0, len(tensors), self.width), self.groups, strict=True
            ):
                group = tensors[start : start + self.width]
                for position, value in zip(
                    self.over, executable.run([*group, *constants]), strict=True
                ):
                    store(group[position], value.array())
        for start in range(0, len(tensors), self.width):
            for position in self.over:
                tensors[start + position].buffer.version += 1


def detached_copy(x: Tensor) -> Tensor:
    """A row-major copy of a tensor, off the tape."""
    return copy_array(x.array(), x.result_type, x.layout.dtype)


def choose_backend() -> Backend:
    """What DIPTYCH_EVALUATOR asks for; "auto" means native code where LLVM is installed."""
    wanted = config.EVALUATOR.get()
    if wanted == "reference" or (wanted == "auto" and not backend.version()):
        return ReferenceBackend()
    buffers.install(CachingAllocator())
    try:
        return CheckingBackend() if config.CHECK.get() else NativeBackend()
    except backend.LLVMMissingError:
        if wanted == "native":
            raise
        return ReferenceBackend()


def ensure() -> None:
    """Install the eager evaluator, once."""
    if not isinstance(call.current, EagerEvaluator):
        call.install(EagerEvaluator(choose_backend()))


ensure()
