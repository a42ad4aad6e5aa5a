"""The face's names against TensorFlow's (names.json): none made up, none listed falsely."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import diptych.tensorflow as tf
from diptych.tensorflow.missing import MISSING

NAMES = json.loads(Path(__file__).with_name("names.json").read_text(encoding="utf-8"))
SOURCE = Path(__file__).resolve().parents[2] / "src"
MODULES = [module for module in NAMES if module != "kinds"]


def module_of(name: str) -> Any:
    return getattr(tf, name) if name else tf


@pytest.mark.parametrize("module", MODULES)
def test_listed_as_missing_are_names_of_tensorflow(module: str) -> None:
    listed = set(MISSING.get(module, {}))
    assert listed <= set(NAMES[module])
    assert not listed & set(vars(module_of(module))), "what is there is not missing"


def test_the_package_has_no_name_that_tensorflow_lacks() -> None:
    extra = {name for name in vars(tf) if not name.startswith("_")} - set(NAMES[""])
    assert not extra


def test_a_listed_name_says_why_at_the_call() -> None:
    assert callable(tf.nn.conv2d)
    with pytest.raises(NotImplementedError, match=r"tf\.nn\.conv2d is not there yet .* engine"):
        tf.nn.conv2d(None, None)
    with pytest.raises(NotImplementedError, match=r"tf\.function is not there yet"):
        tf.function(lambda x: x)


@pytest.mark.parametrize("name", ["placeholder", "Session", "nothing_of_the_kind"])
def test_other_names_are_not_there(name: str) -> None:
    assert not hasattr(tf, name)


def test_import_brings_no_heavy_package() -> None:
    code = (
        "import sys, diptych.tensorflow\n"
        "heavy = {'llvmlite', 'scipy', 'diptych.torch', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
