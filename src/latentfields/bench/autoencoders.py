"""The same fields in latent spaces of several resolutions: Table 14 of IG-AE."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from latentfields.autoencoders.config import PatchAutoencoderConfig
from latentfields.bench.fields import (
    COSTS,
    NERF_AND_SPACE,
    FieldsStudyConfig,
    first_pictures,
    fit_rows,
    measure_fits,
)
from latentfields.bench.options import ObjectsConfig, TrainingDataConfig
from latentfields.bench.rows import Measured, Pivot, Record, Value, lpips
from latentfields.bench.scales import AUTOENCODER_TRAININGS
from latentfields.bench.study import Study, Workplace, missing_measures
from latentfields.config.typed_json import to_json
from latentfields.errors import ArgumentError
from latentfields.training.runs import is_claimed

ARCHITECTURES: Mapping[str, PatchAutoencoderConfig] = MappingProxyType(
    {
        "f4": PatchAutoencoderConfig(channels=4, widths=(64,), blocks=(4,)),
        "f8": PatchAutoencoderConfig(channels=16, widths=(64, 128), blocks=(2, 2)),
        "f16": PatchAutoencoderConfig(channels=64, widths=(64, 128, 128), blocks=(2, 2, 2)),
    }
)
"""Autoencoders of factor 4, 8 and 16. All keep one value in twelve: what differs is how many pixels share a latent."""

FOLDER = "autoencoders"
"""In the study's folder: what was trained."""


@dataclass(frozen=True, kw_only=True)
class AutoencodersStudyConfig(FieldsStudyConfig, TrainingDataConfig):
    """Compare NeRFs in latent spaces of several resolutions: quality and times (IG-AE Table 14).

    Without --spaces, small autoencoders of factor 4, 8 and 16 are trained here, which keep as many values each.
    """

    kind: ClassVar[str] = "bench autoencoders"
    spaces: tuple[str, ...] = ()
    """Names or folders of autoencoders; trained here if none are given."""

    def check(self, path: str = "") -> None:
        """Raise ArgumentError, naming the argument, when a value is out of range."""
        ObjectsConfig.check(self, path)
        if "rgb" in self.spaces:
            raise ArgumentError("spaces", "has rgb, which is no autoencoder; see bench fields")
        if not self.spaces and not self.can_train:
            problem = "name autoencoders, or give `training_scenes` and `training_photos` to train some on"
            raise ArgumentError("spaces", problem)

    def named(self, out: Path) -> dict[str, str]:
        """Return names of the autoencoders, by name or folder."""
        trained = {str(out / FOLDER / name / "autoencoder"): name for name in ARCHITECTURES}
        return {name: name for name in self.spaces} or trained


def _read_inputs(config: AutoencodersStudyConfig, out: Path) -> None:
    from latentfields.autoencoders.image_data import load_training_images

    if not config.spaces and not config.generates and not is_claimed(out):
        size = AUTOENCODER_TRAININGS[config.scale].size
        load_training_images(config.training_photos, config.training_scenes, size=size)
    config.read_inputs(config.spaces)


def _settings(config: AutoencodersStudyConfig, out: Path) -> dict[Path, Any]:
    fits: dict[Path, Any] = {out: FieldsStudyConfig.of(config, config.named(out))}
    if config.spaces:
        return fits
    names = ("spaces", "training_scenes", "training_photos")
    return fits | {out / FOLDER: {name: to_json(getattr(config, name)) for name in names}}


def _measure(config: AutoencodersStudyConfig, place: Workplace) -> list[dict[str, Any]]:
    """Return the scores of every fit, labelled by names and sizes of the autoencoders, trained where none are given."""
    from latentfields.autoencoders.load import load_autoencoder

    named = config.named(place.out)
    if not config.spaces:
        _train(config, place)
    labels = {}
    for space, name in named.items():
        autoencoder = load_autoencoder(space)
        labels[space] = {"space": name, "factor": autoencoder.factor, "channels": autoencoder.channels}
    fits = measure_fits(FieldsStudyConfig.of(config, named), place)
    return [fit | labels[fit["space"]] for fit in fits]


def _train(config: AutoencodersStudyConfig, place: Workplace) -> None:
    from latentfields.autoencoders.train import train_autoencoder
    from latentfields.bench.trainings import LOOP, train_missing, training_data

    folder, training = place.out / FOLDER, AUTOENCODER_TRAININGS[config.scale]
    scenes, photos = training_data(config, place, folder)
    train = partial(train_autoencoder, training, photos=photos, scenes=scenes, device=place.device, loop=LOOP)
    trainings = {name: partial(train, architecture=kind) for name, kind in ARCHITECTURES.items()}
    train_missing(place, folder, trainings, label="autoencoders")


def _rows(records: Iterable[Record]) -> Measured:
    # Sizes are labels, though they are numbers.
    return fit_rows({**record, **{size: str(record[size]) for size in SIZES}} for record in records)


SIZES = {"factor": "factor", "channels": "channels"}

AUTOENCODERS = Study(
    name="autoencoders",
    config=AutoencodersStudyConfig,
    title="Autoencoders of several resolutions",
    about="The same fields, of objects that nothing was trained on, in latent spaces of several resolutions.",
    read_inputs=_read_inputs,
    settings=_settings,
    measure=_measure,
    rows=_rows,
    notes=missing_measures,
    tables=(
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
    ),
    pictures=first_pictures,
    results_file="autoencoders.json",
    page="autoencoders",
)
