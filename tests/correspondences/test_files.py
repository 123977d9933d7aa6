from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.correspondence_data import make_dataset
from latentfields.correspondences.files import (
    PointPair,
    SceneCorrespondences,
    gathered,
    load_correspondences,
    open_dataset,
    save_correspondences,
    scene_file,
)
from latentfields.errors import InputError


def scene(tmp_path: Path, *, min_points: int = 2) -> SceneCorrespondences:
    generator = torch.Generator().manual_seed(0)
    size = torch.tensor([50.0, 40.0])
    pairs = [
        PointPair(0, 1, torch.rand(5, 2, 2, generator=generator) * size),
        PointPair(0, 2, torch.rand(1, 2, 2, generator=generator) * size),
        PointPair(1, 2, torch.rand(3, 2, 2, generator=generator) * size),
    ]
    pairs[2].positions[1, 0, 0] = 50.5  # Outside of the picture.
    return gathered(
        pairs,
        name="s",
        folder=tmp_path,
        images=["0.png", "1.png", "2.png"],
        min_points=min_points,
        sizes=torch.tensor([[50, 40]] * 3),
        poses=torch.eye(4).double().repeat(3, 1, 1),
        about={"source": "x"},
    )


def test_small_pairs_and_points_outside_are_left_out(tmp_path: Path) -> None:
    found = scene(tmp_path)
    assert found.pairs.tolist() == [[0, 1], [1, 2]]
    assert found.starts.tolist() == [0, 5, 7]
    with pytest.raises(InputError, match="no two of its 3 images share 6 points"):
        scene(tmp_path, min_points=6)


def test_positions_survive_storage_to_a_thousandth_of_a_pixel(tmp_path: Path) -> None:
    save_correspondences(scene(tmp_path), tmp_path / "set")
    loaded = load_correspondences(scene_file(tmp_path / "set", "s"))
    generator = torch.Generator().manual_seed(0)
    expected = torch.rand(5, 2, 2, generator=generator) * torch.tensor([50.0, 40.0])
    positions = loaded.fractions(0) * loaded.sizes[loaded.pairs[0]]
    torch.testing.assert_close(positions, expected, atol=1e-3, rtol=0)
    assert (loaded.images, loaded.about, loaded.folder) == (
        ("0.png", "1.png", "2.png"),
        {"source": "x"},
        tmp_path,
    )


def test_eight_bytes_a_correspondence(tmp_path: Path) -> None:
    assert scene(tmp_path).points.nbytes == 8 * 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"poses": torch.zeros(2, 4, 4)}, "'poses' has shape"),
        ({"starts": torch.tensor([0, 5, 5])}, "empty"),
        ({"starts": torch.tensor([0, 5, 6])}, "'starts' does not cover"),
        ({"pairs": torch.tensor([[0, 1], [1, 3]])}, "not one of the 3"),
        ({"points": torch.zeros(7, 4, dtype=torch.uint16)}, "'points' has shape"),
        ({"starts": torch.tensor([0, 5, 7], dtype=torch.uint64)}, "'starts' holds uint64; expected int64"),
    ],
)
def test_tensors_that_do_not_belong_together_are_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    save_correspondences(replace(scene(tmp_path), **change), tmp_path)
    with pytest.raises(InputError, match=message):
        load_correspondences(scene_file(tmp_path, "s"))


def test_other_files_are_refused(tmp_path: Path) -> None:
    from latentfields.training.checkpoint import save_tensors

    save_tensors(tmp_path / "s.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(InputError, match="holds no correspondences"):
        open_dataset(tmp_path)
    (tmp_path / "s.safetensors").write_bytes(b"12345")
    with pytest.raises(InputError, match="not a readable safetensors"):
        open_dataset(tmp_path)
    (tmp_path / "s.safetensors").unlink()
    with pytest.raises(InputError, match="has no correspondences"):
        open_dataset(tmp_path)


def test_pictures_that_changed_are_noticed(tmp_path: Path) -> None:
    from PIL import Image

    dataset = make_dataset(tmp_path, names=("a",))
    (found,) = open_dataset(dataset)
    Image.new("RGB", (20, 20)).save(found.folder / found.images[2])
    with pytest.raises(InputError, match=r"images/view_03.png is no longer 48x40"):
        open_dataset(dataset)
