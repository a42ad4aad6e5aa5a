"""Layers that are not there yet: each raises, naming itself, when it is made."""

from __future__ import annotations

from typing import Any

from diptych.torch.nn.modules.module import Module

# reason -> names. The classes exist so that isinstance(module, nn.Conv2d) answers.
ABSENT: dict[str, tuple[str, ...]] = {
    "it comes with a later issue": (
        "DataParallel",
    ),
}  # fmt: skip


class Absent(Module):
    """The base of layers that cannot be made yet."""

    reason = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        name = next(
            cls.__name__ for cls in type(self).__mro__ if cls.__dict__.get("reason") is not None
        )
        raise NotImplementedError(f"torch.nn.{name} is not supported yet: {self.reason}")


CLASSES: dict[str, type[Absent]] = {
    name: type(name, (Absent,), {"reason": reason, "__doc__": f"Not supported yet: {reason}."})
    for reason, names in ABSENT.items()
    for name in names
}
