import itertools
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latentfields.measures.perceptual import (
    Unavailable,
    gmsd,
    gradient_similarity_loss,
    load_lpips,
    multiscale_gmsd,
)

Measure = Callable[[Tensor, Tensor], Tensor]
MEASURES: list[Measure] = [gmsd, multiscale_gmsd, gradient_similarity_loss]


def random_pair(height: int, width: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(2, 3, height, width, generator=generator), torch.rand(
        2, 3, height, width, generator=generator
    )


def luminance(image: Tensor) -> list[list[float]]:
    red, green, blue = image.double().tolist()
    return [
        [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in zip(*rows, strict=True)]
        for rows in zip(red, green, blue, strict=True)
    ]


def halved(luma: list[list[float]]) -> list[list[float]]:
    pixels = torch.tensor(luma, dtype=torch.float64)[: len(luma) // 2 * 2, : len(luma[0]) // 2 * 2]
    return ((pixels[::2, ::2] + pixels[1::2, ::2] + pixels[::2, 1::2] + pixels[1::2, 1::2]) / 4).tolist()


def magnitude(luma: list[list[float]], row: int, column: int) -> float:
    """Prewitt gradient at one pixel, nearest pixels standing in beyond the border."""

    def at(i: int, j: int) -> float:
        return luma[min(max(i, 0), len(luma) - 1)][min(max(j, 0), len(luma[0]) - 1)]

    across = sum(at(row + k, column + 1) - at(row + k, column - 1) for k in (-1, 0, 1)) / 3
    down = sum(at(row + 1, column + k) - at(row - 1, column + k) for k in (-1, 0, 1)) / 3
    return math.hypot(across, down)


def similarities(luma_i: list[list[float]], luma_t: list[list[float]], *, alpha: float) -> Tensor:
    """Gradient magnitude similarity of every pixel by the papers' formula, on the scale of 0 to 255."""
    values = []
    for row, column in itertools.product(range(len(luma_i)), range(len(luma_i[0]))):
        a, b = 255 * magnitude(luma_i, row, column), 255 * magnitude(luma_t, row, column)
        values.append(((2 - alpha) * a * b + 170) / (a * a + b * b - alpha * a * b + 170))
    return torch.tensor(values, dtype=torch.float64)


def test_gmsd_equals_the_published_formula() -> None:
    images, targets = random_pair(18, 21)
    expected = [
        similarities(halved(luminance(i)), halved(luminance(t)), alpha=0.0).std(correction=0)
        for i, t in zip(images, targets, strict=True)
    ]
    torch.testing.assert_close(gmsd(images, targets).double(), torch.stack(expected), atol=2e-4, rtol=0)


def test_multiscale_measures_equal_their_formulas() -> None:
    images, targets = random_pair(16, 19)
    for index in range(2):
        luma_i, luma_t = luminance(images[index]), luminance(targets[index])
        spread, shortfall = 0.0, 0.0
        for weight in (0.096, 0.596, 0.289, 0.019):
            values = similarities(luma_i, luma_t, alpha=0.5)
            spread += weight * float(values.var(correction=0))
            shortfall += weight * float((1 - values).square().mean())
            luma_i, luma_t = halved(luma_i), halved(luma_t)
        pair = images[index : index + 1], targets[index : index + 1]
        assert multiscale_gmsd(*pair).item() == pytest.approx(math.sqrt(spread), abs=2e-4)
        assert gradient_similarity_loss(*pair).item() == pytest.approx(math.sqrt(shortfall), abs=2e-4)


@pytest.mark.parametrize("measure", MEASURES)
def test_equal_images_have_no_distance_and_brightness_does_not_matter(measure: Measure) -> None:
    images, _ = random_pair(32, 32)
    torch.testing.assert_close(measure(images, images), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(measure(images + 0.25, images), torch.zeros(2), atol=1e-5, rtol=0)


@pytest.mark.parametrize("measure", MEASURES)
def test_more_blur_is_worse(measure: Measure) -> None:
    target, _ = random_pair(48, 48)
    target = torch.nn.functional.avg_pool2d(target, 3, stride=1, padding=1)
    distances = [
        measure(torch.nn.functional.avg_pool2d(target, size, stride=1, padding=size // 2), target).mean()
        for size in (1, 3, 5, 9)
    ]
    assert all(earlier < later for earlier, later in itertools.pairwise(distances))


@pytest.mark.parametrize("measure", MEASURES)
def test_gradients_are_finite_on_flat_regions(measure: Measure) -> None:
    target = torch.ones(1, 3, 32, 32)
    target[..., 10:20, 10:20] = 0.3
    for start in (target.clone(), torch.ones_like(target), torch.full_like(target, 0.5)):
        start.requires_grad_()
        measure(start, target).sum().backward()
        assert start.grad is not None
        assert start.grad.isfinite().all()
        # Strongest at one pixel of a few thousand, and yet of the order of one: no step can explode.
        assert start.grad.abs().max() < 10


@pytest.mark.parametrize("measure", MEASURES)
def test_gradients_are_those_of_the_value(measure: Measure) -> None:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 16, 16, generator=generator, dtype=torch.float64, requires_grad=True)
    target = torch.rand(1, 3, 16, 16, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: measure(x, target), (image,), fast_mode=True)


@settings(deadline=None, max_examples=15)
@given(height=st.integers(16, 33), width=st.integers(16, 33), seed=st.integers(0, 99))
def test_the_training_loss_bounds_the_deviation(height: int, width: int, seed: int) -> None:
    pair = random_pair(height, width, seed=seed)
    assert (gradient_similarity_loss(*pair) >= multiscale_gmsd(*pair) - 1e-6).all()


def test_the_training_loss_sees_an_evenly_flattened_image() -> None:
    ramp = torch.arange(64.0).view(1, 1, 1, 64).expand(1, 3, 64, 64) / 10
    # Away from the border a ramp of a tenth of the slope is equally wrong everywhere: no deviation.
    assert gradient_similarity_loss(0.1 * ramp, ramp) > 2 * multiscale_gmsd(0.1 * ramp, ramp)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    ("shape", "other", "problem"),
    [
        ((1, 3, 32, 32), (2, 3, 32, 32), "one shape"),
        ((1, 16, 32, 32), (1, 16, 32, 32), "one shape"),
        ((1, 3, 15, 32), (1, 3, 15, 32), "at least 16 pixels"),
    ],
)
def test_unusable_shapes_are_refused(
    measure: Measure, shape: tuple[int, ...], other: tuple[int, ...], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        measure(torch.zeros(shape), torch.zeros(other))


TORCHVISION = """
class _Entry:
    def __init__(self, url): self.url = url
class AlexNet_Weights: IMAGENET1K_V1 = _Entry("https://example.org/models/alexnet-abc.pth")
class VGG16_Weights: IMAGENET1K_V1 = _Entry("https://example.org/models/vgg16-def.pth")
"""
LPIPS = """
import warnings
import torch
class LPIPS(torch.nn.Module):
    def __init__(self, *, net, verbose):
        super().__init__()
        assert net == "alex" and not verbose
        warnings.warn("'pretrained' is deprecated")
        self.scale = torch.nn.Parameter(torch.tensor(0.25))
    def forward(self, images, targets, *, normalize):
        assert normalize and not self.training and not self.scale.requires_grad
        return self.scale * (images - targets).abs().mean(dim=(1, 2, 3), keepdim=True)
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first on the import path and in torch's hub, with no lpips or torchvision imported yet."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("lpips", "torchvision")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    return tmp_path


def install(folder: Path, *, torchvision: str, lpips: str) -> None:
    (folder / "torchvision").mkdir()
    (folder / "torchvision" / "__init__.py").write_text("")
    (folder / "torchvision" / "models.py").write_text(torchvision)
    (folder / "lpips.py").write_text(lpips)


def test_lpips_without_the_package_says_what_to_install(packages: Path) -> None:
    install(packages, torchvision=TORCHVISION, lpips="import a_package_that_is_nowhere")
    found = load_lpips()
    assert isinstance(found, Unavailable)
    assert "a_package_that_is_nowhere is not installed" in found.reason
    assert "latentfields[lpips]" in found.reason


def test_lpips_beside_a_torchvision_that_cannot_be_imported(packages: Path) -> None:
    message = "operator torchvision::nms does not exist"
    install(packages, torchvision=f"raise RuntimeError('{message}\\nlong trace')", lpips=LPIPS)
    found = load_lpips()
    assert isinstance(found, Unavailable)
    assert message in found.reason
    assert "\n" not in found.reason


def test_lpips_never_downloads_but_names_the_file(packages: Path) -> None:
    install(packages, torchvision=TORCHVISION, lpips="def LPIPS(**_): raise AssertionError('would download')")
    found = load_lpips("vgg")
    assert isinstance(found, Unavailable)
    assert "https://example.org/models/vgg16-def.pth" in found.reason
    assert str(packages / "torch") in found.reason


def test_lpips_with_everything_in_place_is_a_frozen_differentiable_distance(packages: Path) -> None:
    install(packages, torchvision=TORCHVISION, lpips=LPIPS)
    weights = packages / "torch" / "hub" / "checkpoints" / "alexnet-abc.pth"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    distance = load_lpips()
    assert not isinstance(distance, Unavailable)
    images = torch.full((2, 3, 8, 8), 0.5, requires_grad=True)
    values = distance(images, torch.zeros(2, 3, 8, 8))
    torch.testing.assert_close(values.detach(), torch.tensor([0.125, 0.125]))
    values.sum().backward()
    assert images.grad is not None
