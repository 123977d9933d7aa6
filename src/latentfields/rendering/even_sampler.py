"""Even intervals along rays, none of them skipped: slow, and as plain as volume rendering gets."""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.cameras import Rays
from latentfields.rendering.config import EvenSamplingConfig
from latentfields.rendering.intervals import along_box, render_intervals, stratified_edges
from latentfields.rendering.renderer import Rendering
from latentfields.rendering.sampler import RadianceField, Sampler


class EvenSampler(Sampler):
    """Stratified sampling of the part of a ray inside the box (Mildenhall et al. 2020, Eq. 2)."""

    def __init__(self, options: EvenSamplingConfig) -> None:
        super().__init__()
        self.options = options

    def render(
        self,
        field: RadianceField,
        rays: Rays,
        background: Tensor,
        *,
        near: float,
        far: float,
        generator: torch.Generator | None,
    ) -> Rendering:
        """As `Sampler.render`."""
        edges = stratified_edges(rays, self.options.samples, generator)
        distances = along_box(rays, near=near, far=far)(edges)
        return render_intervals(field, rays, distances, background)[0]
