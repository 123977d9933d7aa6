"""Fit one scene: the whole pipeline of IG-AE Sec. 3, from posed images to a saved run."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import torch

from latentfields.autoencoders.autoencoder import Autoencoder, TrainableCodec
from latentfields.autoencoders.config import stored_factor
from latentfields.autoencoders.load import CLASSES, Loader, load_autoencoder, located
from latentfields.config.arguments import checked
from latentfields.errors import ArgumentError, InputError
from latentfields.fields.config import FieldName, OwnFieldConfig
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.capture_check import share_inside
from latentfields.latent_nerf.config import FitConfig, Space
from latentfields.latent_nerf.evaluate import evaluate_model
from latentfields.latent_nerf.feature_trainer import new_trainer
from latentfields.latent_nerf.few_views import UnseenViews, require_prior
from latentfields.latent_nerf.longer import lengthen, require_lengthenable
from latentfields.latent_nerf.places import ScenePlaces
from latentfields.latent_nerf.presets import preset
from latentfields.latent_nerf.run import MODEL_FILE, FitRunConfig, Run
from latentfields.latent_nerf.trainer import LatentNerfTrainer
from latentfields.latent_nerf.usual import UsualFit, named_for_latents, usual_side
from latentfields.priors.config import FewViewsConfig
from latentfields.priors.prior import located_prior
from latentfields.process import choose_device
from latentfields.rendering.kernels.backend import kernel_backend
from latentfields.scenes.load import largest_picture, load_scene, scene_kind
from latentfields.scenes.reading import Reading, SceneKind
from latentfields.scenes.scene import Scene, scene_name
from latentfields.scenes.shifts import is_shiftable, require_shiftable
from latentfields.training.lock import tidy
from latentfields.training.loop import Clock, LoopConfig, Trainable, train
from latentfields.training.recipe import METRICS_FILE, begin, write_metrics
from latentfields.training.runs import claim_run, is_claimed, read_run, require_claimable, require_run

Watch = Callable[[LatentNerfTrainer], AbstractContextManager[Trainable]]
"""Looks at a trainer for the time of a `with` block, through a `Trainable` that does the trainer's steps."""

SMALLEST_SIDE = 16
"""Pixels; smaller images have too few scales for the perceptual measure."""


@checked
def fit(
    scene: Scene | str | Path,
    autoencoder: Autoencoder | str | Path | None,
    *,
    out: str | Path | None = None,
    field: FieldName | OwnFieldConfig | None = None,
    config: FitConfig | UsualFit | None = None,
    space: Space | None = None,
    prior: str | Path | None = None,
    few_views: FewViewsConfig | None = None,
    seconds: float | None = None,
    clock: Clock = "wall",
    more_steps: int = 0,
    device: str = "auto",
) -> Run:
    """Fit a scene, in memory or a folder, in the latent space of `autoencoder`, or in RGB when that is None.

    `space` "both" fits colours and latents at once, of one geometry; a `config` for that space does so as well.

    Without `field` and `config`, what is fitted is chosen by what the scene is, as the command line does
    (`latent_nerf.usual`): K-Planes to latents of objects, Gaussians to captures, photographs without alpha of which
    sparse points are known, and to colours and latents of these unless `space` says otherwise. A `UsualFit` is that
    choice with changes. A folder is read as the command line reads it, large pictures shrunk.

    `field` names a representation, fitted with its `small` preset, and to latents otherwise as objects are; a whole
    `config` sets everything instead, the field included (see `latentfields.preset`). A field of one's own is an
    `OwnFieldConfig`, fitted as `config` says, by default as K-Planes are. `out` is the run's folder, by default
    runs/SCENE-FIELD-SPACE; a run that was interrupted there is resumed.
    `prior`, a packaged name or a folder, regularises fits to 1 to 6 views as `few_views` says: it judges views that
    there are no photographs of. It has to be one of the latents of `autoencoder`, and the scene a single object with
    alpha, of views as large as it knows.
    `seconds` limits the training time: seconds that pass, or that the process computes with the `clock` cpu.
    `more_steps` trains a finished run longer, by so many steps of its last stage: learning rates go on as in a training
    of that length, and no limit of time counts.
    `device` is cpu, cuda, cuda:1 and so on, or auto: the first GPU, if any. `Run.load(out)` reads the run again, and
    `evaluate_run` scores it. The report with pictures and a film is written by the command `latentfields fit`, and by
    `write_run_report`.
    Raises InputError for unusable settings or images, and when `out` holds a run with other settings, or a finished
    one of another scene.
    """
    own = field if isinstance(field, OwnFieldConfig) else None
    named = None if isinstance(field, OwnFieldConfig) else field
    if named is not None and config is not None:
        raise ArgumentError(
            "field", f"is '{named}' beside `config`, which has a field itself; expected one of both"
        )
    if isinstance(autoencoder, str | Path):
        autoencoder = load_autoencoder(autoencoder)
    if own is None and named is None and not isinstance(config, FitConfig):
        where = None if out is None else Path(out)
        config = _usual(config or UsualFit(), space, scene, autoencoder, prior=prior is not None, out=where)
    elif isinstance(config, UsualFit):
        raise ArgumentError("field", "is given beside a `config` that chooses one; expected one of both")
    chosen = _space(space, config, autoencoder)
    if config is None:
        config = preset(named or "kplanes", space=chosen)
        if autoencoder is not None:
            config = named_for_latents(config, factor=autoencoder.factor)
    config = replace(config, space=chosen)
    if own is not None:
        config = replace(config, field=own)  # type: ignore[arg-type]  # The union is of what can be named.
    name = scene.name if isinstance(scene, Scene) else scene_name(Path(scene))
    folder = default_folder(name, config) if out is None else Path(out)
    if not isinstance(scene, Scene):
        scene = load_scene(scene, max_size=_usual_size(Path(scene), Reading(), out=folder, device=device))
    red, green, blue = map(float, scene.background)
    reading = replace(scene.reading, background=(red, green, blue))
    run_config = FitRunConfig(
        scene=Path(scene.source),
        autoencoder=None if autoencoder is None else autoencoder.name,
        size=scene.read_size or max(scene.size),
        seconds=seconds,
        clock=clock,
        fit=config,
        reading=reading,
        prior=None if prior is None else str(prior),
        few_views=few_views,
    )
    run_config, target = _checked(_as_begun(run_config, folder), device)
    if is_finished(folder) and not more_steps:
        codec = None if autoencoder is None else autoencoder.codec
        classes = {type(codec).__name__: type(codec).load} if isinstance(codec, TrainableCodec) else {}
        run = _reloaded(run_config, folder, device=device, classes={**CLASSES, **classes})
        run.check_scene(scene)
        return run
    return _fit(scene, autoencoder, run_config, folder, target, more_steps=more_steps)


def fit_folder(
    config: FitRunConfig,
    *,
    out: Path,
    device: str = "auto",
    watch: Watch = nullcontext,
    checkpoint_seconds: float = LoopConfig.checkpoint_seconds,
    tensorboard: bool = False,
    more_steps: int = 0,
) -> Run:
    """Fit the scene and with the autoencoder that `config` names; otherwise as `fit`.

    `watch` sees the training, unless it is finished already. Its state is saved every `checkpoint_seconds`.
    `tensorboard` writes what is logged as its events, too.
    Raises InputError for unusable input, too.
    """
    begun, target = _checked(_as_begun(config, out), device)
    if is_finished(out) and not more_steps:
        return _reloaded(begun, out, device=device)
    autoencoder = None if begun.autoencoder is None else load_autoencoder(begun.autoencoder)
    return _fit(
        replace(begun, scene=config.scene).load_scene(),
        autoencoder,
        begun,
        out,
        target,
        watch,
        checkpoint_seconds=checkpoint_seconds,
        tensorboard=tensorboard,
        more_steps=more_steps,
    )


def _as_begun(config: FitRunConfig, out: Path) -> FitRunConfig:
    """The configuration in the words of the run that `out` holds, where both mean the same or this leaves things open.

    That is what the scene's folder is called, which steps were added, bounds and points that nobody chose, and, in RGB
    space, how its steps are divided between the stages: there is one stage there, and earlier versions divided
    otherwise.
    """
    config = replace(config, places=ScenePlaces.of(config.scene, out))
    if not is_claimed(out):
        return config
    try:
        begun = read_run(FitRunConfig, out)
    except InputError:
        return config
    here = config.scene.resolve()
    if begun.scene == config.scene or here in (place.resolve() for place in begun.scene_folders(out)):
        config = replace(config, scene=begun.scene, places=begun.places, longer=begun.longer)
    mine, theirs = config.reading or Reading.earlier(), begun.reading or Reading.earlier()
    if mine.bounds == "auto" and mine.points == "any":
        reading = replace(mine, bounds=theirs.bounds, points=theirs.points)
        config = replace(config, reading=begun.reading if reading == theirs else reading)
    steps = begun.fit
    if config.fit.space != "rgb" or steps.space != "rgb":
        return config
    if steps.in_one_stage().supervision != config.fit.in_one_stage().supervision:
        return config
    fit = config.fit.with_steps(supervision=steps.supervision.steps, alignment=steps.alignment.steps)
    return replace(config, fit=fit)


def default_folder(scene: str, config: FitConfig) -> Path:
    """The folder of a run where none is named: runs/SCENE-FIELD-SPACE."""
    return Path("runs") / f"{scene}-{config.field.kind}-{config.space}"


def at_usual_size(config: FitRunConfig, *, out: Path, device: str = "auto") -> FitRunConfig:
    """The configuration of a fit whose images have the size that is used where none is asked for.

    That of the run that was begun in `out`, and otherwise the one they are stored in, up to `usual_side`: a warning
    says where they are shrunk. Raises InputError as `fit_folder`.
    """
    _checked(config, device)
    size = _usual_size(config.scene, config.reading or Reading(), out=out, device=device)
    return replace(config, size=size)


def _usual_size(scene: Path, reading: Reading, *, out: Path, device: str) -> int | None:
    """The longer side of the images of a folder in pixels, as `at_usual_size` has it; None keeps them."""
    if is_claimed(out):
        return read_run(FitRunConfig, out).size
    width, height = largest_picture(scene, reading)
    on = choose_device(device).type
    smallest = min(usual_side(kind, device=on) for kind in get_args(SceneKind))
    if max(width, height) <= smallest:
        return None
    side = usual_side(scene_kind(scene, reading), device=on)
    if max(width, height) <= side:
        return None
    warnings.warn(
        f"{scene}: its pictures, of up to {width}x{height} pixels, are shrunk to {side} along their longer side; the "
        "size full keeps them, as does any that is large enough",
        stacklevel=3,
    )
    return side


def as_usual(
    config: FitRunConfig, asked: UsualFit, *, out: Path | None, device: str = "auto"
) -> FitRunConfig:
    """The configuration of a fit of which `asked` is all that was asked for: the rest is chosen by the scene.

    The fit that `config` has stays where a run in `out` was begun with it: earlier versions chose otherwise. Raises
    InputError as `fit_folder`.
    """
    _checked(config, device)
    colors = config.autoencoder is None
    factor = None if config.autoencoder is None else stored_factor(config.autoencoder)
    for earlier in (config.fit, asked.as_earlier(colors=colors, factor=factor)):
        if _is_begun_with(earlier, out):
            return replace(config, fit=earlier)
    kind, prior = scene_kind(config.scene, config.reading or Reading()), config.prior is not None
    return replace(config, fit=asked.of(kind, colors=colors, factor=factor, prior=prior))


def _is_begun_with(fit: FitConfig, out: Path | None) -> bool:
    """True where `out` holds a run that was begun with that fit."""
    if out is None or not is_claimed(out):
        return False
    try:
        begun = read_run(FitRunConfig, out).fit
    except InputError:
        return False
    # Earlier versions divided the one stage of colours, or said where a grid of latents would lie.
    one = begun.space == fit.space == "rgb"
    begun_in_one = replace(begun.in_one_stage(), alignment_grid=fit.alignment_grid)
    return begun == fit or (one and begun_in_one == fit.in_one_stage())


def _usual(
    asked: UsualFit,
    space: Space | None,
    scene: Scene | str | Path,
    autoencoder: Autoencoder | None,
    *,
    prior: bool,
    out: Path | None,
) -> FitConfig:
    """The fit that is chosen by what a scene is, or was by earlier versions where they began the run in `out`.

    Raises ArgumentError for spaces that contradict each other.
    """
    if space is not None and asked.space not in (None, space):
        raise ArgumentError("space", f"is '{space}' beside `config`, whose space is '{asked.space}'")
    asked = replace(asked, space=space or asked.space)
    if asked.space is not None:
        _space(asked.space, None, autoencoder)
    colors, factor = autoencoder is None, None if autoencoder is None else autoencoder.factor
    earlier = asked.as_earlier(colors=colors, factor=factor)
    if _is_begun_with(earlier, out):
        return earlier
    kind = scene.kind if isinstance(scene, Scene) else scene_kind(scene, Reading())
    return asked.of(kind, colors=colors, factor=factor, prior=prior)


def _space(space: Space | None, config: FitConfig | None, autoencoder: Autoencoder | None) -> Space:
    """The space that the arguments of `fit` say. Raises ArgumentError where they say different ones."""
    if space is not None and (space == "rgb") != (autoencoder is None):
        given = "no `autoencoder`" if autoencoder is None else "an `autoencoder`"
        raise ArgumentError("space", f"is '{space}' with {given}; expected one for all spaces but rgb")
    if space is not None and config is not None and config.space != space:
        raise ArgumentError("space", f"is '{space}' beside `config`, whose space is '{config.space}'")
    if autoencoder is None:
        return "rgb"
    both = space == "both" or (config is not None and config.space == "both")
    return "both" if both else "latent"


def is_finished(out: Path) -> bool:
    """True when the run in the folder `out` was fitted and scored; its report may be missing."""
    return (out / MODEL_FILE).is_file() and (out / METRICS_FILE).is_file()


def is_fitted(config: FitRunConfig, out: Path) -> bool:
    """True when `out` holds the finished run that `config` describes. Raises InputError when it holds another one."""
    begun, _ = _checked(_as_begun(config, out), "cpu")
    require_claimable(out, begun)
    return is_finished(out)


def _checked(config: FitRunConfig, device: str) -> tuple[FitRunConfig, torch.device]:
    """The configuration, with the autoencoder's folder as a whole path, and the device, once both are found good."""
    # Fields of the fit go by their own names, those that `FitConfig` has.
    config.fit.check()
    chosen = choose_device(device)
    config.check()
    if config.autoencoder is not None:
        config = replace(config, autoencoder=located(config.autoencoder))
    if config.prior is None and config.few_views is not None:
        raise ArgumentError("few_views", "is given without `prior`; expected both or none")
    if config.prior is not None:
        few_views = config.few_views or FewViewsConfig()
        config = replace(config, prior=located_prior(config.prior), few_views=few_views)
    return config, chosen


def _reloaded(
    config: FitRunConfig, out: Path, *, device: str, classes: Mapping[str, Loader] = CLASSES
) -> Run:
    """The finished run in `out`, of a field or an autoencoder of one's own as well.

    Raises InputError when it has other settings.
    """
    claim_run(out, config)
    tidy(out)
    field = config.fit.field
    fields = (type(field),) if isinstance(field, OwnFieldConfig) else ()
    return Run.load(out, device=device, fields=fields, classes=classes)


def _fit(
    given: Scene,
    space: Autoencoder | None,
    config: FitRunConfig,
    out: Path,
    device: torch.device,
    watch: Watch = nullcontext,
    *,
    checkpoint_seconds: float = LoopConfig.checkpoint_seconds,
    tensorboard: bool = False,
    more_steps: int = 0,
) -> Run:
    """Fit a scene, or go on with what was begun in `out`; save and score it."""
    if more_steps:
        require_lengthenable(out, finished=is_finished(out), begun=config.longer)
    with begin(config, out, lambda: _read(given, space, config, device)) as (scene, autoencoder, unseen):
        if more_steps:
            longer = lengthen(out, more_steps, finished=is_finished(out), begun=config.longer)
            config = replace(config, longer=longer)
        for line in (bounds_line(scene), fit_line(scene.name, config)):
            logging.getLogger(__name__).info("%s", line)
        # Weights are drawn on the CPU: the same ones for every device.
        model = new_model(scene, autoencoder, config.trained()).to(device)
        trainer = new_trainer(model, scene, config.trained(), unseen=unseen)
        with watch(trainer) as trainable:
            seconds = train(
                trainable,
                steps=trainer.total_steps,
                folder=out,
                label=f"{scene.name} [{config.fit.space}]",
                options=LoopConfig(
                    seconds=None if config.longer else config.seconds,
                    clock=config.clock,
                    checkpoint_seconds=checkpoint_seconds,
                    tensorboard=tensorboard,
                ),
            )
        require_run(out)
        run = Run.save(out, config, model, scene, autoencoder)
        original = None if autoencoder is None else autoencoder.clone().to(device)
        measured = {
            "after_supervision": trainer.after_supervision,
            "kernels": kernel_backend(device.type),
            **evaluate_model(model, original, scene),
        }
        # Last: with it, the run is finished.
        write_metrics(out, measured, seconds=seconds, device=device)
        return run


def bounds_line(scene: Scene) -> str:
    """What a field of `scene` covers, and by what its place was found, in one line."""
    known = "no sparse points"
    if scene.points is not None:
        outside, inside = 1 - share_inside(scene.points), share_inside(scene.cameras.centers)
        known = f"{len(scene.points)} sparse points, {outside:.0%} outside of the box; {inside:.0%} of cameras in it"
    if scene.reading.bounds == scene.bounds:
        chosen = "as asked for"
    elif scene.alpha is not None:
        chosen = "as pictures have alpha"
    else:
        chosen = (
            "no alpha" if scene.bounds == "scene" else "as all points lie together before parallel cameras"
        )
    covers = "all space, contracted" if scene.bounds == "scene" else "a box"
    return f"{scene.name}: bounds {scene.bounds} ({chosen}; {known}): the field covers {covers}"


def fit_line(scene: str, config: FitRunConfig) -> str:
    """What is fitted to a scene of that name, in one line: field, autoencoder, rays per latent, steps."""
    fit = config.trained()
    steps = (
        f"{fit.supervision.steps} + {fit.alignment.steps} steps" if fit.aligns else f"{fit.total_steps} steps"
    )
    if fit.space == "rgb":
        return f"{scene}: fits {fit.field.kind} to colours, {steps}"
    what = "colours and latents" if fit.space == "both" else "latents"
    rays = f"rays per latent: {fit.subpixels**2}"
    return f"{scene}: fits {fit.field.kind} to {what} of {config.autoencoder}, {rays}; {steps}"


def _read(
    given: Scene, space: Autoencoder | None, run: FitRunConfig, device: torch.device
) -> tuple[Scene, Autoencoder | None, UnseenViews | None]:
    """What `_prepared` makes of scene and autoencoder, and the views that a prior judges.

    Raises InputError as both, and for views that cannot be shifted as they are to be.
    """
    prior = None if run.prior is None else require_prior(run.prior, space=run.fit.space).to(device)
    scene, autoencoder = _prepared(given, space, run.fit, device)
    unseen = None
    if prior is not None and space is not None and run.few_views is not None:
        # By the autoencoder as it came: that is what the prior knows.
        unseen = UnseenViews.of(prior, scene, space, run.few_views)
    if space is not None:
        shifts = run.fit.shifts_of(space.factor, few_views=unseen is not None and is_shiftable(scene))
        require_shiftable(scene, shifts, factor=space.factor)
    return scene, autoencoder, unseen


def _prepared(
    scene: Scene, autoencoder: Autoencoder | None, config: FitConfig, device: torch.device
) -> tuple[Scene, Autoencoder | None]:
    """The scene on whole latents, and the autoencoder with statistics: those of this scene, if need be.

    They are measured on `device`; the autoencoder that has them is on the CPU, as for every model that is made of it.
    """
    if autoencoder is not None:
        scene = scene.cropped_to_multiple(autoencoder.factor)
        autoencoder.require_finite(scene.images(scene.indices("train")[:1]))
        if config.statistics != "autoencoder" or not autoencoder.has_statistics:
            autoencoder = autoencoder.clone().to(device)
            images = scene.pictures(scene.indices("train")).batches()
            scale: Literal["spread", "extent"] = (
                "extent" if config.statistics == "scene-min-max" else "spread"
            )
            autoencoder.set_statistics(autoencoder.measure_statistics(images, scale=scale))
            autoencoder = autoencoder.cpu()
    require_large_enough(scene)
    return scene, autoencoder


def require_large_enough(scene: Scene, *, factor: int = 1) -> None:
    """Raise InputError for a scene that is too small to fit; also where latents of `factor` pixels are compared."""
    height, width = scene.size
    if min(height, width) < SMALLEST_SIDE * factor:
        expected = f"{SMALLEST_SIDE * factor} or more"
        if factor > 1:
            expected += f", {SMALLEST_SIDE} latents"
        raise InputError(scene.source, f"images of {width}x{height}; expected {expected}")
