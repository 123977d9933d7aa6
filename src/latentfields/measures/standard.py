"""The measures that every table reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from latentfields.measures.metrics import LATENT_RANGE, psnr, rmse, ssim
from latentfields.measures.perceptual import Unavailable, load_lpips, multiscale_gmsd
from latentfields.measures.spectrum import detail_ratio, spread_ratio

LPIPS: Mapping[str, Literal["alex", "vgg"]] = MappingProxyType({"lpips": "alex", "lpips_vgg": "vgg"})
"""Networks of LPIPS by the measure's name: IG-AE's tables are on AlexNet's features, LRF's on VGG's."""

Measure = Callable[[Tensor, Tensor], Tensor]


def image_measures() -> tuple[dict[str, Measure], list[str]]:
    """Measures of images (B, 3, H, W) in [0, 1], each giving (B,), and notes on those that are missing."""
    measures: dict[str, Measure] = {"psnr": psnr, "ssim": ssim, "ms_gmsd": multiscale_gmsd}
    notes = []
    for name, net in LPIPS.items():
        lpips = load_lpips(net)
        if isinstance(lpips, Unavailable):
            notes.append(f"LPIPS ({net}) was not computed because {lpips.reason}.")
        else:
            measures[name] = lpips
    if len({note.partition(")")[2] for note in notes}) == 1 < len(notes):
        # One sentence where one reason keeps both away.
        notes = [notes[0].replace(" (alex)", "", 1)]
    return measures, notes


def on_kept_pixels(measures: Mapping[str, Measure], kept: Tensor | None) -> dict[str, Measure]:
    """The same measures on the pixels that `kept` (B, 1, H, W) bool marks, None being all.

    Errors of single pixels are averaged over those alone; the others see the targets in place of the rest.
    """
    if kept is None:
        return dict(measures)

    def composited(measure: Measure) -> Measure:
        return lambda images, targets: measure(torch.where(kept, images, targets), targets)

    def exact(measure: Callable[..., Tensor]) -> Measure:
        return partial(measure, kept=kept)

    return {
        name: exact(measure) if name in ("psnr", "rmse") else composited(measure)
        for name, measure in measures.items()
    }


def latent_measures() -> dict[str, Measure]:
    """Measures of rendered against encoded normalised latents (B, C, h, w), each giving (B,)."""
    return {
        "psnr": partial(psnr, data_range=LATENT_RANGE),
        "ssim": lambda a, b: ssim(a, b, data_range=LATENT_RANGE),
        "rmse": rmse,
        "spread_ratio": spread_ratio,
        "detail_ratio": detail_ratio,
    }
