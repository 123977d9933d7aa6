"""Reference views: what photographs near a view show and decoded renderings of them lack, carried over by depth.

A decoder gives back less detail than a photograph has, and a field fewer of its latents. Where a training view saw the
same surface, what is missing there is known: the photograph less the scene's own rendering of it. It is added to a new
view where rendered depth says that both show one point, and renderings agree about its colour. Nothing is learned;
where no photograph has been, pictures stay as they are. The scene's photographs have to be at hand.

Image-based rendering in the residuals of a latent scene: of what literature does at decoding, the part that needs no
training. Shape suffixes: B images, N reference views, H, W image size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

from latentfields.cameras import Cameras
from latentfields.config.checks import require_at_least
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.scene import Scene

SAME_DEPTH = 0.02
"""Standard deviation, as a share of the distance, within which two depths are of one surface."""
SAME_COLOR = 0.1
"""Standard deviation within which two renderings are of one point; colours are in [0, 1]."""
SAME_ANGLE = 0.05
"""Angle in radians between two rays to a point below which neither knows more about it."""
DOUBT = 0.3
"""Weight of adding nothing, where a reference from straight ahead has 1 / `SAME_ANGLE`."""
SOLID = 0.5
"""Opacity from which on depth is that of a surface."""
REMEMBERED = 16
"""Reference views that are kept: those of the next view are mostly those of the last one. Of 512 pixels, 134 MB."""


@dataclass(frozen=True)
class Reference:
    """One training view."""

    camera: Cameras
    maps: Tensor
    """(8, H, W): the photograph less the rendering, 0 where the photograph does not count (3 channels); the rendering,
    colours in [0, 1] (3); the distance to the surface along the ray (1); opacity in [0, 1] (1)."""

    def carried(self, points: Tensor, directions: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
        """What is missing (3, H, W) at `points` (H, W, 3), and how much that is to be believed (1, H, W).

        Another view sees the points in unit `directions` (H, W, 3), and shows colours (3, H, W) there.
        """
        height, width = points.shape[:2]
        pixels, depth = self.camera.project(points.view(-1, 3))
        size = pixels.new_tensor([self.camera.width, self.camera.height])
        places = (2 * pixels / size - 1).view(1, height, width, 2)
        found = grid_sample(self.maps[None], places, padding_mode="border", align_corners=False)[0]
        missing, here, distance, opacity = found.split([3, 3, 1, 1])
        away = points - self.camera.centers[0]
        expected = away.norm(dim=-1).clamp(min=1e-9)
        cosine = ((away / expected[..., None]) * directions).sum(-1)
        angle = torch.acos(cosine.clamp(-1, 1))
        in_view = (places.abs() <= 1).all(-1)[0] & (depth.view(height, width) > 0)
        surface = torch.exp(-((distance[0] / expected - 1) / SAME_DEPTH).square())
        color = torch.exp(-(here - shown).square().mean(0) / SAME_COLOR**2)
        weight = surface * color * in_view * (opacity[0] > SOLID) / (angle + SAME_ANGLE)
        return missing, weight[None]


class ReferenceViews:
    """The training views of a fitted scene as references for others."""

    def __init__(self, model: SceneModel, scene: Scene, *, count: int, grids: int = 1) -> None:
        """`scene` is the one that `model` was fitted to; the `count` views nearest to a camera are its references.

        Views are rendered when they are first needed, on `grids`^2 grids of latents as `SceneModel.render` has it.
        Raises ArgumentError for a count below 1, and as that.
        """
        require_at_least("reference_views", count, 1)
        model.grid_corners(grids)
        self.model, self.scene, self.count, self.grids = model, scene, count, grids
        self.indices = scene.indices("train")
        self.centers = scene.cameras[self.indices].centers
        self._reference: Callable[[int], Reference] = lru_cache(max(REMEMBERED, count))(self._rendered)

    @torch.no_grad()
    def render(self, cameras: Cameras) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] of image-sized `cameras`, on the CPU: `SceneModel.render`, improved."""
        images, seen = self.model.render(cameras, grids=self.grids)
        return self.improved(images, seen, cameras)

    @torch.no_grad()
    def improved(self, images: Tensor, seen: Rendering, cameras: Cameras) -> Tensor:
        """`images` (B, 3, H, W) of `cameras` with what references add; both are as `SceneModel.render` gives them."""
        size = images.shape[-2:]
        distances, opacities = (_enlarged(maps, size) for maps in (seen.depth, seen.opacity))
        improved = [
            self._improved(image, distance, opacity, cameras[index : index + 1])
            for index, (image, distance, opacity) in enumerate(zip(images, distances, opacities, strict=True))
        ]
        return torch.stack(improved)

    def _improved(self, image: Tensor, distance: Tensor, opacity: Tensor, camera: Cameras) -> Tensor:
        rays = camera.rays()
        directions = rays.directions[0]
        points = rays.origins[0] + directions * distance[0, ..., None]
        nearest = (self.centers - camera.centers).norm(dim=-1).argsort()[: self.count]
        added, weights = torch.zeros_like(image), torch.full_like(distance, DOUBT)
        for number in nearest.tolist():
            missing, weight = self._reference(number).carried(points, directions, image)
            added += missing * weight
            weights += weight
        return (image + added / weights * (opacity > SOLID)).clamp(0, 1)

    def _rendered(self, number: int) -> Reference:
        index = self.indices[number : number + 1]
        camera, photo, kept = self.scene.cameras[index], self.scene.images(index), self.scene.kept(index)
        image, seen = self.model.render(camera, grids=self.grids)
        missing = photo - image if kept is None else (photo - image) * kept
        enlarged = (_enlarged(maps, image.shape[-2:]) for maps in (seen.depth, seen.opacity))
        return Reference(camera, torch.cat([missing, image, *enlarged], dim=1)[0])


def _enlarged(maps: Tensor, size: torch.Size) -> Tensor:
    """Maps (B, 1, h, w) at the size of images."""
    return interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
