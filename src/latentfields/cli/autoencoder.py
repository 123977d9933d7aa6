"""`latentfields autoencoder`: train and evaluate autoencoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from latentfields.autoencoders.config import (
    PRESETS,
    AutoencoderPreset,
    AutoencoderTrainingConfig,
    PatchAutoencoderConfig,
)
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
from latentfields.errors import ArgumentError, InputError


@dataclass(frozen=True, kw_only=True)
class Train:
    """Train a small autoencoder on photographs and rendered scenes.

    Run the same command again to resume a training that was interrupted.
    """

    out: Path
    """Folder of the run; the result is in OUT/autoencoder."""
    photos: tuple[Path, ...] = ()
    """Folders of photographs."""
    scenes: tuple[Path, ...] = ()
    """Scenes, or folders of scenes."""
    start: str | None = None
    """Packaged name or folder of an autoencoder to continue from, whose architecture stays, instead of the best
    linear codec."""
    preset: AutoencoderPreset = "small"
    """Scale of the training: a minute or a few hours of one CPU core."""
    settings: Settings = None
    checkpoint_seconds: CheckpointSeconds = 30.0
    tensorboard: TensorBoard = False
    device: Device = "auto"
    threads: Threads = 1
    architecture: PatchAutoencoderConfig = field(default_factory=PatchAutoencoderConfig)
    training: Annotated[AutoencoderTrainingConfig, tyro.conf.arg(name="")] = field(
        default_factory=AutoencoderTrainingConfig
    )

    @classmethod
    def starting_point(cls, arguments: Sequence[str]) -> Train:
        """The training that --preset and --settings describe."""
        known = chosen(arguments, {"preset": AutoencoderPreset, "settings": Path})
        training = with_settings(PRESETS[known.get("preset", "small")], known.get("settings"))
        return cls(out=tyro.MISSING, training=training, **known)

    def run(self) -> None:
        """Train and say where the result is."""
        from latentfields.autoencoders.train import train_autoencoder
        from latentfields.training.loop import LoopConfig

        set_up(threads=self.threads, checkpoint_seconds=self.checkpoint_seconds)
        train_autoencoder(
            self.training,
            photos=self.photos,
            scenes=self.scenes,
            out=self.out,
            architecture=None if self.architecture == PatchAutoencoderConfig() else self.architecture,
            start=self.start,
            device=self.device,
            loop=LoopConfig(checkpoint_seconds=self.checkpoint_seconds, tensorboard=self.tensorboard),
        )
        print(self.out / "autoencoder")


@dataclass(frozen=True, kw_only=True)
class Grow:
    """Give an autoencoder more residual blocks or more channels, which change nothing until it is trained on.

    What follows, such as `finetune-3d` or `lrf finetune-encoder`, starts where the autoencoder is and has more to learn
    with.
    """

    name: tyro.conf.Positional[str]
    """Packaged name or folder of an autoencoder of this package."""
    blocks: tuple[int, ...] | None = None
    """Residual blocks per level, in the encoder and again in the decoder: as many as there are, or more. Unless given,
    as many."""
    channels: int | None = None
    """Latent channels: as many as there are, or more; the training that follows measures their spread. Unless given, as
    many."""
    out: Path
    """Folder of the result. It must not exist."""

    def run(self) -> None:
        """Write the larger autoencoder and say where it is."""
        from latentfields.autoencoders.load import load_autoencoder

        if self.blocks is None and self.channels is None:
            raise ArgumentError("blocks", "are not given, nor channels; expected more of either")
        _require_new(self.out)
        grown = load_autoencoder(self.name).grown(
            blocks=self.blocks, channels=self.channels, name=str(self.out)
        )
        grown.save(self.out)
        print(self.out)


@dataclass(frozen=True, kw_only=True)
class Halve:
    """Round the weights of an autoencoder to half precision: half of the bytes, for nearly the same function.

    The last step before weights are given away. Training goes on in float32 from either.
    """

    name: tyro.conf.Positional[str]
    """Packaged name or folder of an autoencoder of this package."""
    out: Path
    """Folder of the result. It must not exist."""

    def run(self) -> None:
        """Write the rounded autoencoder and say where it is."""
        from latentfields.autoencoders.load import load_autoencoder

        _require_new(self.out)
        load_autoencoder(self.name).rounded(name=str(self.out)).save(self.out)
        print(self.out)


def _require_new(out: Path) -> None:
    """Raise InputError for a folder that is there."""
    if out.exists():
        raise InputError(out, "exists already; choose another folder")


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score the reconstructions of an autoencoder on photographs or scenes, beside the linear codec of its size."""

    name: tyro.conf.Positional[str]
    """Packaged name, folder, or Hub id of a diffusers autoencoder."""
    photos: tuple[Path, ...] = ()
    """Folders of photographs; the central square of each, downscaled, is scored."""
    scenes: tuple[Path, ...] = ()
    """Scenes, or folders of scenes; all their views are scored, on white."""
    pattern: str = "*"
    """Only photographs whose file name matches, such as 'test_*'."""
    limit: int | None = None
    """Score at most so many images of each kind, the first ones by name."""
    size: int = 128
    """Side of the images, in pixels."""
    codec_photos: tuple[Path, ...] = ()
    """Folders of the photographs that the linear codec is fitted on; without them it is left out."""
    device: Device = "auto"
    json: bool = False
    """Print JSON."""

    def run(self) -> None:
        """Evaluate and print."""
        from latentfields.autoencoders.evaluate import evaluate_autoencoder, summary_lines

        scores = evaluate_autoencoder(
            self.name,
            photos=self.photos,
            scenes=self.scenes,
            pattern=self.pattern,
            limit=self.limit,
            size=self.size,
            codec_photos=self.codec_photos,
            device=self.device,
        )
        print_result(scores, summary_lines(scores), json=self.json)
