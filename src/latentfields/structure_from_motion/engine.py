"""pycolmap, which does the work, and the settings that make it repeatable."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from latentfields.errors import InputError

SEED = 0


def load_pycolmap(source: Path, *, wants: str) -> ModuleType:
    """Return the module pycolmap, quiet and with a fixed seed.

    Raises InputError, naming `source` and what it `wants` pycolmap for, when it is not installed.
    """
    try:
        import pycolmap
    except ImportError:
        raise InputError(
            source, f"{wants} pycolmap; install it with: pip install 'latentfields[colmap]'"
        ) from None
    pycolmap.logging.minloglevel = pycolmap.logging.FATAL.value
    pycolmap.set_random_seed(SEED)
    module: ModuleType = pycolmap
    return module
