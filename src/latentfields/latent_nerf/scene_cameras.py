"""The cameras of a scene without its pictures: what renders, exports and films need of a capture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.scenes.scene import Scene


@dataclass(frozen=True)
class SceneCameras:
    """Cameras at the run's resolution, on whole latents, with their names and splits."""

    cameras: Cameras
    """N cameras in the scene's normalised frame."""
    splits: Mapping[str, Tensor]
    """Indices (int64) of the views in "train", "val" and "test"; val may be empty."""
    names: tuple[str, ...]
    """N names of the pictures, relative to the scene's folder."""

    @classmethod
    def of(cls, scene: Scene) -> SceneCameras:
        """The views of `scene`."""
        return cls(cameras=scene.cameras, splits=scene.splits, names=scene.image_names)

    @property
    def training_cameras(self) -> Cameras:
        """The cameras that the run was fitted to."""
        return self.cameras[self.splits["train"]]
