"""`load_autoencoder`: a packaged name, a local folder, or the Hub id of a diffusers autoencoder."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import STATISTICS_FILE, Autoencoder, Codec, LatentStatistics
from latentfields.autoencoders.diffusers_codec import SUPPORTED_CLASSES, load_diffusers
from latentfields.autoencoders.patch import CLASS_FIELD, CONFIG_FILE, PatchAutoencoder
from latentfields.autoencoders.pixels import PixelCodec
from latentfields.config.arguments import checked
from latentfields.errors import InputError
from latentfields.files import read_json

Loader = Callable[[Path], Codec]
"""Reads the network in a folder. Raises InputError for missing or unfitting files."""


def _load_diffusers_folder(folder: Path) -> Codec:
    return load_diffusers(str(folder))[0]


CLASSES: Mapping[str, Loader] = MappingProxyType(
    {
        PatchAutoencoder.__name__: PatchAutoencoder.load,
        **dict.fromkeys(SUPPORTED_CLASSES, _load_diffusers_folder),
        PixelCodec.__name__: PixelCodec.load,
    }
)
"""The loader of every class of autoencoders, by its name in config.json."""

_LARGEST = 1e30
"""Of latent statistics; larger ones, and NaN, are no measurements."""

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*")


def packaged_autoencoders() -> dict[str, Path]:
    """Names of the autoencoders that come with the package, and their folders."""
    root = Path(str(resources.files("latentfields"))) / "weights"
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{CONFIG_FILE}"))}


def located(name: str) -> str:
    """A name that means the same in every working directory: of a local folder its whole path, else `name`."""
    if name in packaged_autoencoders() or not Path(name).is_dir():
        return name
    return str(Path(name).resolve())


@checked
def load_autoencoder(name: str | Path, *, classes: Mapping[str, Loader] = CLASSES) -> Autoencoder:
    """Load an autoencoder for inference or fine-tuning, on the CPU.

    `name` is a packaged name (`base`), a folder written by this package or by diffusers, or, as a string, a Hub id
    such as `ostris/vae-kl-f8-d16`: a `Path`, or what starts with . or /, is never looked for on the Hub. Channels,
    factor and value range are found from the model itself; latent statistics come from the folder or the model's
    configuration, and are left unset when neither has them. Of the folder of a whole pipeline of diffusers the part
    `vae` is taken. `classes` are those that folders may name: with
    `{**CLASSES, "Mine": load_mine}` a class of one's own, too.
    Raises InputError, listing what is available, when nothing is found, and when the autoencoder's weights, or its
    results on a small image, are not finite.
    """
    packaged = packaged_autoencoders()
    folder = _model_folder(packaged.get(str(name), Path(name)))
    if folder.is_dir():
        codec, config = _load_folder(folder, classes)
    elif isinstance(name, str) and _HUB_ID.fullmatch(name):
        try:
            codec, config = load_diffusers(name)
        except InputError as error:
            raise InputError(error.source, f"{error.problem}; {_available(packaged)}") from None
    else:
        raise InputError(name, f"no such autoencoder; {_available(packaged)}")
    _require_finite_weights(codec, str(name))
    autoencoder = Autoencoder(codec, _statistics(folder, config, codec.channels), name=str(name))
    try:
        autoencoder.require_finite(_probe(codec.factor))
    except (InputError, MemoryError):
        raise
    except Exception as error:  # A network with odd settings fails at its first picture, by whatever error.
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise InputError(name, f"does not encode and decode a small picture ({reason})") from None
    return autoencoder


def opened(autoencoder: Autoencoder | str | Path) -> Autoencoder:
    """A copy of the autoencoder, or the one that is called so. Raises InputError as `load_autoencoder`."""
    return autoencoder.clone() if isinstance(autoencoder, Autoencoder) else load_autoencoder(autoencoder)


def called(autoencoder: Autoencoder | str | Path) -> str:
    """The name by which a run's configuration calls an autoencoder: one in memory goes by its own."""
    return autoencoder.name if isinstance(autoencoder, Autoencoder) else str(autoencoder)


def _model_folder(folder: Path) -> Path:
    """The folder of the network itself: of a whole pipeline of diffusers, its part `vae`."""
    part = folder / "vae"
    return part if not (folder / CONFIG_FILE).is_file() and (part / CONFIG_FILE).is_file() else folder


def _probe(factor: int) -> Tensor:
    """A small image (1, 3, S, S) of noise in [0, 1]."""
    side = factor * math.ceil(64 / factor)
    return torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))


def _require_finite_weights(codec: Codec, name: str) -> None:
    """Raise InputError when the network of the autoencoder `name` holds NaN or infinity."""
    tensors = codec.state_dict() if isinstance(codec, nn.Module) else {}
    for key, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise InputError(name, f"the autoencoder's weights '{key}' are not finite; its file is damaged")


def _available(packaged: dict[str, Path]) -> str:
    names = ", ".join(f"'{name}'" for name in packaged) or "none"
    return f"packaged: {names}; or give a folder, or the Hub id of a diffusers autoencoder"


def _load_folder(folder: Path, classes: Mapping[str, Loader]) -> tuple[Codec, dict[str, Any]]:
    """The network in a folder, ready to use, and its configuration."""
    source = folder / CONFIG_FILE
    if not source.is_file():
        raise InputError(folder, f"has no {CONFIG_FILE}; expected an autoencoder's folder")
    config = read_json(source)
    class_name = config.get(CLASS_FIELD) if isinstance(config, dict) else None
    if not isinstance(class_name, str):
        raise InputError(source, f"field '{CLASS_FIELD}' is missing; expected the autoencoder's class")
    if class_name not in classes:
        raise InputError(
            source, f"field '{CLASS_FIELD}' is '{class_name}'; expected one of {', '.join(classes)}"
        )
    codec = classes[class_name](folder)
    return codec.eval() if isinstance(codec, nn.Module) else codec, config


def _statistics(folder: Path, config: dict[str, Any], channels: int) -> LatentStatistics | None:
    stored = folder / STATISTICS_FILE
    if stored.is_file():
        source, values = stored, read_json(stored)
        mean, std = (values.get("mean"), values.get("std")) if isinstance(values, dict) else (None, None)
    else:
        source, mean, std = folder / CONFIG_FILE, config.get("latents_mean"), config.get("latents_std")
        if mean is None or std is None:
            return None
    statistics = LatentStatistics(
        _numbers(mean, channels, source, "mean"), _numbers(std, channels, source, "std")
    )
    if min(statistics.std) <= 0:
        raise InputError(source, "latent std should be positive in every channel")
    return statistics


def _numbers(value: Any, count: int, source: Path, field: str) -> tuple[float, ...]:
    fits = isinstance(value, list | tuple) and len(value) == count
    if not fits or not all(isinstance(item, int | float) and abs(item) <= _LARGEST for item in value):
        raise InputError(source, f"latent {field} should be a list of {count} numbers, one per channel")
    return tuple(map(float, value))
