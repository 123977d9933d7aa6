"""A fitted scene as a folder, or as one file, that loads again without the scene's images.

config.json          what was computed: scene, autoencoder, every setting
model.safetensors    field, sampler, background, and what rendering needs to know of the scene
decoder/             the autoencoder, its decoder as aligned to this scene (absent in RGB space); in its place
decoder.json         the packaged autoencoder whose decoder, not aligned, all scenes share, and its fingerprint
metrics.json         scores on the test split
log.jsonl            loss and PSNR while training
state/               checkpoint for resuming
report.html          everything to look at, and orbit.mp4: written by the commands
views.safetensors    cameras, of a scene that was generated: there are no photographs that would have some

The single file holds what rendering needs of that, and the scene's cameras (`portable.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, get_args

from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.load import CLASSES, Loader, load_autoencoder
from latentfields.cameras import Cameras
from latentfields.config.checks import Checked, Range, check_stored, require_choice, require_type
from latentfields.config.typed_json import from_json, to_json
from latentfields.errors import ArgumentError, InputError
from latentfields.fields.config import GaussiansConfig, OwnFieldConfig
from latentfields.files import read_json, write_json
from latentfields.latent_nerf.build import SceneFrame, build_model, new_space
from latentfields.latent_nerf.config import FitConfig, Show
from latentfields.latent_nerf.fingerprint import Fingerprint
from latentfields.latent_nerf.generation_config import GenerationRunConfig
from latentfields.latent_nerf.longer import StageSteps
from latentfields.latent_nerf.metrics_file import read_metrics
from latentfields.latent_nerf.places import ScenePlaces
from latentfields.latent_nerf.portable import (
    PortableRun,
    read_portable,
    read_views,
    write_portable,
    write_views,
)
from latentfields.latent_nerf.rendered_latents import RenderedLatents
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.latent_nerf.shared_decoder import SharedDecoder
from latentfields.priors.config import FewViewsConfig
from latentfields.process import choose_device
from latentfields.scenes.load import load_scene
from latentfields.scenes.reading import Reading
from latentfields.scenes.scene import Scene
from latentfields.scenes.shards import located
from latentfields.training.checkpoint import bounded_by, byte_count, load_tensors, save_tensors
from latentfields.training.loop import Clock
from latentfields.training.runs import CONFIG_FILE, is_claimed, read_description, run_kind, running

MODEL_FILE = "model.safetensors"
DECODER_FOLDER = "decoder"
SHARED_DECODER_FILE = "decoder.json"
VIEWS_FILE = "views.safetensors"


@dataclass(frozen=True)
class FitRunConfig(Checked):
    """Everything that determines a run of `fit`."""

    kind: ClassVar[str] = "fit"

    scene: Path
    """Folder of the scene."""
    autoencoder: str | None
    """Name or folder of the autoencoder; None in RGB space."""
    size: Annotated[int | None, Range(low=1)]
    """Longer side that images are resized to, in pixels; None keeps them."""
    seconds: Annotated[float | None, Range(above=0)]
    """Limit on the training time, in seconds; None trains all steps."""
    fit: FitConfig
    """How the scene is fitted."""
    reading: Reading | None = None
    """How the scene's folder is read; None, in runs of earlier versions: `Reading.earlier`."""
    places: ScenePlaces | None = None
    """Where the scene's folder was when the run began; None in runs of earlier versions."""
    prior: str | None = None
    """Packaged name or folder of the prior that regularises the fit; None: none does."""
    few_views: FewViewsConfig | None = None
    """How it does; None without one."""
    clock: Clock = "wall"
    """What `seconds` are: those that pass, or those that the process computes."""
    longer: StageSteps | None = None
    """Steps of the stages once a finished run was trained longer; `fit` and `seconds` are as at its beginning."""

    def trained(self) -> FitConfig:
        """How the scene is fitted, with the steps that were added."""
        if self.longer is None:
            return self.fit
        fit = self.fit.with_steps(supervision=self.longer.supervision, alignment=self.longer.alignment)
        if isinstance(fit.field, GaussiansConfig):
            # Views had their whole size at the end, and keep it, however much of the longer training is left.
            fit = replace(fit, field=replace(fit.field, low_resolution_share=0.0))
        return fit

    def scene_folders(self, run: Path) -> tuple[Path, ...]:
        """Folders that there are, each once, in which the scene of a run that is in the folder `run` may be now."""
        places = () if self.places is None else self.places.folders(run)
        there = [folder for folder in (self.scene, *places) if located(folder).is_dir()]
        return tuple({folder.resolve(): folder for folder in reversed(there)}.values())[::-1]

    @property
    def name(self) -> str:
        """Name of the scene, for pages."""
        return self.scene.name

    def load_scene(self) -> Scene:
        """The scene, resized as configured, not yet cropped to whole latents. Raises InputError as `load_scene`."""
        reading = self.reading or Reading.earlier()
        return load_scene(
            self.scene,
            max_size=self.size,
            format=reading.format,
            masks=reading.masks,
            background=reading.background,
            model=reading.model,
            follow_links=reading.follow_links,
            bounds=reading.bounds,
            points=reading.points,
            split=reading.split,
            train_views=reading.train_views,
        )


RunConfig = FitRunConfig | GenerationRunConfig
"""What a scene came of: photographs, or a prior."""


class Run:
    """A fitted scene, or one that was generated."""

    def __init__(
        self,
        folder: Path,
        config: RunConfig,
        model: SceneModel,
        frame: SceneFrame,
        *,
        views: SceneCameras | None = None,
        shared_decoder: SharedDecoder | None = None,
    ) -> None:
        """`folder` is where the run was read from; `views` are the scene's cameras, of a file or a generated scene.

        `shared_decoder` names the packaged autoencoder whose decoder the run shares with other scenes, if it does.
        """
        self.folder, self.config, self.model, self.frame, self.views = folder, config, model, frame, views
        self.shared_decoder = shared_decoder

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        device: str = "auto",
        fields: Sequence[type[OwnFieldConfig]] = (),
        classes: Mapping[str, Loader] = CLASSES,
    ) -> Run:
        """Read a finished run: its folder, or the one file that `write_file` made of it.

        `device` is where it renders: cpu, cuda, cuda:1 and so on, or auto: the first GPU, if any. `fields` are
        configurations of fields of one's own, `classes` as for `load_autoencoder`. Raises InputError when there is no
        such device, and when `path` is neither a run's folder nor its file.
        """
        target = choose_device(device)
        run = cls._read(Path(path), fields, classes)
        run.model.to(target)
        return run

    @classmethod
    def opened(cls, run: Run | str | Path) -> Run:
        """The run itself, or that in a folder or file, read by `load`."""
        require_type("run", run, Run, str, Path)
        return run if isinstance(run, Run) else cls.load(run)

    def __repr__(self) -> str:
        autoencoder = "" if self.config.autoencoder is None else f" in latents of {self.config.autoencoder}"
        size = f"{self.frame.width}x{self.frame.height}"
        return f"<Run {str(self.folder)!r}: {self.config.fit.field.kind}{autoencoder or ' in RGB'}, {size} pixels>"

    @property
    def metrics(self) -> dict[str, Any]:
        """What `fit` measured: ["test"][group]["mean"] of every measure, "training_seconds", "device", "notes".

        Raises InputError for a run that was read from a single file, which has no metrics: `evaluate_run` takes them.
        """
        if self.folder.is_file():
            raise InputError(
                self.folder, "is a single file, which has no metrics; see latentfields.evaluate_run"
            )
        return read_metrics(self.folder)

    @classmethod
    def _read(cls, path: Path, fields: Sequence[type[OwnFieldConfig]], classes: Mapping[str, Loader]) -> Run:
        if path.is_file():
            stored = read_portable(path, classes=classes)
            config = _run_config(stored.config, fields, source=path, field="config")
            frame = from_json(SceneFrame, stored.frame, source=path, field="frame")
            model = _restored(config, stored.autoencoder, stored.state, frame, source=path)
            return cls(path, config, model, frame, views=stored.views, shared_decoder=stored.shared)
        if not is_claimed(path):
            raise InputError(path, f"is not a run; expected a folder with {CONFIG_FILE}, or a scene file")
        generated = run_kind(path) == GenerationRunConfig.kind
        about = read_description(GenerationRunConfig if generated else FitRunConfig, path)
        config = _run_config(about, fields, source=path / CONFIG_FILE)
        if not (path / MODEL_FILE).is_file():
            raise InputError(path, "has no finished model yet; run the same fit command again to finish it")
        tensors, metadata = load_tensors(path / MODEL_FILE)
        frame = from_json(SceneFrame, metadata, source=path / MODEL_FILE)
        autoencoder, shared = (None, None) if config.fit.space == "rgb" else _run_autoencoder(path, classes)
        model = _restored(config, autoencoder, tensors, frame, source=path / MODEL_FILE)
        views = read_views(path / VIEWS_FILE) if generated else None
        return cls(path, config, model, frame, views=views, shared_decoder=shared)

    @classmethod
    def save(
        cls, folder: Path, config: FitRunConfig, model: SceneModel, scene: Scene, original: Autoencoder | None
    ) -> Run:
        """Write a finished model into its run folder; `original` is the autoencoder before alignment."""
        frame = replace(SceneFrame.of(scene), fingerprint=Fingerprint.of(scene, original))
        shared = None if original is None else SharedDecoder.of(original, config.fit)
        return cls(folder, config, model, frame, shared_decoder=shared)._written()

    @classmethod
    def save_generated(
        cls,
        folder: Path,
        config: GenerationRunConfig,
        model: SceneModel,
        frame: SceneFrame,
        views: SceneCameras,
    ) -> Run:
        """Write a scene that no photographs were taken of into its run folder; `views` are to look at it with."""
        write_views(folder / VIEWS_FILE, views)
        return cls(folder, config, model, frame, views=views)._written()

    def saved_in(self, folder: Path) -> Run:
        """Write this run, such as an object of a collection, into a folder of its own, and return it as it is there.

        Raises InputError when the folder holds something else.
        """
        with running(folder, self.config):
            return Run(
                folder,
                self.config,
                self.model,
                self.frame,
                views=self.views,
                shared_decoder=self.shared_decoder,
            )._written()

    def _written(self) -> Run:
        """This run, once its model, and its autoencoder or the name of that, are in its folder."""
        if self.shared_decoder is not None:
            write_json(self.folder / SHARED_DECODER_FILE, to_json(self.shared_decoder))
        elif self.model.autoencoder is not None:
            self.model.autoencoder.save(self.folder / DECODER_FOLDER)
        save_tensors(self.folder / MODEL_FILE, self.model.scene_state(), to_json(self.frame))
        return self

    def write_file(self, path: Path, views: SceneCameras) -> None:
        """Write everything that rendering needs, and the scene's cameras, into one file that `load` reads."""
        write_portable(
            path,
            PortableRun(
                config=self.to_json(),
                frame=to_json(self.frame),
                state=self.model.scene_state(),
                autoencoder=self.model.autoencoder,
                shared=self.shared_decoder,
                views=views,
            ),
        )

    @property
    def home(self) -> Path:
        """The folder that further files of the run go to: its own, or that of its single file."""
        return self.folder.parent if self.folder.is_file() else self.folder

    def render(self, cameras: Cameras, *, show: Show | None = None, grids: int = 1) -> Tensor:
        """Images (N, 3, H, W) in [0, 1] of cameras in the scene's normalised frame.

        They are decoded latents, or colours where the scene has any; of one that has both, `show` chooses. Decoded ones
        are the mean over `grids`^2 grids, as `SceneModel.render` has it. Without gradients: `render_latents` and
        `decode` have them. Raises InputError for what the scene does not have, and when H or W are no multiples of the
        factor of what is decoded; `Scene.cropped_to_multiple` makes them so.
        """
        require_type("cameras", cameras, Cameras)
        model = self.shown(show)
        _check_size(cameras, model.factor)
        return model.render(cameras, grids=grids)[0]

    def shown(self, show: Show | None) -> SceneModel:
        """The part of the model that renders such pictures; None: colours where there are any.

        Raises InputError for what the scene does not have.
        """
        if show is not None:
            require_choice("show", show, get_args(Show))
        model = self.model.pictures if show != "decoded" else self.model
        if show is not None and (show == "decoded") == (model.autoencoder is None):
            other = "latents" if show == "decoded" else "colours"
            raise ArgumentError(
                "show", f"is {show}, but {self.folder} has no {other}; expected the other one"
            )
        return model

    def render_latents(self, cameras: Cameras) -> RenderedLatents:
        """What N cameras in the scene's normalised frame see, before it is decoded, on the run's device.

        Differentiable in the cameras' poses and intrinsics, where they require gradients, and in the scene,
        `model.parameters()`; under `torch.no_grad()` it takes less memory. Where along the rays the field is looked
        at counts as given. Deterministic. Raises InputError as `render`, and for a run that was fitted in RGB.
        """
        require_type("cameras", cameras, Cameras)
        autoencoder = self._autoencoder()
        _check_size(cameras, self.model.factor)
        seen = self.model.render_features(cameras)
        latents = self.model.space.latents(seen.features)
        return RenderedLatents(latents, autoencoder.raw(latents), seen.opacity, seen.depth)

    def decode(self, latents: Tensor) -> Tensor:
        """Images (N, 3, H, W), nominally in [0, 1] and not clamped, of latents (N, C, h, w), normalised per channel.

        By the decoder as it was aligned to the scene; differentiable. Raises InputError for a run fitted in RGB.
        """
        autoencoder = self._autoencoder()
        if latents.ndim != 4 or latents.shape[1] != autoencoder.channels:
            expected = f"(N, {autoencoder.channels}, h, w)"
            raise ArgumentError("latents", f"have the shape {tuple(latents.shape)}; expected {expected}")
        return autoencoder.decode(latents.to(self.model.device))

    def _autoencoder(self) -> Autoencoder:
        if self.model.autoencoder is None:
            raise InputError(self.folder, "was fitted in RGB, which has no latents")
        return self.model.autoencoder

    def check_scene(self, scene: Scene) -> Scene:
        """`scene`, on whole latents. Raises InputError when it is not the scene that was fitted."""
        scene = scene.cropped_to_multiple(self.model.factor)
        if scene.size != (self.frame.height, self.frame.width):
            raise InputError(
                scene.source,
                f"images are {scene.size[1]}x{scene.size[0]} but the run has {self.frame.width}x{self.frame.height}",
            )
        if self.frame.fingerprint is not None:
            self.frame.fingerprint.check_scene(scene)
        return scene

    def to_json(self) -> dict[str, Any]:
        """The run's configuration."""
        config: dict[str, Any] = to_json(self.config)
        return config


def _run_autoencoder(folder: Path, classes: Mapping[str, Loader]) -> tuple[Autoencoder, SharedDecoder | None]:
    """The autoencoder of the run in `folder`: the packaged one that it names, or its own copy."""
    named = folder / SHARED_DECODER_FILE
    if named.is_file():
        shared = from_json(SharedDecoder, read_json(named), source=named)
        return shared.load(folder), shared
    if not (folder / DECODER_FOLDER).is_dir():
        raise InputError(folder / DECODER_FOLDER, "there is no such folder; expected the run's autoencoder")
    return load_autoencoder(folder / DECODER_FOLDER, classes=classes), None


def _run_config(
    about: Any, fields: Sequence[type[OwnFieldConfig]], *, source: Path, field: str = ""
) -> RunConfig:
    """The configuration in JSON, whose field may be one of `fields`. Raises InputError as `from_json`."""
    if isinstance(about, dict) and about.get("kind") == GenerationRunConfig.kind:
        return from_json(GenerationRunConfig, about, source=source, field=field)
    fit: Any = about.get("fit") if isinstance(about, dict) else None
    stored = fit.get("field") if isinstance(fit, dict) else None
    name = stored.get("kind") if isinstance(stored, dict) else None
    own = next((kind for kind in fields if kind.kind == name), None)
    if own is None:
        return from_json(FitRunConfig, about, source=source, field=field)
    place = f"{field}.fit.field" if field else "fit.field"
    mine: Any = from_json(own, stored, source=source, field=place)
    others = {**about, "fit": {name: value for name, value in fit.items() if name != "field"}}
    config = from_json(FitRunConfig, others, source=source, field=field)
    return replace(config, fit=replace(config.fit, field=mine))


def _restored(
    config: RunConfig,
    autoencoder: Autoencoder | None,
    state: Mapping[str, Tensor],
    frame: SceneFrame,
    *,
    source: Path,
) -> SceneModel:
    """The model with the weights in `state`. Raises InputError, naming `source`, when they do not fit."""
    try:
        _check(config, frame, source)
        if (config.fit.space != "rgb") != (autoencoder is not None):
            raise InputError(source, f"space is '{config.fit.space}', which does not fit its autoencoder")
        space = new_space(config.fit, autoencoder)
        color = state["colors.background"] if config.fit.space == "both" else None
        if color is not None and color.shape != (3,):
            raise InputError(source, f"colors.background has the shape {tuple(color.shape)}; expected (3,)")
        with bounded_by(byte_count(state), source):
            model = build_model(config.fit, space, state["background"], frame, color=color)
        model.load_scene_state(state)
    except (KeyError, RuntimeError, TypeError, OverflowError) as error:
        detail = " ".join(str(error).split())[:200]
        raise InputError(source, f"does not fit {CONFIG_FILE} ({detail})") from None
    return model


def _check(config: RunConfig, frame: SceneFrame, source: Path) -> None:
    """Raise InputError, naming `source`, for values that no run and no scene has."""
    if (config.autoencoder is None) != (config.fit.space == "rgb"):
        raise InputError(
            source, f"field 'autoencoder' is {config.autoencoder!r} in the space '{config.fit.space}'"
        )
    check_stored(config.fit, source)
    rows = frame.world_to_scene
    if [len(row) for row in rows] != [4] * 4 or not all(
        math.isfinite(value) for row in rows for value in row
    ):
        raise InputError(source, "field 'world_to_scene': expected a 4x4 matrix of finite numbers")
    if not (rows[0][0] > 0 and 0 <= frame.near < frame.far < math.inf):
        raise InputError(
            source, "fields 'near', 'far', 'world_to_scene': expected 0 <= near < far and a scale above 0"
        )
    if frame.width < 1 or frame.height < 1:
        raise InputError(
            source, f"fields 'width', 'height': are {frame.width}x{frame.height}; expected pixels"
        )


def _check_size(cameras: Cameras, factor: int) -> None:
    """Raise InputError for cameras whose pictures are no whole latents of `factor` pixels."""
    if cameras.width % factor or cameras.height % factor:
        raise ArgumentError(
            "cameras", f"are {cameras.width}x{cameras.height}; expected multiples of the factor {factor}"
        )
