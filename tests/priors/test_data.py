from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from helpers.priors import TINY_PRIOR
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.errors import InputError
from latentfields.priors.conditions import camera_directions
from latentfields.priors.data import class_of, load_data, object_box, object_extent
from latentfields.scenes.load import load_scene


@pytest.mark.parametrize(
    ("scene", "expected"),
    [
        ("mugs-0203", "mugs"),
        ("chair_7", "chair"),
        ("lego", "lego"),
        ("teapots 12", "teapots"),
        ("042", "042"),
    ],
)
def test_a_scene_is_of_the_class_that_its_folder_is_called(scene: str, expected: str) -> None:
    assert class_of(scene) == expected


def test_the_box_of_an_object_on_white() -> None:
    image = torch.ones(3, 20, 10)
    assert object_box(image) is None
    assert object_extent(image) == 1
    image[1, 4:9, 2:8] = 0.5
    assert object_box(image) == (2, 4, 8, 9)
    assert object_extent(image) == pytest.approx(6 / 20)


def test_views_are_encoded_once(classes: Path, autoencoder: Autoencoder, tmp_path: Path) -> None:
    cache = tmp_path / "views.safetensors"
    data = load_data([classes], autoencoder, TINY_PRIOR, cache=cache)
    assert data.names == ("ball", "marble")
    assert data.train.counts.tolist() == [12, 12]
    assert data.held_out.counts.tolist() == [3, 3]
    scene = load_scene(classes / "marble-0000", background=(1.0, 1.0, 1.0))
    train = scene.indices("train")
    encoded = autoencoder.encode_batches(scene.images(train))
    torch.testing.assert_close(data.train.latents[12:].float(), encoded, atol=3e-3, rtol=1e-3)
    torch.testing.assert_close(data.train.directions[12:], camera_directions(scene.cameras[train]))
    assert data.rig.focal == pytest.approx(1.6)
    assert data.rig.distance == pytest.approx(3.2)
    assert data.rig.lowest < -30 < 40 < data.rig.highest
    written = cache.read_bytes()
    load_data([Path("gone")], autoencoder, TINY_PRIOR, cache=cache)
    assert cache.read_bytes() == written


def test_a_reference_is_a_view_of_the_same_scene(
    classes: Path, autoencoder: Autoencoder, tmp_path: Path
) -> None:
    data = load_data([classes], autoencoder, TINY_PRIOR, cache=tmp_path / "views.safetensors")
    latents, given = data.held_out.draw(40, data.train, torch.Generator().manual_seed(0))
    for number in range(40):
        kind = int(given.classes[number])
        own = data.train.latents[12 * kind : 12 * kind + 12].float()
        shown = data.held_out.latents[3 * kind : 3 * kind + 3].float()
        assert (own == given.references[number]).flatten(1).all(dim=1).any()
        assert (shown == latents[number]).flatten(1).all(dim=1).any()
    assert set(given.classes.tolist()) == {0, 1}


def test_another_lens_is_refused(classes: Path, autoencoder: Autoencoder, tmp_path: Path) -> None:
    shutil.copytree(classes, tmp_path / "scenes")
    path = tmp_path / "scenes" / "marble-0000" / "transforms_train.json"
    about = json.loads(path.read_text())
    for split in ("train", "test"):
        path = path.with_name(f"transforms_{split}.json")
        path.write_text(
            json.dumps({**json.loads(path.read_text()), "camera_angle_x": about["camera_angle_x"] * 0.8})
        )
    with pytest.raises(InputError, match=r"marble-0000: its focal length is .*; expected the same lens"):
        load_data([tmp_path / "scenes"], autoencoder, TINY_PRIOR, cache=tmp_path / "views.safetensors")
    assert not (tmp_path / "views.safetensors").exists()
