"""Views of a class, drawn from a prior: with diffusers' DDIM, one view from a direction, or many of one object.

Shape suffixes: C latent channels, h, w latent size.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from latentfields.config.checks import require_at_least
from latentfields.pages.pictures import save_png, to_pixels
from latentfields.priors.conditions import condition, direction
from latentfields.priors.prior import LatentPrior, load_prior
from latentfields.priors.sampling import sample
from latentfields.process import choose_device

ELEVATION, AZIMUTH = 20.0, 30.0
"""Degrees above the horizon, and around z, of the camera that classes are looked at with."""
STEPS = 20
GUIDANCE = 2.0
"""Scale of the guidance, as `guided` counts it."""


def draw_class(
    prior: LatentPrior,
    index: int,
    *,
    count: int,
    seed: int,
    guidance: float = GUIDANCE,
    azimuth: float = AZIMUTH,
) -> Tensor:
    """Latents (count, C, h, w) of views of a class from one direction, on the prior's device."""
    seen_from = direction(elevation=ELEVATION, azimuth=azimuth).expand(count, 3)
    given = condition(seen_from, shape=(count, *prior.shape), class_index=index).to(prior.device)
    return sample(
        prior, given, given.unknown(), noise=_noise(prior, count, seed), scale=guidance, steps=STEPS
    )


def draw_turn(
    prior: LatentPrior,
    index: int,
    reference: Tensor,
    *,
    views: int,
    seed: int,
    guidance: float = GUIDANCE,
    azimuth: float = AZIMUTH,
) -> Tensor:
    """Latents (views, C, h, w) all around the object of which `reference` (C, h, w) is a view from `azimuth`."""
    around = [direction(elevation=ELEVATION, azimuth=azimuth + 360 * i / views) for i in range(views)]
    given = condition(
        torch.stack(around),
        shape=(views, *prior.shape),
        class_index=index,
        reference=reference.cpu(),
        reference_direction=around[0],
    ).to(prior.device)
    return sample(
        prior, given, given.unknown(), noise=_noise(prior, views, seed), scale=guidance, steps=STEPS
    )


def _noise(prior: LatentPrior, count: int, seed: int) -> Tensor:
    """The same noise whatever the device."""
    return torch.randn(count, *prior.shape, generator=torch.Generator().manual_seed(seed)).to(prior.device)


def draw_pictures(
    name: str | Path,
    category: str,
    *,
    out: Path,
    count: int = 8,
    views: int = 8,
    guidance: float = GUIDANCE,
    seed: int = 0,
    device: str = "auto",
) -> None:
    """Write `count` views of a class as `sample_0000.png` and so on, and `views` around the first as `turn_0000.png`.

    `name` is a packaged prior or a folder. Raises InputError for an unknown prior, class or device.
    """
    require_at_least("count", count, 1)
    require_at_least("views", views, 1)
    require_at_least("guidance", guidance, 0)
    require_at_least("seed", seed, 0)
    target = choose_device(device)
    prior = load_prior(name).to(target)
    index, autoencoder = prior.class_index(category), prior.load_autoencoder().to(target)
    samples = draw_class(prior, index, count=count, seed=seed, guidance=guidance)
    turn = draw_turn(prior, index, samples[0], views=views, seed=seed, guidance=guidance)
    out.mkdir(parents=True, exist_ok=True)
    for kind, latents in (("sample", samples), ("turn", turn)):
        for number, pixels in enumerate(to_pixels(autoencoder.decode_batches(latents))):
            save_png(out / f"{kind}_{number:04d}.png", pixels)
