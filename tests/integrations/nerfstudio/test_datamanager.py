"""Latent images, their rays, and what is done once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from helpers.tiny import SIZE, TEST_VIEWS
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.errors import InputError
from latentfields.scenes.load import load_scene

pytest.importorskip("nerfstudio", reason="Nerfstudio has an environment of its own: make test-nerfstudio")

from nerfstudio.cameras.cameras import Cameras
from nerfstudio.data.dataparsers.blender_dataparser import BlenderDataParserConfig
from nerfstudio.data.dataparsers.nerfstudio_dataparser import NerfstudioDataParserConfig

from latentfields.integrations.nerfstudio.datamanager import LatentDatamanager, LatentDatamanagerConfig
from latentfields.integrations.nerfstudio.views import latent_views, on_latent_grid, repeated, view_rays

WHITE = (1.0, 1.0, 1.0)


class CountingAutoencoder(Autoencoder):
    """Counts the images that it encodes."""

    encoded = 0

    def encode(self, images: Tensor) -> Tensor:
        self.encoded += len(images)
        return super().encode(images)


def new_datamanager(parser: Any, codec: Autoencoder, **options: Any) -> LatentDatamanager:
    config = LatentDatamanagerConfig(dataparser=parser, **options)
    datamanager = config.setup(device="cpu", test_mode="val")
    datamanager.encode_with(codec, WHITE)
    assert isinstance(datamanager, LatentDatamanager)
    return datamanager


def test_rays_are_those_of_the_cameras_on_the_latent_grid(blender_scene: Path, codec: Autoencoder) -> None:
    datamanager = new_datamanager(BlenderDataParserConfig(data=blender_scene), codec)
    views, batch = datamanager.batch("train", torch.tensor([2, 0]))
    rays = view_rays(views)
    scene = load_scene(blender_scene)
    side = SIZE // codec.factor
    expected = scene.cameras[torch.tensor([2, 0])].resized(width=side, height=side).rays().flatten()
    torch.testing.assert_close(rays.directions, expected.directions)
    assert rays.camera_indices.flatten().tolist() == [2] * side**2 + [0] * side**2
    latents = codec.encode(scene.images(torch.tensor([2, 0])))
    torch.testing.assert_close(
        batch["image"], latents.permute(0, 2, 3, 1).flatten(0, 2), atol=1e-4, rtol=1e-4
    )
    assert batch["latent_sizes"] == [(side, side)] * 2


def test_images_are_encoded_once_and_in_memory(blender_scene: Path, codec: Autoencoder) -> None:
    counting = CountingAutoencoder(codec.codec, codec.statistics, name="counting")
    datamanager = new_datamanager(BlenderDataParserConfig(data=blender_scene), counting)
    assert counting.encoded == 0
    for step in range(9):
        datamanager.next_train(step)
    assert counting.encoded == len(datamanager.train_dataset)
    for step in range(4):
        datamanager.next_eval(step)
        datamanager.next_eval_image(step)
    assert counting.encoded == len(datamanager.train_dataset) + TEST_VIEWS


def test_batches_follow_from_the_step(blender_scene: Path, codec: Autoencoder) -> None:
    parser = BlenderDataParserConfig(data=blender_scene)
    datamanager = new_datamanager(parser, codec, batch_images=3)

    def drawn(step: int) -> list[int]:
        views, _ = datamanager.next_train(step)
        indices: list[int] = views.metadata["cam_idx"].flatten().tolist()
        return indices

    first = [drawn(step) for step in range(6)]
    assert [drawn(step) for step in reversed(range(6))] == first[::-1]
    assert all(len(set(views)) == 3 for views in first)
    assert len({tuple(views) for views in first}) > 1


def write_transforms(folder: Path, *, width: int, height: int, **camera: float) -> Path:
    """Four photographs without alpha in Nerfstudio's layout; the middle of each is red."""
    folder.mkdir()
    picture = torch.full((height, width, 3), 40, dtype=torch.uint8)
    picture[height // 2 - 1 : height // 2 + 1, width // 2 - 1 : width // 2 + 1] = torch.tensor([255, 0, 0])
    frames = []
    for view in range(4):
        Image.fromarray(picture.numpy()).save(folder / f"{view}.png")
        pose = torch.eye(4)
        pose[2, 3], pose[0, 3] = 2.0, 0.1 * view
        frames.append({"file_path": f"{view}.png", "transform_matrix": pose.tolist()})
    meta = {
        "fl_x": 30.0,
        "fl_y": 31.0,
        "cx": width / 2,
        "cy": height / 2,
        "w": width,
        "h": height,
        "camera_model": "OPENCV",
        "frames": frames,
        **camera,
    }
    (folder / "transforms.json").write_text(json.dumps(meta))
    return folder


def test_sides_that_are_no_multiples_are_cropped_in_the_middle(tmp_path: Path, codec: Autoencoder) -> None:
    folder = write_transforms(tmp_path / "odd", width=39, height=34)
    datamanager = new_datamanager(NerfstudioDataParserConfig(data=folder), codec)
    views = datamanager.views("train")
    assert views.images[0].shape == (3, 32, 36)
    assert views.latents[0].shape[1:] == (8, 9)
    assert (views.cameras.width[0], views.cameras.height[0]) == (36, 32)
    # One pixel is cut on the left and above; intrinsics on the latent grid are exact.
    assert float(views.cameras.cx[0]) == 18.5
    assert float(views.cameras.cy[0]) == 16.0
    grid = on_latent_grid(views.cameras, 4)
    assert [float(x[0]) for x in (grid.fx, grid.fy, grid.cx, grid.cy)] == [7.5, 7.75, 4.625, 4.0]


def test_lens_distortion_is_undone_once(tmp_path: Path, codec: Autoencoder) -> None:
    folder = write_transforms(tmp_path / "bent", width=40, height=32, k1=0.2)
    datamanager = new_datamanager(NerfstudioDataParserConfig(data=folder), codec)
    views = datamanager.views("train")
    assert views.cameras.distortion_params is None
    rays = view_rays(latent_views(views.cameras, torch.tensor([0]), factor=codec.factor))
    height, width = views.latents[0].shape[1:]
    local = rays.directions @ views.cameras.camera_to_worlds[0, :, :3]
    across = (local[:, 0] / -local[:, 2]).view(height, width)
    # Without distortion, rays are evenly spaced on the plane in front of the camera.
    steps = across.diff(dim=1)
    torch.testing.assert_close(steps, steps[0, 0].expand_as(steps))


def test_images_below_the_factor_are_refused(tmp_path: Path, codec: Autoencoder) -> None:
    folder = write_transforms(tmp_path / "small", width=32, height=3)
    datamanager = new_datamanager(NerfstudioDataParserConfig(data=folder), codec)
    with pytest.raises(InputError, match=r"^--data: has images smaller than the autoencoder's factor 4"):
        datamanager.next_train(0)


@pytest.mark.parametrize("parser_color", ["white", None])
def test_alpha_is_composited_on_the_models_background(
    parser_color: str | None, blender_scene: Path, codec: Autoencoder
) -> None:
    parser = BlenderDataParserConfig(data=blender_scene, alpha_color=parser_color)
    datamanager = new_datamanager(parser, codec)
    datamanager.encode_with(codec, (0.0, 0.25, 1.0))
    scene = replace(load_scene(blender_scene), background=(0.0, 0.25, 1.0))
    for split, own in (("train", "train"), ("eval", "test")):
        torch.testing.assert_close(
            torch.stack(datamanager.views(split).images), scene.images(scene.indices(own))
        )


def test_the_latent_grid_covers_images_that_are_no_multiples() -> None:
    pose = torch.eye(4)[None, :3]
    camera = Cameras(pose, fx=30.0, fy=30.0, cx=20.5, cy=10.0, width=41, height=20)
    grid = on_latent_grid(camera, 8)
    assert (int(grid.width), int(grid.height)) == (6, 3)
    image = repeated(torch.arange(18.0).view(3, 6, 1), factor=8, height=20, width=41)
    assert image.shape == (20, 41, 1)
    assert image[19, 40] == 17
    assert image[7, 8] == 1
