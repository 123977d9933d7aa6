"""Pictures of studies for their pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from latentfields.bench.rows import Row
from latentfields.pages.report import Picture, PictureGroup, PictureRow


def first_views(
    rows: Sequence[Row], folder: Path, *, groups: Sequence[str], methods: Sequence[str]
) -> list[PictureGroup]:
    """Return truth and rendering of the first test view of fits, whose label `picture` is a file in `folder`.

    `groups` are the labels that pictures of a group share, `methods` those that tell them apart, where they have them.
    """
    found: dict[str, list[PictureRow]] = {}
    for row in rows:
        if (pair := read_picture("", folder / row.labels["picture"])) is not None:
            truth, decoded = np.split(pair.pixels, 2, axis=1)
            pictures = Picture("truth", truth), Picture("decoded", decoded)
            title, method = (
                ", ".join(filter(None, map(row.labels.get, names))) for names in (groups, methods)
            )
            found.setdefault(title, []).append(PictureRow(method, pictures))
    return [PictureGroup(title, tuple(shown)) for title, shown in found.items()]


def read_picture(label: str, path: Path) -> Picture | None:
    """Return a PNG file as a picture; None where somebody has tidied it away."""
    if not path.is_file():
        return None
    with Image.open(path) as image:
        return Picture(label, np.asarray(image.convert("RGB")))
