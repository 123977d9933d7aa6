import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from latentfields.igae import losses
from latentfields.igae.config import IgaeWeightsConfig

WEIGHTS = IgaeWeightsConfig(
    latent=2.0, rgb=3.0, tv_planes=5.0, ae_synthetic=7.0, ae_real=11.0, perceptual=13.0, tv_latents=17.0
)


@pytest.mark.parametrize(
    "loss",
    [
        losses.latent_loss,
        losses.rgb_loss,
        losses.synthetic_autoencoder_loss,
        losses.photo_reconstruction_loss,
    ],
)
def test_squared_norms_are_means_over_elements(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    a = torch.full((2, 3, 4, 5), 0.75)
    assert float(loss(a, a - 0.5)) == 0.25
    assert float(loss(a, a)) == 0.0


def test_equations_8_10_11_12_add_up() -> None:
    one = torch.tensor(1.0)
    assert float(losses.regularisation_3d(one, one, one, WEIGHTS)) == 2 + 3 + 5
    real = losses.real_autoencoder_loss(one, one, one, WEIGHTS)
    assert float(real) == 1 + 13 + 17
    assert float(losses.preservation_loss(one, real, WEIGHTS)) == 7 + 11 * 31
    assert float(losses.igae_loss(2 * one, 3 * one)) == 5.0


def test_latent_variation_is_the_length_of_differences_per_element() -> None:
    """Two channels that rise by 3 and 4 a pixel: every difference along rows has the 2-norm 5, others are 0."""
    ramp = torch.arange(6.0).expand(5, 6)
    latents = torch.stack([3 * ramp, 4 * ramp])[None]
    assert float(losses.latent_total_variation(latents)) == pytest.approx(5 / 2, rel=1e-5)


def test_latent_variation_does_not_depend_on_batch_or_resolution() -> None:
    ramp = torch.arange(32.0).expand(32, 32)[None, None]
    small, large = ramp[..., :8, :8], ramp.repeat(3, 1, 1, 1)
    assert float(losses.latent_total_variation(small)) == pytest.approx(
        float(losses.latent_total_variation(large)), rel=1e-5
    )
    assert math.isclose(float(losses.latent_total_variation(ramp)), 1.0, rel_tol=1e-5)


def test_latent_variation_of_the_paper_sums_lengths() -> None:
    """Eq. 13 of the ramp above: 5 x 5 differences of length 5, over 5 x 6 latents, whatever the batch."""
    ramp = torch.arange(6.0).expand(5, 6)
    latents = torch.stack([3 * ramp, 4 * ramp])[None].repeat(3, 1, 1, 1)
    assert float(losses.latent_total_variation(latents, "paper")) == pytest.approx(125 / 30, rel=1e-5)


def object_latents(*, offset: float = 0.0, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """A view whose left half shows an object with unit variance, on a background of 5."""
    latents = torch.full((2, 3, 4, 6), 5.0)
    pattern = torch.tensor([1.0, -1.0, 1.0, -1.0]).view(4, 1).expand(4, 3)
    latents[..., :3] = scale * pattern + offset
    opacity = torch.zeros(2, 1, 4, 6)
    opacity[..., :3] = 1.0
    return latents, opacity


def test_relative_latent_loss_is_the_error_over_the_variance() -> None:
    encoded, opacity = object_latents(offset=7.0)
    rendered = encoded.clone()
    rendered[..., :3] -= 0.5
    value = float(losses.relative_latent_loss(encoded, rendered, opacity))
    assert value == pytest.approx(0.25 / (1 + losses.SMALLEST_VARIANCE), rel=1e-5)


def test_relative_latent_loss_keeps_the_plain_error_on_the_background() -> None:
    encoded, opacity = object_latents()
    rendered = encoded.clone()
    rendered[..., 3:] += 0.5
    assert float(losses.relative_latent_loss(encoded, rendered, opacity)) == pytest.approx(0.25 / 2)


def test_less_contrast_lowers_the_plain_loss_but_not_the_relative_one() -> None:
    encoded, opacity = object_latents(scale=20.0)
    small, _ = object_latents(scale=10.0)
    noise = torch.randn(2, 3, 4, 3, generator=torch.Generator().manual_seed(0))
    rendered, small_rendered = encoded.clone(), small.clone()
    rendered[..., :3] += noise
    small_rendered[..., :3] += noise / 2
    plain = [float(losses.latent_loss(a, b)) for a, b in ((encoded, rendered), (small, small_rendered))]
    assert plain[1] == pytest.approx(plain[0] / 4)
    relative = [
        float(losses.relative_latent_loss(a, b, opacity))
        for a, b in ((encoded, rendered), (small, small_rendered))
    ]
    assert relative[1] == pytest.approx(relative[0], rel=1e-3)


def test_terms_of_correspondences_have_weights_of_their_own() -> None:
    weights = IgaeWeightsConfig(correspondence=0.5, exchange=3.0)
    one, ten = torch.tensor(1.0), torch.tensor(10.0)
    assert float(losses.correspondence_regularisation(one, ten, weights)) == 30.5


def test_views_without_an_object_are_background() -> None:
    latents = torch.zeros(1, 2, 3, 3)
    value = losses.relative_latent_loss(latents, latents + 2.0, torch.zeros(1, 1, 3, 3))
    assert float(value) == pytest.approx(4.0)
