"""What studies of objects share: their options, the cells that fit fields to objects, and tables by family.

Free of heavy imports, for the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from latentfields.bench.rows import LPIPS, Pivot, Value
from latentfields.bench.scales import FAMILIES, FIELDS_SCALES, FitScale, Scale
from latentfields.bench.study import Labels, Study, Work, Workplace
from latentfields.config.checks import Range
from latentfields.errors import ArgumentError
from latentfields.latent_nerf.config import FitConfig

if TYPE_CHECKING:
    from latentfields.bench.scenes import StudyScene


@dataclass(frozen=True, kw_only=True)
class ScaledStudy(Study):
    """A study of several scales."""

    scale: Scale = "small"
    """Minutes, hours on two cores, or as in the paper (needs a GPU; unmeasured)."""
    seeds: Annotated[int, Range(low=1, high=1000)] = 3
    """Objects per family; each is fitted with its own seed."""

    first_seed: ClassVar[int] = 700
    """Number of the first object of each family."""

    @property
    def numbers(self) -> range:
        """Numbers of the objects in their families, which are their seeds."""
        return range(self.first_seed, self.first_seed + self.seeds)


@dataclass(frozen=True, kw_only=True)
class RolesStudy(ScaledStudy):
    """A study of autoencoders in roles, each of which is an option: given, or trained here."""

    roles: ClassVar[tuple[str, ...]]

    base: str = "base"
    """The plain autoencoder."""

    @property
    def given(self) -> dict[str, str]:
        """Autoencoders that were given, by their roles."""
        named = {role: getattr(self, role.replace("-", "_")) for role in self.roles}
        return {role: name for role, name in named.items() if name is not None}

    @property
    def missing(self) -> list[str]:
        """Roles that no autoencoder was given for."""
        return [role for role in self.roles if role not in self.given]


@dataclass(frozen=True, kw_only=True)
class ObjectsStudy(ScaledStudy):
    """A study of fields that are fitted to objects."""

    families: tuple[str, ...] = FAMILIES
    """Families of generated objects."""
    meshes: tuple[Path, ...] = ()
    """Mesh files that nothing was trained on, such as scans: one more family of objects."""

    pictured_by: ClassVar[tuple[str, ...]] = ("family",)

    @property
    def fit_scale(self) -> FitScale:
        """How objects are rendered and fitted."""
        return FIELDS_SCALES[self.scale]

    @property
    def all_families(self) -> tuple[str, ...]:
        """Every family of generated objects that is fitted."""
        return self.families

    def check(self, path: str = "") -> None:
        """Raise ArgumentError, naming the argument, when a value is out of range."""
        super().check(path)
        if not self.families and not self.meshes:
            raise ArgumentError("families", "name at least one family, or meshes")

    def scenes(self, out: Path) -> list[StudyScene]:
        """Return the scenes of the objects (`rendered_scenes`)."""
        from latentfields.bench.scenes import rendered_scenes

        families, meshes = self.all_families, self.meshes
        return rendered_scenes(out / "objects", families=families, meshes=meshes, seeds=self.numbers)

    def render(self, place: Workplace) -> None:
        """Render the scenes of the objects that are not there yet."""
        from latentfields.bench.scenes import rendering

        place.run(rendering(self.scenes(place.out), self.fit_scale.views), label="objects")

    def read_objects(self, spaces: Iterable[str]) -> None:
        """Raise InputError for objects, and for spaces, that cannot be used."""
        require_usable(spaces, self.all_families, self.meshes, size=self.fit_scale.views.size)


@dataclass(frozen=True, kw_only=True)
class TrainingStudy(ScaledStudy):
    """A study that trains autoencoders which are not given."""

    training_scenes: tuple[Path, ...] = ()
    """Scenes to train on. The scale tiny generates some if none are given."""
    training_photos: tuple[Path, ...] = ()
    """Photographs to train on. The scale tiny paints pictures if none are given."""

    @property
    def generates(self) -> bool:
        """True where data to train on is made here."""
        return self.scale == "tiny" and not self.training_scenes

    @property
    def can_train(self) -> bool:
        """True where there is data to train on."""
        return self.generates or bool(self.training_scenes and self.training_photos)


def require_usable(
    spaces: Iterable[str], families: Iterable[str], meshes: Iterable[Path] = (), *, size: int
) -> None:
    """Raise InputError for autoencoders (spaces but for rgb and pixels), families and meshes that cannot be used."""
    from latentfields.bench.images import require_autoencoders
    from latentfields.bench.scenes import require_objects

    require_autoencoders((space for space in spaces if space not in ("rgb", "pixels")), size=size)
    require_objects(families, meshes)


def fit_cell(
    place: Workplace,
    name: str,
    scene: StudyScene,
    space: str,
    config: FitConfig,
    labels: Labels,
    **more: Any,
) -> tuple[Labels, Work]:
    """Return labels and work of the cell `name`, which fits once; the picture has its name, too.

    `space` is "rgb", or an autoencoder's name or folder; there is `more` to tell `fits.fit_and_score`.
    """
    from latentfields.bench.fits import fit_and_score

    work = partial(
        fit_and_score,
        scene=scene,
        autoencoder=None if space == "rgb" else space,
        config=config,
        device=place.device,
        folder=place.out / "fits" / name,
        picture=place.out / picture_of(name),
        **more,
    )
    return {**labels, "family": scene.kind, "seed": scene.seed}, work


def picture_of(name: str) -> str:
    """Return where in the study's folder the picture of a fit is."""
    return f"pictures/{name}.png"


NERF_AND_SPACE: Mapping[str, str] = {"field": "NeRF", "space": "space"}


def by_family(
    measure: str, title: str, *, labels: Mapping[str, str] = NERF_AND_SPACE, spec: str = ".2f", **more: Any
) -> Pivot:
    """Return a table with a row for every NeRF and space, a column for every family, and one for all.

    It is made of the fits of which the measure was taken.
    """
    return Pivot(title, labels, (Value(measure, "all", spec),), columns="family", needs=measure, **more)


def lpips_by_family(table: Callable[..., Pivot] = by_family) -> tuple[Pivot, ...]:
    """Return such tables of LPIPS, for where it could be measured."""
    return tuple(table(name, f"The same: {title}", spec=".3f") for name, title in LPIPS.items())
