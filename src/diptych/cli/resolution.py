"""Import resolution: ``import torch`` and ``import tensorflow`` find diptych's faces.

A finder at the head of ``sys.meta_path`` answers for the names in `FACES`. The module it gives is
the face's own module object, so ``torch.nn`` and ``diptych.torch.nn`` are one module, loaded once.
The program and everything it imports gets the faces, but for the libraries in `HIDDEN_FROM`, whose
``import torch`` fails as if nothing were installed: the finder gives their modules a
``__builtins__`` with an ``__import__`` of its own, so the importing module decides, at no cost to
others.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType, ModuleType
from typing import Any

from diptych import config


@dataclass(frozen=True)
class Face:
    """A package that we stand in for: its module here, and the distribution it is installed as."""

    module: str
    distribution: str
    version: str


FACES: dict[str, Face] = {
    "torch": Face("diptych.torch", "torch", "2.13.0"),
    "tensorflow": Face("diptych.tensorflow", "tensorflow", "2.21.0"),
    "torchvision": Face("diptych.companions.torchvision", "torchvision", "0.28.0"),
}

# Libraries that probe for a framework, work without it, and would misuse ours, with the reason.
HIDDEN_FROM: dict[str, str] = {
    "tensorboard": "has its own stub of tensorflow's files and summaries, which it prefers to none",
    "triton": "compiles for GPUs and takes its driver and streams from torch's C++ library",
    "tvm": "loads an extension linked with torch's C++ library",
    "tvm_ffi": "builds an extension against torch's C++ headers",
    "xgrammar": "chooses kernels written for torch's GPU tensors",
}


def hidden_from(setting: str) -> frozenset[str]:
    """The libraries that see no face: the table, changed by ``name,-name``."""
    names = set(HIDDEN_FROM)
    for name in filter(None, (part.strip() for part in setting.split(","))):
        if name.startswith("-"):
            names.discard(name[1:])
        else:
            names.add(name)
    return frozenset(names)


class FaceFinder:
    """The meta-path finder for the names in ``faces``; also finds their distributions."""

    def __init__(self, faces: Mapping[str, Face], hide_from: frozenset[str]) -> None:
        self.faces = faces
        self.hide_from = hide_from

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        top, _, rest = name.partition(".")
        face = self.faces.get(top)
        if face is not None:
            return self._face_spec(name, face, rest)
        if top in self.hide_from:
            return self._guarded_spec(name, path, target)
        if top == "diptych" and path is not None:
            return self._aliased_spec(name, path, target)
        return None

    def _face_spec(self, name: str, face: Face, rest: str) -> importlib.machinery.ModuleSpec | None:
        if importer() in self.hide_from:
            return None
        actual = f"{face.module}.{rest}" if rest else face.module
        loaded = sys.modules.get(actual)
        own = loaded.__spec__ if loaded is not None else importlib.util.find_spec(actual)
        if own is None and loaded is None:
            if rest:
                return None  # the path finder looks once more beside the face, and finds as little
            raise ModuleNotFoundError(f"diptych has no face for {name!r}", name=name)
        locations = getattr(loaded, "__path__", None) if own is None else None
        loader: Any = FaceLoader(actual, own, self.faces)
        spec = importlib.machinery.ModuleSpec(name, loader, origin=own.origin if own else None)
        spec.submodule_search_locations = own.submodule_search_locations if own else locations
        spec.has_location = own.has_location if own else False
        return spec

    def _aliased_spec(
        self, name: str, path: Sequence[str], target: ModuleType | None
    ) -> importlib.machinery.ModuleSpec | None:
        """A face's own module, loaded under its own name: it gets its second one at once."""
        for alias, face in self.faces.items():
            if name.startswith(face.module + "."):
                spec = importlib.machinery.PathFinder.find_spec(name, path, target)
                if spec is not None and spec.loader is not None:
                    wrapped: Any = AliasingLoader(spec.loader, alias + name[len(face.module) :])
                    spec.loader = wrapped
                return spec
        return None

    def _guarded_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None
    ) -> importlib.machinery.ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    guard_importlib(self)
                    wrapped: Any = GuardedLoader(spec.loader, self)
                    spec.loader = wrapped
                return spec
        return None

    def find_distributions(self, context: Any) -> Iterable[Any]:
        """The faces' entries for importlib.metadata, as its protocol for finders asks."""
        if context.path is not sys.path or importer() in self.hide_from:
            return ()  # someone lists one folder's packages; we lie in none
        distributions = importlib.import_module("diptych.cli.distributions")
        found: list[Any] = distributions.find(self.faces.values(), context.name)
        return found

    def invalidate_caches(self) -> None:
        """Nothing is cached; importlib calls this on every finder."""


class FaceLoader:
    """Gives the face's module under a second name, and leaves it as it was."""

    def __init__(
        self,
        actual: str,
        own: importlib.machinery.ModuleSpec | None,
        faces: Mapping[str, Face],
    ) -> None:
        self.actual = actual
        self.faces = faces
        self.own = own

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(self.actual)
        self.own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.own  # importlib has just replaced it by the second name's
        mirror(self.faces)

    def get_code(self, name: str) -> CodeType | None:
        """The code of ``python -m``; the face's own loader has it."""
        loader = self.own.loader if self.own else None
        code: CodeType | None = loader.get_code(self.actual) if loader else None  # type: ignore[attr-defined]
        return code

    def is_package(self, name: str) -> bool:
        return self.own is not None and self.own.submodule_search_locations is not None

    def __getattr__(self, name: str) -> Any:
        if self.__dict__.get("own") is None:
            raise AttributeError(name)
        return getattr(self.own.loader, name)  # type: ignore[union-attr]


class WrappingLoader:
    """Does something before another loader executes a module, and steps back."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def prepare(self, module: ModuleType) -> None:
        raise NotImplementedError(f"{type(self).__name__}.prepare")

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self.loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        module.__loader__ = self.loader
        self.prepare(module)
        self.loader.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["loader"], name)


class AliasingLoader(WrappingLoader):
    """Enters a face's module under the name that programs know it by, too."""

    def __init__(self, loader: Any, alias: str) -> None:
        super().__init__(loader)
        self.alias = alias

    def prepare(self, module: ModuleType) -> None:
        sys.modules.setdefault(self.alias, module)

    def exec_module(self, module: ModuleType) -> None:
        try:
            super().exec_module(module)
        except BaseException:
            if sys.modules.get(self.alias) is module:
                del sys.modules[self.alias]
            raise


class GuardedLoader(WrappingLoader):
    """Loads a library's module with builtins whose ``__import__`` finds no face."""

    def __init__(self, loader: Any, finder: FaceFinder) -> None:
        super().__init__(loader)
        self.finder = finder

    def prepare(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = guarded_builtins(self.finder)


def hidden_error(name: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f"No module named {name!r} (diptych hides its face from this library; "
        f"{config.HIDE_FROM.name}=-LIBRARY shows it)",
        name=name,
    )


def guarded_builtins(finder: FaceFinder) -> dict[str, Any]:
    """A copy of the builtins for a library that must not see the faces."""

    def guarded(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        if level == 0 and name.partition(".")[0] in finder.faces:
            raise hidden_error(name)
        return builtins.__import__(name, globals, locals, fromlist, level)

    return {**vars(builtins), "__import__": guarded}


def importer() -> str:
    """The top package of the nearest module, outside importlib and us, on the stack."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__") or ""
        top = name.partition(".")[0]
        # importlib's frozen half goes by `importlib._bootstrap` in its functions' globals
        if top not in ("importlib", "_frozen_importlib", "_frozen_importlib_external", "diptych"):
            return str(top)
        frame = frame.f_back
    return ""


def guard_importlib(finder: FaceFinder) -> None:
    """Makes importlib's two ways to ask by name agree with ``import`` in a hidden library.

    Only a program that imports such a library pays for it: the functions are replaced then.
    """
    if getattr(importlib.import_module, "diptych_guard", None):
        return
    import_module, find_spec = importlib.import_module, importlib.util.find_spec

    def hidden(name: str) -> bool:
        return name.partition(".")[0] in finder.faces and importer() in finder.hide_from

    def guarded_import_module(name: str, package: str | None = None) -> ModuleType:
        if hidden(name):
            raise hidden_error(name)
        return import_module(name, package)

    def guarded_find_spec(
        name: str, package: str | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return None if hidden(name) else find_spec(name, package)

    guarded_import_module.diptych_guard = True  # type: ignore[attr-defined]
    replace(importlib, "import_module", guarded_import_module)
    replace(importlib.util, "find_spec", guarded_find_spec)


def replace(module: ModuleType, name: str, function: Callable[..., Any]) -> None:
    function.__doc__ = getattr(module, name).__doc__
    setattr(module, name, function)


def mirror(faces: Mapping[str, Face]) -> None:
    """Enters every face module loaded so far under its program name too."""
    for top, face in faces.items():
        if top in sys.modules and sys.modules[top] is not sys.modules.get(face.module):
            continue
        prefix = face.module + "."
        for name in [name for name in sys.modules if name.startswith(prefix)]:
            sys.modules.setdefault(top + name[len(face.module) :], sys.modules[name])


def install() -> FaceFinder:
    """Puts the finder at the head of ``sys.meta_path``, once; gives the one in force."""
    for finder in sys.meta_path:
        if isinstance(finder, FaceFinder):
            return finder
    ours = FaceFinder(FACES, hidden_from(config.HIDE_FROM.get()))
    place: list[Any] = sys.meta_path
    place.insert(0, ours)
    return ours


def uninstall() -> None:
    """Takes the finder away; modules that were imported stay."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, FaceFinder)]
