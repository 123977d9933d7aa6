"""The latent-image pairs of LRF Sec. 4.3: what the field of a scene renders, beside the images it should decode to.

Training views are the views of a scene's split "train", which its field was fitted to. Novel views are those of "val"
and "test", in this order: the field has not seen them, but their images are known. (Scenes without splits of their own
keep every eighth view for "test".) Both are part of the training of the decoder, so that scenes whose pairs were used
say nothing about quality; only other scenes do.

Shape suffixes: N views of a scene, B views of a batch, C latent channels, H, W image size, h = H / f, w = W / f.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.image_data import random_integer
from latentfields.devices import upload
from latentfields.errors import InputError
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.fit import fit
from latentfields.latent_nerf.run import Run
from latentfields.measures.metrics import Scores
from latentfields.measures.standard import image_measures
from latentfields.scenes.scene import Scene
from latentfields.scenes.selection import evenly_spread
from latentfields.training.checkpoint import save_tensors

BATCH = 8
SCORED_VIEWS = 48
"""Views of each kind, at most, evenly spread over all scenes, that a decoder is scored on."""


def fit_latent_field(
    scene: Scene, autoencoder: Autoencoder, *, out: Path, config: FitConfig, device: str = "auto"
) -> Run:
    """`fit`, with latents normalised by statistics of the scene's own training views (LRF App. A.3).

    So encoders are compared in one unit, whatever images their own statistics were measured on.
    """
    if config.statistics == "autoencoder":
        config = replace(config, statistics="scene")
    return fit(scene, autoencoder, out=out, config=config, device=device)


def novel_views(scene: Scene) -> Tensor:
    """Indices of the views that a fit of `scene` does not see. Raises InputError when there is none."""
    held_out = [scene.splits[name] for name in ("val", "test") if name in scene.splits]
    indices = torch.cat([*held_out, torch.empty(0, dtype=torch.int64)])
    if not len(indices):
        raise InputError(scene.source, "has no views in the splits val and test; expected at least one")
    return indices


def write_pairs(path: Path, run: Run, scene: Scene, autoencoder: Autoencoder) -> None:
    """Write the pairs of a fitted scene to a safetensors file, in one step.

    `run` was fitted to the latents that `autoencoder` makes of `scene`, whose sides are multiples of the factor; both
    are on one device. The file has `rendered` and `encoded` latents (N, C, h, w) float16, normalised by the statistics
    of `autoencoder`, `images` (N, 3, H, W) uint8 and `novel` (N,) bool.
    """
    training, novel = scene.indices("train"), novel_views(scene)
    device, own = run.model.device, run.model.autoencoder
    assert own is not None
    rendered, encoded, images = [], [], []
    for chunk in torch.cat([training, novel]).split(BATCH):
        views = scene.images(chunk)
        latents = run.model.render(scene.cameras[chunk])[1].features.to(device)
        rendered.append(autoencoder.normalized(own.raw(latents)).cpu().half())
        encoded.append(autoencoder.encode_batches(views.to(device)).cpu().half())
        images.append((255 * views).round().to(torch.uint8))
    tensors = {
        "rendered": torch.cat(rendered),
        "encoded": torch.cat(encoded),
        "images": torch.cat(images),
        "novel": torch.arange(len(training) + len(novel)) >= len(training),
    }
    save_tensors(path, tensors, {"scene": scene.source})


@dataclass(frozen=True)
class PairBatch:
    """Views of several scenes, cropped to one size."""

    rendered: Tensor
    """(B, C, h, w) float32 latents that fields rendered, normalised per channel."""
    encoded: Tensor
    """(B, C, h, w) float32 latents that the encoder makes of the images, normalised per channel."""
    images: Tensor
    """(B, 3, H, W) float32 in [0, 1]."""

    def to(self, device: torch.device) -> PairBatch:
        """The same on another device."""
        tensors = (self.rendered, self.encoded, self.images)
        return PairBatch(*(upload(tensor, device) for tensor in tensors))


class Pairs:
    """The pairs of all scenes. Files stay on disk; only the crops of a batch are read."""

    def __init__(self, paths: Sequence[Path], *, factor: int, crop: int) -> None:
        """`factor` is the autoencoder's; crops have the largest side up to `crop` pixels that all views have.
        `crop` is at least `factor`.
        """
        self.factor = factor
        self._files: list[Any] = [safe_open(path, framework="pt") for path in paths]
        shapes = [file.get_slice("rendered").get_shape() for file in self._files]
        self.cells = min(crop // factor, *(min(shape[-2:]) for shape in shapes))
        """Latents along one side of a crop."""
        marks = [file.get_tensor("novel") for file in self._files]
        self.training = [(i, v) for i, mark in enumerate(marks) for v in (~mark).nonzero().flatten().tolist()]
        """(scene, view) of every training view."""
        self.novel = [(i, v) for i, mark in enumerate(marks) for v in mark.nonzero().flatten().tolist()]
        """(scene, view) of every novel view."""

    def batch(self, *, training: int, novel: int, generator: torch.Generator) -> PairBatch:
        """Random crops, evenly drawn over the views of all scenes: first of training views, then of novel ones."""
        chosen = [self.training[random_integer(len(self.training), generator)] for _ in range(training)]
        chosen += [self.novel[random_integer(len(self.novel), generator)] for _ in range(novel)]
        parts = [self._crop(scene, view, generator) for scene, view in chosen]
        return PairBatch(*(torch.stack(part) for part in zip(*parts, strict=True)))

    def whole(self, views: Sequence[tuple[int, int]]) -> Iterator[PairBatch]:
        """The given (scene, view) pairs one by one, not cropped."""
        for scene, view in views:
            file = self._files[scene]
            rendered, encoded, images = (
                file.get_slice(name)[view : view + 1] for name in ("rendered", "encoded", "images")
            )
            yield PairBatch(rendered.float(), encoded.float(), images.float() / 255)

    def _crop(self, scene: int, view: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        file, cells, f = self._files[scene], self.cells, self.factor
        height, width = file.get_slice("rendered").get_shape()[-2:]
        top = random_integer(height - cells + 1, generator)
        left = random_integer(width - cells + 1, generator)
        latents = (view, slice(None), slice(top, top + cells), slice(left, left + cells))
        pixels = (view, slice(None), slice(f * top, f * (top + cells)), slice(f * left, f * (left + cells)))
        return (
            file.get_slice("rendered")[latents].float(),
            file.get_slice("encoded")[latents].float(),
            file.get_slice("images")[pixels].float() / 255,
        )


@torch.no_grad()
def score_pairs(autoencoder: Autoencoder, pairs: Pairs) -> dict[str, dict[str, float]]:
    """Mean image measures of decoded latents: rendered ones of "training" and "novel" views, and encoded ones of the
    novel views ("reconstruction"). Of pairs that a decoder was trained on, this says how well it fits, not more.
    """
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
        decoded = autoencoder.decode_batches(chosen.to(autoencoder.device)).cpu()
        values.append({name: measure(decoded, batch.images) for name, measure in measures.items()})
    return Scores.gather([str(view) for view in views], values).means


def _spread(views: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    return [views[index] for index in evenly_spread(torch.arange(len(views)), SCORED_VIEWS).tolist()]
