"""torch.autograd: gradients, functions with a backward of their own, and checks of both."""

from __future__ import annotations

import importlib
from typing import Any

from diptych.torch.autograd import anomaly_mode as anomaly_mode
from diptych.torch.autograd import function as function
from diptych.torch.autograd import functional as functional
from diptych.torch.autograd import grad_mode as grad_mode
from diptych.torch.autograd import graph as graph
from diptych.torch.autograd import variable as variable
from diptych.torch.autograd.anomaly_mode import detect_anomaly as detect_anomaly
from diptych.torch.autograd.anomaly_mode import set_detect_anomaly as set_detect_anomaly
from diptych.torch.autograd.engine import backward as backward
from diptych.torch.autograd.engine import grad as grad
from diptych.torch.autograd.function import Function as Function
from diptych.torch.autograd.grad_mode import enable_grad as enable_grad
from diptych.torch.autograd.grad_mode import inference_mode as inference_mode
from diptych.torch.autograd.grad_mode import no_grad as no_grad
from diptych.torch.autograd.grad_mode import set_grad_enabled as set_grad_enabled
from diptych.torch.autograd.gradcheck import gradcheck as gradcheck
from diptych.torch.autograd.gradcheck import gradgradcheck as gradgradcheck
from diptych.torch.autograd.variable import Variable as Variable


def __getattr__(name: str) -> Any:
    if name in ("profiler", "profiler_util"):  # loaded when first asked for
        return importlib.import_module(f"diptych.torch.autograd.{name}")
    raise AttributeError(f"module 'torch.autograd' has no attribute '{name}'")
