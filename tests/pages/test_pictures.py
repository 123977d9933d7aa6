from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from latentfields.files import replacing
from latentfields.pages.pictures import (
    LatentProjection,
    depth_range,
    depth_to_pixels,
    encode_png,
    enlarge,
    error_to_pixels,
    picture_files,
    save_png,
    to_pixels,
)


def random_pixels(height: int, width: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def latents_along(direction: torch.Tensor, *, count: int = 2) -> torch.Tensor:
    """Latents (count, C, 8, 8) that vary along one direction (C,), with a little variation in all others."""
    generator = torch.Generator().manual_seed(0)
    amounts = torch.randn(count, 1, 8, 8, generator=generator)
    noise = torch.randn(count, len(direction), 8, 8, generator=generator)
    return amounts * direction.view(1, -1, 1, 1) + 0.01 * noise


def test_pixels_are_rounded_clamped_and_channels_last() -> None:
    values = torch.tensor([-1.0, 0.5, 2.0, 1.4 / 255, 1.6 / 255, float("nan")])
    pixels = to_pixels(values.view(1, 1, 1, 6).expand(2, 3, 1, 6))
    assert pixels.shape == (2, 1, 6, 3)
    assert pixels.dtype == np.uint8
    assert pixels[1, 0, :, 2].tolist() == [0, 128, 255, 1, 2, 0]


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 999))
def test_pixels_of_stored_levels_are_those_levels(seed: int) -> None:
    levels = random_pixels(3, 4, seed=seed)
    image = torch.from_numpy(levels).movedim(-1, 0).float() / 255
    np.testing.assert_array_equal(to_pixels(image), levels)


def test_projection_finds_the_direction_of_largest_variance() -> None:
    direction = torch.nn.functional.normalize(torch.tensor([1.0, -3.0, 2.0, 0.5]), dim=0)
    projection = LatentProjection.fit(latents_along(direction) + 5)
    # The largest entry of an axis is positive, whatever sign the solver chose.
    torch.testing.assert_close(projection.axes[0], -direction, atol=1e-2, rtol=0)
    gram = projection.axes @ projection.axes.T
    torch.testing.assert_close(gram, torch.eye(3), atol=1e-5, rtol=0)


def test_projection_is_the_same_for_every_panel() -> None:
    reference = latents_along(torch.tensor([1.0, 2.0, 0.0, 1.0]), count=3)
    projection = LatentProjection.fit(reference)
    together = projection.pixels(reference)
    assert together.shape == (3, 8, 8, 3)
    assert together.dtype == np.uint8
    for index in range(3):
        np.testing.assert_array_equal(projection.pixels(reference[index : index + 1])[0], together[index])
    ends = [projection.mean + amount * projection.axes[0] for amount in (-10, 10)]
    assert projection.pixels(torch.stack(ends)[..., None, None])[:, 0, 0, 0].tolist() == [0, 255]


def test_projection_uses_the_range_of_the_reference() -> None:
    reference = latents_along(torch.tensor([3.0, 0.0, 0.0]), count=8)
    red = LatentProjection.fit(reference).pixels(reference)[..., 0]
    assert (red == 0).mean() == pytest.approx(0.01, abs=0.01)
    assert (red == 255).mean() == pytest.approx(0.01, abs=0.01)
    assert 90 < red.mean() < 165


@pytest.mark.parametrize("channels", [1, 2])
def test_projection_of_few_channels_leaves_the_other_colours_dark(channels: int) -> None:
    latents = torch.randn(1, channels, 8, 8, generator=torch.Generator().manual_seed(0))
    pixels = LatentProjection.fit(latents).pixels(latents)
    assert pixels[..., :channels].max() == 255
    assert pixels[..., channels:].max() == 0


def test_depth_is_red_when_near_blue_when_far_white_when_nothing_is_hit() -> None:
    depth = torch.tensor([[1.0, 3.0, 0.0, 9.0, float("inf"), float("nan")]])
    near, far, nearer, farther, empty, broken = depth_to_pixels(depth, near=1, far=3)[0].astype(int)
    assert near[0] > near[2] + 50
    assert far[2] > far[0]
    np.testing.assert_array_equal(near, nearer)
    np.testing.assert_array_equal(far, farther)
    assert empty.tolist() == broken.tolist() == [255, 255, 255]


def test_depth_range_ignores_what_is_not_finite() -> None:
    depth = torch.linspace(2, 4, 201).repeat(3, 1)
    depth[0] = float("inf")
    near, far = depth_range(depth)
    assert near == pytest.approx(2.02)
    assert far == pytest.approx(3.98)
    assert depth_range(torch.full((2, 2), float("inf"))) == (0.0, 1.0)


def test_error_pictures_have_the_stated_gain() -> None:
    targets = torch.zeros(1, 3, 1, 4)
    images = targets.clone()
    images[0, :, 0] = torch.tensor([[0.0, 0.3, 0.0, 0.6], [0.0, 0.0, 0.0, 0.6], [0.0, 0.0, -0.3, 0.6]])
    zero, positive, negative, saturated = error_to_pixels(images, targets, gain=2)[0, 0].astype(int)
    assert zero.max() <= 4
    np.testing.assert_array_equal(positive, negative)
    full = error_to_pixels(targets + 0.5, targets, gain=2)[0, 0, 0]
    np.testing.assert_array_equal(saturated, full)
    assert zero.sum() < positive.sum() < full.astype(int).sum()


def test_enlarged_pixels_are_squares() -> None:
    pixels = random_pixels(2, 3)
    large = enlarge(pixels, factor=4)
    assert large.shape == (8, 12, 3)
    for row in range(2):
        for column in range(3):
            block = large[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
            assert (block == pixels[row, column]).all()


def test_png_files_are_lossless_and_leave_no_other_file(tmp_path: Path) -> None:
    pixels = random_pixels(5, 7)
    path = tmp_path / "new" / "picture.png"
    save_png(path, pixels)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
    assert path.read_bytes() == encode_png(pixels)
    assert [p.name for p in path.parent.iterdir()] == ["picture.png"]


def write_and_fail(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half of the new")
        raise RuntimeError("disk gone")


def test_a_failed_replacement_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="disk gone"):
        write_and_fail(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("names", "flat", "files"),
    [
        (["train/r_0.png", "train/r_1.png"], True, ["r_0.png", "r_1.png"]),
        (["train/r_0.png", "train/r_1.png"], False, ["train/r_0.png", "train/r_1.png"]),
        (["cam0/000.png", "cam1/000.png"], True, ["cam0/000.png", "cam1/000.png"]),
        (["000.jpg", "000.png"], True, ["000.jpg.png", "000.png.png"]),
        (["a/000.jpg", "a/000.png", "b/000.png"], True, ["a/000.jpg.png", "a/000.png.png", "b/000.png.png"]),
        # On some systems these are one file.
        (["A.png", "a.png"], True, ["0000_A.png.png", "0001_a.png.png"]),
        (["cam/000.png", "cam/000.png"], True, ["0000_000.png.png", "0001_000.png.png"]),
        (["../images/000.png", "/images/001.png"], False, ["images/000.png", "images/001.png"]),
        # A picture called as another one's folder.
        (["a.jpg", "a.png/b.jpg"], False, ["a.jpg.png", "a.png/b.jpg.png"]),
        (["IMG_1", "IMG_2.v2.JPG"], True, ["IMG_1.png", "IMG_2.v2.png"]),
    ],
)
def test_names_of_picture_files_never_meet(names: list[str], flat: bool, files: list[str]) -> None:
    assert picture_files(names, flat=flat) == files


def test_depth_that_reaches_far_is_shown_as_inverse_depth() -> None:
    # Halfway between 1 and 1/100, which is at 1.98: the colour that evenly spread depth has in its middle.
    far_away = depth_to_pixels(torch.tensor([[1.0, 1.9802, 100.0]]), near=1.0, far=100.0)
    even = depth_to_pixels(torch.tensor([[1.0, 2.0, 3.0]]), near=1.0, far=3.0)
    assert np.abs(far_away.astype(int) - even.astype(int)).max() <= 8
