"""A whole run as one safetensors file: settings, field, autoencoder and cameras.

Tensors are named `model.*`, `views.*` and `autoencoder/FILE.*`; everything else is JSON in the file's metadata. The
autoencoder is kept as the files of its own folder format, so that every kind of autoencoder goes in and comes back; a
packaged one whose decoder was not aligned is named, with a fingerprint of its weights.
Pictures of the scene are not in it, nor is the autoencoder as it was before its decoder was aligned.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.load import CLASSES, Loader, load_autoencoder
from latentfields.cameras import Cameras
from latentfields.config.typed_json import from_json, to_json
from latentfields.errors import InputError
from latentfields.files import read_json, write_json
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.latent_nerf.shared_decoder import SharedDecoder
from latentfields.training.checkpoint import load_tensors, save_tensors, with_prefix, without_prefix

FORMAT = "latentfields scene 1"
"""Of files that need nothing else."""
SHARED_FORMAT = "latentfields scene 2"
"""Of files that name the packaged autoencoder whose decoder they share with other scenes, and have no copy of it."""
_AUTOENCODER = "autoencoder/"


@dataclass(frozen=True)
class PortableRun:
    """The contents of the file."""

    config: Any
    """JSON of a `FitRunConfig`."""
    frame: Any
    """JSON of a `SceneFrame`."""
    state: Mapping[str, Tensor]
    """The model's `scene_state`."""
    autoencoder: Autoencoder | None
    """With its decoder as aligned to the scene; None in RGB space."""
    views: SceneCameras
    shared: SharedDecoder | None = None
    """The packaged autoencoder that it is, where its decoder was not aligned: it is named instead of copied."""


@dataclass(frozen=True)
class _ViewsHeader:
    """The part of `SceneCameras` that is stored beside its tensors."""

    width: int
    height: int
    names: tuple[str, ...]
    train: tuple[int, ...]
    val: tuple[int, ...]
    test: tuple[int, ...]


def write_portable(path: Path, run: PortableRun) -> None:
    """Write the file in one atomic step."""
    tensors, files = _packed(None if run.shared is not None else run.autoencoder)
    views, header = _packed_views(run.views)
    tensors |= with_prefix("model", run.state) | views
    metadata = {
        "format": FORMAT if run.shared is None else SHARED_FORMAT,
        "config": run.config,
        "frame": run.frame,
        "views": header,
    }
    metadata |= {"autoencoder": files} if run.shared is None else {"shared_decoder": to_json(run.shared)}
    save_tensors(path, tensors, metadata)


def write_views(path: Path, views: SceneCameras) -> None:
    """Write cameras alone into one file, in one atomic step."""
    tensors, header = _packed_views(views)
    save_tensors(path, tensors, {"views": header})


def read_views(path: Path) -> SceneCameras:
    """Read what `write_views` wrote. Raises InputError for absent, damaged or inconsistent files."""
    tensors, metadata = load_tensors(path)
    return _views(path, tensors, metadata.get("views") if isinstance(metadata, dict) else None)


def read_portable(path: Path, *, classes: Mapping[str, Loader] = CLASSES) -> PortableRun:
    """Read what `write_portable` wrote; `classes` are as for `load_autoencoder`.

    Raises InputError for other, damaged or inconsistent files.
    """
    tensors, metadata = load_tensors(path)
    format = metadata.get("format") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or format not in (FORMAT, SHARED_FORMAT):
        raise InputError(
            path, f"is not a scene file; expected the format '{FORMAT}' or '{SHARED_FORMAT}' in its metadata"
        )
    shared = None
    if format == SHARED_FORMAT:
        shared = from_json(SharedDecoder, metadata.get("shared_decoder"), source=path, field="shared_decoder")
    return PortableRun(
        config=metadata.get("config"),
        frame=metadata.get("frame"),
        state=without_prefix("model", tensors),
        autoencoder=(
            _unpacked(path, tensors, metadata.get("autoencoder"), classes)
            if shared is None
            else shared.load(path)
        ),
        shared=shared,
        views=_views(path, tensors, metadata.get("views")),
    )


def _packed_views(views: SceneCameras) -> tuple[dict[str, Tensor], Any]:
    """Tensors of cameras, and the JSON beside them."""
    cameras = views.cameras
    splits = {name: tuple(views.splits[name].tolist()) for name in ("train", "val", "test")}
    header = _ViewsHeader(width=cameras.width, height=cameras.height, names=views.names, **splits)
    names = ("camera_to_world", "focal", "principal")
    return {f"views.{name}": getattr(cameras, name) for name in names}, to_json(header)


def _packed(autoencoder: Autoencoder | None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and JSON files of the autoencoder's folder, by file name."""
    if autoencoder is None:
        return {}, {}
    tensors: dict[str, Tensor] = {}
    with tempfile.TemporaryDirectory() as folder:
        autoencoder.save(Path(folder))
        for file in sorted(Path(folder).glob("*.safetensors")):
            tensors |= with_prefix(_AUTOENCODER + file.name, load_tensors(file)[0])
        files = {file.name: read_json(file) for file in sorted(Path(folder).glob("*.json"))}
    return tensors, files


def _unpacked(
    path: Path, tensors: Mapping[str, Tensor], files: Any, classes: Mapping[str, Loader]
) -> Autoencoder | None:
    if not isinstance(files, dict):
        raise InputError(path, "metadata field 'autoencoder' should be an object")
    if not files:
        return None
    # FILE.safetensors.TENSOR: the first part that ends so is the file's name.
    weights = {name.split(".safetensors.")[0] for name in tensors if name.startswith(_AUTOENCODER)}
    names = {f"{name.removeprefix(_AUTOENCODER)}.safetensors" for name in weights}
    if any(Path(name).name != name for name in (*files, *names)):
        raise InputError(path, "metadata field 'autoencoder': expected names of files without folders")
    with tempfile.TemporaryDirectory() as folder:
        for name, contents in files.items():
            write_json(Path(folder) / name, contents)
        for name in names:
            # The metadata is what readers of other libraries look for.
            save_tensors(Path(folder) / name, without_prefix(_AUTOENCODER + name, tensors), {})
        try:
            autoencoder = load_autoencoder(Path(folder), classes=classes)
        except InputError as error:
            raise InputError(path, f"autoencoder: {Path(error.source).name}: {error.problem}") from None
    autoencoder.name = str(path)
    return autoencoder


def _views(path: Path, tensors: Mapping[str, Tensor], value: Any) -> SceneCameras:
    header = from_json(_ViewsHeader, value, source=path, field="views")
    count = len(header.names)
    shapes = {"camera_to_world": (count, 4, 4), "focal": (count, 2), "principal": (count, 2)}
    found = without_prefix("views", tensors)
    for name, shape in shapes.items():
        if name not in found or found[name].shape != shape or not found[name].isfinite().all():
            raise InputError(path, f"tensor 'views.{name}': expected finite numbers of the shape {shape}")
    splits = {"train": header.train, "val": header.val, "test": header.test}
    for name, indices in splits.items():
        if any(not 0 <= index < count for index in indices) or (name == "train" and not indices):
            raise InputError(path, f"field 'views.{name}': expected indices of the {count} views")
    return SceneCameras(
        cameras=Cameras(**found, width=header.width, height=header.height),
        splits={name: torch.tensor(indices, dtype=torch.int64) for name, indices in splits.items()},
        names=header.names,
    )
