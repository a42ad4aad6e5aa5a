"""PyTorch's face: the namespace that ``import torch`` finds under diptych."""

from __future__ import annotations

import importlib
import math as _math
from typing import Any

from diptych import engine as _engine
from diptych.torch import absent as _absent
from diptych.torch import binary as _binary
from diptych.torch import calculus as _calculus
from diptych.torch import composed as _composed
from diptych.torch import conversion as _conversion
from diptych.torch import copies as _copies
from diptych.torch import creation as _creation
from diptych.torch import device as _device
from diptych.torch import dtypes as _dtypes
from diptych.torch import elementwise as _elementwise
from diptych.torch import factors as _factors
from diptych.torch import gradients as _gradients
from diptych.torch import indexing as _indexing
from diptych.torch import joining as _joining
from diptych.torch import methods as _methods
from diptych.torch import movement as _movement
from diptych.torch import namespace as _namespace
from diptych.torch import older as _older
from diptych.torch import ordering as _ordering
from diptych.torch import printing as _printing
from diptych.torch import products as _products
from diptych.torch import random as random
from diptych.torch import reductions as _reductions
from diptych.torch import return_types as return_types
from diptych.torch import selection as _selection
from diptych.torch import spectral as _spectral
from diptych.torch import statistics as _statistics
from diptych.torch import storage as storage
from diptych.torch import version as version
from diptych.torch.device import device as device
from diptych.torch.device import layout as layout
from diptych.torch.device import memory_format as memory_format
from diptych.torch.dtypes import dtype as dtype
from diptych.torch.dtypes import finfo as finfo
from diptych.torch.dtypes import get_default_dtype as get_default_dtype
from diptych.torch.dtypes import iinfo as iinfo
from diptych.torch.dtypes import set_default_dtype as set_default_dtype
from diptych.torch.promotion import can_cast as can_cast
from diptych.torch.promotion import promote_types as promote_types
from diptych.torch.promotion import result_type as result_type
from diptych.torch.size import Size as Size
from diptych.torch.tensor import Tensor as Tensor
from diptych.torch.tensor import is_tensor as is_tensor

__version__ = version.__version__
pi, e, inf, nan, newaxis = _math.pi, _math.e, _math.inf, _math.nan, None

_engine.ensure()
_methods.attach_all()

# Where the names of the namespace come from, in order; docs and coverage are generated from it.
TABLES: tuple[dict[str, Any], ...] = (
    _elementwise.FUNCTIONS, _binary.FUNCTIONS, _creation.FUNCTIONS, random.FUNCTIONS,
    _gradients.FUNCTIONS, _movement.FUNCTIONS,
    _joining.FUNCTIONS, _conversion.FUNCTIONS, _indexing.FUNCTIONS,
    _printing.FUNCTIONS, _reductions.FUNCTIONS, _products.FUNCTIONS, _selection.FUNCTIONS,
    _ordering.FUNCTIONS, _namespace.FUNCTIONS, _composed.FUNCTIONS, _copies.FUNCTIONS,
    _calculus.FUNCTIONS,
    _factors.FUNCTIONS, _spectral.FUNCTIONS, _statistics.FUNCTIONS, _older.FUNCTIONS,
    storage.FUNCTIONS, _dtypes.NAMED,
    {alias: _dtypes.NAMED[name] for alias, name in _dtypes.ALIASES.items()},
    _device.LAYOUTS, _device.MEMORY_FORMATS, _methods.IN_PLACE_FUNCTIONS,
)  # fmt: skip
for _table in TABLES:
    globals().update(_table)

# Loaded when they are first asked for.
SUBMODULES = frozenset(
    "_dynamo accelerator amp autograd backends compiler cpu cuda distributions fft func hub "
    "jit linalg masked mps mtia multiprocessing nn optim overrides profiler serialization "
    "signal special testing types utils xpu".split()
)  # fmt: skip
# name -> the submodule that has it
ELSEWHERE = {
    "save": "serialization", "load": "serialization", "autocast": "amp", "GradScaler": "amp",
    "vmap": "func",
    **dict.fromkeys(
        "is_autocast_enabled get_autocast_dtype set_autocast_dtype is_autocast_cache_enabled "
        "set_autocast_cache_enabled clear_autocast_cache autocast_increment_nesting "
        "autocast_decrement_nesting get_autocast_cpu_dtype get_autocast_gpu_dtype "
        "is_autocast_cpu_enabled set_autocast_cpu_dtype set_autocast_gpu_dtype".split(),
        "amp.state",
    ),
    "compile": "compiler",
    "set_autocast_enabled": "amp.policies", "set_autocast_cpu_enabled": "amp.policies",
    "OutOfMemoryError": "cuda", "AcceleratorError": "cuda",
    "convolution": "nn.functional.convolution",
    **dict.fromkeys(
        "native_batch_norm native_group_norm native_layer_norm".split(), "nn.functional.native"
    ),
    **dict.fromkeys(_absent.FROM_FUNCTIONAL, "nn.functional"),
    **dict.fromkeys(_absent.FROM_LAYERS, "layers"),
    **dict.fromkeys(_absent.FOREACH, "foreach"),
    **dict.fromkeys(
        "adaptive_max_pool1d affine_grid_generator grid_sampler grid_sampler_2d grid_sampler_3d "
        "max_pool1d_with_indices".split(), "windowed",
    ),
    **dict.fromkeys(
        "gru gru_cell lstm lstm_cell rnn_relu rnn_relu_cell rnn_tanh rnn_tanh_cell".split(),
        "nn.functional.recurrent",
    ),
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in SUBMODULES:
        return importlib.import_module(f"diptych.torch.{name}")
    if name in ELSEWHERE:
        found = getattr(importlib.import_module(f"diptych.torch.{ELSEWHERE[name]}"), name)
    elif name in _absent.FUNCTIONS:
        found = _absent.function(f"torch.{name}")
    else:
        raise AttributeError(f"module 'torch' has no attribute '{name}'")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *SUBMODULES, *ELSEWHERE})
