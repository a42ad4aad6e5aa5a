"""State dicts: a module's parameters and buffers by name, out and in."""

from __future__ import annotations

import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from typing import Any

from diptych.core import tape
from diptych.torch.nn.parameter import Parameter
from diptych.torch.tensor import is_tensor

EXTRA = "_extra_state"


class IncompatibleKeys(namedtuple("_IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What ``load_state_dict`` found missing, and what it did not know."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__().replace("IncompatibleKeys", "_IncompatibleKeys", 1)

    __str__ = __repr__


class PostHook:
    """A public state_dict hook: it may change the dict, but gives nothing back."""

    from_public_api = True

    def __init__(self, hook: Callable[..., Any]) -> None:
        self.hook = hook

    def __call__(self, *args: Any) -> None:
        if self.hook(*args) is not None:
            raise RuntimeError("state_dict post-hook must return None")


class PreHook:
    """A hook before loading, given its module first when it was registered so."""

    def __init__(self, hook: Callable[..., Any], with_module: bool) -> None:
        self.hook = hook
        self.with_module = with_module

    def __call__(self, module: Any, *args: Any) -> None:
        if self.with_module:
            self.hook(module, *args)
        else:
            self.hook(*args)


def state_dict(
    module: Any, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False
) -> Any:
    """``Module.state_dict``."""
    if args:
        warnings.warn(
            "Positional args are being deprecated, use kwargs instead. Refer to "
            "https://pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module.state_dict"
            " for details.",
            FutureWarning,
            stacklevel=3,
        )
        destination = args[0] if destination is None else destination
        prefix = args[1] if len(args) > 1 and prefix == "" else prefix
        keep_vars = args[2] if len(args) > 2 and keep_vars is False else keep_vars
    if destination is None:
        destination = OrderedDict()
        destination._metadata = OrderedDict()
    metadata = {"version": module._version}
    if hasattr(destination, "_metadata"):
        destination._metadata[prefix[:-1]] = metadata
    for hook in module._state_dict_pre_hooks.values():
        hook(module, prefix, keep_vars)
    module._save_to_state_dict(destination, prefix, keep_vars)
    for name, child in module._modules.items():
        if child is not None:
            child.state_dict(
                destination=destination, prefix=prefix + name + ".", keep_vars=keep_vars
            )
    for hook in module._state_dict_hooks.values():
        changed = hook(module, destination, prefix, metadata)
        if changed is not None:
            destination = changed
    return destination


def has_extra(module: Any, method: str) -> bool:
    """Whether the module's class has extra state of its own."""
    own = getattr(type(module), method)
    return own.__qualname__ != f"Module.{method}"


def save_own(module: Any, destination: Any, prefix: str, keep_vars: bool) -> None:
    """Enter a module's own parameters and buffers, without its children's."""
    for name, param in module._parameters.items():
        if param is not None:
            destination[prefix + name] = param if keep_vars else param.detach()
    for name, buffer in module._buffers.items():
        if buffer is not None and name not in module._non_persistent_buffers_set:
            destination[prefix + name] = buffer if keep_vars else buffer.detach()
    if has_extra(module, "get_extra_state"):
        destination[prefix + EXTRA] = module.get_extra_state()


def load_state_dict(module: Any, source: Any, strict: bool, assign: bool) -> IncompatibleKeys:
    """``Module.load_state_dict``."""
    if not hasattr(source, "items") or not hasattr(source, "keys"):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(source)}.")
    metadata = getattr(source, "_metadata", None)
    values = OrderedDict(source)
    missing: list[str] = []
    unexpected: list[str] = []
    errors: list[str] = []

    def load(part: Any, given: Any, prefix: str) -> None:
        local = {} if metadata is None else metadata.get(prefix[:-1], {})
        if assign:
            local["assign_to_params_buffers"] = True
        part._load_from_state_dict(given, prefix, local, True, missing, unexpected, errors)
        for name, child in part._modules.items():
            if child is not None:
                inner = prefix + name + "."
                load(child, {k: v for k, v in given.items() if k.startswith(inner)}, inner)
        found = IncompatibleKeys(missing, unexpected)
        for hook in part._load_state_dict_post_hooks.values():
            if hook(part, found) is not None:
                raise AssertionError(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected "
                    "to return new values, if incompatible_keys need to be modified, it should be "
                    "done inplace."
                )

    if metadata is not None and hasattr(metadata, "copy"):
        metadata = metadata.copy()
        values._metadata = metadata  # type: ignore[attr-defined]
    load(module, values, "")
    if strict:
        for keys, what in ((missing, "Missing"), (unexpected, "Unexpected")):
            if keys:
                names = ", ".join(f'"{key}"' for key in keys)
                errors.insert(0, f"{what} key(s) in state_dict: {names}. ")
        if missing and unexpected:
            errors[0], errors[1] = errors[1], errors[0]
    if errors:
        raise RuntimeError(
            "Error(s) in loading state_dict for {}:\n\t{}".format(
                type(module).__name__, "\n\t".join(errors)
            )
        )
    return IncompatibleKeys(missing, unexpected)


def load_own(
    module: Any,
    source: Any,
    prefix: str,
    local_metadata: Any,
    strict: bool,
    missing: list[str],
    unexpected: list[str],
    errors: list[str],
) -> None:
    """Fill a module's own parameters and buffers from the entries under ``prefix``."""
    for hook in module._load_state_dict_pre_hooks.values():
        hook(module, source, prefix, local_metadata, strict, missing, unexpected, errors)
    persistent = {
        k: v for k, v in module._buffers.items() if k not in module._non_persistent_buffers_set
    }
    assign = local_metadata.get("assign_to_params_buffers", False)
    for name, own in [*module._parameters.items(), *persistent.items()]:
        if own is None:
            continue
        key = prefix + name
        if key not in source:
            if strict:
                missing.append(key)
            continue
        error = load_entry(module, name, own, source[key], key, assign)
        if error:
            errors.append(error)
    if has_extra(module, "set_extra_state"):
        if prefix + EXTRA in source:
            module.set_extra_state(source[prefix + EXTRA])
        elif strict:
            missing.append(prefix + EXTRA)
    elif strict and prefix + EXTRA in source:
        unexpected.append(prefix + EXTRA)
    if strict:
        known = {*module._modules, *module._parameters, *persistent}
        for key in source:
            if key.startswith(prefix) and key != prefix + EXTRA:
                head, *rest = key[len(prefix) :].split(".", 1)
                if head not in known or (not rest and head in module._modules):
                    unexpected.append(key)


def load_entry(module: Any, name: str, own: Any, given: Any, key: str, assign: bool) -> str | None:
    """Copy or assign one value; what is wrong with it, if anything."""
    if not is_tensor(given):
        return (
            f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like '
            f"object from checkpoint but received {type(given)}"
        )
    if len(own.shape) == 0 and len(given.shape) == 1 and given.shape[0] == 1:
        given = given[0]  # checkpoints of PyTorch 0.3 hold scalars so
    if tuple(given.shape) != tuple(own.shape):
        return (
            f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, "
            f"the shape in current model is {own.shape}."
        )
    try:
        with tape.recording(False):
            if assign:
                if isinstance(own, Parameter):
                    if isinstance(given, Parameter):
                        given.requires_grad_(own.requires_grad)
                    else:
                        given = Parameter(given, requires_grad=own.requires_grad)
                setattr(module, name, given)
            else:
                own.copy_(given)
    except Exception as error:
        action = "swapping" if assign else "copying"
        return (
            f'While {action} the parameter named "{key}", whose dimensions in the model are '
            f"{own.shape} and whose dimensions in the checkpoint are {given.shape}, an exception "
            f"occurred : {error.args}."
        )
    return None
