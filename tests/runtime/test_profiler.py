"""Sessions of the profiler: what they record of calls, and that nothing is left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from diptych import engine
from diptych.core import call, tape
from diptych.core.dtypes import float32
from diptych.core.layout import layout
from diptych.core.tensor import Tensor, from_array
from diptych.ops import arithmetic, contraction, movement, sorting
from diptych.runtime import profiler, program
from diptych.runtime.profiler import Session, work

engine.ensure()


def tensor(*shape: int) -> Tensor:
    return from_array(np.ones(shape, np.float32), Tensor)


@pytest.fixture
def session() -> Iterator[Session]:
    made = Session(memory=True, stacks=True, flops=True)
    made.open()
    yield made
    made.close()


def names(session: Session) -> list[tuple[str, str]]:
    return [(event.kind, event.name) for event in session.events]


def test_calls_are_recorded_in_order_with_layouts_and_time(session: Session) -> None:
    arithmetic.add(tensor(2, 3), tensor(3))
    arithmetic.neg(tensor(4))
    session.close()
    assert names(session) == [("operation", "add"), ("operation", "neg")]
    first, second = session.events
    assert [place.shape for place in first.layouts if place] == [(2, 3), (3,)]
    assert session.start <= first.start <= first.end <= second.start <= second.end <= session.end
    assert first.thread == threading.get_native_id()


def test_a_closed_session_records_nothing_and_leaves_nothing() -> None:
    before, step = call.current, program.evaluate_host
    session = Session()
    session.open()
    assert call.current is not before
    assert program.evaluate_host is not step
    assert call.current.updates is before.updates
    session.close()
    session.close()
    arithmetic.neg(tensor(2))
    assert call.current is before
    assert program.evaluate_host is step
    assert not profiler.opened()
    assert session.events == []


def test_sessions_nest_and_may_close_in_any_order() -> None:
    before = call.current
    first, second = Session(), Session()
    first.open()
    second.open()
    arithmetic.neg(tensor(2))
    first.close()
    arithmetic.add(tensor(2), tensor(2))
    second.close()
    assert names(first) == [("operation", "neg")]
    assert names(second) == [("operation", "neg"), ("operation", "add")]
    assert call.current is before


def test_spans_of_the_user_hold_what_runs_inside(session: Session) -> None:
    with profiler.span("outer"):
        with profiler.span("inner", "why"):
            arithmetic.neg(tensor(2))
        arithmetic.add(tensor(2), tensor(2))
    outer, inner, neg, add = session.events
    assert outer.children == [inner, add]
    assert inner.children == [neg]
    assert inner.note == "why"
    assert neg.parent is inner
    assert outer.end >= add.end >= inner.end >= neg.end > 0


def test_an_error_closes_its_span(session: Session) -> None:
    with pytest.raises(RuntimeError), profiler.span("outer"):
        contraction.dot(tensor(2, 3), tensor(2, 3))
    arithmetic.neg(tensor(2))
    outer, dot, neg = session.events
    assert dot.end and outer.end
    assert neg.parent is None


def test_spans_left_open_inside_are_closed_with_the_outer_one(session: Session) -> None:
    outer = session.enter("outer", "user")
    inner = session.enter("inner", "user")
    session.leave(outer)
    assert inner.end == outer.end > 0
    assert session.enter("next", "user").parent is None
    session.leave(inner)  # comes too late, harms nothing


def test_gradients_and_changes_in_place(session: Session) -> None:
    x = tensor(2, 3)
    tape.require_gradient(x)
    y = contraction.dot(x, tensor(3, 4))
    tape.backward([(y.node, 0, tensor(2, 4))])
    call.current.into(tensor(2), arithmetic.ADD, (tensor(2), tensor(2)), (float32,))
    assert names(session) == [
        ("operation", "dot"), ("backward", "dot"), ("in place", "add"),
    ]  # fmt: skip
    forward, backward, _ = session.events
    assert forward.flops == 2 * 2 * 3 * 4
    assert backward.flops == 2 * 2 * 3 * 4  # one operand's gradient
    assert backward.allocated == 2 * 3 * 4


def test_memory_of_results_and_when_it_is_given_back(session: Session) -> None:
    x = tensor(16, 16)
    with profiler.span("outer"):
        y = arithmetic.neg(x)
        del y
        z = arithmetic.neg(x)
    outer, first, second = session.events
    assert (first.allocated, second.allocated) == (1024, 1024)
    assert (outer.allocated, outer.freed) == (0, 1024)
    assert outer.net_memory == 1024
    assert session.held == 1024
    del z
    (change,) = session.changes
    assert (change.nbytes, change.total) == (-1024, 0)


def test_views_make_no_memory(session: Session) -> None:
    y = arithmetic.neg(tensor(4, 4))
    before = session.held
    view = movement.reshape(y, (16,))
    assert view.buffer is y.buffer
    assert session.held == before


def test_stacks_start_at_the_users_line(session: Session) -> None:
    arithmetic.neg(tensor(2))
    (event,) = session.events
    assert event.stack[0].startswith(__file__)
    assert event.stack[0].endswith("test_stacks_start_at_the_users_line")


@pytest.mark.native
def test_steps_that_numpy_runs_show_inside_their_operation(session: Session) -> None:
    sorting.mode(tensor(3, 5), 1)
    mode = session.events[0]
    assert ("host", "mode") in names(session)
    assert mode.on_host
    arithmetic.neg(tensor(3))
    assert not session.events[-1].on_host


def test_the_first_call_of_a_kind_says_that_it_was_compiled(session: Session) -> None:
    arithmetic.neg(tensor(3, 1, 7, 1, 2))
    arithmetic.neg(tensor(3, 1, 7, 1, 2))
    first, second = session.events
    assert first.compiled
    assert not second.compiled


def test_other_threads_are_recorded_apart(session: Session) -> None:
    def run() -> None:
        with profiler.span("theirs"):
            arithmetic.neg(tensor(2))

    with profiler.span("ours"):
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    ours, theirs, neg = session.events
    assert theirs.parent is None
    assert neg.parent is theirs
    assert theirs.thread != ours.thread
    assert ours.children == []


def test_work_of_products_and_convolutions() -> None:
    def place(*shape: int):
        return layout(float32, shape)

    assert work("dot", [place(5, 2, 3), place(5, 3, 4)], [place(5, 2, 4)]) == 2 * 5 * 2 * 3 * 4
    assert work("linear", [place(7, 3), place(4, 3)], [place(7, 4)]) == 2 * 7 * 3 * 4
    image, kernel, out = place(2, 4, 8, 8), place(6, 2, 3, 3), place(2, 6, 6, 6)
    full = 2 * (2 * 6 * 6 * 6) * (2 * 3 * 3)  # two groups: each kernel sees two channels
    assert work("convolution", [image, kernel], [out]) == full
    assert work("convolution_input", [out, kernel], [image]) == full
    assert work("convolution_weight", [image, out], [kernel]) == full
    assert work("add", [place(2, 1), place(1, 3)], [place(2, 3)]) == 6
    assert work("sort", [place(3)], [place(3)]) == 0
    assert work("dot", [place(0, 3), place(3, 4)], [place(0, 4)]) == 0
