"""What studies of objects share."""

from pathlib import Path

import numpy as np

from latentfields.bench.igae import IgaeStudyConfig
from latentfields.bench.objects import ObjectsStudy
from latentfields.bench.rows import Row, Rows
from latentfields.bench.study import Study
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


def test_methods_are_shown_side_by_side_and_a_missing_picture_leaves_a_gap(tmp_path: Path) -> None:
    class Methods(Study):
        pictured_by = ("family", "seed")
        told_apart_by = ("views",)
        side_by_side = "method"

    for name, level in (("truth", 0), ("a", 255)):
        save_png(tmp_path / f"{name}.png", np.full((4, 4, 3), level, np.uint8))
    labels = {"family": "vases", "seed": "9", "views": "few"}
    rows = Rows(Row({**labels, "method": name, "picture": f"{name}.png"}, {}) for name in ("b", "a"))
    (group,) = Methods().pictures({"fits": rows}, tmp_path)
    ((label, pictures),) = [(row.label, row.pictures) for row in group.rows]
    assert (group.title, label) == ("vases, 9", "few")
    assert [picture and (picture.label, picture.pixels.max()) for picture in pictures] == [
        ("truth", 0),
        None,
        ("a", 255),
    ]
    assert Methods().pictures({"fits": Rows()}, tmp_path) == []
