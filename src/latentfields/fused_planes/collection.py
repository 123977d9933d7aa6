"""A collection as a folder: what all objects share, once, and every object as a small file.

config.json           what was computed: scenes, autoencoder, every setting
shared.safetensors    base planes, MLP, projection and background
autoencoder/          the collection's own autoencoder; in its place
decoder.json          the packaged one that did not move, and its fingerprint; neither for collections of colours
objects/              the objects (`objects.py`)
views.safetensors     cameras to look at objects with whose scenes are gone
metrics.json          held-out views, and times
report.html           pictures of some objects
warmup/, joint/       logs, and while it is trained, checkpoints
work/                 while it is trained: decoded images, latents, objects with their optimisers' state
additions/            the same, while objects are added

To open a collection takes the same time and memory, however many objects it has.

Shape suffixes: N objects, M base Tri-Planes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.load import load_autoencoder
from latentfields.config.checks import check_stored
from latentfields.config.typed_json import from_json, to_json
from latentfields.errors import ArgumentError, InputError
from latentfields.files import read_json, write_json
from latentfields.fused_planes.config import CollectionConfig, CollectionRunConfig
from latentfields.fused_planes.fusion import fused_planes, macro_planes
from latentfields.fused_planes.objects import (
    CollectionObject,
    object_names,
    object_path,
    read_object,
    read_weights,
    write_object,
)
from latentfields.fused_planes.shared import SharedModel
from latentfields.latent_nerf.build import build_model, new_space
from latentfields.latent_nerf.config import FitConfig, StageConfig
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.portable import read_views
from latentfields.latent_nerf.run import FitRunConfig, Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.latent_nerf.shared_decoder import SharedDecoder
from latentfields.process import choose_device
from latentfields.rendering.density_grid import DensityGrid
from latentfields.rendering.grid_sampler import GridSampler
from latentfields.scenes.reading import WHITE, Reading
from latentfields.training.checkpoint import bounded_by, byte_count, load_tensors, save_tensors
from latentfields.training.recipe import AUTOENCODER_FOLDER, METRICS_FILE
from latentfields.training.runs import CONFIG_FILE, read_run

SHARED_FILE = "shared.safetensors"
DECODER_FILE = "decoder.json"
VIEWS_FILE = "views.safetensors"
_FORMAT = "latentfields collection 1"

LOOKS = 4
"""Random positions in every cell at which an object that is read is looked at, for its density grid."""


class Collection:
    """A finished collection. Objects are read one by one, as they are asked for."""

    def __init__(
        self,
        folder: Path,
        config: CollectionRunConfig,
        shared: SharedModel,
        autoencoder: Autoencoder | None,
        *,
        decoder: SharedDecoder | None,
        device: torch.device,
    ) -> None:
        """`decoder` names the packaged autoencoder that it is, if it is one; objects are rendered on `device`."""
        self.folder, self.config, self.device, self.decoder = folder, config, device, decoder
        self.shared, self.autoencoder = shared, autoencoder

    @classmethod
    def open(cls, folder: str | Path, *, device: str = "auto") -> Collection:
        """Read what the objects in a folder share. `device` is as for `fit`.

        Raises InputError when the folder is no finished collection, or is damaged.
        """
        folder, target = Path(folder), choose_device(device)
        config = read_run(CollectionRunConfig, folder)
        if not (folder / METRICS_FILE).is_file():
            raise InputError(
                folder, "is not finished; run the same collection fit command again to finish it"
            )
        check_stored(config, folder / CONFIG_FILE)
        autoencoder, decoder = None, None
        if config.autoencoder is not None:
            autoencoder, decoder = _read_autoencoder(folder)
        shared = read_shared(folder, config, autoencoder)
        return cls(folder, config, shared, autoencoder, decoder=decoder, device=target)

    @property
    def training(self) -> CollectionConfig:
        """Sizes, and how it was trained."""
        return self.config.training

    def __repr__(self) -> str:
        planes = self.training.planes
        kind = (
            "weights alone" if not planes.micro_features else f"{planes.micro_features} features of their own"
        )
        return f"<Collection {str(self.folder)!r}: objects of {kind}, {planes.base_planes} base Tri-Planes>"

    def names(self) -> list[str]:
        """Names of all objects, sorted; their files are not read."""
        return sorted(object_names(self.folder))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and object_path(self.folder, name).is_file()

    def __len__(self) -> int:
        return sum(1 for _ in object_names(self.folder))

    def object(self, name: str) -> CollectionObject:
        """Read an object. Raises InputError when there is none of that name, or its file is damaged."""
        return read_object(self.folder, name, self.training.planes)

    def remove(self, name: str) -> None:
        """Delete an object. Raises InputError when there is none of that name."""
        path = object_path(self.folder, name)
        if not path.is_file():
            raise InputError(self.folder, f"has no object '{name}'; nothing was removed")
        path.unlink()

    def nbytes(self, name: str) -> int:
        """Bytes of an object's file."""
        return object_path(self.folder, name).stat().st_size

    def shared_nbytes(self) -> int:
        """Bytes of what all objects share, the autoencoder included where it is the collection's own."""
        files = [self.folder / SHARED_FILE, *(self.folder / AUTOENCODER_FOLDER).glob("*")]
        return sum(file.stat().st_size for file in files)

    def weights(self, names: Sequence[str] | None = None) -> Tensor:
        """The weights (N, M) of objects, of all of them by default, in the order of `names()`."""
        wanted = self.names() if names is None else names
        return torch.stack([read_weights(self.folder, name) for name in wanted])

    def nearest(self, name: str, *, count: int = 5) -> list[tuple[str, float]]:
        """The other objects whose weights are nearest to those of `name`, and their distances, nearest first."""
        mine, names = self.object(name).weights, self.names()
        distances = (self.weights(names) - mine).norm(dim=-1).tolist()
        others = [pair for pair in zip(names, distances, strict=True) if pair[0] != name]
        return sorted(others, key=lambda pair: (pair[1], pair[0]))[:count]

    def planes(self, item: CollectionObject) -> Tensor:
        """The fused planes (3, K, K, F) of an object, on the CPU."""
        with torch.no_grad():
            (macro,) = macro_planes(self.shared.base, item.weights[None], item.bias[None])
            return fused_planes(item.micro, macro)

    def run(self, name: str) -> Run:
        """An object as a run, its planes fused: it renders, and everything that takes a `Run` takes it.

        Its scene is where it was; where that is gone, the run has the collection's cameras.
        """
        return self.baked(self.object(name))

    def between(self, first: str, second: str, share: float) -> Run:
        """The object that lies `share` of the way from one object, at 0, to another, at 1, as a run."""
        if not 0 <= share <= 1:
            raise ArgumentError("share", f"is {share}; expected 0 to 1")
        item = self.object(first).towards(self.object(second), share)
        return self._run(item, views=self.views())

    def views(self) -> SceneCameras:
        """The cameras of the scene that the collection began with."""
        return read_views(self.folder / VIEWS_FILE)

    def baked(self, item: CollectionObject) -> Run:
        """As `run`, of an object that was read."""
        there = self._run_config(item).scene_folders(self.folder)
        return self._run(item, views=None if there else self.views())

    def _run(self, item: CollectionObject, *, views: SceneCameras | None) -> Run:
        config = self._run_config(item)
        autoencoder = None if self.autoencoder is None else self.autoencoder.clone()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build_model(
                config.fit,
                new_space(config.fit, autoencoder),
                self.shared.background.detach(),
                item.header.frame,
            )
        assert isinstance(model, LatentNerf)
        sampler = model.sampler
        assert isinstance(sampler, GridSampler)
        state = {"field.planes": self.planes(item), "background": self.shared.background}
        for name, tensor in self.shared.state_dict().items():
            if name.startswith("head."):
                state[f"field.{name}"] = tensor
            elif name.startswith("projection."):
                state[name] = tensor
        sampler.grid.restrict(item.hull)
        model.load_scene_state(
            state | {k: v for k, v in model.scene_state().items() if k.startswith("sampler.")}
        )
        _look(sampler.grid, model)
        model.to(self.device)
        return Run(self.folder, config, model, item.header.frame, views=views, shared_decoder=self.decoder)

    def _run_config(self, item: CollectionObject) -> FitRunConfig:
        """The description of an object as if it had been fitted alone, and its decoder left alone."""
        training, planes = self.training, self.training.planes
        latent = self.autoencoder is not None
        autoencoder = None
        if latent:
            autoencoder = (
                str((self.folder / AUTOENCODER_FOLDER).resolve())
                if self.decoder is None
                else self.decoder.autoencoder
            )
        fit = FitConfig(
            space="latent" if latent else "rgb",
            field=planes.triplane,
            sampling=planes.grid,
            supervision=StageConfig(1, 1.0),
            alignment=StageConfig(0, 1.0),
            alignment_kind="none",
            subpixels=planes.subpixels if latent else 1,
            subpixel_width=planes.subpixel_width,
            seed=training.seed,
        )
        return FitRunConfig(
            scene=item.header.scene,
            autoencoder=autoencoder,
            size=training.size,
            seconds=None,
            fit=fit,
            reading=Reading(background=WHITE, bounds="object"),
            places=item.header.places,
        )

    def add(self, item: CollectionObject) -> None:
        """Write an object of the collection's sizes; one of the same name is replaced. No other file changes."""
        write_object(self.folder, item)


def _look(grid: DensityGrid, model: LatentNerf) -> None:
    """Let the grid know the densities of a field that was read."""
    generator = torch.Generator().manual_seed(0)
    grid.density.zero_()
    for _ in range(LOOKS):
        grid.update(model.field.density, share=1.0, generator=generator)


def _read_autoencoder(folder: Path) -> tuple[Autoencoder, SharedDecoder | None]:
    """The collection's autoencoder, and its name where it is a packaged one."""
    named = folder / DECODER_FILE
    if named.is_file():
        decoder = from_json(SharedDecoder, read_json(named), source=named)
        return decoder.load(folder), decoder
    return load_autoencoder(folder / AUTOENCODER_FOLDER), None


def write_autoencoder(folder: Path, autoencoder: Autoencoder, decoder: SharedDecoder | None) -> None:
    """Write the collection's autoencoder, or the name of the packaged one that it is."""
    if decoder is not None:
        write_json(folder / DECODER_FILE, to_json(decoder))
    else:
        autoencoder.save(folder / AUTOENCODER_FOLDER)


def write_shared(folder: Path, shared: SharedModel) -> None:
    """Write what all objects share, but for the autoencoder, in one step."""
    save_tensors(folder / SHARED_FILE, shared.state_dict(), {"format": _FORMAT})


def read_shared(folder: Path, config: CollectionRunConfig, autoencoder: Autoencoder | None) -> SharedModel:
    """Read what `write_shared` wrote. Raises InputError when it does not fit the collection's sizes."""
    path = folder / SHARED_FILE
    tensors, metadata = load_tensors(path)
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        raise InputError(path, f"expected the format '{_FORMAT}' in its metadata")
    channels = 3 if autoencoder is None else autoencoder.channels
    try:
        with bounded_by(byte_count(tensors), path), torch.random.fork_rng(devices=[]):
            shared = new_shared(config.training, torch.zeros(channels), latent=autoencoder is not None)
        shared.load_state_dict(tensors)
    except (RuntimeError, KeyError, TypeError) as error:
        detail = " ".join(str(error).split())[:200]
        raise InputError(path, f"does not fit {CONFIG_FILE} ({detail})") from None
    if not all(tensor.isfinite().all() for tensor in tensors.values()):
        raise InputError(path, "holds numbers that are not finite; the file is damaged")
    return shared.requires_grad_(False)


def new_shared(config: CollectionConfig, background: Tensor, *, latent: bool) -> SharedModel:
    """What objects share, untrained: weights by torch's global generator."""
    return SharedModel(config.planes, background, head="linear" if latent else "sigmoid")
