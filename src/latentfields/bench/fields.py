"""Every field in every space on every object: Tables 1, 4, 5 to 9, 11 and 13 of IG-AE."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from latentfields.bench.rows import Measured, Pivot, Record, Row, Value, distinct, select, where_measured
from latentfields.bench.scales import FAMILIES, FIELDS_SCALES, Scale
from latentfields.bench.study import Labels, Study, Work, Workplace
from latentfields.config.checks import Checked
from latentfields.errors import ArgumentError
from latentfields.fields.config import FieldName
from latentfields.latent_nerf.config import FitConfig

if TYPE_CHECKING:
    from latentfields.bench.scenes import StudyScene
    from latentfields.pages.report import PictureGroup

PAPER_FIELDS: tuple[FieldName, ...] = ("vanilla", "instant-ngp", "tensorf", "kplanes")
"""The NeRFs of the paper's tables."""
FIRST_SEED = 700
"""Number of the first object of each family."""


@dataclass(frozen=True, kw_only=True)
class ObjectsConfig(Checked):
    """Objects that fields are fitted to."""

    scale: Scale = "small"
    """Minutes, hours on two cores, or as in the paper (needs a GPU; unmeasured)."""
    seeds: int = 3
    """Objects per family; each is fitted with its own seed."""
    families: tuple[str, ...] = FAMILIES
    """Families of generated objects."""
    meshes: tuple[Path, ...] = ()
    """Mesh files that nothing was trained on, such as scans: one more family of objects."""

    def check(self, path: str = "") -> None:
        """Raise ArgumentError, naming the argument, when a value is out of range."""
        super().check(path)
        for name in ("fields", "spaces"):
            if getattr(self, name, None) == ():
                raise ArgumentError(name, "name at least one")
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
class FieldsStudyConfig(ObjectsConfig):
    """Compare fields in latent and RGB space, and after each stage (IG-AE Tables 1, 4, 5 to 9, 11, 13).

    Run the same command again to go on after an interruption.
    """

    kind: ClassVar[str] = "bench fields"
    fields: tuple[FieldName, ...] = PAPER_FIELDS
    """Representations."""
    spaces: tuple[str, ...] = ("rgb", "base", "igae")
    """Names or folders of autoencoders; rgb fits colours."""

    def fits(self, spaces: Iterable[str] | None = None) -> FieldsStudyConfig:
        """Return what determines the fits, without the options of other studies; in other spaces, if they are given."""
        shared = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(FieldsStudyConfig)}
        return FieldsStudyConfig(**(shared | {"spaces": self.spaces if spaces is None else tuple(spaces)}))


def read_inputs(config: FieldsStudyConfig, out: Path) -> None:
    """Raise InputError for unusable settings, objects and autoencoders."""
    config.check()
    config.read_inputs(space for space in config.spaces if space != "rgb")


def fit_work(
    place: Workplace, name: str, scene: StudyScene, autoencoder: str | None, config: FitConfig
) -> Work:
    """Return the work of one fit's cell; the picture has the cell's name, too."""
    from latentfields.bench.fits import fit_and_score

    return partial(
        fit_and_score,
        scene=scene,
        autoencoder=autoencoder,
        config=config,
        device=place.device,
        folder=place.out / "fits" / name,
        picture=place.out / picture_of(name),
    )


def picture_of(name: str) -> str:
    """Return where in the study's folder the picture of a fit is."""
    return f"pictures/{name}.png"


def fit_cells(
    config: FieldsStudyConfig,
    place: Workplace,
    *,
    prefix: str = "",
    change: Callable[[FitConfig], FitConfig] = lambda fit: fit,
) -> dict[str, tuple[Labels, Work]]:
    """Return labels and work of all fits, by field, then space, then object.

    Names of cells number the spaces, which may be folders. `prefix` names those with a `change` to their settings.
    """
    scale = FIELDS_SCALES[config.scale]
    found: dict[str, tuple[Labels, Work]] = {}
    for field in config.fields:
        for number, space in enumerate(config.spaces):
            for scene in config.scenes(place.out, first_seed=FIRST_SEED):
                name = f"{prefix}fit-{field}-{number}-{scene.name}"
                fit = change(scale.fit(field, space=space, seed=scene.seed))
                labels = {"field": field, "space": space, "family": scene.kind, "seed": scene.seed}
                work = fit_work(place, name, scene, None if space == "rgb" else space, fit)
                found[name] = {**labels, "picture": picture_of(name)}, work
    return found


def measure_fits(config: FieldsStudyConfig, place: Workplace) -> list[dict[str, Any]]:
    """Return the scores of every fit (`fits.fit_and_score`), with its labels."""
    from latentfields.bench.scenes import rendering

    scenes = config.scenes(place.out, first_seed=FIRST_SEED)
    place.run(rendering(scenes, FIELDS_SCALES[config.scale].views), label="objects")
    return place.measure(fit_cells(config, place), label="fits")


def fit_rows(records: Iterable[Record]) -> Measured:
    """Return the rows of fits."""
    return {"fits": [Row.of(record, seed=record["seed"]) for record in records]}


def first_pictures(measured: Measured, folder: Path) -> list[PictureGroup]:
    """Return the first test view of the first object of each family."""
    from latentfields.bench.page import first_views

    fits = measured["fits"]
    shown = select(fits, seed=min(distinct(fits, "seed"), key=int))
    return first_views(shown, folder, groups=("family",), methods=("field", "space", "path"))


NERF_AND_SPACE = {"field": "NeRF", "space": "space"}


def by_family(measure: str, title: str, *, needs: str = "", spec: str = ".2f") -> Pivot:
    """Return a table with a row for every NeRF and space, a column for every family, and one for all."""
    return Pivot(title, NERF_AND_SPACE, (Value(measure, "all", spec),), columns="family", needs=needs)


NOVEL_VIEWS = (
    by_family("psnr", "Decoded novel views: PSNR, dB"),
    by_family("ssim", "The same: SSIM"),
    where_measured(by_family("lpips", "The same: LPIPS (alex)", needs="lpips", spec=".3f")),
    where_measured(by_family("lpips_vgg", "The same: LPIPS (VGG)", needs="lpips_vgg", spec=".3f")),
)
"""Tables 1 and 5 to 10."""

STAGES = Pivot(
    "Decoded novel views: PSNR, dB",
    NERF_AND_SPACE,
    (Value("supervision_psnr", "after Latent Supervision"), Value("psnr", "after RGB Alignment")),
    needs="supervision_psnr",
)
"""Table 4."""

LATENT_NOVEL_VIEWS = by_family(
    "supervision_latent_psnr",
    "Rendered against encoded latents: PSNR, dB",
    needs="supervision_latent_psnr",
)
"""Table 11: the test views, after Latent Supervision."""

TIMES = Pivot(
    "Training and rendering time",
    NERF_AND_SPACE,
    (
        Value("seconds", "training, s"),
        Value("cpu_seconds", "training, CPU s"),
        Value("render_milliseconds", "rendering, ms"),
        Value("frame_milliseconds", "with decoding, ms"),
        Value("psnr", "PSNR, dB"),
    ),
)
"""Table 13: beside the same NeRF fitted to colours, by the same steps."""

FIELDS = Study(
    name="fields",
    config=FieldsStudyConfig,
    title="Fields in latent and RGB space",
    about="Radiance fields of objects that nothing was trained on: quality after each stage, by space, and time.",
    read_inputs=read_inputs,
    measure=measure_fits,
    rows=fit_rows,
    tables=(
        *NOVEL_VIEWS,
        replace(STAGES, title="Decoded novel views by stage: PSNR, dB"),
        LATENT_NOVEL_VIEWS,
        TIMES,
    ),
    pictures=first_pictures,
)
