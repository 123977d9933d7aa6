"""The density grid as a sampler: the default, and the fastest on a CPU."""

from __future__ import annotations

import torch

from latentfields.rendering.config import DensityGridConfig
from latentfields.rendering.density_grid import DensityGrid
from latentfields.rendering.renderer import render_rays
from latentfields.rendering.rendering import Rendering, Shot
from latentfields.rendering.sampler import Density, RadianceField, Sampler


class GridSampler(Sampler):
    """`render_rays` through a density grid of the field (Mueller et al. 2022, App. C)."""

    def __init__(self, options: DensityGridConfig) -> None:
        super().__init__()
        self.options = options
        self.grid = DensityGrid(resolution=options.grid_resolution)

    def render(self, field: RadianceField, shot: Shot) -> Rendering:
        """As `Sampler.render`."""
        return render_rays(field, shot, self.grid, options=self.options)

    def update(self, field: Density, *, step: int, generator: torch.Generator) -> None:
        """Look at the field's densities again, every few steps."""
        if share := self.options.updated_share(step):
            self.grid.update(field.density, share=share, generator=generator)
