"""The tape: reverse-mode differentiation over nodes that hang off tensors."""

from __future__ import annotations

import contextlib
import heapq
import itertools
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from diptych.core import call
from diptych.core.layout import Layout
from diptych.core.operation import Composite, Context, Operation, Params
from diptych.core.tensor import Tensor, alias, cast_class
from diptych.errors import GradientError

Edge = "tuple[Node, int] | None"


class Mode(threading.local):
    """Per thread: whether calls are recorded, and whether anomalies are looked for."""

    enabled = True
    inference = False
    anomaly = False
    check_nan = True


mode = Mode()
_sequence = itertools.count(1)


class Node:
    """One recorded call: where its operands came from, and how to pull cotangents through it.

    ``edges`` holds, per operand, the (node, output) it came from or None; ``sequence`` grows with
    time, so a backward pass visits nodes in descending order and never needs to count references.
    What is rare (hooks, retained gradients, the recorded stack) has its default on the class.
    """

    edges: tuple[Any, ...]
    sequence: int
    outputs: int = 1
    hooks: dict[int, dict[int, Callable[..., Any]]] | None = None
    retained: dict[int, Any] | None = None  # output -> weak reference to the tensor
    pre_hooks: dict[int, Callable[..., Any]] | None = None
    post_hooks: dict[int, Callable[..., Any]] | None = None
    metadata: dict[Any, Any] | None = None
    origin: Any = None

    def __init__(self, edges: tuple[Any, ...], outputs: int = 1) -> None:
        self.edges = edges
        self.outputs = outputs
        self.sequence = next(_sequence)

    @property
    def name(self) -> str:
        return type(self).__name__

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        """Cotangents of the operands, in the order of ``edges``."""
        raise NotImplementedError(f"{self.name}.backward")

    def release(self) -> None:
        """Drop what was saved: the backward pass is over and will not be repeated."""


class CallNode(Node):
    """The record of one operation."""

    op: Operation
    params: Params
    saved: tuple[Any, ...] | None  # operands, or their layouts where the rule does not read them
    results: tuple[Any, ...]
    versions: Any = ()  # of the saved values, in the order of ``saved`` then ``results``

    def __init__(
        self, op: Operation, params: Params, operands: Sequence[Tensor], results: tuple[Tensor, ...]
    ) -> None:
        edges = tuple([None if x.node is None else (x.node, x.output) for x in operands])
        needs = tuple([edge is not None for edge in edges])
        keep, first = op.saving_for.get(needs) or op.saving(needs)
        saved = [x if index in keep else x.layout for index, x in enumerate(operands)]
        self.edges = edges
        self.needs = needs
        self.outputs = len(results)
        self.sequence = next(_sequence)
        self.op = op
        self.params = params
        self.saved = tuple(saved)
        # An output is saved as an alias off the tape: the tensor itself holds this node.
        if first < len(results):
            self.results = tuple(
                [r.layout if i < first else alias(r, r.result_type) for i, r in enumerate(results)]
            )
        else:
            self.results = tuple([r.layout for r in results])
        if keep or first < len(results):
            self.versions = [
                value.buffer.version if isinstance(value, Tensor) else 0
                for value in (*saved, *self.results)
            ]

    @property
    def name(self) -> str:
        return self.op.name

    def check_versions(self) -> None:
        """Raise GradientError when a saved value was changed in place since it was saved."""
        kept = (*(self.saved or ()), *self.results)
        for value, version in zip(kept, self.versions, strict=False):
            if isinstance(value, Tensor) and value.buffer.version != version:
                place = value.layout
                raise GradientError(
                    "one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: [{place.dtype} {list(place.shape)}], saved for the "
                    f"gradient of '{self.op.name}', is at version {value.buffer.version}; "
                    f"expected version {version} instead. Hint: clone the value before changing "
                    "it, or enable anomaly detection "
                    "(torch.autograd.set_detect_anomaly(True)) to find the call."
                )

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        saved = self.saved
        if saved is None:
            raise GradientError(
                "Trying to backward through the graph a second time (or directly access saved "
                "tensors after they have already been freed). Saved intermediate values of the "
                "graph are freed when you call .backward() or autograd.grad(). Specify "
                "retain_graph=True if you need to backward through the graph a second time or if "
                "you need to access saved tensors after calling backward."
            )
        self.check_versions()
        needs = self.needs
        if create_graph:
            return self.open_gradient(saved, cotangents, needs)
        return call.current.gradient(
            self.op, self.params, saved, self.results, tuple(cotangents), needs
        )

    def open_gradient(
        self, saved: tuple[Any, ...], cotangents: list[Any], needs: tuple[bool, ...]
    ) -> Sequence[Any]:
        """The gradient rule run operation by operation, so that the tape records it."""
        operands = []
        for value, edge in zip(saved, self.edges, strict=True):
            if isinstance(value, Tensor):
                value = alias(value, value.result_type)
                if edge is not None:
                    value.node, value.output = edge
            operands.append(value)
        results = []
        for index, value in enumerate(self.results):
            if isinstance(value, Tensor):
                value = alias(value, value.result_type)
                value.node, value.output = self, index
            results.append(value)
        context = Context(tuple(operands), tuple(results), self.params, needs)
        if isinstance(self.op, Composite) and self.op.residuals:
            # Its rule reads residuals, through which no cotangent flows: differentiate the forward.
            return _through_forward(self.op, context, cotangents)
        return open_rule(self.op, context, cotangents)

    def release(self) -> None:
        if self.versions:  # a node that saved no value can be passed through again
            self.saved = None
            self.results = ()


class Gate(Node):
    """A node of its own in front of an operand, so that a gradient can stop exactly there."""

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        return cotangents


def open_rule(op: Operation, context: Context, cotangents: Sequence[Any]) -> Sequence[Any]:
    """Apply a gradient rule openly; one entry per operand. Absent cotangents are zeros."""
    filled = []
    for index, cotangent in enumerate(cotangents):
        if cotangent is None:
            y = context.y[index]
            cotangent = arithmetic.zeros(y.layout if isinstance(y, Tensor) else y)
        filled.append(cotangent)
    if isinstance(op, Composite):
        del filled[op.outputs :]  # nothing flows into residuals
        if op.vjp is None:
            return _through_forward(op, context, filled)
    pulled = op.vjp(context, *filled)
    return pulled if isinstance(pulled, (tuple, list)) else (pulled,)


def _through_forward(op: Composite, context: Context, cotangents: list[Any]) -> Sequence[Any]:
    """The gradient of a composite without a rule: that of the operations it is made of."""
    gates: list[Any] = []
    operands = []
    for x, need in zip(context.x, context.needs, strict=True):
        held = copy_alias(x)
        held.node = None
        gate = None
        if need:
            gate = Gate((None if x.node is None else (x.node, x.output),))
            held.node, held.output = gate, 0
        gates.append(gate)
        operands.append(held)
    with recording(True):
        results = op.forward(*operands, *context.params)
    results = results if isinstance(results, tuple) else (results,)
    roots = [
        (result.node, result.output, cotangent)
        for result, cotangent in zip(results, cotangents, strict=False)
        if result.node is not None and cotangent is not None
    ]
    targets = [(gate, 0) for gate in gates if gate is not None]
    found = iter(
        backward(roots, targets, retain_graph=True, create_graph=mode.enabled, accumulate=False)
    )
    return [next(found) if gate is not None else None for gate in gates]


def copy_alias(x: Tensor) -> Tensor:
    """Another object for the same value, whatever kind of tensor it is."""
    other: Tensor = object.__new__(type(x))
    other.__dict__.update(x.__dict__)
    return other


class Leaf(Node):
    """The end of the tape at a tensor that wants a gradient: adds it to ``tensor.grad``."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__((), 1)
        self.tensor = weakref.ref(tensor)
        self.accumulated_hooks: dict[int, Callable[..., Any]] | None = None

    @property
    def name(self) -> str:
        return "AccumulateGrad"


class Arithmetic:
    """The few operations the tape itself needs; ``ops`` fills them in when it is imported."""

    add: Callable[[Any, Any], Any]
    add_into: Callable[[Any, Any], None]  # (tensor, other): tensor += other, in its memory
    copy: Callable[[Any], Any]
    ones_like: Callable[[Any], Any]
    zeros: Callable[[Any], Any]  # of a Layout


arithmetic = Arithmetic()

# By operation that takes a part of its operand: add a part to the whole, (whole, part, params).
adders: dict[Operation, Callable[[Any, Any, Params], None]] = {}


def require_gradient(tensor: Tensor, wanted: bool = True) -> None:
    """Make a leaf want a gradient, or want none."""
    if wanted:
        if tensor.node is None:
            tensor.node = Leaf(tensor)
            tensor.output = 0
    elif tensor.node is not None:
        tensor.node = None


_new = object.__new__
_BOTH, _LEFT, _RIGHT = (True, True), (True, False), (False, True)


def record2(op: Operation, params: Params, a: Tensor, b: Tensor, out: Tensor) -> None:
    """What :func:`record` does, for two operands and one result: the hot path of eager training."""
    na, nb = a.node, b.node
    node = _new(CallNode)
    if na is None:
        node.edges = (None, (nb, b.output))
        node.needs = needs = _RIGHT
    elif nb is None:
        node.edges = ((na, a.output), None)
        node.needs = needs = _LEFT
    else:
        node.edges = ((na, a.output), (nb, b.output))
        node.needs = needs = _BOTH
    keep, first = op.saving_for.get(needs) or op.saving(needs)
    node.sequence = next(_sequence)
    node.op = op
    node.params = params
    if keep or first == 0:
        left = a if 0 in keep else a.layout
        right = b if 1 in keep else b.layout
        result = alias(out, out.result_type) if first == 0 else out.layout
        node.saved = (left, right)
        node.results = (result,)
        node.versions = (a.buffer.version, b.buffer.version, out.buffer.version)
    else:
        node.saved = (a.layout, b.layout)
        node.results = (out.layout,)
    if out.layout.dtype.is_inexact:
        out.node = node
    if mode.anomaly:
        node.origin = call_site()


def record(op: Operation, params: Params, operands: Sequence[Tensor], result: Any) -> None:
    """Hang a node off the result(s) of a call whose operands want gradients."""
    results = result if type(result) is tuple else (result,)
    if not op.differentiable:
        return
    node = CallNode(op, params, operands, results)
    for index, out in enumerate(results):
        if out.layout.dtype.is_inexact:
            out.node = node
            out.output = index
    if mode.anomaly:
        node.origin = call_site()


def call_site() -> Any:
    """The stack of the call being recorded, for anomaly detection."""

    return traceback.extract_stack()[:-2]


def add_hook(node: Node, output: int, key: int, hook: Callable[..., Any]) -> None:
    """Run ``hook`` on the cotangent of one output of ``node`` when it is complete."""
    if node.hooks is None:
        node.hooks = {}
    node.hooks.setdefault(output, {})[key] = hook


@contextlib.contextmanager
def recording(enabled: bool) -> Iterator[None]:
    """Record calls, or do not, inside the ``with`` block."""
    before = mode.enabled
    mode.enabled = enabled
    try:
        yield
    finally:
        mode.enabled = before


def _reaching(roots: list[Node], targets: set[tuple[int, int]], wanted: Any) -> set[int] | None:
    """Ids of the nodes through which a target can be reached; None when there are no targets."""
    if not targets:
        return None
    useful: dict[int, bool] = {}
    stack: list[tuple[Node, bool]] = [(node, False) for node in roots]
    target_nodes = {node for node, _ in targets}
    while stack:
        node, done = stack.pop()
        key = id(node)
        if done:
            useful[key] = useful[key] or any(
                useful.get(id(edge[0]), False) for edge in node.edges if edge is not None
            )
            continue
        if key in useful:
            continue
        useful[key] = key in target_nodes
        stack.append((node, True))
        for edge in node.edges:
            if (
                edge is not None
                and id(edge[0]) not in useful
                and (wanted is None or wanted(edge[0]) or id(edge[0]) in target_nodes)
            ):
                stack.append((edge[0], False))
    return {key for key, value in useful.items() if value}


def _hooked(node: Node, cotangents: list[Any]) -> None:
    """Run the tensor hooks of a node's outputs and keep the cotangents of retained tensors."""
    if node.hooks is not None:
        for output, hooks in node.hooks.items():
            for hook in tuple(hooks.values()):
                if cotangents[output] is not None:
                    changed = hook(cotangents[output])
                    if changed is not None:
                        cotangents[output] = changed
    if node.retained is not None:
        for output, reference in node.retained.items():
            tensor = reference()
            if tensor is not None and cotangents[output] is not None:
                grad = in_class_of(cotangents[output], tensor)
                held = tensor.held_grad
                tensor.held_grad = grad if held is None else arithmetic.add(held, grad)


def in_class_of(value: Tensor, like: Tensor) -> Tensor:
    """``value`` as a tensor of the face that ``like`` belongs to."""
    cls = like.result_type
    return value if type(value) is cls else cast_class(value, cls)


def backward(
    roots: Sequence[tuple[Node, int, Any]],
    targets: Sequence[tuple[Node, int]] = (),
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    accumulate: bool = True,
    within: Callable[[Node], bool] | None = None,
) -> list[Any]:
    """Pull cotangents back from ``roots`` ((node, output, cotangent) each).

    With ``targets``, only what leads to them runs and their cotangents are returned (None where
    nothing arrived); leaves then accumulate only if ``accumulate``. ``within`` keeps the pass
    inside some of the nodes (a GradientTape's own). Raises GradientError as PyTorch does for freed
    graphs and values changed in place.
    """
    retain = create_graph if retain_graph is None else retain_graph
    wanted = {(id(node), output): place for place, (node, output) in enumerate(targets)}
    found: list[Any] = [None] * len(targets)
    useful = _reaching([root[0] for root in roots], set(wanted), within)
    pending: dict[Node, list[Any]] = {}
    queue: list[tuple[int, Node]] = []
    push, pop = heapq.heappush, heapq.heappop
    add = arithmetic.add
    for node, output, cotangent in roots:
        if useful is not None and id(node) not in useful:
            continue
        slots = pending.get(node)
        if slots is None:
            slots = pending[node] = [None] * node.outputs
            push(queue, (-node.sequence, node))
        slots[output] = cotangent if slots[output] is None else add(slots[output], cotangent)
    owned: set[tuple[int, int]] = set()  # sums that nothing but this pass holds
    in_place = not create_graph and call.current.updates
    before = mode.enabled
    mode.enabled = create_graph
    try:
        while queue:
            node = pop(queue)[1]
            cotangents = pending.pop(node)
            if node.hooks is not None or node.retained is not None:
                _hooked(node, cotangents)
            if wanted:
                for output in range(node.outputs):
                    place = wanted.get((id(node), output))
                    if place is not None:
                        found[place] = cotangents[output]
            if node.__class__ is Leaf:
                if accumulate:
                    deposit(node, cotangents)
                continue
            if not node.edges or (within is not None and not within(node)):
                continue
            if useful is not None and not any(
                edge is not None and id(edge[0]) in useful for edge in node.edges
            ):
                continue
            if owned and _added(node, cotangents, pending, owned):
                if not retain:
                    node.release()
                continue
            pulled = _pull(node, cotangents, create_graph)
            fresh = in_place and _is_fresh(node, pulled, cotangents)
            del cotangents
            slots = cotangent = None  # the loop may bind neither
            for edge, cotangent in zip(node.edges, pulled, strict=False):
                if edge is None or cotangent is None:
                    continue
                parent, output = edge
                if useful is not None and id(parent) not in useful:
                    continue
                slots = pending.get(parent)
                if slots is None:
                    slots = pending[parent] = [None] * parent.outputs
                    push(queue, (-parent.sequence, parent))
                held = slots[output]
                if held is None:
                    slots[output] = cotangent
                    if fresh:
                        owned.add((id(parent), output))
                elif (id(parent), output) in owned and held.layout is cotangent.layout:
                    arithmetic.add_into(held, cotangent)
                else:
                    slots[output] = add(held, cotangent)
                    if in_place:
                        owned.add((id(parent), output))
                del held
            del pulled, cotangent, slots  # a cotangent must not outlive its use
            if not retain:
                node.release()
    finally:
        mode.enabled = before
    return found


def _added(
    node: Node,
    cotangents: list[Any],
    pending: dict[Node, list[Any]],
    owned: set[tuple[int, int]],
) -> bool:
    """Add the cotangent of a part straight into its whole's, where that is under way already."""
    if node.__class__ is not CallNode or node.pre_hooks is not None or node.post_hooks is not None:
        return False
    add_part = adders.get(node.op)
    if add_part is None or node.saved is None or cotangents[0] is None:
        return False
    parent, output = node.edges[0]
    if (id(parent), output) not in owned:
        return False
    whole = pending[parent][output]
    if whole.layout.dtype is not cotangents[0].layout.dtype:
        return False
    add_part(whole, cotangents[0], node.params)
    return True


def _is_fresh(node: Node, pulled: Sequence[Any], cotangents: list[Any]) -> bool:
    """Whether a part's gradient is in memory of its own: zeros around the part's cotangent."""
    return (
        node.__class__ is CallNode
        and node.post_hooks is None
        and node.op in adders
        and isinstance(pulled[0], Tensor)
        and isinstance(cotangents[0], Tensor)
        and pulled[0].buffer is not cotangents[0].buffer
    )


def _pull(node: Node, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
    """One node's backward with its own hooks and, when asked for, the search for NaN."""
    if node.pre_hooks is not None:
        for hook in tuple(node.pre_hooks.values()):
            changed = hook(tuple(cotangents))
            if changed is not None:
                cotangents = list(changed) if isinstance(changed, (tuple, list)) else [changed]
    try:
        pulled = node.backward(cotangents, create_graph)
    except Exception as error:
        if node.origin is not None:
            _say_origin(node, error)
        raise
    if mode.anomaly and mode.check_nan and call.current.updates:  # what is traced has no values
        _check_nan(node, pulled)
    if node.post_hooks is not None:
        for hook in tuple(node.post_hooks.values()):
            changed = hook(tuple(pulled), tuple(cotangents))
            if changed is not None:
                pulled = changed if isinstance(changed, (tuple, list)) else (changed,)
    return pulled


def _origin_text(node: Node) -> str:

    return "".join(traceback.format_list(node.origin)) if node.origin else ""


def _say_origin(node: Node, error: Exception) -> None:
    """Add to an error the stack of the forward call whose gradient failed."""
    note = f"The forward call that led to it ('{node.name}'):\n{_origin_text(node)}"
    if hasattr(error, "add_note"):
        error.add_note(note)
    else:
        error.args = (f"{error}\n{note}", *error.args[1:])


def _check_nan(node: Node, pulled: Sequence[Any]) -> None:
    for index, value in enumerate(pulled):
        if isinstance(value, Tensor) and value.layout.dtype.is_inexact:
            array = value.values()
            if (array != array).any():
                raise GradientError(
                    f"Function '{node.name}' returned nan values in its {index}th output.\n"
                    f"The forward call was:\n{_origin_text(node)}"
                )


def deposit(leaf: Leaf, cotangents: list[Any]) -> None:
    """Add a finished gradient to the leaf's tensor."""
    tensor = leaf.tensor()
    if tensor is None or cotangents[0] is None:
        return
    held = tensor.held_grad
    if held is None:
        tensor.held_grad = take(cotangents, tensor)
    elif mode.enabled:
        tensor.held_grad = arithmetic.add(held, in_class_of(cotangents[0], tensor))
    else:
        arithmetic.add_into(held, cotangents[0])
    if leaf.accumulated_hooks:
        for hook in tuple(leaf.accumulated_hooks.values()):
            hook(tensor)


def take(cotangents: list[Any], tensor: Tensor) -> Tensor:
    """The cotangent itself when nothing else can see its memory, else a copy of it.

    Two leaves may be handed one cotangent (``a + b``), or the caller's own ``gradient`` argument;
    a later in-place change of one ``.grad`` must not reach the other.
    """
    cotangent = cotangents[0]
    cls = tensor.result_type
    if mode.enabled:
        return in_class_of(cotangent, tensor)
    place, base = cotangent.layout, cotangent.base
    held = 0
    if base is not None and references(base) <= _ALONE[0] and base.buffer is cotangent.buffer:
        held = int(base.layout.size == place.size)  # by what it shows, which nobody else knows
    if (
        references(cotangent.buffer) <= _ALONE[1] + held
        and references(cotangent) <= _ALONE[0]
        and (place.contiguous or (place is tensor.layout and is_dense(place)))
        and (base is None or held)
    ):
        return cotangent if type(cotangent) is cls and base is None else alias(cotangent, cls)
    return in_class_of(arithmetic.copy(cotangent), tensor)


def is_dense(place: Layout) -> bool:
    """Whether a layout's elements fill a stretch of memory, each in a place of its own."""
    expected = 1
    for stride, extent in sorted(zip(place.strides, place.shape, strict=True)):
        if extent != 1:
            if stride != expected:
                return False
            expected *= extent
    return True


references = sys.getrefcount


def _count_alone() -> tuple[int, int]:
    """What ``references`` says in :func:`take` of a cotangent that only the pass itself holds.

    Interpreters count temporaries differently, so it is measured through the same call shape.
    """

    class Probe:
        buffer: Any

    def make() -> list[Any]:
        probe = Probe()
        probe.buffer = object()
        return [probe]

    def through(cotangents: list[Any]) -> tuple[int, int]:
        return within(cotangents)

    def within(cotangents: list[Any]) -> tuple[int, int]:
        cotangent = cotangents[0]
        return references(cotangent), references(cotangent.buffer)

    held = make()
    return through(held)


_ALONE = _count_alone()
