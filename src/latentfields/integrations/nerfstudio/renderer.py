"""Volume rendering of latents with Nerfstudio's interface for colours.

Shape suffixes: R rays, S samples per ray, M samples of all rays together, C latent channels.
"""

from __future__ import annotations

from nerfstudio.model_components.renderers import RGBRenderer
from torch import Tensor, nn


class LatentRenderer(RGBRenderer):
    """Takes the place of `RGBRenderer`: any number of channels, any range, over the code of the background.

    Nothing is clamped, and nothing is read into the number of channels: a fourth is a channel as any other, where the
    stock renderer takes it for an alpha channel.
    """

    background: Tensor

    def __init__(self, background: Tensor, *, learned: bool) -> None:
        """`background` (C,) lies behind everything; `learned` makes it a parameter that starts there."""
        super().__init__(background_color="white")
        if learned:
            self.background = nn.Parameter(background.clone())
        else:
            self.register_buffer("background", background.clone())

    def forward(
        self,
        rgb: Tensor,
        weights: Tensor,
        ray_indices: Tensor | None = None,
        num_rays: int | None = None,
        background_color: object = None,
    ) -> Tensor:
        """Composited latents (R, C) of samples' latents (R, S, C) and weights (R, S, 1).

        Packed samples are (M, C) and (M, 1), with the index of the ray of each in `ray_indices` (M,). A background
        colour from the caller is a colour, and not used.
        """
        values = weights * rgb
        if ray_indices is None or num_rays is None:
            seen, opacity = values.sum(dim=-2), weights.sum(dim=-2)
        else:
            seen = values.new_zeros(num_rays, values.shape[-1]).index_add(0, ray_indices, values)
            opacity = weights.new_zeros(num_rays, 1).index_add(0, ray_indices, weights)
        return seen + (1 - opacity) * self.background

    def blend_background(self, image: Tensor, background_color: object = None) -> Tensor:
        """The targets (..., C) as they are: photographs were composited before they were encoded."""
        return image

    def blend_background_for_loss_computation(
        self, pred_image: Tensor, pred_accumulation: Tensor, gt_image: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Prediction and targets (..., C) as they are."""
        return pred_image, gt_image
