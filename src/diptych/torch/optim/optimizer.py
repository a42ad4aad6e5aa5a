"""Optimizer: parameters in groups with their options, and the state kept for each."""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import numpy as np

from diptych.core import recording, tape
from diptych.core.tensor import from_array
from diptych.torch.tensor import Tensor, is_tensor
from diptych.torch.utils.hooks import RemovableHandle, register


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()
_before_any_step: OrderedDict[int, Any] = OrderedDict()
_after_any_step: OrderedDict[int, Any] = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(optimizer, args, kwargs)`` before every optimizer's step."""
    return register(_before_any_step, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Run ``hook(optimizer, args, kwargs)`` after every optimizer's step."""
    return register(_after_any_step, hook)


def number(value: Any) -> float:
    """An option as a number: it may be a 0-d tensor."""
    return float(value.item()) if isinstance(value, Tensor) else value


def with_hooks(inner: Callable[..., Any]) -> Callable[..., Any]:
    """An optimizer's ``step`` that runs the hooks registered around it."""

    @functools.wraps(inner)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        if recording.active is not None and not args and not kwargs:
            return recording.effect(step, self)
        if not (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _before_any_step
            or _after_any_step
        ):
            return inner(self, *args, **kwargs)
        for hook in [*_before_any_step.values(), *self._optimizer_step_pre_hooks.values()]:
            changed = hook(self, args, kwargs)
            if changed is not None:
                if not isinstance(changed, tuple) or len(changed) != 2:
                    raise RuntimeError(
                        f"{inner} must return None or a tuple of (new_args, new_kwargs), but got "
                        f"{changed}."
                    )
                args, kwargs = changed
        out = inner(self, *args, **kwargs)
        for hook in [*self._optimizer_step_post_hooks.values(), *_after_any_step.values()]:
            hook(self, args, kwargs)
        return out

    step.hooked = True  # type: ignore[attr-defined]
    return step


class Steps:
    """How many steps each of a list of parameters has seen.

    PyTorch keeps the count as a 0-d float tensor in each parameter's state. Ours lie side by side
    in one buffer, so that counting is one addition, and their value is known without reading them.
    Who changes one of the tensors, or puts another in its place, is noticed and read anew.
    """

    __slots__ = ("array", "count", "counts", "tensors", "version")

    def __init__(self, tensors: list[Any]) -> None:
        self.counts = [int(t.item()) for t in tensors]
        kinds = {t.layout.dtype.numpy for t in tensors}
        wide = kinds == {np.dtype(np.float64)}  # what a default dtype of float64 asks for
        self.array = np.array(self.counts, np.float64 if wide else np.float32)
        whole: Any = from_array(self.array, Tensor)
        self.tensors = [whole[index] for index in range(len(tensors))]
        for t in self.tensors:
            t.base = None
        self.count = self.counts[0] if len(set(self.counts)) == 1 else None
        self.version = whole.buffer.version

    def known(self, entries: list[dict[str, Any]]) -> bool:
        """Whether these states' counts are ours, as we left them."""
        if len(entries) != len(self.tensors) or self.tensors[0].buffer.version != self.version:
            return False
        for entry, tensor in zip(entries, self.tensors, strict=True):
            if entry["step"] is not tensor:
                return False
        return True

    def advance(self) -> None:
        self.array += 1
        if self.count is None:
            self.counts = [count + 1 for count in self.counts]
        else:
            self.count += 1


class Optimizer:
    """The base of all optimizers."""

    _optimizer_step_pre_hooks: OrderedDict[int, Any]
    _optimizer_step_post_hooks: OrderedDict[int, Any]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Any]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Any]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Any]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Any]

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._init_hooks()
        if is_tensor(params):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                "but got " + params.type()
            )
        self.state: Any = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _init_hooks(self) -> None:
        for name in (
            "_optimizer_step_pre_hooks", "_optimizer_step_post_hooks",
            "_optimizer_state_dict_pre_hooks", "_optimizer_state_dict_post_hooks",
            "_optimizer_load_state_dict_pre_hooks", "_optimizer_load_state_dict_post_hooks",
        ):  # fmt: skip
            self.__dict__.setdefault(name, OrderedDict())
        self._steps: dict[int, Steps] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("step")
        if callable(own) and not getattr(own, "hooked", False):
            cls.step = with_hooks(own)  # type: ignore[method-assign]

    # ---- copying

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults, "state": self.state, "param_groups": self.param_groups,
        }  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._init_hooks()
        self.defaults.setdefault("differentiable", False)

    # ---- groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters with options of their own."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = param_group
        if "params" not in group:
            raise KeyError("a parameter group must be a dict with the key 'params'")
        params = group["params"]
        if isinstance(params, Tensor):
            group["params"] = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        else:
            group["params"] = list(params)
        self._take_names(group)
        for param in group["params"]:
            if not is_tensor(param):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    + f"{type(param).__module__}.{type(param).__qualname__}".removeprefix(
                        "builtins."
                    )
                )
            if not self.defaults.get("differentiable", None) and not (
                param.is_leaf or param.retains_grad
            ):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    + name
                )
            group.setdefault(name, default)
        if len({id(p) for p in group["params"]}) != len(group["params"]):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this "
                "will cause an error; see github.com/pytorch/pytorch/issues/40967 for more "
                "information",
                stacklevel=3,
            )
        held = {id(p) for other in self.param_groups for p in other["params"]}
        if any(id(p) in held for p in group["params"]):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(group)

    def _take_names(self, group: dict[str, Any]) -> None:
        """Parameters given as (name, tensor) pairs: the names go beside them."""
        params = group["params"]
        named = [isinstance(p, tuple) for p in params]
        if any(named):
            if not all(named):
                raise ValueError(
                    "all optimizer params should be with/without names. "
                    "Some param names are missing"
                )
            group["params"] = [tensor for _, tensor in params]
            group["param_names"] = [name for name, _ in params]
        if self.param_groups and ("param_names" in group) != (
            "param_names" in self.param_groups[0]
        ):
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group "
                f"with{'' if 'param_names' in group else 'out'} names to the optimizer"
            )

    # ---- steps

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or set them to zero."""
        for group in self.param_groups:
            for param in group["params"]:
                grad = param.grad
                if grad is not None:
                    if set_to_none:
                        param.grad = None
                    else:
                        if grad.node is not None:
                            grad = param.grad = grad.detach()
                        grad.zero_()

    def step(self, closure: Any = None) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.step: an optimizer says what a step is")

    def closed(self, closure: Any) -> Any:
        """The loss that a closure computes, with gradients."""
        if closure is None:
            return None
        with tape.recording(True):
            return closure()

    def steps_of(self, group: dict[str, Any], entries: list[dict[str, Any]]) -> Steps:
        """The (advanced) step counts of a group's parameters that have a gradient."""
        steps = self._steps.get(id(group))
        if steps is None or not steps.known(entries):
            steps = self._steps[id(group)] = Steps([entry["step"] for entry in entries])
            for entry, tensor in zip(entries, steps.tensors, strict=True):
                entry["step"] = tensor
        steps.advance()
        return steps

    # ---- state dicts

    def state_dict(self) -> dict[str, Any]:
        """The state by the parameters' numbers, and the groups' options."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {k: v for k, v in group.items() if k != "params"}
            for param in group["params"]:
                numbers.setdefault(id(param), len(numbers))
            packed["params"] = [numbers[id(param)] for param in group["params"]]
            groups.append(packed)
        state = {
            (numbers[id(key)] if isinstance(key, Tensor) else key): value
            for key, value in self.state.items()
        }
        out = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, out)
            if changed is not None:
                out = changed
        return out

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state and options of a state dict, ours or PyTorch's."""
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        if not isinstance(state_dict, dict) or not state_dict.keys() >= {"param_groups", "state"}:
            raise KeyError(
                "an optimizer's state dict must have the keys 'state' and 'param_groups'"
            )
        groups, saved = self.param_groups, deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(a["params"]) != len(b["params"]) for a, b in zip(groups, saved, strict=True)):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                "optimizer's group"
            )
        by_number: dict[int, Any] = {}
        for own, given in zip(groups, saved, strict=True):
            by_number.update(zip(given["params"], own["params"], strict=True))
        state: Any = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in by_number:
                param = by_number[key]
                state[param] = loaded(param, value)
            else:
                state[key] = value
        for own, given in zip(groups, saved, strict=True):
            given["params"] = own["params"]
            if "param_names" in own and "param_names" not in given:
                given["param_names"] = own["param_names"]
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # ---- hooks

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        return register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        return register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        return register(self._optimizer_state_dict_pre_hooks, hook, prepend=prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        return register(self._optimizer_state_dict_post_hooks, hook, prepend=prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        return register(self._optimizer_load_state_dict_pre_hooks, hook, prepend=prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        return register(self._optimizer_load_state_dict_post_hooks, hook, prepend=prepend)

    def __repr__(self) -> str:
        text = type(self).__name__ + " ("
        for index, group in enumerate(self.param_groups):
            text += f"\nParameter Group {index}\n"
            for name in sorted(group):
                if name != "params":
                    text += f"    {name}: {group[name]}\n"
        return text + ")"


def loaded(param: Any, value: Any, key: str | None = None) -> Any:
    """A state's value for a parameter: tensors copied, in the parameter's dtype but for counts."""
    if is_tensor(value):
        if key == "step":
            return value.clone() if value.is_floating_point() else value.float()
        if param.is_floating_point():
            return value.to(param.dtype) if value.dtype != param.dtype else value.clone()
        return value.clone()
    if isinstance(value, dict):
        return {k: loaded(param, v, k) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return type(value)(loaded(param, v) for v in value)  # type: ignore[call-arg]
    return value
