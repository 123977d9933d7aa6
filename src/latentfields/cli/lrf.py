"""`latentfields lrf correspond` and `finetune-encoder`: correspondence-aware autoencoding (LRF Sec. 4.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

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
from latentfields.correspondences.config import CorrespondenceConfig
from latentfields.lrf.encoder.config import PRESETS, EncoderPreset, EncoderTrainingConfig


@dataclass(frozen=True, kw_only=True)
class Correspond:
    """Find points that images of a scene share: by depth maps, from a COLMAP model, or by matching plain images.

    Of scenes with splits only training views are used; of COLMAP models, all images but every eighth. Run the same
    command again to continue: scenes that OUT has already are passed over. Plain images need the extra `colmap`.
    """

    scenes: tyro.conf.Positional[tuple[Path, ...]]
    """Scenes, or folders of them."""
    out: Path
    """Folder of the data set; it gets one file per scene."""
    options: Annotated[CorrespondenceConfig, tyro.conf.arg(name="")] = field(
        default_factory=CorrespondenceConfig
    )

    def run(self) -> None:
        """Find the correspondences of one scene after the other, and print how many there are."""
        from latentfields.correspondences.make import correspond_one_by_one

        for scene in correspond_one_by_one(self.scenes, out=self.out, options=self.options):
            print(
                f"{scene.name}: {len(scene.points)} points in {len(scene)} pairs of {len(scene.images)} images "
                f"({scene.about['source']})"
            )


@dataclass(frozen=True, kw_only=True)
class FinetuneEncoder:
    """Fine-tune an autoencoder so that images give the same latents where they show the same point.

    Run the same command again to resume a training that was interrupted.
    """

    out: Path
    """Folder of the run; the result is in OUT/autoencoder."""
    correspondences: tuple[Path, ...]
    """Data sets written by `lrf correspond`."""
    held_out: tuple[Path, ...] = ()
    """Data sets of other scenes; OUT/metrics.json compares the original autoencoder with the result on them."""
    photos: tuple[Path, ...] = ()
    """Folders of photographs to go on reconstructing; without them, only what the scenes show is kept."""
    autoencoder: str = "base"
    """Packaged name, folder, or Hub id of a diffusers autoencoder to start from."""
    preset: EncoderPreset = "small"
    """Scale of the training: a minute, an hour or less on one CPU core, or the paper's."""
    settings: Settings = None
    checkpoint_seconds: CheckpointSeconds = 120.0
    tensorboard: TensorBoard = False
    device: Device = "auto"
    threads: Threads = 1
    training: Annotated[EncoderTrainingConfig, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands] = field(
        default_factory=EncoderTrainingConfig
    )

    @classmethod
    def starting_point(cls, arguments: Sequence[str]) -> FinetuneEncoder:
        """The training that --preset and --settings describe."""
        known = chosen(arguments, {"preset": EncoderPreset, "settings": Path})
        training = with_settings(PRESETS[known.get("preset", "small")], known.get("settings"))
        return cls(out=tyro.MISSING, correspondences=tyro.MISSING, training=training, **known)

    def run(self) -> None:
        """Train and say where the result is."""
        from latentfields.lrf.encoder.finetune import finetune_encoder
        from latentfields.training.loop import LoopConfig

        set_up(threads=self.threads, checkpoint_seconds=self.checkpoint_seconds)
        finetune_encoder(
            self.training,
            autoencoder=self.autoencoder,
            correspondences=self.correspondences,
            held_out=self.held_out,
            photos=self.photos,
            out=self.out,
            device=self.device,
            loop=LoopConfig(checkpoint_seconds=self.checkpoint_seconds, tensorboard=self.tensorboard),
        )
        print(self.out / "autoencoder")
