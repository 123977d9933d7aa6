"""Why photographs have no poses: of all of them, and of single ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from latentfields.errors import InputError
from latentfields.structure_from_motion.matching import FEWEST_INLIERS
from latentfields.structure_from_motion.photographs import Photograph

MANY_MATCHES = 60
"""Matches of two photographs that certainly show the same things."""
FEW_AGREE = 0.45
"""Share of many matches that agree with one rigid scene below which something moved. Of photographs of scenes at rest
it is 0.66 in the median (a sculpture, 50 photographs), of pieces that are moved about at random 0.2 to 0.4."""
BLURRED = 0.4
"""Share of the usual sharpness below which a photograph is called blurred."""
FEW_FEATURES = 0.25
"""Share of the usual number of features below which a photograph is called empty."""


@dataclass(frozen=True)
class PairMatches:
    """What two photographs have in common."""

    first: str
    second: str
    matches: int
    inliers: int
    """Matches that agree with one geometry of two views; 0 where they are too few."""
    turned: bool
    """Their geometry is one of a camera that turned without changing its place."""

    def joins(self, names: set[str]) -> bool:
        """True when one of the two is in `names` and the other is not."""
        return (self.first in names) != (self.second in names)


@dataclass(frozen=True)
class Lost:
    """A photograph without a pose."""

    name: str
    reason: str


def read_pairs(colmap: Any, database: Path) -> list[PairMatches]:
    """Return all pairs of photographs of a database that were matched and have a match."""
    kinds = colmap.TwoViewGeometryConfiguration
    turned = {int(kinds.PANORAMIC.value), int(kinds.PLANAR_OR_PANORAMIC.value)}
    with colmap.Database.open(database) as opened:
        names = {image.image_id: image.name for image in opened.read_all_images()}
        counts = dict(zip(*opened.read_num_matches(), strict=True))
        geometries = dict(zip(*opened.read_two_view_geometries(), strict=True))
    found = []
    for identifier, count in counts.items():
        if not count:
            continue
        first, second = colmap.pair_id_to_image_pair(identifier)
        geometry = geometries.get(identifier)
        inliers = 0 if geometry is None else len(geometry.inlier_matches)
        still = geometry is None or int(geometry.config) not in turned
        found.append(PairMatches(names[first], names[second], int(count), inliers, turned=not still))
    return found


def moved(photos: Path, pairs: Sequence[PairMatches]) -> InputError | None:
    """Return the error to raise when photographs that show the same things do not show them at rest, or None."""
    many = [pair for pair in pairs if pair.matches >= MANY_MATCHES]
    if not many or median(pair.inliers / pair.matches for pair in many) >= FEW_AGREE:
        return None
    best = max(many, key=lambda pair: pair.matches)
    return InputError(
        photos,
        f"things moved between the photographs: of {best.matches} matches between {best.first} and {best.second} "
        f"only {best.inliers} agree with a scene that stands still; expected nothing to move, or masks/ that leave it "
        "out",
    )


def why_none(photos: Path, pairs: Sequence[PairMatches]) -> InputError:
    """Return the error to raise when no photographs could be joined."""
    if (error := moved(photos, pairs)) is not None:
        return error
    verified = [pair for pair in pairs if pair.inliers >= FEWEST_INLIERS]
    if not verified:
        best_count = max((pair.matches for pair in pairs), default=0)
        return InputError(
            photos,
            f"no two photographs overlap: the best pair has {best_count} matches; expected photographs of one scene, "
            "each showing most of what the next one shows",
        )
    if sum(pair.turned for pair in verified) > len(verified) / 2:
        return InputError(
            photos,
            "the camera only turned in its place; expected photographs from different places, such as steps around "
            "the scene",
        )
    best = max(verified, key=lambda pair: pair.inliers)
    return InputError(
        photos,
        f"no three photographs can be joined: the best pair, {best.first} and {best.second}, has {best.inliers} points "
        "in common; expected smaller steps between photographs, and things with texture",
    )


def why_lost(
    photographs: Sequence[Photograph],
    features: dict[str, int],
    pairs: Sequence[PairMatches],
    models: Sequence[set[str]],
) -> list[Lost]:
    """Return the photographs that are not in the first of the `models`, each with the likely reason.

    `features` are the numbers of features by name, `models` the names of the photographs of every model.
    """
    kept = models[0]
    usual_sharpness = median(photograph.sharpness for photograph in photographs if photograph.name in kept)
    usual_features = median(features[name] for name in kept)
    kept_cameras = {photograph.camera for photograph in photographs if photograph.name in kept}
    lost = []
    for photograph in photographs:
        name = photograph.name
        if name in kept:
            continue
        joining = [pair for pair in pairs if pair.joins(kept) and name in (pair.first, pair.second)]
        matches = max((pair.matches for pair in joining), default=0)
        inliers = max((pair.inliers for pair in joining), default=0)
        others = next((model for model in models[1:] if name in model), None)
        if photograph.sharpness < BLURRED * usual_sharpness:
            share = photograph.sharpness / usual_sharpness
            reason = f"blurred: {share:.0%} of the usual sharpness"
        elif features[name] < FEW_FEATURES * usual_features:
            reason = (
                f"hardly any texture, or too dark: {features[name]} features, usually {usual_features:.0f}"
            )
        elif others is not None:
            reason = f"joined with {len(others) - 1} others that have too little in common with the rest"
        elif matches >= MANY_MATCHES and inliers < FEW_AGREE * matches:
            reason = f"something moved: of {matches} matches with a photograph {inliers} agree"
        elif inliers < FEWEST_INLIERS:
            reason = f"no overlap: at most {matches} matches with a photograph that has a pose"
        elif photograph.camera not in kept_cameras:
            device = f" ({photograph.device})" if photograph.device else ""
            reason = f"another camera{device}, of which no photograph could be joined"
        else:
            reason = (
                f"too little overlap: at most {inliers} points in common with a photograph that has a pose"
            )
        lost.append(Lost(name, reason))
    return lost
