"""torch.autograd.profiler: the time of every operation inside a ``with`` block."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from diptych.core import call
from diptych.engine import ReferenceBackend
from diptych.runtime import profiler as engine
from diptych.torch.autograd import profiler_trace
from diptych.torch.autograd.profiler_util import DeviceType as DeviceType
from diptych.torch.autograd.profiler_util import EventList as EventList
from diptych.torch.autograd.profiler_util import FunctionEvent as FunctionEvent
from diptych.torch.autograd.profiler_util import FunctionEventAvg, events_of
from diptych.torch.optim import optimizer

_unread: Any = object()


class record_function:  # noqa: N801 (PyTorch's name)
    """Name a block, or all calls of a function, in profiles."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._spans: list[Any] = []

    def __enter__(self) -> record_function:
        if engine.opened():
            self._spans.append(engine.enter(self.name, self.args or ""))
        else:
            self._spans.append(None)
        return self

    def __exit__(self, *exc: Any) -> None:
        spans = self._spans.pop()
        if spans:
            engine.leave(spans)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def named(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return named


class _OptimizerSteps:
    """Names the steps of all optimizers while a profile is open."""

    def __init__(self) -> None:
        self._spans: list[Any] = []
        self._handles = [
            optimizer.register_optimizer_step_pre_hook(self._before),
            optimizer.register_optimizer_step_post_hook(self._after),
        ]

    def _before(self, stepped: Any, args: Any, kwargs: Any) -> None:
        name = type(stepped).__name__
        self._spans.append(engine.enter(f"Optimizer.step#{name}.step"))

    def _after(self, stepped: Any, args: Any, kwargs: Any) -> None:
        if self._spans:
            engine.leave(self._spans.pop())

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()


class _Steps:
    """The one set of optimizer hooks that all open profiles share."""

    held: _OptimizerSteps | None = None
    users = 0


def _hook_optimizers() -> None:
    if _Steps.users == 0:
        _Steps.held = _OptimizerSteps()
    _Steps.users += 1


def _unhook_optimizers() -> None:
    _Steps.users -= 1
    if _Steps.users == 0 and _Steps.held is not None:
        _Steps.held.remove()
        _Steps.held = None


class profile:  # noqa: N801 (PyTorch's name)
    """Record what runs inside a ``with`` block."""

    def __init__(
        self, enabled: bool = True, *, use_cuda: bool = False, use_device: str | None = None,
        record_shapes: bool = False, with_flops: bool = False, profile_memory: bool = False,
        with_stack: bool = False, with_modules: bool = False, use_kineto: bool = False,
        use_cpu: bool = True, experimental_config: Any = None, acc_events: bool = False,
        custom_trace_id_callback: Any = None, **rest: Any,
    ) -> None:  # fmt: skip
        self.enabled = enabled
        if use_cuda:
            warnings.warn(
                "The attribute `use_cuda` will be deprecated soon, please use "
                "``use_device = 'cuda'`` instead.",
                FutureWarning,
                stacklevel=2,
            )
            use_device = "cuda"
        if use_device is not None and enabled:
            if use_device == "cuda":
                warnings.warn("CUDA is not available, disabling CUDA profiling", stacklevel=2)
            else:
                warnings.warn(f"The {use_device} is not available, it is not profiled")
        self.use_cuda = False
        self.use_device = None
        self.use_cpu = use_cpu
        # FLOPs need shapes, as in PyTorch.
        self.record_shapes = record_shapes or with_flops
        self.with_flops = with_flops
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.with_modules = with_modules
        self.entered = False
        self.session: engine.Session | None = None
        self._events: EventList | None = None

    def __enter__(self) -> profile | None:
        if not self.enabled:
            return None
        if self.entered:
            raise RuntimeError("Profiler context manager is not reentrant")
        self.entered = True
        self.session = engine.Session(
            memory=self.profile_memory, stacks=self.with_stack, flops=self.with_flops,
            interpreted=isinstance(getattr(call.current, "backend", None), ReferenceBackend),
        )  # fmt: skip
        _hook_optimizers()
        self.session.open()
        return self

    def __exit__(self, *exc: Any) -> None:
        if self.enabled and self.session is not None and self.session.is_open:
            self.session.close()
            _unhook_optimizers()

    # ---- results

    def _closed(self) -> engine.Session:
        if self.session is None or self.session.is_open:
            raise RuntimeError("Profiler didn't finish running")
        return self.session

    @property
    def function_events(self) -> EventList:
        """All events, in the order of their start."""
        session = self._closed()
        if self._events is None:
            self._events = events_of(session, self.record_shapes)
        return self._events

    def __repr__(self) -> str:
        if self.session is None or self.session.is_open:
            return "<unfinished torch.autograd.profile>"
        return repr(self.function_events)

    def __str__(self) -> str:
        if self.session is None or self.session.is_open:
            return "<unfinished torch.autograd.profile>"
        return str(self.function_events)

    def table(
        self, sort_by: str | None = None, row_limit: int = 100, max_src_column_width: int = 75,
        max_name_column_width: int = 55, max_shapes_column_width: int = 80,
        header: str | None = None, top_level_events_only: bool = False,
    ) -> str:  # fmt: skip
        """All events as text."""
        return self.function_events.table(
            sort_by, row_limit, max_src_column_width, max_name_column_width,
            max_shapes_column_width, header, top_level_events_only,
        )  # fmt: skip

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:  # fmt: skip
        """Averages by name, and by shapes or stack if asked for."""
        return self.function_events.key_averages(
            group_by_input_shape, group_by_stack_n, group_by_overload_name
        )

    def total_average(self) -> FunctionEventAvg:
        """All events as one."""
        return self.function_events.total_average()

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds spent in all events."""
        return self.function_events.self_cpu_time_total

    def export_chrome_trace(
        self, path: str | os.PathLike[str], metadata: Mapping[str, Any] | None = None,
        use_python_export: bool = False,
    ) -> None:  # fmt: skip
        """Write the trace for Perfetto or chrome://tracing; gzip for a name that ends in .gz."""
        profiler_trace.write(self._closed(), path, self.record_shapes, metadata)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write stacks with their weight, as flame graphs are drawn from."""
        if not self.with_stack:
            raise AssertionError("export_stacks() requires with_stack=True")
        self.function_events.export_stacks(path, metric)


class _Marks:
    """Marks for a profiler of another maker, which no machine of ours has."""

    _message = ""

    def __init__(self, enabled: bool = True, record_shapes: bool = False) -> None:
        self.enabled = enabled
        self.record_shapes = record_shapes

    def __enter__(self) -> Any:
        if self.enabled:
            raise RuntimeError(self._message)
        return None

    def __exit__(self, *exc: Any) -> None:
        pass


class emit_nvtx(_Marks):  # noqa: N801 (PyTorch's name)
    """Marks for NVIDIA's profiler: raises, there is no CUDA."""

    _message = "NVTX functions not installed. Are you sure you have a CUDA build?"


class emit_itt(_Marks):  # noqa: N801 (PyTorch's name)
    """Marks for Intel's VTune: raises, there is no ITT."""

    _message = "ITT functions not installed. Are you sure you have a ITT build?"


def load_nvprof(path: str) -> Any:
    """Not implemented: reads a database of NVIDIA's old profiler."""
    raise NotImplementedError("torch.autograd.profiler.load_nvprof is not implemented in diptych")


def kineto_available() -> bool:
    """True: traces can be exported."""
    return True
