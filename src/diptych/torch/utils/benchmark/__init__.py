"""torch.utils.benchmark: statements timed with warm-up and statistics, and tables that compare."""

from __future__ import annotations

from typing import Any

from diptych.torch.absent import function as _absent
from diptych.torch.utils.benchmark.compare import Colorize as Colorize
from diptych.torch.utils.benchmark.compare import Compare as Compare
from diptych.torch.utils.benchmark.measurement import Measurement as Measurement
from diptych.torch.utils.benchmark.measurement import TaskSpec as TaskSpec
from diptych.torch.utils.benchmark.measurement import ordered_unique as ordered_unique
from diptych.torch.utils.benchmark.measurement import select_unit as select_unit
from diptych.torch.utils.benchmark.measurement import trim_sigfig as trim_sigfig
from diptych.torch.utils.benchmark.measurement import unit_to_english as unit_to_english
from diptych.torch.utils.benchmark.timer import Language as Language
from diptych.torch.utils.benchmark.timer import Timer as Timer
from diptych.torch.utils.benchmark.timer import timer as timer

_ABSENT = frozenset(
    (
        "CallgrindStats CopyIfCallgrind FunctionCount FunctionCounts FuzzedParameter "
        "FuzzedSparseTensor FuzzedTensor Fuzzer ParameterAlias"
    ).split()
)


def __getattr__(name: str) -> Any:
    if name in _ABSENT:
        return _absent(f"torch.utils.benchmark.{name}")
    raise AttributeError(f"module 'torch.utils.benchmark' has no attribute '{name}'")
