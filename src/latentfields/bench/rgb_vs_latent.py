"""How far fields in latents are behind the same fields in colours: quality at equal CPU time, and speed of looking."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from latentfields.bench.equal_time import EqualTimeStudy, behind_colors
from latentfields.bench.objects import require_usable
from latentfields.bench.rows import Claim, Measured, Rows, Spread, at_least, at_most
from latentfields.bench.scales import RGB_VS_LATENT_SCALES, EqualTimeScale
from latentfields.bench.study import Workplace
from latentfields.config.checks import Filled, Range
from latentfields.errors import ArgumentError

if TYPE_CHECKING:
    from latentfields.bench.scenes import StudyScene

VASES, FIRST_SEED = "vases", 3
"""The demo's object."""
BEHIND = {"75": 3.0, "300": 2.0}
"""Claims in dB: how far latents may be behind colours after so many CPU seconds, on the mean over the meshes."""
VASE_BEHIND = 1.0
"""The same of the demo's vase, after the longest of these times."""
LOOKING = {8: 150.0, 4: 250.0}
"""Claims in CPU milliseconds: what a view of `look` pixels may take, rendered and decoded, by the factor."""
FASTER = 10.0
"""How many times faster than colours that has to be."""


@dataclass(frozen=True, kw_only=True)
class RgbVsLatentStudyConfig(EqualTimeStudy):
    """Compare fields in latents with the same fields in RGB: quality at equal CPU time, and the time of looking.

    On the demo's vase and on meshes that nothing was trained on, such as scans, with scene and decoder aligned. What
    this command printed before (IG-AE Table 13, at equal steps) is a table of `bench fields`.
    Run the same command again to go on after an interruption.
    """

    kind: ClassVar[str] = "bench rgb-vs-latent"
    title = "Latents against RGB"
    about = "Radiance fields of objects that nothing was trained on: quality at equal CPU time, and speed of looking."
    look = 512

    families: tuple[str, ...] = (VASES,)
    """Families of generated objects; the first vase is the demo's."""
    meshes: tuple[Path, ...] = ()
    """Mesh files that nothing was trained on, such as scans with textures."""
    spaces: Filled[str] = ("rgb", "base-f2", "base-f4")
    """Names or folders of autoencoders; rgb fits colours."""
    subpixels: Annotated[tuple[int, ...], Range(low=1)] = ()
    """Rays per latent along one side, one fit for each: 1, or even numbers; by default those of the scale."""
    seeds: Annotated[int, Range(low=1, high=1000)] = 1
    """Objects of each family; each mesh is seen by other cameras for each."""

    @property
    def sizes_of_scale(self) -> EqualTimeScale:
        """What the scale stands for."""
        return RGB_VS_LATENT_SCALES[self.scale]

    def rays(self, factor: int) -> tuple[int, ...]:
        """As `EqualTimeStudy.rays`."""
        return self.subpixels if self.subpixels and factor > 1 else super().rays(factor)

    def check(self, path: str = "") -> None:
        """Raise ArgumentError, naming the argument, when a value is out of range."""
        super().check(path)
        for rays in self.subpixels:
            self.sizes_of_scale.fit(self.fields[0], factor=4, rays=rays, seed=0).check()
        if not self.families and not self.meshes:
            raise ArgumentError("families", "name at least one family, or meshes")
        stems = [mesh.stem for mesh in self.meshes]
        if twice := next((stem for stem in stems if stems.count(stem) > 1), None):
            raise ArgumentError("meshes", f"has two files of the name {twice}; expected different ones")

    def read_inputs(self, out: Path) -> None:
        """Raise InputError for meshes and autoencoders that cannot be used."""
        (size,) = self.chosen_sizes
        require_usable(self.spaces, self.families, self.meshes, size=size)

    def scenes_of(self, out: Path, size: int) -> list[StudyScene]:
        """As `EqualTimeStudy.scenes_of`."""
        from latentfields.bench.scenes import rendered_objects

        seeds = range(FIRST_SEED, FIRST_SEED + self.seeds)
        return rendered_objects(out / "objects", families=self.families, meshes=self.meshes, seeds=seeds)

    def measure(self, place: Workplace) -> dict[str, Any]:
        """Return the scores of every fit (`fits.fit_and_score`), with its labels."""
        from latentfields.bench.scenes import rendering

        (size,) = self.chosen_sizes
        place.run(rendering(self.scenes_of(place.out, size), self.sizes_of_scale.views), label="objects")
        return super().measure(place)

    def claims(self, measured: Measured) -> list[Claim]:
        """Return what is claimed of every field and space: how far it is behind colours, and how fast to look at."""
        found = []
        kinds = measured["fits"].grouped("field", "space", "rays", "limit")
        for (field, space, rays, limit), rows in kinds.items():
            colors = measured["fits"].select(field=field, space="rgb", limit=limit)
            if space == "rgb" or not colors:
                continue
            per_latent = "1 ray" if rays == "1" else f"{rays} rays"
            name = f"{space}, {field}, {per_latent} a latent, {limit} CPU s"
            found += self._quality(name, limit, behind_colors(rows, colors))
            ways = {"grids_psnr": f"on {self.grids**2} grids", "references_psnr": "with reference views"}
            for measure, way in ways.items():
                if all(measure in row.values for row in rows):
                    behind = behind_colors(rows, colors, ours=measure)
                    found += self._quality(f"{name}, {way}", limit, behind)
            found += _looking(name, rows, colors)
        return found

    def _quality(self, name: str, limit: str, behind: Rows) -> list[Claim]:
        """Claims of fits called `name` by their `gain` over RGB."""
        found = []
        meshes = [row.values["gain"] for row in behind if row.labels["family"] not in self.families]
        if meshes and limit in BEHIND:
            found.append(at_least(f"{name}: mean over meshes against RGB", meshes, -BEHIND[limit]))
        vases = [row.values["gain"] for row in behind.select(family=VASES)]
        if vases and limit == max(BEHIND, key=float):
            found.append(at_least(f"{name}: the vase against RGB", vases, -VASE_BEHIND))
        return found


def _looking(name: str, rows: Rows, colors: Rows) -> list[Claim]:
    measure = "look_milliseconds"
    if any(measure not in row.values for row in (*rows, *colors)):
        return []
    bound = LOOKING.get(int(rows[0].values["factor"]))
    times = rows.values(measure)
    limits = [] if bound is None else [at_most(f"{name}: a view of 512 pixels, CPU ms", times, bound)]
    faster = [
        Spread.of(colors.values(measure, family=row.labels["family"])).mean / row.values[measure]
        for row in rows
    ]
    spread = Spread.of(faster)
    statement = f"{name}: times faster to look at than RGB"
    return [*limits, Claim(statement, f">= {FASTER:.0f}", spread.text(".1f"), spread.mean >= FASTER)]
