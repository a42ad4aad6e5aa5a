"""Finds the subcommand; imports nothing that the command does not need."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

# A command is the module of this name in diptych.cli, with `main(arguments) -> exit status`.
COMMANDS = {
    "run": "run a Python program with torch and tensorflow resolved to diptych",
    "bench": "time a program on diptych and on every engine installed beside it",
    "info": "versions, target, threads and cache of this installation",
}
# Named on the design page and not written yet: said so, rather than "unknown".
PLANNED = ("explain", "convert", "export", "serve", "profile")


def usage() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "usage: diptych COMMAND ...\n\n"
        f"commands:\n{rows}\n\n"
        "`diptych COMMAND --help` says more; `diptych --version` prints the version.\n"
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs the command that ``arguments`` (default: the process's own) name; its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments:
        sys.stderr.write(usage())
        return 2
    name, *rest = arguments
    if name in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0
    if name in ("-V", "--version"):
        module = importlib.import_module("diptych.cli.version")
        print(f"diptych {module.version()}")
        return 0
    if name in PLANNED:
        sys.stderr.write(f"diptych {name}: not there yet; there are {', '.join(COMMANDS)}\n")
        return 2
    if name not in COMMANDS:
        sys.stderr.write(
            f"diptych: unknown command {name!r}; expected one of {', '.join(COMMANDS)}\n"
        )
        if name.endswith(".py"):
            sys.stderr.write(f"to run a program: diptych run {name}\n")
        return 2
    command: Callable[[list[str]], int] = importlib.import_module(f"diptych.cli.{name}").main
    return command(rest)
