"""How a scene's folder is read. Free of heavy imports."""

from __future__ import annotations

from dataclasses import dataclass

WHITE = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Reading:
    """What `load_scene` is asked for beside the folder and the size of its images."""

    format: str = "auto"
    """Name of the folder's reader; auto: the first one that recognises it."""
    use_masks: bool = True
    """Whether masks take the place of the alpha channel."""
    background: tuple[float, float, float] = WHITE
    """Colour in [0, 1] behind images with alpha."""
