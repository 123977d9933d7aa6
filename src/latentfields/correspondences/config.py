"""Configuration of making correspondences (LRF Sec. 4.1, App. A.2). Free of heavy imports, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from latentfields.config.checks import Checked, NonNegative, Range, Share

Source = Literal["auto", "depth", "colmap", "images"]
"""Where correspondences come from: depth maps, a COLMAP model, or plain images that pycolmap matches; auto takes the
first of these that a folder has."""

Weighting = Literal["wide", "narrow"]
"""lambda_ij in proportion to the pose error of Eq. 12, so that wide baselines weigh more, as in the paper; or in
proportion to its inverse."""


@dataclass(frozen=True)
class CorrespondenceConfig(Checked):
    """Settings for finding correspondences; the defaults for images are LRF App. A.2."""

    source: Source = "auto"
    """Depth maps (depth), a COLMAP model (colmap), plain images (images), or the first of these that there is."""
    min_points: int = 15
    """Image pairs with fewer points are left out: the paper's minimum number of inliers."""
    min_inlier_ratio: Share = 0.25
    """Images: share of a pair's matches that have to agree with one epipolar geometry."""
    overlap: int = 10
    """Images: each one is matched with so many that follow it, and with those 2, 4, 8, ... 2^overlap places on."""
    loops: NonNegative = 10
    """Images: so many that look most like an image are matched with it in larger sets, to close loops."""
    exhaustive_up_to: NonNegative = 40
    """Images: sets of at most so many are matched all with all instead, which closes all loops."""
    vocabulary_tree: Path | None = None
    """Images: COLMAP's vocabulary tree file, by whose words images look alike; by default, words are made from the
    images themselves."""
    spacing: int = 4
    """Depth: pixels between neighbouring points."""
    largest_angle: Annotated[float, Range(above=0, high=180)] = 60.0
    """Depth: degrees between the directions of two views up to which they are paired."""

    def about(self, source: str) -> dict[str, Any]:
        """The settings that the correspondences from `source` depend on, JSON-serialisable."""
        names = {
            "depth": ("min_points", "spacing", "largest_angle"),
            "colmap": ("min_points",),
            "images": ("min_points", "min_inlier_ratio", "overlap", "loops", "exhaustive_up_to"),
        }[source]
        values: dict[str, Any] = {"source": source} | {name: getattr(self, name) for name in names}
        if source == "images" and self.vocabulary_tree is not None:
            values["vocabulary_tree"] = str(self.vocabulary_tree)
        return values

    def made(self, about: Mapping[str, Any], source: str) -> bool:
        """Whether correspondences with these settings `about` them are those from `source` with the settings here.

        Earlier versions did not say how many images are looked for that close loops.
        """
        wanted = self.about(source)
        return {**({"loops": self.loops} if "loops" in wanted else {}), **about} == wanted
