"""Gaussians of colours as SPZ, the compressed format of Niantic, by gsply, an extra (`pip install latentfields[spz]`).

A fraction of a PLY file: positions in fixed point of 24 bits, and everything else in bytes. It holds three channels and
no more: latents stay in PLY.

Shape suffixes: N Gaussians, K = (degree + 1)^2 harmonics.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from latentfields.errors import InputError
from latentfields.export.gaussians_ply import GaussianCloud
from latentfields.files import naming, replacing

_FINEST = 16
"""Bits of a position behind the point, where the extent leaves as many: 1/65536 of a unit."""
_LARGEST = 2**23 - 1
"""Of a position in fixed point."""


@contextmanager
def _threads_kept() -> Iterator[None]:
    """Keep PyTorch's number of threads: numba, which gsply compiles by, shares OpenMP with it and sets its own."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def require_gsply() -> None:
    """Raise InputError when gsply, an extra, is not installed."""
    try:
        import gsply  # noqa: F401
    except ImportError:
        raise InputError("spz", "needs gsply; install it with: pip install 'latentfields[spz]'") from None


def write_gaussians_spz(path: Path, cloud: GaussianCloud) -> None:
    """Write Gaussians with three channels as an SPZ file (version 3), in one step.

    Positions are rounded to the finest step that their extent leaves, opacities and colours to bytes, lengths to a
    sixteenth of a unit of their logarithm. Raises InputError for other than three channels, and when gsply is missing.
    """
    require_gsply()
    from gsply import GSData, write_spz

    channels = cloud.features_dc.shape[-1]
    if channels != 3:
        raise InputError(
            path, f"holds colours alone, and the Gaussians have {channels} channels; expected .ply"
        )
    extent = max(float(cloud.means.abs().max()) if len(cloud.means) else 0.0, 1e-30)
    data = GSData(
        means=cloud.means.numpy(),
        scales=cloud.scales.numpy(),
        quats=torch.nn.functional.normalize(cloud.rotations, dim=-1).numpy(),
        opacities=cloud.opacities.numpy(),
        sh0=cloud.features_dc[:, 0].numpy(),
        shN=np.ascontiguousarray(cloud.features_rest.numpy()),
    )
    bits = min(_FINEST, max(1, math.floor(math.log2(_LARGEST / extent))))
    with naming(path), replacing(path) as temporary, _threads_kept():
        write_spz(temporary, data, version=3, fractional_bits=bits)


def read_gaussians_spz(path: Path) -> GaussianCloud:
    """Read an SPZ file of any version. Raises InputError for what is none, is cut short, and when gsply is missing."""
    require_gsply()
    from gsply import read_spz

    try:
        with _threads_kept():
            data = read_spz(path)
    except FileNotFoundError:
        raise InputError(path, "no such file") from None
    except (ValueError, IndexError, EOFError, OSError, struct.error, zlib.error) as error:
        detail = " ".join(str(error).split())[:200]
        raise InputError(path, f"is no SPZ file that can be read ({detail})") from None
    count = len(data.means)
    rest = np.zeros((count, 0, 3), np.float32) if data.shN is None or not data.shN.size else data.shN
    parts = (data.means, data.scales, data.quats, data.opacities.reshape(-1), data.sh0[:, None], rest)
    return GaussianCloud(*(torch.from_numpy(np.array(part, np.float32)) for part in parts))
