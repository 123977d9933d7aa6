"""Images of projected Gaussians over a background.

Shape suffixes: N Gaussians, C channels, h height, w width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.rendering.rendering import Rendering
from latentfields.rendering.splatting.compositing import composite
from latentfields.rendering.splatting.constants import ALPHA_CUT
from latentfields.rendering.splatting.projection import ProjectedGaussians


def rasterise(
    projected: ProjectedGaussians, features: Tensor, background: Tensor, camera: Cameras, *, far: float
) -> Rendering:
    """Composite Gaussians with features (N, C), projected into one `camera`, over `background` (C,).

    Returns one image: `features` (1, C, h, w), `opacity` and `depth` (1, 1, h, w), and what was splatted. What passes
    through all Gaussians has the distance `far`. Differentiable in all but the Gaussians' extents and radii.
    """
    values = torch.cat([features, projected.depths[:, None]], dim=1)
    summed, transmittance = composite(projected, values, width=camera.width, height=camera.height)
    opacity = (1 - transmittance)[None]
    # Where anything contributes at all, the opacity is at least the cut: this only avoids 0 / 0.
    along_axis = summed[-1] / opacity.clamp(min=ALPHA_CUT)
    seen = summed[:-1] + transmittance * background[:, None, None]
    # Gaussians are sorted and composited by their depths along the viewing axis; rays to the side are longer.
    cosines = (camera.rays().directions * camera.forward[:, None, None]).sum(dim=-1)
    depth = opacity * along_axis / cosines + (1 - opacity) * far
    return Rendering(features=seen[None], opacity=opacity[None], depth=depth[None], splats=(projected,))
