"""`latentfields autoencoder finetune-3d` and `score`: make latents 3D-consistent, and measure how much they are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from latentfields.cli.command_line import command_line
from latentfields.cli.reporting import print_result
from latentfields.igae.config import Ablation

if TYPE_CHECKING:
    from latentfields.igae.config import IgaeConfig


@dataclass(frozen=True, kw_only=True)
class Finetune3D:
    """Train an autoencoder together with latent scenes, so that its latents become 3D-consistent (IG-AE).

    Run the same command again to resume a training that was interrupted. Under torchrun, all processes share the work.
    """

    out: Path
    """Folder of the run; the result is in OUT/autoencoder."""
    scenes: tuple[Path, ...]
    """Scenes, or folders of scenes: square views of objects, on white where they have alpha."""
    photos: tuple[Path, ...] = ()
    """Folders of photographs. Only the ablation no-preservation needs none."""
    autoencoder: str = "base"
    """Packaged name, folder, or Hub id of a diffusers autoencoder to start from."""
    preset: Literal["tiny", "small", "paper"] = "small"
    """Scale of the training: minutes, half an hour of a CPU core, or the paper's (Table 15)."""
    ablation: Ablation | None = None
    """Leave out a part: the latent scenes, the preservation of the autoencoder, or the scenes' further training."""
    pretraining_epochs: float | None = None
    """Passes over all views that latent scenes are fitted for, instead of the preset's."""
    joint_epochs: float | None = None
    """Passes over all views of the joint phase, instead of the preset's."""
    settings: Path | None = None
    """JSON file of settings that differ from the preset, as in "training" of a run's config.json."""
    pretrained: Path | None = None
    """Another run whose latent scenes are taken over, instead of fitting them again."""
    cache: Path | None = None
    """Folder of decoded images, which runs can share; by default OUT/cache."""
    seed: int | None = None
    """Seed of scenes, batches and jitter; by default the preset's, 0."""
    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1, or auto: the first GPU if there is one. Latent scenes that are not in a batch
    stay in host memory."""
    checkpoint_seconds: float = 120.0
    """Seconds between checkpoints."""
    threads: int = 1
    """Threads inside tensor operations."""

    def run(self) -> None:
        """Train both phases and say where the result is."""
        from latentfields.igae.finetune import finetune_3d
        from latentfields.process import set_threads
        from latentfields.training.loop import LoopConfig

        set_threads(self.threads)
        finetune_3d(
            self.configuration(),
            autoencoder=self.autoencoder,
            scenes=self.scenes,
            photos=self.photos,
            out=self.out,
            cache=self.cache,
            pretrained=self.pretrained,
            device=self.device,
            command=command_line(),
            loop=LoopConfig(checkpoint_seconds=self.checkpoint_seconds),
        )
        print(self.out / "autoencoder")

    def configuration(self) -> IgaeConfig:
        """The preset with everything that was asked for. Raises InputError for settings that do not fit."""
        from latentfields.files import read_json
        from latentfields.igae.settings import configuration, with_epochs

        changes = {} if self.settings is None else read_json(self.settings)
        config = configuration(self.preset, changes, source=self.settings or Path("settings"))
        config = with_epochs(config, pretraining=self.pretraining_epochs, joint=self.joint_epochs)
        if self.ablation is not None:
            config = replace(config, ablation=self.ablation)
        return config if self.seed is None else replace(config, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class Score:
    """Say how 3D-aware the latent space of an autoencoder is: how well views agree about the surfaces they share."""

    name: tyro.conf.Positional[str]
    """Packaged name, folder, or Hub id of a diffusers autoencoder."""
    scenes: tuple[Path, ...] = ()
    """Scenes with depth maps, or folders of them (latentfields scenes render). By default objects are generated."""
    objects: int = 2
    """Generated objects per family; the families are vases, hats and bags."""
    views: int = 24
    """Views of each generated object."""
    size: int = 128
    """Side of the generated views, in pixels."""
    threads: int = 1
    """Threads inside tensor operations."""
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Score and print."""
        from latentfields.autoencoders.score import score_autoencoder, summary_lines
        from latentfields.process import set_threads

        set_threads(self.threads)
        score = score_autoencoder(
            self.name, scenes=self.scenes, objects=self.objects, views=self.views, size=self.size
        )
        print_result(score.to_json(), summary_lines(score), json=self.json)
