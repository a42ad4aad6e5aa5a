"""GradientTape: which part of what is recorded a gradient goes through."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from diptych.core import tape as core_tape
from diptych.core.tape import Gate, Leaf, Node
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import alias, cast_class
from diptych.errors import GradientError
from diptych.ops import movement
from diptych.tensorflow import nest
from diptych.tensorflow.arrays import ones_like, stack, zeros_like
from diptych.tensorflow.conversion import tensor_of
from diptych.tensorflow.recording import FaceValue, leaf_of, open_tapes, place_of
from diptych.tensorflow.tensor import EagerTensor
from diptych.tensorflow.variable import Variable

_USED_UP = (
    "A non-persistent GradientTape can only be used to compute one set of gradients (or jacobians)"
)
_logger = logging.getLogger("tensorflow")
# Tapes that may still be asked for gradients: while one shares what another recorded, it is kept.
_unspent: weakref.WeakSet[Any] = weakref.WeakSet()


class UnconnectedGradients:
    """What a source that the target does not depend on gets: None, or zeros."""

    NONE = "none"
    ZERO = "zero"


def _now() -> int:
    """A moment among the recorded calls: nodes made before have a lower number, later a higher."""
    return Gate(()).sequence


class GradientTape:
    """Records calls on watched tensors and variables, for their gradients.

    What is recorded hangs off the tensors themselves; a tape remembers when it was recording and
    what it watched, and goes back through no more than that.
    """

    __module__ = "tensorflow"

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent = persistent
        self._watch_accessed = watch_accessed_variables
        self._spans: list[tuple[int, int]] = []  # finished stretches of recording
        self._since: int | None = None  # when the stretch that still runs began
        self._watched: dict[Node, CoreTensor | None] = {}
        self._variables: dict[int, Variable] = {}
        self._started = False
        self._spent = False

    # ---- recording

    def __enter__(self) -> GradientTape:
        self._begin()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._since is not None:
            self._end()

    def _begin(self) -> None:
        if self._since is not None:
            raise ValueError(
                "Tape is still recording, This can happen if you try to re-enter an already-active "
                "tape."
            )
        self._started = True
        self._spent = False
        _unspent.add(self)
        self._since = _now()
        open_tapes.tapes = (*open_tapes.tapes, self)

    def _end(self) -> None:
        if self._since is None:
            raise ValueError("Tape is not recording.")
        self._spans.append((self._since, _now()))
        self._since = None
        open_tapes.tapes = tuple([tape for tape in open_tapes.tapes if tape is not self])

    @contextlib.contextmanager
    def stop_recording(self) -> Iterator[None]:
        """Record nothing inside the ``with`` block."""
        if self._since is None:
            raise RuntimeError("Trying to stop recording a tape which is not recording.")
        self._end()
        try:
            yield
        finally:
            self._begin()

    def reset(self) -> None:
        """Forget all that was recorded and watched."""
        recording = self._since is not None
        if recording:
            self._end()
        self._spans.clear()
        self._watched.clear()
        self._variables.clear()
        if recording:
            self._begin()

    # ---- watching

    def watch(self, tensor: Any) -> None:
        """Record what is done with a tensor, or a (nested) list of them."""
        for value in nest.flatten(tensor):
            if not isinstance(value, CoreTensor):
                raise ValueError(
                    f"Passed in object {value} of type {type(value).__name__!r}, not tf.Tensor or "
                    "tf.Variable or ExtensionType."
                )
            if not value.layout.dtype.is_inexact:
                _logger.log(
                    logging.WARN,
                    "The dtype of the watched tensor must be floating (e.g. tf.float32), got %r",
                    value.dtype,
                )
                continue
            if isinstance(value, Variable):
                self._variables[id(value)] = value
                self._watched[value.leaf] = value
            else:
                self._watched[leaf_of(value)] = value

    def saw(self, variable: Variable) -> bool:
        """A variable is read while this tape records: whether that is watched."""
        leaf = variable.leaf
        if leaf in self._watched:
            return True
        if not (self._watch_accessed and variable.trainable):
            return False
        if not variable.layout.dtype.is_inexact:
            return False
        self._variables[id(variable)] = variable
        self._watched[leaf] = variable
        return True

    def watched_variables(self) -> tuple[Variable, ...]:
        """The variables watched, in order."""
        return tuple(self._variables.values())

    # ---- gradients

    def gradient(
        self, target: Any, sources: Any, output_gradients: Any = None,
        unconnected_gradients: Any = UnconnectedGradients.NONE,
    ) -> Any:  # fmt: skip
        """The derivative of the target (or the sum of several) by each source.

        None, or zeros if asked, for a source on which it does not depend.
        """
        if unconnected_gradients not in (UnconnectedGradients.NONE, UnconnectedGradients.ZERO):
            raise ValueError(f"Unknown value for unconnected_gradients: {unconnected_gradients!r}")
        self._claim()
        targets = [value for value in nest.flatten(target) if value is not None]
        flat = nest.flatten(sources)
        for value in flat:
            if not isinstance(value, CoreTensor):
                raise AttributeError(f"{type(value).__name__!r} object has no attribute 'dtype'")
        given = None if output_gradients is None else nest.flatten(output_gradients)
        found = self._pull(targets, flat, given)
        if unconnected_gradients == UnconnectedGradients.ZERO:
            found = [zeros_like(s) if g is None else g for s, g in zip(flat, found, strict=True)]
        if not self._persistent:
            self._spent = True
            _unspent.discard(self)
        return nest.pack_sequence_as(sources, found)

    def _claim(self) -> None:
        """Stop recording before the gradient of a tape that has only one; refuse a second."""
        if self._spent or not self._started:
            raise RuntimeError(_USED_UP)
        if not self._persistent and self._since is not None:
            self._end()

    def _pull(
        self, targets: Sequence[Any], sources: Sequence[Any], given: Sequence[Any] | None
    ) -> list[Any]:
        """Gradients of the sources, None where there is none."""
        within = self._within()
        roots = []
        for position, value in enumerate(targets):
            if not isinstance(value, CoreTensor) or not value.layout.dtype.is_inexact:
                _logger.log(
                    logging.WARN,
                    "The dtype of the target tensor must be floating (e.g. tf.float32) when "
                    "calling GradientTape.gradient, got %r",
                    getattr(value, "dtype", type(value)),
                )
                continue
            place = place_of(value)
            if place is None or not (within(place[0]) or place[0] in self._watched):
                continue
            seed = None if given is None else given[position]
            cotangent = ones_like(value) if seed is None else tensor_of(seed)
            roots.append((*place, cotangent))
        if not roots:
            return [None] * len(sources)
        places = [self._source(value, within) for value in sources]
        wanted = list(dict.fromkeys(place for place in places if place is not None))
        higher = bool(open_tapes.tapes)
        try:
            found = core_tape.backward(
                roots, wanted, retain_graph=higher or self._shared(), create_graph=higher,
                accumulate=False, within=within,
            )  # fmt: skip
        except GradientError as error:
            raise RuntimeError(str(error)) from error
        by_place = dict(zip(wanted, found, strict=True))
        return [_result(by_place.get(place)) if place is not None else None for place in places]

    def _within(self) -> Callable[[Node], bool]:
        """Whether a node is one of those this tape recorded, or an end it watches."""
        spans = list(self._spans)
        if self._since is not None:
            spans.append((self._since, _now()))
        watched = self._watched
        if len(spans) == 1:
            first, last = spans[0]

            def within_one(node: Node) -> bool:
                return first < node.sequence < last or node in watched or foreign_leaf(node)

            return within_one

        def within_some(node: Node) -> bool:
            if node in watched or foreign_leaf(node):
                return True
            return any(first < node.sequence < last for first, last in spans)

        return within_some

    def _source(self, value: CoreTensor, within: Callable[[Node], bool]) -> Any:
        """Where a source lies on the tape; None when this tape has not watched it."""
        place = place_of(value)
        if place is None:
            return None
        node = place[0]
        if node in self._watched:
            return place
        if type(node) is Leaf:
            return place if foreign_leaf(node) else None
        return place if within(node) and self._depends(node, within) else None

    def _depends(self, node: Node, within: Callable[[Node], bool]) -> bool:
        """Whether a node leads back to something this tape watches."""
        seen = {node}
        stack = [node]
        while stack:
            current = stack.pop()
            if current in self._watched or foreign_leaf(current):
                return True
            for edge in current.edges:
                if edge is not None and edge[0] not in seen and within(edge[0]):
                    seen.add(edge[0])
                    stack.append(edge[0])
        return False

    def _shared(self) -> bool:
        """Whether what was recorded may be asked for again, by this tape or another."""
        if self._persistent:
            return True
        for other in _unspent:
            if other is not self and other.overlaps(self._spans):
                return True
        return False

    def overlaps(self, spans: list[tuple[int, int]]) -> bool:
        """Whether this tape was recording in any of those stretches."""
        mine = list(self._spans)
        if self._since is not None:
            mine.append((self._since, 1 << 62))
        return any(a < d and c < b for a, b in mine for c, d in spans)

    # ---- jacobians

    def jacobian(
        self, target: Any, sources: Any, unconnected_gradients: Any = UnconnectedGradients.NONE,
        parallel_iterations: Any = None, experimental_use_pfor: bool = True,
    ) -> Any:  # fmt: skip
        """The derivative of every element of the target by every element of each source."""
        self._claim()
        flat = nest.flatten(sources)
        y = tensor_of(target)
        size, shape = y.layout.size, y.layout.shape
        rows: list[list[Any]] = []
        held, self._persistent = self._persistent, True  # the same records serve every row
        try:
            for position in range(size):
                seed = one_at(position, y)
                rows.append(self._pull([target], flat, [seed]))
        finally:
            self._persistent = held
        if not held:
            self._spent = True
            _unspent.discard(self)
        results: list[Any] = []
        for place, source in enumerate(flat):
            column = [row[place] for row in rows]
            if any(entry is None for entry in column):
                zero = unconnected_gradients == UnconnectedGradients.ZERO
                column = [zeros_like(source)] * size if zero else []
            if not column:
                results.append(None)
                continue
            full = (*shape, *source.layout.shape)
            results.append(movement.reshape(stack(column), full))
        return nest.pack_sequence_as(sources, results)

    def batch_jacobian(
        self, target: Any, source: Any, unconnected_gradients: Any = UnconnectedGradients.NONE,
        parallel_iterations: Any = None, experimental_use_pfor: bool = True,
    ) -> Any:  # fmt: skip
        """The jacobian of each row of the target by the same row of the source."""
        y, x = tensor_of(target), tensor_of(source)
        if not y.layout.ndim or not x.layout.ndim or y.layout.shape[0] != x.layout.shape[0]:
            raise ValueError(
                f"Need first dimension of target shape ({y.shape}) and source shape ({x.shape}) to "
                "match."
            )
        # A row's elements do not depend on the other rows, so one seed serves all rows.
        self._claim()
        held, self._persistent = self._persistent, True
        rows = []
        inner = y.layout.shape[1:]
        count = y.layout.size // max(y.layout.shape[0], 1)
        try:
            for position in range(count):
                seed = movement.broadcast_to(
                    one_at(position, movement.reshape(movement.narrow(y, 0, 0, 1), inner)),
                    y.layout.shape,
                )
                rows.append(self._pull([target], [source], [movement.contiguous(seed)])[0])
        finally:
            self._persistent = held
        if not held:
            self._spent = True
            _unspent.discard(self)
        if any(row is None for row in rows):
            return None
        return movement.reshape(
            stack(rows, axis=1), (y.layout.shape[0], *inner, *x.layout.shape[1:])
        )


def foreign_leaf(node: Node) -> bool:
    """Whether a node is a leaf of another face, which always wants its gradient."""
    if type(node) is not Leaf:
        return False
    tensor = node.tensor()
    return tensor is not None and not isinstance(tensor, FaceValue)


def _result(value: Any) -> Any:
    """A cotangent as a tensor of this face."""
    if value is None or type(value) is EagerTensor:
        return value
    return cast_class(value, EagerTensor)


def one_at(position: int, like: Any) -> Any:
    """Zeros of a tensor's shape with a one at a position in row-major order."""
    seed = zeros_like(like)
    seed.array().reshape(-1)[position] = 1
    return seed


# ---- gradients of one's own


def stop_gradient(input: Any, name: Any = None) -> Any:
    """The same value, through which no gradient flows."""
    return alias(tensor_of(input), EagerTensor)


class CustomNode(Node):
    """A call whose gradient is the user's function."""

    __slots__ = ("grad_fn", "layouts", "variables", "wanted")

    def __init__(
        self, edges: tuple[Any, ...], outputs: int, grad_fn: Any, layouts: Any, variables: Any,
        wanted: int,
    ) -> None:  # fmt: skip
        super().__init__(edges, outputs)
        self.grad_fn = grad_fn
        self.layouts = layouts
        self.variables = variables
        self.wanted = wanted

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        given = [
            cast_class(core_tape.arithmetic.zeros(place), EagerTensor) if c is None else _result(c)
            for c, place in zip(cotangents, self.layouts, strict=True)
        ]
        if self.variables:
            pulled, of_variables = self.grad_fn(*given, variables=list(self.variables))
        else:
            pulled, of_variables = self.grad_fn(*given), []
        flat = nest.flatten(pulled)
        if len(flat) != self.wanted:
            raise ValueError(
                f"custom_gradient function expected to return {self.wanted} gradients, but "
                f"returned {len(flat)} instead."
            )
        return [None if g is None else tensor_of(g) for g in (*flat, *nest.flatten(of_variables))]


def custom_gradient(f: Any = None) -> Any:
    """A function that returns its result and the function that pulls cotangents back through it."""
    if f is None:
        return custom_gradient

    @functools.wraps(f)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        if not open_tapes.tapes and not any(
            isinstance(a, CoreTensor) and a.node is not None for a in nest.flatten(args)
        ):
            return f(*args, **kwargs)[0]
        operands = [tensor_of(a) for a in nest.flatten(args)]
        with GradientTape() as watcher, core_tape.recording(False):
            result, grad_fn = f(*nest.pack_sequence_as(args, operands), **kwargs)
        _unspent.discard(watcher)
        variables = [v for v in watcher.watched_variables() if not _among(v, args)]
        takes = inspect.getfullargspec(grad_fn)
        if variables and "variables" not in takes.args + takes.kwonlyargs and not takes.varkw:
            raise TypeError(
                "If using @custom_gradient with a function that uses variables, then grad_fn must "
                "accept a 'variables' keyword argument."
            )
        edges = tuple([_edge(x) for x in (*operands, *variables)])
        flat = [alias(tensor_of(r), EagerTensor) for r in nest.flatten(result)]
        if any(edge is not None for edge in edges):
            node = CustomNode(
                edges, len(flat), grad_fn, [r.layout for r in flat], variables, len(operands)
            )
            for output, value in enumerate(flat):
                if value.layout.dtype.is_inexact:
                    value.history, value.output = node, output
        return nest.pack_sequence_as(result, flat)

    return decorated


def _edge(x: CoreTensor) -> tuple[Node, int] | None:
    node = x.node
    return None if node is None else (node, x.output)


def _among(variable: Variable, args: Any) -> bool:
    return any(a is variable for a in nest.flatten(args))


def grad_pass_through(f: Any) -> Any:
    """A function whose gradient is that of the identity."""

    @custom_gradient
    def through(*args: Any, **kwargs: Any) -> Any:
        def grad(*cotangents: Any, variables: Any = None) -> Any:
            if variables is not None:
                return cotangents, [None] * len(variables)
            return cotangents

        return f(*args, **kwargs), grad

    return through


def no_gradient(op_type: str) -> None:
    raise NotImplementedError("tf.no_gradient registers graph operations, which are not there yet")
