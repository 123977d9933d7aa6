"""The same fields in latent spaces of several resolutions: Table 14 of IG-AE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from latentfields.autoencoders.config import PatchAutoencoderConfig
from latentfields.bench.fields import (
    NERF_AND_SPACE,
    FieldsStudyConfig,
    first_pictures,
    fit_rows,
    measure_fits,
)
from latentfields.bench.rows import Measured, Pivot, Record, Value
from latentfields.bench.scales import AUTOENCODER_TRAININGS, FIELDS_SCALES
from latentfields.bench.study import Study, Workplace
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
class AutoencodersStudyConfig(FieldsStudyConfig):
    """Compare NeRFs in latent spaces of several resolutions: quality and times (IG-AE Table 14).

    Without --spaces, small autoencoders of factor 4, 8 and 16 are trained here, which keep as many values each.
    """

    kind: ClassVar[str] = "bench autoencoders"
    spaces: tuple[str, ...] = ()
    """Names or folders of autoencoders; trained here if none are given."""
    training_scenes: tuple[Path, ...] = ()
    """Scenes to train on. The scale tiny generates some if none are given."""
    training_photos: tuple[Path, ...] = ()
    """Photographs to train on. The scale tiny paints pictures if none are given."""

    @property
    def generates(self) -> bool:
        """True where data to train on is made here."""
        return self.scale == "tiny" and not self.training_scenes

    def named(self, out: Path) -> dict[str, str]:
        """Return names of the autoencoders, by name or folder."""
        trained = {str(out / FOLDER / name / "autoencoder"): name for name in ARCHITECTURES}
        return {name: name for name in self.spaces} or trained


def _read_inputs(config: AutoencodersStudyConfig, out: Path) -> None:
    from latentfields.autoencoders.image_data import load_training_images

    if "rgb" in config.spaces:
        raise ArgumentError("spaces", "has rgb, which is no autoencoder; see bench fields")
    if not config.spaces and not config.generates:
        if not (config.training_scenes and config.training_photos):
            raise ArgumentError(
                "spaces",
                "name autoencoders, or give `training_scenes` and `training_photos` to train some on",
            )
        if not is_claimed(out):
            size = AUTOENCODER_TRAININGS[config.scale].size
            load_training_images(config.training_photos, config.training_scenes, size=size)
    config.fits(config.named(out)).check()
    config.read_inputs(config.spaces)


def _settings(config: AutoencodersStudyConfig, out: Path) -> dict[Path, Any]:
    fits: dict[Path, Any] = {out: config.fits(config.named(out))}
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
    return [fit | labels[fit["space"]] for fit in measure_fits(config.fits(named), place)]


def _train(config: AutoencodersStudyConfig, place: Workplace) -> None:
    from latentfields.autoencoders.train import train_autoencoder
    from latentfields.bench.scenes import generated_data
    from latentfields.bench.trainings import LOOP, train

    folder = place.out / FOLDER
    scenes, photos = config.training_scenes, config.training_photos
    if config.generates:
        place.run(generated_data(folder, FIELDS_SCALES[config.scale].views), label="training data")
        scenes, photos = (folder / "scenes",), (folder / "photos",)
    training = partial(
        train_autoencoder,
        AUTOENCODER_TRAININGS[config.scale],
        photos=photos,
        scenes=scenes,
        device=place.device,
        loop=LOOP,
    )
    cells = {}
    for name, architecture in ARCHITECTURES.items():
        out = folder / name
        cells[f"train-{name}"] = partial(
            train, partial(training, architecture=architecture, out=out), out=out
        )
    place.run(cells, label="autoencoders")


def _rows(records: list[Record]) -> Measured:
    named = [
        {**record, "factor": f"{record['factor']}", "channels": f"{record['channels']}"} for record in records
    ]
    return fit_rows(named)


AUTOENCODERS = Study(
    name="autoencoders",
    config=AutoencodersStudyConfig,
    title="Autoencoders of several resolutions",
    about="The same fields, of objects that nothing was trained on, in latent spaces of several resolutions.",
    read_inputs=_read_inputs,
    settings=_settings,
    measure=_measure,
    rows=_rows,
    tables=(
        Pivot(
            "Decoded novel views (PSNR) and times, by autoencoder",
            {**NERF_AND_SPACE, "factor": "factor", "channels": "channels"},
            (
                Value("autoencoder_psnr", "autoencoder alone, dB"),
                Value("supervision_psnr", "after Latent Supervision, dB"),
                Value("psnr", "after RGB Alignment, dB"),
                Value("lpips", "LPIPS (alex)", ".3f", optional=True),
                Value("lpips_vgg", "LPIPS (VGG)", ".3f", optional=True),
                Value("cpu_seconds", "training, CPU s"),
                Value("render_milliseconds", "rendering, ms"),
                Value("frame_milliseconds", "with decoding, ms"),
            ),
        ),
    ),
    pictures=first_pictures,
    results_file="autoencoders.json",
    page="autoencoders",
)
