"""Configuration of reading a scene's folder. Free of heavy imports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Masks = Literal["object", "ignore", "none"]
"""What masks mean: what they leave out is empty space, or was not observed; or they are not read."""

Bounds = Literal["object", "scene"]
"""What a field covers: the cube around an object, or all space, of which that cube is the middle."""

SceneKind = Literal["object", "capture"]
"""What a scene is to fits that nobody described: something in a box, or of unknown place (object); or a place without
bounds of which sparse points are known, as photographs of a room or a street are (capture)."""

ChosenBounds = Literal["auto", "object", "scene"]
"""The same, or auto: an object where pictures have alpha, or masks for it, and where the points that parallel cameras
see have an end; otherwise a scene."""

Points = Literal["any", "listed"]
"""Which sparse points are read: also those of a COLMAP model that lies beside other files of poses and agrees with
them; or those alone that the scene's own files name."""

Split = Literal["own", "llff"]
"""Which views are tested on: as the data set says, or every eighth where it says nothing; or every eighth by name in
any case, and all others train, as in the protocol for NeRF-LLFF."""

WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Reading:
    """The arguments of `load_scene` beside the folder and the size of its images."""

    format: str = "auto"
    """Name of the folder's reader; auto: the first one that recognises it."""
    masks: Masks = "object"
    """What masks say of the pixels that they leave out: background, in place of the alpha channel; nothing; or they
    are not read."""
    background: tuple[float, float, float] = WHITE
    """Colour in [0, 1] behind images with alpha."""
    model: str | None = None
    """Folder of a COLMAP model, in the scene's folder or elsewhere; None: where it is looked for."""
    follow_links: bool = False
    """Links that lead out of the scene's folder are followed."""
    bounds: ChosenBounds = "auto"
    """What fields cover, and what the normalised frame is therefore made around."""
    points: Points = "any"
    """Which sparse points are read."""
    split: Split = "own"
    """Which views are tested on."""
    train_views: int | None = None
    """Of the training views, so many, evenly spread, are left to fit to; None: all."""

    @classmethod
    def earlier(cls) -> Reading:
        """The reading of versions before 0.2, by default: no scene without bounds, no points beside files of poses."""
        return cls(bounds="object", points="listed")

    @staticmethod
    def from_earlier(values: Mapping[str, Any]) -> dict[str, Any]:
        """The JSON form of a reading as versions before 0.2 wrote it, brought up to date."""
        named = {True: "object", False: "none"}
        return {
            "bounds": "object",
            "points": "listed",
            **{name: value for name, value in values.items() if name != "use_masks"},
            **({"masks": named.get(values["use_masks"])} if "use_masks" in values else {}),
        }
