from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.photographs import arc_cameras, exif, noise_photograph, write_photographs
from latentfields.errors import InputError
from latentfields.scenes.images import image_orientation
from latentfields.structure_from_motion.config import CameraSharing
from latentfields.structure_from_motion.photographs import (
    Photograph,
    find_masks,
    find_photographs,
    write_upright,
    write_upright_masks,
)


def copied(folder: Path, out: Path, *, sharing: CameraSharing = "device") -> list[Photograph]:
    out.mkdir()
    return write_upright(find_photographs(folder), out, sharing=sharing, threads=2)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    return write_photographs(tmp_path / "photographs", arc_cameras(3, width=48, height=32))


def test_photographs_are_found_in_a_folder_or_in_its_images(three: Path, tmp_path: Path) -> None:
    (three / "notes.txt").touch()
    names = ["photo_00.jpg", "photo_01.jpg", "photo_02.jpg"]
    assert [path.name for path in find_photographs(three)] == names
    (tmp_path / "scene").mkdir()
    three.rename(tmp_path / "scene" / "images")
    assert find_photographs(tmp_path / "scene") == [tmp_path / "scene" / "images" / name for name in names]


def test_fewer_than_three_are_refused(three: Path) -> None:
    (three / "photo_00.jpg").unlink()
    with pytest.raises(
        InputError, match=r"photographs: has 2 photographs; poses need at least 3, better 30$"
    ):
        find_photographs(three)
    (three / "a.HEIC").touch()
    with pytest.raises(
        InputError, match=r"1 files such as a\.HEIC are of kinds that are not read: convert them"
    ):
        find_photographs(three)


def test_files_that_are_not_read_are_counted(three: Path) -> None:
    (three / "b.dng").touch()
    (three / "a.HEIC").touch()
    with pytest.warns(
        UserWarning, match=r"2 files such as a\.HEIC are of kinds that are not read and are left"
    ):
        assert len(find_photographs(three)) == 3


def test_photographs_are_the_same_bytes(three: Path, tmp_path: Path) -> None:
    found = copied(three, tmp_path / "images")
    assert [(photograph.name, photograph.width, photograph.height) for photograph in found] == [
        (f"photo_0{number}.jpg", 48, 32) for number in range(3)
    ]
    for photograph in found:
        assert (tmp_path / "images" / photograph.name).read_bytes() == (three / photograph.name).read_bytes()


@pytest.mark.parametrize("orientation", range(2, 9))
def test_those_that_exif_turns_are_upright(three: Path, tmp_path: Path, orientation: int) -> None:
    """The top is bright, whichever way the camera was held; the focal length stays known."""
    upright = np.full((60, 60, 3), 40, dtype=np.uint8)
    upright[:20] = 220
    # What has to be done to an upright picture to store it so.
    stored = {
        2: upright[:, ::-1],
        3: np.rot90(upright, 2),
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, -1),
    }[orientation]
    Image.fromarray(np.ascontiguousarray(stored)).save(
        three / "turned.jpg", exif=exif("PHONE X", millimetres=28, orientation=orientation)
    )
    *_, turned = copied(three, tmp_path / "images")
    assert turned.device == "PHONE X, 5.6 mm"
    pixels = np.asarray(Image.open(tmp_path / "images" / "turned.jpg"))
    assert pixels[:16].mean() > 180
    assert pixels[24:].mean() < 80
    assert image_orientation(tmp_path / "images" / "turned.jpg") == 1
    with Image.open(tmp_path / "images" / "turned.jpg") as image:
        assert image.getexif().get_ifd(0x8769)[0xA405] == 28


@pytest.mark.parametrize(
    ("sharing", "expected"), [("device", [0, 0, 1, 2, 3, 3]), ("each", [0, 1, 2, 3, 4, 5])]
)
def test_one_camera_for_each_device_zoom_and_size(
    tmp_path: Path, sharing: CameraSharing, expected: list[int]
) -> None:
    folder = tmp_path / "photographs"
    for number, (device, millimetres, size) in enumerate(
        [
            ("PHONE X", 28, (40, 30)),
            ("PHONE X", 28, (40, 30)),
            ("PHONE X", 56, (40, 30)),
            ("PHONE X", 28, (30, 40)),
            ("OTHER Y", 28, (40, 30)),
            ("OTHER Y", 28, (40, 30)),
        ]
    ):
        folder.mkdir(exist_ok=True)
        Image.new("RGB", size).save(folder / f"{number}.jpg", exif=exif(device, millimetres=millimetres))
    assert [one.camera for one in copied(folder, tmp_path / "images", sharing=sharing)] == expected


def test_photographs_without_exif_are_told_apart_by_size(three: Path, tmp_path: Path) -> None:
    noise_photograph(three / "z.png", seed=0, width=64, height=32)
    found = copied(three, tmp_path / "images")
    assert [one.camera for one in found] == [0, 0, 0, 1]
    assert {one.device for one in found} == {""}


def test_damaged_photographs_are_named(three: Path, tmp_path: Path) -> None:
    (three / "photo_01.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"photo_01\.jpg: cannot be read as a picture"):
        copied(three, tmp_path / "images")


def test_masks_are_found_beside_the_photographs(three: Path) -> None:
    assert find_masks(three, find_photographs(three)) == []
    (three / "masks").mkdir()
    for name in ("photo_00.png", "photo_01.jpg.png"):
        Image.new("L", (48, 32)).save(three / "masks" / name)
    with pytest.raises(
        InputError, match=r"has no mask for photo_02\.jpg; expected photo_02\.jpg\.png or photo_02"
    ):
        find_masks(three, find_photographs(three))
    Image.new("L", (48, 32)).save(three / "masks" / "photo_02.png")
    names = ["photo_00.png", "photo_01.jpg.png", "photo_02.png"]
    assert [path.name for path in find_masks(three, find_photographs(three))] == names


def test_masks_are_turned_as_their_photographs(tmp_path: Path) -> None:
    """The lower part of a photograph that is stored lying is its right side."""
    Image.new("RGB", (48, 32)).save(tmp_path / "a.jpg", exif=exif("PHONE X", millimetres=28, orientation=6))
    stored = np.zeros((32, 48), dtype=np.uint8)
    stored[:, 36:] = 1
    Image.fromarray(stored).save(tmp_path / "mask.png")
    (tmp_path / "masks").mkdir()
    write_upright_masks([tmp_path / "a.jpg"], [tmp_path / "mask.png"], tmp_path / "masks")
    upright = np.asarray(Image.open(tmp_path / "masks" / "a.jpg.png"))
    assert upright.shape == (48, 32)
    assert upright[:36].max() == 0
    assert upright[36:].min() == 255


def test_masks_of_another_size_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (48, 32)).save(tmp_path / "a.jpg")
    Image.new("L", (24, 16)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=r"mask\.png: expected the size of a\.jpg, 48x32, got 24x16"):
        write_upright_masks([tmp_path / "a.jpg"], [tmp_path / "mask.png"], tmp_path)
