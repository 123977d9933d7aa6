"""What a latent space is worth for generation: the same prior in several spaces, and what is generated with it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar

from latentfields.bench.objects import ScaledStudy, picture_of, require_usable
from latentfields.bench.rows import Claim, Measured, Pivot, Rows, Value
from latentfields.bench.scales import GENERATION_SCALES, GenerationScale
from latentfields.bench.study import Cells, Work, Workplace
from latentfields.config.checks import Filled, Share
from latentfields.errors import ArgumentError

if TYPE_CHECKING:
    from latentfields.bench.scenes import StudyScene
    from latentfields.pages.charts import Chart
    from latentfields.pages.report import PictureGroup, Table

PIXELS = "pixels"
"""The space of colours."""
PLAIN, AWARE = "base", "igae"
"""The spaces that are compared: an autoencoder, and its 3D-aware version."""
FIRST_OBJECT, FIRST_HELD_OUT = 200, 700
"""Numbers of the first objects of each family that priors are trained on, and that generated ones are compared with."""
SPEED_UP = 10.0
"""Latents are to be so many times faster than pixels to the same accuracy."""
LEVELS = (0.1, 0.15, 0.2, 0.25)
"""Shares of views of which the page says when they are recognised, beside the one that is asked for."""
SPACE = {"space": "space"}

MEASURES = (
    Value("right_class", "class", ".2f"),
    Value("right_view", "view", ".2f"),
    Value("accuracy", "both", ".2f"),
    Value("distance", "distance", ".2f"),
)
"""Of the judge, for views and scenes alike."""


@dataclass(frozen=True, kw_only=True)
class GenerationStudyConfig(ScaledStudy):
    """Generate objects with priors of the plain, the 3D-aware and the pixels' space, of equal cost to train.

    Views are judged by a classifier of real renderings. Run the same command again to go on after an interruption.
    """

    kind: ClassVar[str] = "bench generation"
    title = "Generation in latents and in pixels"
    claims_title = "What is asked of latents"
    about = (
        "The same denoiser, trained for the same CPU time in several spaces, and objects distilled from it, judged by "
        "a small classifier of class and camera azimuth that was trained on real renderings."
    )
    tables = (
        Pivot(
            "The classifier on real renderings of other objects",
            {"pictures": "pictures"},
            (*MEASURES[:3], Value("distance", "distance", ".2f"), Value("diversity", "diversity", ".2f")),
            kind="real",
        ),
        Pivot(
            "Priors, trained for the same CPU time",
            SPACE,
            (
                Value("steps", "steps", ".0f"),
                Value("cpu_seconds", "CPU s", ".0f"),
                Value("parameters", "parameters, M", ".2f", unit=1e-6),
            ),
            kind="priors",
            needs="steps",
        ),
        Pivot(
            "Views drawn from the priors",
            SPACE,
            (*MEASURES, Value("diversity", "diversity", ".2f"), Value("cpu_seconds", "CPU s a view")),
            kind="samples",
        ),
        Pivot(
            "Generated scenes",
            SPACE,
            (*MEASURES, Value("inconsistency", "inconsistency", ".3f"), Value("cpu_seconds", "CPU s", ".0f")),
            kind="scenes",
        ),
        Pivot(
            "Inconsistency between views of generated scenes, by family",
            SPACE,
            (Value("inconsistency", "all", ".3f"),),
            columns="family",
            kind="scenes",
        ),
        Pivot(
            "Share of views of generated scenes whose class and azimuth are recognised, by family",
            SPACE,
            (Value("accuracy", "all"),),
            columns="family",
            kind="scenes",
        ),
    )
    of_images = False

    spaces: tuple[str, ...] = (PLAIN, AWARE, PIXELS)
    """Names or folders of autoencoders, in whose latents priors are trained; pixels has none."""
    priors: tuple[str, ...] = ()
    """Packaged names or folders of priors that are judged as they are, beside those that are trained."""
    families: Filled[str] = ("mugs", "teapots", "chairs", "lamps")
    """Families of generated objects: priors are trained on some, and make others."""
    accuracy: Share = 0.15
    """Share of the views of all scenes of a space whose class and azimuth are to be recognised; how long that takes is
    asked. Of four families, a sixteenth is by chance."""

    @property
    def sizes(self) -> GenerationScale:
        """The sizes of everything."""
        return GENERATION_SCALES[self.scale]

    def check(self, path: str = "") -> None:
        """Raise ArgumentError, naming the argument, when a value is out of range."""
        super().check(path)
        if not self.spaces and not self.priors:
            raise ArgumentError("spaces", "is empty, and so is `priors`; expected at least one of them")

    def read_inputs(self, out: Path) -> None:
        """Raise InputError for families and autoencoders that cannot be used."""
        from latentfields.priors.network import require_diffusers
        from latentfields.priors.prior import load_prior

        require_diffusers()
        require_usable(self.spaces, self.families, size=self.sizes.views.size)
        for name in self.priors:
            prior = load_prior(name)
            for family in self.families:
                prior.class_index(family, argument="families")

    def objects(self, out: Path, first: int, count: int) -> list[StudyScene]:
        """Return so many rendered objects of each family."""
        from latentfields.bench.scenes import rendered_scenes

        return rendered_scenes(out / "objects", families=self.families, seeds=range(first, first + count))

    def measure(self, place: Workplace) -> dict[str, list[dict[str, Any]]]:
        """Return what was measured, by kind: real pictures, priors, views drawn from them, and scenes."""
        from latentfields.bench.generations import judge_cell, pixel_space
        from latentfields.bench.scenes import rendering

        sizes, out = self.sizes, place.out
        train = self.objects(out, FIRST_OBJECT, sizes.objects)
        held_out = self.objects(out, FIRST_HELD_OUT, sizes.held_out)
        place.run(rendering([*train, *held_out], sizes.views), label="objects")
        judge = out / "judge.safetensors"
        names = tuple(sorted(self.families))
        works: dict[str, Work] = {
            "judge": partial(
                judge_cell, scenes=train, held_out=held_out, names=names, steps=sizes.judge_steps, file=judge
            )
        }
        if PIXELS in self.spaces:
            works[PIXELS] = partial(pixel_space, scenes=train, folder=out / PIXELS)
        real = place.run(works, label="classifier")["judge"]
        priors = [*self._train(place, train), *({"space": name, "prior": name} for name in self.priors)]
        folders = {row["space"]: row["prior"] for row in priors}
        drawn, made = self._made(place, held_out, judge, folders)
        return {
            "real": [{"pictures": "real renderings", **real}],
            "priors": priors,
            "samples": place.measure(drawn, label="views"),
            "scenes": place.measure(made, label="scenes"),
        }

    def _train(self, place: Workplace, train: Sequence[StudyScene]) -> list[dict[str, Any]]:
        """A prior for every space, trained for the same CPU time."""
        from latentfields.bench.generations import prior_cell

        sizes, cells = self.sizes, Cells()
        for number, space in enumerate(self.spaces):
            size = sizes.pixels if space == PIXELS else sizes.views.size
            work = partial(
                prior_cell,
                autoencoder=str(place.out / PIXELS) if space == PIXELS else space,
                scenes=train,
                training=replace(sizes.training, size=size),
                seconds=sizes.seconds,
                out=place.out / "priors" / str(number),
                device=place.device,
            )
            cells[f"prior-{number}"] = {"space": space}, work
        return place.measure(cells, label="priors")

    def _made(
        self, place: Workplace, held_out: Sequence[StudyScene], judge: Path, priors: Mapping[str, str]
    ) -> tuple[Cells, Cells]:
        """The cells that draw views from priors, and those that make scenes with them."""
        from latentfields.bench.generations import samples_cell, scene_cell

        sizes, drawn, made = self.sizes, Cells(), Cells()
        for (number, (space, prior)), family in product(enumerate(priors.items()), self.families):
            labels = {"space": space, "family": family}
            real = [scene for scene in held_out if scene.kind == family]
            shared: Any = {
                "prior": prior,
                "family": family,
                "judge": judge,
                "real": real,
                "device": place.device,
            }
            name = f"samples-{number}-{family}"
            picture = picture_of(name)
            work = partial(samples_cell, **shared, count=sizes.samples, picture=place.out / picture)
            drawn[name] = {**labels, "picture": picture}, work
            for seed in range(self.seeds):
                name = f"scene-{number}-{family}-{seed}"
                picture = picture_of(name)
                work = partial(
                    scene_cell,
                    **shared,
                    seed=seed,
                    steps=sizes.pixel_steps if space == PIXELS else sizes.steps,
                    every=sizes.measured_every,
                    compared=sizes.compared,
                    folder=place.out / "scenes" / name,
                    picture=place.out / picture,
                )
                made[name] = {**labels, "seed": seed, "picture": picture}, work
        return drawn, made

    def more_tables(self, measured: Measured) -> Sequence[Table]:
        """Return when so many views of scenes are recognised."""
        from latentfields.pages.report import Table

        scenes = measured["scenes"]
        levels = sorted({*LEVELS, self.accuracy})
        times = []
        for (space,), rows in scenes.grouped("space").items():
            course = mean_course(rows)
            reached = [time_until(course, level) for level in levels]
            end = f"> {course[-1][0]:.1f}"
            times.append((space, *(end if time is None else f"{time:.1f}" for time in reached)))
        title = "CPU seconds until class and azimuth are recognised in so many views of all scenes"
        return [Table(title, ("space", *(f"{level:.0%}" for level in levels)), tuple(times))]

    def claims(self, measured: Measured) -> list[Claim]:
        """Return whether latents are fast, and the 3D-aware ones ahead of the plain ones on most families."""
        scenes = measured["scenes"]
        there = scenes.distinct("space")
        courses = {space: mean_course(scenes.select(space=space)) for space in there}
        claims = []
        for space in (PLAIN, AWARE):
            if space in there and PIXELS in there:
                found = (
                    f"{self.accuracy:.0%} of views of scenes in {space} are recognised so many times sooner"
                )
                claims.append(_sooner(found, courses[space], courses[PIXELS], self.accuracy))
        if PLAIN in there and AWARE in there:
            better = f"Scenes in {AWARE} are {{}} than in {PLAIN}"
            claims += [
                _ahead(scenes, "inconsistency", better.format("more consistent"), sign=-1.0),
                _ahead(scenes, "accuracy", better.format("recognised more often"), sign=1.0),
            ]
        return claims

    def charts(self, measured: Measured) -> list[Chart]:
        """Return accuracy against CPU time, meaned over all scenes of a space."""
        from latentfields.pages.charts import Chart, Level, Series

        spaces = measured["scenes"].grouped("space").items()
        series = [Series(space, *rows.mean_curve("cpu_seconds", "accuracy")) for (space,), rows in spaces]
        level = Level(f"{self.accuracy:.0%}", self.accuracy)
        title = "Scenes while they are generated"
        return [Chart(title, "CPU seconds", "views that are recognised", tuple(series), levels=(level,))]

    def pictures(self, measured: Measured, folder: Path) -> list[PictureGroup]:
        """Return turns of the first scene of each family, and views from the prior, space by space."""
        from latentfields.pages.report import Picture, PictureGroup, PictureRow

        groups = []
        for family in measured["scenes"].distinct("family"):
            rows = []
            for kind, name in (("scenes", "a scene"), ("samples", "drawn")):
                for row in measured[kind].select(family=family):
                    if row.labels.get("seed", "0") != "0":
                        continue
                    if (picture := Picture.read("", folder / row.labels["picture"])) is not None:
                        rows.append(PictureRow(f"{row.labels['space']}: {name}", (picture,)))
            title = f"{family}: a turn around a scene, and views drawn from the prior"
            groups.append(PictureGroup(title, tuple(rows)))
        return groups


def mean_course(rows: Rows) -> list[tuple[float, float]]:
    """Return CPU seconds and the share of views that are recognised, meaned over scenes that are looked at alike."""
    return list(zip(*rows.mean_curve("cpu_seconds", "accuracy"), strict=True))


def time_until(course: Sequence[tuple[float, float]], accuracy: float) -> float | None:
    """Return the seconds after which a course first reaches an accuracy; None where it never does."""
    return next((seconds for seconds, reached in course if reached >= accuracy), None)


def _sooner(
    statement: str,
    latents: Sequence[tuple[float, float]],
    pixels: Sequence[tuple[float, float]],
    level: float,
) -> Claim:
    """The claim that latents reach a level many times sooner than pixels; if these never do, all their time counts."""
    required = f">= {SPEED_UP:.0f}"
    taken, others = time_until(latents, level), time_until(pixels, level)
    if taken is None:
        return Claim(statement, required, "never are", False)
    ratio = (pixels[-1][0] if others is None else others) / taken
    never = f", as pixels are not after {pixels[-1][0]:.0f} s" if others is None else ""
    return Claim(statement, required, f"{'at least ' if never else ''}{ratio:.1f}{never}", ratio >= SPEED_UP)


def _ahead(scenes: Rows, measure: str, statement: str, *, sign: float) -> Claim:
    """The claim that the 3D-aware space is ahead of the plain one in a measure, on more than half of the families."""
    families = scenes.distinct("family")

    def mean(space: str, family: str) -> float:
        rows = scenes.select(space=space, family=family)
        found = [row.values[measure] for row in rows if measure in row.values]
        # Comparisons with NaN are false.
        return fmean(found) if found else math.nan

    ahead = sum(sign * (mean(AWARE, family) - mean(PLAIN, family)) > 0 for family in families)
    return Claim(statement, "on most families", f"on {ahead} of {len(families)}", 2 * ahead > len(families))
