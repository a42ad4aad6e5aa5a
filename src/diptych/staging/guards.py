"""What Python state a recorded call read: found while it runs, compared before every replay.

A profile function sees each Python function of the user's that runs. What its names lead to, in
its globals, its closure and the objects it is called on, is noted as it was then: tensors found
there are the state that a replay reads again, everything else must be the same, or the recording
does not hold. A call that changes such state itself is not recorded at all.
"""

from __future__ import annotations

import enum
import functools
import gc
import random
import sys
import sysconfig
import types
from collections.abc import Callable
from typing import Any

import numpy as np

from diptych import source
from diptych.core import recording
from diptych.core.tensor import Tensor

_PLAIN = (int, float, bool, str, bytes, complex, type(None), type(Ellipsis), range, slice)
_LIMIT = 20000
_SMALL_ARRAY = 4096
_STANDARD = (sysconfig.get_paths()["stdlib"], "<frozen")
_CLOCKS = {"time", "_random", "posix", "secrets"}
_ACTS: dict[Any, str] = {print: "print()", input: "input()", open: "open()"}
_LIBRARIES = {"diptych", "numpy", "scipy", "llvmlite"}
_missing = object()


def same(now: Any, then: Any) -> bool:
    """Whether a reference leads to what it did: the same object, or an equal plain value."""
    if now is then:
        return True
    kind = type(then)
    if type(now) is not kind:
        return False
    if kind in _PLAIN or isinstance(then, enum.Enum):
        return bool(now == then)
    if kind is tuple:
        return len(now) == len(then) and all(map(same, now, then))
    if kind is types.MethodType:  # made anew at every look
        return now.__func__ is then.__func__ and now.__self__ is then.__self__
    return False


class Watch:
    """The Python state that a call reads, noted as the call comes upon it."""

    def __init__(self, own: Callable[[Tensor], None], aside: Callable[[], bool]) -> None:
        self.own = own
        self.aside = aside  # whether what runs now belongs to the engine
        self.names: list[tuple[dict[str, Any], str, Any]] = []
        self.attributes: list[tuple[dict[str, Any], str, Any]] = []
        self.members: list[tuple[dict[Any, Any], Any, Any]] = []  # of modules
        self.rows: list[tuple[Any, tuple[Any, ...]]] = []
        self.tables: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        self.cells: list[tuple[Any, Any]] = []
        self.arrays: list[tuple[Any, Any]] = []
        self.codes: set[types.CodeType] = set()
        self.reached: set[types.CodeType] = set()
        self.used: set[str] = set()
        self.seen: set[int] = set()
        self.keep: list[Any] = []
        self.count = 0
        self.problem: tuple[str, str] | None = None
        self.structure = recording.structure
        self.before = _draws()

    def fail(self, reason: str) -> None:
        if self.problem is None:
            self.problem = (reason, source.user_line())

    # ---- the profile function

    def start(self) -> None:
        self.collecting = gc.isenabled()
        gc.disable()  # what a collection calls is no part of the call
        self.previous = sys.getprofile()
        sys.setprofile(self.event)

    def stop(self) -> None:
        sys.setprofile(self.previous)
        if self.collecting:
            gc.enable()

    def event(self, frame: types.FrameType, kind: str, given: Any) -> None:
        if kind == "call":
            if self.aside():
                return
            code = frame.f_code
            if code in self.codes:
                if code.co_argcount and code.co_varnames[0] == "self":
                    self.visit(frame.f_locals.get("self"))
                return
            name = code.co_filename
            if source.is_ours(name) or name.startswith(_STANDARD):
                return
            if frame.f_globals.get("__name__", "").partition(".")[0] in _LIBRARIES:
                return  # also their generated functions, which have no file
            self.codes.add(code)
            if code.co_flags & 0x20 and frame.f_lasti > 4:
                self.fail("a generator that began before the call is continued")
            self.enter(frame, code)
        elif kind == "c_call" and not self.aside() and not source.is_ours(frame.f_code.co_filename):
            if frame.f_code.co_filename.startswith(_STANDARD):
                return
            act = _ACTS.get(given) if given.__class__ is types.BuiltinFunctionType else None
            if act is not None:
                self.fail(f"{act} is called")
            elif getattr(given, "__module__", None) in _CLOCKS:
                self.fail(f"{given.__module__}.{given.__name__} is called")

    def enter(self, frame: types.FrameType, code: types.CodeType) -> None:
        """Note what a function's names lead to, before its first line runs."""
        self.used.update(code.co_names)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self.reached.add(constant)
        if code.co_freevars and code not in self.reached:
            self.fail(f"the closure of {code.co_name} cannot be followed")
        known = frame.f_globals
        for name in code.co_names:
            value = known.get(name, _missing)
            if value is not _missing:
                self.names.append((known, name, value))
                self.visit(value)
                if isinstance(value, types.ModuleType):
                    self.module(value, code)
        for name in code.co_varnames[: code.co_argcount]:
            value = frame.f_locals.get(name)
            if name == ".0" and code in self.reached:
                continue  # what a comprehension runs over: the function around it was seen
            if not isinstance(value, (Tensor, list, dict, tuple)):
                self.visit(value)

    def module(self, module: types.ModuleType, code: types.CodeType) -> None:
        """What a function's names are in a module of the user's."""
        own = vars(module)
        file = getattr(module, "__file__", None) or "<frozen"
        if source.is_ours(file) or file.startswith(_STANDARD):
            return
        for name in code.co_names:
            value = own.get(name, _missing)
            if value is not _missing and not isinstance(value, types.ModuleType):
                self.names.append((own, name, value))
                self.visit(value)

    # ---- the walk

    def visit(self, value: Any) -> None:
        """Note everything that a value leads to."""
        stack = [value]
        while stack:
            value = stack.pop()
            kind = type(value)
            if kind in _PLAIN or id(value) in self.seen:
                continue
            self.seen.add(id(value))
            self.keep.append(value)
            self.count += 1
            if self.count > _LIMIT:
                self.fail("the call reaches too many Python objects to watch")
                return
            self.step(value, kind, stack)

    def step(self, value: Any, kind: type, stack: list[Any]) -> None:
        if isinstance(value, Tensor):
            self.own(value)
        elif kind is types.FunctionType:
            self.function(value, stack)
        elif kind is types.MethodType:
            stack += [value.__self__, value.__func__]
        elif isinstance(value, functools.partial):
            stack += [value.func, value.args, value.keywords]
        elif isinstance(value, (list, tuple, set, frozenset)):
            if not isinstance(value, tuple):
                self.rows.append((value, tuple(value)))
            stack.extend(value)
        elif isinstance(value, dict):
            self.tables.append((value, dict(value)))
            stack.extend(value.values())
        elif isinstance(value, np.ndarray):
            if value.size > _SMALL_ARRAY:
                self.fail("a large NumPy array is used")
            else:
                self.arrays.append((value, value.copy()))
        elif kind.__module__.startswith("numpy.random"):
            self.fail("a NumPy generator is at hand")
        elif isinstance(value, (types.ModuleType, type)) or kind.__module__ == "builtins":
            if hasattr(kind, "__next__"):
                self.fail("an iterator from outside the call is continued")
        elif hasattr(value, "param_groups") and hasattr(kind, "zero_grad"):
            self.rows.append((value.param_groups, tuple(value.param_groups)))
            for group in value.param_groups:
                self.members.append((group, "params", group["params"]))
                stack.extend(group["params"])
        elif hasattr(value, "_parameters") and hasattr(value, "_modules"):
            self.structured(value, stack)
        elif hasattr(kind, "__next__") and not kind.__module__.startswith("diptych."):
            self.fail("an iterator from outside the call is continued")
        elif kind.__module__.partition(".")[0] not in _LIBRARIES and isinstance(
            getattr(value, "__dict__", None), dict
        ):
            own = value.__dict__
            for name, found in list(own.items()):
                self.attributes.append((own, name, found))
                stack.append(found)
            for holder in kind.__mro__:
                stack += [v for v in vars(holder).values() if type(v) is types.FunctionType]

    def structured(self, module: Any, stack: list[Any]) -> None:
        """A module: its members change only in ways that ``recording.structure`` counts."""
        own = module.__dict__
        for name, found in list(own.items()):
            if name in ("_parameters", "_buffers", "_modules") or name.endswith("_hooks"):
                for key, member in found.items():
                    self.members.append((found, key, member))
                    stack.append(member)
            else:
                self.members.append((own, name, found))
                if isinstance(found, (list, dict)) and name[:1] != "_":
                    stack.append(found)
                elif type(found) not in _PLAIN:
                    stack.append(found)
        for holder in type(module).__mro__:
            forward = holder.__dict__.get("forward")
            if isinstance(forward, types.FunctionType):
                stack.append(forward)

    def function(self, value: Any, stack: list[Any]) -> None:
        code = value.__code__
        self.reached.add(code)
        if source.is_ours(code.co_filename) or code.co_filename.startswith(_STANDARD):
            if value.__closure__ is None:
                return
        for cell in value.__closure__ or ():
            try:
                found = cell.cell_contents
            except ValueError:
                found = _missing
            self.cells.append((cell, found))
            stack.append(found)
        stack.extend(value.__defaults__ or ())
        stack.extend((value.__kwdefaults__ or {}).values())
        if hasattr(value, "__wrapped__"):
            stack.append(value.__wrapped__)

    # ---- after the call

    def finish(self) -> str | None:
        """What the call itself changed of what it read; None when nothing: then guards hold."""
        used = self.used
        if used.isdisjoint(("getattr", "vars", "__dict__", "eval", "exec", "hasattr")):
            self.attributes = [item for item in self.attributes if item[1] in used]
        if self.problem is None and _draws() != self.before:
            self.fail("Python's or NumPy's random numbers are drawn")
        changed = self.changed() or self.restructured()
        self.structure = recording.structure
        return changed

    def looks_at_gradients(self) -> bool:
        """Whether the user's code names gradients, other than to say that it wants (no) any."""
        harmless = {"no_grad", "requires_grad", "requires_grad_", "enable_grad", "inference_mode"}
        return any("grad" in name and name not in harmless for name in self.used)

    def changed(self) -> str | None:
        """What differs now of the state that is compared at every call."""
        for known, name, then in self.names:
            now = known.get(name, _missing)
            if now is not then and not same(now, then):
                return f"the global '{name}'"
        for cell, then in self.cells:
            try:
                now = cell.cell_contents
            except ValueError:
                now = _missing
            if now is not then and not same(now, then):
                return "a variable of the enclosing function"
        for known, name, then in self.attributes:
            now = known.get(name, _missing)
            if now is not then and not same(now, then):
                return f"the attribute '{name}'"
        for row, items in self.rows:
            if len(row) != len(items) or not all(map(same, row, items)):
                return f"a {type(row).__name__}"
        for table, entries in self.tables:
            if len(table) != len(entries) or not all(
                same(table.get(key, _missing), then) for key, then in entries.items()
            ):
                return "a dict"
        for array, then in self.arrays:
            if not np.array_equal(array, then):
                return "a NumPy array"
        return None

    def restructured(self) -> str | None:
        """What differs now of the modules' members and attributes."""
        for known, name, then in self.members:
            now = known.get(name, _missing)
            if now is not then and not same(now, then):
                return f"the module attribute '{name}'"
        return None

    def holds(self) -> bool:
        """Whether everything that the recording read is still so."""
        if self.changed() is not None:
            return False
        if recording.structure != self.structure:
            if self.restructured() is not None:
                return False
            self.structure = recording.structure
        return True


def _draws() -> Any:
    """The places of the two generators of random numbers that any function may use."""
    state: Any = np.random.get_state()
    return (random.getstate(), state[0], state[1].tobytes(), state[2:])
