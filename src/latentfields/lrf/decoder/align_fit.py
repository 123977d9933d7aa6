"""One latent radiance field (LRF Sec. 4.2), as both the alignment of decoders and its evaluation fit it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.fit import fit
from latentfields.latent_nerf.run import Run
from latentfields.scenes.scene import Scene


def fit_latent_field(
    scene: Scene, autoencoder: Autoencoder, *, out: Path, config: FitConfig, device: str = "auto"
) -> Run:
    """`fit`, with latents normalised by statistics of the scene's own training views (LRF App. A.3).

    So encoders are compared in one unit, whatever images their own statistics were measured on.
    """
    return fit(scene, autoencoder, out=out, config=replace(config, statistics="scene"), device=device)


def renormalised(latents: Tensor, *, given: Autoencoder, wanted: Autoencoder) -> Tensor:
    """Latents (B, C, h, w) normalised by the statistics of `given`, normalised by those of `wanted` instead.

    All are on one device.
    """

    def per_channel(values: Tensor) -> Tensor:
        return values.view(1, -1, 1, 1)

    raw = latents * per_channel(given.latent_std) + per_channel(given.latent_mean)
    return (raw - per_channel(wanted.latent_mean)) / per_channel(wanted.latent_std)
