"""The profiler: while a session is open, an evaluator around the eager one times every call."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from math import prod
from types import FrameType
from typing import Any

from diptych.compiler.indexing.guard import GUARD
from diptych.core import call
from diptych.core.layout import Layout
from diptych.core.operation import Operation, Params, Primitive
from diptych.core.tensor import Tensor
from diptych.graph.interpreter import evaluate
from diptych.runtime import program
from diptych.source import is_ours

_DEEPEST = 64  # frames of a recorded stack
_clock = time.perf_counter_ns


class Event:
    """One span of time: an operation, a node of the backward pass, a host step, or the user's own.

    ``kind`` is "operation", "in place", "backward", "host" (a step that NumPy ran, inside an
    operation) or "user". Times are nanoseconds of ``time.perf_counter_ns``; ``end`` is 0 while the
    span is open. ``layouts`` are the operands' (a None stands for what is no tensor), ``allocated``
    and ``freed`` the bytes of results made, and given back, while it was the innermost span.
    """

    __slots__ = (
        "allocated", "children", "compiled", "end", "flops", "freed", "interpreted", "kind",
        "layouts", "name", "note", "params", "parent", "stack", "start", "thread",
    )  # fmt: skip

    def __init__(self, name: str, kind: str, thread: int, parent: Event | None) -> None:
        self.name = name
        self.kind = kind
        self.thread = thread
        self.parent = parent
        self.children: list[Event] = []
        self.layouts: tuple[Layout | None, ...] = ()
        self.params: Params = ()
        self.stack: tuple[str, ...] = ()
        self.allocated = self.freed = self.flops = 0
        self.compiled = False  # the call was the first of its kind: its time includes compilation
        self.interpreted = False  # the whole engine runs on NumPy
        self.note = ""
        self.start = self.end = 0

    @property
    def on_host(self) -> bool:
        """Whether NumPy, not machine code of ours, did some of the work."""
        if self.interpreted or self.kind == "host":
            return True
        return any(child.kind == "host" for child in self.children)

    @property
    def net_memory(self) -> int:
        """Bytes made less bytes given back, in this span and all inside it."""
        return self.allocated - self.freed + sum(child.net_memory for child in self.children)

    def __repr__(self) -> str:
        return f"<Event {self.kind} {self.name} {(self.end - self.start) / 1e3:.3f}us>"


class _Thread(threading.local):
    """A thread's open spans, innermost last, and its number in the operating system."""

    def __init__(self) -> None:
        self.open: list[Event] = []
        self.number = threading.get_native_id()


class MemoryChange:
    """Bytes given back outside every span."""

    __slots__ = ("nbytes", "thread", "time", "total")

    def __init__(self, time: int, nbytes: int, total: int, thread: int) -> None:
        self.time, self.nbytes, self.total, self.thread = time, nbytes, total, thread


class Session:
    """What is recorded between ``open()`` and ``close()``, of all threads.

    Sessions nest: each has an evaluator of its own around the one it found.
    """

    def __init__(
        self, *, memory: bool = False, stacks: bool = False, flops: bool = False,
        interpreted: bool = False,
    ) -> None:  # fmt: skip
        self.memory, self.stacks, self.flops = memory, stacks, flops
        self.interpreted = interpreted  # the evaluator's backend is NumPy's
        self.events: list[Event] = []
        self.changes: list[MemoryChange] = []
        self.is_open = False
        self.start = self.end = 0
        self.epoch = 0  # nanoseconds since 1970 at which the clock showed 0
        self.held = 0  # bytes of the results alive
        self._threads = _Thread()
        self._buffers: dict[int, Any] = {}
        self._evaluator: ProfilingEvaluator | None = None

    # ---- the session

    def open(self) -> None:
        """Record from now on."""
        self.epoch = time.time_ns() - _clock()
        self._evaluator = ProfilingEvaluator(call.current, self)
        call.install(self._evaluator)
        _opened.append(self)
        program.evaluate_host = _timed_host_step
        self.is_open = True
        self.start = _clock()

    def close(self) -> None:
        """Record no more; spans still open end now."""
        if not self.is_open:
            return
        self.end = _clock()
        self.is_open = False
        _opened.remove(self)
        if not _opened:
            program.evaluate_host = evaluate
        # A session opened later may still stand in front: it takes ours away when it closes.
        while isinstance(call.current, ProfilingEvaluator) and not call.current.session.is_open:
            call.install(call.current.inner)
        self._buffers.clear()
        for event in self.events:
            event.end = event.end or self.end

    # ---- spans

    def enter(self, name: str, kind: str) -> Event:
        """Open a span on this thread."""
        threads = self._threads
        spans = threads.open
        parent = spans[-1] if spans else None
        event = Event(name, kind, threads.number, parent)
        if parent is not None:
            parent.children.append(event)
        spans.append(event)
        self.events.append(event)
        event.interpreted = self.interpreted
        if self.stacks:
            event.stack = user_stack()
        event.start = _clock()
        return event

    def leave(self, event: Event) -> None:
        """Close a span, and those inside it that an exception left open."""
        event.end = now = _clock()
        spans = self._threads.open
        if event not in spans:  # closed already, or opened on another thread
            return
        while True:
            last = spans.pop()
            last.end = last.end or now
            if last is event:
                break

    # ---- memory

    def keep(self, event: Event, operands: Sequence[Any], out: Any) -> None:
        """Count the memory of fresh results, and watch when it is given back."""
        given = {id(x.buffer) for x in operands if isinstance(x, Tensor)}
        for result in out if isinstance(out, (tuple, list)) else (out,):
            if not isinstance(result, Tensor):
                continue
            buffer = result.buffer
            key = id(buffer)
            if key in given or key in self._buffers:
                continue
            nbytes = buffer.nbytes
            event.allocated += nbytes
            self.held += nbytes
            self._buffers[key] = weakref.ref(buffer, self._freed(key, nbytes))

    def _freed(self, key: int, nbytes: int) -> Callable[[Any], None]:
        def freed(_: Any) -> None:
            if self._buffers.pop(key, None) is None or not self.is_open:
                return
            self.held -= nbytes
            threads = self._threads
            if threads.open:
                threads.open[-1].freed += nbytes
            else:
                self.changes.append(MemoryChange(_clock(), -nbytes, self.held, threads.number))

        return freed


class ProfilingEvaluator:
    """Hands every call to the evaluator it stands in front of, and tells a session about it."""

    def __init__(self, inner: call.Evaluator, session: Session) -> None:
        self.inner = inner
        self.session = session
        self.updates = inner.updates  # whether calls may change tensors in place

    def __getattr__(self, name: str) -> Any:
        # What some evaluators have besides (a backend): whoever asks means the one behind.
        return getattr(self.inner, name)

    def apply1(self, op: Operation, x: Tensor, params: Params) -> Any:
        if not self.session.is_open:
            return self.inner.apply1(op, x, params)
        with self.span(op, "operation", (x,), params) as done:
            return done(self.inner.apply1(op, x, params))

    def apply2(self, op: Operation, a: Tensor, b: Tensor, params: Params) -> Any:
        if not self.session.is_open:
            return self.inner.apply2(op, a, b, params)
        with self.span(op, "operation", (a, b), params) as done:
            return done(self.inner.apply2(op, a, b, params))

    def apply(self, op: Operation, operands: Sequence[Tensor], params: Params) -> Any:
        if not self.session.is_open:
            return self.inner.apply(op, operands, params)
        with self.span(op, "operation", operands, params) as done:
            return done(self.inner.apply(op, operands, params))

    def into(self, out: Tensor, op: Operation, operands: Sequence[Tensor], params: Params) -> None:
        if not self.session.is_open:
            self.inner.into(out, op, operands, params)
            return
        with self.span(op, "in place", operands, params) as done:
            self.inner.into(out, op, operands, params)
            done(out)

    def gradient(
        self, op: Operation, params: Params, saved: tuple[Any, ...], outputs: tuple[Any, ...],
        cotangents: tuple[Any, ...], needs: tuple[bool, ...],
    ) -> tuple[Any, ...]:  # fmt: skip
        if not self.session.is_open:
            return self.inner.gradient(op, params, saved, outputs, cotangents, needs)
        with self.span(op, "backward", cotangents, params, (saved, outputs, needs)) as done:
            pulled = self.inner.gradient(op, params, saved, outputs, cotangents, needs)
            return done(pulled)

    def span(
        self, op: Operation, kind: str, operands: Sequence[Any], params: Params, backward: Any = (),
    ) -> _Span:  # fmt: skip
        """The time of one call, as a ``with`` block that its result goes through."""
        return _Span(self.session, op, kind, operands, params, backward)


class _Span:
    """A ``with`` block around one call; give it the result, which it hands back."""

    __slots__ = ("backward", "event", "kind", "op", "operands", "params", "plans", "session")

    def __init__(
        self, session: Session, op: Operation, kind: str, operands: Sequence[Any], params: Params,
        backward: Any,
    ) -> None:  # fmt: skip
        self.session, self.op, self.kind = session, op, kind
        self.operands, self.params, self.backward = operands, params, backward

    def __enter__(self) -> Callable[[Any], Any]:
        op = self.op
        self.plans = len(op.plans) + len(op.backward_plans)
        self.event = self.session.enter(op.name, self.kind)
        return self.done

    def done(self, out: Any) -> Any:
        """Note what the call made."""
        event, session, op = self.event, self.session, self.op
        event.end = _clock()  # what follows is the profiler's own time
        event.compiled = len(op.plans) + len(op.backward_plans) > self.plans
        event.layouts = tuple([place_of(x) for x in self.operands])
        event.params = self.params
        if session.flops:
            if self.backward:
                saved, outputs, needs = self.backward
                places = [place_of(x) for x in saved]
                event.flops = work(op.name, places, [place_of(x) for x in outputs])
                event.flops *= max(1, sum(needs[:2])) if op.name in PRODUCTS else 1
            else:
                made = out if isinstance(out, (tuple, list)) else (out,)
                event.flops = work(
                    op.name, [place_of(x) for x in self.operands], [place_of(x) for x in made]
                )
        if session.memory:
            given = (*self.operands, *self.backward[0]) if self.backward else self.operands
            if self.kind != "in place":
                session.keep(event, given, out)
        return out

    def __exit__(self, *exc: object) -> None:
        event = self.event
        end = event.end
        self.session.leave(event)
        event.end = end or event.end


_opened: list[Session] = []


def _timed_host_step(op: Primitive, *rest: Any) -> Any:
    """A step that NumPy runs, as a span inside its operation's."""
    if op is GUARD:  # looks at one byte
        return evaluate(op, *rest)
    spans = enter(op.name, kind="host")
    try:
        return evaluate(op, *rest)
    finally:
        leave(spans)


def opened() -> bool:
    """Whether any session records."""
    return bool(_opened)


def enter(name: str, note: str = "", kind: str = "user") -> list[tuple[Session, Event]]:
    """Open a span in every session that records; give the result to :func:`leave`."""
    spans = []
    for session in tuple(_opened):
        event = session.enter(name, kind)
        event.note = note
        spans.append((session, event))
    return spans


def leave(spans: list[tuple[Session, Event]]) -> None:
    """Close spans that :func:`enter` opened, innermost session first."""
    for session, event in reversed(spans):
        if session.is_open:
            session.leave(event)


@contextlib.contextmanager
def span(name: str, note: str = "") -> Iterator[None]:
    """Mark the time of a block in every session that records; nothing where none does."""
    spans = enter(name, note) if _opened else []
    try:
        yield
    finally:
        leave(spans)


def user_stack() -> tuple[str, ...]:
    """``file(line): function`` of the frames that are not ours, the innermost first."""
    frames: list[str] = []
    current: FrameType | None = sys._getframe(1)
    while current is not None and len(frames) < _DEEPEST:
        code = current.f_code
        name = code.co_filename
        if not is_ours(name) and not name.startswith("<frozen "):
            frames.append(f"{name}({current.f_lineno}): {code.co_name}")
        current = current.f_back
    return tuple(frames)


# ---- floating-point operations

# Their gradient in each operand is a product of the same size.
PRODUCTS = frozenset(("dot", "linear", "convolution", "convolution_input"))


def place_of(value: Any) -> Layout | None:
    """The layout of an operand or result; None for what is neither."""
    if isinstance(value, Tensor):
        return value.layout
    return value if isinstance(value, Layout) else None


def work(name: str, given: Sequence[Layout | None], made: Sequence[Layout | None]) -> int:
    """Floating-point operations of one call: two per multiply-add of products and convolutions,
    one per element of the four arithmetic operations; 0 for what is not counted."""
    first = given[0] if given else None
    second = given[1] if len(given) > 1 else None
    out = made[0] if made else None
    if first is None:
        return 0
    if name in ("add", "sub", "mul", "div") and out is not None:
        return prod(out.shape)
    if second is None:
        return 0
    if name in ("dot", "linear") and out is not None:
        return 2 * prod(out.shape) * first.shape[-1]
    if name == "convolution" and out is not None:
        return 2 * prod(out.shape) * prod(second.shape[1:])
    if name == "convolution_input":
        return 2 * prod(first.shape) * prod(second.shape[1:])
    if name == "convolution_weight" and out is not None:
        return 2 * prod(second.shape) * prod(out.shape[1:])
    if name == "scaled_dot_product_attention" and out is not None:
        return 2 * prod(first.shape[:-1]) * second.shape[-2] * (first.shape[-1] + out.shape[-1])
    return 0
