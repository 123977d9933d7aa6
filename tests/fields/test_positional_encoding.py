import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfields.fields.positional_encoding import encoded_size, positional_encoding


@settings(deadline=None, max_examples=20)
@given(
    values=st.lists(st.floats(-1, 1), min_size=1, max_size=4),
    octaves=st.integers(0, 10),
    lowest=st.sampled_from([1.0, math.pi]),
)
def test_it_is_equation_4_beside_the_values(values: list[float], octaves: int, lowest: float) -> None:
    expected = list(values)
    for k in range(octaves):
        expected += [math.sin(lowest * 2**k * x) for x in values]
        expected += [math.cos(lowest * 2**k * x) for x in values]
    found = positional_encoding(torch.tensor([values], dtype=torch.float64), octaves=octaves, lowest=lowest)
    assert found[0].tolist() == pytest.approx(expected, abs=1e-9)
    assert found.shape[1] == encoded_size(len(values), octaves=octaves)


def test_the_sizes_of_nerf() -> None:
    assert encoded_size(3, octaves=10) == 63
    assert encoded_size(3, octaves=4) == 27


def test_the_lowest_octave_turns_once_over_the_box() -> None:
    ends = positional_encoding(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), octaves=3)
    torch.testing.assert_close(ends[0, 1:], ends[1, 1:])
    middle = positional_encoding(torch.zeros(1, 1, dtype=torch.float64), octaves=1)
    assert middle[0].tolist() == [0, 0, 1]
    assert ends[0, 2].item() == pytest.approx(-1)


def test_no_points_are_no_rows() -> None:
    assert positional_encoding(torch.zeros(0, 3), octaves=4).shape == (0, 27)
