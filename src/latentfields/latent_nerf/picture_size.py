"""How large pictures and films of a run are, and how that size comes about."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from PIL import Image

from latentfields.cameras import Cameras
from latentfields.config.checks import Range, require
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.pages.pictures import Pixels

FILM_SIZE = 512
"""Longer side of films, in pixels, where none is asked for and the run's pictures are smaller."""
LARGEST = 8192
PICTURE_SIDE = Range(low=16, high=LARGEST)
"""Longer sides of pictures that can be asked for, in pixels."""


@dataclass(frozen=True)
class PictureSize:
    """The cameras that are rendered, and the size of what is written."""

    cameras: Cameras
    """N cameras; their pictures are rendered."""
    width: int
    """Of what is written, in pixels."""
    height: int

    @classmethod
    def of(cls, model: SceneModel, cameras: Cameras, size: int | None, *, film: bool) -> PictureSize:
        """Pictures whose longer side has `size` pixels; by default the cameras' own, in films at least `FILM_SIZE`.

        Where a larger size is asked for, a `model` of colours is rendered so finely. Decoders know the scale that they
        were aligned at: their pictures are enlarged, as are films that nobody gave a size, which a line says. Raises
        ArgumentError for sizes of less than 16 or more than `LARGEST` pixels.
        """
        if size is not None:
            require("size", size, PICTURE_SIDE)
        longer = max(cameras.width, cameras.height)
        wanted = size or (max(longer, FILM_SIZE) if film else longer)
        scale = wanted / longer
        width, height = (max(1, round(scale * side)) for side in (cameras.width, cameras.height))
        if size is not None and scale > 1 and model.autoencoder is None:
            return cls(cameras.resized(width=width, height=height), width, height)
        if scale > 1:
            finer = model.autoencoder is None
            logging.getLogger(__name__).info(
                "Pictures of %dx%d are enlarged to %dx%d%s.",
                cameras.width,
                cameras.height,
                width,
                height,
                "; `size` renders them as finely as it says" if finer else "",
            )
        return cls(cameras, width, height)

    def fitted(self, pixels: Pixels) -> Pixels:
        """A rendered picture (h, w, 3) as it is written, (height, width, 3), resampled by a Lanczos filter."""
        if pixels.shape[:2] == (self.height, self.width):
            return pixels
        size = (self.width, self.height)
        return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
