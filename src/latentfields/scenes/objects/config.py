"""Configuration of rendering a mesh to the pictures of a scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from latentfields.config.checks import Checked, Range, joined
from latentfields.errors import ArgumentError


@dataclass(frozen=True, kw_only=True)
class RenderConfig(Checked):
    """Number, size and placement of the views of an object that is centred and scaled to fill the frame."""

    views: Annotated[int, Range(low=2, high=100_000)] = 100
    """Pictures per object, all splits together."""
    size: Annotated[int, Range(low=8, high=2048)] = 128
    """Width and height of the pictures in pixels."""
    test_fraction: Annotated[float, Range(low=0, high=0.9)] = 0.1
    """Share of the views kept for testing; at least one view."""
    val_fraction: Annotated[float, Range(low=0, high=0.9)] = 0.05
    """Share of the views kept for validation; may be none."""
    distance: Annotated[float, Range(low=1e-3, high=1e3)] = 1.3
    """Distance of the cameras from the object's centre, in scene units."""
    field_of_view: Annotated[float, Range(low=1, high=120)] = 49.13
    """Angle of view in degrees; the default is a focal length of 1.09 image widths, as in IG-AE's renders."""
    min_elevation: Annotated[float, Range(low=-90, high=90)] = -90.0
    """Lowest elevation of a camera above the horizon, in degrees."""
    max_elevation: Annotated[float, Range(low=-90, high=90)] = 90.0
    """Highest elevation of a camera above the horizon, in degrees."""
    samples: Annotated[int, Range(low=1, high=16)] = 3
    """Rays per pixel along each side: 3 means 9 rays."""

    def check(self, path: str = "") -> None:
        """Raise ArgumentError for a value out of range, and for splits that leave nothing for training."""
        super().check(path)
        if self.min_elevation > self.max_elevation:
            raise ArgumentError(
                joined(path, "max_elevation"),
                f"is {self.max_elevation}; expected `{joined(path, 'min_elevation')}`, {self.min_elevation}, to 90",
            )
        if self.split_sizes()["train"] < 1:
            raise ArgumentError(
                joined(path, "test_fraction"),
                f"is {self.test_fraction}, which with `{joined(path, 'val_fraction')}` leaves no view for training",
            )

    def split_sizes(self) -> dict[str, int]:
        """The numbers of views in "train", "val" and "test", in this order."""
        test = max(1, round(self.views * self.test_fraction))
        val = round(self.views * self.val_fraction)
        return {"train": self.views - test - val, "val": val, "test": test}
