"""Camera paths: keyframes, what lies between them, and the file that the viewer and `latentfields render` share.

Poses are camera-to-world, OpenGL axes, in the scene's normalised frame.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latentfields.cameras import Cameras, look_at
from latentfields.config.arguments import checked
from latentfields.config.typed_json import from_json, to_json
from latentfields.errors import InputError
from latentfields.files import read_json, write_json

MAX_FRAMES = 100_000
TOUR_KEYFRAMES = 12
"""Keyframes of a path through a capture: few enough to be smooth."""
CLOSED = 3.0
"""A path through a capture is closed when its ends are no farther apart than so many of its usual steps."""
_RIGID = 1e-3
"""How far the rotations in a file may be from orthonormal."""


@dataclass(frozen=True)
class Keyframe:
    """A camera that the path passes through."""

    position: tuple[float, float, float]
    """Centre of the camera."""
    wxyz: tuple[float, float, float, float]
    """Unit quaternion of the rotation from camera to world."""
    fov: float
    """Vertical field of view in radians."""


@dataclass(frozen=True)
class CameraPath:
    """Keyframes at even intervals of time."""

    keyframes: tuple[Keyframe, ...]
    """In the order in which they are passed."""
    frames: int = 120
    """Pictures of the whole path."""
    fps: int = 24
    """Pictures per second."""
    closed: bool = False
    """Whether the path returns from the last keyframe to the first."""

    def check(self, source: str | Path) -> None:
        """Raise InputError, naming `source` and the field, when no film can be made of this path."""
        if not self.keyframes:
            raise InputError(source, "field 'keyframes' is empty; expected at least one")
        for name, value, limit in (("frames", self.frames, MAX_FRAMES), ("fps", self.fps, 1000)):
            if not 1 <= value <= limit:
                raise InputError(source, f"field '{name}' is {value}; expected 1 to {limit}")
        for index, keyframe in enumerate(self.keyframes):
            _check_keyframe(keyframe, f"keyframes[{index}]", source)

    def cameras(self, *, width: int, height: int) -> Cameras:
        """`frames` cameras of this image size, from the first keyframe to the last (back to the first if closed).

        A closed path ends one step before its start, so that it can be repeated.
        """
        segments = len(self.keyframes) if self.closed else len(self.keyframes) - 1
        steps = self.frames if self.closed else max(1, self.frames - 1)
        return self.at(torch.arange(self.frames) * (segments / steps), width=width, height=height)

    def at(self, times: Tensor, *, width: int, height: int) -> Cameras:
        """Cameras at `times` (N,), where keyframe k is passed at time k.

        Positions follow a Catmull-Rom spline, rotations turn at constant speed from keyframe to keyframe (slerp), and
        fields of view change evenly.
        """
        count = len(self.keyframes)
        start = times.floor().long() if self.closed else times.floor().long().clamp(0, max(0, count - 2))
        share = (times - start)[:, None]

        def values(name: str, offset: int) -> Tensor:
            index = (start + offset) % count if self.closed else (start + offset).clamp(0, count - 1)
            return torch.tensor([getattr(k, name) for k in self.keyframes])[index]

        poses = torch.eye(4).repeat(len(times), 1, 1)
        poses[:, :3, :3] = rotation_matrices(slerp(values("wxyz", 0), values("wxyz", 1), share))
        poses[:, :3, 3] = catmull_rom(
            values("position", -1), values("position", 0), values("position", 1), values("position", 2), share
        )
        fov = torch.lerp(values("fov", 0)[:, None], values("fov", 1)[:, None], share)
        return Cameras(
            camera_to_world=poses,
            focal=(height / 2 / torch.tan(fov / 2)).expand(-1, 2),
            principal=torch.tensor([width / 2, height / 2]).expand(len(times), 2),
            width=width,
            height=height,
        )


def path_through(cameras: Cameras, *, frames: int, keyframes: int = TOUR_KEYFRAMES) -> CameraPath:
    """A smooth path from camera to camera of a capture, that looks where they look.

    The cameras are passed in their order, or from neighbour to neighbour where that is shorter, and smoothed over so
    many that `keyframes` are left; the path is closed where its ends are neighbours.
    """
    order = _tour(cameras.centers)
    centers, forward = cameras.centers[order], cameras.forward[order]
    steps = centers.diff(dim=0).norm(dim=-1)
    closed = len(order) > 2 and bool((centers[-1] - centers[0]).norm() <= CLOSED * steps.median())
    groups = torch.tensor_split(torch.arange(len(order)), min(keyframes, len(order)))
    eyes = torch.stack([centers[group].mean(dim=0) for group in groups])
    targets = eyes + torch.stack([forward[group].mean(dim=0) for group in groups])
    fov = float((2 * torch.atan(cameras.height / 2 / cameras.focal[:, 1])).mean())
    poses = [
        look_at(eye[None], target, cameras.mean_up)[0] for eye, target in zip(eyes, targets, strict=True)
    ]
    return CameraPath(
        keyframes=tuple(keyframe_of(pose, fov=fov) for pose in poses), frames=frames, closed=closed
    )


def _tour(centers: Tensor) -> Tensor:
    """Indices of all cameras at `centers` (N, 3): their order, or from neighbour to neighbour, if that is shorter."""
    own = torch.arange(len(centers))
    left = torch.ones(len(centers), dtype=torch.bool)
    current = int((centers - centers.mean(dim=0)).norm(dim=-1).argmax())
    visited = [current]
    for _ in range(len(centers) - 1):
        left[current] = False
        apart = (centers - centers[current]).norm(dim=-1)
        current = int(torch.where(left, apart, torch.inf).argmin())
        visited.append(current)
    nearest = torch.tensor(visited)
    lengths = [float(centers[order].diff(dim=0).norm(dim=-1).sum()) for order in (own, nearest)]
    return own if lengths[0] <= lengths[1] else nearest


@checked
def save_path(file: str | Path, path: CameraPath) -> None:
    """Write a path as JSON, in one step."""
    write_json(Path(file), to_json(path))


@checked
def load_path(file: str | Path) -> CameraPath:
    """Read what `save_path` wrote. Raises InputError naming the file and the field that cannot be used."""
    file = Path(file)
    path = from_json(CameraPath, read_json(file), source=file)
    path.check(file)
    return path


def keyframe_of(camera_to_world: Tensor, *, fov: float) -> Keyframe:
    """A keyframe at a pose (4, 4)."""
    x, y, z = camera_to_world[:3, 3].tolist()
    a, b, c, d = quaternions(camera_to_world[None, :3, :3])[0].tolist()
    return Keyframe(position=(x, y, z), wxyz=(a, b, c, d), fov=fov)


def catmull_rom(before: Tensor, start: Tensor, end: Tensor, after: Tensor, share: Tensor) -> Tensor:
    """Points (N, 3) at `share` (N, 1) in [0, 1] of the way from `start` to `end` (uniform spline, tension 1/2)."""
    linear, square = end - before, 2 * before - 5 * start + 4 * end - after
    cubic = -before + 3 * start - 3 * end + after
    return start + 0.5 * share * (linear + share * (square + share * cubic))


def slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Unit quaternions (N, 4) at `share` (N, 1) of the shorter arc from `start` to `end`."""
    start, end = start.double(), end.double()
    cosine = (start * end).sum(-1, keepdim=True)
    end = torch.where(cosine < 0, -end, end)
    angle = cosine.abs().clamp(max=1).acos()
    sine = angle.sin()
    # On a vanishing arc the chord is the arc.
    small = sine < 1e-6
    safe = torch.where(small, torch.ones_like(sine), sine)
    first = torch.where(small, 1 - share, ((1 - share) * angle).sin() / safe)
    second = torch.where(small, share.double(), (share * angle).sin() / safe)
    return torch.nn.functional.normalize(first * start + second * end, dim=-1).float()


def quaternions(rotations: Tensor) -> Tensor:
    """Unit quaternions (N, 4), w x y z, w not negative, of rotation matrices (N, 3, 3)."""
    m = rotations.double()
    # Row i of `outer` is 4 q_i q: the row with the largest diagonal divides by nothing small (Shepperd's method).
    xx, yy, zz = m[:, 0, 0], m[:, 1, 1], m[:, 2, 2]
    wx, wy, wz = m[:, 2, 1] - m[:, 1, 2], m[:, 0, 2] - m[:, 2, 0], m[:, 1, 0] - m[:, 0, 1]
    xy, xz, yz = m[:, 1, 0] + m[:, 0, 1], m[:, 2, 0] + m[:, 0, 2], m[:, 2, 1] + m[:, 1, 2]
    outer = torch.stack(
        [
            torch.stack([1 + xx + yy + zz, wx, wy, wz], dim=-1),
            torch.stack([wx, 1 + xx - yy - zz, xy, xz], dim=-1),
            torch.stack([wy, xy, 1 - xx + yy - zz, yz], dim=-1),
            torch.stack([wz, xz, yz, 1 - xx - yy + zz], dim=-1),
        ],
        dim=1,
    )
    row = outer.diagonal(dim1=1, dim2=2).argmax(dim=1)
    chosen = torch.nn.functional.normalize(outer[torch.arange(len(m)), row], dim=-1)
    return torch.where(chosen[:, :1] < 0, -chosen, chosen).float()


def rotation_matrices(wxyz: Tensor) -> Tensor:
    """Rotation matrices (N, 3, 3) of unit quaternions (N, 4)."""
    w, x, y, z = wxyz.unbind(-1)
    return torch.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - w * z),
            2 * (x * z + w * y),
            2 * (x * y + w * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z - w * x),
            2 * (x * z - w * y),
            2 * (y * z + w * x),
            1 - 2 * (x * x + y * y),
        ],
        dim=-1,
    ).view(-1, 3, 3)


def _check_keyframe(keyframe: Keyframe, field: str, source: str | Path) -> None:
    numbers = (*keyframe.position, *keyframe.wxyz, keyframe.fov)
    if not all(math.isfinite(value) for value in numbers):
        raise InputError(source, f"field '{field}' has a number that is not finite")
    if abs(math.hypot(*keyframe.wxyz) - 1) > _RIGID:
        raise InputError(
            source, f"field '{field}.wxyz' has length {math.hypot(*keyframe.wxyz):.4g}; expected 1"
        )
    if not 0 < keyframe.fov < math.pi:
        raise InputError(
            source, f"field '{field}.fov' is {keyframe.fov:.4g}; expected radians between 0 and pi"
        )
