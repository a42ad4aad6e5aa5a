"""torch.func: vmap, derivatives as functions, and modules as functions of their parameters."""

from __future__ import annotations

from typing import Any

from diptych.torch.func.derivatives import grad as grad
from diptych.torch.func.derivatives import grad_and_value as grad_and_value
from diptych.torch.func.derivatives import hessian as hessian
from diptych.torch.func.derivatives import jacfwd as jacfwd
from diptych.torch.func.derivatives import jacrev as jacrev
from diptych.torch.func.derivatives import jvp as jvp
from diptych.torch.func.derivatives import linearize as linearize
from diptych.torch.func.derivatives import vjp as vjp
from diptych.torch.func.modules import functional_call as functional_call
from diptych.torch.func.modules import (
    replace_all_batch_norm_modules_ as replace_all_batch_norm_modules_,
)
from diptych.torch.func.modules import stack_module_state as stack_module_state
from diptych.torch.func.vectorized import vmap as vmap


def functionalize(func: Any, *, remove: str = "mutations") -> Any:
    """Would rewrite in-place changes: functions run here as they are written."""
    raise NotImplementedError("torch.func.functionalize is not implemented in diptych")


def debug_unwrap(tensor: Any, *, recurse: bool = True) -> Any:
    """Would show what a transformed tensor holds."""
    raise NotImplementedError("torch.func.debug_unwrap is not implemented in diptych")


__all__ = [
    "functional_call", "functionalize", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev",
    "jvp", "linearize", "replace_all_batch_norm_modules_", "stack_module_state", "vjp", "vmap",
]  # fmt: skip
