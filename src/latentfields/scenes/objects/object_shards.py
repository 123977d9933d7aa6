"""Rendered objects as shards (`scenes.shards`), with the disk space of one scene beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from latentfields.config.checks import Range, require
from latentfields.errors import InputError
from latentfields.files import remove, temporary_folder
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.meshes import Mesh
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.shards import SUFFIX, writing_shard


@dataclass(frozen=True)
class RenderedObject:
    """An object that is to become a scene."""

    name: str
    """Of the scene."""
    mesh: Callable[[], Mesh]
    """Read or made when its turn comes."""
    seed: int
    """Places the cameras."""


def shard_name(number: int) -> str:
    """What the shard of that number is called."""
    return f"shard-{number:05d}{SUFFIX}"


def render_shards(
    objects: Sequence[RenderedObject],
    folder: Path,
    *,
    options: RenderConfig,
    shards: int,
    overwrite: bool = False,
    on_view: Callable[[], object] = lambda: None,
) -> Iterator[Path]:
    """Render objects, as `render_object_scene` does, into so many shards in `folder`; yield each when it is there.

    Scenes keep their order, and shards differ by at most one scene. Equal objects give equal bytes. `on_view` is called
    for every view. Raises InputError when there are fewer objects than shards, when a shard exists, unless that may be
    overwritten, and as `render_object_scene`; a shard appears complete or not at all.
    """
    require("shards", shards, Range(low=1, high=len(objects)))
    paths = [folder / shard_name(number) for number in range(shards)]
    for path in paths:
        if path.exists() and not overwrite:
            raise InputError(path, "exists already; choose another folder, or replace it by `overwrite`")
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(paths):
        part = objects[number * len(objects) // shards : (number + 1) * len(objects) // shards]
        with writing_shard(path) as shard:
            for shown in part:
                work = temporary_folder(folder / shown.name)
                remove(work)
                try:
                    scene = work / shown.name
                    render_object_scene(
                        shown.mesh(), scene, options=options, seed=shown.seed, on_view=on_view
                    )
                    shard.add(shown.name, scene)
                finally:
                    remove(work)
        yield path
