"""Optimizers that are not there yet: each raises, naming itself, when it is made."""

from __future__ import annotations

from typing import Any

from diptych.torch.optim.optimizer import Optimizer

ABSENT = ("ASGD", "Adafactor", "LBFGS", "Muon", "NAdam", "RAdam", "Rprop", "SparseAdam")


class Absent(Optimizer):
    """The base of optimizers that cannot be made yet."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            f"torch.optim.{type(self).__name__} is not supported yet: it comes with a later issue; "
            "SGD, Adam, AdamW, RMSprop, Adagrad, Adadelta and Adamax are there"
        )


CLASSES = {name: type(name, (Absent,), {"__doc__": "Not supported yet."}) for name in ABSENT}
