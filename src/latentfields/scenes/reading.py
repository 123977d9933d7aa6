"""How a scene's folder is read. Free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Format = Literal["auto", "blender", "igae", "nerfstudio", "colmap"]

WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Reading:
    """What `load_scene` is asked for beside the folder and the size of its images."""

    format: Format = "auto"
    """Layout of the folder."""
    use_masks: bool = True
    """Whether masks take the place of the alpha channel."""
    background: tuple[float, float, float] = WHITE
    """Colour in [0, 1] behind images with alpha."""
