"""Even intervals along rays, none of them skipped: slow, and as plain as volume rendering gets."""

from __future__ import annotations

from latentfields.rendering.config import EvenSamplingConfig
from latentfields.rendering.intervals import render_intervals, stratified_edges
from latentfields.rendering.rendering import Rendering, Shot
from latentfields.rendering.sampler import RadianceField, Sampler


class EvenSampler(Sampler):
    """Stratified sampling of the part of a ray inside the box (Mildenhall et al. 2020, Eq. 2)."""

    def __init__(self, options: EvenSamplingConfig) -> None:
        super().__init__()
        self.options = options

    def render(self, field: RadianceField, shot: Shot) -> Rendering:
        """As `Sampler.render`."""
        edges = stratified_edges(shot, self.options.samples)
        return render_intervals(field, shot, shot.span(), edges)[0]
