"""Entry points for Nerfstudio: a name for every method, which loads the rest when it is asked for.

Nerfstudio loads every plugin for every one of its commands and does not expect any to fail, so this module imports
nothing that can, and a method that cannot be had is replaced by an object that says why: Nerfstudio prints it and
goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Unavailable:
    """Stands for a method that could not be loaded."""

    method: str
    reason: str

    def __repr__(self) -> str:
        return f"latentfields' {self.method} ({self.reason})"


def __getattr__(name: str) -> Any:
    """The method specification called `name`, with underscores for hyphens."""
    method = name.replace("_", "-")
    if not method.startswith("latent-"):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    try:
        from latentfields.integrations.nerfstudio.environment import require_nerfstudio

        require_nerfstudio()
        from latentfields.integrations.nerfstudio.methods import METHODS

        return METHODS[method]
    # A plugin must not break other people's methods, whatever is wrong with it or with what it needs.
    except Exception as error:
        return Unavailable(method, f"{type(error).__name__}: {error}")
