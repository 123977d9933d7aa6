"""Measures of every table: LPIPS on both networks where it can be had, a sentence where not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from latentfields.measures import standard
from latentfields.measures.perceptual import Unavailable


def distance(images: Tensor, targets: Tensor) -> Tensor:
    return (images - targets).abs().mean(dim=(1, 2, 3))


@pytest.mark.parametrize(
    ("reasons", "names", "notes"),
    [
        ({}, {"lpips", "lpips_vgg"}, []),
        ({"vgg": "B"}, {"lpips"}, ["LPIPS (vgg) was not computed because B."]),
        ({"alex": "A", "vgg": "A"}, set(), ["LPIPS was not computed because A."]),
        (
            {"alex": "A", "vgg": "B"},
            set(),
            ["LPIPS (alex) was not computed because A.", "LPIPS (vgg) was not computed because B."],
        ),
    ],
)
def test_lpips_of_both_networks_or_a_sentence(
    reasons: dict[str, str], names: set[str], notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        standard, "load_lpips", lambda net: Unavailable(reasons[net]) if net in reasons else distance
    )
    measures, found = standard.image_measures()
    assert found == notes
    assert measures.keys() - {"psnr", "ssim", "ms_gmsd"} == names
    for name in names:
        images = torch.rand(2, 3, 16, 16)
        assert measures[name](images, images).tolist() == [0, 0]
