"""How a scene is fitted. Free of heavy imports, for the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from latentfields.errors import InputError
from latentfields.fields.config import TriPlaneConfig
from latentfields.rendering.options import SamplingOptions


@dataclass(frozen=True)
class StageConfig:
    """One stage of the latent NeRF pipeline (IG-AE Sec. 3.2; factors and iterations as in Table 16)."""

    steps: int
    """Optimiser steps of this stage."""
    learning_rate_factor: float
    """Multiplies the field's own learning rates (xi_LS or xi_align)."""
    final_learning_rate: float
    """Fraction of the learning rates that is left at the end of the stage, reached exponentially."""


@dataclass(frozen=True)
class FitConfig:
    """Everything that determines a fit, beside the scene and the autoencoder."""

    space: Literal["latent", "rgb"] = "latent"
    """Fit the field to the autoencoder's latents, or to pixels as an ordinary NeRF (no alignment stage then)."""
    triplane: TriPlaneConfig = field(default_factory=TriPlaneConfig)
    """The field."""
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    """How rays are sampled."""
    supervision: StageConfig = field(default_factory=lambda: StageConfig(400, 1.0, 0.1))
    """Latent Supervision (Eq. 2). RGB space has one stage, as long as both, with these learning rates."""
    alignment: StageConfig = field(default_factory=lambda: StageConfig(1600, 0.5, 0.1))
    """RGB Alignment (Eq. 3)."""
    optimizer_at_alignment: Literal["keep", "reset"] = "reset"
    """Whether the field's optimiser keeps its moments when alignment starts."""
    decoder_learning_rate: float = 1e-3
    """Adam learning rate of the decoder during alignment."""
    batch_images: int = 4
    """Whole latent images per step."""
    batch_rays: int = 4096
    """Random pixels per step in RGB space."""
    subpixels: int = 2
    """Rays per latent along one side: 1, the paper's, or an even number, mixed by a learned projection."""
    subpixel_width: int = 48
    """Hidden channels of that projection."""
    subpixel_learning_rate: float = 3e-3
    """Adam learning rate of that projection and of the background before it."""
    seed: int = 0
    """Seed of weights, batches and jitter."""

    def check(self) -> None:
        """Raise InputError, naming the option, when a value is out of range."""
        triplane, sampling = self.triplane, self.sampling
        at_least = {
            "--supervision.steps": (self.supervision.steps, 0),
            "--alignment.steps": (self.alignment.steps, 0),
            "--supervision.learning-rate-factor": (self.supervision.learning_rate_factor, 0),
            "--alignment.learning-rate-factor": (self.alignment.learning_rate_factor, 0),
            "--supervision.final-learning-rate": (self.supervision.final_learning_rate, 0),
            "--alignment.final-learning-rate": (self.alignment.final_learning_rate, 0),
            "--triplane.resolution": (triplane.resolution, 2),
            "--triplane.features": (triplane.features, 1),
            "--triplane.hidden": (triplane.hidden, 1),
            "--triplane.planes-learning-rate": (triplane.planes_learning_rate, 0),
            "--triplane.mlp-learning-rate": (triplane.mlp_learning_rate, 0),
            "--sampling.samples": (sampling.samples, 1),
            "--sampling.bins": (sampling.bins, 1),
            "--sampling.grid-resolution": (sampling.grid_resolution, 1),
            "--sampling.grid-every": (sampling.grid_every, 1),
            "--decoder-learning-rate": (self.decoder_learning_rate, 0),
            "--batch-images": (self.batch_images, 1),
            "--batch-rays": (self.batch_rays, 1),
            "--subpixel-width": (self.subpixel_width, 1),
            "--subpixel-learning-rate": (self.subpixel_learning_rate, 0),
        }
        for option, (value, lowest) in at_least.items():
            # Comparisons with NaN are false, so NaN never passes.
            if not lowest <= value < float("inf"):
                raise InputError(option, f"is {value}; expected at least {lowest}")
        if self.supervision.steps + self.alignment.steps < 1:
            raise InputError(
                "--supervision.steps", "is 0, and so is --alignment.steps; expected at least one step"
            )
        if self.subpixels != 1 and (self.subpixels < 1 or self.subpixels % 2):
            raise InputError("--subpixels", f"is {self.subpixels}; expected 1 or an even number")
