"""What benchmarks are run on: objects of families that nothing was trained on, and meshes from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentfields.errors import InputError
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.mesh_files import load_mesh
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import FAMILIES, generate_object
from latentfields.training.jobs import Cell

MESHES = "meshes"
"""Name of the family that meshes from files form."""


@dataclass(frozen=True)
class BenchObject:
    """One object and the folder of its rendered scene."""

    family: str
    """A procedural family, or `MESHES`."""
    seed: int
    """Number of the object in its family; places its cameras, too."""
    mesh: Path | None
    """File of the mesh; None generates it."""
    scene: Path
    """Folder of the scene, which need not exist yet."""
    options: RenderConfig
    """How it is rendered."""

    @property
    def name(self) -> str:
        """Unique among the objects of a benchmark."""
        return f"{self.family}-{self.seed:04d}"


def bench_objects(
    folder: Path,
    *,
    families: Sequence[str],
    meshes: Sequence[Path],
    seeds: Sequence[int],
    options: RenderConfig,
) -> list[BenchObject]:
    """One object per family and seed. `meshes` are one more family: seed number i takes mesh number i, cyclically."""
    objects = []
    for number, seed in enumerate(seeds):
        named: list[tuple[str, Path | None]] = [(family, None) for family in families]
        if meshes:
            named.append((MESHES, meshes[number % len(meshes)]))
        for family, mesh in named:
            scene = folder / f"{family}-{seed:04d}"
            objects.append(BenchObject(family, seed, mesh, scene, options))
    return objects


def require_objects(families: Sequence[str], meshes: Sequence[Path]) -> None:
    """Raise InputError for families that do not exist and meshes that cannot be read."""
    for family in families:
        if family not in FAMILIES:
            raise InputError("--families", f"names {family}; expected some of {', '.join(FAMILIES)}")
    for path in meshes:
        load_mesh(path)


def rendering_cell(item: BenchObject) -> Cell:
    """The cell that renders an object's scene."""
    return Cell(f"render-{item.name}", render, item)


def render(item: BenchObject) -> dict[str, Any]:
    """Render the scene, unless that was done. Raises InputError for a mesh that cannot be rendered."""
    if not item.scene.exists():
        mesh = generate_object(item.family, item.seed) if item.mesh is None else load_mesh(item.mesh)
        render_object_scene(mesh, item.scene, options=item.options, seed=item.seed)
    return {"scene": str(item.scene), "mesh": item.family if item.mesh is None else item.mesh.stem}
