from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from helpers.sphere_scene import SIZE, sphere_scene
from latentfields.autoencoders import awareness
from latentfields.autoencoders.autoencoder import Autoencoder, Codec, LatentStatistics
from latentfields.autoencoders.awareness import BANDS, SHIFTS, AwarenessScore, score_awareness
from latentfields.autoencoders.score import score_autoencoder, summary_lines
from latentfields.errors import InputError

PLAIN = LatentStatistics((0.0,) * 3, (1.0,) * 3)


class MeanColors(nn.Module):
    """An encoder whose latents are mean colours, with a chosen amount of noise that differs between images."""

    channels, factor = 3, 4

    def __init__(self, *, noise: float = 0.0, scale: float = 1.0) -> None:
        super().__init__()
        self.noise, self.scale = noise, scale
        self.generator = torch.Generator().manual_seed(0)

    def encode(self, images: Tensor) -> tuple[Tensor, None]:
        means = torch.nn.functional.avg_pool2d(images, self.factor)
        return self.scale * (means + self.noise * torch.randn(means.shape, generator=self.generator)), None

    def decode(self, latents: Tensor) -> Tensor:
        return torch.nn.functional.interpolate(latents / self.scale, scale_factor=self.factor)


class Corners(MeanColors):
    """Latents are the colours of one pixel of every cell: as aliased as can be."""

    def encode(self, images: Tensor) -> tuple[Tensor, None]:
        return images[..., :: self.factor, :: self.factor], None


def score(codec: nn.Module, **options: Any) -> AwarenessScore:
    return score_awareness(Autoencoder(cast(Codec, codec), PLAIN, name="test"), [sphere_scene(**options)])


@pytest.fixture(scope="module")
def floor() -> AwarenessScore:
    return score(MeanColors())


def test_mean_colours_score_as_the_floor(floor: AwarenessScore) -> None:
    assert floor.latents == floor.pixels
    assert 0 < floor.latents.inconsistency < 0.02
    assert (floor.scenes, floor.autoencoder) == (1, "test")
    assert floor.points > awareness.FEWEST_POINTS


def test_noise_alone_is_near_chance(floor: AwarenessScore) -> None:
    """Independent noise of variance 1, of which bilinear lookup averages some: (1 + about 0.5) / 2."""
    noisy = score(MeanColors(noise=1e3)).latents
    assert 0.6 < noisy.inconsistency < 0.95
    assert all(0.5 < band.inconsistency < 1.3 for band in noisy.spectrum)
    assert all(error > 0.5 for error in noisy.shift_errors)
    assert noisy.scale_error > 0.3


def test_more_noise_scores_worse(floor: AwarenessScore) -> None:
    scores = [score(MeanColors(noise=noise)).latents for noise in (0.0, 0.05, 0.2, 0.8)]
    for better, worse in itertools.pairwise(scores):
        assert better.inconsistency < worse.inconsistency
        assert better.scale_error < worse.scale_error
        assert better.shift_errors < worse.shift_errors
    assert scores[0].inconsistency == floor.pixels.inconsistency


def test_the_scale_of_latents_does_not_matter(floor: AwarenessScore) -> None:
    large = score(MeanColors(scale=10.0)).latents
    assert large.inconsistency == pytest.approx(floor.latents.inconsistency, rel=1e-4)
    assert large.rmse == pytest.approx(10 * floor.latents.rmse, rel=1e-4)
    for a, b in zip(large.spectrum, floor.latents.spectrum, strict=True):
        assert a.inconsistency == pytest.approx(b.inconsistency, rel=1e-3)


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_latents_of_small_amplitude_are_sensitive_to_noise(scale: float) -> None:
    """Noise of 0.1 on latents is noise of 0.1 / scale on pixels; what leaves [0, 1] on the white background is cut."""
    half_of_white = 10 * torch.log10(torch.tensor(2.0))
    found = score(MeanColors(scale=scale)).noise_psnr
    whole = -20 * torch.log10(torch.tensor(awareness.NOISE / scale))
    assert whole - 0.2 < found < whole + half_of_white


def test_aliased_latents_fail_shifts_and_scaling(floor: AwarenessScore) -> None:
    aliased = score(Corners()).latents
    assert aliased.shift_errors > tuple(2 * error for error in floor.latents.shift_errors)
    assert aliased.scale_error > 2 * floor.latents.scale_error


def test_shifts_of_a_linear_ramp_are_exact() -> None:
    ramp = torch.linspace(0, 1, SIZE).expand(2, 3, SIZE, SIZE)
    code = lambda images: torch.nn.functional.avg_pool2d(images, 4)  # noqa: E731
    expected = pytest.approx([0.0] * len(SHIFTS), abs=1e-10)
    assert list(awareness._shift_errors(code, ramp, factor=4)) == expected


def test_bands_cover_the_spectrum_once(floor: AwarenessScore) -> None:
    assert BANDS[0][0] == 0
    assert BANDS[-1][1] > 0.5 * 2**0.5
    assert all(low[1] == high[0] for low, high in itertools.pairwise(BANDS))
    assert [(band.low, band.high) for band in floor.latents.spectrum] == list(BANDS)


def test_statistics_are_measured_where_there_are_none() -> None:
    autoencoder = Autoencoder(cast(Codec, MeanColors()), None, name="new")
    score_awareness(autoencoder, [sphere_scene()])
    assert autoencoder.has_statistics


def test_scenes_without_depth_or_overlap_are_refused() -> None:
    autoencoder = Autoencoder(cast(Codec, MeanColors()), PLAIN, name="test")
    with pytest.raises(InputError, match="no depth maps"):
        score_awareness(autoencoder, [replace(sphere_scene(), depth=None)])
    with pytest.raises(InputError, match="share fewer"):
        score_awareness(autoencoder, [sphere_scene(views=2)])


@pytest.mark.slow
def test_score_by_name_on_generated_objects(autoencoder_folder: Path) -> None:
    result = score_autoencoder(str(autoencoder_folder), scenes=(), objects=1, views=16, size=64)
    assert result.scenes == 3
    assert 0 < result.pixels.inconsistency < result.latents.inconsistency
    lines = summary_lines(result)
    assert len(lines) == 4 + len(BANDS) + len(SHIFTS) + 1
    assert f"{result.noise_psnr:.2f} dB" in lines[-2]
    assert f"{result.latents.inconsistency:.4f}" in lines[1]


def test_score_by_name_refuses_sizes_that_do_not_fit(autoencoder_folder: Path) -> None:
    with pytest.raises(InputError, match="multiple of the factor"):
        score_autoencoder(str(autoencoder_folder), scenes=(), objects=1, views=4, size=33)


def test_images_go_where_the_autoencoder_is(autoencoder: Autoencoder) -> None:
    """To the device `meta`, which refuses tensors of any other; its results cannot be looked at."""
    with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor"):
        score_awareness(autoencoder.clone().to("meta"), [sphere_scene()])
