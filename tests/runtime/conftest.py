"""A cache directory of their own for the tests of the runtime."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from diptych import config
from diptych.runtime import objects


@pytest.fixture(scope="package", autouse=True)
def cache_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = str(tmp_path_factory.mktemp("cache"))
    with config.CACHE_DIR.override(directory):
        objects.store.cache_clear()
        objects.code_generator.cache_clear()
        yield directory
    objects.store.cache_clear()
    objects.code_generator.cache_clear()
