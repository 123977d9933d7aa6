import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentfields.bench.summary import Spread, gains


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8))
def test_mean_and_spread_are_the_usual_ones(values: list[float]) -> None:
    spread = Spread.of(values)
    assert spread.mean == pytest.approx(statistics.fmean(values), abs=1e-9)
    assert spread.deviation == pytest.approx(statistics.stdev(values), abs=1e-6)
    assert spread.count == len(values)


def test_one_measurement_has_no_spread() -> None:
    assert str(Spread.of([2.5])) == "2.50"
    assert str(Spread.of([1.0, 3.0])) == "2.00 ± 1.41"


def test_gains_are_paired() -> None:
    assert gains([3.0, 1.0], [1.0, 2.0]) == [2.0, -1.0]
    with pytest.raises(ValueError, match="argument 2"):
        gains([1.0], [1.0, 2.0])
