"""Scores and pictures of a rendered view: decoded, in latent space, and against what the autoencoder can do.

Shape suffixes: H, W image size, h, w latent grid, C latent channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from nerfstudio.utils import colormaps
from torch import Tensor

from latentfields.measures.standard import Measure, latent_measures


def compare_image(
    outputs: dict[str, Tensor], batch: dict[str, Any], *, measures: Mapping[str, Measure], factor: int
) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Scores by name, and pictures (H, W or a multiple, 3) in [0, 1] by name.

    `outputs` are those of `LatentModel.get_outputs_for_camera`; `batch` has the view's `image` (H, W, 3), its
    `latents` (h, w, C) and `autoencoded` (H, W, 3), what the untrained autoencoder makes of the image. `measures` are
    those of images, from `image_measures`.

    - `psnr` and so on: the decoded rendering against the image;
    - `latent_psnr` and so on: rendered against encoded latents, normalised per channel;
    - `against_autoencoded_psnr` and so on: the decoded rendering against `autoencoded`;
    - `autoencoder_psnr` and so on: `autoencoded` against the image, the ceiling without alignment.
    """
    image, autoencoded, encoded = batch["image"], batch["autoencoded"], batch["latents"]
    rendered, latents = outputs["rgb"], outputs["latents"][::factor, ::factor]
    groups: dict[str, tuple[Mapping[str, Measure], Tensor, Tensor]] = {
        "": (measures, rendered, image),
        "latent_": (latent_measures(), latents, encoded),
        "against_autoencoded_": (measures, rendered, autoencoded),
        "autoencoder_": (measures, autoencoded, image),
    }
    scores = {
        prefix + name: float(measure(_first(seen), _first(truth)))
        for prefix, (kinds, seen, truth) in groups.items()
        for name, measure in kinds.items()
    }
    # One projection to colours for both.
    both = colormaps.apply_colormap(torch.cat([encoded, latents], dim=1))
    pictures = {
        "img": torch.cat([image, autoencoded, rendered], dim=1),
        "latents": both.repeat_interleave(factor, dim=0).repeat_interleave(factor, dim=1),
        "accumulation": colormaps.apply_colormap(outputs["accumulation"]),
        "depth": colormaps.apply_depth_colormap(outputs["depth"], accumulation=outputs["accumulation"]),
    }
    return scores, pictures


def _first(image: Tensor) -> Tensor:
    """(H, W, K) as (1, K, H, W) on the CPU."""
    return image.permute(2, 0, 1)[None].cpu()
