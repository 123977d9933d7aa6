"""Every term of the joint phase's loss for one batch (IG-AE Eqs. 6 to 12, 14): what goes through which network.

Shape suffixes: B scene views, P photographs, C latent channels, H, W image size, h, w latent size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.losses import PerceptualLoss
from latentfields.correspondences.losses import (
    exchanged_latents,
    matched_latents,
    relative_correspondence_loss,
)
from latentfields.correspondences.pair_batches import PairBatch
from latentfields.devices import upload, uses_bfloat16
from latentfields.igae import losses
from latentfields.igae.config import IgaeConfig
from latentfields.igae.equivariance import LatentTransform
from latentfields.igae.units import LossUnits
from latentfields.rendering.rendering import Rendering

TERMS_3D = ("latent", "rgb", "tv_planes")
"""Names in the log of the terms of L_3D (Eq. 8): means over the scenes of a batch; the last may be a sum."""
TERM_SYNTHETIC = "ae_synthetic"
"""Name of the term of L_ae about scene views (Eq. 9): a mean over the scenes of a batch."""
TERMS_REAL = ("ae_real", "perceptual", "tv_latents")
"""Names of the terms of Eq. 10: means over the photographs of a batch."""
TERMS_PAIRS = ("correspondence", "exchange")
"""Names of LRF's terms: a weighted sum, and a mean, over the pairs of views of a batch."""


@dataclass(frozen=True)
class Pictures:
    """The images that go through the autoencoder in one step."""

    images: Tensor
    """(B, 3, H, W) scene views, in [0, 1]."""
    photos: Tensor
    """(P, 3, H, W) photographs, in [0, 1]."""
    noise: Tensor | None = None
    """(B + P, C, h, w) added to the latents of both, in this order, where L_ae decodes them, and there alone."""
    transform: LatentTransform | None = None
    """How the latents of both, and the images that L_ae compares with, are changed, for L_ae alone."""
    draws: Tensor | None = None
    """(B + P, C, h, w) normal numbers for draws from the posteriors of both; None: their means."""
    pairs: PairBatch | None = None
    """Pairs of views with correspondences."""
    pair_weights: Tensor | None = None
    """lambda_ij (LRF Eq. 6) of each of them; those of all pairs of the global batch sum to 1."""

    def part(self, views: slice, photos: slice, pairs: slice = slice(None)) -> Pictures:
        """Some of the scene views, of the photographs and of the pairs, with what belongs to them."""
        count = len(self.images)

        def both(numbers: Tensor | None) -> Tensor | None:
            return None if numbers is None else torch.cat([numbers[:count][views], numbers[count:][photos]])

        return replace(
            self,
            images=self.images[views],
            photos=self.photos[photos],
            noise=both(self.noise),
            draws=both(self.draws),
            pairs=None if self.pairs is None else self.pairs.part(pairs),
            pair_weights=None if self.pair_weights is None else self.pair_weights[pairs],
        )

    def to(self, device: torch.device) -> Pictures:
        """The same on another device."""
        noise, draws, pair_weights = (
            None if numbers is None else upload(numbers, device)
            for numbers in (self.noise, self.draws, self.pair_weights)
        )
        return replace(
            self,
            images=upload(self.images, device),
            photos=upload(self.photos, device),
            noise=noise,
            draws=draws,
            pairs=None if self.pairs is None else self.pairs.to(device),
            pair_weights=pair_weights,
        )


@dataclass(frozen=True)
class SceneRenderings:
    """Renderings of the latent scenes of a batch."""

    seen: Rendering
    """z~ of the batch's B views, (B, C, h, w)."""
    planes_variation: Tensor
    """L_TV^3D of the batch's planes, a scalar."""


def loss_terms(
    autoencoder: Autoencoder,
    pictures: Pictures,
    renderings: SceneRenderings | None,
    *,
    config: IgaeConfig,
    perceptual: PerceptualLoss,
) -> dict[str, Tensor]:
    """Unweighted terms by name, for scene views and photographs.

    Everything is encoded in one pass and decoded in one pass, or in two where L_ae decodes changed latents, which may
    have another size. Terms that the ablation leaves out, and terms about
    images that this batch has none of, are absent. `renderings` is None without L_3D.
    """
    images, photos, noise = pictures.images, pictures.photos, pictures.noise
    half = uses_bfloat16(config.joint.precision, images.device)

    def decode(latents: Tensor) -> Tensor:
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=half):
            return autoencoder.decode(latents).float()

    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=half):
        latents, log_variance = autoencoder.posterior(torch.cat([images, photos]))
    latents = latents.float()
    if pictures.draws is not None and log_variance is not None:
        latents = latents + pictures.draws * (0.5 * log_variance.float()).exp()
    encoded, photo_latents = latents.tensor_split([len(images)])
    rendered = encoded[:0] if renderings is None else renderings.seen.features
    preserved = latents if noise is None else latents + noise
    if not config.has_preservation:
        preserved = latents[:0]
    units = LossUnits(config.units, autoencoder)
    change = pictures.transform
    if change is None:
        seen, kept = decode(torch.cat([rendered, preserved])).tensor_split([len(rendered)])
        preserved_images, preserved_photos = images, photos
    else:
        seen, kept = decode(rendered), decode(change.latents(preserved))
        preserved_images, preserved_photos = change.images(images), change.images(photos)
    terms: dict[str, Tensor] = {}
    if renderings is not None and len(images):
        terms["latent"] = _latent_term(encoded, renderings.seen, config, units)
        terms["rgb"] = losses.rgb_loss(units.images(images), units.images(seen))
        terms["tv_planes"] = renderings.planes_variation
    if config.has_preservation and len(images):
        terms["ae_synthetic"] = losses.synthetic_autoencoder_loss(
            units.images(preserved_images), units.images(kept[: len(images)])
        )
    if config.has_preservation and len(photos):
        decoded = kept[len(images) :]
        terms["ae_real"] = losses.photo_reconstruction_loss(
            units.images(preserved_photos), units.images(decoded)
        )
        # Perceptual distances bring images into the units of their networks themselves.
        terms["perceptual"] = perceptual(decoded, preserved_photos).mean()
        terms["tv_latents"] = losses.latent_total_variation(units.varied_latents(photo_latents), config.tv)
    pairs, weights = pictures.pairs, pictures.pair_weights
    if pairs is not None and weights is not None and len(weights):
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=half):
            latents = autoencoder.posterior(pairs.images)[0].float()
        first, second = matched_latents(latents, pairs.positions, factor=autoencoder.factor)
        if config.joint.weights.correspondence:
            terms["correspondence"] = relative_correspondence_loss(first, second, pairs.shared, weights)
        if config.joint.weights.exchange:
            count, places = len(weights), pairs.positions[:, :, 0]
            mixed = exchanged_latents(
                latents[:count], second, places, pairs.shared, factor=autoencoder.factor
            )
            difference = units.images(pairs.images[:count]) - units.images(decode(mixed))
            terms["exchange"] = difference.square().mean()
    return terms


def _latent_term(encoded: Tensor, seen: Rendering, config: IgaeConfig, units: LossUnits) -> Tensor:
    if config.joint.latent_unit == "object":
        return losses.relative_latent_loss(encoded, seen.features, seen.opacity.detach())
    return losses.latent_loss(units.latents(encoded), units.latents(seen.features))


def total_loss(terms: Mapping[str, Tensor], config: IgaeConfig) -> dict[str, Tensor]:
    """ "3d" (Eq. 8), "ae" (Eq. 11), where the ablation has them, "pairs" (LRF's terms) where there are correspondences,
    and "loss" (Eq. 12, and these), of all of its terms."""
    weights = config.joint.weights
    total = {}
    if config.has_3d:
        total["3d"] = losses.regularisation_3d(terms["latent"], terms["rgb"], terms["tv_planes"], weights)
    if config.has_preservation:
        real = losses.real_autoencoder_loss(
            terms["ae_real"], terms["perceptual"], terms["tv_latents"], weights
        )
        total["ae"] = losses.preservation_loss(terms["ae_synthetic"], real, weights)
    zero = next(iter(terms.values())).new_zeros(())
    loss = losses.igae_loss(total.get("3d", zero), total.get("ae", zero))
    if config.has_correspondences:
        correspondence, exchange = (terms.get(name, zero) for name in TERMS_PAIRS)
        total["pairs"] = losses.correspondence_regularisation(correspondence, exchange, weights)
        loss = loss + total["pairs"]
    return total | {"loss": loss}
