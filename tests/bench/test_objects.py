"""What studies of objects share."""

from pathlib import Path

import numpy as np

from latentfields.bench.igae import IgaeStudyConfig
from latentfields.bench.objects import ObjectsStudy
from latentfields.bench.rows import Row, Rows
from latentfields.pages.pictures import save_png


def test_truth_and_rendering_are_shown_side_by_side_where_there_are_pictures(tmp_path: Path) -> None:
    pair = np.zeros((4, 8, 3), np.uint8)
    pair[:, 4:] = 255
    save_png(tmp_path / "a.png", pair)
    rows = [
        Row({"family": "vases", "space": name, "seed": seed, "picture": f"{name}.png"}, {})
        for seed in ("10", "9")
        for name in ("a", "b")
    ]
    (group,) = ObjectsStudy().pictures({"fits": Rows(rows)}, tmp_path)
    ((label, (truth, decoded)),) = [(row.label, row.pictures) for row in group.rows]
    assert (group.title, label) == ("vases", "a")
    assert truth is not None
    assert decoded is not None
    assert (truth.pixels.max(), decoded.pixels.min()) == (0, 255)


def test_every_object_is_shown_where_seeds_are_told_apart(tmp_path: Path) -> None:
    save_png(tmp_path / "a.png", np.zeros((4, 8, 3), np.uint8))
    labels = {"family": "vases", "autoencoder": "base", "field": "", "picture": "a.png"}
    rows = [Row({**labels, "seed": seed}, {}) for seed in ("10", "9")]
    groups = IgaeStudyConfig().pictures({"fits": Rows(rows)}, tmp_path)
    assert [(group.title, [row.label for row in group.rows]) for group in groups] == [
        ("vases, 10", ["base"]),
        ("vases, 9", ["base"]),
    ]
