"""The choice of an implementation for gather and scatter kernels: NVIDIA warp where installed, else PyTorch.

Every kernel has a plain-PyTorch twin of the same signature, so that nothing depends on warp but speed. Warp compiles
a kernel when it is first used, a few seconds, and caches it in the user's cache directory (or WARP_CACHE_PATH).
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import sys
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

WARP_VERSION = "1.19."
"""Warp changes its compiler between minor versions: only the one that the kernels were tested with is used."""

BLOCK = 8192
"""Points per logical thread on the CPU, where warp runs threads one after the other: large enough for vector loops,
small enough for the outputs to stay in the cache."""


@functools.cache
def kernel_backend(device_type: str = "cpu") -> Literal["warp", "torch"]:
    """Name the implementation that float32 kernels run on in this process, on devices of a type such as `cuda`.

    `torch` when warp is not installed, has another minor version, does not start here, cannot use such a device (its
    driver may be older than warp's CUDA), or when the environment variable LATENTFIELDS_KERNELS is `torch`.
    """
    if os.environ.get("LATENTFIELDS_KERNELS") == "torch":
        return "torch"
    try:
        if not importlib.metadata.version("warp-lang").startswith(WARP_VERSION):
            return "torch"
        import warp

        with quiet_warp(), _silent_stderr():
            warp.init()
            usable = {"cpu": warp.is_cpu_available, "cuda": warp.is_cuda_available}
            return "warp" if device_type in usable and usable[device_type]() else "torch"
    except (ImportError, OSError, RuntimeError):
        return "torch"


def runs_on_warp(*tensors: Tensor) -> bool:
    """True when the fast kernels can work on these tensors, of one device: all float32, and warp at hand for it."""
    return all(tensor.dtype == torch.float32 for tensor in tensors) and (
        kernel_backend(tensors[0].device.type) == "warp"
    )


@contextlib.contextmanager
def quiet_warp() -> Iterator[None]:
    """Keep warp from announcing itself, its compilations and the absence of a GPU."""
    import warp

    level = warp.config.log_level
    warp.config.log_level = warp.LOG_ERROR
    try:
        yield
    finally:
        warp.config.log_level = level


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Drop what is written to the standard error descriptor, unless there is a GPU to hear about.

    Warp's native code says there that it found no CUDA driver, past all settings.
    """
    if torch.cuda.is_available():
        yield
        return
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as sink:
        os.dup2(sink.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def points_per_thread(tensor: Tensor) -> int:
    """The number of points that one logical thread of a kernel on the tensor's device works on."""
    return BLOCK if tensor.device.type == "cpu" else 1


def launch(kernel: Any, size: int | tuple[int, int], *arguments: Tensor | int) -> None:
    """Run a warp kernel over `size` logical threads; tensors become flat arrays that share their memory.

    Tensors are contiguous and on one device. On CUDA, the launch joins the current stream of PyTorch.
    """
    import warp

    device = next(a.device for a in arguments if isinstance(a, Tensor))
    stream = warp.stream_from_torch(torch.cuda.current_stream(device)) if device.type == "cuda" else None
    arrays = [warp.from_torch(a.detach().view(-1)) if isinstance(a, Tensor) else a for a in arguments]
    with quiet_warp():
        warp.launch(kernel, dim=size, inputs=arrays, device=warp.device_from_torch(device), stream=stream)
