"""The command itself: which subcommands there are, and what is said of the others."""

from __future__ import annotations

import json

import pytest

from diptych.cli import info
from diptych.cli.main import COMMANDS, PLANNED, main
from diptych.cli.version import version


def test_help_lists_what_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in COMMANDS)
    assert not any(f"  {name} " in text for name in PLANNED)
    assert main([]) == 2 and "usage" in capsys.readouterr().err


@pytest.mark.parametrize("name", PLANNED)
def test_planned_commands_say_that_they_are_not_there(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "x"]) == 2
    assert f"diptych {name}: not there yet" in capsys.readouterr().err


def test_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train.py"]) == 2
    assert "diptych run train.py" in capsys.readouterr().err
    assert main(["trian"]) == 2
    assert "unknown command 'trian'" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"diptych {version()}\n"
    assert version()[0].isdigit()


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert info.main(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["faces"]["torch"] == "2.13.0" and found["threads"]["usable cpus"] >= 1
    assert found["target"]["vector_bytes"] in (16, 32, 64) and found["packages"]["numpy"]
    assert info.main([]) == 0
    text = capsys.readouterr().out
    assert "target:\n  triple: " in text and "cache:\n  folder: " in text


def test_info_with_a_misspelt_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from diptych import config

    monkeypatch.setenv("DIPTYCH_EVALUATER", "native")
    config.reload()
    try:
        assert info.main([]) == 2
        assert "DIPTYCH_EVALUATOR" in capsys.readouterr().err
    finally:
        monkeypatch.undo()
        config.reload()
