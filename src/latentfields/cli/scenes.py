"""`latentfields scenes`: make scenes from photographs, from meshes and from procedural objects."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from latentfields.config.checks import require_at_least
from latentfields.errors import ArgumentError, InputError
from latentfields.scenes.objects.config import RenderConfig
from latentfields.structure_from_motion.config import CaptureConfig

THIN = 0.1
"""Share of the frame below which it is worth a word. Objects fill the frame along their longest side."""

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latentfields.scenes.objects.object_shards import RenderedObject


@dataclass(frozen=True, kw_only=True)
class Render:
    """Render mesh files (GLB, glTF, OBJ, PLY, STL) to scenes of posed RGBA pictures and depth maps.

    Prints the folder of every scene. Each appears complete or not at all.
    """

    meshes: tyro.conf.Positional[tuple[Path, ...]]
    """Mesh files."""
    out: Path
    """Folder of the scene; of several scenes, the folder of their folders: each becomes OUT/NAME, after its file."""
    seed: int = 0
    """Places the cameras; all meshes get the same ones."""
    up: Literal["y", "z"] = "y"
    """The up axis of the mesh files; scenes have z up."""
    shards: int | None = None
    """Write scenes into so many tar files, OUT/shard-00000.tar and so on, instead of folders: in webdataset's layout,
    and read by every command as if they were folders."""
    overwrite: bool = False
    """Replace scenes, or shards, that exist."""
    options: Annotated[RenderConfig, tyro.conf.arg(name="")] = field(default_factory=RenderConfig)

    def run(self) -> None:
        """Render all meshes; raises InputError for the first that cannot be."""
        from latentfields.scenes.objects.mesh_files import load_mesh, require_mesh_file
        from latentfields.scenes.objects.object_shards import RenderedObject

        if not self.meshes:
            raise ArgumentError("meshes", "expected at least one mesh file")
        # Before anything is rendered, and before there is a bar.
        for path in self.meshes:
            require_mesh_file(path)
        names = [path.stem for path in self.meshes]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise InputError(repeated[0], "two mesh files of this name would be written to one folder")
        objects = [
            RenderedObject(name, partial(load_mesh, path, up=self.up), self.seed)
            for path, name in zip(self.meshes, names, strict=True)
        ]
        _render_all(objects, self.out, self.options, shards=self.shards, overwrite=self.overwrite)


@dataclass(frozen=True, kw_only=True)
class Generate:
    """Make scenes of procedural textured objects: no download, same seed, same bytes.

    Prints the folder of every scene. Each appears complete or not at all.
    """

    family: tyro.conf.Positional[str]
    """Kind of object: vases, hats, bags (never trained on), animals, books, cakes, chairs, fish, houses,
    lamps, mugs, mushrooms, rocks, teapots; or "all"."""
    out: Path
    """Folder of the scene; of several scenes, the folder of their folders: each becomes OUT/FAMILY-SEED, as in
    vases-0003."""
    count: int = 1
    """Objects per family."""
    seed: int = 0
    """Seed of the first object; the others follow. It also places the cameras."""
    shards: int | None = None
    """Write scenes into so many tar files, OUT/shard-00000.tar and so on, instead of folders: in webdataset's layout,
    and read by every command as if they were folders."""
    overwrite: bool = False
    """Replace scenes, or shards, that exist."""
    options: Annotated[RenderConfig, tyro.conf.arg(name="")] = field(default_factory=RenderConfig)

    def run(self) -> None:
        """Generate and render all objects."""
        from latentfields.scenes.objects.object_shards import RenderedObject
        from latentfields.scenes.procedural import FAMILIES, generate_object

        require_at_least("count", self.count, 1)
        require_at_least("seed", self.seed, 0)
        if self.family not in (*FAMILIES, "all"):
            raise InputError(self.family, f"unknown family; expected one of {', '.join(FAMILIES)}, or all")
        families = list(FAMILIES) if self.family == "all" else [self.family]
        wanted = [(family, seed) for family in families for seed in range(self.seed, self.seed + self.count)]
        objects = [
            RenderedObject(f"{family}-{seed:04d}", partial(generate_object, family, seed), seed)
            for family, seed in wanted
        ]
        _render_all(objects, self.out, self.options, shards=self.shards, overwrite=self.overwrite)


@dataclass(frozen=True, kw_only=True)
class Capture:
    """Find the poses of photographs, or of a film, of a scene that stands still, and make a scene of them.

    Prints the folder of the scene; capture.html in it shows what was found, and which photographs were lost and why.
    The scene appears complete or not at all; run the same command again to go on after an interruption.
    Needs pycolmap: pip install 'latentfields[colmap]'.
    """

    photos: tyro.conf.Positional[Path]
    """Folder of photographs, or a film."""
    out: Path
    """Folder of the scene."""
    overwrite: bool = False
    """Replace a captured scene that exists."""
    threads: int | None = None
    """Threads that find and match features; by default one for every processor core."""
    json: bool = False
    """Print what was found, and which photographs were lost and why, as JSON."""
    options: Annotated[CaptureConfig, tyro.conf.arg(name="")] = field(default_factory=CaptureConfig)

    def run(self) -> None:
        """Find the poses, write the scene and its page."""
        import dataclasses
        import shlex

        from latentfields.cli.command_line import command_line
        from latentfields.cli.reporting import print_result
        from latentfields.process import set_threads
        from latentfields.structure_from_motion.capture import PAGE_FILE, capture

        # Photographs are spread over threads; within an operation one is faster.
        set_threads(1)
        found = capture(
            self.photos,
            out=self.out,
            options=self.options,
            overwrite=self.overwrite,
            threads=self.threads,
            command=command_line(),
        )
        logger = logging.getLogger(__name__)
        for lost in found.lost:
            logger.warning("%s has no pose: %s", lost.name, lost.reason)
        logger.info(
            "%d of %d registered, reprojection error %.2f pixels, %d points",
            len(found.registered),
            found.photographs,
            found.reprojection_error,
            found.points,
        )
        print_result(dataclasses.asdict(found), [str(self.out)], json=self.json)
        logger.info(
            "Look at %s, then fit it: latentfields fit %s", self.out / PAGE_FILE, shlex.quote(str(self.out))
        )


def scene_folders(out: Path, names: Sequence[str]) -> list[Path]:
    """The folders of scenes called `names`: `out` itself for a single one, `out`/NAME for each of several.

    Raises InputError when several would be written into a scene.
    """
    from latentfields.scenes.load import is_scene

    if len(names) == 1:
        return [out]
    if is_scene(out):
        raise InputError(out, f"is a scene itself; expected a folder for {', '.join(names[:3])}")
    return [out / name for name in names]


def _render_all(
    objects: Sequence[RenderedObject],
    out: Path,
    options: RenderConfig,
    *,
    shards: int | None,
    overwrite: bool,
) -> None:
    """Render objects one after the other, and print the folder of each, or every shard, when it is there."""
    from latentfields.progress import progress_bar
    from latentfields.scenes.objects.object_scenes import render_object_scene
    from latentfields.scenes.objects.object_shards import render_shards

    options.check()
    thin: list[str] = []
    with progress_bar("scenes", total=len(objects) * options.views, unit="view") as bar:
        if shards is not None:
            for path in render_shards(
                objects, out, options=options, shards=shards, overwrite=overwrite, on_view=bar.update
            ):
                bar.write(str(path))
            return
        for shown, folder in zip(objects, scene_folders(out, [shown.name for shown in objects]), strict=True):
            mesh = shown.mesh()
            bar.set_description(mesh.name, refresh=False)
            summary = render_object_scene(
                mesh, folder, options=options, seed=shown.seed, overwrite=overwrite, on_view=bar.update
            )
            covers = f"covers {summary.coverage:.0%} of the frame"
            bar.set_postfix_str(covers, refresh=False)
            thin += [f"{mesh.name} {covers}"] if summary.coverage < THIN else []
            bar.write(str(folder))
    for object_and_share in thin:
        logging.getLogger(__name__).warning(
            "%s, as it is thin: few latents show it; pictures larger than %d pixels (--size) have more",
            object_and_share,
            options.size,
        )
