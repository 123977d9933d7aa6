"""Pinhole cameras: poses, intrinsics, rays and exact changes of resolution.

Poses are camera-to-world in OpenGL axes (x right, y up, looking along -z). Pixel (column i, row j) has its
centre at (i + 0.5, j + 0.5); intrinsics are in pixels. Lens distortion never reaches this module: readers
undistort once.

Shape suffixes: N cameras, R rays, P points, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentfields.devices import like, upload
from latentfields.errors import ArgumentError


@dataclass(frozen=True)
class Rays:
    """Rays in scene coordinates."""

    origins: Tensor
    """(..., 3) ray origins."""
    directions: Tensor
    """(..., 3) unit directions."""

    def flatten(self) -> Rays:
        """The same rays with all leading dimensions merged into one."""
        return Rays(self.origins.reshape(-1, 3), self.directions.reshape(-1, 3))

    def split(self, size: int) -> list[Rays]:
        """The same rays, `size` of the first dimension at a time."""
        return [self[start : start + size] for start in range(0, len(self), size)]

    def __getitem__(self, index: Tensor | slice) -> Rays:
        """Select along the first dimension."""
        return Rays(self.origins[index], self.directions[index])

    def __len__(self) -> int:
        return self.origins.shape[0]


@dataclass(frozen=True)
class Cameras:
    """N pinhole cameras that share an image size."""

    camera_to_world: Tensor
    """(N, 4, 4) float32 rigid poses, OpenGL axes."""
    focal: Tensor
    """(N, 2) float32 focal lengths (fx, fy) in pixels."""
    principal: Tensor
    """(N, 2) float32 principal points (cx, cy) in pixels."""
    width: int
    """Image width in pixels."""
    height: int
    """Image height in pixels."""

    def __post_init__(self) -> None:
        n = len(self.camera_to_world) if self.camera_to_world.ndim else 0
        for name, values, shape in (
            ("camera_to_world", self.camera_to_world, (n, 4, 4)),
            ("focal", self.focal, (n, 2)),
            ("principal", self.principal, (n, 2)),
        ):
            if values.shape != shape:
                wanted = ", ".join(["N", *map(str, shape[1:])])
                raise ArgumentError(name, f"has the shape {tuple(values.shape)}; expected ({wanted})")

    def __len__(self) -> int:
        return self.camera_to_world.shape[0]

    def __repr__(self) -> str:
        return f"<Cameras: {len(self)} of {self.width}x{self.height} pixels>"

    def __getitem__(self, index: int | Tensor | slice | list[int]) -> Cameras:
        """The selected cameras; a whole number, from the end if negative, selects one, which stays `Cameras`."""
        if not isinstance(index, slice | list) and (not isinstance(index, Tensor) or index.ndim == 0):
            position = range(len(self))[index]
            index = slice(position, position + 1)
        return replace(
            self,
            camera_to_world=self.camera_to_world[index],
            focal=self.focal[index],
            principal=self.principal[index],
        )

    @property
    def requires_grad(self) -> bool:
        """True when gradients of what is rendered reach poses or intrinsics."""
        return torch.is_grad_enabled() and any(
            values.requires_grad for values in (self.camera_to_world, self.focal, self.principal)
        )

    @property
    def centers(self) -> Tensor:
        """(N, 3) camera positions in the world."""
        return self.camera_to_world[:, :3, 3]

    @property
    def forward(self) -> Tensor:
        """(N, 3) unit viewing directions in the world."""
        return -self.camera_to_world[:, :3, 2]

    @property
    def mean_up(self) -> Tensor:
        """(3,) unit direction in the world that is up in the pictures, on average."""
        return torch.nn.functional.normalize(self.camera_to_world[:, :3, 1].mean(0), dim=0)

    def to(self, target: torch.device | str | torch.dtype) -> Cameras:
        """The same cameras on another device, or with another floating-point type."""

        def moved(tensor: Tensor) -> Tensor:
            return (
                tensor.to(target) if isinstance(target, torch.dtype) else upload(tensor, torch.device(target))
            )

        return replace(
            self,
            camera_to_world=moved(self.camera_to_world),
            focal=moved(self.focal),
            principal=moved(self.principal),
        )

    def resized(self, *, width: int, height: int) -> Cameras:
        """The same views at another resolution. Intrinsics scale exactly: 140 px at 1/8 is 17.5 px."""
        scale = like([width / self.width, height / self.height], self.focal)
        return replace(
            self, focal=self.focal * scale, principal=self.principal * scale, width=width, height=height
        )

    def cropped(self, *, left: int, top: int, width: int, height: int) -> Cameras:
        """The views of a pixel window; the principal point moves with it."""
        offset = like([left, top], self.principal)
        return replace(self, principal=self.principal - offset, width=width, height=height)

    def windows(self, offsets: Tensor, *, width: int, height: int) -> Cameras:
        """The views of windows whose corners lie at `offsets` (N, 2), (left, top) in pixels, one for every camera."""
        return replace(
            self, principal=self.principal - offsets.to(self.principal), width=width, height=height
        )

    def transformed(self, similarity: Tensor) -> Cameras:
        """Cameras after a similarity transform of the world, (4, 4); poses stay rigid.

        A uniform scale moves the centres and leaves rotations and intrinsics alone.
        """
        # In float64, whatever the cameras have: world coordinates may be large.
        similarity, pose = similarity.double(), self.camera_to_world.double()
        scale = torch.linalg.det(similarity[:3, :3]).abs().pow(1 / 3)
        moved = pose.clone()
        moved[:, :3, :3] = (similarity[:3, :3] / scale) @ pose[:, :3, :3]
        moved[:, :3, 3] = pose[:, :3, 3] @ similarity[:3, :3].T + similarity[:3, 3]
        return replace(self, camera_to_world=moved.to(self.camera_to_world.dtype))

    def rays(self, *, offsets: Tensor | None = None) -> Rays:
        """Rays through every pixel, shapes (N, H, W, .).

        `offsets`, broadcastable to (N, H, W, 2), are positions inside the pixel in [0, 1]; the default is the
        centre (0.5, 0.5).
        """
        device = self.focal.device
        columns = torch.arange(self.width, device=device, dtype=torch.float32)
        rows = torch.arange(self.height, device=device, dtype=torch.float32)
        corner = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)[None]
        return self.rays_at(corner + (0.5 if offsets is None else offsets))

    def rays_at(self, positions: Tensor) -> Rays:
        """Rays through pixel positions (N, ..., 2) given as (column, row) in continuous pixel coordinates."""
        extra = positions.dim() - 2
        expand = (slice(None),) + (None,) * extra
        xy = (positions - self.principal[expand]) / self.focal[expand]
        local = torch.stack([xy[..., 0], -xy[..., 1], -torch.ones_like(xy[..., 0])], dim=-1)
        rotation = self.camera_to_world[:, :3, :3][expand]
        directions = (rotation @ local[..., None])[..., 0]
        origins = self.centers[expand].expand_as(directions)
        return Rays(origins, directions / directions.norm(dim=-1, keepdim=True))

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Project world points (P, 3) into every camera.

        Returns pixel positions (N, P, 2) as (column, row) and z-depths (N, P), positive in front of the
        camera. Positions of points at or behind the camera plane are not meaningful.
        """
        rotation = self.camera_to_world[:, :3, :3]
        local = (points[None] - self.centers[:, None]) @ rotation
        depth = -local[..., 2]
        safe = torch.where(depth.abs() < 1e-9, torch.full_like(depth, 1e-9), depth)
        xy = torch.stack([local[..., 0], -local[..., 1]], dim=-1) / safe[..., None]
        return xy * self.focal[:, None] + self.principal[:, None], depth


def look_at(eye: Tensor, target: Tensor, up: Tensor) -> Tensor:
    """Camera-to-world poses (N, 4, 4), OpenGL axes, of cameras at `eye` (N, 3) looking at `target` (3,).

    When a view direction is parallel to `up`, the coordinate axis farthest from it takes the place of `up`.
    """
    backward = torch.nn.functional.normalize(eye - target, dim=-1)
    up = torch.nn.functional.normalize(up, dim=-1).expand_as(backward)
    parallel = (backward * up).sum(-1, keepdim=True).abs() > 0.999
    farthest = torch.eye(3, dtype=eye.dtype, device=eye.device)[backward.abs().argmin(dim=-1)]
    up = torch.where(parallel, farthest, up)
    right = torch.nn.functional.normalize(torch.linalg.cross(up, backward, dim=-1), dim=-1)
    pose = torch.eye(4, dtype=eye.dtype, device=eye.device).repeat(eye.shape[0], 1, 1)
    pose[:, :3, 0] = right
    pose[:, :3, 1] = torch.linalg.cross(backward, right, dim=-1)
    pose[:, :3, 2] = backward
    pose[:, :3, 3] = eye
    return pose
