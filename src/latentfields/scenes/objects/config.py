"""How a mesh becomes the pictures of a scene."""

from __future__ import annotations

from dataclasses import dataclass

from latentfields.errors import InputError


@dataclass(frozen=True, kw_only=True)
class RenderConfig:
    """Number, size and placement of the views of an object that is centred and scaled to fill the frame."""

    views: int = 100
    """Pictures per object, all splits together."""
    size: int = 128
    """Width and height of the pictures in pixels."""
    test_fraction: float = 0.1
    """Share of the views kept for testing; at least one view."""
    val_fraction: float = 0.05
    """Share of the views kept for validation; may be none."""
    distance: float = 1.3
    """Distance of the cameras from the object's centre, in scene units."""
    field_of_view: float = 49.13
    """Angle of view in degrees; the default is a focal length of 1.09 image widths, as in IG-AE's renders."""
    min_elevation: float = -90.0
    """Lowest elevation of a camera above the horizon, in degrees."""
    max_elevation: float = 90.0
    """Highest elevation of a camera above the horizon, in degrees."""
    samples: int = 3
    """Rays per pixel along each side: 3 means 9 rays."""

    def check(self) -> None:
        """Raise InputError, naming the option, when a value is out of range."""
        _require(2 <= self.views <= 100_000, "--views", "an integer from 2 to 100000", self.views)
        _require(8 <= self.size <= 2048, "--size", "an integer from 8 to 2048", self.size)
        _require(
            0 <= self.test_fraction <= 0.9, "--test-fraction", "a number from 0 to 0.9", self.test_fraction
        )
        _require(0 <= self.val_fraction <= 0.9, "--val-fraction", "a number from 0 to 0.9", self.val_fraction)
        _require(1e-3 <= self.distance <= 1e3, "--distance", "a number from 0.001 to 1000", self.distance)
        _require(
            1 <= self.field_of_view <= 120, "--field-of-view", "degrees from 1 to 120", self.field_of_view
        )
        _require(
            -90 <= self.min_elevation <= 90, "--min-elevation", "degrees from -90 to 90", self.min_elevation
        )
        _require(
            self.min_elevation <= self.max_elevation <= 90,
            "--max-elevation",
            "degrees from --min-elevation to 90",
            self.max_elevation,
        )
        _require(1 <= self.samples <= 16, "--samples", "an integer from 1 to 16", self.samples)
        if self.split_sizes()["train"] < 1:
            raise InputError("--test-fraction", "with --val-fraction, leaves no view for training")

    def split_sizes(self) -> dict[str, int]:
        """How many views go to "train", "val" and "test", in this order."""
        test = max(1, round(self.views * self.test_fraction))
        val = round(self.views * self.val_fraction)
        return {"train": self.views - test - val, "val": val, "test": test}


def _require(holds: bool, option: str, expected: str, found: float) -> None:
    # Comparisons with NaN are false, so NaN never passes.
    if not holds:
        raise InputError(option, f"expected {expected}, found {found}")
