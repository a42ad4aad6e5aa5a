"""torch.compiler and torch.compile: whole calls recorded once and replayed."""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable
from typing import Any

from diptych.core import recording
from diptych.staging import compiled as staging
from diptych.staging.compiled import CaptureError, Compiled
from diptych.torch.dtypes import Default
from diptych.torch.nn.modules.module import Module

_MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")
_BACKENDS = ("cudagraphs", "inductor", "onnxrt", "openxla", "tvm")
_EAGER = ("eager", "aot_eager", "aot_eager_decomp_partition", "eager_noexcept", "ts")
_made: weakref.WeakSet[Compiled] = weakref.WeakSet()


class Unsupported(RuntimeError):
    """What ``fullgraph=True`` raises where a call cannot be captured whole."""


class InvalidBackend(RuntimeError):  # noqa: N818 (PyTorch's name)
    """There is no backend of that name."""


class _Settings:
    backend: Any = "inductor"
    stance = "default"


def _surroundings() -> Any:
    """What results depend on besides arguments: the default dtype, and autocast."""
    autocast = sys.modules.get("diptych.torch.amp.state")
    if autocast is None:
        return Default.core
    state = autocast.state
    if not state.enabled:
        return Default.core
    return (Default.core, tuple(state.enabled.items()), tuple(state.dtypes.items()), state.nesting)


staging.environment.append(_surroundings)


def compile(  # noqa: A001 (PyTorch's name)
    model: Any = None, *, fullgraph: bool = False, dynamic: bool | None = None,
    backend: Any = None, mode: str | None = None, options: Any = None, name: str | None = None,
    disable: bool = False, recompile_limit: int | None = None, isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:  # fmt: skip
    """A function or module whose calls are recorded and replayed; also a decorator.

    Every backend is ours, but for the "eager" ones, which leave the function as it is; a callable
    backend cannot be given graphs and is refused.
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if mode is not None and mode not in _MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(_MODES)}")
    backend = _Settings.backend if backend is None else backend
    if not isinstance(backend, str):
        raise NotImplementedError("torch.compile: backends of the program's own are not supported")
    if backend not in _BACKENDS and backend not in _EAGER:
        raise InvalidBackend(
            f"Invalid backend: {backend!r}, see `torch._dynamo.list_backends()` for available "
            "backends."
        )
    if model is None:
        return functools.partial(
            compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode,
            options=options, disable=disable, recompile_limit=recompile_limit,
        )  # fmt: skip
    if isinstance(model, Module):
        return OptimizedModule(model, _wrapped(model.__call__, fullgraph, backend, disable))
    if not callable(model):
        raise AssertionError(f"A callable function is expected, but {type(model)} is provided.")
    found = _wrapped(model, fullgraph, backend, disable)
    if recompile_limit is not None and hasattr(found, "compiled"):
        found.compiled.limit = recompile_limit
    return found


def _wrapped(function: Callable[..., Any], whole: bool, backend: str, disabled: bool) -> Any:
    """A plain function (methods bind it) around a recorded one."""
    made = staging.compile(function, whole=whole)
    eager = backend in _EAGER or disabled
    _made.add(made)

    def call(*args: Any, **kwargs: Any) -> Any:
        if eager or _Settings.stance == "force_eager":
            return function(*args, **kwargs)
        try:
            return made(*args, **kwargs)
        except CaptureError as error:
            raise Unsupported(str(error)) from None

    if hasattr(function, "__name__"):
        functools.update_wrapper(call, function)
    call.compiled = made  # type: ignore[attr-defined]
    call._torchdynamo_orig_callable = function  # type: ignore[attr-defined]
    return call


_OWN = ("_orig_mod", "_call", "_modules", "_parameters", "_buffers")


class OptimizedModule(Module):
    """A module whose calls are recorded; everything else of it is the original's."""

    __module__ = "torch._dynamo.eval_frame"

    def __init__(self, mod: Module, call: Callable[..., Any]) -> None:
        super().__init__()
        self.__dict__.pop("training", None)
        self._modules["_orig_mod"] = mod
        self.__dict__["_call"] = call

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["_call"](*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.__dict__["_call"](*args, **kwargs)

    @property
    def training(self) -> Any:
        return self._orig_mod.training

    @training.setter
    def training(self, value: bool) -> None:
        self._orig_mod.training = value

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__.get("_modules")
        if not modules:
            raise AttributeError(name)
        original = modules["_orig_mod"]
        return original if name == "_orig_mod" else getattr(original, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN or name == "training":
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._orig_mod, name)

    def __reduce__(self) -> Any:
        return (compile, (self._orig_mod,))

    def __deepcopy__(self, memo: Any) -> Any:
        copied = sys.modules["copy"].deepcopy(self._orig_mod, memo)
        return compile(copied)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._orig_mod)})


# ---- torch.compiler


def is_compiling() -> bool:
    """Whether the call is being recorded."""
    return recording.active is not None


is_dynamo_compiling = is_compiling


def is_exporting() -> bool:
    """False: nothing is exported."""
    return False


def disable(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """A function that always runs eagerly, and so does what calls it."""
    if fn is None:
        return functools.partial(disable, recursive=recursive, reason=reason)
    if isinstance(fn, type):
        return fn
    name = getattr(fn, "__qualname__", type(fn).__name__)

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        recording.refuse(f"{name} is marked by torch.compiler.disable")
        return fn(*args, **kwargs)

    return call


def reset() -> None:
    """Forget all recordings."""
    for made in list(_made):
        made.variants.clear()
        made.eager.clear()
        made.kept.clear()
        made.warned.clear()
        made.count = 0


def allow_in_graph(fn: Any) -> Any:
    """The function: whatever it calls is recorded anyway."""
    return fn


def assume_constant_result(fn: Any) -> Any:
    """The function: it is called once for each recording."""
    return fn


def list_backends(exclude_tags: Any = ("debug", "experimental")) -> list[str]:
    """Names that ``backend=`` takes."""
    return list(_BACKENDS)


def set_default_backend(backend: Any) -> None:
    """What ``torch.compile`` takes where no backend is named."""
    _Settings.backend = "inductor" if backend is None else backend


def get_default_backend() -> Any:
    """What ``torch.compile`` takes where no backend is named."""
    return _Settings.backend


class set_stance:  # noqa: N801 (PyTorch's name)
    """Whether compiled functions are recorded, or run eagerly; also for a ``with`` block."""

    def __init__(
        self, stance: str = "default", *, skip_guard_eval_unsafe: bool = False,
        force_backend: Any = None,
    ) -> None:  # fmt: skip
        known = ("default", "force_eager", "eager_on_recompile", "fail_on_recompile",
                 "eager_then_compile", "aot_eager_then_compile")  # fmt: skip
        if stance not in known:
            raise RuntimeError(f"invalid torch.compile stance: {stance!r}, expected one of {known}")
        if "recompile" in stance:
            raise NotImplementedError(f"torch.compiler.set_stance({stance!r}) is not supported yet")
        self.before = _Settings.stance
        _Settings.stance = stance

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        _Settings.stance = self.before


def cudagraph_mark_step_begin() -> None:
    """Nothing to do: replays give new tensors."""


_ABSENT = frozenset(
    (
        "substitute_in_graph load_compiled_function wrap_numpy save_cache_artifacts "
        "load_cache_artifacts nested_compile_region"
    ).split()
)


def __getattr__(name: str) -> Any:
    if name in _ABSENT:

        def absent(*args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError(f"torch.compiler.{name} is not implemented in diptych")

        return absent
    raise AttributeError(f"module 'torch.compiler' has no attribute '{name}'")
