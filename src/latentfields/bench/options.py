"""Options that several studies have, each declared once. Free of heavy imports, for the command line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from latentfields.bench.scales import FAMILIES, FIELDS_SCALES, Scale
from latentfields.config.checks import Checked
from latentfields.errors import ArgumentError

if TYPE_CHECKING:
    from latentfields.bench.scenes import StudyScene


@dataclass(frozen=True, kw_only=True)
class ScaledConfig(Checked):
    """The amount that is computed."""

    scale: Scale = "small"
    """Minutes, hours on two cores, or as in the paper (needs a GPU; unmeasured)."""
    seeds: int = 3
    """Objects per family; each is fitted with its own seed."""


@dataclass(frozen=True, kw_only=True)
class ObjectsConfig(ScaledConfig):
    """Objects that fields are fitted to."""

    families: tuple[str, ...] = FAMILIES
    """Families of generated objects."""
    meshes: tuple[Path, ...] = ()
    """Mesh files that nothing was trained on, such as scans: one more family of objects."""

    def check(self, path: str = "") -> None:
        """Raise ArgumentError, naming the argument, when a value is out of range."""
        super().check(path)
        if getattr(self, "fields", None) == ():
            raise ArgumentError("fields", "name at least one")
        if not self.families and not self.meshes:
            raise ArgumentError("families", "name at least one family, or meshes")

    def scenes(self, out: Path, *, first_seed: int) -> dict[StudyScene, Path | None]:
        """Return the scenes of the objects, and the mesh that each shows (`rendered_scenes`)."""
        from latentfields.bench.scenes import rendered_scenes

        seeds = range(first_seed, first_seed + self.seeds)
        return rendered_scenes(out / "objects", families=self.families, meshes=self.meshes, seeds=seeds)

    def read_inputs(self, autoencoders: Iterable[str]) -> None:
        """Raise InputError for objects, and for autoencoders given by name or folder, that cannot be used."""
        from latentfields.bench.images import require_autoencoders
        from latentfields.bench.scenes import require_objects

        require_autoencoders(autoencoders, size=FIELDS_SCALES[self.scale].views.size)
        require_objects(self.families, self.meshes)


@dataclass(frozen=True, kw_only=True)
class TrainingDataConfig(ScaledConfig):
    """Data to train autoencoders on that are not given."""

    training_scenes: tuple[Path, ...] = ()
    """Scenes to train on. The scale tiny generates some if none are given."""
    training_photos: tuple[Path, ...] = ()
    """Photographs to train on. The scale tiny paints pictures if none are given."""

    @property
    def generates(self) -> bool:
        """True where data to train on is made by the study."""
        return self.scale == "tiny" and not self.training_scenes

    @property
    def can_train(self) -> bool:
        """True where there is data to train on."""
        return self.generates or bool(self.training_scenes and self.training_photos)
