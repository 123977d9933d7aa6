"""The sparse points of a COLMAP model that lies beside other files of poses, in the world of those poses."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from latentfields.errors import InputError
from latentfields.scenes.readers.capture import Array, Capture
from latentfields.scenes.readers.colmap.folder import chosen_model, model_folders, read_model
from latentfields.scenes.readers.transforms_json import OPENCV_TO_OPENGL

SHARED_VIEWS = 3
"""Views that files of poses and model have to share, at least."""
LARGEST_TURN = 1.0
"""Degrees that cameras of both may be turned against each other, in the median."""
LARGEST_SHIFT = 0.02
"""Share of the cameras' spread by which centres of both may differ, in the median."""


@dataclass(frozen=True)
class _Similarity:
    """x -> scale R x + translation."""

    rotation: Array
    scale: float
    translation: Array

    def __call__(self, points: Array) -> Array:
        moved: Array = self.scale * points @ self.rotation.T + self.translation
        return moved


def with_points_beside(capture: Capture, *, follow_links: bool = False) -> Capture:
    """`capture` with the points of the COLMAP model in its folder, where it has none itself and there is such a model.

    The poses are compared, up to a similarity: where they are not the same cameras, and where the model cannot be
    read, a warning says so and the points are left out.
    """
    if capture.points is not None or not model_folders(capture.folder):
        return capture
    try:
        model = chosen_model(capture.folder, follow_links=follow_links)
        poses, points = read_model(model, follow_links=follow_links)
        similarity = _agreement(capture, {name: pose @ OPENCV_TO_OPENGL for name, pose in poses.items()})
    except InputError as error:
        warnings.warn(f"{error}; its points are ignored", stacklevel=2)
        return capture
    if isinstance(similarity, str):
        warnings.warn(f"{model}: {similarity}; its points are ignored", stacklevel=2)
        return capture
    return replace(capture, points=similarity(points.positions), point_colors=points.colors)


def _agreement(capture: Capture, poses: dict[str, Array]) -> _Similarity | str:
    """The similarity from a model with `poses` to the world of `capture`; or in what they differ."""
    theirs = _by_stem(poses.items())
    mine = _by_stem((view.name, view.pose) for view in capture.views)
    shared = sorted(theirs.keys() & mine.keys())
    if len(shared) < SHARED_VIEWS:
        return f"shares {len(shared)} pictures with the poses beside it, expected {SHARED_VIEWS} or more"
    first, second = np.stack([theirs[name] for name in shared]), np.stack([mine[name] for name in shared])
    similarity = _fitted(first, second)
    turned = np.swapaxes(similarity.rotation @ first[:, :3, :3], 1, 2) @ second[:, :3, :3]
    cosine = (np.trace(turned, axis1=1, axis2=2) - 1) / 2
    turn = float(np.median(np.degrees(np.arccos(cosine.clip(-1, 1)))))
    centers = second[:, :3, 3]
    spread = float(np.linalg.norm(centers - centers.mean(0), axis=1).mean())
    apart = np.linalg.norm(similarity(first[:, :3, 3]) - centers, axis=1)
    shift = float(np.median(apart)) / spread if spread > 0 else np.inf
    # Written so that NaN differs.
    if not (turn <= LARGEST_TURN and shift <= LARGEST_SHIFT):
        return (
            f"its cameras are not those of the poses beside it, which are turned by {turn:.2g} degrees and shifted by "
            f"{100 * shift:.2g} % of the cameras' spread"
        )
    return similarity


def _fitted(first: Array, second: Array) -> _Similarity:
    """The similarity that takes poses (N, 4, 4) to others, by least squares.

    Rotations tell the rotation, also where all cameras stand on one line; centres tell the rest.
    """
    u, _, vt = np.linalg.svd((second[:, :3, :3] @ np.swapaxes(first[:, :3, :3], 1, 2)).sum(0))
    rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    start, end = first[:, :3, 3], second[:, :3, 3]
    from_middle, to_middle = (start - start.mean(0)) @ rotation.T, end - end.mean(0)
    size = float((from_middle**2).sum())
    scale = float((from_middle * to_middle).sum()) / size if size > 0 else 1.0
    return _Similarity(rotation, scale, end.mean(0) - scale * rotation @ start.mean(0))


def _by_stem(poses: Iterable[tuple[str, Array]]) -> dict[str, Array]:
    """Poses by the names of pictures without folder and ending; names that several pictures have are left out."""
    found: dict[str, list[Array]] = {}
    for name, pose in poses:
        found.setdefault(PurePosixPath(name).stem, []).append(pose)
    return {name: same[0] for name, same in found.items() if len(same) == 1}
