"""Matches between photographs and their two-view geometries, in COLMAP's database, a chunk of pairs in one step.

COLMAP's own matcher takes 2.4 s of a core for two photographs of 3400 features when it has no GPU; as products of
matrices it is 0.1 s, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from latentfields.structure_from_motion.engine import SEED

LARGEST_RATIO = 0.8
"""Of the angles to the best and to the second best descriptor (Lowe's test)."""
LARGEST_ANGLE = 0.7
"""Radians between descriptors that match."""
FEWEST_INLIERS = 15
"""Matches that have to agree with one geometry: COLMAP's default, and that of LRF App. A.2."""
TRIALS = 2000
"""Of RANSAC for two photographs, at most. COLMAP's 10000 spend 0.34 s on a pair that does not overlap; of 43 pairs of
one capture these verify the same 17, with 2644 inliers for 2649, in a quarter of the time."""
_CHUNK = 32
_ROWS = 256
"""Descriptors that are compared with all of another photograph at the same time."""
_KEPT = 256
"""Photographs whose features are kept in memory, less than 1 MiB each."""


def match_descriptors(first: Tensor, second: Tensor) -> Tensor:
    """Return the (M, 2) indices of descriptors that match, of (A, D) and (B, D) descriptors of unit length.

    Both have to be the best of the other, and much better than the second best of `second` (COLMAP's limits).
    """
    if len(first) == 0 or len(second) < 2:
        return torch.empty(0, 2, dtype=torch.int64)
    # A few rows at a time: whole products are 200 MB of fresh memory, which takes as long to get as to fill.
    transposed, best_of_second = second.T.contiguous(), second.new_full((len(second),), -torch.inf)
    product = second.new_empty(_ROWS, len(second))
    values, indices = [], []
    for part in first.split(_ROWS):
        cosines = torch.mm(part, transposed, out=product[: len(part)])
        best = cosines.topk(2, dim=1)
        values.append(best.values)
        indices.append(best.indices[:, 0])
        best_of_second = torch.maximum(best_of_second, cosines.amax(dim=0))
    closest, partner = torch.cat(values), torch.cat(indices)
    angles = closest.clamp(-1, 1).arccos()
    mutual = best_of_second[partner] == closest[:, 0]
    distinct = angles[:, 0] < LARGEST_RATIO * angles[:, 1]
    rows = torch.nonzero(mutual & distinct & (angles[:, 0] < LARGEST_ANGLE))[:, 0]
    return torch.stack([rows, partner[rows]], dim=1)


def match_pairs(
    colmap: Any,
    database: Path,
    pairs: Sequence[tuple[int, int]],
    *,
    threads: int,
    fewest_inliers: int = FEWEST_INLIERS,
    least_inlier_ratio: float = 0.0,
    on_pairs: Callable[[int], object] = lambda count: None,
) -> None:
    """Match the pairs of images that were not matched yet, and verify the matches by two-view geometry.

    So many matches of a pair, and such a share of them, have to agree with one geometry; otherwise it has none.
    `threads` do not change the result. `on_pairs` is told how many more are matched.
    """
    with colmap.Database.open(database) as opened:
        wanted = [pair for pair in pairs if not opened.exists_matches(*pair)]
        on_pairs(len(pairs) - len(wanted))
        cameras = {camera.camera_id: camera for camera in opened.read_all_cameras()}
        camera_of = {image.image_id: cameras[image.camera_id] for image in opened.read_all_images()}
        features = lru_cache(_KEPT)(lambda image: _features(opened, image))
        verification = colmap.TwoViewGeometryOptions(min_num_inliers=fewest_inliers)
        verification.ransac.random_seed, verification.ransac.max_num_trials = SEED, TRIALS

        def matched(job: tuple[Any, ...]) -> tuple[npt.NDArray[np.uint32], Any]:
            first, second, (points, descriptors), (other_points, other_descriptors) = job
            found = match_descriptors(_of_unit_length(descriptors), _of_unit_length(other_descriptors))
            matches = found.numpy().astype(np.uint32)
            geometry = colmap.estimate_two_view_geometry(
                camera_of[first], points, camera_of[second], other_points, matches, verification
            )
            if len(geometry.inlier_matches) < least_inlier_ratio * len(matches):
                # COLMAP's own matcher looks at the share, its estimation by itself does not.
                geometry = colmap.TwoViewGeometry()
            return matches, geometry

        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, len(wanted), _CHUNK):
                chunk = wanted[start : start + _CHUNK]
                # The database is read in this thread alone.
                jobs = [(*pair, features(pair[0]), features(pair[1])) for pair in chunk]
                results = list(pool.map(matched, jobs))
                with colmap.DatabaseTransaction(opened):
                    for pair, (matches, geometry) in zip(chunk, results, strict=True):
                        opened.write_matches(*pair, matches)
                        opened.write_two_view_geometry(*pair, geometry)
                on_pairs(len(chunk))


def _features(database: Any, image: int) -> tuple[npt.NDArray[np.float64], Tensor]:
    """(K, 2) positions in pixels and (K, D) descriptors as they are stored, in bytes."""
    positions = np.asarray(database.read_keypoints(image))[:, :2].astype(np.float64)
    return positions, torch.from_numpy(np.array(database.read_descriptors(image).data))


def _of_unit_length(descriptors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(descriptors.float(), dim=1)
