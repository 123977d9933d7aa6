"""What a decoder makes of latent-image pairs. Of pairs it was trained on, this says how well it fits, not more."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.lrf.decoder.pairs import Pairs
from latentfields.measures.metrics import Scores
from latentfields.measures.standard import image_measures
from latentfields.scenes.selection import evenly_spread

SCORED_VIEWS = 48
"""Views of each kind, at most, evenly spread over all scenes."""


@torch.no_grad()
def score_pairs(autoencoder: Autoencoder, pairs: Pairs) -> dict[str, dict[str, float]]:
    """Mean image measures of decoded latents: rendered ones of "training" and "novel" views, and encoded ones of the
    novel views ("reconstruction")."""
    training, novel = (_spread(views) for views in (pairs.training, pairs.novel))
    return {
        "training": _score(autoencoder, pairs, training, latents="rendered"),
        "novel": _score(autoencoder, pairs, novel, latents="rendered"),
        "reconstruction": _score(autoencoder, pairs, novel, latents="encoded"),
    }


def _score(
    autoencoder: Autoencoder, pairs: Pairs, views: Sequence[tuple[int, int]], *, latents: str
) -> dict[str, float]:
    measures, _ = image_measures()
    values = []
    for batch in pairs.whole(views):
        chosen = batch.rendered if latents == "rendered" else batch.encoded
        decoded = autoencoder.decode_batches(chosen.to(autoencoder.latent_mean.device)).cpu()
        values.append({name: measure(decoded, batch.images) for name, measure in measures.items()})
    return Scores.gather([str(view) for view in views], values).means


def _spread(views: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    return [views[index] for index in evenly_spread(torch.arange(len(views)), SCORED_VIEWS).tolist()]
