from pathlib import Path

import pytest
import torch

from helpers.tiny import write_sphere_scene
from latentfields.bench.scales import FAMILIES
from latentfields.bench.scenes import StudyScene, captured_scenes, rendered_scenes, require_objects
from latentfields.errors import ArgumentError, InputError
from latentfields.scenes.procedural import EVALUATION_FAMILIES


def captured(*roots: Path, training: tuple[Path, ...] = (), factor: int = 2) -> list[StudyScene]:
    return captured_scenes(roots, training=training, seeds=(0, 1), size=512, factor=factor)


def test_every_scene_is_fitted_with_every_seed(scene_folder: Path, tmp_path: Path) -> None:
    other = write_sphere_scene(tmp_path / "other", views=5)
    scenes = captured(scene_folder, other)
    assert [scene.name for scene in scenes] == ["sphere-0000", "sphere-0001", "other-0000", "other-0001"]
    assert captured(tmp_path) == scenes[2:]


def test_few_views_are_spread_evenly_over_the_training_views(scene_folder: Path) -> None:
    item = StudyScene("sphere", 0, scene_folder, size=30)
    scene = item.load(factor=4)
    assert scene.size == (28, 28)
    few = item.load(factor=4, training_views=3)
    train = scene.indices("train")
    assert few.indices("train").tolist() == [int(train[0]), int(train[6]), int(train[-1])]
    assert torch.equal(few.indices("test"), scene.indices("test"))


def test_scenes_that_cannot_be_compared_on_are_refused(scene_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sphere: images of 32x32; expected 128 or more, 16 latents"):
        captured(scene_folder, factor=8)
    with pytest.raises(InputError, match=r"scenes: .*sphere is among `training_scenes`"):
        captured(scene_folder, training=(scene_folder,))
    with pytest.raises(InputError, match="has the same name as"):
        captured(scene_folder, write_sphere_scene(tmp_path / "sphere", views=5))
    with pytest.raises(InputError, match="no scenes here"):
        captured(tmp_path / "nowhere")


def test_objects_have_a_scene_per_seed_and_family_and_meshes_take_turns(tmp_path: Path) -> None:
    meshes = [Path("a.obj"), Path("b.obj")]
    scenes = rendered_scenes(tmp_path, families=("vases",), meshes=meshes, seeds=(5, 6, 7))
    assert [scene.name for scene in scenes] == [
        "vases-0005",
        "meshes-0005",
        "vases-0006",
        "meshes-0006",
        "vases-0007",
        "meshes-0007",
    ]
    assert [scene.mesh for scene in scenes] == [None, meshes[0], None, meshes[1], None, meshes[0]]
    assert {scene.folder.parent for scene in scenes} == {tmp_path}


def test_families_of_the_scales_are_those_that_nothing_was_trained_on() -> None:
    assert FAMILIES == EVALUATION_FAMILIES


def test_objects_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(ArgumentError, match="families: names hat; expected some of animals, "):
        require_objects(["hat"], [])
    with pytest.raises(InputError, match=r"nosuch.obj: no such file"):
        require_objects([], [Path("nosuch.obj")])
