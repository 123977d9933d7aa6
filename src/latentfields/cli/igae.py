"""`latentfields autoencoder finetune-3d` and `score`: make latents 3D-consistent, and measure how much they are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

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
from latentfields.cli.reporting import print_result
from latentfields.config.checks import Range, require
from latentfields.errors import ArgumentError
from latentfields.igae.config import PRESETS, SMALL, IgaeConfig, IgaePreset


@dataclass(frozen=True, kw_only=True)
class Finetune3D:
    """Train an autoencoder together with latent scenes, so that its latents become 3D-consistent (IG-AE).

    Run the same command again to resume a training that was interrupted. Under torchrun, all processes share the work.
    Latent scenes that are not in a batch stay in host memory.
    """

    out: Path
    """Folder of the run; the result is in OUT/autoencoder."""
    scenes: tuple[Path, ...]
    """Scenes, or folders of scenes: square views of objects, on white where they have alpha."""
    photos: tuple[Path, ...] = ()
    """Folders of photographs. Only the ablation no-preservation needs none."""
    correspondences: tuple[Path, ...] = ()
    """Data sets written by `lrf correspond`, for --joint.weights.correspondence and --joint.weights.exchange."""
    autoencoder: str = "base"
    """Packaged name, folder, or Hub id of a diffusers autoencoder to start from."""
    preset: IgaePreset = "small"
    """Scale of the training: minutes, half an hour of a CPU core, or the paper's (Table 15)."""
    settings: Settings = None
    pretraining_epochs: float | None = None
    """Another name of --pretraining.epochs."""
    joint_epochs: float | None = None
    """Another name of --joint.epochs."""
    pretrained: Path | None = None
    """Another run whose latent scenes are taken over, instead of fitting them again."""
    cache: Path | None = None
    """Folder of decoded images, which runs can share; by default OUT/cache."""
    checkpoint_seconds: CheckpointSeconds = 120.0
    tensorboard: TensorBoard = False
    device: Device = "auto"
    threads: Threads = 1
    training: Annotated[IgaeConfig, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands] = field(
        default_factory=lambda: SMALL
    )

    @classmethod
    def starting_point(cls, arguments: Sequence[str]) -> Finetune3D:
        """The training that --preset and --settings describe."""
        known = chosen(arguments, {"preset": IgaePreset, "settings": Path})
        training = with_settings(PRESETS[known.get("preset", "small")], known.get("settings"))
        return cls(out=tyro.MISSING, scenes=tyro.MISSING, training=training, **known)

    def run(self) -> None:
        """Train both phases and say where the result is."""
        from latentfields.igae.finetune import finetune_3d
        from latentfields.training.loop import LoopConfig

        set_up(threads=self.threads, checkpoint_seconds=self.checkpoint_seconds)
        finetune_3d(
            self.configuration(),
            autoencoder=self.autoencoder,
            scenes=self.scenes,
            photos=self.photos,
            correspondences=self.correspondences,
            out=self.out,
            cache=self.cache,
            pretrained=self.pretrained,
            device=self.device,
            command=command_line(),
            loop=LoopConfig(checkpoint_seconds=self.checkpoint_seconds, tensorboard=self.tensorboard),
        )
        result = self.out / "autoencoder"
        print(result)
        for line in (
            f"Look at {self.out / 'report.html'}: held-out views before and after.",
            f"Is it better? latentfields autoencoder score {self.autoencoder} {result} --page leaderboard.html",
            f"Use it: latentfields fit SCENE --autoencoder {result}",
        ):
            logging.getLogger(__name__).info("%s", line)

    def configuration(self) -> IgaeConfig:
        """The training with the lengths of its phases that were asked for by their other names."""
        config = self.training
        if self.pretraining_epochs is not None:
            require("pretraining_epochs", self.pretraining_epochs, Range(above=0))
            config = replace(config, pretraining=replace(config.pretraining, epochs=self.pretraining_epochs))
        if self.joint_epochs is not None:
            require("joint_epochs", self.joint_epochs, Range(above=0))
            config = replace(config, joint=replace(config.joint, epochs=self.joint_epochs))
        return config


QUICK = {"objects": 1, "views": 20, "size": 96}
"""What `score --quick` looks at."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Say how 3D-aware the latent space of an autoencoder is: how well views agree about the surfaces they share.

    Several names, or --page, make a leaderboard: with equivariance, spectrum, noise, reconstruction, and how good a
    field of the latents is whose decoder nobody aligned. With --unet, say instead how much the autoencoder disturbs an
    existing denoiser of latents.
    """

    names: tyro.conf.Positional[tuple[str, ...]]
    """Packaged name, folder, or Hub id of a diffusers autoencoder; or several."""
    page: Path | None = None
    """Write the leaderboard as one HTML file with pictures."""
    fit_steps: int = 200
    """Steps of the field that is fitted in each space of a leaderboard; 0 leaves it out."""
    scenes: tuple[Path, ...] = ()
    """Scenes with depth maps, or folders of them (latentfields scenes render). By default objects are generated."""
    objects: int = 2
    """Generated objects per family; the families are vases, hats and bags."""
    views: int = 24
    """Views of each generated object."""
    size: int = 128
    """Side of the generated views, in pixels."""
    quick: bool = False
    """A first look in about a quarter of the time: one object per family, 20 views of 96 pixels; --objects, --views and
    --size do not count."""
    packaged: bool = True
    """Score the packaged autoencoders on the same objects, for a verdict in words about a single one."""
    unet: str | None = None
    """Folder or Hub id of a pipeline of Stable Diffusion or FLUX.1, whose errors of noise are compared between its own
    autoencoder's latents and these, on --photos. Needs the extra `diffusion`; not measured."""
    photos: tuple[Path, ...] = ()
    """Folders of photographs for --unet; the central squares of the first 32 are taken."""
    device: Device = "auto"
    threads: Threads = 1
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Score and print."""
        from latentfields.autoencoders.score import (
            compare_with_packaged,
            score_autoencoder,
            summary_lines,
            verdict,
        )
        from latentfields.process import set_threads

        set_threads(self.threads)
        if not self.names:
            raise ArgumentError("names", "is empty; expected one autoencoder or more")
        name = self.names[0]
        if self.unet is not None:
            self._compare(name, self.unet)
            return
        looked_at: dict[str, Any] = {"scenes": self.scenes, "device": self.device}
        looked_at |= (
            QUICK if self.quick else {"objects": self.objects, "views": self.views, "size": self.size}
        )
        if len(self.names) > 1 or self.page is not None:
            self._rank(looked_at)
            return
        if not self.packaged:
            score = score_autoencoder(name, **looked_at)
            print_result(score.to_json(), summary_lines(score), json=self.json)
            return
        beside = compare_with_packaged(name, **looked_at)
        lines = [*summary_lines(beside.score), *verdict(beside)]
        print_result(beside.to_json(), lines, json=self.json)

    def _rank(self, looked_at: dict[str, Any]) -> None:
        """Print the leaderboard, and write its page where one is asked for."""
        from latentfields.bench.leaderboard import leaderboard, table_lines, write_leaderboard

        found = leaderboard(self.names, fit_steps=self.fit_steps, **looked_at)
        if self.page is not None:
            write_leaderboard(self.page, found, command=command_line())
        values = [standing.to_json() for standing in found]
        print_result(values, table_lines(found), json=self.json)

    def _compare(self, name: str, unet: str) -> None:
        """Print what --unet asks for."""
        from latentfields.priors import compatibility

        found = compatibility.unet_disturbance(name, unet, photos=self.photos, device=self.device)
        values = [
            {"share": one.share, "own": one.own, "this": one.other, "ratio": one.ratio} for one in found
        ]
        print_result(values, compatibility.summary_lines(found), json=self.json)
