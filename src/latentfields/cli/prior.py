"""`latentfields prior`: train 2D priors of latents, and draw views from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from latentfields.cli.command_line import command_line
from latentfields.cli.options import (
    CheckpointSeconds,
    Device,
    Settings,
    TensorBoard,
    Threads,
    chosen,
    set_up,
    with_settings,
)
from latentfields.priors.config import PRESETS, USUAL_AUTOENCODER, PriorPreset, PriorTrainingConfig


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a denoiser of views of objects in an autoencoder's latent space, for `latentfields generate` and `edit`.

    It learns views by class, camera direction and a view from elsewhere. A scene is of the class that its folder is
    called, less a number at the end. Run the same command again to resume a training that was interrupted. Under
    torchrun, all processes share the work.
    """

    scenes: tyro.conf.Positional[tuple[Path, ...]]
    """Scenes, or folders of scenes: square views of objects, on white where they have alpha."""
    out: Path
    """Folder of the run; the result is in OUT/prior."""
    autoencoder: str = USUAL_AUTOENCODER
    """Packaged name, folder, or Hub id of the autoencoder whose latents are learnt."""
    preset: PriorPreset = "small"
    """Scale of the training: a minute or a few hours of one CPU core, or a GPU's."""
    settings: Settings = None
    seconds: float | None = None
    """Stop after this much training time, schedules adapted; by default all steps are done."""
    checkpoint_seconds: CheckpointSeconds = 60.0
    tensorboard: TensorBoard = False
    device: Device = "auto"
    threads: Threads = 1
    training: Annotated[PriorTrainingConfig, tyro.conf.arg(name="")] = field(
        default_factory=PriorTrainingConfig
    )

    @classmethod
    def starting_point(cls, arguments: Sequence[str]) -> Train:
        """The training that --preset and --settings describe."""
        known = chosen(arguments, {"preset": PriorPreset, "settings": Path})
        training = with_settings(PRESETS[known.get("preset", "small")], known.get("settings"))
        return cls(scenes=tyro.MISSING, out=tyro.MISSING, training=training, **known)

    def run(self) -> None:
        """Train and say where the result is."""
        from latentfields.priors.train import PRIOR_FOLDER, train_prior
        from latentfields.training.loop import LoopConfig

        set_up(threads=self.threads, checkpoint_seconds=self.checkpoint_seconds)
        train_prior(
            self.scenes,
            autoencoder=self.autoencoder,
            out=self.out,
            training=self.training,
            seconds=self.seconds,
            device=self.device,
            command=command_line(),
            loop=LoopConfig(checkpoint_seconds=self.checkpoint_seconds, tensorboard=self.tensorboard),
        )
        print(self.out / PRIOR_FOLDER)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Draw views of a class from a prior, as PNG files: one picture each, and a turn around the first, view by view."""

    name: tyro.conf.Positional[str]
    """Packaged name of the prior, or the folder that `prior train` wrote."""
    category: tyro.conf.Positional[str]
    """Class to draw."""
    out: Path
    """Folder for the pictures."""
    count: Annotated[int, tyro.conf.arg(help="Samples.")] = 8
    views: int = 8
    """Views of the turn."""
    guidance: float = 2.0
    """Scale of the guidance: 0 ignores the class, 1 follows it, more exaggerates it."""
    seed: int = 0
    """Seed of the noise that the pictures follow from."""
    device: Device = "auto"
    threads: Threads = 1

    def run(self) -> None:
        """Draw and say where the pictures are."""
        from latentfields.priors.draw import draw_pictures
        from latentfields.process import set_threads

        set_threads(self.threads)
        draw_pictures(
            self.name,
            self.category,
            out=self.out,
            count=self.count,
            views=self.views,
            guidance=self.guidance,
            seed=self.seed,
            device=self.device,
        )
        print(self.out)
