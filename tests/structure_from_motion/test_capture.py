from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.poses import pose_errors
from PIL import Image

from helpers.corner_scene import pictures
from helpers.photographs import (
    DETAIL,
    arc_cameras,
    needs_pycolmap,
    noise_photograph,
    turning_cameras,
    write_photographs,
)
from latentfields.errors import InputError
from latentfields.pages.video import write_mp4
from latentfields.scenes.load import load_scene
from latentfields.scenes.readers.colmap.folder import read_colmap
from latentfields.structure_from_motion import capture as stages
from latentfields.structure_from_motion.capture import CaptureSummary, capture
from latentfields.structure_from_motion.config import CaptureConfig

pytestmark = [pytest.mark.slow, needs_pycolmap]


def left_behind(folder: Path) -> list[str]:
    """What a capture has written beside the photographs."""
    return sorted(path.name for path in folder.iterdir() if path.name not in ("photographs", "scene"))


def files(scene: Path) -> dict[str, bytes]:
    """Poses, lenses and points, and the pictures."""
    return {
        path.relative_to(scene).as_posix(): path.read_bytes()
        for path in scene.rglob("*")
        if path.suffix in (".bin", ".jpg")
    }


def test_poses_are_those_of_the_cameras(captured: tuple[Path, CaptureSummary]) -> None:
    """Found from pictures alone: a tenth of a degree, and a hundredth of the spread of the cameras."""
    scene, summary = captured
    views = read_colmap(scene).views
    assert [view.name for view in views] == [f"images/photo_{index:02d}.jpg" for index in range(8)]
    known = arc_cameras().camera_to_world.double().numpy()
    degrees, distances = pose_errors(np.stack([view.pose for view in views]), known)
    assert degrees.max() < 0.2
    assert distances.max() < 0.01
    assert views[0].lens.fx == pytest.approx(float(arc_cameras().focal[0, 0]), rel=0.01)
    assert summary.reprojection_error < 0.5
    assert summary.points > 500


def test_the_scene_stands_upright(captured: tuple[Path, CaptureSummary]) -> None:
    """z is up, as in the world of the cameras, which look down."""
    views = read_colmap(captured[0]).views
    known = arc_cameras().camera_to_world.double().numpy()
    for view, pose in zip(views, known, strict=True):
        assert view.pose[2, :3] == pytest.approx(pose[2, :3], abs=0.01)


def test_the_scene_is_read(captured: tuple[Path, CaptureSummary]) -> None:
    scene = load_scene(captured[0], max_size=64)
    assert len(scene) == 8
    assert scene.size == (48, 64)
    assert scene.points is not None


def test_what_is_lost_has_a_reason(captured: tuple[Path, CaptureSummary]) -> None:
    scene, summary = captured
    (lost,) = summary.lost
    assert lost.name == "zz_elsewhere.jpg"
    assert lost.reason.startswith("no overlap: at most")
    assert summary.photographs == 9
    assert summary.cameras == 1
    stored = json.loads((scene / "capture.json").read_text())
    assert stored["lost"] == [{"name": lost.name, "reason": lost.reason}]
    assert stored["registered"] == [f"photo_{index:02d}.jpg" for index in range(8)]


def test_the_page_says_it(captured: tuple[Path, CaptureSummary]) -> None:
    page = (captured[0] / "capture.html").read_text()
    for text in (
        "of 9",
        "photographs that have a pose",
        "Reprojection error",
        "zz_elsewhere.jpg",
        "no overlap: at most",
        "From above",
        "320x240",
        "SIMPLE_RADIAL",
        "photographs</span>",
    ):
        assert text in page


def test_nothing_is_left_but_the_scene(captured: tuple[Path, CaptureSummary]) -> None:
    assert left_behind(captured[0].parent) == []
    assert sorted(path.name for path in captured[0].iterdir()) == [
        "capture.html",
        "capture.json",
        "images",
        "sparse",
    ]


def test_stages_that_were_done_are_not_done_again(
    captured: tuple[Path, CaptureSummary], photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted before the scene is written; it is the same, byte for byte."""

    def refuse(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "scene"
    with monkeypatch.context() as patched:
        patched.setattr(stages, "write_page", refuse)
        with pytest.raises(KeyboardInterrupt):
            capture(photographs, out=out, threads=1)
    assert not out.exists()
    with monkeypatch.context() as patched:
        patched.setattr(stages, "write_upright", refuse)
        for name in ("extract_features", "estimate_two_view_geometry", "incremental_mapping"):
            patched.setattr(f"pycolmap.{name}", refuse)
        capture(photographs, out=out, threads=1)
    assert files(out) == files(captured[0])
    assert left_behind(tmp_path) == []


def test_other_options_begin_anew(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    half_done = tmp_path / ".scene.capture" / "half-done"
    with monkeypatch.context() as patched:
        patched.setattr(stages, "find_features", killed)
        for features, kept in ((500, False), (500, True), (600, False)):
            with pytest.raises(KeyboardInterrupt):
                capture(photographs, out=tmp_path / "scene", options=CaptureConfig(features=features))
            assert half_done.exists() == kept
            half_done.touch()


def test_a_killed_process_is_resumed(
    captured: tuple[Path, CaptureSummary], photographs: Path, tmp_path: Path
) -> None:
    """Killed for good while it matches; the scene is the same, byte for byte."""
    code = (
        "import os, signal, sys\n"
        "from latentfields.structure_from_motion import capture as stages\n"
        "whole = stages.match_pairs\n"
        "def match(*arguments, on_pairs, **options):\n"
        "    def die(count):\n"
        "        on_pairs(count)\n"
        "        if count:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "    whole(*arguments, on_pairs=die, **options)\n"
        "stages.match_pairs = match\n"
        "stages.capture(sys.argv[1], out=sys.argv[2], threads=1)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(photographs), str(tmp_path / "scene")],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert ended.returncode < 0
    assert not (tmp_path / "scene").exists()
    capture(photographs, out=tmp_path / "scene", threads=1)
    assert files(tmp_path / "scene") == files(captured[0])


def test_a_scene_is_replaced_only_when_asked(
    captured: tuple[Path, CaptureSummary], photographs: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match="exists already; choose another folder, or replace it by `overwrite`"
    ):
        capture(photographs, out=captured[0])
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"holds 'notes\.txt', which no capture made"):
        capture(photographs, out=tmp_path, overwrite=True)


def test_a_scene_of_another_kind_is_not_replaced(photographs: Path, scene_folder: Path) -> None:
    with pytest.raises(InputError, match="holds a scene of its own, which no capture made"):
        capture(photographs, out=scene_folder, overwrite=True)


def test_a_camera_that_only_turns_is_refused(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photographs", turning_cameras())
    with pytest.raises(InputError, match="the camera only turned in its place"):
        capture(tmp_path / "photographs", out=tmp_path / "scene")
    assert left_behind(tmp_path) == []
    assert not (tmp_path / "scene").exists()


def test_photographs_of_different_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    for seed in range(3):
        noise_photograph(tmp_path / "photographs" / f"{seed}.jpg", seed=seed, width=160, height=120)
    with pytest.raises(InputError, match="no two photographs overlap: the best pair has"):
        capture(tmp_path / "photographs", out=tmp_path / "scene")
    assert left_behind(tmp_path) == []


def test_things_that_moved_are_refused(tmp_path: Path) -> None:
    """Pieces of pictures that lie elsewhere in each photograph."""
    random = np.random.default_rng(0)
    pieces = random.integers(0, 255, (30, 12, 12, 3), dtype=np.uint8)
    (tmp_path / "photographs").mkdir()
    for number in range(3):
        canvas = Image.new("RGB", (320, 240), (128, 128, 128))
        for place, piece in enumerate(random.permutation(30)):
            column, row = 53 * (place % 6), 48 * (place // 6)
            corner = (column + int(random.integers(16)), row + int(random.integers(11)))
            canvas.paste(Image.fromarray(pieces[piece]).resize((36, 36), Image.Resampling.BICUBIC), corner)
        canvas.save(tmp_path / "photographs" / f"{number}.png")
    with pytest.raises(InputError, match=r"things moved between the photographs: of .* only .* agree"):
        capture(tmp_path / "photographs", out=tmp_path / "scene")
    assert left_behind(tmp_path) == []


def test_an_object_that_turns_before_a_still_background_needs_masks(tmp_path: Path) -> None:
    """The corner is seen in a window; around it is a picture that is the same in all photographs."""
    photographs = tmp_path / "photographs"
    (photographs / "masks").mkdir(parents=True)
    random = np.random.default_rng(0)
    still = Image.fromarray(random.integers(0, 255, (90, 110, 3), dtype=np.uint8)).resize((440, 360))
    kept = np.zeros((360, 440), dtype=np.uint8)
    kept[60:300, 60:380] = 255
    for number, pixels in enumerate(pictures(arc_cameras(6), detail=DETAIL)):
        still.paste(Image.fromarray(pixels), (60, 60))
        still.save(photographs / f"{number}.png")
        Image.fromarray(kept).save(photographs / "masks" / f"{number}.png")
    options = CaptureConfig(lens="opencv")
    summary = capture(photographs, out=tmp_path / "scene", options=options)
    assert len(summary.registered) == 6
    capture_read = read_colmap(tmp_path / "scene")
    poses = np.stack([view.pose for view in capture_read.views])
    degrees, distances = pose_errors(poses, arc_cameras(6).camera_to_world.double().numpy())
    assert degrees.max() < 0.5
    assert distances.max() < 0.03
    assert capture_read.views[0].lens.fx != capture_read.views[0].lens.fy
    scene = load_scene(tmp_path / "scene", max_size=110)
    assert scene.alpha is not None
    assert float(scene.alpha.float().mean()) / 255 == pytest.approx(240 * 320 / (360 * 440), abs=0.02)


def test_a_film_becomes_a_scene(tmp_path: Path) -> None:
    """Frames in sequence, loops closed by the words of the film itself."""
    write_mp4(tmp_path / "film.mp4", pictures(arc_cameras(6), detail=DETAIL), fps=5)
    out = tmp_path / "scene"
    summary = capture(tmp_path / "film.mp4", out=out, options=CaptureConfig(frames=6, overlap=2, loops=2))
    assert summary.matching == "sequential"
    assert summary.registered == tuple(f"frame_{number:04d}.jpg" for number in range(1, 7))
    assert "frames that have a pose" in (out / "capture.html").read_text()
    poses = np.stack([view.pose for view in read_colmap(out).views])
    degrees, distances = pose_errors(poses, arc_cameras(6).camera_to_world.double().numpy())
    assert degrees.max() < 0.5
    assert distances.max() < 0.03


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "there is no such folder or film"),
        ("notes.txt", "is not a film that is known by its name"),
    ],
)
def test_what_is_neither_folder_nor_film_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=f"{message}; expected a folder of photographs or a film"):
        capture(tmp_path / name, out=tmp_path / "scene")


def test_without_pycolmap_the_extra_is_named(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(InputError, match=r"finding poses needs pycolmap; .* 'latentfields\[colmap\]'"):
        capture(photographs, out=tmp_path / "scene")
    assert left_behind(tmp_path) == []
