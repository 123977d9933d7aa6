"""How much another autoencoder disturbs an existing denoiser: the papers claim that theirs do not.

Shape suffixes: B photographs, C latent channels, h, w latent size.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.image_data import centre_square, photo_paths, read_photo
from latentfields.autoencoders.load import load_autoencoder
from latentfields.config.checks import require_at_least
from latentfields.errors import ArgumentError
from latentfields.files import Folders, as_folders
from latentfields.priors.pipelines import PipelineDenoiser, TextCondition, load_text_prior
from latentfields.process import choose_device

SHARES = (0.1, 0.3, 0.5, 0.8)
"""Levels of noise that errors are measured at, as shares of all."""
BATCH = 4
"""Photographs that are looked at together."""


@dataclass(frozen=True)
class Disturbance:
    """Errors of the predicted noise at one level."""

    share: float
    """The level, as a share of all."""
    own: float
    """Mean squared error on latents of the denoiser's own autoencoder."""
    other: float
    """The same on those of the other one, with the same noise."""

    @property
    def ratio(self) -> float:
        """1 where the denoiser works as well."""
        return self.other / self.own


def unet_disturbance(
    name: str | Path,
    unet: str,
    *,
    photos: Folders,
    size: int | None = None,
    limit: int = 32,
    seed: int = 0,
    device: str = "auto",
) -> list[Disturbance]:
    """Compare what the denoiser of the pipeline `unet`, a folder or a Hub id, makes of photographs' latents.

    They are those of its own autoencoder and of `name`, a packaged name, folder or Hub id, shifted and scaled as the
    pipeline does, without a text. `photos` are folders, of whose first `limit` photographs the central squares of
    `size` pixels are taken, by default the pipeline's own size. Raises InputError for unusable input.
    """
    require_at_least("limit", limit, 1)
    roots = as_folders(photos)
    if not roots:
        raise ArgumentError("photos", "is empty; expected at least one folder of photographs")
    target = choose_device(device)
    other = load_autoencoder(name)
    prior = load_text_prior(unet, device=target)
    own = prior.autoencoder
    if (other.channels, other.factor) != (own.channels, own.factor):
        raise ArgumentError(
            "unet",
            f"is {unet}, for {own.channels} channels of factor {own.factor}; {other.name} has {other.channels} of "
            f"factor {other.factor}",
        )
    side = size or prior.side * own.factor
    if side % prior.step:
        raise ArgumentError("size", f"is {side}; expected a multiple of {prior.step}")
    other.set_statistics(own.statistics)
    images = [centre_square(read_photo(path), size=side) for path in photo_paths(roots)[:limit]]
    text = prior.encoded([""]).to(target)
    return [
        Disturbance(
            share, *_errors(prior.denoiser, own.to(target), other.to(target), images, text, share, seed)
        )
        for share in SHARES
    ]


@torch.no_grad()
def _errors(
    denoiser: PipelineDenoiser,
    own: Autoencoder,
    other: Autoencoder,
    images: list[Tensor],
    text: TextCondition,
    share: float,
    seed: int,
) -> tuple[float, float]:
    """Mean squared errors of the noise in latents of both autoencoders."""
    generator = torch.Generator().manual_seed(seed)
    level = round(share * (len(denoiser.schedule) - 1))
    sums = [0.0, 0.0]
    for start in range(0, len(images), BATCH):
        chunk = torch.stack(images[start : start + BATCH]).to(own.device)
        times = torch.full((len(chunk),), level, device=own.device)
        given = text[torch.zeros_like(times)]
        latents = [which.encode(chunk) for which in (own, other)]
        noise = torch.randn(latents[0].shape, generator=generator).to(own.device)
        schedule = denoiser.schedule.to(own.device)
        for index, values in enumerate(latents):
            found = denoiser.noise(schedule.noised(values, noise, times), times, given)
            sums[index] += float((found - noise).square().mean()) * len(chunk)
    return sums[0] / len(images), sums[1] / len(images)


def summary_lines(found: list[Disturbance]) -> list[str]:
    """A table of the errors."""
    lines = [f"{'noise, share of all levels':28s} {'own':>9s} {'this':>9s} {'ratio':>7s}"]
    return lines + [f"{one.share:<28g} {one.own:9.4f} {one.other:9.4f} {one.ratio:7.3f}" for one in found]
