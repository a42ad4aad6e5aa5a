"""Builders of models by name, and the published weights that each can start from."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any

from diptych.companions.torchvision.transforms.functional import InterpolationMode
from diptych.companions.torchvision.transforms.presets import ImageClassification
from diptych.torch import hub, nn

_SITE = "https://download.pytorch.org/models/"


@dataclass
class Weights:
    """Where a file of weights lies, and how its images are prepared."""

    url: str
    transforms: Callable[..., Any]
    meta: dict[str, Any] = field(default_factory=dict)


class WeightsEnum(Enum):
    """The files published for one model; ``DEFAULT`` is the best of them."""

    @classmethod
    def verify(cls, obj: Any) -> Any:
        """The member meant by a member, a name or None; TypeError for another model's."""
        if obj is None or isinstance(obj, cls):
            return obj
        if isinstance(obj, str):
            return cls[obj.removeprefix(cls.__name__ + ".")]
        raise TypeError(
            f"Invalid Weight class provided; expected {cls.__name__} but received "
            f"{obj.__class__.__name__}."
        )

    @property
    def url(self) -> str:
        return str(self.value.url)

    @property
    def transforms(self) -> Any:
        return self.value.transforms

    @property
    def meta(self) -> dict[str, Any]:
        return dict(self.value.meta)

    def get_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The file's state dict, from the cache of torch.hub, which downloads what it lacks."""
        return hub.load_state_dict_from_url(self.url, *args, **kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


def row(
    file: str,
    crop: int = 224,
    resize: int = 256,
    bicubic: bool = False,
    **normal: Any,
) -> Weights:
    """One published file and the sizes to which its images are resized and cropped."""
    kind = InterpolationMode.BICUBIC if bicubic else InterpolationMode.BILINEAR
    prepare = partial(
        ImageClassification, crop_size=crop, resize_size=resize, interpolation=kind, **normal
    )
    return Weights(_SITE + file, prepare)


def published(name: str, module: str, *, default: str = "", **rows: Weights) -> type[WeightsEnum]:
    """The enum of a model's files; ``default`` is the last of them unless named."""
    members = [*rows.items()]
    if members:
        members.append(("DEFAULT", rows[default or members[-1][0]]))
    make: Any = WeightsEnum  # called with members, an enum makes a subclass
    made: type[WeightsEnum] = make(name, members, module=module)
    return made


BUILDERS: dict[str, Callable[..., nn.Module]] = {}
WEIGHTS: dict[str, type[WeightsEnum]] = {}


def register(
    name: str, weights_class: type[WeightsEnum], make: Callable[..., nn.Module], module: str
) -> Callable[..., nn.Module]:
    """The public builder of a model: ``make(**options)``, then weights where some are asked for."""

    def build(
        pretrained: Any = None, progress: bool = True, *, weights: Any = None, **options: Any
    ) -> nn.Module:
        if pretrained is not None:
            if isinstance(pretrained, (WeightsEnum, str)):
                weights = pretrained
            else:
                warnings.warn(
                    "The parameter 'pretrained' is deprecated since 0.13 and may be removed in "
                    "the future, please use 'weights' instead.",
                    stacklevel=2,
                )
                weights = "IMAGENET1K_V1" if pretrained else None
        chosen = weights_class.verify(weights)
        if chosen is not None and options.setdefault("num_classes", 1000) != 1000:
            raise ValueError(
                f"The parameter 'num_classes' expected value 1000 but got "
                f"{options['num_classes']} instead."
            )
        model = make(**options)
        if chosen is not None:
            model.load_state_dict(chosen.get_state_dict(progress=progress, check_hash=True))
        return model

    build.__name__ = build.__qualname__ = name
    build.__module__ = module
    build.__doc__ = f"{name}; ``weights`` names published ones, ``options`` go to the model."
    BUILDERS[name] = build
    WEIGHTS[name] = weights_class
    return build


def list_models(module: Any = None, include: Any = None, exclude: Any = None) -> list[str]:
    """The names of the models, sorted; patterns as of a shell choose among them."""

    def chosen(name: str, patterns: Any) -> bool:
        given = [patterns] if isinstance(patterns, str) else patterns
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in given)

    return sorted(
        name
        for name, build in BUILDERS.items()
        if (module is None or build.__module__.startswith(module.__name__))
        and (not include or chosen(name, include))
        and not (exclude and chosen(name, exclude))
    )


def get_model_builder(name: str) -> Callable[..., nn.Module]:
    """The builder called ``name`` (any case)."""
    try:
        return BUILDERS[name.lower()]
    except KeyError:
        raise ValueError(f"Unknown model {name}") from None


def get_model(name: str, **config: Any) -> nn.Module:
    """The model called ``name``."""
    return get_model_builder(name)(**config)


def get_model_weights(name: Any) -> type[WeightsEnum]:
    """The enum of weights of a model, by its name or builder."""
    found = name if isinstance(name, str) else name.__name__
    get_model_builder(found)
    return WEIGHTS[found.lower()]


def get_weight(name: str) -> WeightsEnum:
    """The member written ``Enum_Name.MEMBER``."""
    enum, _, member = name.partition(".")
    for known in WEIGHTS.values():
        if known.__name__ == enum:
            return known[member]
    raise ValueError(f"The weight enum '{enum}' could not be found")
