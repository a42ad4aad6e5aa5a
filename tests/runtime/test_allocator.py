"""The caching allocator: classes, reuse, bounds, honest refusals."""

from __future__ import annotations

import gc
import random
import threading

import numpy as np
import pytest

from diptych.core import buffer
from diptych.runtime import allocator as allocator_module
from diptych.runtime.allocator import CachingAllocator, class_size

MB = 1 << 20


def test_classes_are_aligned_monotone_and_waste_little() -> None:
    previous = 0
    for nbytes in [*range(0, 5000), *(2**k + d for k in range(13, 40) for d in (-1, 0, 1, 12345))]:
        size = class_size(nbytes)
        assert size >= max(nbytes, 64) and size % 64 == 0
        assert size <= max(nbytes + 64, nbytes * 1.25)
        assert class_size(size) == size
        if nbytes < 5000:
            assert size >= previous
            previous = size


@pytest.mark.parametrize("nbytes", [0, 1, 64, 65, 1000, 4096, 3 * MB, 3 * MB + 1, 16 * MB])
def test_blocks_are_aligned_writable_and_as_large_as_their_class(nbytes: int) -> None:
    address, memory = CachingAllocator().allocate(nbytes)
    view = np.frombuffer(memory, np.uint8)
    assert address % 64 == 0
    assert view.__array_interface__["data"] == (address, False)
    assert view.nbytes == class_size(nbytes)
    view[:] = 1


def test_a_freed_block_serves_its_class_again() -> None:
    cache = CachingAllocator(MB)
    address, memory = cache.allocate(1000)
    cache.release(1000, address, memory)
    del memory
    held = [cache.allocate(nbytes) for nbytes in (2000, 1020, 1000)]
    assert [block[0] == address for block in held] == [False, True, False]


def test_live_blocks_never_overlap() -> None:
    cache = CachingAllocator(MB)
    drawn = random.Random(3)
    live: list[tuple[int, int, object]] = []
    for _ in range(3000):
        if live and drawn.random() < 0.5:
            nbytes, address, memory = live.pop(drawn.randrange(len(live)))
            cache.release(nbytes, address, memory)
        else:
            nbytes = int(2 ** drawn.uniform(0, 14))
            live.append((nbytes, *cache.allocate(nbytes)))
    spans = sorted((address, address + class_size(nbytes)) for nbytes, address, _ in live)
    assert all(low >= end for (_, end), (low, _) in zip(spans, spans[1:], strict=False))
    assert cache.current == sum(end - low for low, end in spans)
    assert cache.reserved - cache.current <= MB


def test_statistics() -> None:
    cache = CachingAllocator(MB)
    a = cache.allocate(1024)
    b = cache.allocate(2048)
    cache.release(1024, *a)
    assert cache.statistics() == {"current": 2048, "peak": 3072, "reserved": 3072, "cached": 1024}
    cache.reset_peak()
    assert cache.statistics()["peak"] == 2048
    assert cache.empty_cache() == 1024
    cache.release(2048, *b)
    cache.empty_cache()
    assert cache.statistics() == {"current": 0, "peak": 2048, "reserved": 0, "cached": 0}


@pytest.mark.parametrize("limit", [0, 10_000])
def test_the_free_blocks_are_bounded(limit: int) -> None:
    cache = CachingAllocator(limit)
    blocks = [cache.allocate(1024) for _ in range(50)]
    for block in blocks:
        cache.release(1024, *block)
        assert cache.reserved - cache.current <= limit
    assert cache.current == 0


def test_freed_memory_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = CachingAllocator(0)
    address, memory = cache.allocate(64 * MB)
    np.frombuffer(memory, np.uint8)[:] = 1
    before = allocator_module.resident_memory()
    cache.release(64 * MB, address, memory)
    del memory
    gc.collect()
    if before:
        assert allocator_module.resident_memory() < before - 32 * MB


@pytest.mark.parametrize("nbytes", [1 << 45, 1 << 50, 1 << 62, 1 << 80])
def test_absurd_sizes_are_refused_by_name(nbytes: int) -> None:
    cache = CachingAllocator()
    with pytest.raises(MemoryError, match=f"{nbytes} bytes .* are available"):
        cache.allocate(nbytes)
    assert cache.statistics()["reserved"] == 0
    assert cache.allocate(64)


def test_many_untouched_blocks_do_not_outgrow_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator_module, "available_memory", lambda: 256 * MB)
    monkeypatch.setattr(allocator_module, "resident_memory", lambda: 0)
    cache = CachingAllocator()
    blocks = []
    with pytest.raises(MemoryError):
        for _ in range(1000):
            blocks.append(cache.allocate(MB))
    assert 256 - 64 <= len(blocks) <= 256 + 64


def test_free_blocks_are_given_up_before_refusing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator_module, "available_memory", lambda: 64 * MB)
    monkeypatch.setattr(allocator_module, "resident_memory", lambda: 0)
    cache = CachingAllocator(1 << 40)
    cache.release(48 * MB, *cache.allocate(48 * MB))
    assert cache.allocate(40 * MB)
    assert cache.reserved == 40 * MB


def test_a_system_that_gives_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator_module, "_system_block", lambda size: None)
    with pytest.raises(MemoryError, match="4096 bytes") as caught:
        CachingAllocator().allocate(4096)
    assert caught.value.__context__ is None


def test_negative_sizes_are_a_value_error() -> None:
    with pytest.raises(ValueError, match="-1 bytes"):
        CachingAllocator().allocate(-1)


def test_buffers_use_it_once_installed() -> None:
    before = buffer.installed
    cache = CachingAllocator(MB)
    buffer.install(cache)
    try:
        held = buffer.PooledBuffer(1000)
        address = held.address
        assert cache.current == class_size(1000)
        del held
        buffer.flush()  # small blocks wait in front of the allocator
        assert cache.current == 0
        assert buffer.PooledBuffer(1000).address == address
        with pytest.raises(MemoryError):
            buffer.PooledBuffer(1 << 50)
    finally:
        buffer.install(before)


def test_threads_share_it() -> None:
    cache = CachingAllocator(MB)
    failures: list[object] = []

    def work(mark: int) -> None:
        for _ in range(3000):
            address, memory = cache.allocate(256)
            view = np.frombuffer(memory, np.uint8)
            view[:] = mark
            if not (view == mark).all():
                failures.append(mark)
            del view
            cache.release(256, address, memory)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
