"""Point correspondences between the images of a scene, and the files they are kept in.

A data set is a folder with one safetensors file per scene. A file is written in one step, so an interrupted command
leaves whole scenes only. Positions are stored as 16-bit fractions of the picture's sides: eight bytes a correspondence,
exact to 0.04 pixels in pictures of 5000, and valid at any size that the pictures are brought to.

Shape suffixes: N images, M image pairs, P points of all pairs together, K points of one pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.errors import InputError
from latentfields.scenes.images import image_size
from latentfields.scenes.shards import located
from latentfields.training.checkpoint import load_tensors, save_tensors

SUFFIX = ".safetensors"
_STEPS = 65535


@dataclass(frozen=True)
class PointPair:
    """The points that two images of a scene share."""

    first: int
    """Index of one image."""
    second: int
    """Index of the other."""
    positions: Tensor
    """(K, 2, 2) for every point, in either image, column and row in pixels of the stored picture, centres at +0.5."""


@dataclass(frozen=True)
class SceneCorrespondences:
    """The correspondences of one scene."""

    name: str
    """Name of the scene."""
    folder: Path
    """The folder that its images are in."""
    images: tuple[str, ...]
    """N file names relative to the folder."""
    sizes: Tensor
    """(N, 2) int64 width and height of the pictures, in pixels."""
    poses: Tensor
    """(N, 4, 4) float64 camera-to-world poses, RMS distance of the centres to their mean 1; one convention of axes."""
    pairs: Tensor
    """(M, 2) int64 indices of the images of each pair."""
    starts: Tensor
    """(M + 1,) int64: the points of pair m are starts[m] to starts[m + 1]."""
    points: Tensor
    """(P, 2, 2) uint16 for every point, in either image, column and row as fractions of the sides, times 65535."""
    about: Mapping[str, Any]
    """How they were made: JSON-serialisable, stored and compared, not interpreted."""

    def __len__(self) -> int:
        return len(self.pairs)

    def fractions(self, pair: int) -> Tensor:
        """(K, 2, 2) float32 positions of a pair's points as fractions of the pictures' sides."""
        return self.points[int(self.starts[pair]) : int(self.starts[pair + 1])].float() / _STEPS


def gathered(
    pairs: Sequence[PointPair],
    *,
    name: str,
    folder: Path,
    images: Sequence[str],
    sizes: Tensor,
    poses: Tensor,
    min_points: int,
    about: Mapping[str, Any],
) -> SceneCorrespondences:
    """The correspondences of a scene, without points outside of the pictures and pairs with fewer than `min_points`.

    Raises InputError when that leaves no pair.
    """
    kept: list[tuple[tuple[int, int], Tensor]] = []
    for pair in pairs:
        fractions = pair.positions.double() / sizes[[pair.first, pair.second]]
        inside = ((fractions >= 0) & (fractions <= 1)).flatten(1).all(dim=1)
        if int(inside.sum()) >= min_points:
            kept.append(((pair.first, pair.second), fractions[inside]))
    if not kept:
        raise InputError(folder, f"no two of its {len(images)} images share {min_points} points")
    counts = torch.tensor([0, *(len(points) for _, points in kept)])
    return SceneCorrespondences(
        name=name,
        folder=folder.resolve(),
        images=tuple(images),
        sizes=sizes,
        poses=poses,
        pairs=torch.tensor([indices for indices, _ in kept]),
        starts=counts.cumsum(0),
        points=(torch.cat([points for _, points in kept]) * _STEPS).round().to(torch.uint16),
        about=about,
    )


def scene_file(dataset: Path, name: str) -> Path:
    """The file of a scene in a data set."""
    return dataset / f"{name}{SUFFIX}"


def save_correspondences(scene: SceneCorrespondences, dataset: Path) -> None:
    """Write a scene into a data set, in one step."""
    tensors = {name: getattr(scene, name) for name in ("sizes", "poses", "pairs", "starts", "points")}
    metadata = {"folder": str(scene.folder), "images": list(scene.images), "about": dict(scene.about)}
    save_tensors(scene_file(dataset, scene.name), tensors, metadata)


def load_correspondences(file: Path) -> SceneCorrespondences:
    """Read what `save_correspondences` wrote. Raises InputError when the file is absent, damaged or something else."""
    tensors, metadata = load_tensors(file)
    try:
        scene = SceneCorrespondences(
            name=file.name.removesuffix(SUFFIX),
            folder=located(Path(metadata["folder"])),
            images=tuple(metadata["images"]),
            about=metadata["about"],
            **tensors,
        )
    except (KeyError, TypeError):
        raise InputError(file, "holds no correspondences; expected a file of `lrf correspond`") from None
    if problem := _problem(scene):
        raise InputError(file, problem)
    return scene


def open_dataset(folder: Path) -> list[SceneCorrespondences]:
    """All scenes of a data set, by name. Raises InputError when it has none, or their images are not as they were."""
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise InputError(folder, "has no correspondences; expected a folder written by `lrf correspond`")
    scenes = [load_correspondences(file) for file in files]
    for file, scene in zip(files, scenes, strict=True):
        for name, size in zip(scene.images, scene.sizes.tolist(), strict=True):
            if image_size(scene.folder / name) != tuple(size):
                raise InputError(file, f"{name} is no longer {size[0]}x{size[1]}; make them again")
    return scenes


_TYPES = {
    "sizes": torch.int64,
    "poses": torch.float64,
    "pairs": torch.int64,
    "starts": torch.int64,
    "points": torch.uint16,
}


def _problem(scene: SceneCorrespondences) -> str | None:
    """Say why the tensors of a file do not belong together, or return None."""
    count, pairs = len(scene.images), len(scene.pairs)
    shapes = {
        "sizes": (count, 2),
        "poses": (count, 4, 4),
        "pairs": (pairs, 2),
        "starts": (pairs + 1,),
        "points": (len(scene.points), 2, 2),
    }
    for name, shape in shapes.items():
        tensor = getattr(scene, name)
        if tuple(tensor.shape) != shape:
            return f"'{name}' has shape {(*tensor.shape,)}; expected {shape}"
        if tensor.dtype != _TYPES[name]:
            found, expected = (str(kind).removeprefix("torch.") for kind in (tensor.dtype, _TYPES[name]))
            return f"'{name}' holds {found}; expected {expected}"
    if not pairs or not bool((scene.starts.diff() > 0).all()):
        return "an image pair is empty; expected points for every pair"
    if int(scene.starts[0]) != 0 or int(scene.starts[-1]) != len(scene.points):
        return "'starts' does not cover 'points'"
    if int(scene.pairs.min()) < 0 or int(scene.pairs.max()) >= count:
        return f"a pair refers to an image that is not one of the {count}"
    return None
