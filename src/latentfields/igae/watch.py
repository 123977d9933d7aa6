"""Looking at the training: held-out views and photographs, as numbers and as pictures.

Shape suffixes: B views, C latent channels, h, w latent size, H, W image size, L photographs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.igae.image_cache import CachedViews, Photos
from latentfields.igae.scene_training import SceneTraining
from latentfields.measures.metrics import LATENT_RANGE, psnr
from latentfields.pages.pictures import LatentProjection, to_pixels
from latentfields.pages.report import Picture, PictureGroup, PictureRow
from latentfields.scenes.selection import evenly_spread

SCENES_WATCHED = 4
"""Scenes that are looked at."""
VIEWS_WATCHED = 2
"""Held-out views of each of them."""


@dataclass(frozen=True)
class WatchedScene:
    """Held-out views of one scene."""

    name: str
    truth: Tensor
    """(B, 3, H, W) images."""
    encoded: Tensor
    """(B, C, h, w) latents z of the images."""
    autoencoded: Tensor
    """(B, 3, H, W) D(z)."""
    rendered: Tensor | None
    """(B, C, h, w) latents z~ of the latent scene, or None without L_3D."""
    decoded: Tensor | None
    """(B, 3, H, W) D(z~)."""

    def scores(self) -> dict[str, Tensor]:
        """PSNR in dB, and spread, by name: (B,) each."""
        scores = {
            "view_autoencoded_psnr": psnr(self.autoencoded, self.truth),
            "view_latent_spread": spread_on_object(self.encoded, self.truth),
        }
        if self.rendered is not None and self.decoded is not None:
            scores["view_latent_psnr"] = psnr(self.rendered, self.encoded, data_range=LATENT_RANGE)
            scores["view_rendered_psnr"] = psnr(self.decoded, self.truth)
        return scores

    def pictures(self, projection: LatentProjection, before: WatchedScene) -> PictureGroup:
        """One row for every view, one column for every kind of picture; `before` is the same before the training."""
        columns = {
            "truth": to_pixels(self.truth),
            "autoencoded before": to_pixels(before.autoencoded),
            "autoencoded": to_pixels(self.autoencoded),
            "encoded": projection.pixels(self.encoded),
        }
        if self.rendered is not None and self.decoded is not None:
            columns["rendered"] = projection.pixels(self.rendered)
            columns["decoded rendering"] = to_pixels(self.decoded)
        return PictureGroup(
            self.name,
            tuple(
                PictureRow(f"view {view}", tuple(Picture(label, row[view]) for label, row in columns.items()))
                for view in range(len(self.truth))
            ),
        )


def spread_on_object(latents: Tensor, images: Tensor) -> Tensor:
    """Standard deviation (B,) of latents (B, C, h, w) over the cells where images (B, 3, H, W) are not all white.

    Mean over channels of the variance in each view; 0 for views that show nothing.
    """
    factor = images.shape[-1] // latents.shape[-1]
    shown = (torch.nn.functional.max_pool2d(1 - images, factor).amax(dim=1, keepdim=True) > 0.02).float()
    weight = shown / shown.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = (weight * latents).sum(dim=(2, 3), keepdim=True)
    return (weight * (latents - mean).square()).sum(dim=(2, 3)).mean(dim=1).sqrt()


@torch.no_grad()
def watch_scenes(
    autoencoder: Autoencoder, training: SceneTraining, *, render: bool
) -> tuple[WatchedScene, ...]:
    """Held-out views of a few scenes, as the autoencoder and the latent scenes are now."""
    watched = []
    for scene in watched_scenes(training.views):
        indices = training.views.held_out[scene][:VIEWS_WATCHED]
        truth = training.views.images(indices)
        encoded = autoencoder.encode(truth.to(training.device))
        rendered = training.render_views(scene, indices) if render else None
        watched.append(
            WatchedScene(
                name=training.views.names[scene],
                truth=truth,
                encoded=encoded.cpu(),
                autoencoded=autoencoder.decode_batches(encoded).cpu(),
                rendered=None if rendered is None else rendered.cpu(),
                decoded=None if rendered is None else autoencoder.decode_batches(rendered).cpu(),
            )
        )
    return tuple(watched)


def watched_scenes(views: CachedViews) -> list[int]:
    """Choose the scenes that are looked at, spread over all of them."""
    return evenly_spread(torch.arange(len(views)), SCENES_WATCHED).tolist()


def scene_scores(watched: tuple[WatchedScene, ...]) -> dict[str, float]:
    """Mean over all watched views of every score."""
    scores = [scene.scores() for scene in watched]
    return {name: float(torch.cat([score[name] for score in scores]).mean()) for name in scores[0]}


@dataclass(frozen=True)
class WatchedPhotos:
    """Photographs that are not trained on."""

    truth: Tensor
    """(L, 3, H, W)."""
    autoencoded: Tensor
    """(L, 3, H, W)."""

    def scores(self) -> dict[str, float]:
        """Mean PSNR in dB."""
        return {"photo_autoencoded_psnr": float(psnr(self.autoencoded, self.truth).mean())}

    def pictures(self, before: WatchedPhotos) -> PictureGroup:
        """Truth above the reconstructions before and after the training."""
        rows = {
            "truth": self.truth,
            "autoencoded before": before.autoencoded,
            "autoencoded": self.autoencoded,
        }
        return PictureGroup(
            "Photographs that are not trained on",
            tuple(
                PictureRow(label, tuple(Picture("", pixels) for pixels in to_pixels(images)))
                for label, images in rows.items()
            ),
        )


@torch.no_grad()
def watch_photos(autoencoder: Autoencoder, photos: Photos, device: torch.device) -> WatchedPhotos:
    """Held-out photographs, as the autoencoder is now."""
    autoencoded = autoencoder.decode_batches(autoencoder.encode_batches(photos.held_out.to(device)))
    return WatchedPhotos(photos.held_out, autoencoded.cpu())
