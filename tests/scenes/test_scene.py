from pathlib import Path

import pytest
import torch

from latentfields.cameras import Cameras
from latentfields.errors import InputError
from latentfields.scenes.resampling import resize
from latentfields.scenes.scene import Scene, scene_name


def make_scene(*, width: int = 20, height: int = 13, alpha: torch.Tensor | None = None) -> Scene:
    generator = torch.Generator().manual_seed(0)
    return Scene(
        name="made",
        source="/data/made",
        pixels=torch.randint(0, 256, (2, 3, height, width), generator=generator, dtype=torch.uint8),
        alpha=alpha,
        cameras=Cameras(
            camera_to_world=torch.eye(4).repeat(2, 1, 1),
            focal=torch.tensor([[30.0, 31.0]]).repeat(2, 1),
            principal=torch.tensor([[10.0, 6.5]]).repeat(2, 1),
            width=width,
            height=height,
        ),
        splits={
            "train": torch.tensor([1]),
            "val": torch.tensor([], dtype=torch.int64),
            "test": torch.tensor([0]),
        },
        background=(1.0, 0.5, 0.0),
        near=1.0,
        far=2.0,
        world_to_scene=torch.eye(4),
        image_names=("a", "b"),
        depth=torch.rand(2, 1, height, width, generator=generator),
    )


def test_images_are_composited_on_the_background() -> None:
    alpha = torch.zeros(2, 1, 13, 20, dtype=torch.uint8)
    alpha[:, :, :, 10:] = 255
    alpha[:, :, 5, 5] = 51
    scene = make_scene(alpha=alpha)
    images = scene.images(torch.tensor([1]))
    assert images.shape == (1, 3, 13, 20)
    torch.testing.assert_close(images[0, :, 0, 0], torch.tensor([1.0, 0.5, 0.0]))
    torch.testing.assert_close(images[0, :, :, 10:], scene.pixels[1, :, :, 10:] / 255)
    mixed = 0.2 * scene.pixels[1, :, 5, 5] / 255 + 0.8 * torch.tensor([1.0, 0.5, 0.0])
    torch.testing.assert_close(images[0, :, 5, 5], mixed)


def test_empty_split_is_named() -> None:
    scene = make_scene()
    assert scene.indices("train").tolist() == [1]
    with pytest.raises(InputError, match="split 'val' is empty; this scene has train, test"):
        scene.indices("val")
    with pytest.raises(InputError, match="split 'holdout' is empty"):
        scene.indices("holdout")


def test_crop_to_multiple_keeps_what_pixels_see() -> None:
    scene = make_scene(alpha=torch.full((2, 1, 13, 20), 9, dtype=torch.uint8))
    cropped = scene.cropped_to_multiple(8)
    assert cropped.size == (8, 16)
    assert torch.equal(cropped.pixels, scene.pixels[:, :, 2:10, 2:18])
    assert cropped.alpha is not None
    assert cropped.alpha.shape == (2, 1, 8, 16)
    assert cropped.depth is not None
    assert scene.depth is not None
    assert torch.equal(cropped.depth, scene.depth[:, :, 2:10, 2:18])
    seen = scene.cameras.rays().directions[:, 2:10, 2:18]
    torch.testing.assert_close(cropped.cameras.rays().directions, seen)
    assert scene.cropped_to_multiple(1) is scene
    with pytest.raises(InputError, match="20x13 are smaller than the factor 16"):
        scene.cropped_to_multiple(16)


def test_resizing_keeps_constant_pictures_and_drops_depth() -> None:
    scene = make_scene()
    scene.pixels[:] = 77
    small = scene.resized(width=7, height=5)
    assert small.size == (5, 7)
    assert small.pixels.unique().tolist() == [77]
    assert small.depth is None
    torch.testing.assert_close(small.cameras.focal[0], torch.tensor([30 * 7 / 20, 31 * 5 / 13]))


def test_hidden_colours_do_not_bleed() -> None:
    pixels = torch.zeros(1, 3, 16, 16, dtype=torch.uint8)
    alpha = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    pixels[..., 9:], alpha[..., 9:] = 200, 255  # the empty part hides black
    colors, coverage = resize(pixels, alpha, width=4, height=4)
    assert coverage is not None
    assert coverage[0, 0, 0, 0] == 0
    assert 0 < coverage[0, 0, 0, 1] < coverage[0, 0, 0, 2] < 255
    assert (colors[coverage.expand_as(colors) > 8] >= 199).all()


def test_thin_coverage_keeps_its_colour() -> None:
    pixels = torch.full((1, 3, 8, 8), 123, dtype=torch.uint8)
    alpha = torch.full((1, 1, 8, 8), 3, dtype=torch.uint8)
    colors, coverage = resize(pixels, alpha, width=3, height=3)
    assert coverage is not None
    assert coverage.unique().tolist() == [3]
    assert colors.unique().tolist() == [123]


def test_scene_is_called_after_its_folder(tmp_path: Path) -> None:
    (tmp_path / "chair").mkdir()
    assert scene_name(tmp_path / "chair" / ".." / "chair") == "chair"
