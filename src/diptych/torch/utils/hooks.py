"""Handles that take a registered hook away again."""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from typing import Any

from diptych.core import recording

_ids = itertools.count()


class RemovableHandle:
    """Removes one hook from the dictionary it was entered in; a context manager that does so too.

    ``extra_dict`` names one or several further dictionaries keyed by the same id. They are held
    weakly: a handle must not keep a module alive.
    """

    id: int
    next_id: int = 0

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = next(_ids)
        RemovableHandle.next_id = self.id + 1
        extra = extra_dict if isinstance(extra_dict, list) else [extra_dict]
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extra if d is not None)

    def remove(self) -> None:
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = reference()
            if hooks is not None:
                hooks.pop(self.id, None)
        recording.restructured()

    def __getstate__(self) -> Any:
        return (self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref))

    def __setstate__(self, state: Any) -> None:
        # A copied handle whose dictionary is gone gets an empty one, so that remove() still works.
        hooks = OrderedDict() if state[0] is None else state[0]
        self.hooks_dict_ref = weakref.ref(hooks)
        self.id = state[1]
        extra = state[2] if len(state) > 2 else ()
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extra if d is not None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: Any) -> None:
        self.remove()


def register(hooks: Any, hook: Any, *, prepend: bool = False, extra: Any = None) -> RemovableHandle:
    """Enter ``hook`` in ``hooks`` (an OrderedDict), last or first, and give its handle."""
    handle = RemovableHandle(hooks, extra_dict=extra)
    hooks[handle.id] = hook
    recording.restructured()
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle
