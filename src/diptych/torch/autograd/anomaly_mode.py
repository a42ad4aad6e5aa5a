"""Anomaly detection: backward errors that name the forward call, and a search for NaN."""

from __future__ import annotations

import warnings
from typing import Any

from diptych.core import tape


class set_detect_anomaly:  # noqa: N801 (PyTorch's name)
    """Switches anomaly detection at once; as a context manager, puts it back afterwards."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self.before = (tape.mode.anomaly, tape.mode.check_nan)
        tape.mode.anomaly = mode
        tape.mode.check_nan = check_nan

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        tape.mode.anomaly, tape.mode.check_nan = self.before


class detect_anomaly:  # noqa: N801 (PyTorch's name)
    """Anomaly detection inside a ``with`` block."""

    def __init__(self, check_nan: bool = True) -> None:
        self.check_nan = check_nan
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self) -> None:
        self.before = (tape.mode.anomaly, tape.mode.check_nan)
        tape.mode.anomaly, tape.mode.check_nan = True, self.check_nan

    def __exit__(self, *_: Any) -> None:
        tape.mode.anomaly, tape.mode.check_nan = self.before


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return tape.mode.anomaly


def is_anomaly_check_nan_enabled() -> bool:
    """Whether it looks for NaN too."""
    return tape.mode.check_nan
