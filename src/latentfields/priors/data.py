"""The views that a prior is trained on, encoded once and kept in the run's folder.

Shape suffixes: N views of all scenes, O scenes, B views of a batch, C latent channels, h, w latent size.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras
from latentfields.config.typed_json import from_json
from latentfields.errors import ArgumentError, InputError
from latentfields.priors.conditions import Condition, camera_directions, elevations
from latentfields.priors.config import PriorTrainingConfig
from latentfields.priors.prior import Rig
from latentfields.progress import progress_bar
from latentfields.scenes.load import load_scene, scene_folders_below
from latentfields.scenes.scene import Scene
from latentfields.training.checkpoint import load_tensors, save_tensors

WHITE = (1.0, 1.0, 1.0)
"""The background of all views."""
_NUMBER = re.compile(r"[-_ ]*\d+$")
_WHITENESS = 8 / 255
"""Pixels that differ from white by less are background."""
_FOCAL_TOLERANCE = 0.02
"""Relative difference of focal lengths, in image widths, that counts as the same lens."""


def class_of(scene: str) -> str:
    """The class of a scene, which is what its folder is called, less a number at the end: mugs of mugs-0203."""
    return _NUMBER.sub("", scene) or scene


def object_box(image: Tensor) -> tuple[int, int, int, int] | None:
    """The box (left, top, right, bottom), in pixels, of what is not white in an image (3, H, W) in [0, 1], if any."""
    drawn = (image < 1 - _WHITENESS).any(dim=0)
    columns, rows = drawn.any(dim=0).nonzero(), drawn.any(dim=1).nonzero()
    if not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def object_extent(image: Tensor) -> float:
    """The longer side of that box as a share of the image's longer side; 1 where there is none."""
    box = object_box(image)
    return 1.0 if box is None else max(box[2] - box[0], box[3] - box[1]) / max(image.shape[1:])


@dataclass(frozen=True)
class Views:
    """Encoded views, those of each scene one after the other."""

    latents: Tensor
    """(N, C, h, w) float16, normalised per channel."""
    directions: Tensor
    """(N, 3) unit vectors towards the cameras."""
    counts: Tensor
    """(O,) int64 views of each scene, at least one."""
    classes: Tensor
    """(O,) int64 index of the class of each scene."""

    @property
    def starts(self) -> Tensor:
        """(O,) int64 index of the first view of each scene."""
        return self.counts.cumsum(0) - self.counts

    def draw(self, count: int, references: Views, generator: torch.Generator) -> tuple[Tensor, Condition]:
        """Views (B, C, h, w) of random scenes, and what can be told of them: a random one of `references`, too.

        Both are views of the same scenes in the same order.
        """
        scene = torch.randint(len(self.counts), (count,), generator=generator)
        view, other = (
            views.starts[scene] + (torch.rand(count, generator=generator) * views.counts[scene]).long()
            for views in (self, references)
        )
        known = torch.ones(count, dtype=torch.bool)
        return self.latents[view].float(), Condition(
            classes=self.classes[scene],
            directions=self.directions[view],
            has_direction=known,
            references=references.latents[other].float(),
            reference_directions=references.directions[other],
            has_reference=known,
        )


@dataclass(frozen=True)
class PriorData:
    """Everything that a prior is trained on."""

    train: Views
    held_out: Views
    """Test views of the same scenes."""
    names: tuple[str, ...]
    """Names of the classes."""
    rig: Rig
    """Where the cameras stand."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, h, w) of a view."""
        channels, height, width = self.train.latents.shape[1:]
        return channels, height, width


@dataclass(frozen=True)
class _Header:
    names: tuple[str, ...]
    rig: Rig


def load_data(
    roots: Sequence[Path], autoencoder: Autoencoder, config: PriorTrainingConfig, *, cache: Path
) -> PriorData:
    """Encode the views of all scenes in or below `roots`, or read what an earlier session left in the file `cache`.

    Raises InputError when there is no scene, or one whose views are not square or whose lens is another.
    """
    if not cache.exists():
        _write(roots, autoencoder, config, cache)
    tensors, metadata = load_tensors(cache)
    header = from_json(_Header, metadata, source=cache)
    names = ("latents", "directions", "counts", "classes")
    missing = [
        f"{part}.{name}"
        for part in ("train", "held_out")
        for name in names
        if f"{part}.{name}" not in tensors
    ]
    if missing:
        raise InputError(cache, f"holds no '{missing[0]}'; delete it to encode the views again")
    parts = [Views(**{name: tensors[f"{part}.{name}"] for name in names}) for part in ("train", "held_out")]
    return PriorData(parts[0], parts[1], header.names, header.rig)


def check_data(roots: Sequence[Path], *, size: int) -> None:
    """Raise InputError unless the first scene of every folder can be read."""
    if not roots:
        raise ArgumentError("scenes", "is empty; expected at least one folder of scenes")
    for root in roots:
        _square(scene_folders_below(root)[0], size=size)


def _square(folder: Path, *, size: int) -> Scene:
    scene = load_scene(folder, background=WHITE)
    height, width = scene.size
    if height != width:
        raise InputError(folder, f"views are {width}x{height}; expected square views")
    return scene.resized(width=size, height=size)


def _write(roots: Sequence[Path], autoencoder: Autoencoder, config: PriorTrainingConfig, cache: Path) -> None:
    folders = [folder for root in roots for folder in scene_folders_below(root)]
    names = sorted({class_of(folder.resolve().name) for folder in folders})
    tensors: dict[str, list[Tensor]] = {}
    seen: list[Cameras] = []
    extents: list[float] = []
    with progress_bar("views", total=len(folders), unit="scene") as bar:
        for folder in folders:
            scene = _square(folder, size=config.size)
            seen.append(scene.cameras)
            extents += [object_extent(image) for image in scene.images(scene.indices("train"))]
            for part, split in (("train", "train"), ("held_out", "test")):
                views = scene.indices(split)
                images = scene.images(views).to(autoencoder.device)
                values = {
                    "latents": autoencoder.encode_batches(images).half().cpu(),
                    "directions": camera_directions(scene.cameras[views]),
                    "counts": torch.tensor([len(views)]),
                    "classes": torch.tensor([names.index(class_of(scene.name))]),
                }
                for name, value in values.items():
                    tensors.setdefault(f"{part}.{name}", []).append(value)
            bar.update()
    header = {"names": names, "rig": vars(_rig(seen, folders, sum(extents) / len(extents)))}
    save_tensors(cache, {name: torch.cat(values) for name, values in tensors.items()}, header)


def _rig(seen: Sequence[Cameras], folders: Sequence[Path], extent: float) -> Rig:
    """Where the cameras of all scenes stand. Raises InputError, naming the scene, when lenses differ."""
    focal = [float(cameras.focal.mean()) / cameras.width for cameras in seen]
    for folder, length in zip(folders, focal, strict=True):
        if abs(length / focal[0] - 1) > _FOCAL_TOLERANCE:
            raise InputError(
                folder,
                f"its focal length is {length:.3f} image widths, that of {folders[0].name} {focal[0]:.3f}; "
                "expected the same lens for all scenes",
            )
    heights = torch.cat([elevations(camera_directions(cameras)) for cameras in seen])
    length = sum(focal) / len(focal)
    return Rig(
        # Whatever pictures show then fits into the cube.
        distance=2 * length,
        focal=length,
        lowest=float(heights.min().clamp(-90, 90)),
        highest=float(heights.max().clamp(-90, 90)),
        extent=extent,
    )
