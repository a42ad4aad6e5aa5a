"""Modules as functions of their parameters, and the parameters of many modules side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from diptych.torch.joining import stack
from diptych.torch.nn.modules.batchnorm import _BatchNorm
from diptych.torch.nn.utils import stateless


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """What the module computes with these tensors (one dictionary or several) for its own."""
    if isinstance(parameter_and_buffer_dicts, dict):
        given = parameter_and_buffer_dicts
    elif isinstance(parameter_and_buffer_dicts, (tuple, list)):
        if not all(isinstance(part, dict) for part in parameter_and_buffer_dicts):
            raise ValueError(
                "Expected all elements of parameter_and_buffer_dicts to be dictionaries"
            )
        names = [name for part in parameter_and_buffer_dicts for name in part]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior is ambiguous")
        given = {name: x for part in parameter_and_buffer_dicts for name, x in part.items()}
    else:
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(parameter_and_buffer_dicts)}"
        )
    return stateless.functional_call(
        module, given, args, kwargs, tie_weights=tie_weights, strict=strict
    )


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and buffers of modules of one kind, each stacked along a new first axis."""
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({model.training for model in models}) > 1:
        raise RuntimeError(
            "stack_module_state: Expected all models to have the same training/eval mode."
        )
    if any(type(model) is not type(models[0]) for model in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    parameters = [dict(model.named_parameters()) for model in models]
    buffers = [dict(model.named_buffers()) for model in models]
    return (
        {name: _stacked([held[name] for held in parameters]) for name in parameters[0]},
        {name: _stacked([held[name] for held in buffers]) for name in buffers[0]},
    )


def _stacked(tensors: list[Any]) -> Any:
    wanted = [x.requires_grad for x in tensors]
    if any(wanted) and not all(wanted):
        raise RuntimeError(
            "Expected all parameters/buffers of one name to have the same requires_grad"
        )
    return stack(tensors).detach().requires_grad_(wanted[0])


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """Take the running statistics from every batch norm layer inside: they use the batch's."""
    for module in root.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root
