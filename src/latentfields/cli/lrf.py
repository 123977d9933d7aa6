"""`latentfields lrf correspond` and `finetune-encoder`: correspondence-aware autoencoding (LRF Sec. 4.1)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from latentfields.lrf.correspondences.config import CorrespondenceOptions, Weighting

if TYPE_CHECKING:
    from latentfields.lrf.encoder.config import EncoderFinetuning


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
    options: Annotated[CorrespondenceOptions, tyro.conf.arg(name="")] = field(
        default_factory=CorrespondenceOptions
    )

    def run(self) -> None:
        """Find the correspondences of one scene after the other, and print how many there are."""
        from latentfields.lrf.correspondences.make import correspond

        for scene in correspond(self.scenes, out=self.out, options=self.options):
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
    preset: Literal["tiny", "small", "paper"] = "small"
    """Scale of the training: a minute, an hour or less on one CPU core, or the paper's."""
    weighting: Weighting | None = None
    """Whether wide baselines weigh more, as in the paper, or narrow ones, instead of the preset's."""
    settings: Path | None = None
    """JSON file of settings that differ from the preset, as in "training" of a run's config.json."""
    steps: int | None = None
    """Optimiser steps, instead of the preset's."""
    seed: int | None = None
    """Seed of batches and noise; by default the preset's, 0."""
    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1, or auto: the first GPU if there is one."""
    checkpoint_seconds: float = 120.0
    """Seconds between checkpoints."""
    threads: int = 1
    """Threads inside tensor operations."""

    def run(self) -> None:
        """Train and say where the result is."""
        from latentfields.lrf.encoder.finetune import finetune_encoder
        from latentfields.process import set_threads
        from latentfields.training.loop import LoopOptions

        set_threads(self.threads)
        finetune_encoder(
            self.configuration(),
            autoencoder=self.autoencoder,
            correspondences=self.correspondences,
            held_out=self.held_out,
            photos=self.photos,
            out=self.out,
            device=self.device,
            loop=LoopOptions(checkpoint_seconds=self.checkpoint_seconds),
        )
        print(self.out / "autoencoder")

    def configuration(self) -> EncoderFinetuning:
        """The preset with everything that was asked for. Raises InputError for settings that do not fit."""
        from latentfields.config.typed_json import with_changes
        from latentfields.files import read_json
        from latentfields.lrf.encoder.config import PRESETS

        config = PRESETS[self.preset]
        if self.settings is not None:
            config = with_changes(config, read_json(self.settings), source=self.settings)
        asked = {"weighting": self.weighting, "steps": self.steps, "seed": self.seed}
        return replace(config, **{name: value for name, value in asked.items() if value is not None})  # type: ignore[arg-type]
