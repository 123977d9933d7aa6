"""What a latent prior is told of the view that it denoises: class, camera direction, and a view of the same object.

Shape suffixes: B views, C latent channels, h, w latent size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentfields.cameras import Cameras
from latentfields.devices import like, upload

UNKNOWN = -1
"""The class of views whose class is not told."""
_HARMONICS = (1, 2, 4)
"""Multiples of an azimuth whose sines and cosines are told."""
DIRECTION_FEATURES = 2 + 2 * len(_HARMONICS)
VIEW_FEATURES = 2 * DIRECTION_FEATURES + 2 * len(_HARMONICS) + 2
"""Numbers of `view_features`."""


@dataclass(frozen=True)
class Condition:
    """The conditions of B views, each of which may be unknown."""

    classes: Tensor
    """(B,) int64 indices of classes, or `UNKNOWN`."""
    directions: Tensor
    """(B, 3) unit vectors from the object towards the camera, z up."""
    has_direction: Tensor
    """(B,) bool, false where the camera direction is unknown."""
    references: Tensor
    """(B, C, h, w) latents of a view of the same object, normalised per channel."""
    reference_directions: Tensor
    """(B, 3) unit vectors towards the cameras of those views."""
    has_reference: Tensor
    """(B,) bool, false where there is no such view."""

    def __len__(self) -> int:
        return len(self.classes)

    def __getitem__(self, index: Tensor | slice) -> Condition:
        """The conditions of the selected views."""
        return Condition(*(getattr(self, name)[index] for name in self.__dataclass_fields__))

    def to(self, device: torch.device) -> Condition:
        """The same conditions on another device."""
        return Condition(*(upload(getattr(self, name), device) for name in self.__dataclass_fields__))

    def dropped(self, *, classes: Tensor, directions: Tensor, references: Tensor) -> Condition:
        """The conditions without those that the masks (B,) bool say."""
        return replace(
            self,
            classes=torch.where(classes, UNKNOWN, self.classes),
            has_direction=self.has_direction & ~directions,
            has_reference=self.has_reference & ~references,
        )

    def unknown(self) -> Condition:
        """Nothing is told of the same number of views: what guidance leads away from."""
        everything = torch.ones_like(self.has_direction)
        return self.dropped(classes=everything, directions=everything, references=everything)


def condition(
    directions: Tensor | None,
    *,
    shape: Sequence[int],
    class_index: int | None = None,
    reference: Tensor | None = None,
    reference_direction: Tensor | None = None,
) -> Condition:
    """The conditions of views of one object, latents of `shape` (B, C, h, w), on the CPU.

    `directions` (B, 3) are unit vectors towards the cameras, `reference` (C, h, w), or (B, C, h, w) of one for each, is
    a view of the object from `reference_direction` (3,) or (B, 3); None is unknown.
    """
    count = shape[0]
    known = directions is not None
    nowhere = torch.zeros(count, 3)
    has_reference = reference is not None and reference_direction is not None
    return Condition(
        classes=torch.full((count,), UNKNOWN if class_index is None else class_index),
        directions=nowhere if directions is None else directions,
        has_direction=torch.full((count,), known),
        references=torch.zeros(*shape) if reference is None else reference.expand(*shape),
        reference_directions=nowhere if reference_direction is None else reference_direction.expand(count, 3),
        has_reference=torch.full((count,), has_reference),
    )


def camera_directions(cameras: Cameras) -> Tensor:
    """(N, 3) unit vectors from what cameras look at towards them: against their viewing directions."""
    return -cameras.forward


def direction(*, elevation: float, azimuth: float) -> Tensor:
    """The unit vector (3,) towards a camera at `elevation` above the horizon and `azimuth` around z, in degrees."""
    up, around = torch.deg2rad(torch.tensor([elevation, azimuth]))
    return torch.stack([up.cos() * around.cos(), up.cos() * around.sin(), up.sin()])


def elevations(directions: Tensor) -> Tensor:
    """Degrees above the horizon (N,) of unit vectors (N, 3)."""
    return torch.rad2deg(directions[:, 2].clamp(-1, 1).asin())


def view_features(given: Condition) -> Tensor:
    """(B, VIEW_FEATURES) numbers in [-1, 1] about camera, reference camera and the angle between; 0 where unknown."""
    known, referred = given.has_direction[:, None], given.has_reference[:, None]
    between = _azimuths(given.directions) - _azimuths(given.reference_directions)
    features = [
        known * _direction_features(given.directions),
        referred * _direction_features(given.reference_directions),
        (known & referred) * _harmonics(between),
        known,
        referred,
    ]
    return torch.cat([feature.float() for feature in features], dim=1)


def _direction_features(directions: Tensor) -> Tensor:
    up = directions[:, 2:].clamp(-1, 1)
    return torch.cat([up, (1 - up.square()).sqrt(), _harmonics(_azimuths(directions))], dim=1)


def _azimuths(directions: Tensor) -> Tensor:
    return torch.atan2(directions[:, 1:2], directions[:, :1])


def _harmonics(angles: Tensor) -> Tensor:
    turns = angles * like(_HARMONICS, angles)
    return torch.cat([turns.sin(), turns.cos()], dim=1)
