"""TensorFlow's face as targets of bad calls: public functions, arguments drawn by their names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import diptych.tensorflow as tf
from diptych.core import tape
from diptych.core.tensor import Tensor as CoreTensor
from tests.fuzz.call import Call, Target, describe, signature_of
from tests.fuzz.draw import Drawer

TENSOR = tf.Tensor

LEFT_OUT = {
    # run what they are given, or print, or are about the whole process
    "while_loop", "print", "function", "inside_function", "init_scope", "set_seed", "print_v2",
    "enable_check_numerics", "disable_check_numerics", "main", "make_function", "map_fn",
    "vectorized_map",
}  # fmt: skip
FAMILIES = ("", "math", "linalg", "nn", "bitwise", "random", "debugging", "strings", "nest", "sets")
OPERATORS = (
    "add sub mul truediv floordiv mod pow matmul and or xor eq ne lt le gt ge radd rsub rmul "
    "rtruediv "
    "rpow neg abs invert len bool float int index getitem iter repr"
).split()


def dtypes() -> dict[str, Any]:
    """The face's dtype objects."""
    kind = type(tf.float32)
    return {name: value for name, value in vars(tf).items() if isinstance(value, kind)}


def targets() -> dict[str, list[Target]]:
    """What there is to call, by kind."""
    functions: list[Target] = []
    for family in FAMILIES:
        owner = getattr(tf, family, None) if family else tf
        if owner is None:
            continue
        prefix = f"tf.{family}." if family else "tf."
        for name in sorted(n for n in dir(owner) if not n.startswith("_") and n not in LEFT_OUT):
            value = getattr(owner, name)
            if callable(value) and not inspect.isclass(value) and not inspect.ismodule(value):
                functions.append(Target(prefix + name, value, signature_of(value)))
    methods = []
    for name in OPERATORS:
        method = getattr(tf.Tensor, f"__{name}__", None)
        if method is not None:
            methods.append(Target(f"tf.Tensor.__{name}__", method, signature_of(method)))
    variables = [
        Target(f"tf.Variable.{name}", getattr(tf.Variable, name), None)
        for name in dir(tf.Variable)
        if name.startswith(("assign", "scatter", "batch_scatter", "gather", "value", "sparse"))
        and callable(getattr(tf.Variable, name))
    ]
    for target in variables:
        target.parameters = signature_of(target.function)
    return {"function": functions, "method": methods, "variable": variables}


KINDS = ["function"] * 16 + ["method"] * 4 + ["variable"] * 3 + ["getitem"] * 2 + ["constant"] * 2


def draw(drawer: Drawer, table: dict[str, list[Target]]) -> Call:
    """The next call."""
    kind = drawer.choice(KINDS)
    if kind == "getitem":
        x, key = drawer.tensor(), drawer.key()
        return Call(f"{describe((x,))}[{describe((key,))}]", lambda: x[key], [x])
    if kind == "constant":
        value, dtype = drawer.value(), drawer.dtype() if drawer.chance(0.5) else None
        shape = drawer.extents() if drawer.chance(0.5) else None
        text = f"tf.constant({describe((value,))}, {dtype}, {shape})"
        return Call(text, lambda: tf.constant(value, dtype, shape), [])
    target = drawer.choice(table[kind])
    bound = kind != "function"
    args, kwargs = arguments(drawer, target, bound)
    if kind == "variable":
        args[0] = drawer.tensor()
    text = f"{target.name}({describe(args, kwargs)})"
    watched = [x for x in args if isinstance(x, tf.Tensor) and x.layout.dtype.is_inexact]
    pull = drawer.chance(0.4) and kind != "variable"

    def run() -> Any:
        if kind == "variable":
            args[0] = tf.Variable(args[0])
        if not pull:
            return target.function(*args, **kwargs)
        with tf.GradientTape(persistent=True) as recorded:
            recorded.watch(watched)
            result = target.function(*args, **kwargs)
        outputs = result if isinstance(result, (tuple, list)) else (result,)
        for y in outputs:
            if isinstance(y, tf.Tensor) and y.layout.dtype.is_inexact and y.layout.size < 1 << 16:
                recorded.gradient(y, watched)
                break
        return result

    operands = [x for x in (*args, *kwargs.values()) if isinstance(x, CoreTensor)]
    return Call(text + (" and gradient" if pull else ""), run, operands)


# ---- arguments by their names

Maker = Callable[[Drawer], Any]


def _tensor(d: Drawer) -> Any:
    return d.tensor()


def _operand(d: Drawer) -> Any:
    return d.tensor() if d.chance(0.75) else d.number()


def _tensors(d: Drawer) -> Any:
    return [d.tensor() for _ in range(d.choice((0, 1, 2, 2, 3)))]


def _shape(d: Drawer) -> Any:
    if d.chance(0.2):
        return d.index()
    return d.extents()


def _paddings(d: Drawer) -> Any:
    return [[d.integer(), d.integer()] for _ in range(len(d.base_shape) if d.chance(0.7) else 1)]


_BY_KIND: list[tuple[Maker, str]] = [
    (_tensor, "input tensor x input_tensor a values params features logits labels t condition "
     "mask data "
     "array matrix images source target tensor1 cond sorted_sequence diagonal rhs"),
    (_operand, "y b other value delta updates update on_value off_value constant_values "
     "default_value "
     "clip_value_min clip_value_max clip_norm"),
    (_tensors, "inputs tensors arrays values_list operands"),
    (Drawer.index, "indices index segment_ids perm lengths"),
    (Drawer.axes, "axis axes dims"),
    (_shape, "shape size sizes multiples begin end strides output_shape dims_shape repeats shift"),
    (_paddings, "paddings"),
    (Drawer.integer, "depth num num_or_size_splits k batch_dims limit start delta_ num_segments "
     "maxlen "
     "num_rows num_columns num_lower num_upper"),
    (Drawer.number, "minval maxval mean stddev rate alpha epsilon lam factor"),
    (Drawer.flag, "keepdims transpose_a transpose_b adjoint_a adjoint_b exclusive reverse sorted "
     "use_locking read_value"),
    (Drawer.dtype, "dtype out_type type"),
    (lambda d: d.choice(("ASCENDING", "DESCENDING", "bogus")), "direction"),
    (lambda d: d.choice(("CONSTANT", "REFLECT", "SYMMETRIC", "bogus")), "mode"),
    (lambda d: d.choice(("ij,jk->ik", "ii->i", "ij->", "->", "i,j", "ab,bc,cd")), "equation"),
]  # fmt: skip
MAKERS: dict[str, Maker] = {name: maker for maker, names in _BY_KIND for name in names.split()}
QUIET = {"name", "validate_indices", "message", "summarize", "data_format"}


def arguments(d: Drawer, target: Target, bound: bool) -> tuple[list[Any], dict[str, Any]]:
    """Arguments for a call; now and then one of them is replaced by anything."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for position, parameter in enumerate(target.parameters or []):
        name = parameter.name
        if bound and position == 0:
            args.append(d.tensor())
        elif parameter.kind is parameter.VAR_POSITIONAL:
            args += [d.tensor() for _ in range(d.rng.randrange(3))]
        elif parameter.kind is parameter.VAR_KEYWORD:
            continue
        elif parameter.default is parameter.empty:
            made = MAKERS.get(name, Drawer.value)(d)
            if parameter.kind is parameter.KEYWORD_ONLY:
                kwargs[name] = made
            else:
                args.append(made)
        elif name in QUIET:
            if d.chance(0.01):
                kwargs[name] = d.value()
        elif d.chance(0.3):
            kwargs[name] = MAKERS.get(name, Drawer.value)(d)
    first = 1 if bound else 0
    if target.parameters is None:
        args = [d.tensor(), d.value()]
    elif d.chance(0.25) and len(args) > first:
        args[d.rng.randrange(first, len(args))] = d.value()
    elif d.chance(0.05):
        args.append(d.value())
    if d.chance(0.15):  # what TensorFlow converts: lists, arrays, numbers
        args = [x.values() if isinstance(x, CoreTensor) and d.chance(0.5) else x for x in args]
    return args, kwargs


def reset() -> None:
    """Undo what a call may have left behind."""
    tape.mode.enabled = True
    np.seterr(all="warn")
