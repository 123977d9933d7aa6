"""Cameras and images between pixels and latents.

Shape suffixes: N cameras, R rays, H, W image size, h = H / factor, w = W / factor, C latent channels.
"""

from __future__ import annotations

import torch
from nerfstudio.cameras.cameras import Cameras
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor


def on_latent_grid(cameras: Cameras, factor: int) -> Cameras:
    """The same views with one pixel per latent; a last column or row of latents may reach over the image.

    Intrinsics scale exactly, 140 pixels at 1/8 to 17.5: pixel centres lie at + 0.5 in both grids.
    """
    return Cameras(
        camera_to_worlds=cameras.camera_to_worlds,
        fx=cameras.fx / factor,
        fy=cameras.fy / factor,
        cx=cameras.cx / factor,
        cy=cameras.cy / factor,
        width=(cameras.width + factor - 1) // factor,
        height=(cameras.height + factor - 1) // factor,
        distortion_params=cameras.distortion_params,
        camera_type=cameras.camera_type,
        times=cameras.times,
        metadata=cameras.metadata,
    )


def cropped(cameras: Cameras, *, corners: Tensor, sizes: Tensor) -> Cameras:
    """Views of windows of images without distortion; principal points move with them.

    `corners` (N, 2) are (left, top), `sizes` (N, 2) are (width, height), integers in pixels.
    """
    return Cameras(
        camera_to_worlds=cameras.camera_to_worlds,
        fx=cameras.fx,
        fy=cameras.fy,
        cx=cameras.cx - corners[:, :1],
        cy=cameras.cy - corners[:, 1:],
        width=sizes[:, :1],
        height=sizes[:, 1:],
        camera_type=cameras.camera_type,
        times=cameras.times,
        metadata=cameras.metadata,
    )


def latent_rays(cameras: Cameras, index: Tensor, *, factor: int) -> RayBundle:
    """The rays (R,) of all latents of the views `index` (B,), view after view, row after row.

    Every ray knows its view by its index in `cameras`, for models with something per training view.
    """
    grid = on_latent_grid(cameras, factor)
    coordinates, cameras_of_rays = [], []
    for view in index.tolist():
        pixels = grid.get_image_coords(index=(view,)).reshape(-1, 2)
        coordinates.append(pixels.to(cameras.device))
        cameras_of_rays.append(torch.full((len(pixels), 1), view, device=cameras.device))
    return grid.generate_rays(camera_indices=torch.cat(cameras_of_rays), coords=torch.cat(coordinates))


def rows(maps: Tensor) -> Tensor:
    """Latents (C, h, w) as Nerfstudio orders the pixels of rays: (h w, C)."""
    return maps.flatten(1).T


def repeated(maps: Tensor, *, factor: int, height: int, width: int) -> Tensor:
    """Maps (h, w, K) at the size of the image, (H, W, K): every value once for each of its pixels."""
    large = maps.repeat_interleave(factor, dim=0).repeat_interleave(factor, dim=1)
    return large[:height, :width]
