"""The description of a run whose scene no photographs were taken of. Free of heavy imports, for the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from latentfields.config.checks import Checked, Range
from latentfields.latent_nerf.config import FitConfig
from latentfields.priors.config import DistillationConfig


@dataclass(frozen=True)
class GenerationRunConfig(Checked):
    """Everything that determines a run of `generate` or `edit`."""

    kind: ClassVar[str] = "generation"

    name: str
    """Name of the scene, for pages."""
    prior: str
    """Packaged name, folder or Hub id of the prior."""
    autoencoder: str
    """Name or folder of the autoencoder whose latents the prior knows."""
    size: int
    """Side of the pictures in pixels."""
    fit: FitConfig
    """The field and its optimiser; the first stage is all there is."""
    distillation: DistillationConfig
    """How the prior's knowledge gets into the field."""
    category: str | None = None
    """Class of the object, where the prior knows classes."""
    prompt: str | None = None
    """Text that describes it, where the prior knows text."""
    negative_prompt: str = ""
    """Text that the guidance leads away from."""
    image: Path | None = None
    """Photograph of the object."""
    elevation: Annotated[float, Range(low=-90, high=90)] = 20.0
    """Of the camera of the photograph, or of the view that the object begins with, in degrees above the horizon."""
    azimuth: Annotated[float, Range(low=-360, high=360)] = 30.0
    """Of the same camera, in degrees around z."""
    origin: Path | None = None
    """Run whose scene was edited; None: made from nothing."""
    origin_category: str | None = None
    """Class of the object before the edit."""
    origin_prompt: str | None = None
    """Text that describes the object before the edit, where the prior knows text."""
    box: Annotated[tuple[float, ...] | None, Range(low=-1, high=1)] = None
    """Lower and upper corner (x, y, z each) of the box in [-1, 1]^3 that an edit may change; None: all."""
