"""From a capture to a scene: pixels on one lattice, cameras that follow, the normalised frame."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.scenes.normalise import found_bounds, normalise, transform_points
from latentfields.scenes.readers.capture import Capture
from latentfields.scenes.readers.decoding import PixelPlan, is_transparent, plan_pixels, read_depth_maps
from latentfields.scenes.readers.pixel_cache import cached_pixels
from latentfields.scenes.reading import ChosenBounds, SceneKind
from latentfields.scenes.scene import Scene, scene_name


def assemble(
    capture: Capture,
    *,
    max_size: int | None,
    background: tuple[float, float, float],
    ignore: bool,
    bounds: ChosenBounds,
) -> Scene:
    """The scene of a capture, with the longer side of its images at most `max_size` pixels.

    What masks leave out is background, or ignored with `ignore`. Raises InputError when pictures cannot be read, and
    when the scene cannot be normalised.
    """
    plan = plan_pixels(capture, max_size=max_size)
    decoded = cached_pixels(capture, plan, ignore=ignore)
    pixels, alpha = decoded.pixels, decoded.alpha
    depth = read_depth_maps(capture, plan)
    cameras = _cameras(capture, plan)
    splits = {
        name: torch.tensor(list(indices), dtype=torch.int64) for name, indices in capture.splits.items()
    }
    points, colors = _sparse_points(capture)
    found = normalise(
        cameras,
        pixels=pixels,
        train=splits["train"],
        alpha=alpha,
        points=points,
        bounds=bounds,
        source=capture.folder,
    )
    return Scene(
        name=scene_name(capture.folder),
        source=str(capture.folder),
        pixels=pixels,
        alpha=alpha,
        cameras=cameras.transformed(found.world_to_scene).to(torch.float32),
        splits=splits,
        background=background,
        near=found.near,
        far=found.far,
        world_to_scene=found.world_to_scene,
        image_names=tuple(view.name for view in capture.views),
        points=None if points is None else transform_points(found.world_to_scene, points).float(),
        point_colors=colors,
        ignored=decoded.ignored,
        bounds=found.bounds,
        depth=None if depth is None else depth * found.world_to_scene[0, 0].float(),
    )


def kind_of(capture: Capture, *, ignore: bool, bounds: ChosenBounds) -> SceneKind:
    """What `Scene.kind` is of the scene that `assemble` makes, without decoding more pictures than tell."""
    points, _ = _sparse_points(capture)
    if points is None:
        return "object"
    poses = torch.from_numpy(np.stack([view.pose for view in capture.views]))
    # Of any lens: where cameras look is all that counts.
    lens = poses.new_ones(len(poses), 2)
    cameras = Cameras(poses, focal=lens, principal=lens, width=1, height=1)
    transparent = bounds == "auto" and is_transparent(capture, ignore=ignore)
    covered = found_bounds(bounds, cameras, transparent=transparent, points=points)
    return "capture" if covered == "scene" else "object"


def _cameras(capture: Capture, plan: PixelPlan) -> Cameras:
    """Pinhole cameras of the scene's pictures in the world, float64."""
    lenses = [view.lens for view in capture.views]
    offset = torch.tensor([(window.left, window.top) for window in plan.windows], dtype=torch.float64)
    shown = torch.tensor([(window.width, window.height) for window in plan.windows], dtype=torch.float64)
    # Intrinsics scale exactly, each axis by itself: windows are whole pixels, so the axes may differ a little.
    scale = torch.tensor([plan.width, plan.height], dtype=torch.float64) / shown
    focal = torch.tensor([(lens.fx, lens.fy) for lens in lenses], dtype=torch.float64)
    principal = torch.tensor([(lens.cx, lens.cy) for lens in lenses], dtype=torch.float64)
    return Cameras(
        camera_to_world=torch.from_numpy(np.stack([view.pose for view in capture.views])),
        focal=focal * scale,
        principal=(principal - offset) * scale,
        width=plan.width,
        height=plan.height,
    )


def _sparse_points(capture: Capture) -> tuple[Tensor | None, Tensor | None]:
    """(P, 3) float64 positions in the world and (P, 3) uint8 colours, each None where there are none."""
    if capture.points is None or len(capture.points) == 0:
        return None, None
    colors = None if capture.point_colors is None else torch.from_numpy(capture.point_colors)
    return torch.from_numpy(capture.points), colors
