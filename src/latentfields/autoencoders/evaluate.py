"""Reconstruction scores of an autoencoder, beside the best linear codec of the same size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.image_data import (
    central_squares,
    matching_photos,
    photo_paths,
    renders_on_white,
)
from latentfields.autoencoders.linear_codec import linear_reconstruction, principal_components
from latentfields.autoencoders.load import opened
from latentfields.config.arguments import checked
from latentfields.config.checks import require_at_least
from latentfields.errors import ArgumentError
from latentfields.files import Folders, as_folders
from latentfields.measures.metrics import Scores
from latentfields.measures.standard import image_measures
from latentfields.process import choose_device
from latentfields.scenes.load import Scenes, as_scene_folders

BATCH = 16
SMALLEST_SIZE = 16
"""Images below this side have too few scales for the perceptual measure."""


@checked
def evaluate_autoencoder(
    name: Autoencoder | str | Path,
    *,
    photos: Folders = (),
    scenes: Scenes = (),
    pattern: str = "*",
    limit: int | None = None,
    size: int = 128,
    codec_photos: Folders = (),
    device: str = "auto",
) -> dict[str, dict[str, float]]:
    """Mean scores per kind of image ("photos", "scenes") and method (the autoencoder; the linear codec).

    `name` is an autoencoder, or the name or folder of one.

    Of folders of `photos`, those whose file names match the `pattern` are cropped to their central square and
    downscaled to `size`; views of `scenes` (or folders of them) are composited on white. At most `limit` of each, the
    first by name, are scored. The linear codec is fitted to `codec_photos`, and left out without them.
    `device` is as for `fit`. Raises InputError for unusable images or numbers.
    """
    if limit is not None:
        require_at_least("limit", limit, 1)
    autoencoder = opened(name).to(choose_device(device))
    if size < SMALLEST_SIZE or size % autoencoder.factor:
        raise ArgumentError(
            "size", f"is {size}; expected a multiple of {autoencoder.factor}, at least {SMALLEST_SIZE}"
        )
    sets: dict[str, Tensor] = {}
    if folders := as_folders(photos):
        sets["photos"] = central_squares(matching_photos(folders, pattern, limit), size=size)
    if roots := as_scene_folders(scenes):
        sets["scenes"] = renders_on_white(roots, size=size, limit=limit)
    if not sets:
        raise ArgumentError("photos", "is empty, and so is `scenes`; name at least one folder to score")
    scores = {kind: reconstruction_scores(autoencoder, images) for kind, images in sets.items()}
    if others := as_folders(codec_photos):
        fitted = central_squares(photo_paths(others), size=size)
        mean, basis = principal_components(fitted, factor=autoencoder.factor, channels=autoencoder.channels)
        for kind, images in sets.items():
            decoded = linear_reconstruction(images, mean, basis).clamp(0, 1)
            scores[f"{kind}, linear codec"] = _scores(decoded, images).means
    return scores


def reconstruction_scores(autoencoder: Autoencoder, images: Tensor) -> dict[str, float]:
    """Mean scores of encoding and decoding images (B, 3, H, W) in [0, 1], on the autoencoder's device."""
    target = autoencoder.latent_mean.device
    decoded = torch.cat(
        [
            autoencoder.decode_batches(autoencoder.encode_batches(chunk.to(target))).cpu()
            for chunk in images.split(BATCH)
        ]
    )
    return _scores(decoded, images).means


def _scores(decoded: Tensor, images: Tensor) -> Scores:
    measures, _ = image_measures()
    batches = [
        {name: measure(a, b) for name, measure in measures.items()}
        for a, b in zip(decoded.split(BATCH), images.split(BATCH), strict=True)
    ]
    return Scores.gather([str(i) for i in range(len(images))], batches)


def summary_lines(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """One line per kind of image."""
    return [
        f"{kind:24s} " + "  ".join(f"{k} {v:.4g}" for k, v in values.items())
        for kind, values in scores.items()
    ]
