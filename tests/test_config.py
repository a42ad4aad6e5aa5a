"""The environment's variables: parsed strictly, unknown ones refused, documented."""

from __future__ import annotations

import re

import pytest

from diptych import config


@pytest.fixture(autouse=True)
def read_again() -> object:
    saved = {name: (v._known, v._value) for name, v in config.VARIABLES.items()}
    config.reload()
    yield
    for name, (known, value) in saved.items():
        config.VARIABLES[name]._known, config.VARIABLES[name]._value = known, value


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("CHECK", "1", True),
        ("CHECK", "0", False),
        ("CHECK", "", False),
        ("NUM_THREADS", "3", 3),
        ("EVALUATOR", "reference", "reference"),
        ("TARGET", "avx2", "avx2"),
        ("DEBUG", "6", 6),
    ],
)
def test_legal_values(
    monkeypatch: pytest.MonkeyPatch, name: str, written: str, value: object
) -> None:
    monkeypatch.setenv("DIPTYCH_" + name, written)
    assert config.VARIABLES[name].get() == value


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("CHECK", "yes"),
        ("CHECK", "01"),
        ("NUM_THREADS", "-1"),
        ("NUM_THREADS", "two"),
        ("NUM_THREADS", "257"),
        ("EVALUATOR", "Native"),
        ("TARGET", "sse"),
        ("DEBUG", "7"),
    ],
)
def test_illegal_values(monkeypatch: pytest.MonkeyPatch, name: str, written: str) -> None:
    monkeypatch.setenv("DIPTYCH_" + name, written)
    with pytest.raises(ValueError, match=f"DIPTYCH_{name} '{written}'; expected"):
        config.VARIABLES[name].get()


def test_an_unknown_variable_is_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DIPTYCH_NUM_THREAD", "1")
    with pytest.raises(config.ConfigError, match="did you mean DIPTYCH_NUM_THREADS"):
        config.CHECK.get()


def test_a_value_is_read_once_and_can_be_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIPTYCH_DEBUG", "2")
    assert config.DEBUG.get() == 2
    monkeypatch.setenv("DIPTYCH_DEBUG", "3")
    assert config.DEBUG.get() == 2
    with config.DEBUG.override(5):
        assert config.DEBUG.get() == 5
    assert config.DEBUG.get() == 2
    with pytest.raises(config.ConfigError):
        config.DEBUG.set(9)
    config.DEBUG.reset()
    assert config.DEBUG.get() == 3


def test_flags_can_be_set_with_booleans() -> None:
    with config.CHECK.override(True):
        assert config.CHECK.get() is True


def test_the_table_has_a_row_for_each_variable() -> None:
    rows = config.document().splitlines()[2:]
    names = [re.match(r"\| `DIPTYCH_(\w+)` \|", row).group(1) for row in rows]  # type: ignore[union-attr]
    assert names == list(config.VARIABLES)
    assert all(row.count(" | ") == 3 for row in rows)
    assert len(rows) <= 25
