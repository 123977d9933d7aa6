"""Exact correspondences of rendered scenes, from their depth maps."""

from __future__ import annotations

from pathlib import Path

import torch

from latentfields.correspondences.config import CorrespondenceConfig
from latentfields.correspondences.files import PointPair, SceneCorrespondences, gathered
from latentfields.correspondences.pose_error import unit_spread
from latentfields.errors import InputError
from latentfields.measures.warping import correspondences, covered_cells, neighbouring_views
from latentfields.scenes.images import image_size
from latentfields.scenes.load import load_scene


def depth_correspondences(folder: Path, options: CorrespondenceConfig) -> SceneCorrespondences:
    """Correspondences between the training views of a scene with depth maps.

    Points are the centres of squares of `options.spacing` pixels that lie wholly on the surface, where another view
    sees the same point: its depth there has to agree. Raises InputError when the scene has no depth, its lenses are
    distorted, or its views share too little.
    """
    scene = load_scene(folder)
    if scene.depth is None:
        raise InputError(folder, "has no depth maps; expected a scene rendered by `latentfields scenes`")
    views = scene.indices("train")
    names = [scene.image_names[view] for view in views.tolist()]
    size = (scene.cameras.width, scene.cameras.height)
    if any(image_size(folder / name) != size for name in names):
        raise InputError(
            folder,
            "has depth maps and lens distortion or pictures of several sizes; expected pinhole cameras",
        )
    cameras, depth = scene.cameras[views], scene.depth[views]
    covered = covered_cells(depth, factor=options.spacing)
    pairs = []
    for first, second in neighbouring_views(cameras, largest_angle=options.largest_angle):
        if first < second:
            found = correspondences(
                cameras, depth, covered, target=first, source=second, factor=options.spacing
            )
            here = found.cells.flip(1) + 0.5
            positions = torch.stack([here, found.positions], dim=1) * options.spacing
            pairs.append(PointPair(first, second, positions))
    return gathered(
        pairs,
        name=scene.name,
        folder=folder,
        images=names,
        sizes=torch.tensor([size]).repeat(len(names), 1),
        poses=unit_spread(cameras.camera_to_world.double(), source=str(folder)),
        min_points=options.min_points,
        about=options.about("depth"),
    )
