"""The same fields in latent spaces of several resolutions: Table 14 of IG-AE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from latentfields.autoencoders.config import PatchAutoencoderConfig
from latentfields.bench.fields import COSTS, FieldsStudyConfig
from latentfields.bench.objects import NERF_AND_SPACE, TrainingStudy
from latentfields.bench.rows import Pivot, Value, lpips
from latentfields.bench.scales import AUTOENCODER_TRAININGS
from latentfields.bench.study import Workplace
from latentfields.config.typed_json import to_json
from latentfields.errors import ArgumentError
from latentfields.training.runs import is_claimed

ARCHITECTURES: Mapping[str, PatchAutoencoderConfig] = {
    "f4": PatchAutoencoderConfig(channels=4, widths=(64,), blocks=(4,)),
    "f8": PatchAutoencoderConfig(channels=16, widths=(64, 128), blocks=(2, 2)),
    "f16": PatchAutoencoderConfig(channels=64, widths=(64, 128, 128), blocks=(2, 2, 2)),
}
"""Autoencoders of factor 4, 8 and 16. All keep one value in twelve: what differs is how many pixels share a latent."""

FOLDER = "autoencoders"
"""In the study's folder: what was trained."""

SIZES = {"factor": "factor", "channels": "channels"}


@dataclass(frozen=True, kw_only=True)
class AutoencodersStudyConfig(FieldsStudyConfig, TrainingStudy):
    """Compare NeRFs in latent spaces of several resolutions: quality and times (IG-AE Table 14).

    Without --spaces, small autoencoders of factor 4, 8 and 16 are trained here, which keep as many values each.
    """

    kind: ClassVar[str] = "bench autoencoders"
    title = "Autoencoders of several resolutions"
    about = (
        "The same fields, of objects that nothing was trained on, in latent spaces of several resolutions."
    )
    results_file = "autoencoders.json"
    page = "autoencoders"
    numbered = ("seed", *SIZES)
    tables = (
        Pivot(
            "Decoded novel views (PSNR) and times, by autoencoder",
            {**NERF_AND_SPACE, **SIZES},
            (
                Value("autoencoder_psnr", "autoencoder alone, dB"),
                Value("supervision_psnr", "after Latent Supervision, dB"),
                Value("psnr", "after RGB Alignment, dB"),
                *lpips(),
                *COSTS,
            ),
        ),
    )

    spaces: tuple[str, ...] = ()
    """Names or folders of autoencoders; trained here if none are given."""

    def check(self, path: str = "") -> None:
        """Raise ArgumentError, naming the argument, when a value is out of range."""
        super().check(path)
        if "rgb" in self.spaces:
            raise ArgumentError("spaces", "has rgb, which is no autoencoder; see bench fields")
        if not self.spaces and not self.can_train:
            problem = "name autoencoders, or give `training_scenes` and `training_photos` to train some on"
            raise ArgumentError("spaces", problem)

    def read_inputs(self, out: Path) -> None:
        """Raise InputError for objects, autoencoders and training data that cannot be used."""
        from latentfields.autoencoders.image_data import load_training_images

        if not self.spaces and not self.generates and not is_claimed(out):
            size = AUTOENCODER_TRAININGS[self.scale].size
            load_training_images(self.training_photos, self.training_scenes, size=size)
        self.read_objects(self.spaces)

    def named(self, out: Path) -> dict[str, str]:
        """Return names of the autoencoders, by name or folder."""
        trained = {str(out / FOLDER / name / "autoencoder"): name for name in ARCHITECTURES}
        return {name: name for name in self.spaces} or trained

    def settings(self, out: Path) -> dict[Path, Any]:
        """Return what determines the fits; where autoencoders are trained, also the data, beside them."""
        fits: dict[Path, Any] = {out: FieldsStudyConfig.of(self, self.named(out))}
        if self.spaces:
            return fits
        names = ("spaces", "training_scenes", "training_photos")
        return fits | {out / FOLDER: {name: to_json(getattr(self, name)) for name in names}}

    def measure(self, place: Workplace) -> list[dict[str, Any]]:
        """Return the scores of every fit, labelled by names and sizes of the autoencoders."""
        from latentfields.autoencoders.load import load_autoencoder
        from latentfields.autoencoders.train import train_autoencoder
        from latentfields.bench.trainings import train_missing, training_options

        if not self.spaces:
            folder, training = place.out / FOLDER, AUTOENCODER_TRAININGS[self.scale]
            train = partial(train_autoencoder, training, **training_options(self, place, folder))
            trainings = {name: partial(train, architecture=kind) for name, kind in ARCHITECTURES.items()}
            train_missing(place, folder, trainings, label="autoencoders")
        labels = {}
        for space, name in self.named(place.out).items():
            autoencoder = load_autoencoder(space)
            labels[space] = {"space": name, "factor": autoencoder.factor, "channels": autoencoder.channels}
        return [fit | labels[fit["space"]] for fit in FieldsStudyConfig.of(self, labels).measure(place)]
