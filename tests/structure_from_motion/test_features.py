from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from helpers.photographs import arc_cameras, exif, needs_pycolmap, write_photographs
from latentfields.structure_from_motion.config import CaptureConfig, LensModel
from latentfields.structure_from_motion.engine import load_pycolmap
from latentfields.structure_from_motion.features import begin_database, find_features
from latentfields.structure_from_motion.photographs import find_photographs, write_upright

pytestmark = needs_pycolmap


@pytest.fixture
def colmap(tmp_path: Path) -> Any:
    return load_pycolmap(tmp_path, wants="tests need")


def begun(colmap: Any, folder: Path, photographs: Path, options: CaptureConfig) -> Path:
    (folder / "images").mkdir()
    found = write_upright(find_photographs(photographs), folder / "images", sharing="device", threads=1)
    begin_database(colmap, folder / "database.db", folder / "images", found, options)
    return folder / "database.db"


def test_focal_lengths_start_at_what_exif_says(colmap: Any, tmp_path: Path) -> None:
    """Also of photographs that are turned; the others start at 1.2 times the longer side."""
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name, orientation, millimetres in (("a", 1, 35), ("b", 6, 70)):
        about = exif("PHONE X", millimetres=millimetres, orientation=orientation)
        Image.new("RGB", (80, 60)).save(photographs / f"{name}.jpg", exif=about)
    Image.new("RGB", (80, 80)).save(photographs / "c.jpg")
    with colmap.Database.open(begun(colmap, tmp_path, photographs, CaptureConfig())) as opened:
        cameras = {camera.camera_id: camera for camera in opened.read_all_cameras()}
        found = {image.name: cameras[image.camera_id] for image in opened.read_all_images()}
    assert [(found[name].width, found[name].height) for name in sorted(found)] == [
        (80, 60),
        (60, 80),
        (80, 80),
    ]
    assert found["a.jpg"].focal_length == pytest.approx(80, rel=0.03)
    assert found["b.jpg"].focal_length == pytest.approx(160, rel=0.03)
    assert found["c.jpg"].focal_length == pytest.approx(96)
    assert [found[name].has_prior_focal_length for name in sorted(found)] == [True, True, False]


@pytest.mark.parametrize("lens", ["pinhole", "simple-radial", "radial", "opencv", "opencv-fisheye"])
def test_lenses_are_of_the_model_that_is_asked_for(colmap: Any, tmp_path: Path, lens: LensModel) -> None:
    photographs = write_photographs(tmp_path / "photographs", arc_cameras(3, width=48, height=32))
    with colmap.Database.open(begun(colmap, tmp_path, photographs, CaptureConfig(lens=lens))) as opened:
        (camera,) = opened.read_all_cameras()
    assert camera.model.name == lens.upper().replace("-", "_")


def test_features_are_found_once_and_where_masks_keep(colmap: Any, tmp_path: Path) -> None:
    photographs = write_photographs(tmp_path / "photographs", arc_cameras(3, width=160, height=120))
    options = CaptureConfig(features=200)
    database = begun(colmap, tmp_path, photographs, options)
    masks = tmp_path / "masks"
    masks.mkdir()
    kept = np.zeros((120, 160), dtype=np.uint8)
    kept[:, 80:] = 255
    for name in find_photographs(photographs):
        Image.fromarray(kept).save(masks / f"{name.name}.png")
    told: list[int] = []
    for _ in range(2):
        find_features(
            colmap,
            database,
            tmp_path / "images",
            masks=masks,
            options=options,
            threads=1,
            on_photographs=told.append,
        )
    assert told == [0, 3, 3]
    with colmap.Database.open(database) as opened:
        for image in opened.read_all_images():
            columns = opened.read_keypoints(image.image_id)[:, 0]
            # Some have two orientations.
            assert 10 < len(columns) <= 400
            assert columns.min() > 79
