"""TensorFlow's distributions and seeds against numbers recorded from TensorFlow 2.21."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diptych import config
from diptych.core import dtypes
from diptych.core.random import tf_stream as stream
from diptych.core.random.tf_seeds import PhiloxGenerator, SeedState, stream_of_seeds
from tests.core.random import tf_cases

HERE = Path(__file__).parent


def differences(made: list[dict[str, Any]], want: list[Any]) -> list[Any]:
    got = tf_cases.answers(made)
    return [entry for entry in zip(made, got, want, strict=True) if entry[1] != entry[2]]


def test_recorded_numbers_come_back_bit_for_bit() -> None:
    want = json.loads((HERE / "golden_tensorflow.json").read_text())
    assert differences(tf_cases.cases(2024, 120), want) == []


@pytest.mark.oracle
@pytest.mark.slow
def test_tensorflow_here_gives_the_same() -> None:
    python = config.ORACLE.get() or sys.executable
    if not config.ORACLE.get() and importlib.util.find_spec("tensorflow") is None:
        pytest.skip("no real TensorFlow: DIPTYCH_ORACLE names no Python, and this one has none")
    command = [python, str(HERE / "tf_cases.py"), "1", "400"]
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=quiet)
    assert differences(tf_cases.cases(1, 400), json.loads(ran.stdout)) == []


def test_first_normals_of_global_seed_42() -> None:
    seeds = SeedState()
    seeds.set_seed(42)
    place = seeds.stream("RandomStandardNormal", "float32").reserve(3)
    got = stream.normal(*place, (3,))
    np.testing.assert_array_equal(
        got, np.array([0.32746851444244385, -0.8426257967948914, 0.31943368911743164], np.float32)
    )


def test_a_seeded_operation_continues_until_the_global_seed_is_set() -> None:
    seeds = SeedState()
    seeds.set_seed(1)
    first = seeds.stream("RandomUniform", "float32", 7).reserve(10)
    second = seeds.stream("RandomUniform", "float32", 7).reserve(10)
    assert (first[1] + 2560, first[0]) == (second[1], second[0])
    assert seeds.stream("RandomUniform", "float64", 7).reserve(1) == first
    seeds.set_seed(1)
    assert seeds.stream("RandomUniform", "float32", 7).reserve(1) == first


def test_without_seeds_no_two_streams_are_alike() -> None:
    seeds = SeedState()
    keys = {seeds.stream("RandomUniform", "float32").key for _ in range(4)}
    assert len(keys) == 4
    assert seeds.operation_seeds() == (0, 0)
    assert seeds.operation_seeds(5) == (87654321, 5)
    seeds.set_seed(0)
    assert seeds.operation_seeds(0) == (0, 2**31 - 1)


def test_generator_state_is_tensorflows() -> None:
    generator = PhiloxGenerator.from_seed(42)
    assert generator.state() == (42, 0, 0)
    generator.reserve(4097)
    assert generator.state() == (1048874, 0, 0)
    assert PhiloxGenerator.from_seed(-1).state() == (-1, 0, 0)


def test_truncated_normals_carry_into_the_upper_words() -> None:
    here = stream.standard_truncated_normal(3, 2**64 - 256, (8,))
    np.testing.assert_array_equal(here[4:], stream.standard_truncated_normal(3, 2**64, (4,)))
    assert np.abs(stream.standard_truncated_normal(1, 0, (20_000,))).max() < 2


def test_a_large_draw_is_the_same_in_parts() -> None:
    key, counter = stream_of_seeds(1, 2).reserve(40_000)
    whole = stream.standard_normal(key, counter, (40_000,))
    np.testing.assert_array_equal(
        whole[20_000:], stream.standard_normal(key, counter + 5000, (20_000,))
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stream.normal(1, 0, (-1,)), "negative extent"),
        (lambda: stream.uniform(1, 0, (2,), dtype=dtypes.int32), "not floating"),
        (lambda: stream.uniform_integers(1, 0, (2,), 3, 3), "minval < maxval"),
        (lambda: stream.uniform_integers(1, 0, (2,), 0, 2**31), "minval < maxval"),
        (lambda: stream.uniform_integers(1, 0, (2,), 0, 3, dtypes.int8), "no bounded integers"),
        (lambda: stream.full_integers(1, 0, (2,), dtypes.int8), "not one of"),
        (lambda: stream.shuffle_order(1, 0, -1), "-1 rows"),
    ],
)
def test_bad_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
