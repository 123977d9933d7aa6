"""Markers in the scene, beside the picture: training cameras and the keyframes of a camera path."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import viser
from torch import Tensor

from latentfields.camera_path import CameraPath
from latentfields.cameras import Cameras
from latentfields.pages.pictures import Pixels, to_pixels
from latentfields.viewer.frames import ViewedScene
from latentfields.viewer.poses import browser_rotation, point, vertical_fov

TRAINING_ROOT = "/training"
PATH_ROOT = "/path"
_MOST_PICTURES = 120
"""Of more training views, frustums have no pictures: shrinking them all would keep the browser waiting."""
_THUMBNAIL = 48
"""Longer side of the pictures in frustums, in pixels."""
FRUSTUM = 0.08
"""Length of a frustum at first, in the normalised frame."""
_TOO_NEAR = 0.5
"""Frustums nearer than this are hidden: whoever looks from one would see nothing but its picture."""
_TRAINING_COLOUR = (90, 110, 130)
_PATH_COLOUR = (240, 130, 20)
_CURVE_POINTS = 24
"""Points of the drawn curve per keyframe."""


class TrainingCameras:
    """The training views of one scene as frustums with small pictures; a click on one goes there."""

    def __init__(self, client: viser.ClientHandle, on_click: Callable[[Cameras], None]) -> None:
        """`on_click` gets the one camera that was clicked."""
        self._client, self._on_click = client, on_click
        self._root = client.scene.add_frame(TRAINING_ROOT, show_axes=False)
        self._frustums: list[viser.CameraFrustumHandle] = []
        self._length = FRUSTUM
        self._centers = torch.zeros(0, 3)

    def show_scene(self, scene: ViewedScene) -> None:
        """Replace all frustums by those of a scene."""
        visible = self._root.visible
        self._root.remove()
        self._root = self._client.scene.add_frame(TRAINING_ROOT, show_axes=False, visible=visible)
        pictures = scene.has_images and len(scene.cameras) <= _MOST_PICTURES
        self._frustums, self._centers = [], scene.cameras.centers
        for index in range(len(scene.cameras)):
            picture = thumbnail(scene.images(torch.tensor([index]))) if pictures else None
            self._frustums.append(self._add(index, scene.cameras[[index]], picture))
        self.hide_near(self._client.camera)

    def set_visible(self, visible: bool) -> None:
        """Show or hide all frustums."""
        self._root.visible = visible

    def set_length(self, length: float) -> None:
        """Draw all frustums so long, in the normalised frame."""
        self._length = length
        for frustum in self._frustums:
            frustum.scale = length

    def hide_near(self, camera: viser.CameraHandle) -> None:
        """Hide the frustums that the browser's camera is in or close to."""
        distances = (self._centers - torch.tensor(camera.position)).norm(dim=-1)
        for frustum, far in zip(self._frustums, (distances > _TOO_NEAR).tolist(), strict=True):
            frustum.visible = far

    def _add(self, index: int, camera: Cameras, picture: Pixels | None) -> viser.CameraFrustumHandle:
        pose = camera.camera_to_world[0]
        frustum = self._client.scene.add_camera_frustum(
            f"{TRAINING_ROOT}/{index}",
            fov=vertical_fov(camera),
            aspect=camera.width / camera.height,
            scale=self._length,
            thickness=1.5,
            thickness_units="screen",
            color=_TRAINING_COLOUR,
            image=picture,
            wxyz=browser_rotation(pose),
            position=point(pose[:3, 3]),
            cast_shadow=False,
            receive_shadow=False,
        )

        @frustum.on_click
        async def _(_: object) -> None:
            self._on_click(camera)

        return frustum


class PathMarkers:
    """The keyframes of a camera path as frustums, and the curve between them."""

    def __init__(self, client: viser.ClientHandle) -> None:
        self._client = client
        self._root = client.scene.add_frame(PATH_ROOT, show_axes=False)

    def show_path(self, path: CameraPath, *, aspect: float) -> None:
        """Replace what is drawn by this path, for pictures of `aspect`."""
        self._root.remove()
        self._root = self._client.scene.add_frame(PATH_ROOT, show_axes=False)
        if not path.keyframes:
            return
        size = {"width": round(100 * aspect), "height": 100}
        keyframes = path.at(torch.arange(len(path.keyframes)).float(), **size)
        for index, pose in enumerate(keyframes.camera_to_world):
            self._client.scene.add_camera_frustum(
                f"{PATH_ROOT}/{index}",
                fov=path.keyframes[index].fov,
                aspect=aspect,
                scale=FRUSTUM,
                thickness=2.5,
                thickness_units="screen",
                color=_PATH_COLOUR,
                wxyz=browser_rotation(pose),
                position=point(pose[:3, 3]),
                cast_shadow=False,
                receive_shadow=False,
            )
        self._add_curve(path, size)

    def _add_curve(self, path: CameraPath, size: dict[str, int]) -> None:
        segments = len(path.keyframes) if path.closed else len(path.keyframes) - 1
        if segments < 1:
            return
        times = torch.linspace(0, segments * (1 - 1e-6), _CURVE_POINTS * segments)
        centers = path.at(times, **size).centers
        self._client.scene.add_line_segments(
            f"{PATH_ROOT}/curve",
            points=np.stack([centers[:-1].numpy(), centers[1:].numpy()], axis=1),
            colors=_PATH_COLOUR,
            thickness=2.5,
            thickness_units="screen",
        )


def thumbnail(image: Tensor) -> Pixels:
    """A small picture (H, W, 3) of an image (1, 3, H, W) in [0, 1]."""
    scale = min(1.0, _THUMBNAIL / max(image.shape[-2:]))
    small = torch.nn.functional.interpolate(image, scale_factor=scale, mode="area") if scale < 1 else image
    picture: Pixels = to_pixels(small)[0]
    return picture
