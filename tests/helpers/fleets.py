"""Fits of fleets that other processes can import."""

from __future__ import annotations

import os
import signal
from typing import Any

from latentfields.latent_nerf.fleet import FleetFit, SceneFit, fit_scene
from latentfields.latent_nerf.trainer import LatentNerfTrainer

KILLED_AT = 3
"""Step that is never done at the first attempt."""


def fit_scene_killed_once(one: SceneFit) -> FleetFit:
    """`fit_scene`, in a process that is killed in the middle of the scene called first, the first time."""
    mark = one.out.with_name(f"{one.name}.killed")
    step = LatentNerfTrainer.step

    def dying(self: LatentNerfTrainer, index: int, progress: float) -> Any:
        if one.name == "first" and index == KILLED_AT and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, index, progress)

    LatentNerfTrainer.step = dying  # type: ignore[method-assign]
    try:
        return fit_scene(one)
    finally:
        LatentNerfTrainer.step = step  # type: ignore[method-assign]
