from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.photo_files import photo, write_photos
from latentfields.autoencoders.image_data import (
    TrainingImages,
    centre_square,
    load_renders,
    load_training_images,
    photo_paths,
    read_photo,
)
from latentfields.errors import InputError
from latentfields.scenes.load import scene_folders_below


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_photographs_are_found_below_their_folders_in_order(tmp_path: Path) -> None:
    write_photos(tmp_path / "b" / "deep", count=2)
    write_photos(tmp_path / "a", count=1)
    (tmp_path / "a" / "notes.txt").write_text("x")
    Image.fromarray(photo(7)).save(tmp_path / "a" / "CAPS.JPG")
    found = [path.name for path in photo_paths((tmp_path / "b", tmp_path / "a"))]
    assert found == ["photo_0.png", "photo_1.png", "CAPS.JPG", "photo_0.png"]


def test_folders_without_photographs_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "empty", tmp_path / "absent"):
        with pytest.raises(InputError, match=f"{folder}: no photographs here; looked for .jpeg, .jpg"):
            photo_paths((folder,))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_any_colour_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / f"x.{'jpg' if mode == 'CMYK' else 'png'}"
    Image.fromarray(photo(0)).convert(mode).save(path)
    pixels = read_photo(path)
    assert pixels.shape == (36, 40, 3)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("keep", [0, 10, 200, 600])
def test_damaged_photographs_are_named(tmp_path: Path, keep: int) -> None:
    folder = write_photos(tmp_path / "p", count=1)
    path = folder / "photo_0.png"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"photo_0\.png: cannot be read as a picture") as caught:
        read_photo(path)
    assert "\n" not in str(caught.value)


def test_the_central_square_is_cropped_and_then_downscaled() -> None:
    pixels = np.zeros((20, 40, 3), dtype=np.uint8)
    pixels[:, 10:30] = 100
    pixels[:10, 10:30] = 200
    square = centre_square(pixels, size=10)
    assert square.shape == (3, 10, 10)
    assert (square[:, :5] * 255).round().unique().tolist() == [200]
    assert (square[:, 5:] * 255).round().unique().tolist() == [100]
    same = centre_square(photo(0, width=16, height=16), size=16)
    assert torch.equal(
        (same * 255).round().byte(), torch.from_numpy(photo(0, width=16, height=16)).permute(2, 0, 1)
    )


def test_a_whole_number_of_pixels_is_averaged() -> None:
    pixels = photo(1, width=32, height=32)
    expected = torch.from_numpy(pixels).float().view(8, 4, 8, 4, 3).mean(dim=(1, 3)).permute(2, 0, 1) / 255
    # Columns and rows are averaged one after the other, and rounded each time.
    torch.testing.assert_close(centre_square(pixels, size=8), expected, atol=1.1 / 255, rtol=0)


def test_batches_come_from_the_generator_alone(scene_folder: Path, tmp_path: Path) -> None:
    data = load_training_images((write_photos(tmp_path / "p"),), (scene_folder,), size=32)
    first, second = generator(3), generator(3)
    batches = [data.batch(photos=2, renders=3, generator=first) for _ in range(2)]
    again = [data.batch(photos=2, renders=3, generator=second) for _ in range(2)]
    assert torch.equal(torch.stack(batches), torch.stack(again))
    assert not torch.equal(*batches)
    assert batches[0].shape == (5, 3, 32, 32)
    assert batches[0].min() >= 0
    assert batches[0].max() <= 1


def test_photographs_come_whole_in_every_place_and_mirrored() -> None:
    """A photograph of columns: batches must show all crops and both directions, and nothing stretched."""
    ramp = np.repeat(np.arange(24, dtype=np.uint8)[None, :, None] * 10, 16, axis=0).repeat(3, axis=2)
    data = TrainingImages(photos=(ramp,), renders=None, size=16)
    rows = (data.batch(photos=300, renders=0, generator=generator())[:, 0, 0] * 25.5).round()
    steps = rows.diff(dim=1)
    assert set(steps.unique().tolist()) == {-1.0, 1.0}
    assert set(torch.minimum(rows[:, 0], rows[:, -1]).tolist()) == {float(start) for start in range(9)}
    assert 0.35 < (steps[:, 0] > 0).float().mean() < 0.65


def test_renders_are_composited_on_white_or_one_colour() -> None:
    rgba = torch.zeros(1, 4, 8, 8, dtype=torch.uint8)
    rgba[:, :, 2:6, 2:6] = torch.tensor([255, 0, 0, 255], dtype=torch.uint8).view(1, 4, 1, 1)
    data = TrainingImages(photos=(), renders=rgba, size=8)
    batch = data.batch(photos=0, renders=400, generator=generator())
    assert (batch[:, :, 3, 3] == torch.tensor([1.0, 0.0, 0.0])).all()
    corner = batch[:, :, 0, 0]
    assert (batch[:, :, 7, 4] == corner).all()
    white = (corner == 1).all(dim=1).float().mean()
    assert 0.5 < white < 0.7
    assert corner[(corner != 1).any(dim=1)].std() > 0.2


def test_small_photographs_are_left_out_and_none_at_all_is_an_error(tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "p", count=2, width=20)
    Image.fromarray(photo(5, width=64, height=64)).save(folder / "large.png")
    assert len(load_training_images((folder,), (), size=32).photos) == 1
    with pytest.raises(InputError, match="no photograph is at least 100 pixels"):
        load_training_images((folder,), (), size=100)
    with pytest.raises(InputError, match="photos: is empty, and so is `scenes`"):
        load_training_images((), (), size=32)


def test_scenes_are_found_and_resized(scene_folder: Path, tmp_path: Path) -> None:
    assert scene_folders_below(scene_folder) == [scene_folder]
    assert scene_folders_below(scene_folder.parent) == [scene_folder]
    renders = load_renders((scene_folder.parent,), size=16)
    assert renders.shape == (15, 4, 16, 16)
    assert renders.dtype == torch.uint8
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(InputError, match=f"{folder}: no scenes here"):
            load_renders((folder,), size=16)
