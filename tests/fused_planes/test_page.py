"""The page of a collection: objects below each other, each in one row."""

from __future__ import annotations

import torch

from latentfields.fused_planes.page import VIEWS_SHOWN, Pictured


def test_an_object_is_a_row_of_views_beside_their_renderings() -> None:
    truth = torch.rand(VIEWS_SHOWN + 2, 3, 8, 8)
    row = Pictured("mug-1", truth, 1 - truth).row()
    assert row.label == "mug-1"
    assert [picture.label for picture in row.pictures if picture is not None] == [
        "truth",
        "rendered",
    ] * VIEWS_SHOWN
    for index in range(VIEWS_SHOWN):
        here, rendered = row.pictures[2 * index], row.pictures[2 * index + 1]
        assert here is not None
        assert rendered is not None
        total = here.pixels.astype(int) + rendered.pixels
        assert ((total - 255) ** 2 <= 1).all()
    assert len(Pictured("mug-2", truth[:1], truth[:1]).row().pictures) == 2
