"""The denoising network: diffusers' U-Net, which sees the reference view beside the noisy one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from latentfields.errors import InputError
from latentfields.priors.conditions import VIEW_FEATURES, Condition, view_features
from latentfields.priors.config import PriorNetworkConfig

_GROUPS = 8
"""Of the group normalisation: a divisor of all widths."""


def require_diffusers() -> None:
    """Raise InputError, saying how to install it, when diffusers is absent."""
    try:
        import diffusers  # noqa: F401
    except ImportError:
        raise InputError(
            "priors", "need the diffusers library; install it with: pip install 'latentfields[diffusers]'"
        ) from None


class PriorNetwork(nn.Module):
    """A `UNet2DModel` of latents; class, cameras and the level of noise modulate its blocks."""

    def __init__(self, config: PriorNetworkConfig, *, channels: int, side: int, classes: int) -> None:
        """For latents of `channels` and `side`, of so many `classes`; weights are drawn from torch's generator.

        Raises InputError when diffusers is not installed, or `side` cannot be halved as often as there are levels.
        """
        super().__init__()
        require_diffusers()
        import diffusers

        config.check_side(side)
        levels = len(config.widths)
        width = 4 * config.widths[0]
        # Its types are unknown: the library has none.
        unet: Any = diffusers.UNet2DModel
        self.unet: nn.Module = unet(
            sample_size=side,
            # The noisy view, the reference view, and where there is one.
            in_channels=2 * channels + 1,
            out_channels=channels,
            block_out_channels=config.widths,
            layers_per_block=config.blocks,
            down_block_types=("DownBlock2D",) * (levels - 1) + ("AttnDownBlock2D",),
            up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * (levels - 1),
            norm_num_groups=_GROUPS,
            attention_head_dim=config.head_width,
            class_embed_type="identity",
        )
        # The last row is that of views whose class is unknown.
        self.classes = nn.Embedding(classes + 1, width)
        self.views = nn.Sequential(nn.Linear(VIEW_FEATURES, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, noisy: Tensor, times: Tensor, given: Condition) -> Tensor:
        """What it predicts, (B, C, h, w), of noisy latents (B, C, h, w) at `times` (B,) int64."""
        told = self.classes(given.classes % self.classes.num_embeddings) + self.views(view_features(given))
        there = given.has_reference[:, None, None, None].to(noisy.dtype)
        mask = there.expand(-1, 1, *noisy.shape[2:])
        seen = torch.cat([noisy, given.references * there, mask], dim=1)
        out: Tensor = self.unet(seen, times, class_labels=told).sample
        return out
