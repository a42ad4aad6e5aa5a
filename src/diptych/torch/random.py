"""torch.random: generators, seeds, and the functions that draw, giving PyTorch's CPU numbers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from diptych.core import dtypes as engine
from diptych.core import inplace, recording, tape
from diptych.core.dtypes import DType
from diptych.core.random import rejection
from diptych.core.random import torch_stream as stream
from diptych.core.random.mt19937 import Generator as CoreGenerator
from diptych.core.samples import drawing_level, each_sample
from diptych.core.tensor import Tensor as CoreTensor
from diptych.core.tensor import copy_array, empty, from_array, store
from diptych.ops.reduction import with_zero_gradient
from diptych.ops.select import ASSIGN
from diptych.torch import outputs
from diptych.torch.creation import finished, like, plain_layout
from diptych.torch.device import CPU, check_device, check_layout
from diptych.torch.dtypes import Default, core_of, scalar_name
from diptych.torch.size import shape_of_arguments
from diptych.torch.tensor import Tensor, face

_DEFAULT_SEED = 67280421310721


class Generator(CoreGenerator):
    """A stream of random numbers: ``torch.Generator``."""

    __module__ = "torch"

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        super().__init__(_DEFAULT_SEED)

    @property
    def device(self) -> Any:
        return CPU

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream that belongs to a seed; returns the generator."""
        super().manual_seed(checked_seed(seed))
        return self

    def get_state(self) -> Any:
        """The state as PyTorch's 5056 bytes."""
        return from_array(super().get_state(), Tensor)

    def set_state(self, new_state: Any) -> Any:
        """Continue from a state that ``get_state`` returned."""
        if isinstance(new_state, CoreTensor):
            new_state = new_state.array()
        super().set_state(np.array(new_state))
        return self

    def clone_state(self) -> Generator:
        """An independent generator at the same place of the stream."""
        other = Generator()
        other.set_state(self.get_state())
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        return (_generator_at, (self.get_state(),))


def _generator_at(state: Any) -> Generator:
    made = Generator()
    made.set_state(state)
    return made


def checked_seed(seed: Any) -> int:
    """A seed as PyTorch takes it: -2^63 to 2^64 - 1, negative ones wrapped."""
    seed = int(seed)
    if not -(1 << 63) <= seed < 1 << 64:
        raise RuntimeError("Overflow when unpacking long long")
    return seed % (1 << 64)


default_generator = Generator()


def manual_seed(seed: Any) -> Generator:
    """Seed the default generator; returns it."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the system's entropy; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator was started with."""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """The default generator's state as bytes."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Continue the default generator from a state."""
    default_generator.set_state(new_state)


@contextlib.contextmanager
def fork_rng(devices: Any = None, enabled: bool = True, **rest: Any) -> Iterator[None]:
    """Whatever is drawn inside leaves the default generator as it was."""
    if not enabled:
        yield
        return
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


def generator_of(given: Any) -> CoreGenerator:
    """The generator of an argument, by default the default one."""
    drawing_level()
    if given is None:
        return default_generator
    if isinstance(given, CoreGenerator):
        return given
    raise TypeError(f"argument 'generator' must be torch._C.Generator, not {type(given).__name__}")


# ---- factories


def _drawn(array: Any, dtype: DType) -> Tensor:
    if array.flags.c_contiguous and array.flags.writeable and array.ndim:
        return from_array(array, Tensor, dtype)
    return copy_array(np.asarray(array), Tensor, dtype)


def _made(draw: Any, source: Any, *given: Any) -> Any:
    """A tensor of ``draw(source, *given)``; the last of what is given is its dtype."""
    level = drawing_level()
    if level is not None:
        shape, *rest = given
        if not isinstance(shape, tuple):
            raise NotImplementedError("vmap: randperm with randomness='different'")
        return each_sample(level, lambda grown: _made(draw, source, grown, *rest), shape)
    if recording.active is not None:
        return recording.fed(lambda: _drawn(draw(source, *given), given[-1]))
    return _drawn(draw(source, *given), given[-1])


def _factory(name: str, draw: Any, into: Any) -> Any:
    def function(
        *size: Any, generator: Any = None, out: Any = None, dtype: Any = None, layout: Any = None,
        device: Any = None, requires_grad: bool = False, pin_memory: bool = False, **given: Any,
    ) -> Any:  # fmt: skip
        if given:
            if "size" not in given or len(given) > 1 or size:
                unknown = next(iter(given))
                raise TypeError(f"{name}() got an unexpected keyword argument '{unknown}'")
            size = (given["size"],)
        if device is not None:
            check_device(device)
        if layout is not None:
            check_layout(layout)
        core = Default.core if dtype is None else core_of(dtype, name)
        # Straight into the result's memory, where nobody listens to what is drawn.
        alone = recording.active is None and drawing_level() is None
        if core is engine.float32 and out is None and alone:
            place = plain_layout(core, size)
            if place is not None:
                made = empty(place, Tensor)
                if into(generator_of(generator), made.address, place.size):
                    return finished(made, True) if requires_grad else made
        shape = shape_of_arguments(size, name)
        _refuse_negative(shape)
        _refuse_whole(core, name)
        made = _made(draw, generator_of(generator), shape, core)
        if out is not None:
            return outputs.write(out, made, name)
        return finished(made, True) if requires_grad else made

    function.__name__ = function.__qualname__ = name
    return function


def _refuse_whole(core: DType, name: str) -> None:
    if not core.is_inexact:
        kernel = "normal_kernel_cpu" if name.startswith("randn") else "check_uniform_bounds"
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{scalar_name(core)}'")


def _refuse_negative(shape: tuple[int, ...]) -> None:
    for extent in shape:
        if extent < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {extent}: {list(shape)}"
            )


rand = _factory("rand", stream.rand, CoreGenerator.uniform_into)
randn = _factory("randn", stream.randn, CoreGenerator.normal_into)


def _factory_like(name: str, draw: Any) -> Any:
    def function(
        input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False, memory_format: Any = None, generator: Any = None,
    ) -> Any:  # fmt: skip
        x = face(input, name)
        core = like(x, name, dtype, device, layout)
        _refuse_whole(core, name)
        made = _made(draw, generator_of(generator), x.layout.shape, core)
        return finished(made, requires_grad)

    function.__name__ = function.__qualname__ = name
    return function


rand_like = _factory_like("rand_like", stream.rand)
randn_like = _factory_like("randn_like", stream.randn)


def randint(
    *args: Any, low: Any = None, high: Any = None, size: Any = None, generator: Any = None,
    out: Any = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """Whole numbers from low (0) up to, not with, high: ``randint(high, size)`` or with low."""
    check_device(device)
    given = list(args)
    if size is None:
        if len(given) < 2 and not (len(given) == 1 and high is not None):
            raise TypeError("randint() received an invalid combination of arguments: no size")
        size = given.pop()
    if given:
        if len(given) == 2:
            low, high = given
        elif high is None:
            high = given[0]
        else:
            low = given[0]
    low, high = int(low or 0), int(high)
    core = engine.int64 if dtype is None else core_of(dtype, "randint")
    _check_interval(low, high)
    shape = shape_of_arguments((size,), "randint")
    _refuse_negative(shape)
    made = _made(stream.randint, generator_of(generator), shape, low, high, core)
    return finished(outputs.finish(made, out, "randint"), requires_grad)


def _check_interval(low: int, high: int) -> None:
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )


def randint_like(
    input: Any, low: Any = None, high: Any = None, *, dtype: Any = None, generator: Any = None,
    **rest: Any,
) -> Any:  # fmt: skip
    """Whole numbers in another tensor's shape and dtype."""
    if high is None:
        low, high = 0, low
    return randint(
        low, high, input.layout.shape, dtype=dtype or input.dtype, generator=generator, **rest
    )


def randperm(
    n: Any, *, generator: Any = None, out: Any = None, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False, pin_memory: bool = False,
) -> Any:  # fmt: skip
    """A permutation of 0 to n - 1."""
    check_device(device)
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got{n}")
    core = engine.int64 if dtype is None else core_of(dtype, "randperm")
    made = _made(stream.randperm, generator_of(generator), int(n), core)
    return finished(outputs.finish(made, out, "randperm"), requires_grad)


def _few(x: CoreTensor) -> Any:
    """The values, those that only repeat others left out."""
    array = x.values()
    return array[tuple(slice(0, 1) if step == 0 else slice(None) for step in array.strides)]


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, *, generator: Any = None, out: Any = None,
    dtype: Any = None, device: Any = None, requires_grad: bool = False, **rest: Any,
) -> Any:  # fmt: skip
    """Normal numbers: one mean and deviation for a size, or tensors of them."""
    source = generator_of(generator)
    if not isinstance(mean, CoreTensor) and not isinstance(std, CoreTensor):
        if size is None:
            raise TypeError("normal() received an invalid combination of arguments: no size")
        core = Default.core if dtype is None else core_of(dtype)
        _check_deviation(std)
        shape = shape_of_arguments((size,), "normal")
        made = _made(stream.normal, source, shape, float(mean), float(std), core)
        return finished(outputs.finish(made, out, "normal"), requires_grad)
    if isinstance(std, CoreTensor) and std.layout.size and float(_few(std).min()) < 0:
        raise RuntimeError("normal expects all elements of std >= 0.0")
    if not isinstance(std, CoreTensor):
        _check_deviation(std)
    tensors = [x for x in (mean, std) if isinstance(x, CoreTensor)]
    core = tensors[0].layout.dtype
    shape = np.broadcast_shapes(*[x.layout.shape for x in tensors])
    unit = _made(stream.normal, source, shape, 0.0, 1.0, core)
    made = unit * std.detach() if isinstance(std, CoreTensor) else unit * std  # type: ignore[attr-defined]
    made = made + mean.detach() if isinstance(mean, CoreTensor) else made + mean  # type: ignore[attr-defined]
    made = face(with_zero_gradient(made, *tensors), "normal")  # as PyTorch has it
    return outputs.finish(made, out, "normal")


def _check_deviation(std: Any) -> None:
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")


def bernoulli(input: Any, p: Any = None, *, generator: Any = None, out: Any = None) -> Any:
    """Ones with each element's probability (or with probability p everywhere)."""
    x = face(input, "bernoulli")
    source = generator_of(generator)
    core = x.layout.dtype
    if p is not None:
        return _made(stream.bernoulli, source, x.layout.shape, float(p), core)
    values = x.values()
    if values.size and not bool(((values >= 0) & (values <= 1)).all()):
        raise RuntimeError("Expected p_in >= 0 && p_in <= 1 to be true, but got false.")
    made = _drawn(stream.bernoulli_each(source, x.array(), core, core), core)
    return outputs.finish(face(with_zero_gradient(made, x), "bernoulli"), out, "bernoulli")


def multinomial(
    input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None,
    out: Any = None,
) -> Any:  # fmt: skip
    """Positions drawn with probability by weight, per row."""
    x = face(input, "multinomial")
    if x.layout.ndim not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if num_samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not replacement and num_samples > x.layout.shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    values = x.values()
    if values.size and (not np.isfinite(values).all() or (values < 0).any()):
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if (values.sum(-1) <= 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    drawn = stream.multinomial(
        generator_of(generator), x.array(), num_samples, replacement, of=x.layout.dtype
    )
    made = copy_array(np.asarray(drawn, np.int64), Tensor)
    return outputs.finish(made, out, "multinomial")


def _rejected(name: str, draw: Any, operands: tuple[Any, ...], generator: Any) -> Any:
    """What a sampler that rejects gives for the elements of tensors of one floating dtype."""
    held = [x.detach().contiguous() for x in operands]
    core = held[0].layout.dtype
    if not core.is_float:
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{scalar_name(core)}'")
    array = draw(generator_of(generator), *[x.array() for x in held], core)
    return copy_array(np.asarray(array), Tensor, core)


def poisson(input: Any, generator: Any = None) -> Any:
    """Counts of what comes as often, on average, as each element says."""
    x = face(input, "poisson")
    if x.layout.dtype.is_float and x.layout.size and float(x.detach().values().min()) < 0:
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    return _rejected("poisson", rejection.poisson, (x,), generator)


def binomial(count: Any, prob: Any, generator: Any = None) -> Any:
    """Successes in numbers of trials."""
    a, b = face(count, "binomial", "count"), face(prob, "binomial", "prob", 2)
    if a.layout.dtype is not b.layout.dtype:
        raise RuntimeError(
            f"Found dtype {scalar_name(b.layout.dtype)} but expected {scalar_name(a.layout.dtype)}"
        )
    if a.layout.shape != b.layout.shape:
        shape = np.broadcast_shapes(a.layout.shape, b.layout.shape)
        a, b = a.expand(shape), b.expand(shape)  # type: ignore[attr-defined]
    return _rejected("binomial", rejection.binomial, (a, b), generator)


def _standard_gamma(input: Any, generator: Any = None) -> Any:
    """Gamma numbers of rate 1, off the tape (torch.distributions records theirs)."""
    x = face(input, "_standard_gamma")
    return _rejected("gamma", rejection.standard_gamma, (x,), generator)


def _sample_dirichlet(input: Any, generator: Any = None) -> Any:
    """Shares of one, off the tape (torch.distributions records theirs)."""
    x = face(input, "_sample_dirichlet")
    return _rejected("dirichlet", rejection.dirichlet, (x,), generator)


# ---- in place: x.uniform_(), x.normal_(), ...


def _fill(self: Any, draw: Any, source: Any, *given: Any, **named: Any) -> Any:
    """Write ``draw(source, ...)`` into ``self``, which counts as an in-place change."""
    if not self.buffer.writable:
        raise RuntimeError("the tensor's memory is read-only: clone it first")
    if self.node is not None:
        from_tape(self)
    if recording.active is not None:
        core = self.layout.dtype
        new = recording.fed(
            lambda: copy_array(np.asarray(draw(source, *given, **named)), Tensor, core)
        )
        with tape.recording(False):
            inplace.update(self, ASSIGN, (self, new), (core,))
        return self
    store(self, np.asarray(draw(source, *given, **named)))
    self.buffer.version += 1
    return self


def from_tape(self: Any) -> None:
    """Refuse leaves that want a gradient; other values lose their history, as in PyTorch."""
    if tape.mode.enabled:
        inplace.refuse_leaf(self)
        self.node = None


def uniform_(self: Any, from_: float = 0.0, to: float = 1.0, *, generator: Any = None) -> Any:
    """Uniform on [from, to)."""
    if from_ > to:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={from_:g} > to={to:g}"
        )
    place = self.layout
    return _fill(
        self, stream.uniform, generator_of(generator), place.shape, float(from_), float(to),
        place.dtype,
    )  # fmt: skip


def normal_(self: Any, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Any:
    """Normal with one mean and deviation."""
    _check_deviation(std)
    place = self.layout
    return _fill(
        self, stream.normal, generator_of(generator), place.shape, float(mean), float(std),
        place.dtype, contiguous=place.contiguous,
    )  # fmt: skip


def log_normal_(self: Any, mean: float = 1.0, std: float = 2.0, *, generator: Any = None) -> Any:
    """The exponential of a normal."""
    place = self.layout
    return _fill(
        self, stream.log_normal, generator_of(generator), place.shape, mean, std, place.dtype
    )


def exponential_(self: Any, lambd: float = 1.0, *, generator: Any = None) -> Any:
    """Exponential of a rate."""
    place = self.layout
    return _fill(self, stream.exponential, generator_of(generator), place.shape, lambd, place.dtype)


def cauchy_(self: Any, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None) -> Any:
    """Cauchy."""
    place = self.layout
    return _fill(
        self, stream.cauchy, generator_of(generator), place.shape, median, sigma, place.dtype
    )


def geometric_(self: Any, p: float, *, generator: Any = None) -> Any:
    """The number of trials to the first success."""
    place = self.layout
    return _fill(self, stream.geometric, generator_of(generator), place.shape, p, place.dtype)


def bernoulli_(self: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
    """Ones with probability p: a number, or a tensor of them."""
    place = self.layout
    source = generator_of(generator)
    if isinstance(p, CoreTensor):
        array = np.broadcast_to(p.array(), place.shape)
        return _fill(self, stream.bernoulli_each, source, array, p.layout.dtype, place.dtype)
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    return _fill(self, stream.bernoulli, source, place.shape, float(p), place.dtype)


def random_(self: Any, *bounds: Any, generator: Any = None, **given: Any) -> Any:
    """Whole numbers: of the whole dtype, below ``to``, or in [from, to)."""
    place = self.layout
    source = generator_of(generator)
    values = [*bounds, *given.values()]
    if not values:
        return _fill(self, stream.random_full, source, place.shape, place.dtype)
    low, high = (0, values[0]) if len(values) == 1 else values
    if high is None:
        return _fill(self, stream.random_from, source, place.shape, int(low), place.dtype)
    _check_interval(int(low), int(high))
    return _fill(self, stream.randint, source, place.shape, int(low), int(high), place.dtype)


FUNCTIONS = {
    function.__name__: function
    for function in (
        rand, randn, rand_like, randn_like, randint, randint_like, randperm, normal, bernoulli,
        multinomial, poisson, binomial, _standard_gamma,
        _sample_dirichlet, manual_seed, seed, initial_seed, get_rng_state, set_rng_state,
    )
}  # fmt: skip
FUNCTIONS.update(Generator=Generator, default_generator=default_generator)
METHODS = {
    function.__name__: function
    for function in (
        uniform_, normal_, log_normal_, exponential_, cauchy_, geometric_, bernoulli_, random_,
        bernoulli, multinomial,
    )
}  # fmt: skip
