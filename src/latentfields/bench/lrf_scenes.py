"""Scenes of `latentfields bench lrf`: held out of both stages, rendered here or captured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from latentfields.bench.objects import BenchObject
from latentfields.errors import InputError
from latentfields.latent_nerf.fit import SMALLEST_SIDE
from latentfields.scenes.load import load_scene, scene_folders_below
from latentfields.scenes.scene import Scene
from latentfields.scenes.selection import evenly_spread


@dataclass(frozen=True)
class TestScene:
    """One scene with one seed: what all methods are compared on."""

    __test__ = False  # Not a test, whatever its name makes of it.

    kind: str
    """A family of rendered objects, or the name of a captured scene."""
    seed: int
    """Seed of all fits."""
    folder: Path
    """Folder of the scene."""
    size: int
    """Longer side of its images, at most."""

    @property
    def name(self) -> str:
        """Unique in the benchmark."""
        return f"{self.kind}-{self.seed:04d}"

    def load(self, *, factor: int, training_views: int | None = None) -> Scene:
        """The scene on whole latents; with `training_views`, so many evenly chosen ones are left to fit to."""
        scene = load_scene(self.folder, max_size=self.size).cropped_to_multiple(factor)
        if training_views is None:
            return scene
        few = evenly_spread(scene.indices("train"), training_views)
        return replace(scene, splits={**scene.splits, "train": few})


def rendered_scenes(objects: Sequence[BenchObject], *, size: int) -> list[TestScene]:
    """One test scene for every object."""
    return [TestScene(item.family, item.seed, item.scene, size) for item in objects]


def captured_scenes(
    roots: Sequence[Path], *, training: Sequence[Path], seeds: Sequence[int], size: int, factor: int
) -> list[TestScene]:
    """One test scene for every seed and scene in or directly below `roots`.

    Raises InputError when a scene cannot be used, when two have one name, and when one is in `training`, too.
    """
    folders: dict[str, Path] = {}
    for folder in (folder for root in roots for folder in scene_folders_below(root)):
        name = folder.resolve().name
        if name in folders:
            raise InputError("--scenes", f"{folder} has the same name as {folders[name]}")
        if folder.resolve() in {path.resolve() for path in training}:
            raise InputError(
                "--scenes", f"{folder} is among --training-scenes; expected scenes held out of both stages"
            )
        _check(folder, size=size, factor=factor)
        folders[name] = folder
    return [TestScene(name, seed, folder, size) for name, folder in folders.items() for seed in seeds]


def _check(folder: Path, *, size: int, factor: int) -> None:
    """Raise InputError when the scene cannot be fitted at its latents' resolution."""
    scene = load_scene(folder, max_size=size)
    scene.indices("train"), scene.indices("test")
    height, width = scene.size
    lowest = SMALLEST_SIDE * factor
    if min(height, width) < lowest:
        raise InputError(
            folder, f"images of {width}x{height}; expected {lowest} or more, {SMALLEST_SIDE} latents"
        )
