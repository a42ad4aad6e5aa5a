"""torch.profiler: what ran, for how long, on what shapes; tables and traces of it."""

from diptych.torch.autograd.profiler import kineto_available as kineto_available
from diptych.torch.autograd.profiler import record_function as record_function
from diptych.torch.autograd.profiler_util import DeviceType as DeviceType
from diptych.torch.profiler import profiler as profiler
from diptych.torch.profiler.profiler import ProfilerAction as ProfilerAction
from diptych.torch.profiler.profiler import ProfilerActivity as ProfilerActivity
from diptych.torch.profiler.profiler import _KinetoProfile as _KinetoProfile
from diptych.torch.profiler.profiler import profile as profile
from diptych.torch.profiler.profiler import schedule as schedule
from diptych.torch.profiler.profiler import supported_activities as supported_activities
from diptych.torch.profiler.profiler import tensorboard_trace_handler as tensorboard_trace_handler

__all__ = [
    "DeviceType", "ProfilerAction", "ProfilerActivity", "kineto_available", "profile",
    "record_function", "schedule", "supported_activities", "tensorboard_trace_handler",
]  # fmt: skip
