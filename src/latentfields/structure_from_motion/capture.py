"""From photographs or a film to a scene folder with poses, stage by stage, each of which is kept when it is done."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentfields.config.arguments import checked
from latentfields.config.checks import require_at_least
from latentfields.config.typed_json import from_json, to_json
from latentfields.errors import InputError
from latentfields.files import read_json, replacing, write_json
from latentfields.progress import progress_bar
from latentfields.scenes.load import is_scene
from latentfields.scenes.plain_pictures import is_film
from latentfields.structure_from_motion.config import CaptureConfig
from latentfields.structure_from_motion.diagnosis import Lost, moved, read_pairs, why_lost, why_none
from latentfields.structure_from_motion.engine import load_pycolmap
from latentfields.structure_from_motion.features import begin_database, find_features
from latentfields.structure_from_motion.films import write_sharp_frames
from latentfields.structure_from_motion.mapping import level, reconstruct, registered
from latentfields.structure_from_motion.matching import match_pairs
from latentfields.structure_from_motion.page import CapturePage, write_page
from latentfields.structure_from_motion.pairs import all_pairs, sequential_pairs
from latentfields.structure_from_motion.photographs import (
    Photograph,
    find_masks,
    find_photographs,
    write_upright,
    write_upright_masks,
)
from latentfields.training.lock import LOCK_FILE, locked

PAGE_FILE = "capture.html"
SUMMARY_FILE = "capture.json"
_PARTS = {"images", "masks", "sparse", PAGE_FILE, SUMMARY_FILE}
_SETTINGS_FILE = "settings.json"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaptureSummary:
    """What was found of a set of photographs or a film."""

    photographs: int
    """Number of photographs, or of frames that were taken from a film."""
    registered: tuple[str, ...]
    """Names of those that have a pose, which are the pictures of the scene."""
    lost: tuple[Lost, ...]
    """Those without one, and the likely reasons."""
    points: int
    """Number of sparse points."""
    reprojection_error: float
    """Mean distance in pixels between points as they were seen and as the poses have them."""
    cameras: int
    """Number of cameras: devices and zooms."""
    matching: str
    """How pairs were chosen: exhaustive or sequential."""
    seconds: float
    """Time of the call that ended it; stages that earlier calls had done are not counted."""


@checked
def capture(
    photos: str | Path,
    *,
    out: str | Path,
    options: CaptureConfig | None = None,
    overwrite: bool = False,
    threads: int | None = None,
    command: str | None = None,
) -> CaptureSummary:
    """Find the poses of photographs of a scene that stands still, or of a film of it, and make a scene folder of them.

    `photos` is a folder of photographs, or of images/ with them, or a film. Where it has masks/ (see `load_scene`),
    poses are found from what they keep, and the scene has them, too. The scene `out` is in COLMAP's layout,
    which `load_scene` reads: images/ with upright pictures at full size, sparse/0 with poses, lenses and points, z up;
    beside them capture.html, which shows what was found and what was lost, and capture.json. It appears whole or not
    at all. Photographs that could not be joined with most of the others are left out.

    Stages that were done are kept in a hidden folder beside `out` until the scene is there: a call that was killed
    goes on where it was. `threads` find and match features, by default as many as there are processor cores; they do
    not change the result. `command` is shown on the page. Raises InputError when pycolmap is missing, with fewer than
    three photographs, when none of them can be joined (no overlap, a camera that only turned, things that moved), and
    when `out` exists, unless it is a captured scene and `overwrite`.
    """
    source, folder, options = Path(photos), Path(out), options or CaptureConfig()
    options.check()
    threads = (os.cpu_count() or 1) if threads is None else threads
    require_at_least("threads", threads, 1)
    film = is_film(source)
    if not film and not source.is_dir():
        kind = (
            "is not a film that is known by its name"
            if source.is_file()
            else "there is no such folder or film"
        )
        raise InputError(source, f"{kind}; expected a folder of photographs or a film")
    _require_absent(folder, overwrite=overwrite)
    colmap = load_pycolmap(source, wants="finding poses needs")
    pictures = [source] if film else find_photographs(source)
    masks = [] if film or options.masks == "none" else find_masks(source, pictures)
    work = folder.resolve().with_name(f".{folder.resolve().name}.capture")
    started = time.perf_counter()
    with locked(work):
        try:
            _claim(work, _settings(colmap, [*pictures, *masks], options))
            stages = _Stages(colmap, source, work, options, threads)
            summary = stages.run(pictures, masks, film=film, started=started, command=command)
            _publish(work / "scene", folder)
        except InputError:
            shutil.rmtree(work)
            raise
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted; run the same command again to go on; what is done lies in {work}"
            ) from None
        shutil.rmtree(work)
    return summary


@dataclass(frozen=True)
class _Stages:
    """One after the other, each read where it was done."""

    colmap: Any
    source: Path
    work: Path
    options: CaptureConfig
    threads: int

    def run(
        self,
        pictures: Sequence[Path],
        masks: Sequence[Path],
        *,
        film: bool,
        started: float,
        command: str | None,
    ) -> CaptureSummary:
        """Do what is left to do, and leave the scene in the folder of the work."""
        if film:
            pictures = self._frames()
        photographs = self._photographs(pictures, masks)
        database, images = self.work / "database.db", self.work / "images"
        begin_database(self.colmap, database, images, photographs, self.options)
        count = len(photographs)
        with progress_bar("features", total=count, unit="photograph") as bar:
            find_features(
                self.colmap,
                database,
                images,
                masks=self.work / "masks" if masks else None,
                options=self.options,
                threads=self.threads,
                on_photographs=bar.update,
            )
        in_sequence = film or count > self.options.exhaustive_up_to
        with self.colmap.Database.open(database) as opened:
            features = {
                image.name: int(opened.num_keypoints_for_image(image.image_id))
                for image in opened.read_all_images()
            }
            wanted = (
                sequential_pairs(self.colmap, opened, overlap=self.options.overlap, loops=self.options.loops)
                if in_sequence
                else all_pairs(self.colmap, opened)
            )
        with progress_bar("matching", total=len(wanted), unit="pair") as bar:
            match_pairs(self.colmap, database, wanted, threads=self.threads, on_pairs=bar.update)
        models = self._models(database, images, count)
        pairs = read_pairs(self.colmap, database)
        if not models or moved(self.source, pairs) is not None:
            raise why_none(self.source, pairs)
        names = [{str(image.name) for image in registered(model)} for model in models]
        best = models[0]
        level(self.colmap, best)
        summary = CaptureSummary(
            photographs=count,
            registered=tuple(sorted(names[0])),
            lost=tuple(why_lost(photographs, features, pairs, names)),
            points=int(best.num_points3D()),
            reprojection_error=float(best.compute_mean_reprojection_error()),
            cameras=len({photograph.camera for photograph in photographs if photograph.name in names[0]}),
            matching="sequential" if in_sequence else "exhaustive",
            seconds=time.perf_counter() - started,
        )
        self._scene(best, photographs, summary, command)
        return summary

    def _frames(self) -> list[Path]:
        """The frames of a film."""
        frames = self.work / "frames"
        if not frames.exists():
            with (
                replacing(frames) as temporary,
                progress_bar("frames", total=self.options.frames, unit="frame") as bar,
            ):
                temporary.mkdir()
                write_sharp_frames(self.source, temporary, count=self.options.frames, on_frame=bar.update)
        return sorted(frames.iterdir())

    def _photographs(self, pictures: Sequence[Path], masks: Sequence[Path]) -> list[Photograph]:
        """The upright photographs and their masks, in images/ and masks/ of the work's folder."""
        about = self.work / "photographs.json"
        if not about.exists():
            for name in ("images", "masks"):
                shutil.rmtree(self.work / name, ignore_errors=True)
            if masks:
                with replacing(self.work / "masks") as temporary:
                    temporary.mkdir()
                    write_upright_masks(pictures, masks, temporary)
            with (
                replacing(self.work / "images") as temporary,
                progress_bar("photographs", total=len(pictures), unit="photograph") as bar,
            ):
                temporary.mkdir()
                photographs = write_upright(
                    pictures,
                    temporary,
                    sharing=self.options.cameras,
                    threads=self.threads,
                    on_photograph=bar.update,
                )
            write_json(about, [to_json(photograph) for photograph in photographs])
        return [from_json(Photograph, values, source=about) for values in read_json(about)]

    def _models(self, database: Path, images: Path, count: int) -> list[Any]:
        """The models, that with most photographs first."""
        with progress_bar("poses", total=count, unit="photograph") as bar:
            models = reconstruct(
                self.colmap,
                database,
                images,
                self.work / "models",
                on_start=_restarting(bar),
                on_photograph=bar.update,
            )
            bar.update((models[0].num_reg_images() if models else 0) - bar.n)
        return models

    def _scene(
        self, model: Any, photographs: Sequence[Photograph], summary: CaptureSummary, command: str | None
    ) -> None:
        """Write the folder of the scene into that of the work, whole or not at all."""
        scene = self.work / "scene"
        if scene.exists():
            shutil.rmtree(scene)
        with replacing(scene) as temporary:
            sparse = temporary / "sparse" / "0"
            sparse.mkdir(parents=True)
            model.write_binary(sparse)
            for folder, suffix in (("images", ""), ("masks", ".png")):
                if (self.work / folder).is_dir():
                    (temporary / folder).mkdir()
                    for name in summary.registered:
                        # The other name goes with the folder of the work.
                        _link(self.work / folder / f"{name}{suffix}", temporary / folder / f"{name}{suffix}")
            write_json(temporary / SUMMARY_FILE, dataclasses.asdict(summary))
            page = CapturePage(
                name=self.source.resolve().stem,
                film=is_film(self.source),
                command=command,
                configuration=to_json(self.options),
            )
            write_page(
                temporary / PAGE_FILE,
                page,
                summary,
                model=model,
                photographs=photographs,
                images=self.work / "images",
            )


def _restarting(bar: Any) -> Callable[[], object]:
    """What to do when a model is begun: its first two photographs are the first of the bar."""
    return lambda: bar.update(2 - bar.n)


def _settings(colmap: Any, pictures: Sequence[Path], options: CaptureConfig) -> dict[str, Any]:
    """All that the stages depend on."""
    about = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in pictures]
    return {"pycolmap": str(colmap.__version__), "pictures": about, "options": to_json(options)}


def _claim(work: Path, settings: dict[str, Any]) -> None:
    """Begin in the folder of the work, or go on there when the settings are those with which it was begun."""
    file = work / _SETTINGS_FILE
    if file.exists():
        # Through JSON, which knows no tuples.
        if read_json(file) == _as_json(settings):
            _log.info("Going on where an earlier call was interrupted ...")
            return
        for path in work.iterdir():
            if path.name != LOCK_FILE:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    write_json(file, settings)


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, list | tuple) else value


def _require_absent(folder: Path, *, overwrite: bool) -> None:
    """Raise InputError when `folder` exists and is neither empty nor a captured scene that may be overwritten."""
    if folder.exists() and not folder.is_dir():
        raise InputError(folder, "expected a folder, found a file")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if names - _PARTS or (names and SUMMARY_FILE not in names):
        kind = "a scene of its own" if is_scene(folder) else f"'{min(names - _PARTS or names)}'"
        raise InputError(folder, f"holds {kind}, which no capture made; choose another folder")
    if names and not overwrite:
        raise InputError(folder, "exists already; choose another folder, or replace it by `overwrite`")


def _publish(scene: Path, folder: Path) -> None:
    """Give the finished scene its name."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        os.replace(folder, scene.with_name("replaced"))
    os.replace(scene, folder)


def _link(file: Path, name: Path) -> None:
    """Give a file one more name, or copy it where the file system knows no such names."""
    try:
        os.link(file, name)
    except OSError:
        shutil.copyfile(file, name)
