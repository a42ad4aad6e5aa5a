"""torch.multiprocessing: Python's own, and the sharing strategies that programs set."""

from __future__ import annotations

import multiprocessing

import pytest

import diptych.torch as torch


def test_names_are_pythons_and_tensors_pass() -> None:
    own = torch.multiprocessing
    assert own.Process is multiprocessing.Process and own.cpu_count() >= 1
    with pytest.raises(AttributeError, match="torch.multiprocessing"):
        own.nothing  # noqa: B018
    queue = own.get_context("fork").SimpleQueue()
    queue.put(torch.arange(3.0))
    assert queue.get().tolist() == [0.0, 1.0, 2.0]
    with pytest.raises(NotImplementedError, match="torch.multiprocessing.spawn"):
        own.spawn(print)


def test_sharing_strategies() -> None:
    own = torch.multiprocessing
    assert own.get_sharing_strategy() == "file_descriptor"
    own.set_sharing_strategy("file_system")
    assert own.get_sharing_strategy() in own.get_all_sharing_strategies()
    own.set_sharing_strategy("file_descriptor")
    with pytest.raises(AssertionError, match="sharing strategy"):
        own.set_sharing_strategy("none")
