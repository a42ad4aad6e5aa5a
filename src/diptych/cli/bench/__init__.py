"""``diptych bench``: the same program timed on diptych and on every engine installed beside it."""

from __future__ import annotations

from diptych.cli.bench.command import main as main
