import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from latentfields.autoencoders.linear_codec import (
    balanced_rotation,
    linear_reconstruction,
    patches_of,
    principal_components,
)


def smooth_images(seed: int, *, count: int = 6, size: int = 16) -> Tensor:
    """Images whose patches are far from isotropic."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(count, 3, size // 4, size // 4, generator=generator)
    smooth = torch.nn.functional.interpolate(noise, size=size, mode="bilinear", align_corners=False)
    return 0.9 * smooth + 0.1 * torch.rand(count, 3, size, size, generator=generator)


def test_patches_are_the_squares_of_the_image() -> None:
    images = smooth_images(0)
    patches = patches_of(images, factor=4)
    assert patches.shape == (6 * 16, 48)
    torch.testing.assert_close(patches[16 + 4 + 2].view(3, 4, 4), images[1, :, 4:8, 8:12])


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**31 - 1), channels=st.integers(1, 12))
def test_the_codec_is_as_good_as_a_linear_one_can_be(seed: int, channels: int) -> None:
    images = smooth_images(seed)
    mean, basis = principal_components(images, factor=4, channels=channels)
    flat = basis.flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(channels), atol=1e-5, rtol=0)
    error = (linear_reconstruction(images, mean, basis) - images).square().sum()
    patches = patches_of(images, factor=4).double()
    singular = torch.linalg.svdvals(patches - patches.mean(dim=0))
    # Eckart and Young: the singular values left out are all that is lost.
    assert float(error) == pytest.approx(float(singular[channels:].square().sum()), rel=1e-3)


def test_all_channels_lose_nothing() -> None:
    images = smooth_images(1)
    mean, basis = principal_components(images, factor=4, channels=48)
    torch.testing.assert_close(linear_reconstruction(images, mean, basis), images, atol=1e-5, rtol=0)


def test_equal_data_give_equal_codecs_whatever_the_order() -> None:
    images = smooth_images(2)
    _, basis = principal_components(images, factor=4, channels=4)
    _, again = principal_components(images.flip(0), factor=4, channels=4)
    torch.testing.assert_close(basis, again, atol=1e-4, rtol=0)
    assert (basis.flatten(1).sum(dim=1) >= 0).all()


@pytest.mark.parametrize("channels", [1, 2, 7, 16])
def test_the_rotation_is_orthogonal_and_shares_out_the_first_component(channels: int) -> None:
    rotation = balanced_rotation(channels)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(channels), atol=1e-6, rtol=0)
    torch.testing.assert_close(rotation[:, 0].abs(), torch.full((channels,), channels**-0.5))
