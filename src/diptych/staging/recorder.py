"""The recorder: runs every call eagerly, and notes it over numbered values."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from diptych import source
from diptych.core import call, recording, tape
from diptych.core.buffer import EPOCH_BITS, Buffer
from diptych.core.inplace import rearrangement
from diptych.core.layout import Layout
from diptych.core.operation import Operation, Params
from diptych.core.tape import Leaf
from diptych.core.tensor import Tensor, alias, wrap
from diptych.engine import EagerEvaluator
from diptych.graph.trace import visible
from diptych.ops.select import CAST
from diptych.staging.entries import Attach, Call, Effect, Input, Operand, Pull, Rule, Stretch

_numbers = iter(range(1, 1 << 22))


class Root:
    """Memory as the recording knows it: the value it holds now, and views read from that."""

    __slots__ = (
        "address", "held", "layout", "origin", "reference", "stretch", "value", "views", "written",
    )  # fmt: skip

    def __init__(self, reference: Any, place: Layout, address: int) -> None:
        self.reference = reference
        self.layout = place
        self.address = address
        self.value = -1
        self.stretch: Stretch | None = None
        self.views: dict[tuple[Layout, int], int] = {}
        self.origin: Input | None = None  # where it is read from outside
        self.held: Input | None = None  # the register that holds its present value
        self.written = False


class RefusedError(Exception):
    """Raised inside the recorder when something cannot be recorded; never seen outside."""


class Recorder:
    """An evaluator that runs calls with ``eager`` and appends them to stretches of entries.

    What cannot be recorded leaves ``failure`` (a reason with the user's line) and the run goes on.
    """

    updates = True

    def __init__(self, inner: EagerEvaluator, arguments: Sequence[Tensor]) -> None:
        self.eager = inner
        self.backend = inner.backend
        self.number = next(_numbers)
        self.thread = threading.get_ident()
        self.failure: tuple[str, str] | None = None
        self.stretch = Stretch()
        self.parts: list[Stretch | Effect] = [self.stretch]
        self.roots: dict[int, Root] = {}
        self.owners: dict[int, Input] = {}
        self.leaves: dict[int, tuple[Tensor, Any]] = {}  # id -> (leaf, the gradient last noted)
        self.inner: list[Any] = []
        self.entry_grads: list[tuple[Tensor, bool]] = []
        self.first = tape.Node((), 0).sequence  # what the tape records from now on is the call's
        self.values = 0
        self.registers = 0
        self.depth = 0
        self.arguments = arguments
        for index, x in enumerate(arguments):
            if id(canonical(x.buffer)) in self.owners:
                self.refuse("two arguments share memory")
            self.own(x, "argument", index)

    # ---- what the rooms below say

    def refuse(self, reason: str) -> None:
        if self.failure is None and threading.get_ident() == self.thread and not self.depth:
            self.failure = (reason, source.user_line())

    def read(self, tensor: Tensor) -> None:
        if self.depth or self.failure is not None or threading.get_ident() != self.thread:
            return
        buffer = canonical(tensor.buffer)
        if id(buffer) not in self.roots and (self.born(buffer) or not buffer.writable):
            return
        self.refuse("the elements of a tensor are read from Python")

    def touch(self, tensor: Tensor) -> None:
        origin = self.owners.get(id(canonical(tensor.buffer)))
        if origin is not None and not self.depth and self.held_by(origin) is tensor:
            self.refuse("a tensor that the call did not make changes its requires_grad")

    def draw(self) -> None:
        if not self.depth:
            self.refuse("a random generator is used in a way that cannot be repeated")

    def feed(self, made: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if self.depth or threading.get_ident() != self.thread:
            return made(*args)
        with self.aside():
            result = made(*args)
        if self.failure is None:
            self.add_root(result, self.enter(Input("feed", (made, args), result.layout)), None)
        return result

    def effect(self, change: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        if self.depth or threading.get_ident() != self.thread:
            return change(*args)
        self.cut()
        with self.aside():
            result = change(*args)
        if result is not None:
            self.refuse(f"{getattr(change, '__qualname__', change)} returned a value")
        self.parts.append(Effect(change, args))
        self.stretch = Stretch()
        self.parts.append(self.stretch)
        for key, (leaf, _) in self.leaves.items():
            self.leaves[key] = (leaf, leaf.held_grad)
        return result

    def check(self, test: Callable[..., Any], tensor: Tensor, args: tuple[Any, ...]) -> None:
        with self.aside():
            test(tensor, *args)
        if self.depth or self.failure is not None or threading.get_ident() != self.thread:
            return
        try:
            root = self.root_of(tensor)
            if root.origin is None or root.origin.kind not in ("argument", "state") or root.written:
                raise RefusedError("numbers that must lie in a range are computed on the way")
            self.stretch.checks.append((test, self.result(tensor), args))
        except RefusedError as error:
            self.refuse(str(error))

    def aside(self) -> Aside:
        return Aside(self)

    # ---- values

    def born(self, buffer: Buffer) -> bool:
        """Whether memory was made during this recording."""
        return buffer.version >> EPOCH_BITS == self.number

    def new_value(self) -> int:
        self.values += 1
        return self.values - 1

    def enter(self, place: Input) -> int:
        """A value of the stretch that comes from outside it."""
        value = self.new_value()
        self.stretch.inputs.append((value, place))
        return value

    def add_root(self, tensor: Tensor, value: int, origin: Input | None) -> Root:
        """Follow a tensor's memory from now on."""
        buffer = canonical(tensor.buffer)
        key = id(buffer)
        roots = self.roots
        root = Root(
            weakref.ref(buffer, lambda _: roots.pop(key, None)), tensor.layout, tensor.address
        )
        root.value = value
        root.origin = origin
        root.stretch = self.stretch
        roots[key] = root
        return root

    def meet(self, tensor: Tensor, buffer: Buffer) -> Root:
        """Memory seen for the first time: known from outside, or a constant made meanwhile."""
        origin = self.owners.get(id(buffer))
        if origin is not None:
            holder = self.held_by(origin)
            if holder is None or canonical(holder.buffer) is not buffer:
                raise RefusedError("a tensor's memory was exchanged")
            return self.add_root(holder, self.enter(origin), origin)
        whole = tensor if tensor.base is None else tensor.base
        if canonical(whole.buffer) is not buffer or whole.layout.dtype is not tensor.layout.dtype:
            whole = tensor
        if not self.born(buffer) and buffer.writable:
            raise RefusedError(
                f"a tensor of shape {list(tensor.layout.shape)} comes from where a replay cannot "
                "look for it again"
            )
        constant = wrap(Tensor, whole.layout, whole.buffer, whole.address)
        place = Input("constant", constant, whole.layout)
        return self.add_root(whole, self.enter(place), place)

    def register(self, root: Root) -> Input:
        """The register that hands a root's present value out of its stretch."""
        assert root.stretch is not None, "roots are made in a stretch"
        number = root.stretch.registers.get(root.value)
        if number is None:
            number = root.stretch.registers[root.value] = self.registers
            self.registers += 1
        return Input("register", number, root.layout)

    def held_by(self, origin: Input) -> Tensor | None:
        """The tensor that an input is read from, now."""
        found: Tensor | None
        if origin.kind == "argument":
            found = self.arguments[origin.key]
        else:
            found = origin.key.held_grad if origin.kind == "grad" else origin.key
        return found

    def refresh(self, root: Root) -> None:
        """Bring a value of an earlier stretch into this one."""
        origin = root.origin
        if origin is None:
            assert root.stretch is not None, "roots are made in a stretch"
            origin = root.held or self.register(root)
            root.held = origin
        root.value = self.enter(origin)
        root.stretch = self.stretch
        root.views = {}

    def root_of(self, tensor: Tensor) -> Root:
        buffer = canonical(tensor.buffer)
        root = self.roots.get(id(buffer))
        if root is None:
            root = self.meet(tensor, buffer)
        elif root.stretch is not self.stretch:
            self.refresh(root)
        return root

    def value_of(self, tensor: Tensor) -> int:
        """The number of the value that a tensor holds now."""
        root = self.root_of(tensor)
        place, address = tensor.layout, tensor.address
        if place is root.layout and address == root.address:
            return root.value
        found = root.views.get((place, address))
        if found is not None:
            return found
        wanted = tensor.node is not None
        params = region(root, place, address)
        value = self.note(rearrangement.as_strided, ((root.value, wanted),), params)
        root.views[place, address] = value
        return value

    def operand(self, tensor: Tensor) -> Operand:
        if tensor.node.__class__ is Leaf and id(tensor) not in self.leaves:
            self.inner.append(weakref.ref(tensor))  # made by the call: it must not outlive it
        return (self.value_of(tensor), tensor.node is not None)

    def note(self, op: Operation, operands: tuple[Operand, ...], params: Params) -> int:
        """Append a call that only the recording makes."""
        value = self.new_value()
        self.stretch.entries.append(Call(op, operands, params, (value,), tape.mode.enabled, ""))
        return value

    def enter_results(self, results: Sequence[Tensor], values: Sequence[int]) -> None:
        """Follow the memory of a call's results; results that share memory become views."""
        for result, value in zip(results, values, strict=True):
            root = self.roots.get(id(canonical(result.buffer)))
            if root is None:
                if self.born(canonical(result.buffer)):
                    self.add_root(result, value, None)
                continue
            if root.stretch is not self.stretch:
                self.refresh(root)
            if result.layout is not root.layout or result.address != root.address:
                root.views[result.layout, result.address] = value

    # ---- leaves and their gradients

    def add_leaf(self, leaf: Tensor) -> None:
        """A tensor whose gradient may change; the gradient it has is state."""
        held = leaf.held_grad
        self.leaves[id(leaf)] = (leaf, held)
        self.entry_grads.append((leaf, held is not None))
        if held is not None:
            place = Input("grad", leaf, held.layout)
            self.owners.setdefault(id(canonical(held.buffer)), place)

    def own(self, tensor: Tensor, kind: str, key: Any) -> None:
        """A tensor from before, which a replay finds again as ``key``."""
        known = self.owners.setdefault(
            id(canonical(tensor.buffer)), Input(kind, key, tensor.layout)
        )
        if known.kind == "argument" and kind != "argument":
            self.refuse("an argument shares memory with a tensor that the function holds")
        if tensor.node.__class__ is Leaf and id(tensor) not in self.leaves:
            self.add_leaf(tensor)

    def cut(self) -> None:
        """End the stretch: what it changed of the state is written, gradients are handed over."""
        if self.failure is not None:
            return
        try:
            stretch = self.stretch
            for root in list(self.roots.values()):
                if root.written and root.origin is not None and root.stretch is stretch:
                    if root.origin.kind != "constant":
                        stretch.writes.append((root.value, root.origin))
                        root.written = False
            for key, (leaf, before) in list(self.leaves.items()):
                held = leaf.held_grad
                if held is before and (held is None or self.unmoved(held)):
                    continue
                self.leaves[key] = (leaf, held)
                stretch.grads.append((leaf, None if held is None else self.result(held)))
        except RefusedError as error:
            self.refuse(str(error))

    def unmoved(self, held: Tensor) -> bool:
        """Whether a gradient is where it was: its memory is state, or nothing changed it."""
        root = self.roots.get(id(canonical(held.buffer)))
        return root is None or root.origin is not None

    def result(self, tensor: Tensor) -> tuple[Any, Layout, int, type[Tensor]]:
        """How a replay makes a tensor: whose memory, its layout, bytes from there, its class."""
        buffer = canonical(tensor.buffer)
        root = self.roots.get(id(buffer)) or self.meet(tensor, buffer)
        origin = root.origin
        holder: Any
        if origin is not None and origin.kind != "constant":
            holder = origin
        else:
            assert root.stretch is not None, "roots are made in a stretch"
            if not root.layout.contiguous and (tensor.layout is not root.layout):
                raise RefusedError("a view of memory in another order leaves the function")
            holder = root.held or self.register(root)
        return (holder, tensor.layout, tensor.address - root.address, type(tensor))

    # ---- the evaluator's interface

    def apply1(self, op: Operation, x: Tensor, params: Params) -> Any:
        return self.apply(op, (x,), params)

    def apply2(self, op: Operation, a: Tensor, b: Tensor, params: Params) -> Any:
        return self.apply(op, (a, b), params)

    def apply(self, op: Operation, operands: Sequence[Tensor], params: Params) -> Any:
        if self.depth or self.failure is not None or threading.get_ident() != self.thread:
            return self.eager.apply(op, operands, params)
        key: Any
        if len(operands) == 1:
            key = (operands[0].layout, params)
        else:
            key = (*[x.layout for x in operands], params)
        given: tuple[Operand, ...] = ()
        try:
            given = tuple([self.operand(x) for x in operands])
        except RefusedError as error:
            self.refuse(str(error))
        self.depth += 1
        try:
            plan = op.plans.get(key)
            if plan is None:
                plan = self.eager.make_plan(op, operands, params, key)
            out = plan(*operands)
        finally:
            self.depth -= 1
        if self.failure is None:
            results = out if type(out) is tuple else (out,)
            values = tuple([self.new_value() for _ in results])
            self.stretch.entries.append(
                Call(op, given, params, values, tape.mode.enabled, source.user_line())
            )
            self.enter_results(results, values)
        if op.differentiable and tape.mode.enabled:
            for x in operands:
                if x.node is not None:
                    tape.record(op, params, operands, out)
                    break
        return visible(op, out) if type(out) is tuple else out

    def into(self, out: Tensor, op: Operation, operands: Sequence[Tensor], params: Params) -> None:
        if self.depth or self.failure is not None or threading.get_ident() != self.thread:
            self.eager.into(out, op, operands, params)
            return
        try:
            given = tuple([self.operand(x) for x in operands])
            self.change(out, op, given, params)
        except RefusedError as error:
            self.refuse(str(error))
        self.depth += 1
        try:
            self.eager.into(out, op, operands, params)
        finally:
            self.depth -= 1

    def change(
        self, out: Tensor, op: Operation, given: tuple[Operand, ...], params: Params
    ) -> None:
        """Note an in-place change as a new value of the memory's root."""
        root = self.root_of(out)
        if root.origin is not None and root.origin.kind == "constant":
            self.thaw(root)
        value = self.note(op, given, params)
        wanted = tape.mode.enabled and any(wants for _, wants in given)
        self.assign(root, out, value, wanted)

    def assign(self, root: Root, out: Tensor, value: int, wanted: bool) -> None:
        """``out``, all or a part of a root's memory, holds a new value from now on."""
        value = self.note(CAST, ((value, wanted),), (out.layout.dtype,))
        if out.layout is not root.layout or out.address != root.address:
            params = region(root, out.layout, out.address)
            base = tape.mode.enabled and (out.node is not None or wanted)
            value = self.note(
                rearrangement.put_strided, ((root.value, base), (value, wanted)), params
            )
        root.value = value
        root.views = {}
        root.held = None
        root.written = True

    def attach(self, hang: Callable[..., None], x: Tensor, parts: Sequence[Tensor]) -> None:
        if self.depth or self.failure is not None or threading.get_ident() != self.thread:
            return
        try:
            numbers = tuple([self.value_of(part) for part in parts])
            self.stretch.entries.append(Attach(hang, (self.value_of(x), True), numbers))
        except RefusedError as error:
            self.refuse(str(error))

    def step(
        self, one: Callable[..., Sequence[Tensor]], groups: Sequence[Sequence[Tensor]], held: int,
        run: Callable[[], None],
    ) -> None:  # fmt: skip
        """Note an update of the first ``held`` tensors of each group in place; ``run`` does it."""
        if not self.depth and self.failure is None and threading.get_ident() == self.thread:
            try:
                for group in groups:
                    operands = tuple([self.value_of(x) for x in group])
                    results = tuple([self.new_value() for _ in range(held)])
                    self.stretch.entries.append(Rule(one, operands, results))
                    for target, value in zip(group, results, strict=False):
                        root = self.root_of(target)
                        if root.origin is not None and root.origin.kind == "constant":
                            self.thaw(root)
                        self.assign(root, target, value, False)
            except RefusedError as error:
                self.refuse(str(error))
        self.depth += 1
        try:
            run()
        finally:
            self.depth -= 1

    def thaw(self, root: Root) -> None:
        """A constant is about to change in its memory: the recording keeps what it was."""
        place = root.origin
        assert place is not None, "constants have an origin"
        buffer = root.reference()
        held = place.key
        with self.aside():
            kept = self.eager.apply1(CAST, alias(held, Tensor), (held.layout.dtype,))
        for index, (value, known) in enumerate(self.stretch.inputs):
            if known is place:
                self.stretch.inputs[index] = (value, Input("constant", kept, kept.layout))
        for part in self.parts:
            if isinstance(part, Stretch) and part is not self.stretch:
                part.inputs = [
                    (v, Input("constant", kept, kept.layout) if i is place else i)
                    for v, i in part.inputs
                ]
        assert buffer is not None, "it is about to change"
        root.origin = None

    def gradient(
        self, op: Operation, params: Params, saved: tuple[Any, ...], outputs: tuple[Any, ...],
        cotangents: tuple[Any, ...], needs: tuple[bool, ...],
    ) -> tuple[Any, ...]:  # fmt: skip
        if self.depth or self.failure is not None or threading.get_ident() != self.thread:
            return self.eager.gradient(op, params, saved, outputs, cotangents, needs)
        given: list[tuple[Any, ...]] = []
        try:
            for items in (saved, outputs, cotangents):
                given.append(
                    tuple([self.value_of(x) if isinstance(x, Tensor) else x for x in items])
                )
        except RefusedError as error:
            self.refuse(str(error))
        self.depth += 1
        try:
            pulled = self.eager.gradient(op, params, saved, outputs, cotangents, needs)
        finally:
            self.depth -= 1
        if self.failure is None:
            numbers = tuple([None if x is None else self.new_value() for x in pulled])
            self.stretch.entries.append(
                Pull(op, params, given[0], given[1], given[2], needs, numbers, "")
            )
            made = [
                (x, n)
                for x, n in zip(pulled, numbers, strict=True)
                if x is not None and n is not None
            ]
            self.enter_results([x for x, _ in made], [n for _, n in made])
            del made
        return pulled


class Aside:
    """What runs inside is not recorded: it is repeated as Python."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder

    def __enter__(self) -> None:
        self.recorder.depth += 1
        self.active = recording.active
        self.current = call.current
        self.profile = sys.getprofile()
        sys.setprofile(None)
        recording.active = None
        call.current = self.recorder.eager

    def __exit__(self, *_: Any) -> None:
        self.recorder.depth -= 1
        recording.active = self.active
        call.current = self.current
        sys.setprofile(self.profile)


def canonical(buffer: Any) -> Buffer:
    """The memory itself, where a buffer only counts changes of another's."""
    owner = getattr(buffer, "owner", None)
    return canonical(owner) if isinstance(owner, Buffer) else buffer


def region(root: Root, place: Layout, address: int) -> Params:
    """Shape, strides and offset of a part of a root's memory, in a root that is row-major."""
    if not root.layout.contiguous or place.dtype is not root.layout.dtype:
        raise RefusedError("a view of memory in another order or of another dtype is read")
    offset, rest = divmod(address - root.address, place.dtype.itemsize)
    if rest or offset + place.lowest < 0:
        raise RefusedError("a view reaches outside the tensor it was known by")
    if place.size and offset + place.lowest + place.span > root.layout.size:
        raise RefusedError("a view reaches outside the tensor it was known by")
    return (place.shape, place.strides, offset)
