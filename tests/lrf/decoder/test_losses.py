import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentfields.errors import InputError
from latentfields.lrf.decoder.config import DecoderTrainingConfig, latent_field_config
from latentfields.lrf.decoder.losses import alignment_loss, preservation_loss, view_loss


def test_view_loss_is_the_mean_absolute_error() -> None:
    decoded = torch.tensor([[[[0.5, 1.0], [0.0, 0.25]]]]).expand(2, 3, 2, 2)
    images = torch.full((2, 3, 2, 2), 0.5)
    assert float(view_loss(decoded, images)) == pytest.approx((0 + 0.5 + 0.5 + 0.25) / 4)


@given(training=st.floats(0, 1), novel=st.floats(0, 1), first=st.floats(0, 2), second=st.floats(0, 2))
def test_equation_11(training: float, novel: float, first: float, second: float) -> None:
    options = DecoderTrainingConfig(train_weight=first, novel_weight=second)
    loss = alignment_loss(torch.tensor(training), torch.tensor(novel), options)
    assert float(loss) == pytest.approx(first * training + second * novel, abs=1e-6)


def test_the_paper_weighs_both_kinds_of_views_by_a_half() -> None:
    assert (DecoderTrainingConfig().train_weight, DecoderTrainingConfig().novel_weight) == (0.5, 0.5)


def test_preservation_is_the_mean_squared_distance() -> None:
    decoded = torch.tensor([[[[0.5, 1.0], [0.0, 0.25]]]]).expand(2, 3, 2, 2)
    original = torch.full((2, 3, 2, 2), 0.5)
    assert float(preservation_loss(decoded, original)) == pytest.approx((0 + 0.25 + 0.25 + 0.0625) / 4)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0),
        ("training_views", 0),
        ("novel_views", 0),
        ("crop", 0),
        ("novel_weight", -0.5),
        ("preservation_weight", float("nan")),
        ("learning_rate", float("inf")),
    ],
)
def test_values_out_of_range_are_named(field: str, value: float) -> None:
    values: dict[str, Any] = {field: value}
    changed = dataclasses.replace(DecoderTrainingConfig(), **values)
    with pytest.raises(InputError, match=f"^{field}: is {value}; expected at least"):
        changed.check()


@pytest.mark.parametrize("steps", [0, -5])
def test_fits_without_steps_are_refused_by_their_own_option(steps: int) -> None:
    with pytest.raises(InputError, match=f"^steps: is {steps}; expected at least 1$"):
        latent_field_config("gaussians", steps=steps)


def test_latent_fields_take_all_steps_and_align_no_decoder() -> None:
    config = latent_field_config("kplanes", seed=3)
    assert (config.supervision.steps, config.alignment.steps, config.seed) == (2000, 0, 3)
    assert config.subpixels == 1  # As in the paper.
    config = latent_field_config("kplanes", steps=7, subpixels=2)
    assert (config.supervision.steps, config.subpixels) == (7, 2)
