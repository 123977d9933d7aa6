"""Settings of the whole process: memory allocation and threads."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import platform
import signal
import threading
import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from latentfields.config.checks import require_at_least
from latentfields.errors import ArgumentError

if TYPE_CHECKING:
    import torch

SECONDS_TO_SAVE = 30.0
"""How long a worker whose parent has died may take to save its state."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def tune_allocator() -> bool:
    """Let glibc keep large freed blocks instead of returning them to the system; call before torch is imported.

    Training allocates the same large temporaries at every step, and page faults cost it a fifth to a half of its
    time. The price is that memory use stays at its peak. Does nothing elsewhere than on glibc, or when the
    environment variable LATENTFIELDS_MALLOC is `default`. Returns whether anything was set.
    """
    if platform.libc_ver()[0] != "glibc" or os.environ.get("LATENTFIELDS_MALLOC") == "default":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_M_MMAP_THRESHOLD, 1 << 30) and libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def set_threads(count: int) -> None:
    """Number of threads inside each tensor operation.

    One is the default everywhere: on a busy machine, two threads that wait for each other are slower than one.
    Raises InputError for less than one.
    """
    require_at_least("threads", count, 1)
    import torch

    torch.set_num_threads(count)


def end_with_parent() -> None:
    """Let this worker process of `multiprocessing` end soon after its parent, however that ends.

    Killed parents cannot tell their workers, which would go on alone for as long as their job takes. A training that
    is interrupted this way saves its state.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(SECONDS_TO_SAVE)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" is the first GPU if there is one, else the CPU.

    Raises InputError when there is no such device.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    available = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    available += ["cuda"] if len(available) > 1 else []
    if name not in available:
        # Who asks for a GPU has one, and a PyTorch that does not know it.
        unseen = ": PyTorch sees no GPU here" if name.startswith("cuda") and len(available) == 1 else ""
        raise ArgumentError("device", f"is '{name}'; expected auto or one of {', '.join(available)}{unseen}")
    return torch.device(name)
