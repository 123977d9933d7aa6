import json
import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latentfields.measures.metrics import LATENT_RANGE, PSNR_CEILING, Scores, psnr, rmse, ssim, whole_cells


def random_pair(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)


def direct_ssim(image: Tensor, target: Tensor, *, data_range: float, window: tuple[int, int]) -> float:
    """SSIM of two (H, W) by its definition: one weighted mean, variance and covariance per window."""
    rows, columns = (
        torch.exp(-((torch.arange(n, dtype=torch.float64) - n // 2) ** 2) / (2 * 1.5**2)) for n in window
    )
    weights = torch.outer(rows / rows.sum(), columns / columns.sum())
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    values = []
    for top in range(image.shape[0] - window[0] + 1):
        for left in range(image.shape[1] - window[1] + 1):
            inside = slice(top, top + window[0]), slice(left, left + window[1])
            x, y = image[inside].double(), target[inside].double()
            mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
            var_x, var_y = (weights * (x - mean_x) ** 2).sum(), (weights * (y - mean_y) ** 2).sum()
            covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
            value = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
            values.append(float(value * (2 * covariance + c2) / (var_x + var_y + c2)))
    return sum(values) / len(values)


def test_psnr_of_known_errors_per_image() -> None:
    targets = torch.zeros(3, 3, 8, 8)
    images = targets + torch.tensor([0.1, 0.01, 1.0]).view(3, 1, 1, 1)
    torch.testing.assert_close(psnr(images, targets), torch.tensor([20.0, 40.0, 0.0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(rmse(images, targets), torch.tensor([0.1, 0.01, 1.0]))


@settings(deadline=None, max_examples=20)
@given(scale=st.floats(0.01, 100), seed=st.integers(0, 1000))
def test_psnr_does_not_depend_on_the_unit(scale: float, seed: int) -> None:
    images, targets = random_pair(2, 3, 6, 7, seed=seed)
    scaled = psnr(images * scale, targets * scale, data_range=scale)
    torch.testing.assert_close(scaled, psnr(images, targets), atol=1e-3, rtol=0)


def test_psnr_of_equal_images_is_the_ceiling_with_a_finite_gradient() -> None:
    images = torch.full((1, 3, 4, 4), 0.5, requires_grad=True)
    value = psnr(images, torch.full((1, 3, 4, 4), 0.5))
    value.sum().backward()
    assert value.item() == pytest.approx(PSNR_CEILING)
    assert images.grad is not None
    assert images.grad.isfinite().all()


def test_psnr_does_not_hide_broken_values() -> None:
    images, targets = random_pair(2, 3, 4, 4)
    images[0, 0, 0, 0] = math.nan
    assert psnr(images, targets).isnan().tolist() == [True, False]


def test_predicting_the_mean_latent_scores_the_documented_psnr() -> None:
    latents = torch.randn(4, 16, 32, 32, generator=torch.Generator().manual_seed(0))
    value = psnr(torch.zeros_like(latents), latents, data_range=LATENT_RANGE)
    torch.testing.assert_close(value, torch.full((4,), 15.56), atol=0.15, rtol=0)


@pytest.mark.parametrize(
    ("size", "window"), [((14, 17), (11, 11)), ((11, 11), (11, 11)), ((16, 8), (11, 7)), ((3, 10), (3, 9))]
)
@pytest.mark.parametrize("data_range", [1.0, 6.0])
def test_ssim_equals_its_definition(
    size: tuple[int, int], window: tuple[int, int], data_range: float
) -> None:
    images, targets = random_pair(2, 3, *size)
    channels = zip(images.flatten(0, 1), targets.flatten(0, 1), strict=True)
    direct = torch.tensor([direct_ssim(i, t, data_range=data_range, window=window) for i, t in channels])
    expected = direct.view(2, 3).mean(dim=1)
    torch.testing.assert_close(ssim(images, targets, data_range=data_range), expected, atol=2e-5, rtol=0)


@settings(deadline=None, max_examples=20)
@given(
    height=st.integers(1, 20), width=st.integers(1, 20), channels=st.integers(1, 5), seed=st.integers(0, 99)
)
def test_ssim_is_one_for_equal_images_symmetric_and_smaller_otherwise(
    height: int, width: int, channels: int, seed: int
) -> None:
    images, targets = random_pair(2, channels, height, width, seed=seed)
    torch.testing.assert_close(ssim(images, images), torch.ones(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(ssim(images, targets), ssim(targets, images))
    assert (ssim(images, targets) <= 1 + 1e-5).all()


def test_ssim_of_two_flat_images_is_the_luminance_term() -> None:
    value = ssim(torch.full((1, 1, 16, 16), 0.2), torch.full((1, 1, 16, 16), 0.6))
    assert value.item() == pytest.approx((2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4), abs=1e-4)


def test_ssim_has_the_right_gradient_on_small_latents() -> None:
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 2, 12, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    targets = torch.randn(1, 2, 12, 8, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: ssim(z, targets, data_range=LATENT_RANGE), (latents,))


@pytest.mark.parametrize("metric", [psnr, rmse, ssim])
def test_shapes_must_agree(metric: Callable[[Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(ValueError, match="one shape"):
        metric(torch.zeros(2, 3, 16, 16), torch.zeros(1, 3, 16, 16))


def test_scores_keep_every_image_and_average_over_images() -> None:
    batches = [
        {"psnr": torch.tensor([20.0, 30.0]), "ssim": torch.tensor([0.5, 0.75])},
        {"psnr": torch.tensor([40.0]), "ssim": torch.tensor([1.0])},
    ]
    scores = Scores.gather(("a", "b", "c"), batches)
    assert scores.means == {"psnr": 30.0, "ssim": 0.75}
    saved = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    assert saved["mean"]["psnr"] == 30.0
    assert saved["per_image"]["c"] == {"psnr": 40.0, "ssim": 1.0}
    with pytest.raises(ValueError, match="3 values of psnr for 2 images"):
        Scores.gather(("a", "b"), batches)


def test_errors_of_the_pixels_that_count() -> None:
    images, targets = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.5)
    kept = torch.ones(2, 1, 4, 4, dtype=torch.bool)
    images[0, :, 0] = 100.0
    kept[0, :, 0] = False
    assert torch.equal(rmse(images, targets, kept=kept), torch.tensor([0.5, 0.5]))
    assert float(rmse(images, targets)[0]) > 1
    torch.testing.assert_close(psnr(images, targets, kept=kept), psnr(images, targets)[[1, 1]])


def test_cells_count_where_all_their_pixels_do() -> None:
    kept = torch.ones(1, 1, 4, 6, dtype=torch.bool)
    kept[0, 0, 1, 3] = False
    assert whole_cells(kept, 2)[0, 0].tolist() == [[True, False, True], [True, True, True]]
    assert torch.equal(whole_cells(kept, 1), kept)
