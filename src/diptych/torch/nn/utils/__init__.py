"""torch.nn.utils: gradients clipped, parameters as one vector, sequences packed, weights remade."""

from __future__ import annotations

import importlib
from typing import Any

from diptych.torch.nn.utils import clip_grad as clip_grad
from diptych.torch.nn.utils import convert_parameters as convert_parameters
from diptych.torch.nn.utils import rnn as rnn
from diptych.torch.nn.utils.clip_grad import clip_grad_norm as clip_grad_norm
from diptych.torch.nn.utils.clip_grad import clip_grad_norm_ as clip_grad_norm_
from diptych.torch.nn.utils.clip_grad import clip_grad_value_ as clip_grad_value_
from diptych.torch.nn.utils.clip_grad import clip_grads_with_norm_ as clip_grads_with_norm_
from diptych.torch.nn.utils.clip_grad import get_total_norm as get_total_norm
from diptych.torch.nn.utils.convert_parameters import parameters_to_vector as parameters_to_vector
from diptych.torch.nn.utils.convert_parameters import vector_to_parameters as vector_to_parameters
from diptych.torch.nn.utils.init import skip_init as skip_init
from diptych.torch.nn.utils.spectral_norm import remove_spectral_norm as remove_spectral_norm
from diptych.torch.nn.utils.weight_norm import remove_weight_norm as remove_weight_norm

# Loaded when first asked for: they need the layers, or are rarely used.
LATER = {
    "fuse_conv_bn_eval": "fusion", "fuse_conv_bn_weights": "fusion",
    "fuse_linear_bn_eval": "fusion", "fuse_linear_bn_weights": "fusion",
    "convert_conv2d_weight_memory_format": "memory_format",
    "convert_conv3d_weight_memory_format": "memory_format",
}  # fmt: skip
SUBMODULES = frozenset("fusion memory_format parametrizations parametrize prune stateless".split())


def __getattr__(name: str) -> Any:
    if name in LATER:
        return getattr(importlib.import_module(f"{__name__}.{LATER[name]}"), name)
    if name in SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'torch.nn.utils' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *LATER, *SUBMODULES})


# The functions, over the modules of the same names.
from diptych.torch.nn.utils.spectral_norm import spectral_norm as spectral_norm  # noqa: E402
from diptych.torch.nn.utils.weight_norm import weight_norm as weight_norm  # noqa: E402
