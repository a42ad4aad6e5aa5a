"""Devices that are not there, backends' flags, and torch.device's words."""

from __future__ import annotations

import pytest

import diptych.torch as torch


def test_cuda_answers_as_where_there_is_none() -> None:
    cuda = torch.cuda
    assert not cuda.is_available() and cuda.device_count() == 0 and not cuda.is_initialized()
    assert cuda.memory_allocated() == cuda.max_memory_reserved() == 0 and not cuda.memory_stats()
    assert cuda.get_rng_state_all() == [] and cuda.get_arch_list() == []
    cuda.manual_seed(1), cuda.manual_seed_all(1), cuda.empty_cache()
    with cuda.stream(None), cuda.device(0):
        pass
    for call in (cuda.current_device, cuda.synchronize, cuda.get_device_name, cuda.init):
        with pytest.raises(AssertionError, match="not compiled with CUDA"):
            call()
    with pytest.raises(RuntimeError, match="requires CUDA support"):
        cuda.Stream()
    with pytest.raises(RuntimeError, match="dummy base class Event"):
        cuda.Event()
    with pytest.raises(TypeError, match=r"type torch\.cuda\.FloatTensor not available"):
        cuda.FloatTensor(3)
    with pytest.raises(AttributeError):
        cuda.nothing_of_the_kind  # noqa: B018


def test_other_accelerators() -> None:
    assert not torch.mps.is_available() and not torch.xpu.is_available()
    assert torch.accelerator.current_accelerator() is None and not torch.accelerator.is_available()
    with pytest.raises(RuntimeError, match="when none is available"):
        torch.accelerator.synchronize()
    with pytest.raises(AssertionError, match="XPU"):
        torch.xpu.current_device()
    assert torch.cpu.device_count() == 1 and torch.cpu.current_device() == "cpu"
    with torch.cpu.stream(torch.cpu.current_stream()):
        torch.cpu.synchronize()


def test_backends_remember_their_flags() -> None:
    cudnn = torch.backends.cudnn
    with cudnn.flags(enabled=False, benchmark=True):
        assert not cudnn.enabled and cudnn.benchmark
    assert cudnn.enabled and not cudnn.benchmark and not cudnn.is_available()
    cudnn.benchmark = True
    cudnn.benchmark = False
    assert torch.backends.mkl.is_available() and torch.backends.mkldnn.enabled
    assert torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "AVX2", "AVX512")
    assert torch.backends.cuda.flash_sdp_enabled()
    torch.backends.cuda.matmul.allow_tf32 = False
    with pytest.raises(AttributeError, match="Unknown attribute"):
        torch.backends.cuda.matmul.nothing  # noqa: B018
    torch.backends.cuda.enable_flash_sdp(False)
    assert not torch.backends.cuda.flash_sdp_enabled()
    torch.backends.cuda.enable_flash_sdp(True)


@pytest.mark.parametrize("text", ["cuda:-1", "cuda:01", "cpu:", "cuda: 1"])
def test_bad_device_strings(text: str) -> None:
    with pytest.raises(RuntimeError, match="Invalid device string"):
        torch.device(text)


def test_devices_by_number() -> None:
    with pytest.raises(RuntimeError, match="when none is available"):
        torch.device(0)
    with pytest.raises(RuntimeError, match="must not be negative"):
        torch.device("cuda", -1)
    assert torch.device("cpu", 0) != torch.device("cpu") == torch.get_default_device()
