"""The tape: accumulation, hooks, retained graphs, higher order, errors, custom nodes."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from diptych import engine as engine
from diptych.core import inplace, tape
from diptych.core.dtypes import int64
from diptych.core.tensor import Tensor, alias, cast_class, copy_array
from diptych.errors import GradientError
from diptych.ops.arithmetic import ADD, MUL, add, mul, sub
from diptych.ops.movement import narrow, reshape, transpose
from diptych.ops.reduction import sum_
from diptych.ops.select import ASSIGN, cast, copy
from diptych.ops.transcendental import exp, log

Array = np.ndarray[Any, Any]


def leaf(values: Any) -> Tensor:
    tensor = copy_array(np.asarray(values, np.float64), Tensor)
    tape.require_gradient(tensor)
    return tensor


def constant(values: Any) -> Tensor:
    return copy_array(np.asarray(values, np.float64), Tensor)


def ones(like: Tensor) -> Tensor:
    return constant(np.ones(like.layout.shape))


def pull(result: Tensor, *targets: Tensor, **options: Any) -> list[Any]:
    """Cotangents of ``targets`` for a cotangent of ones."""
    assert result.node is not None
    root = (result.node, result.output, options.pop("cotangent", None) or ones(result))
    return tape.backward([root], [(t.node, t.output) for t in targets], **options)


# ---- accumulation in leaves


def test_a_leaf_adds_up_what_arrives() -> None:
    x = leaf([1.0, 2.0])
    y = add(mul(x, x), x)
    pull(y)
    assert x.grad.array().tolist() == [3.0, 5.0]
    pull(mul(x, constant([10.0, 10.0])))
    assert x.grad.array().tolist() == [13.0, 15.0]


def test_two_leaves_given_one_cotangent_do_not_share_memory() -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    pull(add(a, b))
    assert a.grad.buffer is not b.grad.buffer
    inplace.update(a.grad, ADD, (a.grad, constant([5.0, 5.0])), (a.grad.layout.dtype,))
    assert b.grad.array().tolist() == [1.0, 1.0]


class Shared(tape.Node):
    """Hands one cotangent, or two tensors on its memory, to both of its operands."""

    view = False

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        fresh = mul(cotangents[0], constant(1.0))
        return [fresh, tape.alias(fresh, Tensor) if self.view else fresh]


@pytest.mark.parametrize("view", [False, True])
def test_a_cotangent_handed_to_two_leaves_is_copied(view: bool) -> None:
    a, b = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    y = constant([0.0, 0.0])
    y.node, y.output = Shared(((a.node, 0), (b.node, 0))), 0
    y.node.view = view
    pull(y)
    assert a.grad.buffer is not b.grad.buffer
    inplace.update(a.grad, ADD, (a.grad, constant([5.0, 5.0])), (a.grad.layout.dtype,))
    assert b.grad.array().tolist() == [1.0, 1.0]


def test_a_cotangent_that_a_hook_kept_is_copied() -> None:
    x = leaf([1.0, 2.0])
    kept: list[Tensor] = []
    tape.add_hook(x.node, 0, 0, kept.append)
    pull(mul(x, x))
    pull(mul(x, x))
    assert [cotangent.array().tolist() for cotangent in kept] == [[2.0, 4.0]] * 2


def test_a_leafs_gradient_is_not_the_callers_cotangent() -> None:
    x = leaf([1.0, 2.0])
    given = constant([1.0, 1.0])
    pull(add(x, constant([0.0, 0.0])), cotangent=given)
    assert x.grad.buffer is not given.buffer
    pull(add(x, constant([0.0, 0.0])), cotangent=given)
    assert given.array().tolist() == [1.0, 1.0], "accumulation must not write to it"


def test_a_broadcast_cotangent_becomes_a_gradient_of_its_own() -> None:
    x = leaf([1.0, 2.0, 3.0])
    pull(sum_(x))
    assert x.grad.layout.contiguous
    pull(sum_(x))
    assert x.grad.array().tolist() == [2.0, 2.0, 2.0]


def test_a_leaf_used_twice_in_one_call() -> None:
    x = leaf([3.0])
    pull(mul(x, x))
    assert x.grad.array().tolist() == [6.0]


def test_targets_get_cotangents_and_leaves_nothing_unless_asked() -> None:
    x, w = leaf([2.0]), leaf([3.0])
    hidden = mul(x, w)
    result = mul(hidden, hidden)
    found = pull(result, hidden, x, accumulate=False)
    assert [g.item() for g in found] == [12.0, 36.0]
    assert x.grad is None and w.grad is None


def test_only_what_leads_to_a_target_runs() -> None:
    x, w = leaf([2.0]), leaf([3.0])
    side = exp(w)
    ran = []
    side.node.pre_hooks = {0: lambda cotangents: ran.append(cotangents)}
    pull(add(x, side), x, accumulate=False)
    assert not ran


def test_an_unreached_target_gets_none() -> None:
    x, w = leaf([2.0]), leaf([3.0])
    assert pull(mul(x, x), x, w, accumulate=False)[1] is None


def test_a_node_may_pull_nothing() -> None:
    class Silent(tape.Node):
        def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
            return [None]

    x = leaf([2.0])
    y = constant([2.0])
    y.node, y.output = Silent(((x.node, 0),)), 0
    pull(y)
    assert x.grad is None


def test_several_roots_add_up() -> None:
    x = leaf([2.0])
    a, b = mul(x, x), exp(x)
    tape.backward([(a.node, 0, ones(a)), (b.node, 0, ones(b))])
    assert np.allclose(x.grad.array(), 4.0 + np.exp(2.0))


# ---- graphs kept and freed


def test_a_second_pass_needs_a_retained_graph() -> None:
    x = leaf([2.0])
    y = mul(x, x)
    pull(y, retain_graph=True)
    pull(y)
    assert x.grad.item() == 8.0
    with pytest.raises(GradientError, match="a second time"):
        pull(y)


def test_a_freed_graph_lets_go_of_its_values() -> None:
    x = leaf(np.ones(3))
    hidden = exp(x)
    y = mul(hidden, hidden)
    watched = weakref.ref(hidden.buffer)
    del hidden
    pull(y)
    gc.collect()
    assert watched() is None


def test_nothing_is_recorded_where_nothing_is_wanted() -> None:
    x = leaf([2.0])
    with tape.recording(False):
        assert mul(x, x).node is None
    assert mul(constant([1.0]), constant([1.0])).node is None
    assert mul(x, x).node is not None


# ---- higher order


def test_gradients_of_gradients() -> None:
    x = leaf([2.0])
    y = mul(mul(x, x), x)
    first = pull(y, x, create_graph=True, accumulate=False)[0]
    second = pull(first, x, create_graph=True, accumulate=False)[0]
    third = pull(second, x, accumulate=False)[0]
    assert [g.item() for g in (first, second, third)] == [12.0, 12.0, 6.0]


def test_a_gradient_through_a_saved_output() -> None:
    x = leaf([0.5])
    first = pull(exp(x), x, create_graph=True, accumulate=False)[0]
    assert np.allclose(pull(first, x, accumulate=False)[0].item(), np.exp(0.5))


def test_a_created_graph_reaches_other_leaves() -> None:
    x, w = leaf([2.0]), leaf([3.0])
    slope = pull(mul(mul(x, x), w), x, create_graph=True, accumulate=False)[0]
    assert pull(slope, w, accumulate=False)[0].item() == 4.0


# ---- hooks


def test_a_hook_sees_the_whole_cotangent_and_may_change_it() -> None:
    x = leaf([2.0])
    hidden = mul(x, x)
    seen = []

    def hook(cotangent: Tensor) -> Tensor:
        seen.append(cotangent.item())
        return mul(cotangent, constant([10.0]))

    tape.add_hook(hidden.node, hidden.output, 0, hook)
    pull(add(hidden, hidden))
    assert seen == [2.0], "one call, with the sum of both uses"
    assert x.grad.item() == 80.0


def test_hooks_run_in_the_order_they_were_added() -> None:
    x = leaf([1.0])
    tape.add_hook(x.node, 0, 1, lambda ct: add(ct, constant([1.0])))
    tape.add_hook(x.node, 0, 2, lambda ct: mul(ct, constant([3.0])))
    pull(mul(x, constant([1.0])))
    assert x.grad.item() == 6.0


def test_node_hooks_before_and_after() -> None:
    x = leaf([2.0])
    y = mul(x, x)
    y.node.pre_hooks = {0: lambda cts: (mul(cts[0], constant([2.0])),)}
    y.node.post_hooks = {0: lambda pulled, cts: tuple(add(p, p) for p in pulled)}
    pull(y)
    assert x.grad.item() == 16.0


def test_a_retained_tensor_keeps_its_cotangent() -> None:
    x = leaf([2.0])
    hidden = mul(x, x)
    hidden.node.retained = {0: weakref.ref(hidden)}
    pull(mul(hidden, hidden))
    assert hidden.grad.item() == 8.0


def test_hooks_after_accumulation() -> None:
    x = leaf([2.0])
    seen = []
    x.node.accumulated_hooks = {0: lambda tensor: seen.append(tensor.grad.item())}
    pull(mul(x, x))
    assert seen == [4.0]


def test_a_pass_can_be_kept_within_some_nodes() -> None:
    x = leaf([2.0])
    hidden = mul(x, x)
    result = exp(hidden)
    only = {id(result.node)}
    found = pull(result, hidden, x, within=lambda node: id(node) in only, accumulate=False)
    assert found[0] is not None and found[1] is None


# ---- values changed in place


def test_a_saved_operand_changed_in_place_is_noticed() -> None:
    x, w = leaf([2.0]), constant([3.0])
    y = mul(x, w)
    inplace.update(w, ASSIGN, (w, constant([9.0])), (w.layout.dtype,))
    with pytest.raises(GradientError, match="modified by an inplace operation.*version 1"):
        pull(y)


def test_a_saved_output_changed_in_place_is_noticed() -> None:
    y = exp(leaf([2.0]))
    inplace.update(y, ADD, (y, constant([1.0])), (y.layout.dtype,))
    with pytest.raises(GradientError, match="'exp'"):
        pull(y)


def test_a_change_through_a_view_is_noticed() -> None:
    x, w = leaf([2.0, 3.0]), constant([3.0, 4.0])
    y = mul(x, w)
    part = narrow(w, 0, 1, 1)
    inplace.update(part, ASSIGN, (part, constant([0.0])), (w.layout.dtype,))
    with pytest.raises(GradientError, match="modified by an inplace"):
        pull(y)


def test_values_that_are_not_saved_may_change() -> None:
    x, w = leaf([2.0]), constant([3.0])
    y = add(x, w)
    inplace.update(w, ASSIGN, (w, constant([9.0])), (w.layout.dtype,))
    pull(y)
    assert x.grad.item() == 1.0


# ---- anomalies, custom nodes, faces


def test_anomaly_detection_names_the_call_that_made_nan() -> None:
    tape.mode.anomaly = True
    try:
        x = leaf([0.0])
        y = mul(log(x), constant([0.0]))  # 0 * -inf, and 0 / 0 on the way back
        with pytest.raises(GradientError, match=r"'log' returned nan values(.|\n)*y = mul\(log"):
            pull(y)
    finally:
        tape.mode.anomaly = False


def test_an_error_in_a_gradient_carries_the_forward_call() -> None:
    tape.mode.anomaly = True
    try:
        x, w = leaf([1.0]), constant([2.0])
        y = mul(x, w)
        inplace.update(w, ASSIGN, (w, constant([0.0])), (w.layout.dtype,))
        with pytest.raises(GradientError) as caught:
            pull(y)
    finally:
        tape.mode.anomaly = False
    text = str(caught.value) + "".join(getattr(caught.value, "__notes__", ()))
    assert "y = mul(x, w)" in text


def test_a_custom_node_pulls_as_it_likes() -> None:
    class Tripled(tape.Node):
        def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
            return [mul(cotangents[0], constant([3.0]))]

    x = leaf([2.0])
    y = copy(constant([2.0]))
    y.node, y.output = Tripled(((x.node, x.output),)), 0
    pull(mul(y, y))
    assert x.grad.item() == 12.0


def test_a_gradient_arrives_in_the_class_of_its_leaf() -> None:
    class Left(Tensor):
        pass

    class Right(Tensor):
        pass

    Left.result_type, Right.result_type = Left, Right
    a, b = cast_class(constant([2.0]), Left), cast_class(constant([3.0]), Right)
    tape.require_gradient(a)
    tape.require_gradient(b)
    y = mul(a, cast_class(b, Left))
    pull(mul(y, constant([1.0])))
    assert type(a.grad) is Left and type(b.grad) is Right
    assert (a.grad.item(), b.grad.item()) == (3.0, 2.0)


def test_views_and_long_chains() -> None:
    x = leaf(np.arange(6.0).reshape(2, 3))
    y = transpose(x, (1, 0))
    y = reshape(narrow(y, 0, 1, 2), (4,))
    for _ in range(3000):
        y = add(y, constant(0.0))
    pull(mul(y, constant([1.0, 2.0, 3.0, 4.0])))
    assert x.grad.array().tolist() == [[0.0, 1.0, 3.0], [0.0, 2.0, 4.0]]


def test_integers_carry_no_gradient() -> None:
    assert cast(leaf([1.5]), int64).node is None


def test_a_deep_tape_is_freed_without_recursion() -> None:
    y = leaf([1.0])
    for _ in range(50_000):
        y = sub(y, constant(0.0))
    del y
    gc.collect()


def test_in_place_on_a_recorded_value() -> None:
    x = leaf([2.0, 3.0])
    y = mul(x, constant([1.0, 1.0]))
    inplace.update(y, MUL, (y, y), (y.layout.dtype,))
    with pytest.raises(GradientError, match="modified"):
        pull(y)  # the square's own operand was overwritten, as in PyTorch
    z = add(x, constant([0.0, 0.0]))
    inplace.update(z, ADD, (z, x), (z.layout.dtype,))
    pull(z)
    assert x.grad.array().tolist() == [2.0, 2.0]


def test_a_gradient_keeps_the_order_of_its_tensor() -> None:
    """A permuted leaf's gradient is taken as it lies, when nothing else can see its memory."""
    x = alias(transpose(constant(np.arange(24.0).reshape(2, 3, 4)), (0, 2, 1)), Tensor)
    tape.require_gradient(x)

    def back() -> None:
        y = transpose(x, (0, 2, 1))
        made = mul(y, y)
        tape.backward([(made.node, made.output, ones(made))])

    back()
    assert x.grad.layout is x.layout and x.grad.base is None
    np.testing.assert_array_equal(x.grad.array(), 2 * x.array())
    held = x.grad.array().copy()
    back()
    np.testing.assert_array_equal(x.grad.array(), 2 * held)


def test_two_views_of_one_cotangent_do_not_share_memory() -> None:
    x, y = (alias(transpose(constant(np.ones((3, 4))), (1, 0)), Tensor) for _ in range(2))
    for one in (x, y):
        tape.require_gradient(one)
    made = add(transpose(x, (1, 0)), transpose(y, (1, 0)))
    tape.backward([(made.node, made.output, constant(np.full((3, 4), 5.0)))])
    inplace.update(x.grad, MUL, (x.grad, constant(2.0)), (x.layout.dtype,))
    np.testing.assert_array_equal(x.grad.array(), np.full((4, 3), 10.0))
    np.testing.assert_array_equal(y.grad.array(), np.full((4, 3), 5.0))
