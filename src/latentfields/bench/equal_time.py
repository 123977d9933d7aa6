"""What studies share that fit fields in colours and in latents for the same CPU time. Free of heavy imports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from latentfields.bench.objects import by_family, fit_cell, lpips_by_family, picture_of
from latentfields.bench.rows import Claim, Measured, Pivot, Rows, Spread, Value
from latentfields.bench.scales import EqualTimeScale
from latentfields.bench.study import Cells, Study, Workplace
from latentfields.config.checks import Filled, Range
from latentfields.errors import ArgumentError
from latentfields.fields.config import FieldName

if TYPE_CHECKING:
    from pathlib import Path

    from latentfields.bench.scenes import StudyScene
    from latentfields.pages.charts import Chart
    from latentfields.pages.report import Headline

FIT: dict[str, str] = {"field": "field", "space": "space", "rays": "rays", "size": "pixels", "limit": "CPU s"}
"""Labels of a fit beside its scene and seed, and the titles of their columns."""


_by_scene = partial(by_family, labels=FIT, only_several=("rays",))
"""A table with a row for every kind of fit and a column for every scene."""


@dataclass(frozen=True, kw_only=True)
class EqualTimeStudy(Study):
    """A study of fields in colours and in latents, which are trained for the same CPU time."""

    claims_title = "Claims of this package"
    numbered = ("seed", "size", "limit", "rays")
    pictured_by = ("family", "size")
    told_apart_by = ("field", "space", "limit")
    look: ClassVar[int | None] = None
    """Longer side of the pictures that looking is timed at, beside the test views."""
    tables = (
        _by_scene("psnr", "Decoded test views: PSNR, dB"),
        _by_scene("ssim", "The same: SSIM", spec=".3f"),
        *lpips_by_family(_by_scene),
        _by_scene("grids_psnr", "The same on several grids of latents: PSNR, dB"),
        _by_scene("references_psnr", "The same with reference views: PSNR, dB"),
        _by_scene("autoencoder_psnr", "The autoencoder alone: PSNR, dB"),
        Pivot(
            "Cost",
            FIT,
            (
                Value("steps", "steps", ".0f"),
                Value("cpu_seconds", "training, CPU s", ".1f"),
                Value("frame_milliseconds", "a view, ms", ".0f"),
                Value("look_milliseconds", "looking, CPU ms", ".0f", optional=True),
                Value("psnr", "PSNR, dB"),
            ),
            only_several=("rays",),
        ),
    )

    scale: Literal["tiny", "small"] = "small"
    """Sizes and times: seconds, to see that it works; or minutes for every fit."""
    fields: Filled[FieldName] = ("kplanes",)
    """Representations."""
    spaces: Filled[str] = ("rgb", "base-f4", "base")
    """Names or folders of autoencoders; rgb fits colours."""
    cpu_seconds: Annotated[tuple[float, ...], Range(above=0)] = ()
    """Times of training, in seconds that its process computes; by default those of the scale."""
    grids: Annotated[int, Range(low=1)] = 1
    """Score decoded views that are the mean over so many grids of latents along each side, too: a divisor of the pixels
    per latent."""
    reference_views: Annotated[int, Range(low=1)] | None = None
    """Score views with what so many photographs near each of them add, too."""
    seeds: Annotated[int, Range(low=1, high=1000)] = 3
    """Fits of every kind, each with its own seed."""

    @property
    def sizes_of_scale(self) -> EqualTimeScale:
        """What the scale stands for."""
        raise NotImplementedError

    @property
    def chosen_sizes(self) -> tuple[int, ...]:
        """Longer sides of the pictures, in pixels."""
        return self.sizes_of_scale.sizes

    @property
    def limits(self) -> tuple[float, ...]:
        """The times that were asked for, or those of the scale."""
        return self.cpu_seconds or self.sizes_of_scale.cpu_seconds

    def rays(self, factor: int) -> tuple[int, ...]:
        """Return along how many rays per side latents of so many pixels are seen, one fit for each."""
        return (self.sizes_of_scale.rays(factor),)

    def scenes_of(self, out: Path, size: int) -> list[StudyScene]:
        """Return all scenes with all seeds, in pictures of a size; `out` is the folder of the study."""
        raise NotImplementedError

    def factors(self) -> dict[str, int]:
        """Return the pixels per latent and side by space. Raises InputError for autoencoders that cannot be used."""
        from latentfields.autoencoders.load import load_autoencoder

        found = {space: load_autoencoder(space).factor for space in self.spaces if space != "rgb"}
        for space, factor in found.items():
            if factor % self.grids:
                expected = f"a divisor of the pixels per latent of {space}, {factor}"
                raise ArgumentError("grids", f"is {self.grids}; expected {expected}")
        return {space: found.get(space, 1) for space in self.spaces}

    def measure(self, place: Workplace) -> dict[str, Any]:
        """Return the scores of every fit (`fits.fit_and_score`), with its labels."""
        return {"fits": place.measure(self.fit_cells(place), label="fits")}

    def fit_cells(self, place: Workplace) -> Cells:
        """Return labels and work of all fits: of small pictures and short times first, by field, space and scene.

        Names of cells number the spaces, which may be folders.
        """
        found: Cells = {}
        scale = self.sizes_of_scale
        spaces = [
            (number, space, factor, rays)
            for number, (space, factor) in enumerate(self.factors().items())
            for rays in self.rays(factor)
        ]
        for size in self.chosen_sizes:
            kinds = product(self.limits, self.fields, spaces, self.scenes_of(place.out, size))
            for limit, field, (number, space, factor, rays), scene in kinds:
                other = "" if rays == scale.rays(factor) else f"-{rays}"
                name = f"fit-{size}-{limit:g}-{field}-{number}{other}-{scene.name}"
                fit = scale.fit(field, factor=factor, rays=rays, seed=scene.seed)
                labels = {
                    "field": field,
                    "space": space,
                    "rays": fit.subpixels**2,
                    "size": size,
                    "limit": limit,
                    "picture": picture_of(name),
                }
                more = {
                    "cpu_seconds": limit,
                    "look": self.look,
                    "grids": self.grids,
                    "reference_views": self.reference_views,
                }
                found[name] = fit_cell(place, name, scene, space, fit, labels, **more)
        return found

    def rows(self, results: Any) -> Measured:
        """Return the rows of fits."""
        fits = self.rows_of(results["fits"])
        return {"fits": Rows(row.plus({"steps": row.curve[-1]["step"]} if row.curve else {}) for row in fits)}

    def headlines(self, measured: Measured, claims: Sequence[Claim]) -> list[Headline]:
        """Return the mean PSNR of the best field in every space, at the last size and time."""
        from latentfields.pages.report import Headline

        *_, last = measured["fits"].grouped("size", "limit").items()
        (size, limit), rows = last
        found = []
        for (space,), part in rows.grouped("space").items():
            field, best = best_field(part)
            detail = f"{field}, {size} pixels, {limit} CPU s"
            found.append(Headline(f"best in {space}", f"{best:.2f}", "dB", detail))
        return found

    def charts(self, measured: Measured) -> list[Chart]:
        """Return quality against training time, a chart for every size and space, a curve for every field."""
        from latentfields.pages.charts import Chart, Series

        charts = []
        for (size, space), part in measured["fits"].grouped("size", "space").items():
            curves = []
            for (field, rays), rows in part.grouped("field", "rays").items():
                points = sorted((float(limit), group) for (limit,), group in rows.grouped("limit").items())
                y = [Spread.of(group.values("psnr")).mean for _, group in points]
                several = len(part.distinct("rays")) > 1
                label = f"{field}, {rays} rays" if several else field
                curves.append(Series(label, [limit for limit, _ in points], y))
            title = f"{space}, {size} pixels"
            charts.append(Chart(title, "CPU seconds of training", "PSNR of test views, dB", tuple(curves)))
        return charts


def best_field(rows: Rows) -> tuple[str, float]:
    """Return the field whose mean PSNR is highest, and that."""
    means = {field: Spread.of(rows.values("psnr", field=field)).mean for field in rows.distinct("field")}
    return max(means.items(), key=lambda item: item[1])


def behind_colors(rows: Rows, colors: Rows, *, ours: str = "psnr") -> Rows:
    """Return rows with the `gain` of their measure `ours` over the PSNR of `colors` of the same scenes and seeds."""
    found = []
    for row in rows:
        (other,) = colors.values("psnr", family=row.labels["family"], seed=row.labels["seed"])
        found.append(row.plus({"gain": row.values[ours] - other}))
    return Rows(found)
