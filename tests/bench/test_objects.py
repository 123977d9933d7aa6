"""What studies of objects share."""

from pathlib import Path

import numpy as np

from latentfields.bench.objects import first_views
from latentfields.bench.rows import Row
from latentfields.pages.pictures import save_png


def test_truth_and_rendering_are_shown_side_by_side_where_there_are_pictures(tmp_path: Path) -> None:
    pair = np.zeros((4, 8, 3), np.uint8)
    pair[:, 4:] = 255
    save_png(tmp_path / "a.png", pair)
    rows = [Row({"family": "vases", "space": name, "picture": f"{name}.png"}, {}) for name in ("a", "b")]
    (group,) = first_views(rows, tmp_path, groups=("family",), methods=("field", "space"))
    ((label, (truth, decoded)),) = [(row.label, row.pictures) for row in group.rows]
    assert (group.title, label) == ("vases", "a")
    assert truth is not None
    assert decoded is not None
    assert (truth.pixels.max(), decoded.pixels.min()) == (0, 255)
