"""Scenes of studies: objects of families that nothing was trained on, meshes and captures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from latentfields.bench.study import Work
from latentfields.errors import ArgumentError
from latentfields.latent_nerf.fit import require_large_enough
from latentfields.scenes.load import load_scene, scene_folders
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.mesh_files import load_mesh
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import FAMILIES, generate_object
from latentfields.scenes.scene import Scene

MESHES = "meshes"
"""Name of the family that meshes from files form."""


@dataclass(frozen=True)
class StudyScene:
    """One scene with one seed: what all methods are compared on."""

    kind: str
    """A family of rendered objects, or the name of a captured scene."""
    seed: int
    """Number of a rendered object in its family, which places its cameras, too; seed of all fits."""
    folder: Path
    """Folder of the scene, which need not exist yet."""
    size: int | None = None
    """Longer side of its images, at most."""
    mesh: Path | None = None
    """Mesh file that it shows; None for a generated object, or where images are there."""

    @property
    def name(self) -> str:
        """Unique in the study."""
        return f"{self.kind}-{self.seed:04d}"

    def load(self, *, factor: int = 1, training_views: int | None = None) -> Scene:
        """Return the scene on whole latents; of `training_views`, so many evenly chosen ones are left to fit to."""
        scene = load_scene(self.folder, max_size=self.size, train_views=training_views)
        return scene.cropped_to_multiple(factor)


def rendered_scenes(
    folder: Path, *, families: Sequence[str], meshes: Sequence[Path] = (), seeds: Sequence[int]
) -> list[StudyScene]:
    """Return a scene per seed and family. `meshes` are one more: seed number i takes mesh number i, cyclically."""
    found = []
    for number, seed in enumerate(seeds):
        found += [_rendered(folder, family, seed) for family in families]
        if meshes:
            found.append(_rendered(folder, MESHES, seed, meshes[number % len(meshes)]))
    return found


def rendered_objects(
    folder: Path, *, families: Sequence[str], meshes: Sequence[Path], seeds: Sequence[int]
) -> list[StudyScene]:
    """Return a scene per seed for every family and every mesh, each of which is a family of its own."""
    found = rendered_scenes(folder, families=families, seeds=seeds)
    return found + [_rendered(folder, mesh.stem, seed, mesh) for mesh in meshes for seed in seeds]


def _rendered(folder: Path, kind: str, seed: int, mesh: Path | None = None) -> StudyScene:
    return StudyScene(kind, seed, folder / f"{kind}-{seed:04d}", mesh=mesh)


def rendering(scenes: Sequence[StudyScene], options: RenderConfig) -> dict[str, Work]:
    """Return the cells that render these scenes."""
    return {f"render-{scene.name}": partial(render, scene, options) for scene in scenes}


def render(scene: StudyScene, options: RenderConfig) -> dict[str, Any]:
    """Render the scene, unless that was done. Raises InputError for a mesh that cannot be rendered."""
    if not scene.folder.exists():
        shown = load_mesh(scene.mesh) if scene.mesh else generate_object(scene.kind, scene.seed)
        render_object_scene(shown, scene.folder, options=options, seed=scene.seed)
    return {"scene": str(scene.folder), "mesh": scene.mesh.stem if scene.mesh else scene.kind}


def require_objects(families: Iterable[str], meshes: Iterable[Path]) -> None:
    """Raise InputError for families that do not exist and meshes that cannot be read."""
    for family in families:
        if family not in FAMILIES:
            raise ArgumentError("families", f"names {family}; expected some of {', '.join(FAMILIES)}")
    for path in meshes:
        load_mesh(path)


def captured_scenes(
    roots: Sequence[Path], *, training: Sequence[Path], seeds: Sequence[int], size: int, factor: int
) -> list[StudyScene]:
    """Return one scene for every seed and scene folder in or directly below `roots`.

    Raises InputError when a scene cannot be used, when two have one name, and when one is in or below `training`.
    """
    folders: dict[str, Path] = {}
    trained_on = {folder.resolve() for folder in scene_folders(training)}
    for folder in scene_folders(roots):
        name = folder.resolve().name
        if name in folders:
            raise ArgumentError("scenes", f"{folder} has the same name as {folders[name]}")
        if folder.resolve() in trained_on:
            raise ArgumentError(
                "scenes", f"{folder} is among `training_scenes`; expected scenes held out of both stages"
            )
        scene = load_scene(folder, max_size=size)
        scene.indices("train"), scene.indices("test")
        require_large_enough(scene, factor=factor)
        folders[name] = folder
    return [StudyScene(name, seed, folder, size) for name, folder in folders.items() for seed in seeds]
