"""`finetune_3d`: from an autoencoder, scenes and photographs to an IG-AE. Both phases, resumable."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.load import called, opened
from latentfields.autoencoders.losses import PerceptualLoss, perceptual_loss
from latentfields.config.arguments import checked
from latentfields.correspondences.pair_batches import PairImages
from latentfields.errors import ArgumentError, InputError
from latentfields.files import Folders, as_folders, write_json
from latentfields.igae.config import PRESETS, IgaeConfig, IgaePreset, IgaeRunConfig
from latentfields.igae.dashboard import Dashboard, data_wait_share
from latentfields.igae.data import TrainingData, require_data
from latentfields.igae.joint import JointTrainer
from latentfields.igae.pretrain import ScenePretrainer, cache_latents, open_latents
from latentfields.igae.scene_training import SceneTraining
from latentfields.scenes.load import Scenes, as_scene_folders
from latentfields.training.checkpoint import load_tensors
from latentfields.training.distributed import Processes, joined_processes, local_device
from latentfields.training.loop import LoopConfig, checkpoint_path, read_log
from latentfields.training.recipe import begin, finish
from latentfields.training.runs import is_claimed, read_run

START_STATISTICS_FILE = "start_statistics.json"
"""In a run's folder: what latents are normalised with, where the autoencoder to start from does not say it."""
PRETRAINING, JOINT = "pretraining", "joint"
"""In a run's folder: the folders of the two phases."""


@checked
def finetune_3d(
    training: IgaeConfig | IgaePreset = "small",
    *,
    autoencoder: Autoencoder | str | Path = "base",
    scenes: Scenes,
    photos: Folders = (),
    correspondences: Folders = (),
    out: str | Path,
    cache: str | Path | None = None,
    pretrained: str | Path | None = None,
    device: str = "auto",
    command: str | None = None,
    loop: LoopConfig | None = None,
) -> Autoencoder:
    """Train `autoencoder`, one in memory, a name or a folder, into an IG-AE; `out/autoencoder` holds the result.

    `training` is a configuration, or the name of a preset. `scenes` are scenes or folders of them, `photos` folders;
    views and photographs are decoded once into `cache` (default `out/cache`), those of a scene in memory from its
    folder. `correspondences` are data sets of `correspond`, of these scenes or others, where `joint.weights` has terms
    of them. The autoencoder that is given stays as it is. `pretrained` is the folder of another run whose latent scenes
    are taken over instead of fitting them again: its autoencoder, scenes and first phase must be the same. `device` is
    as for `fit`. `command` is shown on the run's page as what repeats the run.

    Run again after an interruption, it continues. Started by torchrun, all processes work on one global batch.
    Raises InputError for unusable settings or folders, or when `out` holds a run with other settings.
    """
    training = PRESETS[training] if isinstance(training, str) else training
    out = Path(out)
    run = IgaeRunConfig(
        autoencoder=called(autoencoder),
        scenes=as_scene_folders(scenes),
        photos=as_folders(photos),
        pretrained=None if pretrained is None else Path(pretrained),
        training=training,
        correspondences=as_folders(correspondences),
    )
    training.check()
    _require_agreement(run)
    target = local_device(device)
    perceptual = perceptual_loss(training.perceptual, target)
    start = opened(autoencoder)
    if training.size % start.factor:
        raise ArgumentError("size", f"is {training.size}; expected a multiple of the factor {start.factor}")
    if training.window % start.factor:
        raise ArgumentError(
            "joint.window", f"is {training.window}; expected a multiple of the factor {start.factor}"
        )
    if run.pretrained is not None and training.has_3d:
        _require_first_phase(run.pretrained, run)
    with joined_processes(target) as processes, ExitStack() as begun:
        if processes.first:
            begun.enter_context(
                begin(
                    run,
                    out,
                    lambda: None if is_claimed(out) else _require_data(run, factor=start.factor),
                )
            )
        processes.wait()
        data = TrainingData.read(
            training, run.scenes, run.photos, cache=Path(cache or out / "cache"), processes=processes
        )
        pairs = _pairs(run, factor=start.factor)
        phases = _Phases(training, start.to(target), data, pairs, out, processes, command)
        if training.has_3d:
            phases.pretrain(run.pretrained, loop or LoopConfig())
        phases.train_jointly(perceptual, loop or LoopConfig())
        return phases.finish()


class _Phases:
    """One process's view of both phases."""

    def __init__(
        self,
        config: IgaeConfig,
        autoencoder: Autoencoder,
        data: TrainingData,
        pairs: PairImages | None,
        out: Path,
        processes: Processes,
        command: str | None,
    ) -> None:
        """`autoencoder`, on the device to compute on, is changed in place."""
        self.config, self.autoencoder, self.data, self.pairs = config, autoencoder, data, pairs
        self.out, self.processes = out, processes
        if not autoencoder.has_statistics:
            self._renew_statistics()
            if processes.first:
                write_json(out / START_STATISTICS_FILE, asdict(autoencoder.statistics))
        self.scenes = SceneTraining(config, data.views, autoencoder, device=autoencoder.device)
        self.dashboard = Dashboard(out, autoencoder, self.scenes, data.photos, config, command=command)

    def _renew_statistics(self) -> None:
        images = self.data.statistics_images(seed=self.config.seed, crops=self.config.joint.photo_crops)
        self.autoencoder.renew_statistics(images)

    def pretrain(self, pretrained: Path | None, loop: LoopConfig) -> None:
        """First phase, or its result from another run."""
        if pretrained is not None:
            self.scenes.restore_scenes(load_tensors(checkpoint_path(pretrained / PRETRAINING))[0])
            return
        views, latents = self.data.views, self.out / PRETRAINING / "latents.f16"
        if self.processes.first:
            cache_latents(self.autoencoder, views, latents)
        self.processes.wait()
        trainer = ScenePretrainer(
            self.scenes,
            open_latents(self.autoencoder, views, latents),
            self.config,
            processes=self.processes,
            observer=self.dashboard.observer("latent scenes") if self.processes.first else None,
        )
        self.dashboard.pretraining_steps = trainer.total_steps
        self._train(trainer, PRETRAINING, label="latent scenes", loop=loop)

    def train_jointly(self, perceptual: PerceptualLoss, loop: LoopConfig) -> None:
        """Second phase."""
        self.scenes.begin_phase(self.config.joint)
        trainer = JointTrainer(
            self.autoencoder,
            self.scenes,
            self.data.photos,
            self.config,
            perceptual=perceptual,
            processes=self.processes,
            observer=self.dashboard.observer("joint") if self.processes.first else None,
            pairs=self.pairs,
        )
        self.dashboard.autoencoder = trainer.result
        self._train(trainer, JOINT, label="autoencoder and scenes", loop=loop)
        self.autoencoder = trainer.result

    def _train(
        self, trainer: ScenePretrainer | JointTrainer, phase: str, *, label: str, loop: LoopConfig
    ) -> None:
        """Train a phase, and end its reading of batches however that ends."""
        try:
            self.processes.train(
                trainer, steps=trainer.total_steps, folder=self.out / phase, label=label, options=loop
            )
        finally:
            trainer.batches.close()

    def finish(self) -> Autoencoder:
        """Last page, metrics, and the autoencoder with statistics that fit its latents as they are now."""
        scores = self.dashboard.write("finished") if self.processes.first else {}
        self._renew_statistics()
        device, autoencoder = self.autoencoder.device, self.autoencoder.to("cpu")
        if not self.processes.first:
            return autoencoder
        phases = {
            phase: {
                "steps": records[-1]["step"],
                "training_seconds": records[-1]["seconds"],
                "data_wait_share": data_wait_share(records),
            }
            for phase in (PRETRAINING, JOINT)
            if (records := read_log(self.out / phase))
        }
        seconds = sum(phase["training_seconds"] for phase in phases.values())
        measured = {"held_out": scores, "phases": phases}
        return finish(self.out, autoencoder, measured, seconds=seconds, device=device)


def _require_agreement(run: IgaeRunConfig) -> None:
    """Raise ArgumentError when there are correspondences without a term of them, or the other way round."""
    asked, given = run.training.has_correspondences, bool(run.correspondences)
    if asked and not given:
        raise ArgumentError("correspondences", "name at least one folder written by `lrf correspond`")
    if given and not asked:
        raise ArgumentError(
            "joint.weights.correspondence", "is 0; expected a weight above 0 where there are correspondences"
        )


def _pairs(run: IgaeRunConfig, *, factor: int) -> PairImages | None:
    """The pairs of all data sets. Raises InputError when there is nothing usable."""
    if not run.correspondences:
        return None
    training, name = run.training, "correspondences"
    return PairImages.open(
        run.correspondences, size=training.size, window=training.window, factor=factor, name=name
    )


def _require_data(run: IgaeRunConfig, *, factor: int) -> None:
    """Raise InputError unless everything that `run` reads is there."""
    require_data(run.training, run.scenes, run.photos)
    _pairs(run, factor=factor)


def _require_first_phase(folder: Path, run: IgaeRunConfig) -> None:
    """Raise InputError when another run's first phase is not that of `run`, or is not finished."""
    mine, theirs = (_first_phase(of) for of in (run, read_run(IgaeRunConfig, folder)))
    for name, value in mine.items():
        if theirs[name] != value:
            raise InputError(
                folder, f"its first phase was run with another '{name}'; it cannot be taken over"
            )
    if not read_log(folder / JOINT):
        raise InputError(folder, "has not finished its first phase; run it until the joint phase begins")


def _first_phase(run: IgaeRunConfig) -> dict[str, Any]:
    """The settings that the result of the first phase depends on."""
    own = {
        name: getattr(run.training, name) for name in ("size", "scenes", "pretraining", "units", "tv", "seed")
    }
    return {"autoencoder": run.autoencoder, "scene folders": run.scenes, **own}
