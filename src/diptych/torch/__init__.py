"""PyTorch's face: the namespace that ``import torch`` finds under diptych."""

from __future__ import annotations

import importlib
from typing import Any

from diptych import engine as _engine
from diptych.torch import (
    binary,
    conversion,
    creation,
    dtypes,
    elementwise,
    gradients,
    indexing,
    movement,
    namespace,
    printing,
    products,
    reductions,
    selection,
)
from diptych.torch import (
    device as _device,
)
from diptych.torch import (
    methods as _methods,
)
from diptych.torch import (
    random as random,
)
from diptych.torch.device import device as device
from diptych.torch.device import layout as layout
from diptych.torch.device import memory_format as memory_format
from diptych.torch.dtypes import (
    dtype as dtype,
)
from diptych.torch.dtypes import (
    finfo as finfo,
)
from diptych.torch.dtypes import (
    get_default_dtype as get_default_dtype,
)
from diptych.torch.dtypes import (
    iinfo as iinfo,
)
from diptych.torch.dtypes import (
    set_default_dtype as set_default_dtype,
)
from diptych.torch.promotion import (
    can_cast as can_cast,
)
from diptych.torch.promotion import (
    promote_types as promote_types,
)
from diptych.torch.promotion import (
    result_type as result_type,
)
from diptych.torch.size import Size as Size
from diptych.torch.tensor import Tensor as Tensor
from diptych.torch.tensor import is_tensor as is_tensor

__version__ = "2.13.0"

_engine.ensure()

for _table in (
    elementwise.FUNCTIONS, binary.FUNCTIONS, creation.FUNCTIONS, random.FUNCTIONS,
    gradients.FUNCTIONS, movement.FUNCTIONS, conversion.FUNCTIONS, indexing.FUNCTIONS,
    printing.FUNCTIONS, reductions.FUNCTIONS, products.FUNCTIONS, selection.FUNCTIONS,
    namespace.FUNCTIONS, dtypes.NAMED,
    {alias: dtypes.NAMED[name] for alias, name in dtypes.ALIASES.items()},
    _device.LAYOUTS, _device.MEMORY_FORMATS,
):  # fmt: skip
    globals().update(_table)

# Loaded when they are first asked for.
_LAZY = {"nn", "optim", "utils", "autograd", "serialization"}
_LAZY_FROM = {"save": "serialization", "load": "serialization"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"diptych.torch.{name}")
    if name in _LAZY_FROM:
        module = importlib.import_module(f"diptych.torch.{_LAZY_FROM[name]}")
        found = globals()[name] = getattr(module, name)
        return found
    raise AttributeError(f"module 'torch' has no attribute '{name}'")
