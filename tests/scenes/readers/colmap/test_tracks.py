import struct
from pathlib import Path

import numpy as np
import pytest

from helpers.scene_files import (
    colmap_pose,
    sphere_points,
    sphere_views,
    write_colmap_binary,
    write_colmap_text,
)
from latentfields.errors import InputError
from latentfields.scenes.readers.colmap.tracks import TrackedImage, read_tracks

VIEWS = sphere_views()
SEEN = {0: [(7, 1.5, 2.5), (3, 4.0, 5.25), (7, 9.0, 9.0), (-1, 6.0, 6.0)], 2: [(3, 0.5, 0.75)]}
"""Points that the views observe: identifier, column, row."""


def write_binary(folder: Path) -> Path:
    write_colmap_binary(folder, VIEWS, sphere_points())
    records = [struct.pack("<Q", len(VIEWS.names))]
    for index, (name, pose) in enumerate(zip(VIEWS.names, VIEWS.poses, strict=True)):
        rotation, translation = colmap_pose(pose)
        seen = SEEN.get(index, [])
        records.append(struct.pack("<I7dI", index + 1, *rotation, *translation, 7))
        records.append(name.removeprefix("images/").encode() + b"\0" + struct.pack("<Q", len(seen)))
        records += [struct.pack("<ddq", column, row, point) for point, column, row in seen]
    (folder / "sparse" / "0" / "images.bin").write_bytes(b"".join(records))
    return folder / "sparse" / "0"


def write_text(folder: Path) -> Path:
    write_colmap_text(folder, VIEWS, sphere_points())
    file = folder / "sparse" / "images.txt"
    lines = file.read_text().splitlines()
    for index in range(len(VIEWS.names)):
        # The first line is a comment; then every image has two.
        lines[2 * index + 2] = " ".join(
            f"{column} {row} {point}" for point, column, row in SEEN.get(index, [])
        )
    file.write_text("\n".join(lines) + "\n")
    return folder / "sparse"


@pytest.fixture(params=[write_binary, write_text])
def images(request: pytest.FixtureRequest, tmp_path: Path) -> list[TrackedImage]:
    return read_tracks(request.param(tmp_path / "ball"))


def test_keypoints_are_sorted_by_their_point_and_unique(images: list[TrackedImage]) -> None:
    assert [image.name for image in images] == [name.removeprefix("images/") for name in VIEWS.names]
    assert images[0].points.tolist() == [3, 7]
    assert images[0].positions.tolist() == [[4.0, 5.25], [1.5, 2.5]]
    assert images[1].positions.shape == (0, 2)
    assert images[2].points.tolist() == [3]
    assert images[0].size == (48, 40)


def test_poses_look_along_positive_z(images: list[TrackedImage]) -> None:
    for image, pose in zip(images, VIEWS.poses, strict=True):
        np.testing.assert_allclose(image.pose @ np.diag([1.0, -1.0, -1.0, 1.0]), pose, atol=1e-6)


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    model = write_binary(tmp_path / "ball")
    content = (model / "images.bin").read_bytes()
    (model / "images.bin").write_bytes(content[:-3])
    with pytest.raises(InputError, match="bytes"):
        read_tracks(model)
