"""The training objective of an IG-AE, equation by equation (IG-AE Sec. 4.2 to 4.4).

Squared norms are means over elements, so that the weights do not depend on resolution or batch size; in which units
images and latents are, the caller says (`units`). Which parameters
a term moves follows from what it is given: encoded latents z = E(x) lead to the encoder phi, rendered latents z~ to the
latent scenes tau, decoded images to the decoder psi and to whatever was decoded.

Shape suffixes: B images, C latent channels, H, W image size, h, w latent size.
"""

from __future__ import annotations

from torch import Tensor

from latentfields.fields.total_variation import total_variation, total_variation_sum
from latentfields.igae.config import IgaeWeightsConfig, TotalVariation

SMALLEST_VARIANCE = 0.02
"""Added to an object's variance, so that views of plain surfaces do not outweigh all others."""


def latent_loss(encoded: Tensor, rendered: Tensor) -> Tensor:
    """L_latent(phi, tau), Eq. 6: encoded z against rendered z~, both (B, C, h, w). Moves encoder and scenes."""
    return (encoded - rendered).square().mean()


def relative_latent_loss(encoded: Tensor, rendered: Tensor, opacity: Tensor) -> Tensor:
    """L_latent in units of the latents' own variance over the object: shrinking them does not lower it.

    `encoded` and `rendered` are (B, C, h, w); `opacity` (B, 1, h, w) in [0, 1] says where the object is, without
    gradient. There, in every view, the squared error is divided by the variance of z, which takes gradients too: the
    term falls when more of the variation of z is shared with z~, not when there is less of it. The background keeps
    the plain error of Eq. 6.
    """
    error = (encoded - rendered).square().mean(dim=1, keepdim=True)
    weight = opacity / opacity.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
    centred = encoded - (weight * encoded).sum(dim=(2, 3), keepdim=True)
    variance = (weight * centred.square().mean(dim=1, keepdim=True)).sum(dim=(1, 2, 3))
    on_object = (weight * error).sum(dim=(1, 2, 3)) / (variance + SMALLEST_VARIANCE)
    return on_object.mean() + ((1 - opacity) * error).mean()


def rgb_loss(images: Tensor, decoded_renderings: Tensor) -> Tensor:
    """L_RGB(psi, tau), Eq. 7: images x against x~ = D(z~), both (B, 3, H, W). Moves decoder and scenes."""
    return (images - decoded_renderings).square().mean()


def regularisation_3d(latent: Tensor, rgb: Tensor, tv_planes: Tensor, weights: IgaeWeightsConfig) -> Tensor:
    """L_3D(phi, psi, tau), Eq. 8, with the planes' total variation that App. B.3 adds to it."""
    return weights.latent * latent + weights.rgb * rgb + weights.tv_planes * tv_planes


def synthetic_autoencoder_loss(images: Tensor, reconstructions: Tensor) -> Tensor:
    """L_ae^(synth)(phi, psi), Eq. 9: scene views x against D(E(x)), both (B, 3, H, W)."""
    return (images - reconstructions).square().mean()


def photo_reconstruction_loss(photos: Tensor, reconstructions: Tensor) -> Tensor:
    """The first term of Eq. 10: photographs I against D(E(I)), both (B, 3, H, W)."""
    return (photos - reconstructions).square().mean()


def latent_total_variation(latents: Tensor, form: TotalVariation = "mean") -> Tensor:
    """L_TV(k) of Eq. 10: total variation with (p, q) = (2, 1) of latents k (B, C, h, w), meaned over images; Eq. 13."""
    maps = latents.permute(0, 2, 3, 1)
    return total_variation(maps, p=2, q=1) if form == "mean" else total_variation_sum(maps, p=2, q=1).mean()


def real_autoencoder_loss(
    reconstruction: Tensor, perceptual: Tensor, tv_latents: Tensor, weights: IgaeWeightsConfig
) -> Tensor:
    """L_ae^(real)(phi, psi), Eq. 10, from its three terms."""
    return reconstruction + weights.perceptual * perceptual + weights.tv_latents * tv_latents


def preservation_loss(synthetic: Tensor, real: Tensor, weights: IgaeWeightsConfig) -> Tensor:
    """L_ae(phi, psi), Eq. 11. Moves encoder and decoder only."""
    return weights.ae_synthetic * synthetic + weights.ae_real * real


def correspondence_regularisation(
    correspondence: Tensor, exchange: Tensor, weights: IgaeWeightsConfig
) -> Tensor:
    """LRF's terms beside Eq. 12, from L_corres (LRF Eq. 6) and the error of exchanged latents, decoded: scalars."""
    return weights.correspondence * correspondence + weights.exchange * exchange


def igae_loss(regularisation: Tensor, preservation: Tensor) -> Tensor:
    """L_IG-AE(phi, psi, tau), Eq. 12."""
    return regularisation + preservation
