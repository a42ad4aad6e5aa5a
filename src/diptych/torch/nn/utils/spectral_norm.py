"""Spectral norm by a hook before forward: the older form of parametrizations.spectral_norm."""

from __future__ import annotations

from typing import Any

from diptych.core import tape
from diptych.torch.nn import functional as F
from diptych.torch.nn.parameter import Parameter, is_lazy
from diptych.torch.nn.utils.norms import as_matrix, check_module, default_dim


class SpectralNorm:
    """The hook: divides the weight by its largest singular value."""

    _version = 1

    def __init__(
        self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12
    ) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.name = name
        self.dim = dim
        self.n_power_iterations = n_power_iterations
        self.eps = eps

    def reshape_weight_to_matrix(self, weight: Any) -> Any:
        return as_matrix(weight, self.dim)

    def compute_weight(self, module: Any, do_power_iteration: bool) -> Any:
        weight = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        matrix = self.reshape_weight_to_matrix(weight)
        if do_power_iteration:
            with tape.recording(False):
                for _ in range(self.n_power_iterations):
                    v.copy_(F.normalize(matrix.detach().t().mv(u), dim=0, eps=self.eps))
                    u.copy_(F.normalize(matrix.detach().mv(v), dim=0, eps=self.eps))
                u, v = u.clone(), v.clone()  # they change before the backward pass
        return weight / u.dot(matrix.mv(v))

    def remove(self, module: Any) -> None:
        with tape.recording(False):
            weight = self.compute_weight(module, do_power_iteration=False)
        delattr(module, self.name)
        for ending in ("_u", "_v", "_orig"):
            delattr(module, self.name + ending)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module: Any, inputs: Any) -> None:
        made = self.compute_weight(module, do_power_iteration=module.training)
        setattr(module, self.name, made)

    def _solve_v(self, matrix: Any, u: Any, target: Any) -> Any:
        """v such that u^T W v is the given singular value: files of version 0 have no v."""
        v = (matrix.t().mm(matrix)).pinverse().mv(matrix.t().mv(u))
        return v.mul_(target / u.dot(matrix.mv(v)))

    @staticmethod
    def apply(
        module: Any, name: str, n_power_iterations: int, dim: int, eps: float
    ) -> SpectralNorm:
        check_module(module, "spectral_norm")
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm) and hook.name == name:
                raise RuntimeError(
                    f"Cannot register two spectral_norm hooks on the same parameter {name}"
                )
        made = SpectralNorm(name, n_power_iterations, dim, eps)
        weight = module._parameters[name]
        if weight is None:
            raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
        if is_lazy(weight):
            raise ValueError(
                "The module passed to `SpectralNorm` can't have uninitialized parameters. Make "
                "sure to run the dummy forward before applying spectral normalization"
            )
        with tape.recording(False):
            matrix = made.reshape_weight_to_matrix(weight)
            rows, columns = matrix.size()
            u = F.normalize(weight.new_empty(rows).normal_(0, 1), dim=0, eps=eps)
            v = F.normalize(weight.new_empty(columns).normal_(0, 1), dim=0, eps=eps)
        delattr(module, name)
        module.register_parameter(name + "_orig", weight)
        setattr(module, name, weight.detach())  # a plain value until the first forward
        module.register_buffer(name + "_u", u)
        module.register_buffer(name + "_v", v)
        module.register_forward_pre_hook(made)
        module._register_state_dict_hook(_save_version(made))
        module._register_load_state_dict_pre_hook(_load_version(made))
        return made


def _save_version(hook: SpectralNorm) -> Any:
    def save(module: Any, state_dict: Any, prefix: str, local_metadata: Any) -> None:
        versions = local_metadata.setdefault("spectral_norm", {})
        key = hook.name + ".version"
        if key in versions:
            raise RuntimeError(f"Unexpected key in metadata['spectral_norm']: {key}")
        versions[key] = hook._version

    return save


def _load_version(hook: SpectralNorm) -> Any:
    def load(
        state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: Any,
        unexpected_keys: Any, error_msgs: Any,
    ) -> None:  # fmt: skip
        version = local_metadata.get("spectral_norm", {}).get(hook.name + ".version", None)
        if version is not None and version >= 1:
            return
        name = prefix + hook.name
        names = [name + ending for ending in ("_orig", "", "_u")]
        if version is None and name + "_v" in state_dict:
            return
        if not all(key in state_dict for key in names):
            return
        with tape.recording(False):
            original = state_dict[name + "_orig"]
            weight = state_dict.pop(name)
            target = (original / weight).mean()
            matrix = hook.reshape_weight_to_matrix(original)
            state_dict[name + "_v"] = hook._solve_v(matrix, state_dict[name + "_u"], target)

    return load


def spectral_norm(
    module: Any,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Any:
    """Divide a weight by its largest singular value before every forward (arXiv 1802.05957)."""
    SpectralNorm.apply(
        module, name, n_power_iterations, default_dim(module) if dim is None else dim, eps
    )
    return module


def remove_spectral_norm(module: Any, name: str = "weight") -> Any:
    """Make the weight an ordinary parameter again."""
    check_module(module, "remove_spectral_norm")
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            break
    else:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    for key, saved in module._state_dict_hooks.items():
        if getattr(saved, "__qualname__", "").startswith("_save_version"):
            del module._state_dict_hooks[key]
            break
    for key, loaded in module._load_state_dict_pre_hooks.items():
        if getattr(loaded.hook, "__qualname__", "").startswith("_load_version"):
            del module._load_state_dict_pre_hooks[key]
            break
    return module


__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]
