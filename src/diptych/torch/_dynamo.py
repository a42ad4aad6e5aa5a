"""torch._dynamo: the few names of it that programs use."""

from __future__ import annotations

import types
from typing import Any

from diptych.core import recording
from diptych.torch import compiler
from diptych.torch.compiler import OptimizedModule as OptimizedModule
from diptych.torch.compiler import allow_in_graph as allow_in_graph
from diptych.torch.compiler import disable as disable
from diptych.torch.compiler import is_compiling as is_compiling
from diptych.torch.compiler import list_backends as list_backends
from diptych.torch.compiler import reset as reset

# Options that programs set; none changes what is recorded.
config = types.SimpleNamespace(
    suppress_errors=False, verbose=False, cache_size_limit=8, recompile_limit=8,
    accumulated_cache_size_limit=256, capture_scalar_outputs=False, optimize_ddp=True,
    capture_dynamic_output_shape_ops=False, automatic_dynamic_shapes=True,
    assume_static_by_default=True, guard_nn_modules=True, dynamic_shapes=True,
    inline_inbuilt_nn_modules=True, error_on_recompile=False,
)  # fmt: skip
exc = types.SimpleNamespace(
    Unsupported=compiler.Unsupported, InvalidBackend=compiler.InvalidBackend,
    TorchDynamoException=RuntimeError,
)  # fmt: skip


def mark_dynamic(t: Any, index: Any, **rest: Any) -> None:
    """Nothing to do: a new shape is another recording."""


def mark_static(t: Any, index: Any = None) -> None:
    """Nothing to do: shapes are what a recording is for."""


maybe_mark_dynamic = mark_dynamic


def graph_break(msg: str = "") -> None:
    """End the recording: the call runs eagerly."""
    recording.refuse("torch._dynamo.graph_break is called")
