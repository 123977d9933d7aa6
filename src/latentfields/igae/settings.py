"""A training's configuration from a preset and what is to differ from it. Free of heavy imports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from latentfields.config.typed_json import with_changes
from latentfields.errors import InputError
from latentfields.igae.config import PRESETS, IgaeConfig


def configuration(preset: str, changes: Any, *, source: Path) -> IgaeConfig:
    """The preset with nested `changes` (as in the "training" part of a run's config.json) put in their places.

    Raises InputError naming `source` and the field, for fields that do not exist or values that do not fit.
    """
    if preset not in PRESETS:
        raise InputError(preset, f"unknown preset; expected one of {', '.join(PRESETS)}")
    return with_changes(PRESETS[preset], changes, source=source)


def with_epochs(config: IgaeConfig, *, pretraining: float | None, joint: float | None) -> IgaeConfig:
    """The configuration with other lengths of its phases; None keeps what it has."""
    for option, epochs in (("--pretraining-epochs", pretraining), ("--joint-epochs", joint)):
        if epochs is not None and not 0 < epochs < float("inf"):
            raise InputError(option, f"is {epochs}; expected a number above 0")
    if pretraining is not None:
        config = replace(config, pretraining=replace(config.pretraining, epochs=pretraining))
    return config if joint is None else replace(config, joint=replace(config.joint, epochs=joint))
