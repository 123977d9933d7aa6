"""Every kind of training at its smallest, as a command, and which of its files have to be the same in every run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.commands import small_fit

STORED = Path(__file__).parents[1] / "stored"
AUTOENCODER = STORED / "autoencoders" / "patch"
SPHERE = STORED / "scenes" / "sphere"
PHOTOS = STORED / "photos"


@dataclass(frozen=True)
class Training:
    """One kind of training."""

    name: str
    command: Callable[[Path], tuple[object, ...]]
    """The command, without its folder, for a folder with its inputs."""
    compared: tuple[str, ...] = ("autoencoder/*",)
    """Patterns of the files that are compared."""
    write: Callable[[Path], object] = lambda inputs: None
    """Write inputs that are not stored."""

    def prepare(self, folder: Path) -> None:
        """Write the inputs into a folder."""
        (folder / "inputs").mkdir(parents=True)
        self.write(folder / "inputs")

    def arguments(self, folder: Path, out: Path) -> tuple[str, ...]:
        """The whole command: trainings write a checkpoint after every step."""
        often = () if self.name == "study" else ("--checkpoint-seconds", "0")
        device = ("--device", "cpu")
        return (*map(str, self.command(folder / "inputs")), "--out", str(out), *often, *device)

    def results(self, out: Path) -> dict[str, bytes]:
        """The contents of all files that are compared, times and memory left out of those that have some."""
        files = [file for pattern in self.compared for file in sorted(out.glob(pattern))]
        return {
            file.relative_to(out).as_posix(): _without_times(file)
            if file.name == "results.json"
            else file.read_bytes()
            for file in files
        }


def _without_times(file: Path) -> bytes:
    return json.dumps(_stripped(json.loads(file.read_text()))).encode()


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stripped(item) for name, item in value.items() if not _measured(name)}
    return [_stripped(item) for item in value] if isinstance(value, list) else value


def _measured(name: str) -> bool:
    return any(word in name for word in ("seconds", "memory", "time", "folder"))


def _correspondences(inputs: Path) -> None:
    from latentfields.lrf.correspondences.make import correspond

    shutil.copytree(STORED / "scenes" / "corner", inputs / "corner")
    list(correspond([inputs / "corner"], out=inputs / "set"))


_RUN = ("model.safetensors", "decoder/*")

TRAININGS: Mapping[str, Training] = {
    training.name: training
    for training in (
        Training(
            "fit-nerf",
            lambda inputs: (
                *("fit", SPHERE, "--autoencoder", AUTOENCODER, "--batch-images", 2),
                *small_fit(supervision=30, alignment=30),
            ),
            _RUN,
        ),
        Training(
            "fit-gaussians",
            lambda inputs: (
                *(
                    "fit",
                    SPHERE,
                    "--autoencoder",
                    AUTOENCODER,
                    "--field",
                    "gaussians",
                    "--field.initial",
                    200,
                ),
                *("--supervision.steps", 30, "--alignment.steps", 30, "--batch-images", 2),
            ),
            _RUN,
        ),
        Training(
            "autoencoder",
            lambda inputs: (
                *(
                    "autoencoder",
                    "train",
                    "--photos",
                    PHOTOS,
                    "--scenes",
                    SPHERE,
                    "--size",
                    32,
                    "--steps",
                    40,
                ),
                *("--photos-per-batch", 2, "--renders-per-batch", 2, "--architecture.channels", 4),
                *("--architecture.patch", 2, "--architecture.widths", 8, 8, "--architecture.blocks", 1, 1),
            ),
        ),
        Training(
            "finetune-3d",
            lambda inputs: (
                *("autoencoder", "finetune-3d", "--scenes", STORED / "scenes" / "mugs", "--photos", PHOTOS),
                *(
                    "--autoencoder",
                    AUTOENCODER,
                    "--preset",
                    "tiny",
                    "--size",
                    32,
                    "--pretraining.epochs",
                    2,
                    "--joint.epochs",
                    1,
                    "--scenes.resolution",
                    8,
                ),
            ),
        ),
        Training(
            "finetune-encoder",
            lambda inputs: (
                *("lrf", "finetune-encoder", "--correspondences", inputs / "set", "--photos", PHOTOS),
                *("--autoencoder", AUTOENCODER, "--size", 32, "--steps", 30, "--photos-per-batch", 2),
            ),
            write=_correspondences,
        ),
        Training(
            "align-decoder",
            lambda inputs: (
                *("lrf", "align-decoder", STORED / "scenes" / "mugs", "--autoencoder", AUTOENCODER),
                *(
                    "--photos",
                    PHOTOS,
                    "--fit-steps",
                    20,
                    "--crop",
                    32,
                    "--steps",
                    30,
                    "--photos-per-batch",
                    2,
                ),
            ),
        ),
        Training(
            "prior",
            lambda inputs: (
                *("prior", "train", STORED / "scenes" / "mugs", "--autoencoder", AUTOENCODER, "--size", 32),
                *("--preset", "tiny", "--steps", 30, "--batch", 4, "--network.widths", 16, 16),
                *("--network.head-width", 8, "--timesteps", 50),
            ),
            ("prior/*",),
        ),
        Training(
            "study",
            lambda inputs: (
                *(
                    "bench",
                    "fields",
                    "--scale",
                    "tiny",
                    "--seeds",
                    1,
                    "--fields",
                    "triplane",
                    "--families",
                    "vases",
                ),
            ),
            ("results.json", "cells/*.png"),
        ),
    )
}
"""Every kind of training, by name."""
