"""The cell behind LRF Table 4: test views through an autoencoder alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from latentfields.autoencoders.evaluate import reconstruction_scores
from latentfields.autoencoders.load import load_autoencoder
from latentfields.bench.lrf_scenes import TestScene


@dataclass(frozen=True)
class ReconstructionJob:
    """Which scenes go through which autoencoder."""

    autoencoder: str
    """Name or folder."""
    scenes: tuple[TestScene, ...]


def reconstruct(job: ReconstructionJob) -> dict[str, Any]:
    """Mean PSNR, SSIM and MS-GMSD of the autoencoded test views of every scene, under "scenes"."""
    autoencoder = load_autoencoder(job.autoencoder)
    rows = []
    # Scenes that are fitted with several seeds have the same views each time.
    for scene in {scene.folder: scene for scene in job.scenes}.values():
        views = scene.load(factor=autoencoder.factor)
        scores = reconstruction_scores(autoencoder, views.images(views.indices("test")))
        rows.append({"scene": scene.kind, **scores})
    return {"scenes": rows}
