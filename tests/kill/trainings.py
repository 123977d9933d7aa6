"""Every kind of training at its smallest, as a command, and which of its files have to be the same in every run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentfields.training.checkpoint import load_tensors

STORED = Path(__file__).parents[1] / "stored"
AUTOENCODER = STORED / "autoencoders" / "patch"
SPHERE = STORED / "scenes" / "sphere"
PHOTOS = STORED / "photos"
MUGS = STORED / "scenes" / "mugs"

Command = Callable[[Path], tuple[object, ...]]
"""The command, without its folder, for a folder with its inputs."""


@dataclass(frozen=True)
class Training:
    """One kind of training."""

    name: str
    command: Command
    write: Callable[[Path], object] = lambda inputs: None
    """Write inputs that are not stored."""
    often: bool = True
    """It takes the option to write a checkpoint after every step."""
    on_device: bool = True
    """It takes the name of a device."""

    def prepare(self, folder: Path) -> None:
        """Write the inputs into a folder."""
        (folder / "inputs").mkdir(parents=True)
        self.write(folder / "inputs")

    def arguments(self, folder: Path, out: Path) -> tuple[str, ...]:
        """The whole command: trainings write a checkpoint after every step."""
        often = ("--checkpoint-seconds", "0") if self.often else ()
        device = ("--device", "cpu") if self.on_device else ()
        return (*map(str, self.command(folder / "inputs")), "--out", str(out), *often, *device)

    def results(self, out: Path) -> dict[str, bytes]:
        """All files of a folder, hidden ones too, with their contents; without times, memory and the folder's name.

        Of pages and tables, which show times, and of films the names alone: x264 makes other bytes of the same frames
        now and then where pictures are as small as these.
        """
        return {
            file.relative_to(out).as_posix(): _without_times(file).replace(str(out).encode(), b"")
            for file in sorted(out.rglob("*"))
            if not file.is_dir()
        }


def _without_times(file: Path) -> bytes:
    match file.suffix:
        case ".json":
            return json.dumps(_stripped(json.loads(file.read_text()))).encode()
        case ".jsonl":
            records = [_stripped(json.loads(line)) for line in file.read_text().splitlines()]
            return json.dumps(records).encode()
        case ".html" | ".md" | ".mp4":
            return b""
        case ".safetensors" if file.name == "checkpoint.safetensors":
            tensors, metadata = load_tensors(file)
            values = [(name, str(tensors[name].dtype), tensors[name].tolist()) for name in sorted(tensors)]
            return json.dumps([values, _stripped(metadata)]).encode()
    return file.read_bytes()


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stripped(item) for name, item in value.items() if not _measured(name)}
    return [_stripped(item) for item in value] if isinstance(value, list) else value


def _measured(name: str) -> bool:
    return any(word in name for word in ("seconds", "memory", "time", "folder", "log_bytes", "wait"))


def _fit(name: str, run: str, *, space: str = "latent") -> Training:
    """A fit with the settings of a stored run, and few steps."""

    def write(inputs: Path) -> None:
        settings = json.loads((STORED / "runs" / run / "config.json").read_text())["fit"]
        for stage in ("supervision", "alignment"):
            settings[stage]["steps"] = 5
        settings["batch_images"], settings["batch_rays"] = 1, 128
        (inputs / "settings.json").write_text(json.dumps(settings))

    def command(inputs: Path) -> tuple[object, ...]:
        autoencoder = ("--autoencoder", AUTOENCODER) if space != "rgb" else ()
        return ("fit", SPHERE, "--space", space, *autoencoder, "--settings", inputs / "settings.json")

    return Training(name, command, write)


def _correspond(inputs: Path) -> tuple[object, ...]:
    return ("lrf", "correspond", STORED / "scenes" / "corner", inputs / "again")


def _two_corners(inputs: Path) -> None:
    shutil.copytree(STORED / "scenes" / "corner", inputs / "again")


def _correspondences(inputs: Path) -> None:
    from latentfields.correspondences.make import correspond

    shutil.copytree(STORED / "scenes" / "corner", inputs / "corner")
    correspond([inputs / "corner"], out=inputs / "set")


def _autoencoder(inputs: Path) -> tuple[object, ...]:
    return (
        *("autoencoder", "train", "--photos", PHOTOS, "--scenes", SPHERE, "--size", 32, "--steps", 8),
        *("--photos-per-batch", 2, "--renders-per-batch", 2, "--architecture.channels", 4),
        *("--architecture.patch", 2, "--architecture.widths", 8, 8, "--architecture.blocks", 1, 1),
    )


def _finetune_3d(inputs: Path) -> tuple[object, ...]:
    return (
        *("autoencoder", "finetune-3d", "--scenes", MUGS, "--photos", PHOTOS, "--autoencoder", AUTOENCODER),
        *("--preset", "tiny", "--size", 32, "--pretraining.epochs", 2, "--joint.epochs", 1),
        *("--scenes.resolution", 8),
    )


def _finetune_encoder(inputs: Path) -> tuple[object, ...]:
    return (
        *("lrf", "finetune-encoder", "--correspondences", inputs / "set", "--photos", PHOTOS),
        *("--autoencoder", AUTOENCODER, "--size", 32, "--steps", 8, "--photos-per-batch", 2),
    )


def _align_decoder(inputs: Path) -> tuple[object, ...]:
    return (
        *("lrf", "align-decoder", MUGS, "--autoencoder", AUTOENCODER, "--photos", PHOTOS, "--crop", 32),
        *("--fit-steps", 4, "--steps", 5, "--photos-per-batch", 2),
    )


def _prior(inputs: Path) -> tuple[object, ...]:
    return (
        *(
            "prior",
            "train",
            MUGS,
            "--autoencoder",
            AUTOENCODER,
            "--size",
            32,
            "--preset",
            "tiny",
            "--steps",
            8,
        ),
        *("--batch", 4, "--network.widths", 16, 16, "--network.head-width", 8, "--timesteps", 50),
    )


_SMALL_PLANES = (
    *("--planes.resolution", 8, "--planes.micro-features", 2, "--planes.macro-features", 3),
    *("--planes.base-planes", 2, "--planes.hidden", 8, "--planes.subpixel-width", 4),
)


def _collection(inputs: Path) -> tuple[object, ...]:
    return (
        *("collection", "fit", MUGS, "--autoencoder", AUTOENCODER, "--preset", "tiny", "--size", 32),
        *(*_SMALL_PLANES, "--warmup.epochs", 2, "--joint.epochs", 1),
    )


def _study(inputs: Path) -> tuple[object, ...]:
    return ("bench", "fields", "--scale", "tiny", "--seeds", 1, "--fields", "triplane", "--families", "vases")


TRAININGS: Mapping[str, Training] = {
    training.name: training
    for training in (
        _fit("fit-proposal", "proposal"),
        _fit("fit-kplanes", "kplanes"),
        _fit("fit-tensorf", "tensorf"),
        _fit("fit-instant-ngp", "instant-ngp"),
        _fit("fit-vanilla", "vanilla"),
        _fit("fit-gaussians", "gaussians"),
        _fit("fit-rgb", "rgb", space="rgb"),
        _fit("fit-both", "kplanes", space="both"),
        Training("autoencoder", _autoencoder),
        Training("finetune-3d", _finetune_3d),
        Training("correspond", _correspond, _two_corners, often=False, on_device=False),
        Training("finetune-encoder", _finetune_encoder, _correspondences),
        Training("align-decoder", _align_decoder),
        Training("prior", _prior),
        Training("collection", _collection),
        Training("study", _study, often=False),
    )
}
"""Every kind of training, by name."""
