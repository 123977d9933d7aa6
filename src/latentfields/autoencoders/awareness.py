"""The 3D-awareness score: corresponding surface points of different views should have the same latent.

**Inconsistency.** Latents of one view are looked up where known depth and visibility say that a cell of another view
is seen. The mean squared difference, divided by twice the variance of the latents over the object, is 0 when views
agree and 1 when corresponding latents are no more alike than any two latents of the object. It does not depend on the
scale of the latents. The same number for mean colours of the cells is the floor: pixels of a diffuse object are
consistent, so what they show is the error of looking up between cells.

**Spectrum.** The same ratio by spatial frequency, under the same mask: most latent spaces are consistent at low
frequencies and not at high ones.

**Equivariance.** A shift of the image by part of a cell should shift the latents: the code of the shifted image is
compared with the interpolation between the codes of the images shifted by whole cells. Scaling likewise. Both are
necessary for 3D consistency (views differ by local shifts and scales) but not sufficient.

**Noise.** Consistency can be had by coding detail in small amplitudes, where its disagreement hardly counts, and having
the decoder amplify them. A field's errors are amplified with them. So the score has a second side: how well an image is
decoded from latents with noise of a tenth of their standard deviation, against the same without noise, in dB.

Limits: only cells that lie wholly on the object count, so the neighbourhood's influence at silhouettes is left out;
surfaces must be diffuse and depth exact (rendered objects); an encoder that blurs everything is consistent, and robust
against noise too, so read the score beside the reconstruction.

Shape suffixes: N views, C channels, H, W image size, f factor, h = H / f, w = W / f latent size, P points.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.errors import InputError
from latentfields.measures.metrics import psnr
from latentfields.measures.warping import (
    Correspondence,
    correspondences,
    covered_cells,
    neighbouring_views,
    values_at_target,
    values_from_source,
)
from latentfields.progress import SILENT_SECONDS, progress_bar
from latentfields.scenes.scene import Scene

T = TypeVar("T")
R = TypeVar("R")

LARGEST_ANGLE = 45.0
"""Pairs of views whose directions differ by more degrees are left out: they share little surface."""
FEWEST_POINTS = 30
"""Objects whose views share fewer cells than this are refused."""
SHIFTS = (0.25, 0.5)
"""Tested shifts, in cells."""
SCALE = 0.75
"""Tested change of size."""
PASSES = 4
"""Passes over all objects: the latents of their views as they are, shifted, scaled, and decoded with noise."""
NOISE = 0.1
"""Standard deviation of the noise on normalised latents."""
BANDS = ((0.0, 0.125), (0.125, 0.25), (0.25, 0.375), (0.375, 0.7072))
"""Spatial frequencies in cycles per cell; the last reaches the corner of the spectrum."""

Code = Callable[[Tensor], Tensor]
"""Images (N, 3, H, W) in [0, 1] to maps (N, C, h, w)."""


@dataclass(frozen=True)
class Band:
    """A range of spatial frequencies."""

    low: float
    """Cycles per cell."""
    high: float
    """Cycles per cell."""
    inconsistency: float
    """Residual power over twice the power of the maps."""


@dataclass(frozen=True)
class Consistency:
    """The behaviour of one kind of maps (latents, or mean colours); everything is 0 for perfect maps."""

    inconsistency: float
    """Residual between views over twice the variance on the object."""
    spectrum: tuple[Band, ...]
    """The same by spatial frequency."""
    shift_errors: tuple[float, ...]
    """Error of shifts by `SHIFTS` cells, over twice the variance."""
    scale_error: float
    """Error of scaling by `SCALE`, over twice the variance."""
    rmse: float
    """Residual between views in the unit of the maps (one standard deviation for normalised latents)."""


@dataclass(frozen=True)
class AwarenessScore:
    """The score of an autoencoder."""

    autoencoder: str
    """Its name."""
    latents: Consistency
    """Normalised latents."""
    pixels: Consistency
    """Mean colours of the cells: the floor."""
    noise_psnr: float
    """Images decoded from latents with noise of deviation `NOISE`, against those without: PSNR in dB."""
    scenes: int
    """Objects looked at."""
    points: int
    """Corresponding points compared."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def score_awareness(autoencoder: Autoencoder, scenes: Sequence[Scene]) -> AwarenessScore:
    """Score an autoencoder on rendered objects; latents are posterior means.

    It computes on the autoencoder's device, and all else on the CPU. Without latent statistics, those of the scenes'
    views are taken. Raises InputError when a scene has no depth, or
    its views share no surface.
    """
    factor = autoencoder.factor
    objects = [_object(scene.cropped_to_multiple(factor), factor) for scene in scenes]
    autoencoder.ensure_statistics(lambda: torch.cat([item.images for item in objects]))
    encoded, total = partial(_encoded, autoencoder), PASSES * len(objects)
    pooled = partial(avg_pool2d, kernel_size=factor)
    with progress_bar(f"{autoencoder.name}", total=total, unit="pass", delay=SILENT_SECONDS) as bar:
        codes = _each(objects, lambda item: encoded(item.images), bar.update)
        means = [pooled(item.images) for item in objects]
        latents = _consistency(encoded, codes, objects, factor, done=bar.update)
        pixels = _consistency(pooled, means, objects, factor, done=lambda: None)
        noise = _mean(_each(codes, partial(_noise_psnr, autoencoder), bar.update))
    return AwarenessScore(
        autoencoder=autoencoder.name,
        latents=latents,
        pixels=pixels,
        noise_psnr=noise,
        scenes=len(objects),
        points=sum(len(pair.cells) for item in objects for pair in item.pairs),
    )


def _each(items: Sequence[T], measure: Callable[[T], R], done: Callable[[], object]) -> list[R]:
    """What is measured of each item; `done` is called after each."""
    found = []
    for item in items:
        found.append(measure(item))
        done()
    return found


@dataclass(frozen=True)
class _Object:
    images: Tensor
    """(N, 3, H, W) in [0, 1]."""
    pairs: tuple[Correspondence, ...]


def _object(scene: Scene, factor: int) -> _Object:
    if scene.depth is None:
        raise InputError(
            scene.source, "has no depth maps; expected a scene rendered by `latentfields scenes`"
        )
    covered = covered_cells(scene.depth, factor=factor)
    pairs = tuple(
        correspondences(scene.cameras, scene.depth, covered, target=target, source=source, factor=factor)
        for target, source in neighbouring_views(scene.cameras, largest_angle=LARGEST_ANGLE)
    )
    if sum(len(pair.cells) for pair in pairs) < FEWEST_POINTS:
        raise InputError(
            scene.source, f"its views share fewer than {FEWEST_POINTS} latent cells; use more or larger views"
        )
    return _Object(scene.images(torch.arange(len(scene))), tuple(pair for pair in pairs if len(pair.cells)))


def _consistency(
    code: Code,
    maps: Sequence[Tensor],
    objects: Sequence[_Object],
    factor: int,
    *,
    done: Callable[[], object],
) -> Consistency:
    """The consistency of a code whose `maps` of the objects' views are known."""
    between = [between_views(m, item.pairs) for m, item in zip(maps, objects, strict=True)]
    shifts = _each([item.images for item in objects], partial(_shift_errors, code, factor=factor), done)
    seen = [(item.images, m) for item, m in zip(objects, maps, strict=True)]
    return Consistency(
        inconsistency=_mean([ratio for ratio, _ in between]),
        rmse=_mean([square for _, square in between]) ** 0.5,
        spectrum=_spectrum(maps, objects),
        shift_errors=tuple(map(_mean, zip(*shifts, strict=True))),
        scale_error=_mean(_each(seen, lambda item: _scale_error(code, *item, factor=factor), done)),
    )


def between_views(maps: Tensor, pairs: Sequence[Correspondence]) -> tuple[float, float]:
    """Mean squared residual over twice the variance, and alone, of one object's maps (N, C, h, w)."""
    values = torch.cat([values_at_target(maps, pair) for pair in pairs])
    residual = values - torch.cat([values_from_source(maps, pair) for pair in pairs])
    square = residual.square().mean()
    return float(square / (2 * values.var(dim=0).mean())), float(square)


def _spectrum(maps: Sequence[Tensor], objects: Sequence[_Object]) -> tuple[Band, ...]:
    """Residual and signal power by frequency, both masked to the corresponding cells, over all objects."""
    residual_power, signal_power = torch.zeros(len(BANDS)), torch.zeros(len(BANDS))
    for m, item in zip(maps, objects, strict=True):
        mean = torch.cat([values_at_target(m, pair) for pair in item.pairs]).mean(dim=0)
        for pair in item.pairs:
            values = values_at_target(m, pair)
            residual_power += _power(values - values_from_source(m, pair), pair, m)
            signal_power += _power(values - mean, pair, m)
    ratios = (residual_power / (2 * signal_power).clamp(min=1e-12)).tolist()
    return tuple(Band(low, high, ratio) for (low, high), ratio in zip(BANDS, ratios, strict=True))


def _power(values: Tensor, pair: Correspondence, maps: Tensor) -> Tensor:
    """Power in each band of values (P, C) at a pair's cells, zero elsewhere."""
    picture = torch.zeros_like(maps[0])
    picture[:, pair.cells[:, 0], pair.cells[:, 1]] = values.T
    power = torch.fft.fft2(picture, norm="ortho").abs().square().sum(dim=0)
    rows, columns = (torch.fft.fftfreq(size) for size in picture.shape[1:])
    frequency = (rows[:, None].square() + columns.square()).sqrt()
    return torch.stack([power[(frequency >= low) & (frequency < high)].sum() for low, high in BANDS])


def _shift_errors(code: Code, images: Tensor, *, factor: int) -> tuple[float, ...]:
    """Errors of the codes of images shifted by each of `SHIFTS` against interpolated codes, over rows and columns."""
    errors: list[list[float]] = [[] for _ in SHIFTS]
    for dimension in (2, 3):
        length = images.shape[dimension] - factor
        start, whole = (code(images.narrow(dimension, begin, length)) for begin in (0, factor))
        for shift, found in zip(SHIFTS, errors, strict=True):
            pixels = round(shift * factor)
            between = code(images.narrow(dimension, pixels, length))
            expected = torch.lerp(start, whole, pixels / factor)
            found.append(_relative(between - expected, start))
    return tuple(map(_mean, errors))


def _scale_error(code: Code, images: Tensor, original: Tensor, *, factor: int) -> float:
    """Error of the code of smaller images against the smaller code; `original` is that of the images."""
    height, width = (max(1, round(SCALE * side)) for side in original.shape[2:])

    def shrunk(maps: Tensor, unit: int) -> Tensor:
        size = (height * unit, width * unit)
        return interpolate(maps, size=size, mode="bilinear", antialias=True, align_corners=False)

    return _relative(code(shrunk(images, factor)) - shrunk(original, 1), original)


def _encoded(autoencoder: Autoencoder, images: Tensor) -> Tensor:
    """Latents of images, both on the CPU, by an autoencoder on any device."""
    return autoencoder.encode_batches(images.to(autoencoder.latent_mean.device)).cpu()


def _noise_psnr(autoencoder: Autoencoder, latents: Tensor) -> float:
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    clean, noisy = (
        autoencoder.decode_batches(values.to(autoencoder.latent_mean.device)).cpu()
        for values in (latents, latents + NOISE * noise)
    )
    return float(psnr(noisy, clean).mean())


def _relative(residual: Tensor, maps: Tensor) -> float:
    """Mean squared residual over twice the variance of maps (N, C, h, w)."""
    variance = maps.transpose(0, 1).flatten(1).var(dim=1).mean()
    return float(residual.square().mean() / (2 * variance))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
