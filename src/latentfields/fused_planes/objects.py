"""One object of a collection as a file, and where it is.

objects/3f/NAME.safetensors holds an object's own planes, its weights and bias, and its visual hull, packed; the
metadata are JSON. 256 folders, by a hash of the name, find an object of a million without an index: a folder has 4000
files then, and nothing is read but the one file. A file is replaced in one step, and no other file changes with it.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from latentfields.config.typed_json import from_json, to_json
from latentfields.errors import InputError
from latentfields.fused_planes.config import FusedPlanesConfig
from latentfields.latent_nerf.build import SceneFrame
from latentfields.latent_nerf.places import ScenePlaces
from latentfields.training.checkpoint import load_tensors, save_tensors

OBJECTS_FOLDER = "objects"
_ENDING = ".safetensors"
_FORMAT = "latentfields collection object 1"


@dataclass(frozen=True)
class ObjectHeader:
    """What is known of an object beside its numbers."""

    name: str
    """Unique in its collection."""
    scene: Path
    """Folder of the scene that it was fitted to."""
    places: ScenePlaces
    """Where that was, seen from the collection's folder, too."""
    frame: SceneFrame
    """What rendering needs of that scene."""
    addition: str = ""
    """The run of `add_to_collection` that it came with; "" for those that the collection began with."""


@dataclass(frozen=True, eq=False)
class CollectionObject:
    """One object: what is its own."""

    header: ObjectHeader
    micro: Tensor
    """(3, K, K, F_micro) planes of its own; F_micro is 0 in the ultra-light variant."""
    weights: Tensor
    """(M,) of the base Tri-Planes."""
    bias: Tensor
    """() added to all macro features."""
    hull: Tensor
    """(G^3,) bool, x slowest: cells that may hold it."""

    def towards(self, other: CollectionObject, share: float) -> CollectionObject:
        """The object that lies `share` of the way from this one, at 0, to `other`, at 1, on a straight line."""
        here, there = self.header.frame, other.header.frame
        frame = replace(here, near=min(here.near, there.near), far=max(here.far, there.far))
        name = f"{self.header.name}, {share:.0%} {other.header.name}"
        return CollectionObject(
            header=replace(self.header, name=name, frame=frame),
            micro=torch.lerp(self.micro, other.micro, share),
            weights=torch.lerp(self.weights, other.weights, share),
            bias=torch.lerp(self.bias, other.bias, share),
            hull=self.hull | other.hull,
        )


@dataclass(frozen=True, eq=False)
class Beginning:
    """What objects are before they are trained, where that is no noise."""

    micro: Tensor
    """(3, K, K, F_micro)."""
    coefficients: Tensor
    """(M + 1,) weights, and the bias."""

    @classmethod
    def mean(cls, items: Iterable[CollectionObject]) -> Beginning:
        """Return the mean of objects, of which there is at least one; they are in memory one at a time."""
        micro, coefficients, count = torch.zeros(()), torch.zeros(()), 0
        for item in items:
            micro = micro + item.micro
            coefficients = coefficients + torch.cat([item.weights, item.bias[None]])
            count += 1
        return cls(micro / count, coefficients / count)

    def save(self, path: Path) -> None:
        """Write it in one step."""
        save_tensors(path, {"micro": self.micro, "coefficients": self.coefficients}, {})

    @classmethod
    def load(cls, path: Path) -> Beginning:
        """Read what `save` wrote. Raises InputError when there is no such file."""
        tensors, _ = load_tensors(path)
        return cls(tensors["micro"], tensors["coefficients"])


def object_path(collection: Path, name: str) -> Path:
    """The file of an object. Raises InputError for names that no object has."""
    if not name or name.startswith(".") or Path(name).name != name:
        raise InputError(collection, f"has no object {name!r}; expected the name of a scene's folder")
    part = hashlib.sha256(name.encode()).hexdigest()[:2]
    return collection / OBJECTS_FOLDER / part / f"{name}{_ENDING}"


def object_names(collection: Path) -> Iterator[str]:
    """Names of all objects, in no order, without reading their files."""
    root = collection / OBJECTS_FOLDER
    for part in os.scandir(root) if root.is_dir() else ():
        if part.is_dir():
            for entry in os.scandir(part.path):
                if entry.name.endswith(_ENDING) and not entry.name.startswith("."):
                    yield entry.name.removesuffix(_ENDING)


def write_object(collection: Path, item: CollectionObject) -> None:
    """Write an object in one step."""
    packed = zlib.compress(np.packbits(item.hull.numpy()).tobytes(), level=9)
    tensors = {
        "micro": item.micro,
        "weights": item.weights,
        "bias": item.bias,
        "hull": torch.frombuffer(bytearray(packed), dtype=torch.uint8),
    }
    metadata = {"format": _FORMAT, "object": to_json(item.header)}
    save_tensors(object_path(collection, item.header.name), tensors, metadata)


def read_object(collection: Path, name: str, config: FusedPlanesConfig) -> CollectionObject:
    """Read an object of the sizes in `config`. Raises InputError when there is none, or its file does not fit."""
    path = object_path(collection, name)
    if not path.is_file():
        raise InputError(collection, f"has no object '{name}'; see latentfields collection list {collection}")
    tensors, metadata = load_tensors(path)
    header = _header(path, metadata)
    k, cells = config.resolution, config.sampling.grid_resolution**3
    shapes = {"micro": (3, k, k, config.micro_features), "weights": (config.base_planes,), "bias": ()}
    for key, shape in shapes.items():
        found = tensors.get(key)
        if (
            found is None
            or found.shape != shape
            or found.dtype != torch.float32
            or not found.isfinite().all()
        ):
            raise InputError(path, f"tensor '{key}': expected finite numbers of the shape {shape}")
    if "hull" not in tensors or tensors["hull"].dtype != torch.uint8:
        raise InputError(path, "tensor 'hull': expected bytes")
    expander = zlib.decompressobj()
    try:
        packed = expander.decompress(tensors["hull"].numpy().tobytes(), -(-cells // 8) + 1)
    except zlib.error:
        packed = b""
    if len(packed) != -(-cells // 8) or not expander.eof:
        raise InputError(path, f"tensor 'hull': expected the packed hull of {cells} cells")
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8))[:cells]
    hull = torch.from_numpy(bits.astype(bool))
    return CollectionObject(header, tensors["micro"], tensors["weights"], tensors["bias"], hull)


def read_weights(collection: Path, name: str) -> Tensor:
    """The weights (M,) alone of an object. Raises InputError when its file has none."""
    from safetensors import SafetensorError, safe_open

    path = object_path(collection, name)
    try:
        with safe_open(path, framework="pt") as handle:
            weights: Tensor = handle.get_tensor("weights")
            return weights
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(path, f"not a readable object of a collection ({error})") from None


def _header(path: Path, metadata: object) -> ObjectHeader:
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        raise InputError(
            path, f"is no object of a collection; expected the format '{_FORMAT}' in its metadata"
        )
    return from_json(ObjectHeader, metadata.get("object"), source=path, field="object")
