"""Learning rates in closed form."""

import pytest
import torch

from latentfields.training.schedules import cosine_decay, set_learning_rates, with_peaks


@pytest.mark.parametrize("final", [0.0, 0.25, 1.0])
def test_a_cosine_falls_from_the_peak_to_its_end(final: float) -> None:
    assert cosine_decay(0.0, final=final) == 1.0
    assert cosine_decay(1.0, final=final) == pytest.approx(final)
    assert cosine_decay(0.5, final=final) == pytest.approx((1 + final) / 2)
    assert cosine_decay(1 / 3, final=final) == pytest.approx(final + 0.75 * (1 - final))


def test_learning_rates_are_fractions_of_the_peaks_of_their_groups() -> None:
    parameters = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    groups = [{"params": parameters[:1], "lr": 0.2}, {"params": parameters[1:], "lr": 0.4, "decay": 0.25}]
    optimizer = with_peaks(torch.optim.SGD(groups))
    for _ in range(2):  # Setting them twice is as setting them once.
        set_learning_rates(optimizer, 0.5)
        assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2]
    set_learning_rates(optimizer, 0.5, progress=0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.1]
