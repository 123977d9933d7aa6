"""Every field in every space on every object: Tables 1, 4, 5 to 9, 11 and 13 of IG-AE."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from latentfields.bench.options import ObjectsConfig
from latentfields.bench.rows import LPIPS, Measured, Pivot, Record, Row, Value, distinct, select
from latentfields.bench.scales import FIELDS_SCALES
from latentfields.bench.study import Labels, Study, Work, Workplace, missing_measures
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
class FieldsStudyConfig(ObjectsConfig):
    """Compare fields in latent and RGB space, and after each stage (IG-AE Tables 1, 4, 5 to 9, 11, 13).

    Run the same command again to go on after an interruption.
    """

    kind: ClassVar[str] = "bench fields"
    fields: tuple[FieldName, ...] = PAPER_FIELDS
    """Representations."""
    spaces: tuple[str, ...] = ("rgb", "base", "igae")
    """Names or folders of autoencoders; rgb fits colours."""

    def check(self, path: str = "") -> None:
        """Raise ArgumentError, naming the argument, when a value is out of range."""
        super().check(path)
        if not self.spaces:
            raise ArgumentError("spaces", "name at least one")

    @classmethod
    def of(cls, config: ObjectsConfig, spaces: Iterable[str]) -> FieldsStudyConfig:
        """Return what determines the fits of a study with more options than these, in these spaces."""
        names = (entry.name for entry in dataclasses.fields(cls) if entry.name != "spaces")
        return cls(**{name: getattr(config, name) for name in names}, spaces=tuple(spaces))


def read_inputs(config: FieldsStudyConfig, out: Path) -> None:
    """Raise InputError for unusable objects and autoencoders."""
    config.read_inputs(space for space in config.spaces if space != "rgb")


def fit_cell(
    place: Workplace, name: str, scene: StudyScene, autoencoder: str | None, config: FitConfig, labels: Labels
) -> tuple[str, tuple[Labels, Work]]:
    """Return the name, labels and work of one fit's cell; the picture has the cell's name, too."""
    from latentfields.bench.fits import fit_and_score

    work = partial(
        fit_and_score,
        scene=scene,
        autoencoder=autoencoder,
        config=config,
        device=place.device,
        folder=place.out / "fits" / name,
        picture=place.out / picture_of(name),
    )
    return name, ({**labels, "family": scene.kind, "seed": scene.seed}, work)


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
    found = {}
    for field in config.fields:
        for number, space in enumerate(config.spaces):
            for scene in config.scenes(place.out, first_seed=FIRST_SEED):
                name = f"{prefix}fit-{field}-{number}-{scene.name}"
                fit = change(FIELDS_SCALES[config.scale].fit(field, space=space, seed=scene.seed))
                autoencoder = None if space == "rgb" else space
                labels = {"field": field, "space": space, "picture": picture_of(name)}
                found |= [fit_cell(place, name, scene, autoencoder, fit, labels)]
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


NERF_AND_SPACE: Mapping[str, str] = {"field": "NeRF", "space": "space"}


def by_family(
    measure: str, title: str, *, labels: Mapping[str, str] = NERF_AND_SPACE, spec: str = ".2f", **more: Any
) -> Pivot:
    """Return a table with a row for every NeRF and space, a column for every family, and one for all."""
    return Pivot(title, labels, (Value(measure, "all", spec),), columns="family", **more)


def lpips_by_family(labels: Mapping[str, str] = NERF_AND_SPACE, **more: Any) -> tuple[Pivot, ...]:
    """Return such tables of LPIPS, for where it could be measured."""
    return tuple(
        by_family(name, f"The same: {title}", labels=labels, spec=".3f", needs=name, optional=True, **more)
        for name, title in LPIPS.items()
    )


NOVEL_VIEWS = (
    by_family("psnr", "Decoded novel views: PSNR, dB"),
    by_family("ssim", "The same: SSIM"),
    *lpips_by_family(),
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

COSTS = (
    Value("cpu_seconds", "training, CPU s"),
    Value("render_milliseconds", "rendering, ms"),
    Value("frame_milliseconds", "with decoding, ms"),
)

TIMES = Pivot(
    "Training and rendering time",
    NERF_AND_SPACE,
    (Value("seconds", "training, s"), *COSTS, Value("psnr", "PSNR, dB")),
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
    notes=missing_measures,
    tables=(
        *NOVEL_VIEWS,
        replace(STAGES, title="Decoded novel views by stage: PSNR, dB"),
        LATENT_NOVEL_VIEWS,
        TIMES,
    ),
    pictures=first_pictures,
)
