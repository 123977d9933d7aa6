from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.photographs import needs_pycolmap
from latentfields.structure_from_motion.engine import load_pycolmap
from latentfields.structure_from_motion.pairs import all_pairs, sequential_pairs

pytestmark = needs_pycolmap


def database(colmap: Any, path: Path, scenes: list[int]) -> Any:
    """Features of images: those of one scene have the same ones, slightly disturbed."""
    opened = colmap.Database.open(path)
    camera = colmap.Camera(model="PINHOLE", width=100, height=100, params=[100, 100, 50, 50])
    number = opened.write_camera(camera)
    for index, scene in enumerate(scenes):
        image = colmap.Image(name=f"{index:03d}.jpg", camera_id=number)
        identifier = opened.write_image(image)
        shared, own = np.random.default_rng(scene), np.random.default_rng(1000 + index)
        count = 100
        values = shared.integers(0, 250, (count, 128)) + own.integers(0, 4, (count, 128))
        features = colmap.FeatureDescriptors()
        features.type, features.data = colmap.FeatureExtractorType.SIFT, values.astype(np.uint8)
        opened.write_keypoints(identifier, own.uniform(0, 100, (count, 4)).astype(np.float32))
        opened.write_descriptors(identifier, features)
    return opened


@pytest.fixture
def colmap(tmp_path: Path) -> Any:
    return load_pycolmap(tmp_path, wants="tests need")


def test_small_sets_have_all_pairs(colmap: Any, tmp_path: Path) -> None:
    with database(colmap, tmp_path / "all.db", [0] * 5) as opened:
        found = all_pairs(colmap, opened)
    assert sorted(found) == [(a, b) for a in range(1, 6) for b in range(a + 1, 6)]


def test_sequences_have_neighbours_and_some_farther_on(colmap: Any, tmp_path: Path) -> None:
    with database(colmap, tmp_path / "all.db", list(range(20))) as opened:
        found = sequential_pairs(colmap, opened, overlap=3, loops=0)
    steps = {b - a for a, b in found}
    assert steps == {1, 2, 3, 4}
    assert all(a < b for a, b in found)
    assert len(set(found)) == len(found) == 4 * 20 - 10


def test_loops_are_closed_where_images_look_alike(colmap: Any, tmp_path: Path) -> None:
    """The walk passes 12 places and comes back to the first two of them."""
    places = [*range(12), 0, 1]
    with database(colmap, tmp_path / "all.db", places) as opened:
        found = sequential_pairs(colmap, opened, overlap=2, loops=2)
        without = sequential_pairs(colmap, opened, overlap=2, loops=0)
    assert {(1, 13), (2, 14)} <= set(found)
    assert not {(1, 13), (2, 14)} & set(without)


def test_no_neighbour_is_skipped(colmap: Any, tmp_path: Path) -> None:
    """COLMAP's quadratic overlap alone leaves out those 3, 5, 6, 7, 9 and 10 places on."""
    with database(colmap, tmp_path / "all.db", list(range(24))) as opened:
        found = sequential_pairs(colmap, opened, overlap=10, loops=0)
    assert {b - a for a, b in found} == {*range(1, 11), 16}


def test_words_of_a_file_close_loops_as_well(colmap: Any, tmp_path: Path) -> None:
    """A vocabulary that was made from other images, those of other places."""
    words = tmp_path / "words.bin"
    random = np.random.default_rng(5)
    sample = colmap.FeatureDescriptorsFloat()
    sample.type = colmap.FeatureExtractorType.SIFT
    sample.data = random.integers(0, 250, (2000, 128)).astype(np.float32)
    building = colmap.VisualIndex.BuildOptions()
    building.num_visual_words, building.num_iterations, building.num_threads = 40, 5, 1
    index = colmap.VisualIndex.create(128, 64)
    index.build(building, sample)
    index.write(words)
    places = [*range(12), 0, 1]
    with database(colmap, tmp_path / "all.db", places) as opened:
        found = sequential_pairs(colmap, opened, overlap=2, loops=2, vocabulary=words)
    assert {(1, 13), (2, 14)} <= set(found)
