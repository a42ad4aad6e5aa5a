"""PyTorch's face as targets of bad calls: public callables, arguments drawn by their names."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

import diptych.torch as torch
import diptych.torch.nn.functional as functional
from diptych.core import tape
from diptych.core.tensor import Tensor as CoreTensor
from diptych.torch import nn, optim
from tests.fuzz import oracles
from tests.fuzz.call import Call, Target, describe, signature_of
from tests.fuzz.draw import Drawer

TENSOR = torch.Tensor

# Names that are not drawn, and why.
LEFT_OUT = {
    # state of the whole process: tested by themselves
    "set_default_dtype", "set_default_device", "set_default_tensor_type", "set_num_threads",
    "set_num_interop_threads", "set_rng_state", "set_printoptions", "set_warn_always", "save",
    "load",
    "use_deterministic_algorithms", "set_grad_enabled", "set_flush_denormal",
    "set_float32_matmul_precision", "manual_seed", "seed", "get_rng_state",
    # of the core's class, not PyTorch's
    "array", "export", "layout", "buffer", "address", "node", "values", "offset", "result_type",
}  # fmt: skip
OPERATORS = (
    "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift eq ne lt le gt ge radd "
    "rsub "
    "rmul rtruediv rpow iadd isub imul itruediv ipow iand ior neg abs invert len bool float int "
    "index "
    "complex contains iter repr format"
).split()


def dtypes() -> dict[str, Any]:
    """The face's dtype objects, those without an implementation included."""
    return torch.dtypes.NAMED  # type: ignore[no-any-return]


def public(owner: Any) -> list[tuple[str, Any]]:
    """The functions that an object offers under public names."""
    found = []
    for name in sorted(vars(owner) if inspect.ismodule(owner) else dir(owner)):
        if name.startswith("_") or name in LEFT_OUT:
            continue
        value = getattr(owner, name)
        if callable(value) and not inspect.isclass(value) and not inspect.ismodule(value):
            found.append((name, value))
    return found


def targets() -> dict[str, list[Target]]:
    """What there is to call, by kind."""
    functions = [Target(f"torch.{n}", f, signature_of(f)) for n, f in public(torch)]
    for family in (
        "linalg",
        "fft",
        "special",
        "nn.init",
        "nn.utils",
        "autograd",
        "autograd.functional",
        "nn.utils.rnn",
        "signal.windows",
        "func",
    ):
        owner: Any = torch
        try:
            for part in family.split("."):
                owner = getattr(owner, part)
        except AttributeError:
            continue
        functions += [
            Target(f"torch.{family}.{n}", f, signature_of(f))
            for n, f in public(owner)
            if family == "special" or getattr(f, "__module__", "").startswith(owner.__name__)
        ]
    methods = [Target(f"Tensor.{n}", f, signature_of(f)) for n, f in public(torch.Tensor)]
    for name in OPERATORS:
        method = getattr(torch.Tensor, f"__{name}__", None)
        if method is not None:
            methods.append(Target(f"Tensor.__{name}__", method, signature_of(method)))
    modules, steps = [], []
    for name, cls in sorted(vars(nn).items()):
        lazy = inspect.isclass(cls) and issubclass(cls, nn.Module) and cls is not nn.Module
        if lazy:
            modules.append(Target(f"nn.{name}", cls, signature_of(cls)))
    for name, cls in sorted(vars(optim).items()):
        if inspect.isclass(cls) and issubclass(cls, optim.Optimizer) and cls is not optim.Optimizer:
            steps.append(Target(f"optim.{name}", cls, signature_of(cls)))
    return {
        "function": functions,
        "functional": [Target(f"F.{n}", f, signature_of(f)) for n, f in public(functional)],
        "method": methods,
        "module": modules,
        "optim": steps,
    }


KINDS = (
    ["function"] * 24 + ["functional"] * 9 + ["method"] * 30 + ["module"] * 7 + ["optim"] * 3
    + ["getitem"] * 5 + ["setitem"] * 5 + ["create"] * 3 + ["oracle"] * 14
)  # fmt: skip


def draw(drawer: Drawer, table: dict[str, list[Target]]) -> Call:
    """The next call."""
    kind = drawer.choice(KINDS)
    if kind == "oracle":
        return oracles.draw(drawer)
    if kind == "getitem":
        return item_call(drawer, assign=False)
    if kind == "setitem":
        return item_call(drawer, assign=True)
    if kind == "create":
        return create_call(drawer)
    target = drawer.choice(table[kind])
    if kind == "module":
        return module_call(drawer, target)
    if kind == "optim":
        return optimizer_call(drawer, target)
    args, kwargs = arguments(drawer, target, bound=kind == "method")
    operands = [x for x in (*args, *kwargs.values()) if isinstance(x, CoreTensor)]
    text = f"{target.name}({describe(args, kwargs)})"
    pull = drawer.chance(0.4)
    seed = drawer.tensor() if drawer.chance(0.1) else None
    silent = drawer.chance(0.1)

    def run() -> Any:
        with torch.no_grad() if silent else contextlib.nullcontext():
            result = target.function(*args, **kwargs)
        if pull:
            backward(result, seed)
        return result

    return Call(text + (" and backward" if pull else ""), run, operands)


def backward(result: Any, seed: Any, twice: bool = False) -> None:
    """Pull a gradient back through whatever came out, unless it would be a large one."""
    outputs = result if isinstance(result, (tuple, list)) else (result,)
    roots = [
        x for x in outputs
        if isinstance(x, torch.Tensor) and x.requires_grad and x.layout.size < 1 << 16
    ]  # fmt: skip
    if not roots:
        return
    root = roots[0]
    if twice:
        root = root.sum()
        seed = None
    root.backward(seed if seed is not None else torch.ones_like(root), create_graph=twice)


def item_call(drawer: Drawer, assign: bool) -> Call:
    """x[key], or x[key] = value."""
    x, key = drawer.tensor(), drawer.key()
    if not assign:
        return Call(f"{describe((x,))}[{describe((key,))}]", lambda: x[key], [x])
    value = drawer.choice((drawer.tensor, drawer.tensor, drawer.number, drawer.value))()

    def run() -> Any:
        x[key] = value

    return Call(f"{describe((x,))}[{describe((key,))}] = {describe((value,))}", run, [x])


def create_call(drawer: Drawer) -> Call:
    """Tensors from shapes, nested lists, and arrays that NumPy allows and we may not."""
    from_array = drawer.choice((torch.from_numpy, torch.tensor, torch.as_tensor, torch.asarray))
    kind = drawer.rng.randrange(4)
    if kind == 0:
        given = odd_array(drawer)
        return Call(f"{from_array.__name__}({given!r:.200})", lambda: from_array(given), [])
    if kind == 1:
        nested: Any = drawer.value()
        for _ in range(drawer.rng.randrange(4)):
            nested = [nested, drawer.value()] if drawer.chance(0.5) else (nested,)
        return Call(f"tensor({describe((nested,))})", lambda: torch.tensor(nested), [])
    name = drawer.choice(
        ("zeros", "ones", "empty", "full", "randn", "rand", "eye", "empty_strided")
    )
    size = drawer.extents()
    if name == "full":
        value = drawer.number()
        return Call(f"full({size}, {value})", lambda: torch.full(size, value), [])
    if name == "empty_strided":
        strides = drawer.extents()
        text = f"empty_strided({size}, {strides})"
        return Call(text, lambda: torch.empty_strided(size, strides), [])
    function = getattr(torch, name)
    dtype = drawer.dtype()
    return Call(f"{name}(*{size}, dtype={dtype})", lambda: function(*size[:2], dtype=dtype), [])


def odd_array(drawer: Drawer) -> Any:
    """An array of a layout or an element type that few expect."""
    kind = drawer.rng.randrange(8)
    if kind == 0:
        return np.arange(6, dtype=">f4")
    if kind == 1:
        return np.frombuffer(bytes(33), np.uint8)[1:].view(np.float32)[: drawer.rng.randrange(8)]
    if kind == 2:
        return np.array(["a", None, 3], object)
    if kind == 3:
        return np.zeros(3, [("a", "i4"), ("b", "f8")])["b" if drawer.chance(0.5) else "a"]
    if kind == 4:
        return np.array(["2020-01-01"], "datetime64[D]")
    if kind == 5:
        return np.zeros((0, 2**40), np.float32)
    if kind == 6:
        return np.ones((2,) * drawer.choice((30, 32)), np.uint8)[(0,) * 20]
    return drawer.array(drawer.shape(), drawer.fresh_dtype())


def module_call(drawer: Drawer, target: Target) -> Call:
    """Make a module, give it an input, pull back."""
    args, kwargs = arguments(drawer, target, sane=0.85)
    inputs = [drawer.tensor() for _ in range(drawer.choice((1, 1, 1, 2, 2, 3)))]
    training = drawer.chance(0.5)
    text = f"{target.name}({describe(args, kwargs)})({describe(inputs)}) and backward"

    def run() -> Any:
        module = target.function(*args, **kwargs)
        module.train(training)
        result = module(*inputs)
        backward(result, None)
        return result

    return Call(text, run, inputs)


def optimizer_call(drawer: Drawer, target: Target) -> Call:
    """Make an optimizer over odd parameters with odd gradients, and step."""
    parameters: list[Any] = []
    for _ in range(drawer.rng.randrange(4)):
        x = drawer.tensor()
        with contextlib.suppress(Exception):
            x = x.detach().requires_grad_()
            x.grad = drawer.tensor() if drawer.chance(0.3) else torch.ones_like(x)
        parameters.append(x)
    given: Any = parameters
    if drawer.chance(0.15):
        given = drawer.choice(([{"params": parameters, "lr": drawer.number()}], drawer.value()))
    _, kwargs = arguments(drawer, target, sane=0.8)
    for name in ("params", "foreach", "fused", "capturable"):
        kwargs.pop(name, None)
    text = f"{target.name}({describe((given,), kwargs)}).step()"

    def run() -> Any:
        stepper = target.function(given, **kwargs)
        stepper.step()
        stepper.step()
        stepper.zero_grad()
        return parameters

    return Call(text, run, [x for x in parameters if isinstance(x, CoreTensor)])


# ---- arguments by their names

Maker = Callable[[Drawer], Any]


def _tensor(d: Drawer) -> Any:
    return d.tensor()


def _operand(d: Drawer) -> Any:
    return d.tensor() if d.chance(0.75) else d.number()


def _out(d: Drawer) -> Any:
    return tuple(d.tensor() for _ in range(d.rng.randrange(4))) if d.chance(0.2) else d.tensor()


def _tensors(d: Drawer) -> Any:
    made = [d.tensor() for _ in range(d.choice((0, 1, 2, 2, 3)))]
    return made if d.chance(0.6) else tuple(made)


def _sections(d: Drawer) -> Any:
    return d.integer() if d.chance(0.5) else [d.integer() for _ in range(d.rng.randrange(4))]


def _string(*options: str) -> Maker:
    return lambda d: d.choice(options) if d.chance(0.85) else d.value()


_BY_KIND: list[tuple[Maker, str]] = [
    (_tensor, "input self tensor tensor1 tensor2 mat1 mat2 mat vec vec1 vec2 batch1 batch2 x1 x2 "
     "x y src "
     "source anchor positive negative real imag input1 input2 a b A B B1 values elements "
     "test_elements "
     "tensor_1 weights logits sorted_sequence boundaries condition var pos_weight grad gradient "
     "sorter "
     "s t running_mean running_var"),
    (_operand, "other exponent end weight bias value fill_value target nan min max q"),
    (Drawer.index, "index indices"),
    (lambda d: d.tensor(dtype=torch.bool.engine), "mask"),
    (_out, "out"),
    (_tensors, "tensors inputs"),
    (Drawer.axis, "dim dim0 dim1 dim2 axis axis0 axis1 start_dim end_dim dimension source "
     "destination"),
    (Drawer.axes, "dims"),
    (Drawer.extents, "size sizes shape output_size normalized_shape stride strides repeats"),
    (_sections, "split_size_or_sections indices_or_sections shifts split_size split_sizes "
     "kernel_size "
     "padding dilation pad"),
    (lambda d: d.choice((0, 1, 2, -1, 1.5)), "num_layers num_encoder_layers num_decoder_layers"),
    (Drawer.integer, "offset diagonal k n num_samples steps bins chunks length row col num_classes "
     "minlength decimals storage_offset padding_idx ignore_index start step count num_embeddings "
     "embedding_dim in_features out_features in_channels out_channels num_groups groups sections m "
     "nhead d_model num_heads proj_size "
     "upscale_factor downscale_factor num_features low high from_ to N ord correction implicit"),
    (Drawer.flag, "keepdim sorted largest descending stable full upper accumulate training inplace "
     "requires_grad as_tuple right copy return_inverse return_counts log_target swap equal_nan "
     "replacement include_self hard retain_graph create_graph unbiased out_int32 assume_unique "
     "invert "
     "log_input affine elementwise_affine amsgrad maximize nesterov sparse non_blocking"),
    (Drawer.number, "p alpha beta eps mean std margin threshold lambd delta tau rtol atol lower "
     "upper "
     "negative_slope label_smoothing max_norm norm_type lr momentum dampening weight_decay base "
     "min_val max_val posinf neginf lambda1 lambda2 scale rho sigma median init init_v"),
    (Drawer.dtype, "dtype out_dtype"),
    (_string("mean", "sum", "none"), "reduction"),
    (_string("sum", "prod", "mean", "amax", "amin"), "reduce"),
    (_string("floor", "trunc"), "rounding_mode"),
    (_string("linear", "lower", "higher", "midpoint", "nearest"), "interpolation"),
    (_string("constant", "reflect", "replicate", "circular"), "mode"),
    (_string("left", "right"), "side"),
    (_string("ij", "xy"), "indexing"),
    (_string("none", "tanh"), "approximate"),
    (_string("ij,jk->ik", "ii->i", "...i,i", "ij->", "i,j", "->", "ab,bc,cd", "i i", "i->ii",
     "ij,,"),
     "equation"),
    (lambda d: (d.choice((0.9, 0.5, -1.0, 1.0)), d.choice((0.999, 0.0, 2.0))), "betas"),
]  # fmt: skip
MAKERS: dict[str, Maker] = {name: maker for maker, names in _BY_KIND for name in names.split()}
# A keyword that is left alone unless an odd value is drawn for it.
QUIET = {
    "device", "layout", "pin_memory", "memory_format", "generator", "size_average", "foreach",
    "fused",
    "capturable", "differentiable", "hook", "_stacklevel", "distance_function", "abs", "cls",
}  # fmt: skip


def arguments(
    d: Drawer, target: Target, bound: bool = False, sane: float = 0.7
) -> tuple[list[Any], dict[str, Any]]:
    """Arguments for a call; with the chance ``1 - sane`` one of them is replaced by anything."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    if target.parameters is None:
        args = [
            d.choice((_tensor, Drawer.integer, Drawer.value))(d) for _ in range(d.rng.randrange(4))
        ]
        return ([d.tensor(), *args] if bound else args), kwargs
    for position, parameter in enumerate(target.parameters):
        name = parameter.name
        if bound and position == 0:
            args.append(d.tensor())
            continue
        maker = MAKERS.get(name, Drawer.value)
        if parameter.kind is parameter.VAR_POSITIONAL:
            args += _variadic(d, name)
        elif parameter.kind is parameter.VAR_KEYWORD:
            continue
        elif parameter.default is parameter.empty:
            if parameter.kind is parameter.KEYWORD_ONLY:
                kwargs[name] = maker(d)
            else:
                args.append(maker(d))
        elif name in QUIET:
            if d.chance(0.01):
                kwargs[name] = d.value()
        elif d.chance(0.07 if name == "out" else 0.3):
            kwargs[name] = maker(d)
    if not d.chance(sane):
        spoil(d, args, kwargs, bound)
    return args, kwargs


def _variadic(d: Drawer, name: str) -> list[Any]:
    if name in ("tensors", "operands", "matrices"):
        return list(_tensors(d))
    if name in ("size", "sizes", "shape", "shapes", "dims", "repeats"):
        made = d.axes() if name == "dims" else d.extents()
        return [made] if d.chance(0.4) or isinstance(made, int) else list(made)
    options = (_tensor, Drawer.axis, Drawer.integer, Drawer.extents, Drawer.index, Drawer.value)
    return [d.choice(options)(d) for _ in range(d.choice((0, 1, 1, 2, 3)))]


def spoil(d: Drawer, args: list[Any], kwargs: dict[str, Any], bound: bool) -> None:
    """Replace, drop or add an argument."""
    first = 1 if bound else 0
    kind = d.rng.randrange(6)
    if kind == 0:
        args.append(d.value())
    elif kind == 1 and len(args) > first:
        args.pop()
    elif kind == 2 and kwargs:
        kwargs[d.choice(sorted(kwargs))] = d.value()
    elif len(args) > first:
        args[d.rng.randrange(first, len(args))] = d.value()


def reset() -> None:
    """Undo what a call may have left behind."""
    tape.mode.enabled = True
    torch.set_default_dtype(torch.float32)
