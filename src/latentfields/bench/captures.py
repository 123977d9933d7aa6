"""Every field on captured scenes, in colours and in latents, for the same CPU time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, get_args

from latentfields.bench.equal_time import EqualTimeStudy, behind_colors, best_field
from latentfields.bench.rows import Claim, Measured, Rows, Spread, at_least
from latentfields.bench.scales import CAPTURES_SCALES, EqualTimeScale
from latentfields.config.checks import Filled, Range
from latentfields.fields.config import FieldName

if TYPE_CHECKING:
    from latentfields.bench.scenes import StudyScene

FIELDS: tuple[FieldName, ...] = get_args(FieldName)
JUDGED: dict[str, str] = {"size": "256", "limit": "180"}
"""Which fits the claims are about."""
EVERY_FIELD, BEST_FIELD, BEHIND = 24.0, 28.0, 3.0
"""Claims in dB: what every field and the best one reach in colours, and how far fine latents may be behind."""
FINE = 4
"""Pixels per latent along one side, up to which latents are."""


@dataclass(frozen=True, kw_only=True)
class CapturesStudyConfig(EqualTimeStudy):
    """Compare fields on captured scenes, in RGB and in latents, at equal CPU time.

    Run the same command again to go on after an interruption.
    """

    kind: ClassVar[str] = "bench captures"
    title = "Captured scenes"
    about = "Radiance fields of photographs: quality by field, space, size and CPU time of training."

    scenes: Filled[Path] = ()
    """Captured scenes, or folders of them: photographs with poses. Of `scenes capture`, for instance."""
    fields: Filled[FieldName] = FIELDS
    """Representations."""
    sizes: Annotated[tuple[int, ...], Range(low=16)] = ()
    """Longer sides of the pictures, in pixels; by default those of the scale."""

    @property
    def sizes_of_scale(self) -> EqualTimeScale:
        """What the scale stands for."""
        return CAPTURES_SCALES[self.scale]

    @property
    def chosen_sizes(self) -> tuple[int, ...]:
        """The sizes that were asked for, or those of the scale."""
        return self.sizes or super().chosen_sizes

    def read_inputs(self, out: Path) -> None:
        """Raise InputError for scenes and autoencoders that cannot be used."""
        for size in self.chosen_sizes:
            self.scenes_of(out, size)

    def scenes_of(self, out: Path, size: int) -> list[StudyScene]:
        """As `EqualTimeStudy.scenes_of`."""
        from latentfields.bench.scenes import captured_scenes

        factor = max(self.factors().values())
        return captured_scenes(self.scenes, training=(), seeds=range(self.seeds), size=size, factor=factor)

    def claims(self, measured: Measured) -> list[Claim]:
        """Return what is claimed of pictures of 256 pixels after 180 s: on the worst capture, of every field."""
        fits = measured["fits"].select(**JUDGED)
        colors = fits.select(space="rgb")
        found = []
        for (field,), rows in colors.grouped("field").items():
            scene, worst = _worst(rows, "psnr")
            found.append(at_least(f"RGB, {field}, on its worst capture ({scene})", worst, EVERY_FIELD))
        for (scene,), rows in colors.grouped("family").items():
            best, _ = best_field(rows)
            statement = f"RGB, the best field on {scene} ({best})"
            found.append(at_least(statement, rows.values("psnr", field=best), BEST_FIELD))
        for (space, field), rows in fits.grouped("space", "field").items():
            own = colors.select(field=field)
            if space == "rgb" or not own or max(row.values["factor"] for row in rows) > FINE:
                continue
            ways = {"psnr": f"{space}, {field}"}
            if self.grids > 1:
                ways["grids_psnr"] = f"{space}, {field}, on {self.grids**2} grids"
            for measure, name in ways.items():
                scene, worst = _worst(behind_colors(rows, own, ours=measure), "gain")
                statement = f"{name}, against RGB on its worst capture ({scene})"
                found.append(at_least(statement, worst, -BEHIND))
        return found


def _worst(rows: Rows, measure: str) -> tuple[str, list[float]]:
    """The scene whose mean of a measure is least, and the measurements there."""
    scenes = {scene: rows.values(measure, family=scene) for scene in rows.distinct("family")}
    name = min(scenes, key=lambda scene: Spread.of(scenes[scene]).mean)
    return name, scenes[name]
