"""Changes of latents and of images are the same change: in closed form, for latents that are means of patches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from latentfields.igae.config import Equivariance
from latentfields.igae.equivariance import SMALLEST_IMAGE, LatentTransform, drawn_transform

FACTOR, SIDE = 4, 16


def patch_means(images: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(images, FACTOR)


def ramps() -> Tensor:
    """(2, 3, H, W) double, linear in row and column."""
    row, column = torch.meshgrid(*[torch.arange(FACTOR * SIDE).double()] * 2, indexing="ij")
    slopes = torch.tensor([[[1.0, 0.0], [0.0, 2.0], [0.5, -1.0]], [[-1.0, 3.0], [2.0, 2.0], [0.0, 0.0]]])
    return slopes[..., 0, None, None] * row + slopes[..., 1, None, None] * column


@pytest.mark.parametrize(
    "change",
    [
        LatentTransform(FACTOR),
        LatentTransform(FACTOR, turns=1),
        LatentTransform(FACTOR, turns=2),
        LatentTransform(FACTOR, turns=3, side=SIDE // 2),
        LatentTransform(FACTOR, side=SIDE // 2),
        LatentTransform(FACTOR, offset=(1, 0)),
        LatentTransform(FACTOR, offset=(2, 3)),
    ],
)
def test_changed_latents_are_those_of_changed_images(change: LatentTransform) -> None:
    """Exact for ramps and half the size, where bilinear values are those in between, away from borders."""
    images = ramps()
    latents, expected = change.latents(patch_means(images)), patch_means(change.images(images))
    assert latents.shape == expected.shape
    inner = slice(2, -2)
    torch.testing.assert_close(latents[..., inner, inner], expected[..., inner, inner], atol=1e-9, rtol=1e-9)


def test_turns_are_exact_for_any_picture() -> None:
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    change = LatentTransform(FACTOR, turns=3)
    torch.testing.assert_close(change.latents(patch_means(images)), patch_means(change.images(images)))


def test_a_shifted_image_is_a_window_of_it() -> None:
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert torch.equal(LatentTransform(FACTOR, offset=(3, 1)).images(images), images[:, :, 1:13, 3:15])


def test_gradients_agree_with_finite_differences() -> None:
    latents = torch.rand(1, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    latents.requires_grad_()
    for change in (LatentTransform(2, offset=(1, 1)), LatentTransform(2, turns=1, side=3)):
        assert torch.autograd.gradcheck(change.latents, (latents,))


@pytest.mark.parametrize("kind", ["scale-rotation", "shift", "all"])
def test_drawn_changes_are_of_their_kind_and_of_every_size(kind: Equivariance) -> None:
    random = np.random.default_rng(0)
    drawn = [drawn_transform(kind, factor=FACTOR, side=SIDE, random=random) for _ in range(400)]
    shifted = [change for change in drawn if change.side is None]
    scaled = [change for change in drawn if change.side is not None]
    assert bool(shifted) == (kind != "scale-rotation")
    assert bool(scaled) == (kind != "shift")
    if shifted:
        offsets = {change.offset for change in shifted}
        assert offsets == {(x, y) for x in range(FACTOR) for y in range(FACTOR)} - {(0, 0)}
    if scaled:
        assert {change.turns for change in scaled} == {0, 1, 2, 3}
        assert {change.side for change in scaled} == {*range(SMALLEST_IMAGE // FACTOR, SIDE + 1)}


def test_latents_of_one_pixel_have_no_shift_between_them() -> None:
    change = drawn_transform("shift", factor=1, side=SIDE, random=np.random.default_rng(0))
    assert change == LatentTransform(1)
