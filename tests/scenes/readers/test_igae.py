from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.scene_files import edit_json, ring_cameras, sphere_views, write_igae
from latentfields.errors import InputError
from latentfields.scenes.readers.igae import read_igae


def test_axes_are_turned_to_opengl(tmp_path: Path) -> None:
    views = sphere_views()
    capture = read_igae(write_igae(tmp_path, views))
    for view, pose in zip(capture.views, views.poses, strict=True):
        np.testing.assert_allclose(view.pose, pose, atol=1e-12)
    assert capture.views[0].lens.fy == pytest.approx(66)
    assert capture.views[0].lens.cx == 25.5


def test_the_first_tenth_as_listed_is_test(tmp_path: Path) -> None:
    views = sphere_views(ring_cameras(25, width=16, height=16))
    # Not in the order of names: the split is positional.
    views = replace(views, names=tuple(reversed(views.names)))
    capture = read_igae(write_igae(tmp_path, views))
    assert [view.name for view in capture.views] == list(views.names)
    assert list(capture.splits["test"]) == [0, 1]
    assert list(capture.splits["train"]) == list(range(2, 25))


def test_intrinsics_may_differ_from_frame_to_frame(tmp_path: Path) -> None:
    folder = write_igae(tmp_path, sphere_views())
    edit_json(folder / "transforms_opencv.json", frame_fl_x=77.0)
    lenses = [view.lens for view in read_igae(folder).views]
    assert lenses[0].fx == 77
    assert lenses[1].fx == 60


def test_one_view_cannot_be_split(tmp_path: Path) -> None:
    cameras = ring_cameras(4)
    folder = write_igae(tmp_path, sphere_views(cameras[torch.tensor([0])]))
    with pytest.raises(InputError, match=r"transforms_opencv\.json: frames: expected at least 2"):
        read_igae(folder)
