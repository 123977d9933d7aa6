"""Learning rates in closed form."""

import pytest

from latentfields.training.schedules import cosine_decay


@pytest.mark.parametrize("final", [0.0, 0.25, 1.0])
def test_a_cosine_falls_from_the_peak_to_its_end(final: float) -> None:
    assert cosine_decay(0.0, final=final) == 1.0
    assert cosine_decay(1.0, final=final) == pytest.approx(final)
    assert cosine_decay(0.5, final=final) == pytest.approx((1 + final) / 2)
    assert cosine_decay(1 / 3, final=final) == pytest.approx(final + 0.75 * (1 - final))
