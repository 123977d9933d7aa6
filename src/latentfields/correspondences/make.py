"""Making a data set of correspondences from scenes of any kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from latentfields.config.arguments import checked
from latentfields.correspondences.config import CorrespondenceConfig, Source
from latentfields.correspondences.depth import depth_correspondences
from latentfields.correspondences.files import (
    SceneCorrespondences,
    load_correspondences,
    save_correspondences,
    scene_file,
)
from latentfields.correspondences.matching import matched_correspondences
from latentfields.correspondences.sparse_points import colmap_correspondences
from latentfields.errors import ArgumentError, InputError
from latentfields.scenes.load import (
    Scenes,
    as_scene_folders,
    find_reader,
    is_scene,
    scene_folders_below,
)
from latentfields.scenes.plain_pictures import picture_folder
from latentfields.scenes.readers.colmap.folder import model_folders
from latentfields.scenes.scene import scene_name
from latentfields.scenes.shards import ShardPath, is_remote, is_shard, located
from latentfields.training.lock import locked

_FINDERS = {
    "depth": depth_correspondences,
    "colmap": colmap_correspondences,
    "images": matched_correspondences,
}


@checked
def correspond(
    scenes: Scenes, *, out: str | Path, options: CorrespondenceConfig | None = None
) -> tuple[SceneCorrespondences, ...]:
    """Write the correspondences of every scene in or directly below the folders `scenes` into the data set `out`.

    Scenes that `out` holds already, made with the same options, are only read. Raises InputError for unusable input,
    when two scenes have one name, when `out` holds other correspondences under it, and when another process works
    there; what is written is complete.
    """
    return tuple(correspond_one_by_one(scenes, out=out, options=options))


def correspond_one_by_one(
    scenes: Scenes, *, out: str | Path, options: CorrespondenceConfig | None = None
) -> Iterator[SceneCorrespondences]:
    """Do what `correspond` does, scene by scene as they are asked for: to show progress, or to keep none in memory."""
    roots, out, options = as_scene_folders(scenes), Path(out), options or CorrespondenceConfig()
    options.check()
    if not roots:
        raise ArgumentError("scenes", "name at least one scene, or folder of scenes")
    if out.exists() and not out.is_dir():
        raise InputError(out, "is not a folder")
    folders: dict[str, Path] = {}
    for folder in (folder for root in roots for folder in _scene_folders(root)):
        name = scene_name(folder)
        if name in folders:
            raise InputError(folder, f"has the same name as {folders[name]}; make two data sets of them")
        folders[name] = folder
    sources = {name: _source(folder, options.source) for name, folder in folders.items()}
    with locked(out):
        for name, folder in folders.items():
            yield _made(folder, sources[name], out=out, options=options)


def _made(folder: Path, source: str, *, out: Path, options: CorrespondenceConfig) -> SceneCorrespondences:
    file = scene_file(out, scene_name(folder))
    if not file.exists():
        scene = _FINDERS[source](folder, options)
        save_correspondences(scene, out)
        return scene
    stored = load_correspondences(file)
    if not options.made(stored.about, source) or not stored.folder.is_relative_to(folder.resolve()):
        raise InputError(
            file, f"holds correspondences of {stored.folder} with {stored.about}; choose another folder"
        )
    return stored


def _scene_folders(root: Path) -> list[Path]:
    """`root` where it is a scene, otherwise the scenes in it; folders of plain images count as scenes here."""
    root = located(root)
    if isinstance(root, ShardPath) or is_remote(root):
        return scene_folders_below(root)
    if not root.is_dir():
        raise InputError(root, "there is no such folder")
    if is_scene(root):
        return [root]
    if any(map(is_shard, root.iterdir())):
        return scene_folders_below(root)
    children = sorted(child for child in root.iterdir() if child.is_dir())
    # A picture that lies beside scenes does not make one scene of all of them.
    if not any(map(is_scene, children)) and picture_folder(root) is not None:
        return [root]
    found = [child for child in children if is_scene(child) or picture_folder(child) is not None]
    if not found:
        raise InputError(root, "no scenes here; expected depth maps, a COLMAP model, or images")
    return found


def _source(folder: Path, wanted: Source) -> str:
    kinds = _kinds(folder)
    if wanted == "auto":
        return kinds[0]
    if wanted not in kinds:
        raise InputError(folder, f"cannot be read as '{wanted}'; it has {', '.join(kinds)}")
    return wanted


def _kinds(folder: Path) -> list[str]:
    """List those of the sources "depth", "colmap" and "images" that a folder has, best first."""
    has = {"depth": _has_depth(folder), "colmap": bool(model_folders(folder)), "images": True}
    return [source for source, present in has.items() if present]


def _has_depth(folder: Path) -> bool:
    """True for scenes whose files name depth maps. Raises InputError for scenes that cannot be read at all."""
    if not is_scene(folder):
        return False
    try:
        return any(view.depth is not None for view in find_reader(folder).read(folder).views)
    except InputError:
        # A COLMAP model does without whatever else lies there.
        if not model_folders(folder):
            raise
        return False
