"""PyTorch's distributions against numbers recorded from PyTorch 2.13, and what must be refused."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from diptych import config
from diptych.core import dtypes
from diptych.core.random import torch_stream as stream
from diptych.core.random.mt19937 import Generator
from tests.core.random import torch_cases

HERE = Path(__file__).parent


def differences(made: list[dict[str, Any]], got: list[Any], want: list[Any]) -> list[Any]:
    ends = [*made, {"kind": "final state"}]
    assert len(got) == len(want) == len(ends)
    return [entry for entry in zip(ends, got, want, strict=True) if entry[1] != entry[2]]


def test_recorded_numbers_come_back_bit_for_bit() -> None:
    made = torch_cases.cases(2024, 200)
    want = json.loads((HERE / "golden_torch.json").read_text())
    # Recorded on an AMD processor, where PyTorch draws Bernoulli element by element.
    got = torch_cases.answers(made, "serial")
    assert differences(made, got, want) == []


@pytest.mark.oracle
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pytorch_here_gives_the_same(seed: int) -> None:
    python = config.ORACLE.get() or sys.executable
    if not config.ORACLE.get() and importlib.util.find_spec("torch") is None:
        pytest.skip("no real PyTorch: DIPTYCH_ORACLE names no Python, and this one has none")
    command = [python, str(HERE / "torch_cases.py"), str(seed), "600"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    made = torch_cases.cases(seed, 600)
    assert differences(made, torch_cases.answers(made, "auto"), json.loads(ran.stdout)) == []


def test_first_normals_of_seed_zero() -> None:
    got = stream.randn(Generator(0), (3,))
    np.testing.assert_array_equal(
        got, np.array([1.5409960746765137, -0.293428897857666, -2.1787893772125244], np.float32)
    )


def test_an_odd_normal_is_kept_for_the_next_call_and_only_for_short_ones() -> None:
    whole = stream.normal(Generator(5), (4,), dtype=dtypes.float64)
    generator = Generator(5)
    first = stream.normal(generator, (1,), dtype=dtypes.float64)
    assert generator.next_double_normal is not None
    stream.randn(generator, (16,))
    assert generator.next_double_normal is not None
    second = stream.normal(generator, (1,), dtype=dtypes.float64)
    assert generator.next_double_normal is None
    np.testing.assert_array_equal([first[0], second[0]], whole[:2])


def test_chunks_of_the_vector_route_leave_no_seam() -> None:
    long = stream.randn(Generator(9), (40_000,))
    raw = Generator(9).bits(40_000)
    np.testing.assert_array_equal(long[32_768:32_784], _normals(raw[32_768:32_784]))
    np.testing.assert_array_equal(long[-16:], _normals(raw[-16:]))


def _normals(raw: Any) -> Any:
    from diptych.core.random.box_muller import normals_float32

    return normals_float32(raw, 0.0, 1.0)


@pytest.mark.parametrize("dtype", dtypes.FLOATS)
def test_log_normal_overflows_to_infinity(dtype: dtypes.DType) -> None:
    values = stream.log_normal(Generator(1), (20,), 1e4, 1.0, dtype)
    infinity = stream.narrow(np.array([np.inf], np.float32), dtype)
    np.testing.assert_array_equal(values, np.full(20, infinity[0]))


def test_bernoulli_by_mcg31_takes_one_draw() -> None:
    generator, other = Generator(3), Generator(3)
    mask = stream.bernoulli(generator, (5000,), 0.25, scheme="mcg31")
    assert 0.2 < mask.mean() < 0.3
    other.random()
    assert generator.random() == other.random()


def test_uniform_never_reaches_its_upper_bound() -> None:
    for dtype in (dtypes.float16, dtypes.bfloat16):
        values = stream.uniform(Generator(1), (100_000,), 0.0, 1.0, dtype)
        one = stream.narrow(np.ones(1, np.float32), dtype)
        assert not (values == one).any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: stream.uniform(g, (2,), 1.0, 0.0), "low 1.0, high 0.0"),
        (lambda g: stream.uniform(g, (2,), 0.0, float("inf")), "finite"),
        (lambda g: stream.uniform(g, (-2,)), "negative extent"),
        (lambda g: stream.uniform(g, (2,), dtype=dtypes.int32), "not floating"),
        (lambda g: stream.normal(g, (2,), 0.0, -1.0), "std -1.0"),
        (lambda g: stream.normal(g, (2,), 0.0, float("nan")), "std nan"),
        (lambda g: stream.log_normal(g, (2,), 0.0, 0.0), "std 0.0"),
        (lambda g: stream.exponential(g, (2,), 0.0), "rate 0.0"),
        (lambda g: stream.cauchy(g, (2,), 0.0, 0.0), "sigma 0.0"),
        (lambda g: stream.geometric(g, (2,), 1.0), "probability 1.0"),
        (lambda g: stream.randint(g, (2,), 3, 3), "low 3, high 3"),
        (lambda g: stream.randint(g, (2,), 0, 300, dtypes.uint8), "does not fit uint8"),
        (lambda g: stream.random_full(g, (2,), dtypes.uint32), "draws no uint32"),
        (lambda g: stream.random_from(g, (2,), 128, dtypes.int8), "above the largest int8"),
        (lambda g: stream.randperm(g, -1), "n -1"),
        (lambda g: stream.randperm(g, 300, dtypes.uint8), "does not fit uint8"),
        (lambda g: stream.bernoulli(g, (2,), 1.5), "probability 1.5"),
        (lambda g: stream.bernoulli(g, (2,), 0.5, scheme="mkl"), "scheme 'mkl'"),
        (lambda g: stream.bernoulli_each(g, np.array([2.0]), dtypes.float64), "outside"),
        (lambda g: stream.multinomial(g, np.ones(3), 4, of=dtypes.float64), "num_samples 4"),
        (lambda g: stream.multinomial(g, np.zeros(3), 1, of=dtypes.float64), "sum to 0"),
        (lambda g: stream.multinomial(g, -np.ones(3), 1, of=dtypes.float64), "below 0"),
        (lambda g: stream.multinomial(g, np.full(3, np.nan), 1, of=dtypes.float64), "NaN"),
    ],
)
def test_bad_arguments_are_named_and_cost_no_draw(call: Any, message: str) -> None:
    generator = Generator(1)
    before = generator.get_state()
    with pytest.raises(ValueError, match=message):
        call(generator)
    np.testing.assert_array_equal(generator.get_state(), before)
