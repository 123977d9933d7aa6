"""What a part of a program costs: its time, and the memory that it needs at its peak."""

from __future__ import annotations

import ctypes
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from latentfields.devices import wait_for

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_MIB = 2**20


@torch.no_grad()
def milliseconds(
    calls: Sequence[Callable[[], object]],
    device: torch.device,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Return the time of each call, until its results are on `device`, by a `clock` in seconds.

    The first is called once before that, as first calls allocate and compile.
    """
    calls[0]()
    times = []
    for call in calls:
        wait_for(device)
        start = clock()
        call()
        wait_for(device)
        times.append(1e3 * (clock() - start))
    return times


@dataclass
class PeakMemory:
    """Filled in when the measured block ends."""

    mebibytes: float | None = None
    """Highest memory in the block less that before it; None where the system does not tell."""


@contextmanager
def peak_memory(device: torch.device) -> Iterator[PeakMemory]:
    """Measure a block: memory that tensors take on a GPU, or resident memory of the process on Linux."""
    result = PeakMemory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield result
        result.mebibytes = (torch.cuda.max_memory_allocated(device) - before) / _MIB
        return
    resident = _reset_resident_peak()
    yield result
    if resident is not None:
        result.mebibytes = max(0.0, _resident("VmHWM") - resident) / _MIB


def _reset_resident_peak() -> float | None:
    """Bytes of resident memory now, which its peak starts from again; None where that is impossible."""
    if not _RESET.exists() or platform.libc_ver()[0] != "glibc":
        return None
    # Freed blocks that the allocator keeps would count as memory from before, and be used again unnoticed.
    ctypes.CDLL(None).malloc_trim(0)
    try:
        _RESET.write_text("5")
    except OSError:
        return None
    return _resident("VmRSS")


def _resident(field: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return 1024.0 * int(line.split()[1])
