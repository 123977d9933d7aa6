"""Frustums and curves, with a stand-in for the browser's scene."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers.tiny import sphere_cameras
from latentfields.camera_path import CameraPath, keyframe_of
from latentfields.cameras import Cameras
from latentfields.viewer.markers import FRUSTUM, PathMarkers, TrainingCameras, thumbnail


class Node(SimpleNamespace):
    def on_click(self, callback: Callable[[object], Any]) -> None:
        self.clicked = callback

    def remove(self) -> None:
        for name in [name for name in self.nodes if name == self.name or name.startswith(f"{self.name}/")]:
            del self.nodes[name]


class StandIn:
    """A client whose scene is a dictionary."""

    def __init__(self, position: Tensor) -> None:
        self.nodes: dict[str, Node] = {}
        self.scene = SimpleNamespace(
            add_frame=self.add, add_camera_frustum=self.add, add_line_segments=self.add
        )
        self.camera: Any = SimpleNamespace(position=position.numpy())

    def add(self, name: str, **options: Any) -> Node:
        self.nodes[name] = Node(**({"visible": True} | options | {"name": name, "nodes": self.nodes}))
        return self.nodes[name]


def scene_of(cameras: Cameras) -> Any:
    return SimpleNamespace(
        cameras=cameras, images=lambda indices: torch.rand(len(indices), 3, 64, 96), has_images=True
    )


def test_training_cameras() -> None:
    cameras = sphere_cameras(12)
    clicked: list[Cameras] = []
    client = StandIn(cameras.centers[4] + 0.1)
    training = TrainingCameras(client, clicked.append)  # type: ignore[arg-type]
    training.show_scene(scene_of(cameras))
    frustums = [client.nodes[f"/training/{index}"] for index in range(12)]
    assert [frustum.visible for frustum in frustums] == [index != 4 for index in range(12)]
    assert frustums[0].image.shape == (32, 48, 3)
    np.testing.assert_allclose(frustums[7].position, cameras.centers[7])
    asyncio.run(frustums[7].clicked(None))
    torch.testing.assert_close(clicked[0].camera_to_world, cameras[[7]].camera_to_world)

    training.set_visible(False)
    training.show_scene(scene_of(cameras[:3]))
    assert sorted(client.nodes) == ["/training", "/training/0", "/training/1", "/training/2"]
    assert not client.nodes["/training"].visible
    training.hide_near(SimpleNamespace(position=cameras.centers[2].numpy()))  # type: ignore[arg-type]
    assert [client.nodes[f"/training/{index}"].visible for index in range(3)] == [True, True, False]


def test_many_views_have_no_pictures() -> None:
    client = StandIn(torch.zeros(3))
    TrainingCameras(client, lambda camera: None).show_scene(scene_of(sphere_cameras(121)))  # type: ignore[arg-type]
    assert len(client.nodes) == 122
    assert client.nodes["/training/0"].image is None


def test_views_of_a_scene_file_have_no_pictures() -> None:
    client = StandIn(torch.zeros(3))
    scene = SimpleNamespace(cameras=sphere_cameras(2), has_images=False)
    TrainingCameras(client, lambda camera: None).show_scene(scene)  # type: ignore[arg-type]
    assert client.nodes["/training/1"].image is None


def test_a_path_is_drawn_through_its_keyframes() -> None:
    cameras = sphere_cameras(4)
    keyframes = tuple(keyframe_of(pose, fov=0.6) for pose in cameras.camera_to_world)
    client = StandIn(torch.zeros(3))
    markers = PathMarkers(client)  # type: ignore[arg-type]
    for closed in (False, True):
        markers.show_path(CameraPath(keyframes, closed=closed), aspect=1.5)
        curve = client.nodes["/path/curve"].points
        np.testing.assert_array_equal(curve[1:, 0], curve[:-1, 1])
        np.testing.assert_allclose(curve[0, 0], cameras.centers[0], atol=1e-5)
        np.testing.assert_allclose(curve[-1, 1], cameras.centers[0 if closed else 3], atol=1e-3)
        for index in range(4):
            np.testing.assert_allclose(
                client.nodes[f"/path/{index}"].position, cameras.centers[index], atol=1e-5
            )
    markers.show_path(CameraPath(keyframes[:1]), aspect=1.5)
    assert sorted(client.nodes) == ["/path", "/path/0"]
    markers.show_path(CameraPath(()), aspect=1.5)
    assert sorted(client.nodes) == ["/path"]


def test_thumbnails_keep_their_shape() -> None:
    assert thumbnail(torch.rand(1, 3, 200, 100)).shape == (48, 24, 3)
    assert thumbnail(torch.rand(1, 3, 20, 30)).shape == (20, 30, 3)


def test_frustums_are_as_long_as_they_are_asked_to_be() -> None:
    cameras = sphere_cameras(3)
    client = StandIn(torch.zeros(3))
    training = TrainingCameras(client, lambda camera: None)  # type: ignore[arg-type]
    training.show_scene(scene_of(cameras))
    assert {client.nodes[f"/training/{index}"].scale for index in range(3)} == {FRUSTUM}
    training.set_length(0.02)
    training.show_scene(scene_of(cameras[:2]))
    training.set_length(0.03)
    assert {client.nodes[f"/training/{index}"].scale for index in range(2)} == {0.03}
