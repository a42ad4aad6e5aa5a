"""Control flow, scopes and devices: in eager execution mostly Python's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from diptych.core import tape
from diptych.core.tensor import Tensor as CoreTensor
from diptych.tensorflow import nest
from diptych.tensorflow.arrays import stack, unstack
from diptych.tensorflow.conversion import tensor_of
from diptych.tensorflow.errors import InvalidArgumentError
from diptych.tensorflow.variable import scopes


def executing_eagerly() -> bool:
    """True: calls run as they are made."""
    return True


def inside_function() -> bool:
    """False: nothing is being traced."""
    return False


def function(
    func: Any = None, input_signature: Any = None, autograph: bool = True, jit_compile: Any = None,
    reduce_retracing: bool = False, experimental_implements: Any = None,
    experimental_autograph_options: Any = None, experimental_attributes: Any = None,
    experimental_relax_shapes: Any = None, experimental_compile: Any = None,
    experimental_follow_type_hints: Any = None,
) -> Any:  # fmt: skip
    raise NotImplementedError(
        "tf.function is not there yet in diptych.tensorflow (it comes with compilation): "
        "call the Python function itself"
    )


def cond(pred: Any, true_fn: Any = None, false_fn: Any = None, name: Any = None) -> Any:
    """What one of two functions gives, chosen by a truth value."""
    if not callable(true_fn):
        raise TypeError("'true_fn' must be callable.")
    if not callable(false_fn):
        raise TypeError("'false_fn' must be callable.")
    return true_fn() if bool(pred) else false_fn()


def case(
    pred_fn_pairs: Any, default: Any = None, exclusive: bool = False, strict: bool = False,
    name: str = "case",
) -> Any:  # fmt: skip
    """What the function of the first condition that holds gives."""
    pairs = list(pred_fn_pairs)
    hits = [(bool(pred), fn) for pred, fn in pairs]
    if exclusive and sum(hit for hit, _ in hits) > 1:
        raise InvalidArgumentError(
            None, None, "Input error: exclusive=True: more than 1 conditions evaluated to True."
        )
    for hit, fn in hits:
        if hit:
            return fn()
    if default is None:
        raise InvalidArgumentError(
            None, None, "None of the conditions evaluated as True, and there is no default."
        )
    return default()


def switch_case(
    branch_index: Any, branch_fns: Any, default: Any = None, name: str = "switch_case"
) -> Any:
    """What the function of that number gives; the last, or the default, for one out of range."""
    if isinstance(branch_fns, dict):
        branches = dict(branch_fns)
    elif branch_fns and isinstance(branch_fns[0], tuple):
        branches = dict(branch_fns)
    else:
        branches = dict(enumerate(branch_fns))
    found = branches.get(int(branch_index))
    if found is None:
        found = default or branches[max(branches)]
    return found()


def while_loop(
    cond: Any, body: Any, loop_vars: Any, shape_invariants: Any = None,
    parallel_iterations: int = 10, back_prop: bool = True, swap_memory: bool = False,
    maximum_iterations: Any = None, name: Any = None,
) -> Any:  # fmt: skip
    """The loop's values after it has run as long as ``cond`` holds."""
    if not callable(cond):
        raise TypeError("'cond' must be callable.")
    if not callable(body):
        raise TypeError("'body' must be callable.")
    rounds = 0
    values = loop_vars
    while (maximum_iterations is None or rounds < int(maximum_iterations)) and bool(cond(*values)):
        values = body(*values)
        if not isinstance(values, (list, tuple)):
            values = (values,)
        rounds += 1
    return nest.map_structure(tensor_of, type(loop_vars)(values))


def map_fn(
    fn: Any, elems: Any, dtype: Any = None, parallel_iterations: Any = None, back_prop: bool = True,
    swap_memory: bool = False, infer_shape: bool = True, name: Any = None,
    fn_output_signature: Any = None,
) -> Any:  # fmt: skip
    """A function applied to every slice along the first axis, the results stacked."""
    flat = [unstack(x) for x in nest.flatten(elems)]
    if not flat or not flat[0]:
        raise NotImplementedError("tf.map_fn over nothing: the shape of its result is not known")
    results = [fn(nest.pack_sequence_as(elems, row)) for row in zip(*flat, strict=True)]
    columns = zip(*[nest.flatten(result) for result in results], strict=True)
    return nest.pack_sequence_as(results[0], [stack(list(column)) for column in columns])


def vectorized_map(
    fn: Any, elems: Any, fallback_to_while_loop: bool = True, warn: bool = True
) -> Any:
    """A function applied to every slice along the first axis, the results stacked."""
    return map_fn(fn, elems)


def group(*inputs: Any, **kwargs: Any) -> None:
    """Nothing: in eager execution what it waits for has happened."""


def no_op(name: Any = None) -> None:
    """Nothing."""


@contextlib.contextmanager
def control_dependencies(control_inputs: Any) -> Iterator[None]:
    """A ``with`` block whose calls come after others: they do in any case."""
    for value in control_inputs or ():
        if callable(value) and not isinstance(value, CoreTensor):
            value()
    yield


@contextlib.contextmanager
def init_scope() -> Iterator[None]:
    """A ``with`` block outside the gradient tapes."""
    with tape.recording(False):
        yield


class name_scope:
    """A ``with`` block in which names begin with a prefix."""

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise ValueError("name for name_scope must be a string.")
        self._name = name
        self._before: list[str] = []

    @property
    def name(self) -> str:
        return self._name

    def __enter__(self) -> str:
        before = scopes.prefix
        self._before.append(before)
        if not self._name:
            scopes.prefix = ""
        elif self._name.endswith("/"):
            scopes.prefix = self._name
        else:
            scopes.prefix = f"{before}{self._name}/"
        return scopes.prefix

    def __exit__(self, *error: Any) -> None:
        scopes.prefix = self._before.pop()


class _EagerDeviceContext:
    """A ``with`` block whose calls run on a device; there is one, the CPU."""

    def __init__(self, name: Any) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: Any) -> None:
        pass


def device(device_name: Any) -> _EagerDeviceContext:
    """A ``with`` block whose calls run on a device; any name means the CPU, the one there is."""
    return _EagerDeviceContext(device_name)
