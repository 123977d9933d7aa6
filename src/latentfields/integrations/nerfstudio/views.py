"""Cameras and images between pixels and latents.

Shape suffixes: N cameras, B views of a batch, R rays, H, W image size, h = H / factor, w = W / factor, C latent
channels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from nerfstudio.cameras.cameras import Cameras, CameraType
from nerfstudio.cameras.rays import RayBundle
from torch import Tensor

from latentfields import cameras as pinhole
from latentfields.errors import InputError


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


def latent_views(cameras: Cameras, index: Tensor, *, factor: int) -> Cameras:
    """The views `index` (B,) with one pixel per latent, which know their index: `cam_idx` (B, 1) of their metadata."""
    views = on_latent_grid(cameras, factor)[index.to(cameras.device)]
    views.metadata = {**(views.metadata or {}), "cam_idx": index[:, None].to(cameras.device)}
    return views


def view_rays(views: Cameras) -> RayBundle:
    """The rays (R,) of all pixels of `latent_views`, view after view, row after row.

    Every ray knows its view by the index in the data set, for models with something per training view.
    """
    coordinates, cameras_of_rays = [], []
    for position in range(len(views)):
        pixels = views.get_image_coords(index=(position,)).reshape(-1, 2)
        coordinates.append(pixels.to(views.device))
        cameras_of_rays.append(torch.full((len(pixels), 1), position, device=views.device))
    rays = views.generate_rays(camera_indices=torch.cat(cameras_of_rays), coords=torch.cat(coordinates))
    rays.camera_indices = rays.metadata.pop("cam_idx")
    return rays


def pinhole_cameras(views: Cameras, *, center: Tensor, scale: float) -> list[pinhole.Cameras]:
    """Every one of `views` (B,) as a camera of this package, with `center` (3,) at the origin and lengths scaled.

    Distortion is left out: training images are undistorted. Raises InputError for fisheye and other projections.
    """
    if (views.camera_type != CameraType.PERSPECTIVE.value).any():
        raise InputError("camera type", "is not perspective; Gaussians are splatted for pinhole cameras only")
    poses = torch.eye(4, device=views.device).repeat(len(views), 1, 1)
    poses[:, :3] = views.camera_to_worlds
    poses[:, :3, 3] = scale * (poses[:, :3, 3] - center)
    focal = torch.cat([views.fx, views.fy], dim=1).float()
    principal = torch.cat([views.cx, views.cy], dim=1).float()
    sizes = zip(views.width.flatten().tolist(), views.height.flatten().tolist(), strict=True)
    return [
        pinhole.Cameras(poses[i : i + 1], focal[i : i + 1], principal[i : i + 1], width=width, height=height)
        for i, (width, height) in enumerate(sizes)
    ]


def rows(maps: Tensor) -> Tensor:
    """Latents (C, h, w) as Nerfstudio orders the pixels of rays: (h w, C)."""
    return maps.flatten(1).T


def maps(values: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Latents (1, C, h, w) of every view, of `sizes` (h, w), from those (R, C) of all views: the opposite of `rows`."""
    views = values.split([height * width for height, width in sizes])
    return [view.T.reshape(1, -1, *size) for view, size in zip(views, sizes, strict=True)]


def repeated(values: Tensor, *, factor: int, height: int, width: int) -> Tensor:
    """Values (h, w, K) at the size of the image, (H, W, K): every value once for each of its pixels."""
    large = values.repeat_interleave(factor, dim=0).repeat_interleave(factor, dim=1)
    return large[:height, :width]
