"""`fit_fleet`: a fit for each of many scenes, by processes of this machine or a cluster's; resumable.

NAME/           the run of the scene of that name, as `fit` writes it
autoencoder/    an autoencoder that was given in memory, where it has no name or folder of its own
pictures/       truth and rendering of the first test view of every scene
logs/           what the process that fitted a scene printed
fleet.json      scores of all runs, and which scenes could not be fitted
fleet.html      the same as a page
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

import torch

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.fingerprint import space_hash
from latentfields.autoencoders.load import load_autoencoder, opened
from latentfields.config.arguments import checked
from latentfields.config.checks import require_at_least
from latentfields.errors import ArgumentError, InputError
from latentfields.fields.config import FieldName
from latentfields.files import Folders, as_folders, replacing, write_json
from latentfields.latent_nerf.config import FitConfig, Space
from latentfields.latent_nerf.fit import as_usual, at_usual_size, fit_folder, is_fitted
from latentfields.latent_nerf.metrics_file import read_metrics
from latentfields.latent_nerf.presets import preset
from latentfields.latent_nerf.render import load_run_scene
from latentfields.latent_nerf.report import REPORT_FILE, write_run_report
from latentfields.latent_nerf.run import DECODER_FOLDER, MODEL_FILE, FitRunConfig, Run
from latentfields.latent_nerf.usual import UsualFit, named_for_latents
from latentfields.pages.pictures import Pixels, save_png, to_pixels
from latentfields.pages.report import Headline, Picture, PictureGroup, PictureRow, Report, Table, write_report
from latentfields.priors.config import FewViewsConfig
from latentfields.scenes.load import largest_picture, scene_folders_below
from latentfields.scenes.reading import Reading
from latentfields.training.jobs import RETRIES, Failure, Job, in_words, run_jobs
from latentfields.training.lock import wait_until_free
from latentfields.training.loop import Clock, LoopConfig
from latentfields.training.recipe import AUTOENCODER_FOLDER
from latentfields.training.runs import is_claimed
from latentfields.training.workers import Engine, LocalWorkers, usual_processes

RESULTS_FILE, PAGE_FILE = "fleet.json", "fleet.html"
PICTURES_FOLDER, LOGS_FOLDER = "pictures", "logs"
_SHOWN = 12
"""Scenes with pictures on the page: so many with the lowest and so many with the highest PSNR."""

Size = int | Literal["full"] | None
"""Longer side in pixels that larger images are shrunk to; "full": none are; None: the usual one."""


@dataclass(frozen=True)
class FleetFit:
    """A scene that was fitted."""

    scene: str
    """Where it was read from."""
    run: str
    """Folder of the run."""
    psnr: float
    """Mean over the test views, in dB."""
    ssim: float
    seconds: float
    """Of training."""
    bytes: int
    """Of the model, and of the decoder where it is not a packaged autoencoder's."""


@dataclass(frozen=True)
class FleetFailure:
    """A scene that could not be fitted."""

    scene: str
    problem: str
    """In one line."""
    attempts: int
    """How often it was tried; 0 where what its files say was enough."""


@dataclass(frozen=True)
class Fleet:
    """What became of many scenes, in the order in which they were given."""

    fits: tuple[FleetFit, ...]
    failed: tuple[FleetFailure, ...]
    page: Path
    """HTML file with all of it, and pictures."""

    @cached_property
    def psnr(self) -> float:
        """Mean over the scenes, in dB."""
        return fmean(fit.psnr for fit in self.fits)

    def to_json(self) -> dict[str, Any]:
        """Return what fleet.json holds."""
        return {"fits": [asdict(fit) for fit in self.fits], "failed": [asdict(one) for one in self.failed]}

    def tables(self) -> list[Table]:
        """Return the scores of all runs, and the scenes that could not be fitted, if there are any."""
        rows = [
            (
                Path(fit.run).name,
                f"{fit.psnr:.2f}",
                f"{fit.ssim:.3f}",
                f"{fit.seconds:.0f}",
                f"{fit.bytes / 1e6:.2f}",
            )
            for fit in self.fits
        ]
        if len(rows) > 1:
            means = [fmean(float(row[column]) for row in rows) for column in range(1, 5)]
            formats = (".2f", ".3f", ".0f", ".2f")
            rows.append(("mean", *(format(mean, spec) for mean, spec in zip(means, formats, strict=True))))  # type: ignore[arg-type]
        columns = ("scene", "test PSNR, dB", "SSIM", "seconds of training", "MB")
        tables = [Table("Fitted", columns, tuple(rows))] if rows else []
        if self.failed:
            failed = tuple((one.scene, one.problem, str(one.attempts)) for one in self.failed)
            tables.append(Table("Not fitted", ("scene", "problem", "attempts"), failed))
        return tables


@checked
def fit_fleet(
    scenes: Folders,
    autoencoder: Autoencoder | str | Path | None,
    *,
    out: str | Path,
    field: FieldName | None = None,
    config: FitConfig | UsualFit | None = None,
    space: Space | None = None,
    size: Size = None,
    reading: Reading | None = None,
    seconds: float | None = None,
    clock: Clock = "wall",
    prior: str | Path | None = None,
    few_views: FewViewsConfig | None = None,
    device: str = "auto",
    engine: Engine | None = None,
    retries: int = RETRIES,
    strict: bool = False,
    reports: bool = False,
    checkpoint_seconds: float = LoopConfig.checkpoint_seconds,
    tensorboard: bool = False,
    command: str | None = None,
) -> Fleet:
    """Fit each of many scenes in the latent space of `autoencoder`, or in RGB when that is None; `out` holds the runs.

    `scenes` are scenes, folders of them or shards (`scenes.shards`); no two may have one name. `autoencoder` is a
    name, a folder, or one in memory, which `out/autoencoder` then holds for the processes that fit, unless it is the
    one that it is called after. `field`, `config`, `space`, `seconds`, `clock`, `prior` and `few_views` are as for
    `fit`: without `field` and `config` each scene is fitted with what suits it. `size` and `reading` say how all
    scenes are read. `engine` does the fits: by default `LocalWorkers`, a process for every GPU or processor core; or
    a `RayCluster`. `device` is as for `fit`; auto and cuda are another GPU for each process, and clusters know no
    other ones but cpu. A fit that fails, or whose process is killed, is resumed `retries` times; then its scene is
    reported, as are those that cannot be read, while others go on. With `strict`, what files say is read before any
    scene is fitted, and the first problem is raised. `reports` writes report.html and orbit.mp4 of every run.
    `command` is shown on the page as what repeats the fleet. Call it again to go on: finished runs are passed over,
    others resumed. Each run is what `fit` writes on one kind of processor, byte for byte. Raises InputError for
    unusable settings, and when there is no scene at all.
    """
    out = Path(out)
    engine = engine or LocalWorkers(usual_processes(device), device=device)
    engine.require_device(device)
    require_at_least("retries", retries, 0)
    if field is not None and config is not None:
        raise ArgumentError(
            "field", f"is '{field}' beside `config`, which has a field itself; expected one of both"
        )
    rgb = autoencoder is None
    model = None if autoencoder is None else opened(autoencoder)
    factor = None if model is None else model.factor
    if config is None and field is not None:
        config = preset(field, space=space or ("rgb" if rgb else "latent"))
        if factor is not None:
            config = named_for_latents(config, factor=factor)
    asked = None
    if not isinstance(config, FitConfig):
        asked = UsualFit() if config is None else config
        asked = replace(asked, space=space or asked.space)
        # Until it is known what each scene is. What does not fit is found here.
        config = asked.of("object", colors=rgb, factor=factor, prior=prior is not None)
    if (config.space == "rgb") != rgb or (space is not None and space != config.space):
        given = "no `autoencoder`" if rgb else "an `autoencoder`"
        raise ArgumentError(
            "space", f"is '{space or config.space}' with {given}; expected one for all spaces but rgb"
        )
    kept = out / AUTOENCODER_FOLDER if isinstance(autoencoder, Autoencoder) else None
    if isinstance(autoencoder, Autoencoder):
        autoencoder, kept = (autoencoder.name, None) if _is_named(autoencoder) else (str(kept), kept)
    common = FitRunConfig(
        scene=Path(),
        autoencoder=None if autoencoder is None else str(autoencoder),
        size=size if isinstance(size, int) else None,
        seconds=seconds,
        clock=clock,
        fit=config,
        reading=reading or Reading(),
        prior=None if prior is None else str(prior),
        few_views=few_views,
    )
    config.check()
    common.check()
    bad = _Bad(strict)
    work = [
        SceneFit(
            replace(common, scene=scene),
            out=out / scene_name(scene),
            usual_size=size is None,
            asked=asked,
            device=device,
            report=reports,
            checkpoint_seconds=checkpoint_seconds,
            tensorboard=tensorboard,
        )
        for scene in _scenes(as_folders(scenes), bad)
    ]
    _require_names(work)
    if strict:
        for one in work:
            largest_picture(one.config.scene, common.reading or Reading())
    if kept is not None and model is not None:
        _keep(model, kept, work)
    started = time.monotonic()
    results = _fitted(work, engine, bad, retries=retries)
    fleet = Fleet(
        tuple(results[one.name] for one in work if one.name in results), tuple(bad.found), out / PAGE_FILE
    )
    if fleet.fits or is_fleet(out):
        write_json(out / RESULTS_FILE, fleet.to_json())
        where = f"{list(map(str, as_folders(scenes)))}, {common.autoencoder!r}, out={str(out)!r}"
        _write_page(fleet, command=command or f"latentfields.fit_fleet({where})")
    logging.getLogger(__name__).info(
        "%d of %d scenes fitted, in %.0f s", len(fleet.fits), len(work), time.monotonic() - started
    )
    return fleet


class _Bad:
    """Scenes that could not be fitted, or, when it is `strict`, the error of the first one."""

    def __init__(self, strict: bool) -> None:
        self._strict = strict
        self.found: list[FleetFailure] = []

    def add(self, scene: Path, error: Exception, *, attempts: int = 0) -> None:
        if self._strict:
            raise error
        self.found.append(FleetFailure(str(scene), in_words(error), attempts))


@dataclass(frozen=True)
class SceneFit:
    """One scene of many, and how it is fitted."""

    config: FitRunConfig
    out: Path
    """Folder of the run."""
    usual_size: bool
    """Pictures are shrunk to the usual size, whatever the configuration says."""
    device: str
    report: bool
    """Write a report and a film of the run, too."""
    checkpoint_seconds: float
    tensorboard: bool = False
    """Write TensorBoard's events, too."""
    picture: bool = True
    """Write the picture of the first test view."""
    asked: UsualFit | None = None
    """All that was asked for of the fit, where the rest is chosen by the scene; None: the configuration is whole."""

    @property
    def name(self) -> str:
        """Unique among the scenes."""
        return self.out.name

    def chosen(self, *, device: str = "auto") -> FitRunConfig:
        """The configuration with what is chosen by the scene: the fit, and the size of pictures.

        `device` is that of this machine. Raises InputError for a scene of no use.
        """
        config = self.config
        if self.asked is not None:
            config = as_usual(config, self.asked, out=self.out, device=device)
        return at_usual_size(config, out=self.out, device=device) if self.usual_size else config

    @property
    def picture_file(self) -> Path:
        """PNG file of truth and rendering."""
        return self.out.parent / PICTURES_FOLDER / f"{self.name}.png"

    def is_done(self) -> bool:
        """True when nothing is left to do. Raises InputError when the run's folder holds something else."""
        if not is_claimed(self.out) or not is_fitted(self.chosen(), self.out):
            return False
        return (not self.report or (self.out / REPORT_FILE).is_file()) and (
            not self.picture or self.picture_file.is_file()
        )

    def result(self) -> FleetFit:
        """Scores and costs of the finished run."""
        metrics = read_metrics(self.out)
        test = metrics["test"]
        # Of scenes that have colours beside latents, these are what pictures show.
        mean = test.get("colors", test["images"])["mean"]
        files = [self.out / MODEL_FILE, *(self.out / DECODER_FOLDER).glob("*")]
        return FleetFit(
            str(self.config.scene),
            str(self.out),
            psnr=mean["psnr"],
            ssim=mean["ssim"],
            seconds=metrics["training_seconds"],
            bytes=sum(file.stat().st_size for file in files),
        )


PATIENCE = 60.0
"""Seconds that a fit waits for its folder: another process may be about to die there."""


def fit_scene(one: SceneFit) -> FleetFit:
    """Fit a scene, or go on with what was begun, and write its picture and its report where these are wanted."""
    wait_until_free(one.out, seconds=PATIENCE)
    run = fit_folder(
        one.chosen(device=one.device),
        out=one.out,
        device=one.device,
        checkpoint_seconds=one.checkpoint_seconds,
        tensorboard=one.tensorboard,
    )
    if one.picture:
        save_png(one.picture_file, _first_test_view(run))
    if one.report:
        write_run_report((run,), title=scene_name(one.config.scene))
    return one.result()


def scene_name(scene: Path) -> str:
    """What a scene is called, and so its run."""
    return scene.resolve().name


def _first_test_view(run: Run) -> Pixels:
    """(H, 2 W, 3) uint8: the truth beside the rendering."""
    scene = load_run_scene(run)
    index = scene.indices("test")[:1]
    pair = torch.cat([scene.images(index), run.render(scene.cameras[index])])
    pixels: Pixels = to_pixels(torch.cat(list(pair), dim=-1))
    return pixels


def _scenes(roots: Iterable[Path], bad: _Bad) -> list[Path]:
    """The scenes in or below folders and shards. Raises InputError when there is none at all."""
    found: list[Path] = []
    first: InputError | None = None
    for root in roots:
        try:
            found += scene_folders_below(root)
        except InputError as error:
            first = first or error
            bad.add(root, error)
    if not found:
        raise first or ArgumentError("scenes", "is empty; expected at least one scene")
    return found


def _require_names(work: Sequence[SceneFit]) -> None:
    """Raise ArgumentError when two scenes have one name: their runs would have one folder."""
    names: dict[str, Path] = {}
    for one in work:
        if one.name in names:
            raise ArgumentError(
                "scenes",
                f"{one.config.scene} has the same name as {names[one.name]}, and so would their runs",
            )
        if one.name in (PICTURES_FOLDER, LOGS_FOLDER):
            raise ArgumentError("scenes", f"{one.config.scene} is called like a folder beside the runs")
        names[one.name] = one.config.scene


def _is_named(autoencoder: Autoencoder) -> bool:
    """True for an autoencoder in memory that whoever looks for its name finds. Raises InputError without statistics."""
    mine = space_hash(autoencoder)
    with suppress(InputError):
        return space_hash(load_autoencoder(autoencoder.name)) == mine
    return False


def _keep(autoencoder: Autoencoder, folder: Path, work: Sequence[SceneFit]) -> None:
    """Write an autoencoder for other processes, unless it is there. Raises InputError where they could not read it."""
    if any(one.out == folder for one in work):
        raise ArgumentError(
            "scenes", f"has a scene that is called like {folder}, where the autoencoder is to be"
        )
    if folder.is_dir():
        if space_hash(load_autoencoder(folder)) != space_hash(autoencoder):
            raise InputError(folder, "is another autoencoder than the one in memory; choose another folder")
        return
    with replacing(folder) as temporary:
        autoencoder.save(temporary)
        try:
            load_autoencoder(temporary)
        except InputError as error:
            raise ArgumentError(
                "autoencoder", f"cannot be read by the processes that fit ({error.problem}); name its folder"
            ) from None


def _fitted(work: Sequence[SceneFit], engine: Engine, bad: _Bad, *, retries: int) -> Mapping[str, FleetFit]:
    """Results by the scene's name, of what could be fitted."""
    results: dict[str, FleetFit] = {}
    jobs: list[Job[SceneFit, FleetFit]] = []
    for one in work:
        try:
            if one.is_done():
                results[one.name] = one.result()
            else:
                log = one.out.parent / LOGS_FOLDER / f"{one.name}.log"
                jobs.append(Job(one.name, fit_scene, one, log=log))
        except InputError as error:
            bad.add(one.config.scene, error)
    by_name = {one.name: one.config.scene for one in work}

    def failed(failure: Failure) -> None:
        bad.add(by_name[failure.name], failure.error, attempts=failure.attempts)

    run_jobs(
        jobs,
        engine=engine,
        label="scenes",
        done=lambda job, result: results.update({job.name: result}),
        failed=failed,
        finished=len(results),
        retries=retries,
    )
    return results


def is_fleet(out: Path) -> bool:
    """True for folders that hold the results of a fleet."""
    return (out / RESULTS_FILE).is_file()


def _write_page(fleet: Fleet, *, command: str) -> None:
    """Write the page of all runs."""
    headlines = []
    if fleet.fits:
        total = sum(fit.seconds for fit in fleet.fits)
        size = sum(fit.bytes for fit in fleet.fits) / 1e6
        headlines = [
            Headline("Test PSNR", f"{fleet.psnr:.2f}", "dB", f"mean over {len(fleet.fits)} scenes"),
            Headline("Training", f"{total:.0f}", "s", "of all scenes together"),
            Headline("Size", f"{size:.1f}", "MB", "of all scenes together"),
        ]
    ordered = sorted(fleet.fits, key=lambda fit: fit.psnr)
    few = len(ordered) <= 2 * _SHOWN
    groups = [("Truth and rendering, worst first", ordered)]
    if not few:
        groups = [("The lowest PSNR", ordered[:_SHOWN]), ("The highest PSNR", ordered[: -_SHOWN - 1 : -1])]
    shown = [group for title, fits in groups if (group := _pictures(title, fits, fleet.page.parent)).rows]
    report = Report(
        title=f"Fleet: {fleet.page.parent.resolve().name}",
        subtitle=f"{len(fleet.fits)} scenes fitted, {len(fleet.failed)} could not be",
        command=command,
        headlines=tuple(headlines),
        groups=tuple(shown),
        tables=tuple(fleet.tables()),
    )
    write_report(fleet.page, report)


def _pictures(title: str, fits: Sequence[FleetFit], folder: Path) -> PictureGroup:
    rows = []
    for fit in fits:
        name = Path(fit.run).name
        if (pair := Picture.read("", folder / PICTURES_FOLDER / f"{name}.png")) is not None:
            half = pair.pixels.shape[1] // 2
            pictures = (
                Picture("truth", pair.pixels[:, :half]),
                Picture(f"{fit.psnr:.2f} dB", pair.pixels[:, half:]),
            )
            rows.append(PictureRow(name, pictures))
    return PictureGroup(title, tuple(rows))
