"""What the machine is and has, for figures that name it."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def memory_folder() -> str | None:
    """A file system in memory, where there is one."""
    return "/dev/shm" if sys.platform == "linux" and os.access("/dev/shm", os.W_OK) else None


def processor() -> str:
    """The model that /proc/cpuinfo names, and whether it has AVX-512."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{model}{', AVX-512' if any('avx512f' in line for line in lines) else ''}"
