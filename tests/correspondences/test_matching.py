import importlib.util
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import torch
from PIL import Image

from helpers.corner_scene import corner_cameras, surface_points, write_colmap_scene, write_pictures
from helpers.scene_files import sphere_views, write_nerfstudio
from latentfields.cameras import Cameras
from latentfields.correspondences import matching
from latentfields.correspondences.config import CorrespondenceConfig
from latentfields.correspondences.files import SceneCorrespondences
from latentfields.correspondences.matching import matched_correspondences
from latentfields.correspondences.sparse_points import colmap_correspondences
from latentfields.errors import InputError

CAMERAS = corner_cameras(6)
OUTSIDE = "".join(f"{i} 1 0 0 0 0 0 3 1 ../../{i}.png\n1 2 7\n" for i in range(1, 5))
TRAIN = [1, 2, 3, 4, 5]
needs_pycolmap = pytest.mark.skipif(
    importlib.util.find_spec("pycolmap") is None, reason="pycolmap is not installed (the extra `colmap`)"
)


@pytest.fixture
def colmap_scene(tmp_path: Path) -> Path:
    return write_colmap_scene(tmp_path / "corner", CAMERAS)


def surface_distance(found: SceneCorrespondences, cameras: Cameras, views: list[int]) -> torch.Tensor:
    """Distances of the surface points that both ends of all correspondences are views of."""
    distances = []
    for pair, (first, second) in enumerate(found.pairs.tolist()):
        ends = found.fractions(pair) * found.sizes[found.pairs[pair]]
        points = surface_points(cameras[[views[first], views[second]]], ends.transpose(0, 1))
        distances.append((points[0] - points[1]).norm(dim=1))
    return torch.cat(distances)


def test_images_that_see_one_sparse_point_correspond(colmap_scene: Path) -> None:
    found = colmap_correspondences(colmap_scene, CorrespondenceConfig())
    assert found.images == tuple(f"view_{view:02d}.png" for view in TRAIN)
    assert len(found) == 10
    assert float(surface_distance(found, CAMERAS, TRAIN).max()) < 1e-2


def test_a_point_without_keypoint_in_one_image_is_no_correspondence(colmap_scene: Path) -> None:
    """Image i misses the points p with (p + i) divisible by 5; all are inside of all pictures."""
    found = colmap_correspondences(colmap_scene, CorrespondenceConfig())
    for pair, (first, second) in enumerate(found.pairs.tolist()):
        views = (TRAIN[first], TRAIN[second])
        expected = sum(all((point + view) % 5 for view in views) for point in range(60))
        assert int(found.starts[pair + 1] - found.starts[pair]) == expected


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("images.txt", None, "no file"),
        ("images.txt", OUTSIDE, "leaves the data set's folder"),
        ("cameras.txt", "# none\n", "refers to camera 1, which the model lacks"),
        (
            "cameras.txt",
            "1 PINHOLE 65 48 70 70 32 24\n",
            r"expected the size of view_00\.png, 64x48, got 65x48",
        ),
        ("images.txt", "1 1 0 0 0 0 0 3 1 view_00.png\n1 2 x\n", "line 2: expected triples"),
        ("images.txt", "1 1 0 0 0 0 0 3 1 view_00.png\n1 2\n", "line 2: expected triples"),
        ("images.txt", "1 1 0 0 0 0 0 3 1 view_00.png\nnan 2 3\n", "finite positions"),
        ("images.txt", "1 1 0 0 0 0 0 3 1 view_00.png\n1 2 -1\n", "no image sees a sparse point"),
        ("images.txt", "1 1 0 0 0 0 0 3 1 view_00.png\n1 2 7\n", "at least 2 images"),
    ],
)
def test_bad_models_name_their_file(colmap_scene: Path, file: str, content: str | None, message: str) -> None:
    path = colmap_scene / "sparse" / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(InputError, match=message):
        colmap_correspondences(colmap_scene, CorrespondenceConfig())


def test_a_single_training_view_is_refused(colmap_scene: Path) -> None:
    file = colmap_scene / "sparse" / "images.txt"
    file.write_text("\n".join(file.read_text().splitlines()[:4]) + "\n")
    with pytest.raises(InputError, match="has 1 usable view; correspondences need two"):
        colmap_correspondences(colmap_scene, CorrespondenceConfig())


def test_cameras_in_one_place_are_refused(colmap_scene: Path) -> None:
    file = colmap_scene / "sparse" / "images.txt"
    lines = file.read_text().splitlines()
    for index in range(0, len(lines), 2):
        lines[index] = f"{index + 1} 1 0 0 0 0 0 3 1 view_{index // 2:02d}.png"
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match="degenerate poses"):
        colmap_correspondences(colmap_scene, CorrespondenceConfig())


@pytest.mark.slow
@needs_pycolmap
@pytest.mark.parametrize("exhaustive_up_to", [40, 2])
def test_plain_images_are_matched_and_reconstructed(tmp_path: Path, exhaustive_up_to: int) -> None:
    """All with all, and in sequence; the surface is known exactly, COLMAP finds it from pictures alone."""
    cameras = corner_cameras(5, width=256, height=192)
    write_pictures(tmp_path / "corner", cameras, detail=40.0)
    options = CorrespondenceConfig(exhaustive_up_to=exhaustive_up_to, overlap=3)
    found = matched_correspondences(tmp_path / "corner", options)
    assert len(found.images) >= 4
    assert len(found.points) > 200
    views = [int(name[5:7]) for name in found.images]
    distance = surface_distance(found, cameras, views)
    # A pixel is 0.01 wide at this distance.
    assert float(distance.median()) < 0.01
    assert float((distance < 0.05).float().mean()) > 0.95
    again = matched_correspondences(tmp_path / "corner", options)
    assert torch.equal(again.points, found.points)
    assert torch.equal(again.poses, found.poses)


@needs_pycolmap
def test_images_without_matches_are_refused(tmp_path: Path) -> None:
    for index, colour in enumerate(("red", "blue", "green")):
        Image.new("RGB", (64, 48), colour).save(tmp_path / f"{index}.png")
    with pytest.raises(InputError, match="do not match"):
        matched_correspondences(tmp_path, CorrespondenceConfig())


@dataclass
class StandIns:
    """Take the places of pycolmap and of what matches by it, keep what they are called with, and find no model."""

    colmap: MagicMock
    all_pairs: MagicMock
    sequential_pairs: MagicMock
    match_pairs: MagicMock
    reconstruct: MagicMock


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIns:
    found = StandIns(*(MagicMock() for _ in fields(StandIns)))
    monkeypatch.setitem(sys.modules, "pycolmap", found.colmap)
    for name in ("all_pairs", "sequential_pairs", "match_pairs", "reconstruct"):
        monkeypatch.setattr(matching, name, getattr(found, name))
    found.reconstruct.return_value = []
    return found


def match(folder: Path, count: int, options: CorrespondenceConfig) -> None:
    for index in range(count):
        Image.new("RGB", (8, 6)).save(folder / f"{index:02d}.png")
    with pytest.raises(InputError, match="do not match"):
        matched_correspondences(folder, options)


@pytest.mark.parametrize(
    "options",
    [CorrespondenceConfig(), CorrespondenceConfig(min_points=21, min_inlier_ratio=0.4)],
)
@pytest.mark.parametrize("count", [3, 41])
def test_matches_are_verified_as_configured(
    stand_in: StandIns, tmp_path: Path, options: CorrespondenceConfig, count: int
) -> None:
    """By default as LRF App. A.2 says: 15 inliers, a quarter of a pair's matches."""
    match(tmp_path, count, options)
    (call,) = stand_in.match_pairs.call_args_list
    expected = (15, 0.25) if options == CorrespondenceConfig() else (21, 0.4)
    assert (call.kwargs["fewest_inliers"], call.kwargs["least_inlier_ratio"]) == expected
    chosen = stand_in.all_pairs if count == 3 else stand_in.sequential_pairs
    assert call.args[2] is chosen.return_value


@pytest.mark.parametrize(
    ("count", "most", "exhaustive"),
    [(40, 40, True), (41, 40, False), (3, 2, False), (3, 0, False), (42, 42, True)],
)
def test_small_sets_are_matched_all_with_all_and_larger_ones_in_sequence(
    stand_in: StandIns, tmp_path: Path, count: int, most: int, exhaustive: bool
) -> None:
    match(tmp_path, count, CorrespondenceConfig(exhaustive_up_to=most))
    assert stand_in.all_pairs.called == exhaustive
    assert stand_in.sequential_pairs.called != exhaustive
    extraction = stand_in.colmap.extract_features.call_args
    assert extraction.kwargs["image_names"] == [f"{i:02d}.png" for i in range(count)]


def test_of_a_scene_only_training_views_are_matched(stand_in: StandIns, tmp_path: Path) -> None:
    folder = write_nerfstudio(tmp_path / "ball", sphere_views())
    with pytest.raises(InputError, match="do not match"):
        matched_correspondences(folder, CorrespondenceConfig())
    names = stand_in.colmap.extract_features.call_args.kwargs["image_names"]
    assert names == [name for index, name in enumerate(sphere_views().names) if index % 8]


@pytest.mark.parametrize("tree", [False, True])
@pytest.mark.parametrize(("overlap", "loops"), [(10, 10), (4, 0)])
def test_sequences_overlap_and_close_loops_by_a_vocabulary_or_their_own_words(
    stand_in: StandIns, tmp_path: Path, overlap: int, loops: int, tree: bool
) -> None:
    file = tmp_path / "tree.bin"
    file.touch()
    options = CorrespondenceConfig(
        exhaustive_up_to=2, overlap=overlap, loops=loops, vocabulary_tree=file if tree else None
    )
    match(tmp_path, 4, options)
    (call,) = stand_in.sequential_pairs.call_args_list
    expected = {"overlap": overlap, "loops": loops, "vocabulary": file if tree else None}
    assert call.kwargs == expected


def test_two_images_are_enough_for_a_model(stand_in: StandIns, tmp_path: Path) -> None:
    match(tmp_path, 3, CorrespondenceConfig())
    assert stand_in.reconstruct.call_args.kwargs == {"smallest": 2}
    assert stand_in.colmap.set_random_seed.call_args.args == (0,)
    assert stand_in.colmap.FeatureExtractionOptions.call_args.kwargs["num_threads"] == 1


def test_data_sets_of_earlier_versions_go_on() -> None:
    """They do not say how many images close loops."""
    options = CorrespondenceConfig(min_points=20)
    about = options.about("images")
    assert options.made(about, "images")
    assert about.pop("loops") == 10
    assert options.made(about, "images")
    assert not options.made({**about, "overlap": 9}, "images")
    assert not options.made({**about, "loops": 9}, "images")
    assert not options.made(about, "colmap")


def test_a_single_image_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "0.png")
    with pytest.raises(InputError, match="has 1 image; correspondences need two views"):
        matched_correspondences(tmp_path, CorrespondenceConfig())


def test_a_missing_vocabulary_tree_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "images", CAMERAS)
    with pytest.raises(InputError, match="expected a vocabulary tree"):
        matched_correspondences(tmp_path, CorrespondenceConfig(vocabulary_tree=tmp_path / "tree.bin"))


def test_without_pycolmap_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path / "images", CAMERAS)
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(InputError, match=r"pip install 'latentfields\[colmap\]'"):
        matched_correspondences(tmp_path, CorrespondenceConfig())


def test_pictures_are_those_of_the_reader(colmap_scene: Path) -> None:
    """Missing ones are left out of the split, backslashes are separators, shrunk ones keep their positions."""
    expected = colmap_correspondences(colmap_scene, CorrespondenceConfig())
    images = colmap_scene / "images"
    (images / "left").mkdir()
    for file in list(images.glob("*.png")):
        file.rename(images / "left" / file.name)
    file = colmap_scene / "sparse" / "images.txt"
    file.write_text(file.read_text().replace("view_", "left\\view_"))
    found = colmap_correspondences(colmap_scene, CorrespondenceConfig())
    assert found.images == tuple(f"left/{name}" for name in expected.images)
    assert torch.equal(found.points, expected.points)
    for picture in (images / "left").iterdir():
        Image.open(picture).resize((32, 24)).save(picture)
    with pytest.warns(UserWarning, match="pictures have 32x24; intrinsics are scaled"):
        shrunk = colmap_correspondences(colmap_scene, CorrespondenceConfig())
    assert shrunk.sizes.tolist() == [[32, 24]] * len(shrunk.images)
    assert int((shrunk.points.int() - expected.points.int()).abs().max()) <= 1
    for picture in (images / "left").iterdir():
        Image.open(picture).resize((64, 48)).save(picture)
    (images / "left" / "view_00.png").unlink()
    with pytest.warns(UserWarning, match=r"(pictures|all of those) are missing"):
        fewer = colmap_correspondences(colmap_scene, CorrespondenceConfig())
    assert "left/view_01.png" not in fewer.images
