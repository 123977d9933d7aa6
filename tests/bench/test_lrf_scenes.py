from pathlib import Path

import pytest
import torch

from helpers.tiny import write_sphere_scene
from latentfields.bench.lrf_memory import peak_memory
from latentfields.bench.lrf_scenes import TestScene, captured_scenes
from latentfields.errors import InputError


def captured(*roots: Path, training: tuple[Path, ...] = (), factor: int = 2) -> list[TestScene]:
    return captured_scenes(roots, training=training, seeds=(0, 1), size=512, factor=factor)


def test_every_scene_is_fitted_with_every_seed(scene_folder: Path, tmp_path: Path) -> None:
    other = write_sphere_scene(tmp_path / "other", views=5)
    scenes = captured(scene_folder, other)
    assert [scene.name for scene in scenes] == ["sphere-0000", "sphere-0001", "other-0000", "other-0001"]
    assert captured(tmp_path) == scenes[2:]


def test_few_views_are_spread_evenly_over_the_training_views(scene_folder: Path) -> None:
    item = TestScene("sphere", 0, scene_folder, size=30)
    scene = item.load(factor=4)
    assert scene.size == (28, 28)
    few = item.load(factor=4, training_views=3)
    train = scene.indices("train")
    assert few.indices("train").tolist() == [int(train[0]), int(train[6]), int(train[-1])]
    assert torch.equal(few.indices("test"), scene.indices("test"))


def test_scenes_that_cannot_be_compared_on_are_refused(scene_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sphere: images of 32x32; expected 128 or more, 16 latents"):
        captured(scene_folder, factor=8)
    with pytest.raises(InputError, match=r"--scenes: .*sphere is among --training-scenes"):
        captured(scene_folder, training=(scene_folder,))
    with pytest.raises(InputError, match="has the same name as"):
        captured(scene_folder, write_sphere_scene(tmp_path / "sphere", views=5))
    with pytest.raises(InputError, match="no scenes here"):
        captured(tmp_path / "nowhere")


def test_peak_memory_sees_what_was_freed_again() -> None:
    with peak_memory(torch.device("cpu")) as small:
        torch.ones(1000)
    with peak_memory(torch.device("cpu")) as large:
        block = torch.ones(64 * 2**20)
        del block
    if large.mebibytes is None or small.mebibytes is None:
        pytest.skip("the system does not tell the peak of resident memory")
    assert 250 < large.mebibytes < 300
    assert small.mebibytes < 32
