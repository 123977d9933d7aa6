"""Every field on captured scenes, in colours and in latents, for the same CPU time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from latentfields.bench.objects import fit_cell, fit_pictures, picture_of
from latentfields.bench.rows import (
    LPIPS,
    Claim,
    Measured,
    Pivot,
    Row,
    Spread,
    Value,
    at_least,
    distinct,
    gains,
    grouped,
    select,
    values,
)
from latentfields.bench.scales import CAPTURES_SCALES
from latentfields.bench.study import Cells, Study, Workplace
from latentfields.config.checks import Range
from latentfields.errors import ArgumentError
from latentfields.fields.config import FieldName

if TYPE_CHECKING:
    from latentfields.bench.scenes import StudyScene
    from latentfields.pages.charts import Chart
    from latentfields.pages.report import Headline, PictureGroup

FIT: dict[str, str] = {"field": "field", "space": "space", "size": "pixels", "limit": "CPU s"}
"""Labels of a fit beside its scene and seed, and the titles of their columns."""

JUDGED: dict[str, str] = {"size": "256", "limit": "180"}
"""Which fits the claims are about."""
EVERY_FIELD, BEST_FIELD, BEHIND = 24.0, 28.0, 3.0
"""Claims in dB: what every field and the best one reach in colours, and how far latents of factor 4 may be behind."""


def _by_scene(measure: str, title: str, *, spec: str = ".2f", **more: Any) -> Pivot:
    """A table with a row for every kind of fit and a column for every scene."""
    return Pivot(title, FIT, (Value(measure, "all", spec),), columns="family", **more)


@dataclass(frozen=True, kw_only=True)
class CapturesStudyConfig(Study):
    """Compare fields on captured scenes, in RGB and in latents, at equal CPU time.

    Run the same command again to go on after an interruption.
    """

    kind: ClassVar[str] = "bench captures"
    title = "Captured scenes"
    about = "Radiance fields of photographs: quality by field, space, size and CPU time of training."
    claims_title = "Claims of this package"
    tables = (
        _by_scene("psnr", "Decoded test views: PSNR, dB"),
        _by_scene("ssim", "The same: SSIM", spec=".3f"),
        *(
            _by_scene(name, f"The same: {title}", spec=".3f", needs=name, optional=True)
            for name, title in LPIPS.items()
        ),
        _by_scene(
            "autoencoder_psnr", "The autoencoder alone: PSNR, dB", needs="autoencoder_psnr", optional=True
        ),
        Pivot(
            "Cost",
            FIT,
            (
                Value("steps", "steps", ".0f"),
                Value("cpu_seconds", "training, CPU s", ".1f"),
                Value("frame_milliseconds", "a view, ms", ".0f"),
                Value("psnr", "PSNR, dB"),
            ),
        ),
    )

    scenes: tuple[Path, ...] = ()
    """Captured scenes, or folders of them: photographs with poses. Of `scenes capture`, for instance."""
    scale: Literal["tiny", "small"] = "small"
    """Sizes and times: seconds, to see that it works; or minutes for every fit."""
    fields: tuple[FieldName, ...] = get_args(FieldName)
    """Representations."""
    spaces: tuple[str, ...] = ("rgb", "base-f4", "base")
    """Names or folders of autoencoders; rgb fits colours."""
    sizes: Annotated[tuple[int, ...], Range(low=16)] = ()
    """Longer sides of the pictures, in pixels; by default those of the scale."""
    cpu_seconds: Annotated[tuple[float, ...], Range(above=0)] = ()
    """Times of training, in seconds that its process computes; by default those of the scale."""
    seeds: Annotated[int, Range(low=1, high=1000)] = 3
    """Fits of every kind, each with its own seed."""

    @property
    def chosen_sizes(self) -> tuple[int, ...]:
        """The sizes that were asked for, or those of the scale."""
        return self.sizes or CAPTURES_SCALES[self.scale].sizes

    @property
    def limits(self) -> tuple[float, ...]:
        """The times that were asked for, or those of the scale."""
        return self.cpu_seconds or CAPTURES_SCALES[self.scale].cpu_seconds

    def check(self, path: str = "") -> None:
        """Raise ArgumentError, naming the argument, when a value is out of range."""
        super().check(path)
        for name in ("scenes", "fields", "spaces"):
            if not getattr(self, name):
                raise ArgumentError(name, "name at least one")

    def read_inputs(self, out: Path) -> None:
        """Raise InputError for scenes and autoencoders that cannot be used."""
        self._factors()
        for size in self.chosen_sizes:
            self._scenes(size)

    def _factors(self) -> dict[str, int]:
        """Pixels per latent and side, by space."""
        from latentfields.autoencoders.load import load_autoencoder

        return {space: 1 if space == "rgb" else load_autoencoder(space).factor for space in self.spaces}

    def _scenes(self, size: int) -> list[StudyScene]:
        """All scenes with all seeds, in pictures of a size."""
        from latentfields.bench.scenes import captured_scenes

        factor = max(self._factors().values())
        return captured_scenes(self.scenes, training=(), seeds=range(self.seeds), size=size, factor=factor)

    def measure(self, place: Workplace) -> dict[str, Any]:
        """Return the scores of every fit (`fits.fit_and_score`), with its labels."""
        return {"fits": place.measure(self.fit_cells(place), label="fits")}

    def fit_cells(self, place: Workplace) -> Cells:
        """Return labels and work of all fits: of small pictures and short times first, by field, space and scene.

        Names of cells number the spaces, which may be folders.
        """
        found: Cells = {}
        scale, factors = CAPTURES_SCALES[self.scale], self._factors()
        for size in self.chosen_sizes:
            scenes = self._scenes(size)
            for limit in self.limits:
                for field in self.fields:
                    for number, (space, factor) in enumerate(factors.items()):
                        for scene in scenes:
                            name = f"fit-{size}-{limit:g}-{field}-{number}-{scene.name}"
                            fit = scale.fit(field, factor=factor, seed=scene.seed)
                            labels = {
                                "field": field,
                                "space": space,
                                "size": size,
                                "limit": limit,
                                "picture": picture_of(name),
                            }
                            autoencoder = None if space == "rgb" else space
                            found[name] = fit_cell(
                                place, name, scene, autoencoder, fit, labels, cpu_seconds=limit
                            )
        return found

    def rows(self, results: Any) -> Measured:
        """Return the rows of fits."""
        return {"fits": [_row(record) for record in results["fits"]]}

    def claims(self, measured: Measured) -> list[Claim]:
        """Return what is claimed of pictures of 256 pixels after 180 s: on the worst capture, of every field."""
        fits = select(measured["fits"], **JUDGED)
        colors = select(fits, space="rgb")
        found = []
        for (field,), rows in grouped(colors, ("field",)).items():
            scene, worst = _worst(rows, "psnr")
            found.append(at_least(f"RGB, {field}, on its worst capture ({scene})", worst, EVERY_FIELD))
        for (scene,), rows in grouped(colors, ("family",)).items():
            means = {
                field: Spread.of(values(rows, "psnr", field=field)).mean for field in distinct(rows, "field")
            }
            best = max(means, key=lambda field: means[field])
            found.append(
                at_least(
                    f"RGB, the best field on {scene} ({best})", values(rows, "psnr", field=best), BEST_FIELD
                )
            )
        for (space, field), rows in grouped(fits, ("space", "field")).items():
            own = select(colors, field=field)
            if not own or {row.values.get("factor") for row in rows} != {4}:
                continue
            behind = [
                replace(row, values={"gain": gain})
                for row, gain in zip(rows, gains(*_psnrs(rows, own)), strict=True)
            ]
            scene, worst = _worst(behind, "gain")
            found.append(
                at_least(f"{space}, {field}, against RGB on its worst capture ({scene})", worst, -BEHIND)
            )
        return found

    def headlines(self, measured: Measured, claims: Sequence[Claim]) -> list[Headline]:
        """Return the mean PSNR of the best field in every space, at the last size and time."""
        from latentfields.pages.report import Headline

        *_, last = grouped(measured["fits"], ("size", "limit")).items()
        (size, limit), rows = last
        found = []
        for (space,), part in grouped(rows, ("space",)).items():
            means = {
                field: Spread.of(values(part, "psnr", field=field)).mean for field in distinct(part, "field")
            }
            best = max(means, key=lambda field: means[field])
            detail = f"{best}, {size} pixels, {limit} CPU s"
            found.append(Headline(f"best in {space}", f"{means[best]:.2f}", "dB", detail))
        return found

    def charts(self, measured: Measured) -> list[Chart]:
        """Return quality against training time, a chart for every size and space, a curve for every field."""
        from latentfields.pages.charts import Chart, Series

        charts = []
        for (size, space), part in grouped(measured["fits"], ("size", "space")).items():
            curves = []
            for (field,), rows in grouped(part, ("field",)).items():
                points = sorted(
                    (float(limit), group) for (limit,), group in grouped(rows, ("limit",)).items()
                )
                y = [Spread.of(values(group, "psnr")).mean for _, group in points]
                curves.append(Series(field, [limit for limit, _ in points], y))
            title = f"{space}, {size} pixels"
            charts.append(Chart(title, "CPU seconds of training", "PSNR of test views, dB", tuple(curves)))
        return charts

    def pictures(self, measured: Measured, folder: Path) -> list[PictureGroup]:
        """Return truth and rendering of the first test view of every kind of fit, with the first seed."""
        first = min(distinct(measured["fits"], "seed"), key=int)
        fits = select(measured["fits"], seed=first)
        return fit_pictures(fits, folder, together=("family", "size"), told_apart=("field", "space", "limit"))


def _row(record: Any) -> Row:
    labels = {name: f"{record[name]:g}" for name in ("size", "limit")}
    row = Row.of(record, seed=record["seed"], **labels)
    steps = {"steps": row.curve[-1]["step"]} if row.curve else {}
    return replace(row, values={**row.values, **steps})


def _worst(rows: Sequence[Row], measure: str) -> tuple[str, list[float]]:
    """The scene whose mean of a measure is least, and the measurements there."""
    scenes = {scene: values(rows, measure, family=scene) for scene in distinct(rows, "family")}
    name = min(scenes, key=lambda scene: Spread.of(scenes[scene]).mean)
    return name, scenes[name]


def _psnrs(rows: Iterable[Row], others: Sequence[Row]) -> tuple[list[float], list[float]]:
    """The PSNRs of rows, and of those of the `others` that are of the same scenes and seeds."""
    pairs = []
    for row in rows:
        (other,) = select(others, family=row.labels["family"], seed=row.labels["seed"])
        pairs.append((row.values["psnr"], other.values["psnr"]))
    return [a for a, _ in pairs], [b for _, b in pairs]
