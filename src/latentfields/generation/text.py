"""Guidance by texts: a prompt that says from where the object is seen.

Shape suffixes: B views.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from latentfields.priors.conditions import elevations
from latentfields.priors.pipelines import PipelineDenoiser, TextCondition, TextPrior

View = Literal["front", "side", "back", "overhead"]
VIEWS: tuple[View, ...] = get_args(View)
FRONT = 35.0
"""Degrees of azimuth to either side of the front (azimuth 0) that are the front; as many opposite are the back."""
OVERHEAD = 60.0
"""Degrees above the horizon from which a view is from overhead (Latent-NeRF's 30 degrees from the pole)."""


def view_of(directions: Tensor) -> Tensor:
    """(B,) indices into `VIEWS` of unit vectors (B, 3) towards cameras."""
    azimuth = torch.atan2(directions[:, 1], directions[:, 0]).abs()
    width = math.radians(FRONT)
    side = torch.where(azimuth < width, 0, torch.where(azimuth > math.pi - width, 2, 1))
    return torch.where(elevations(directions) > OVERHEAD, 3, side)


def view_prompts(prompt: str) -> list[str]:
    """The prompt as seen from each of `VIEWS`, as DreamFusion and Latent-NeRF say it."""
    return [f"{prompt}, {view} view" for view in VIEWS]


@dataclass(frozen=True, eq=False)
class TextGuidance:
    """A pipeline that is told a text and the side that is seen; a `Guidance`."""

    denoiser: PipelineDenoiser
    views: TextCondition
    """The prompt from each of `VIEWS`, on the denoiser's device."""
    negative: TextCondition
    """The one text that guidance leads away from."""

    @classmethod
    def of(cls, prior: TextPrior, prompt: str, negative: str, *, device: torch.device) -> TextGuidance:
        """For a prompt and a negative one. Raises InputError when the prior knows no texts."""
        encoded = prior.encoded([*view_prompts(prompt), negative]).to(device)
        return cls(prior.denoiser, encoded[: len(VIEWS)], encoded[len(VIEWS) :])

    def conditions(self, directions: Tensor) -> tuple[TextCondition, TextCondition]:
        """The prompt from where each view is seen, and the negative prompt."""
        chosen = view_of(directions).to(self.views.embeddings.device)
        return self.views[chosen], self.negative[torch.zeros_like(chosen)]
