"""What `finetune_3d` is given, looked at before anything is written."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from latentfields.autoencoders.image_data import photo_paths, read_photo
from latentfields.errors import ArgumentError, InputError
from latentfields.files import read_json
from latentfields.igae.config import IgaeConfig
from latentfields.igae.image_cache import require_two_photos, square_scene
from latentfields.igae.scene_training import WHITE
from latentfields.scenes.load import scene_folders_below
from latentfields.training.loop import read_log
from latentfields.training.runs import CONFIG_FILE


def require_data(config: IgaeConfig, scenes: Sequence[Path], photos: Sequence[Path]) -> None:
    """Raise InputError unless all scenes can be read and there are enough photographs.

    Photographs are read until two are large enough.
    """
    if config.has_preservation and not photos:
        raise ArgumentError(
            "photos", "name at least one folder of photographs; only no-preservation needs none"
        )
    if not scenes:
        raise ArgumentError("scenes", "name at least one folder of scenes")
    if photos:
        large = (
            path for path in photo_paths(tuple(photos)) if min(read_photo(path).shape[:2]) >= config.size
        )
        require_two_photos(len([*itertools.islice(large, 2)]), photos, size=config.size)
    for folder in [folder for root in scenes for folder in scene_folders_below(root)]:
        scene = square_scene(folder, size=config.size, background=WHITE)
        scene.indices("train"), scene.indices("test")


def require_first_phase(folder: Path, description: dict[str, Any]) -> None:
    """Raise InputError when another run's first phase is not that of `description`, or is not finished."""
    theirs = read_json(folder / CONFIG_FILE)
    if not isinstance(theirs, dict) or theirs.get("kind") != description["kind"]:
        raise InputError(folder, "is not a run of finetune-3d; its latent scenes cannot be taken over")
    for name, mine in _first_phase(description).items():
        if _first_phase(theirs).get(name) != mine:
            raise InputError(
                folder, f"its first phase was run with another '{name}'; it cannot be taken over"
            )
    records = read_log(folder / "joint")
    if not records:
        raise InputError(folder, "has not finished its first phase; run it until the joint phase begins")


def _first_phase(description: dict[str, Any]) -> dict[str, Any]:
    """What the result of the first phase depends on."""
    training = description["training"]
    own = {name: training[name] for name in ("size", "scenes", "pretraining", "seed")}
    return {"autoencoder": description["autoencoder"], "scene folders": description["scenes"], **own}
