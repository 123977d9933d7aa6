"""What cameras see of a fitted scene before it is decoded, for networks of one's own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class RenderedLatents:
    """Latents of N views, on the run's device, with gradients to cameras and scene where those are recorded.

    Shape suffixes: N views, C latent channels, h, w image size divided by the factor.
    """

    latents: Tensor
    """(N, C, h, w), normalised per channel: about zero mean and unit variance. `Run.decode` takes them."""
    raw: Tensor
    """(N, C, h, w), as the autoencoder's own network has them: what `decode` of a diffusers autoencoder takes, and,
    times its `scaling_factor`, what diffusion models of its latents take."""
    opacity: Tensor
    """(N, 1, h, w) in [0, 1]."""
    depth: Tensor
    """(N, 1, h, w) expected distance along the rays, in the normalised frame; where nothing is, the end of what is
    looked at."""
