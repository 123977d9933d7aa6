from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.correspondence_data import make_dataset
from latentfields.correspondences.files import SceneCorrespondences, open_dataset
from latentfields.correspondences.pair_batches import PairImages
from latentfields.correspondences.pose_error import absolute_pose_error
from latentfields.errors import InputError

FACTOR = 4


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[SceneCorrespondences]:
    return open_dataset(make_dataset(tmp_path_factory.mktemp("pairs")))


def test_batches_have_the_shapes_they_say(scenes: list[SceneCorrespondences]) -> None:
    batch = PairImages(scenes, size=32, factor=FACTOR).batch(0, pairs=3, points=30, seed=0)
    assert batch.images.shape == (6, 3, 32, 32)
    assert 0 <= float(batch.images.min()) < float(batch.images.max()) <= 1
    assert batch.positions.shape == (3, 30, 2, 2)
    assert batch.shared.any(dim=1).all()
    inside = batch.positions[batch.shared]
    assert float(inside.min()) >= FACTOR / 2
    assert float(inside.max()) <= 32 - FACTOR / 2


def test_a_batch_depends_on_seed_and_number_alone(scenes: list[SceneCorrespondences]) -> None:
    pairs = PairImages(scenes, size=32, factor=FACTOR)
    wanted = pairs.batch(5, pairs=2, points=10, seed=1)
    other = PairImages(scenes, size=32, factor=FACTOR).batch(5, pairs=2, points=10, seed=1)
    assert torch.equal(wanted.images, other.images)
    assert torch.equal(wanted.positions, other.positions)
    for number, seed in ((6, 1), (5, 2)):
        assert not torch.equal(wanted.positions, pairs.batch(number, pairs=2, points=10, seed=seed).positions)


def test_every_pair_of_every_scene_is_seen(scenes: list[SceneCorrespondences]) -> None:
    pairs = PairImages(scenes, size=32, factor=FACTOR)
    generator = torch.Generator().manual_seed(0)
    drawn = {pairs._drawn(generator)[:2] for _ in range(600)}
    usable = {
        (index, pair)
        for index, scene in enumerate(scenes)
        for pair in range(len(scene))
        if len(pairs._inner(scene, pair))
    }
    assert len(usable) > 30
    assert drawn == usable


@pytest.mark.parametrize("size", [24, 32, 40])
def test_windows_move_points_with_pixels(scenes: list[SceneCorrespondences], size: int) -> None:
    """The walls are diffuse, so what a window shows at both ends of a correspondence has one colour."""
    batch = PairImages(scenes, size=size, factor=FACTOR).batch(1, pairs=6, points=100, seed=0)
    grid = (batch.positions / size * 2 - 1).transpose(1, 2)  # (B, 2, K, 2)
    images = torch.stack(batch.images.chunk(2), dim=1)
    colours = torch.nn.functional.grid_sample(
        images.flatten(0, 1), grid.flatten(0, 1)[:, :, None], align_corners=False
    )
    colours = colours[..., 0].unflatten(0, (6, 2)).permute(0, 3, 1, 2)[batch.shared]
    agreement = (colours[:, 0] - colours[:, 1]).abs().mean()
    chance = (colours[:, 0] - colours[:, 1].roll(17, 0)).abs().mean()
    assert float(agreement) < 0.45 * float(chance)


def test_smaller_windows_keep_the_latents_of_first_pictures_and_move_those_of_second_ones(
    scenes: list[SceneCorrespondences],
) -> None:
    """Points by depth are the centres of squares of four pixels in first pictures."""
    pairs = PairImages(scenes, size=40, factor=FACTOR, window=24)
    batch = pairs.batch(2, pairs=12, points=100, seed=0)
    assert batch.images.shape == (24, 3, 24, 24)
    cells = batch.positions[batch.shared] / FACTOR
    assert float(cells.min()) >= 0.5
    assert float(cells.max()) <= 24 / FACTOR - 0.5
    torch.testing.assert_close(cells[:, 0], cells[:, 0].floor() + 0.5, atol=2e-3, rtol=0)
    second = batch.positions[:, :, 1][batch.shared]
    assert len({round(float(value), 2) for value in (second % FACTOR).flatten()}) > 20


def test_windows_as_large_as_pictures_are_those_without_any(scenes: list[SceneCorrespondences]) -> None:
    without, same = (
        PairImages(scenes, size=32, factor=FACTOR, window=window).batch(3, pairs=4, points=20, seed=0)
        for window in (None, 32)
    )
    assert torch.equal(without.images, same.images)
    assert torch.equal(without.positions, same.positions)


def test_pose_errors_are_those_of_the_pairs(scenes: list[SceneCorrespondences]) -> None:
    batch = PairImages(scenes[:1], size=32, factor=FACTOR).batch(0, pairs=4, points=5, seed=0)
    poses = scenes[0].poses[scenes[0].pairs]
    possible = absolute_pose_error(poses[:, 0], poses[:, 1]).float()
    assert ((batch.pose_errors[:, None] - possible).abs().min(dim=1).values < 1e-6).all()


def test_transparent_pictures_are_composited_on_white(
    scenes: list[SceneCorrespondences], tmp_path: Path
) -> None:
    first = scenes[0]
    for name in first.images:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        rgba = np.zeros((40, 48, 4), dtype=np.uint8)
        Image.fromarray(rgba).save(tmp_path / name)
    pairs = PairImages([replace(first, folder=tmp_path)], size=32, factor=FACTOR)
    assert float(pairs.batch(0, pairs=1, points=5, seed=0).images.min()) == 1.0


def test_pictures_smaller_than_the_training_size_are_refused(scenes: list[SceneCorrespondences]) -> None:
    with pytest.raises(InputError, match="less than 64 pixels"):
        PairImages(scenes, size=64, factor=FACTOR)


def test_points_in_the_margin_only_are_refused(scenes: list[SceneCorrespondences]) -> None:
    edge = replace(scenes[0], points=torch.zeros_like(scenes[0].points))
    with pytest.raises(InputError, match="share no point inside"):
        PairImages([edge], size=32, factor=FACTOR).batch(0, pairs=1, points=5, seed=0)
