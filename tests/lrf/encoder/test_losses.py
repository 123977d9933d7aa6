import pytest
import torch

from latentfields.lrf.encoder.config import EncoderWeightsConfig
from latentfields.lrf.encoder.losses import (
    distance_to_original,
    kl_to_original,
    stage_one_loss,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_kl_is_that_of_torch_and_zero_for_the_original() -> None:
    mean, log_variance = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    other = (normal(2, 3, 4, 4, seed=2), normal(2, 3, 4, 4, seed=3))
    ours = kl_to_original(mean, log_variance, other)
    gaussians = [torch.distributions.Normal(m, (0.5 * v).exp()) for m, v in ((mean, log_variance), other)]
    expected = torch.distributions.kl_divergence(gaussians[0], gaussians[1]).flatten(1).sum(1)
    torch.testing.assert_close(ours, expected)
    torch.testing.assert_close(kl_to_original(*other, other), torch.zeros(2, dtype=torch.float64))


def test_a_step_down_the_regularisation_comes_closer_to_the_original() -> None:
    """The sign of L_reg in Eq. 7: lowering the loss has to preserve the posterior."""
    original = (normal(1, 2, 3, 3), normal(1, 2, 3, 3, seed=1))
    mean = normal(1, 2, 3, 3, seed=2).requires_grad_()
    zero = torch.zeros((), dtype=torch.float64)
    weights = EncoderWeightsConfig(original_kl=1.0)
    before = kl_to_original(mean, original[1], original).mean()
    stage_one_loss(zero, zero, before, weights, variational=True).backward()
    assert mean.grad is not None
    after = kl_to_original(mean.detach() - 0.01 * mean.grad, original[1], original).mean()
    assert after < before


def test_distance_and_kl_agree_up_to_a_constant_for_a_fixed_variance() -> None:
    mean, original = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    log_variance = torch.full_like(mean, -2.0)
    kl = kl_to_original(mean, log_variance, (original, log_variance)).mean()
    expected = 0.5 * mean[0].numel() * distance_to_original(mean, original) / torch.exp(torch.tensor(-2.0))
    torch.testing.assert_close(kl, expected)


@pytest.mark.parametrize(("variational", "expected"), [(False, 1 + 0.5 * 10 + 2 * 100), (True, 1 + 5 + 300)])
def test_every_kind_of_autoencoder_has_its_own_lambda_2(variational: bool, expected: float) -> None:
    weights = EncoderWeightsConfig(correspondence=0.5, original_distance=2.0, original_kl=3.0)
    one, ten, hundred = torch.tensor(1.0), torch.tensor(10.0), torch.tensor(100.0)
    loss = stage_one_loss(one, ten, hundred, weights, variational=variational)
    assert float(loss) == pytest.approx(expected)
