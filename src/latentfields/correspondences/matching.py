"""Correspondences of plain images, which pycolmap (an extra) matches and reconstructs as LRF App. A.2 says."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from latentfields.correspondences.config import CorrespondenceConfig
from latentfields.correspondences.files import SceneCorrespondences
from latentfields.correspondences.sparse_points import correspondences_of_tracks
from latentfields.errors import InputError
from latentfields.scenes.images import image_size
from latentfields.scenes.load import find_reader, is_scene
from latentfields.scenes.plain_pictures import PHOTO_SUFFIXES, picture_folder, pictures_in
from latentfields.scenes.readers.colmap.tracks import read_tracks
from latentfields.scenes.shards import ShardPath
from latentfields.structure_from_motion.engine import load_pycolmap
from latentfields.structure_from_motion.mapping import reconstruct
from latentfields.structure_from_motion.matching import match_pairs
from latentfields.structure_from_motion.pairs import all_pairs, sequential_pairs


def matched_correspondences(folder: Path, options: CorrespondenceConfig) -> SceneCorrespondences:
    """Correspondences between plain images: SIFT features, matches by LRF App. A.2, incremental reconstruction.

    Of a scene, these are the pictures of its training views, wherever they lie; otherwise all that are in the folder.
    Small sets are matched all with all; larger ones in the order of their names (`sequential_pairs`). Fixed seeds: the
    same images give the same points. Raises InputError without pycolmap, with fewer than two images, and when too few
    match.
    """
    images, names = _training_pictures(folder) if is_scene(folder) else _plain_pictures(folder)
    if isinstance(images, ShardPath):
        raise InputError(
            images, "is in a shard; pictures are matched where they are files, so unpack it first"
        )
    if len(names) < 2:
        raise InputError(images, f"has {len(names)} image; correspondences need two views")
    if options.vocabulary_tree is not None and not options.vocabulary_tree.is_file():
        raise InputError(
            options.vocabulary_tree, "there is no such file; expected a vocabulary tree of COLMAP"
        )
    colmap = load_pycolmap(folder, wants="plain images need")
    with tempfile.TemporaryDirectory(prefix="latentfields-") as work:
        database = Path(work) / "database.db"
        _extract(colmap, database, images, names)
        _match(colmap, database, len(names), options)
        tracked = read_tracks(_reconstruct(colmap, database, images, Path(work), source=folder))
    return correspondences_of_tracks(
        tracked,
        scene=folder,
        images=images,
        min_points=options.min_points,
        about=options.about("images"),
    )


def _training_pictures(scene: Path) -> tuple[Path, list[str]]:
    """The folder of a scene, and the names of its training views in it."""
    capture = find_reader(scene).read(scene)
    return scene, sorted(capture.views[view].name for view in capture.splits["train"])


def _plain_pictures(folder: Path) -> tuple[Path, list[str]]:
    """A folder of images, and their names."""
    images = picture_folder(folder)
    if images is None:
        raise InputError(folder, f"has no images; looked for {', '.join(sorted(PHOTO_SUFFIXES))}")
    return images, pictures_in(images)


def _extract(colmap: Any, database: Path, images: Path, names: list[str]) -> None:
    sizes = {image_size(images / name) for name in names}
    # Pictures of one size are taken to be of one camera, which small sets need for a good focal length.
    mode = colmap.CameraMode.SINGLE if len(sizes) == 1 else colmap.CameraMode.AUTO
    options = colmap.FeatureExtractionOptions(num_threads=1)
    colmap.extract_features(
        database,
        images,
        image_names=names,
        camera_mode=mode,
        extraction_options=options,
        device=colmap.Device.cpu,
    )


def _match(colmap: Any, database: Path, count: int, options: CorrespondenceConfig) -> None:
    """Match the images and verify their matches by the limits of LRF App. A.2."""
    with colmap.Database.open(database) as opened:
        if count <= options.exhaustive_up_to:
            pairs = all_pairs(colmap, opened)
        else:
            pairs = sequential_pairs(
                colmap,
                opened,
                overlap=options.overlap,
                loops=options.loops,
                vocabulary=options.vocabulary_tree,
            )
    match_pairs(
        colmap,
        database,
        pairs,
        threads=1,
        fewest_inliers=options.min_points,
        least_inlier_ratio=options.min_inlier_ratio,
    )


def _reconstruct(colmap: Any, database: Path, images: Path, work: Path, *, source: Path) -> Path:
    """The folder of the model with most images. Raises InputError, naming `source`, when there is none."""
    found = reconstruct(colmap, database, images, work / "models", smallest=2)
    if not found:
        raise InputError(source, "its images do not match: no two of them could be reconstructed together")
    model = work / "model"
    model.mkdir()
    found[0].write_binary(model)
    return model
