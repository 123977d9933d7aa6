"""What sharing is worth: objects fitted alone, together, by weights alone, and added later (Fused-Planes, Tables 1, 2).

At equal processor time for every object. The paper's totals leave out what objects share; here they are in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from latentfields.bench.objects import ScaledStudy, require_usable
from latentfields.bench.rows import Claim, Measured, Pivot, Rows, Value, above_zero, at_least, at_most, gains
from latentfields.bench.scales import COLLECTION_SCALES, CollectionScale
from latentfields.bench.study import Work, Workplace
from latentfields.config.checks import Filled, Range
from latentfields.errors import ArgumentError
from latentfields.fused_planes.config import CollectionConfig, PhaseConfig

if TYPE_CHECKING:
    from latentfields.bench.scenes import StudyScene
    from latentfields.pages.report import PictureGroup, Table

SINGLE, SINGLE_SHARED = "single", "single, shared decoder"
"""A Tri-Plane of its own, its decoder aligned to it; or through the decoder of all."""
FUSED, LIGHT, ADDED = "fused", "fused, weights alone", "added later"
"""Objects that were fitted together, with planes of their own or without; and those that were added to others."""

GAIN = 0.5
"""dB that fused objects have to be better than single ones."""
SHARE = 1 / 3
"""Share of a single object's bytes that a fused one may take."""
LOSS = 0.5
"""dB that objects may lose that are added later."""
TOTALS = (1, 10, 100, 1000)
"""Numbers of objects of the table of totals, beside that of the study."""
RGB = "rgb"


@dataclass(frozen=True, kw_only=True)
class CollectionsStudyConfig(ScaledStudy):
    """Compare objects that share base planes, an MLP and a decoder with objects fitted alone (Fused-Planes).

    All take the same processor time for every object, which a short run of each method is timed for. Objects are of one
    family, and of several together.
    Run the same command again to go on after an interruption.
    """

    kind: ClassVar[str] = "bench collections"
    title = "Collections: what sharing is worth"
    headline = "Fused objects against"
    pictured_by = ("set", "space", "object")
    told_apart_by = ("method",)
    about = (
        "Generated objects, fitted alone, together, by their weights alone, and added later, at equal time."
    )
    tables = (
        Pivot(
            "Novel views, at equal processor time for every object",
            {"set": "objects", "space": "space", "method": "method"},
            (
                Value("psnr", "PSNR, dB"),
                Value("ssim", "SSIM", ".3f"),
                Value("cpu_seconds", "CPU s an object", ".1f", spread=False),
                Value("bytes", "kB an object", ".1f", spread=False, unit=1e-3),
                Value("shared_bytes", "kB shared", ".0f", spread=False, unit=1e-3),
            ),
            note="Test views. Bytes are those of planes, MLP, projection and, where it is the object's own, the "
            "decoder; of objects in collections, those of their files. Means over objects.",
        ),
    )

    seeds: Annotated[int, Range(low=2, high=1000)] = 24
    """Objects of each set."""
    family: str = "vases"
    """Family of the objects of one family."""
    mixed: tuple[str, ...] = ("vases", "hats", "bags", "mugs")
    """Families of the objects of several, as many of each; none leaves them out."""
    added: int = 6
    """Objects of each set that are added later to a collection of the others, too."""
    spaces: Filled[str] = ("base", "igae", RGB)
    """Names or folders of autoencoders; rgb fits colours."""
    cpu_seconds: Annotated[float | None, Range(above=0)] = None
    """Processor time of every object, in seconds; by default that of the scale."""

    @property
    def sizes(self) -> CollectionScale:
        """Sizes of the scale."""
        return COLLECTION_SCALES[self.scale]

    def check(self, path: str = "") -> None:
        """Raise ArgumentError, naming the argument, when a value is out of range."""
        super().check(path)
        if self.added >= self.seeds:
            raise ArgumentError(
                "added", f"is {self.added}; expected less than `seeds`, which is {self.seeds}"
            )

    def read_inputs(self, out: Path) -> None:
        """Raise InputError for families and autoencoders that cannot be used."""
        require_usable(self.spaces, (self.family, *self.mixed), size=self.sizes.training.size)

    def sets(self, out: Path) -> dict[str, list[StudyScene]]:
        """Return the objects of every set, by its name. Those at the end are added later, too."""
        from latentfields.bench.scenes import rendered_scenes

        folder = out / "objects"
        found = {self.family: rendered_scenes(folder, families=(self.family,), seeds=self.numbers)}
        if self.mixed:
            mixed = rendered_scenes(folder, families=self.mixed, seeds=self.numbers)
            found[f"{len(self.mixed)} families"] = mixed[: self.seeds]
        return found

    def measure(self, place: Workplace) -> dict[str, Any]:
        """Return the scores of every object by every method, with what it took."""
        from latentfields.bench.scenes import rendering

        sets = self.sets(place.out)
        every = [scene for scenes in sets.values() for scene in scenes]
        place.run(rendering(every, self.sizes.views), label="objects")
        results: list[dict[str, Any]] = []
        for number, space in enumerate(self.spaces):
            paces = self._paces(place, number, space, next(iter(sets.values())))
            results += self._singles(place, number, space, sets, paces)
            for place_of, (title, scenes) in enumerate(sets.items()):
                results += self._together(place, f"{number}-{place_of}", space, title, scenes, paces)
        return {"objects": results}

    def _paces(
        self, place: Workplace, number: int, space: str, scenes: Sequence[StudyScene]
    ) -> dict[str, Mapping[str, float]]:
        """CPU seconds of a step of every phase, by method."""
        from latentfields.bench.collection_cells import pace_of_collection, pace_of_single

        some = [scene.folder for scene in scenes[: self.sizes.training.warmup.objects_per_batch]]
        works: dict[str, Callable[..., dict[str, float]]] = {
            kind: partial(pace_of_single, some[0], config=self._single(kind, space))
            for kind in self._single_kinds(space)
        }
        for kind in (FUSED, LIGHT):
            works[kind] = partial(pace_of_collection, some, config=self._training(kind))
        shared = {"work": place.out / "paces", "steps": self.sizes.pace_steps, **_shared(place, space)}
        cells = {f"pace-{number}-{_NAMES[kind]}": partial(work, **shared) for kind, work in works.items()}
        # One at a time, whatever else is asked for: two at once would slow each other down.
        return dict(zip(works, place.run_alone(cells, label="paces").values(), strict=True))

    def _single_kinds(self, space: str) -> tuple[str, ...]:
        return (SINGLE,) if space == RGB else (SINGLE, SINGLE_SHARED)

    @property
    def _budget(self) -> float:
        return self.sizes.cpu_seconds if self.cpu_seconds is None else self.cpu_seconds

    def _training(self, kind: str) -> CollectionConfig:
        training = self.sizes.training
        if kind != LIGHT:
            return training
        planes = training.planes
        features = planes.micro_features + planes.macro_features
        return replace(training, planes=replace(planes, micro_features=0, macro_features=features))

    def _single(self, kind: str, space: str) -> Any:
        """How an object is fitted alone: planes of the same size, MLP and rendering as those of fused ones."""
        from latentfields.latent_nerf.presets import preset

        planes = self.sizes.training.planes
        config = preset("triplane", space="rgb" if space == RGB else "latent")
        return replace(
            config,
            # As much regularisation, too; learning rates are those of a Tri-Plane that is fitted alone.
            field=replace(planes.triplane, tv_weight=self.sizes.training.warmup.tv_weight),
            sampling=planes.grid,
            subpixels=planes.subpixels if space != RGB else config.subpixels,
            subpixel_width=planes.subpixel_width,
            batch_images=self.sizes.training.warmup.views_per_object,
            batch_rays=self.sizes.training.rays,
            alignment_kind="scene" if kind == SINGLE_SHARED else "full",
        )

    def _singles(
        self,
        place: Workplace,
        number: int,
        space: str,
        sets: Mapping[str, Sequence[StudyScene]],
        paces: Mapping[str, Mapping[str, float]],
    ) -> list[dict[str, Any]]:
        """The objects fitted alone, once for every set that they are in."""
        from latentfields.bench.collection_cells import fit_single

        cells: dict[str, Work] = {}
        shares = {"supervision": 1.0} if space == RGB else {"supervision": 0.4, "alignment": 0.6}
        named = [
            ({"set": title, "space": space, "method": kind, "object": scene.name}, scene)
            for title, members in sets.items()
            for kind in self._single_kinds(space)
            for scene in members
        ]
        for labels, scene in named:
            kind = labels["method"]
            steps = steps_within(self._budget, paces[kind], shares)
            config = self._single(kind, space).with_steps(**{"alignment": 0, **steps})
            name = f"{_NAMES[kind]}-{number}-{scene.name}"
            cells[name] = partial(
                fit_single,
                scene,
                config=replace(config, seed=scene.seed),
                folder=place.out / "fits" / name,
                picture=place.out / "pictures" / f"{name}.png",
                **_shared(place, space),
            )
        done = place.run(cells, label=f"single objects, {space}")
        return [
            {**labels, **done[f"{_NAMES[labels['method']]}-{number}-{labels['object']}"]}
            for labels, _ in named
        ]

    def _together(
        self,
        place: Workplace,
        prefix: str,
        space: str,
        title: str,
        scenes: Sequence[StudyScene],
        paces: Mapping[str, Mapping[str, float]],
    ) -> list[dict[str, Any]]:
        """The objects fitted together, by weights alone, and some of them added later."""
        from latentfields.bench.collection_cells import add_and_score, fit_and_score_collection

        def scaled(kind: str, phases: tuple[str, str], objects: int) -> CollectionConfig:
            training, views = self._training(kind), self.sizes.training_views
            budget = self._budget * objects
            return within_budget(training, budget, paces[kind], phases, objects=objects, views=views)

        first, later = scenes[: len(scenes) - self.added], scenes[len(scenes) - self.added :]
        core = scaled(FUSED, ("warmup", "joint"), len(first))
        adding = scaled(FUSED, ("latent", "align"), len(later))
        names = {kind: f"{_NAMES[kind]}-{prefix}" for kind in (FUSED, LIGHT, ADDED)}
        works: dict[str, Callable[..., dict[str, Any]]] = {
            kind: partial(
                fit_and_score_collection,
                scenes,
                config=scaled(kind, ("warmup", "joint"), len(scenes)),
                pictures=place.out / "pictures" / names[kind],
            )
            for kind in (FUSED, LIGHT)
        }
        works[ADDED] = partial(
            add_and_score, first, later, config=replace(core, latent=adding.latent, align=adding.align)
        )
        cells = {
            name: partial(works[kind], folder=place.out / "collections" / name, **_shared(place, space))
            for kind, name in names.items()
        }
        done = place.run(cells, label=f"{title}, {space}")
        found = []
        for kind, name in names.items():
            result = done[name]
            for item, scores in result["objects"].items():
                labels = {"set": title, "space": space, "method": kind, "object": item}
                found.append({**labels, **{key: result[key] for key in _OF_ALL if key in result}, **scores})
        return found

    def rows(self, results: Any) -> Measured:
        """Return the rows of objects."""
        return {"fits": self.rows_of(results["objects"])}

    def claims(self, measured: Measured) -> list[Claim]:
        """Return what sharing has to be worth, by set, in every latent space; and whether a 3D-aware one wins."""
        fits, found = measured["fits"], []
        for (title, space), rows in fits.grouped("set", "space").items():
            about = f"{title}, {space}"
            fused, own = (rows.values(name, method=FUSED) for name in ("psnr", "bytes"))
            if space != RGB:
                single = max((rows.values("psnr", method=kind) for kind in (SINGLE, SINGLE_SHARED)), key=sum)
                better = f"Fused objects against the better single ones ({about})"
                found.append(at_least(better, gains(fused, single), GAIN))
                share = [a / b for a, b in zip(own, rows.values("bytes", method=SINGLE_SHARED), strict=True)]
                found.append(at_most(f"Their share of the bytes of single ones ({about})", share, SHARE))
            joint = dict(zip(rows.select(method=FUSED).distinct("object"), fused, strict=True))
            later = rows.select(method=ADDED)
            lost = [row.values["psnr"] - joint[row.labels["object"]] for row in later]
            added = f"Objects added later against the same ones fitted together ({about})"
            found.append(at_least(added, lost, -LOSS))
        if {"base", "igae"} <= set(fits.distinct("space")):
            for title in fits.distinct("set"):
                ahead = fits.select(set=title, method=FUSED).gain("space", "igae", "base")
                statement = f"Fused objects in the 3D-aware space igae against base ({title})"
                found.append(above_zero(statement, ahead))
        return found

    def more_tables(self, measured: Measured) -> Sequence[Table]:
        """Return the totals for several numbers of objects, shared parts included."""
        from latentfields.pages.report import Table

        counts = sorted({*TOTALS, self.seeds})
        rows = []
        for (title, space), part in measured["fits"].grouped("set", "space").items():
            alone = fmean(part.values("bytes", method=SINGLE if space == RGB else SINGLE_SHARED))
            for kind in part.distinct("method"):
                if kind == ADDED:
                    continue
                found = part.select(method=kind)
                shared = found[0].values.get("shared_bytes", 0.0)
                own, seconds = fmean(found.values("bytes")), fmean(found.values("cpu_seconds"))
                cells = []
                for count in counts:
                    # Single objects are fitted one after the other, those of a collection all together.
                    is_measured = count == len(found) or (not shared and count < len(found))
                    star = "" if is_measured else "*"
                    cells.append(
                        f"{count * seconds / 60:.1f}{star} min, {(shared + count * own) / 1e6:.2f}{star} MB"
                    )
                even = break_even(shared, own, alone)
                rows.append((title, space, kind, *cells, "-" if even is None else f"{even}"))
        note = (
            "Shared parts are in. *: computed from what the objects of the study took; the processor time of an "
            "object is the same by choice. Break-even: objects from which on a collection takes fewer bytes than as "
            "many single ones through one decoder."
        )
        heads = ("objects", "space", "method", *(f"N = {count}" for count in counts), "break-even")
        return [Table("Totals", heads, tuple(rows), note=note)]

    def pictures(self, measured: Measured, folder: Path) -> list[PictureGroup]:
        """Return truth and rendering of the first test view of one object of every set."""
        sets = measured["fits"].grouped("set").values()
        fits = [row for rows in sets for row in rows.select(object=rows[0].labels["object"])]
        return super().pictures({"fits": Rows(fits)}, folder)


_NAMES: Mapping[str, str] = {
    SINGLE: "single",
    SINGLE_SHARED: "single-shared",
    FUSED: "fused",
    LIGHT: "light",
    ADDED: "added",
}
"""Names of methods in those of cells."""
_OF_ALL = ("cpu_seconds", "shared_bytes")
"""What the cell of a collection says of all of its objects."""


def _shared(place: Workplace, space: str) -> dict[str, Any]:
    """What all cells of a space are told."""
    return {"autoencoder": None if space == RGB else space, "device": place.device}


def steps_within(budget: float, pace: Mapping[str, float], shares: Mapping[str, float]) -> dict[str, int]:
    """Return steps of the phases, in the proportions of `shares`, that take `budget` seconds at this pace together."""
    per_step = sum(shares[name] * pace[name] for name in shares)
    return {name: max(1, round(share * budget / per_step)) for name, share in shares.items()}


def within_budget(
    training: CollectionConfig,
    budget: float,
    pace: Mapping[str, float],
    phases: tuple[str, str],
    *,
    objects: int,
    views: int,
) -> CollectionConfig:
    """Return the training with as many epochs of its phases, in the proportions they have, as take `budget` seconds.

    `pace` is the seconds of a step of each phase, for `objects` objects with `views` training views each.
    """
    configs: dict[str, PhaseConfig] = {name: getattr(training, name) for name in phases}
    cost = 0.0
    for name, phase in configs.items():
        together = min(phase.objects_per_batch, objects)
        per_step = together * min(phase.views_per_object, views)
        # Whole batches were timed.
        seconds = pace[name] * together / phase.objects_per_batch
        cost += phase.epochs * objects * views / per_step * seconds
    changed: dict[str, Any] = {
        name: replace(phase, epochs=round(phase.epochs * budget / cost, 3)) for name, phase in configs.items()
    }
    return replace(training, **changed)


def break_even(shared: float, own: float, single: float) -> int | None:
    """Return the number of objects from which on a collection takes fewer bytes than single ones; None: never."""
    if own >= single:
        return None
    return max(1, int(shared // (single - own)) + 1)
