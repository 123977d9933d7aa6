"""Names that are imported when they are first used, so that `import latentfields` and `--help` stay fast."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_attributes(package: str, origins: Mapping[str, str]) -> Callable[[str], Any]:
    """A module-level `__getattr__` for `package` that finds each name in the module `origins` gives for it."""

    def getattribute(name: str) -> Any:
        if name not in origins:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        return getattr(importlib.import_module(origins[name]), name)

    return getattribute
