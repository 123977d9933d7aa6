"""`latentfields lrf align-decoder`: one decoder for the latent fields of many scenes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from latentfields.cli.options import (
    Address,
    CheckpointSeconds,
    Device,
    EngineName,
    Settings,
    TensorBoard,
    Threads,
    chosen,
    cluster,
    set_up,
    with_settings,
)
from latentfields.config.checks import require_at_least
from latentfields.fields.config import FieldName
from latentfields.latent_nerf.presets import PresetName
from latentfields.lrf.decoder.config import PRESETS, DecoderTrainingConfig, latent_field_config


@dataclass(frozen=True, kw_only=True)
class AlignDecoder:
    """Fine-tune a decoder on what latent fields of many scenes render (LRF Sec. 4.3, Eq. 11); the encoder stays.

    A field is fitted to the latents of each scene's training views. The decoder then learns to decode its renderings
    of those views and of novel ones: the views in the scene's splits val and test, or every eighth where it has none.
    Scenes that are used here can therefore not be used to test the result.
    Run the same command again to resume; scenes that are finished are not fitted again.
    """

    scenes: tyro.conf.Positional[tuple[Path, ...]]
    """Scenes, or folders of scenes."""
    out: Path
    """Folder of the run; the result is in OUT/autoencoder."""
    photos: tuple[Path, ...] = ()
    """Folders of photographs to go on decoding as before; without them, only the views of the scenes are."""
    autoencoder: str = "base"
    """Packaged name, folder, or Hub id: usually the result of `lrf finetune-encoder`."""
    field: FieldName = "gaussians"
    """Representation of the scenes."""
    other_fields: tuple[FieldName, ...] = ()
    """Representations that every scene is fitted by as well: the decoder learns the renderings of all."""
    preset: PresetName = "small"
    """Settings of fits and training: `small` for one CPU core, `paper` for a GPU (Eq. 11 with the losses and rates of
    LRF's App. A.3)."""
    settings: Settings = None
    fit_steps: int | None = None
    """Steps of every fit; by default all those of the preset."""
    subpixels: int = 1
    """Rendered features per latent along one side: 1, the paper's, or an even number, mixed by a learned projection."""
    size: int | None = None
    """Resize images so that their longer side has this many pixels; by default they keep their size."""
    processes: int = 1
    """Scenes that are fitted at once on this machine; of several, each has another GPU where there are some."""
    engine: EngineName = "local"
    address: Address = None
    checkpoint_seconds: CheckpointSeconds = 30.0
    tensorboard: TensorBoard = False
    device: Device = "auto"
    threads: Threads = 1
    training: Annotated[DecoderTrainingConfig, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands] = (
        dataclasses.field(default_factory=DecoderTrainingConfig)
    )

    @classmethod
    def starting_point(cls, arguments: Sequence[str]) -> AlignDecoder:
        """The alignment that --preset and --settings describe."""
        known = chosen(arguments, {"preset": PresetName, "settings": Path})
        training = with_settings(PRESETS[known.get("preset", "small")], known.get("settings"))
        return cls(scenes=tyro.MISSING, out=tyro.MISSING, training=training, **known)

    def run(self) -> None:
        """Fit, train, and say where the result is."""
        from latentfields.lrf.decoder.align import align_decoder
        from latentfields.training.loop import LoopConfig

        set_up(threads=self.threads, checkpoint_seconds=self.checkpoint_seconds)
        if self.fit_steps is not None:
            require_at_least("fit_steps", self.fit_steps, 1)
        fits = [
            latent_field_config(
                field,
                self.preset,
                steps=self.fit_steps,
                subpixels=self.subpixels,
                seed=self.training.seed,
            )
            for field in (self.field, *self.other_fields)
        ]
        align_decoder(
            self.training,
            scenes=self.scenes,
            autoencoder=self.autoencoder,
            size=self.size,
            photos=self.photos,
            fit=fits[0],
            other_fits=fits[1:],
            out=self.out,
            device=self.device,
            processes=self.processes,
            engine=cluster(
                self.engine,
                self.address,
                chosen=self.processes != 1,
                threads=self.threads,
                device=self.device,
            ),
            loop=LoopConfig(checkpoint_seconds=self.checkpoint_seconds, tensorboard=self.tensorboard),
        )
        print(self.out / "autoencoder")
