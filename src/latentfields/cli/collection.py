"""`latentfields collection`: objects that share what is common; to fit them, add some, and look at them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from latentfields.cli.command_line import command_line
from latentfields.cli.options import (
    CheckpointSeconds,
    Device,
    Settings,
    TensorBoard,
    Threads,
    chosen,
    set_up,
    with_settings,
)
from latentfields.cli.reporting import print_result
from latentfields.cli.view import LOCALHOST, require_viser
from latentfields.config.checks import NonNegative
from latentfields.fused_planes.config import (
    PRESETS,
    SMALL,
    CollectionConfig,
    CollectionPreset,
    SharedParts,
    Start,
)

if TYPE_CHECKING:
    from latentfields.fused_planes.collection import Collection
    from latentfields.latent_nerf.run import Run


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Fit many objects that share base planes, an MLP and an autoencoder; an object is a small file of its own.

    Run the same command again to resume a training that was interrupted. Objects that are not in a batch stay on disk.
    Under torchrun, all processes share the objects of each batch.
    """

    scenes: tyro.conf.Positional[tuple[Path, ...]]
    """Scenes, or folders of scenes: square views of objects, on white where they have alpha."""
    out: Path
    """Folder of the collection."""
    autoencoder: str = "base"
    """Packaged name, folder, or Hub id of the autoencoder to start from. Not used in RGB space."""
    space: Literal["latent", "rgb"] = "latent"
    """Fit objects to latents, or to pixels."""
    preset: CollectionPreset = "small"
    """Scale of the training: seconds; a quarter of a CPU minute for every object; or the paper's, on a GPU."""
    settings: Settings = None
    cache: Path | None = None
    """Folder of decoded images, which runs can share; by default one that is deleted at the end."""
    checkpoint_seconds: CheckpointSeconds = 60.0
    tensorboard: TensorBoard = False
    device: Device = "auto"
    threads: Threads = 1
    training: Annotated[CollectionConfig, tyro.conf.arg(name=""), tyro.conf.AvoidSubcommands] = field(
        default_factory=lambda: SMALL
    )

    @classmethod
    def starting_point(cls, arguments: Sequence[str]) -> Fit:
        """The training that --preset and --settings describe."""
        known = chosen(arguments, {"preset": CollectionPreset, "settings": Path})
        training = with_settings(PRESETS[known.get("preset", "small")], known.get("settings"))
        return cls(scenes=tyro.MISSING, out=tyro.MISSING, training=training, **known)

    def run(self) -> None:
        """Fit and say where the page is."""
        from latentfields.fused_planes.fit import fit_collection
        from latentfields.training.loop import LoopConfig

        set_up(threads=self.threads, checkpoint_seconds=self.checkpoint_seconds)
        fit_collection(
            self.scenes,
            autoencoder=None if self.space == "rgb" else self.autoencoder,
            out=self.out,
            training=self.training,
            cache=self.cache,
            device=self.device,
            command=command_line(),
            loop=LoopConfig(checkpoint_seconds=self.checkpoint_seconds, tensorboard=self.tensorboard),
        )
        print(self.out / "report.html")


@dataclass(frozen=True, kw_only=True)
class _OfCollection:
    """What commands about a finished collection share."""

    collection: tyro.conf.Positional[Path]
    """Folder of the collection."""


@dataclass(frozen=True, kw_only=True)
class Add(_OfCollection):
    """Add objects to a collection. What objects share stays as it is, and so do all objects of before.

    Run the same command again to resume a training that was interrupted.
    """

    scenes: tyro.conf.Positional[tuple[Path, ...]]
    """Scenes, or folders of scenes, as for `collection fit`."""
    shared: SharedParts | None = None
    """Train what objects share, too, as the paper does: the objects of before change then. By default as in the
    collection's settings, which freeze it unless they were told otherwise."""
    start: Start | None = None
    """Begin with the mean of the objects that the collection has, or with noise; by default as in the collection's
    settings: with the mean, unless they were told otherwise."""
    latent_epochs: float | None = None
    """Passes over all views while objects are fitted to latents; by default as in the collection's settings."""
    align_epochs: float | None = None
    """Passes over all views while objects are fitted to images; by default as in the collection's settings."""
    settings: Annotated[
        Path | None,
        tyro.conf.arg(
            help="JSON file of settings that differ from the collection's, as under `training` there."
        ),
    ] = None
    checkpoint_seconds: CheckpointSeconds = 60.0
    device: Device = "auto"
    threads: Threads = 1

    def run(self) -> None:
        """Add and say which."""
        from latentfields.fused_planes.collection import Collection
        from latentfields.fused_planes.fit import add_to_collection
        from latentfields.training.loop import LoopConfig

        set_up(threads=self.threads, checkpoint_seconds=self.checkpoint_seconds)
        collection = Collection.open(self.collection, device=self.device)
        before = len(collection)
        collection = add_to_collection(
            collection,
            self.scenes,
            training=self.configuration(collection.training),
            device=self.device,
            loop=LoopConfig(checkpoint_seconds=self.checkpoint_seconds),
        )
        print(f"{self.collection}: {before} objects before, {len(collection)} now")

    def configuration(self, training: CollectionConfig) -> CollectionConfig:
        """The training of the collection with what was asked for otherwise."""
        training = with_settings(training, self.settings)
        if self.shared is not None:
            training = dataclasses.replace(training, shared=self.shared)
        if self.start is not None:
            training = dataclasses.replace(training, start=self.start)
        for name, epochs in (("latent", self.latent_epochs), ("align", self.align_epochs)):
            if epochs is not None:
                phase = dataclasses.replace(getattr(training, name), epochs=epochs)
                training = dataclasses.replace(training, **{name: phase})
        return training


@dataclass(frozen=True, kw_only=True)
class List(_OfCollection):
    """List the objects of a collection; with --nearest, those that are most like one of them, by their weights."""

    nearest: str | None = None
    """An object: the others are listed by the distance of their weights from its own."""
    count: Annotated[
        int | None, tyro.conf.arg(help="List so many at most; by default all, of the nearest ten.")
    ] = None
    json: bool = False
    """Print names, bytes and distances as JSON."""

    def run(self) -> None:
        """Print them."""
        from latentfields.fused_planes.collection import Collection

        collection = Collection.open(self.collection, device="cpu")
        if self.nearest is not None:
            found = collection.nearest(self.nearest, count=self.count or 10)
            lines = [f"{distance:.4f}  {name}" for name, distance in found]
            print_result([{"name": n, "distance": d} for n, d in found], lines, json=self.json)
            return
        names = collection.names()[: self.count]
        sizes = {name: collection.nbytes(name) for name in names}
        shared = collection.shared_nbytes()
        lines = [f"{size:>10}  {name}" for name, size in sizes.items()]
        lines.append(f"{shared:>10}  shared by all")
        result = {
            "objects": [{"name": n, "bytes": size} for n, size in sizes.items()],
            "shared_bytes": shared,
        }
        print_result(result, lines, json=self.json)


@dataclass(frozen=True, kw_only=True)
class Remove(_OfCollection):
    """Remove objects from a collection. Nothing else changes."""

    names: tyro.conf.Positional[tuple[str, ...]]
    """Names of the objects."""

    def run(self) -> None:
        """Remove them, once all are found."""
        from latentfields.errors import ArgumentError, InputError
        from latentfields.fused_planes.collection import Collection

        collection = Collection.open(self.collection, device="cpu")
        if not self.names:
            raise ArgumentError("names", "name at least one object")
        for name in self.names:
            if name not in collection:
                raise InputError(self.collection, f"has no object '{name}'; nothing was removed")
        for name in dict.fromkeys(self.names):
            collection.remove(name)
        print(f"{self.collection}: {len(collection)} objects left")


@dataclass(frozen=True, kw_only=True)
class _OfObject(_OfCollection):
    """What commands about one object share."""

    name: tyro.conf.Positional[str]
    """Name of the object."""
    scene: Path | None = None
    """Where the object's scene is now; by default where it was fitted from."""
    device: Device = "auto"


@dataclass(frozen=True, kw_only=True)
class Render(_OfObject):
    """Render an object, or one between two, as PNG files or as a film: test views, or an orbit."""

    out: Path | None = None
    """Folder for PNG files, or a film ending in .mp4 or .gif; by default COLLECTION/renders/NAME."""
    between: str | None = None
    """Another object: what is rendered lies between both, planes and weights mixed."""
    share: float = 0.5
    """With --between, how far towards that one, from 0 to 1."""
    views: Literal["test", "orbit"] = "test"
    """Which cameras. Objects whose scene is gone have those of the scene that the collection began with."""
    frames: int = 60
    """Views of the orbit, from 1."""
    fps: int = 20
    """Frames per second of a film; GIF plays at most 50."""
    size: int | None = None
    """Longer side of the pictures, in pixels; by default that of the collection, in films at least 512."""

    def run(self) -> None:
        """Render and say where the result is."""
        from latentfields.fused_planes.collection import Collection
        from latentfields.latent_nerf.render import render_run

        run = self.object(Collection.open(self.collection, device=self.device))
        print(
            render_run(
                run,
                out=self.out or self.collection / "renders" / self.name,
                views=self.views,
                frames=self.frames,
                fps=self.fps,
                size=self.size,
                scene_folder=self.scene,
            )
        )

    def object(self, collection: Collection) -> Run:
        """What is rendered."""
        if self.between is None:
            return collection.run(self.name)
        return collection.between(self.name, self.between, self.share)


@dataclass(frozen=True, kw_only=True)
class Export(_OfObject):
    """Write an object as a run of its own, for every command that takes a run: planes fused, decoder with it."""

    out: Path
    """Folder of the run, or one portable file ending in .safetensors, as `latentfields export scene` writes it."""

    def run(self) -> None:
        """Export and say where the result is."""
        from latentfields.fused_planes.bake import export_object
        from latentfields.fused_planes.collection import Collection

        collection = Collection.open(self.collection, device=self.device)
        export_object(collection, self.name, out=self.out, scene_folder=self.scene)
        print(self.out)


@dataclass(frozen=True, kw_only=True)
class View(_OfObject):
    """Fly through an object in the browser; choose its nearest ones by weights, and what is between two.

    Serves until Ctrl-C, which is the normal end: the exit status is 0.
    """

    nearest: NonNegative = 7
    """Other objects to choose, the nearest ones."""
    between: str | None = None
    """Another object: what lies between both is to choose from, too."""
    steps: int = 3
    """Objects between the two."""
    host: str = LOCALHOST
    """Interface to serve on; by default only this machine can connect. 0.0.0.0 lets everybody in, unencrypted."""
    port: int = 8080
    """Port to serve on; the next free one if it is taken, 0 for any."""
    threads: Threads = 1

    def run(self) -> None:
        """Print the address and serve."""
        require_viser()
        from latentfields.fused_planes.collection import Collection
        from latentfields.process import set_threads
        from latentfields.viewer.server import Address, serve
        from latentfields.viewer.source import collection_source

        set_threads(self.threads)
        collection = Collection.open(self.collection, device=self.device)
        source = collection_source(
            collection,
            self.name,
            nearest=self.nearest,
            between=self.between,
            steps=self.steps,
            scene=self.scene,
        )
        serve(source, Address(self.host, self.port))
