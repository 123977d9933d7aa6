"""Scenes from folders, whichever format they are in."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, get_args

from latentfields.config.arguments import checked
from latentfields.errors import ArgumentError, InputError
from latentfields.scenes.assemble import assemble, kind_of
from latentfields.scenes.plain_pictures import is_film, picture_folder, unread_in
from latentfields.scenes.readers import blender, igae, nerfstudio
from latentfields.scenes.readers.capture import Capture
from latentfields.scenes.readers.colmap import folder as colmap
from latentfields.scenes.readers.colmap.beside import with_points_beside
from latentfields.scenes.readers.masks import with_folder_masks, without_masks
from latentfields.scenes.reading import WHITE, ChosenBounds, Masks, Points, Reading, SceneKind, Split
from latentfields.scenes.scene import Scene
from latentfields.scenes.selection import with_few_views, with_llff_split
from latentfields.scenes.shards import ShardPath, is_remote, is_shard, located, remote_shards

Scenes = Scene | str | Path | Sequence[Scene | str | Path]
"""A scene or a folder of scenes, or several. A scene in memory stands for the folder that it was read from."""


class ReadCapture(Protocol):
    """Reads a folder of one format."""

    def __call__(self, folder: Path, *, follow_links: bool = ...) -> Capture:
        """As `Reader.read`."""


@dataclass(frozen=True)
class Reader:
    """One format of scene folders. To add one: its reader in `scenes/readers/`, and its place in `READERS`."""

    name: str
    """What `load_scene(format=...)` calls it."""
    looks_for: str
    """What its folders are recognised by, for the message about a folder that is none."""
    recognises: Callable[[Path], bool]
    """True for folders of this format, judged by the names of files alone."""
    read: ReadCapture
    """What the files say, without pixels. Raises InputError, naming file and field."""


def _holding(file: str) -> Callable[[Path], bool]:
    return lambda folder: (folder / file).is_file()


READERS: tuple[Reader, ...] = (
    Reader("blender", blender.TRAIN_FILE, _holding(blender.TRAIN_FILE), blender.read_blender),
    Reader("igae", igae.FILE, _holding(igae.FILE), igae.read_igae),
    Reader("nerfstudio", nerfstudio.FILE, _holding(nerfstudio.FILE), nerfstudio.read_nerfstudio),
    Reader(
        "colmap",
        f"cameras.bin or .txt in {', '.join(colmap.MODEL_FOLDERS)}",
        lambda folder: bool(colmap.model_folders(folder)),
        colmap.read_colmap,
    ),
)
"""Every format, in the order in which a folder is asked for them: the one list of what a scene folder is."""


@checked
def load_scene(
    path: str | Path,
    *,
    format: str = "auto",
    max_size: int | None = None,
    masks: Masks = "object",
    background: tuple[float, float, float] = WHITE,
    model: str | Path | None = None,
    follow_links: bool = False,
    bounds: ChosenBounds = "auto",
    points: Points = "any",
    split: Split = "own",
    train_views: int | None = None,
    readers: Sequence[Reader] = READERS,
) -> Scene:
    """Read the posed images in a folder and bring them into the normalised frame, [-1, 1]^3.

    The format is recognised by these files, in this order; `format` chooses where a folder has several:
    transforms_train.json ("blender": NeRF-synthetic), transforms_opencv.json ("igae"), transforms.json
    ("nerfstudio"), and a sparse model in sparse/0, sparse or colmap/sparse/0 beside images/ ("colmap"); `model` is
    the folder of a sparse model elsewhere.

    `max_size` shrinks images so that their longer side has at most so many pixels; depth maps are read only
    where images keep their size. Masks named by the data set or lying in masks/ take the place of the alpha
    channel ("object"), or what they leave out is of no account ("ignore": `Scene.ignored`), or they are not read
    ("none"). `background` is the colour in [0, 1] behind images with alpha. Lens distortion is removed. Links that
    lead out of the folder are refused unless `follow_links`. `bounds` say what fields will cover, the box around an
    object or all space ("scene"), which the normalised frame follows; by default an object where images have alpha.
    Sparse points of a COLMAP model beside other files are read as well, unless `points` are those "listed" by the files
    alone. `split` "llff" tests on every eighth view by name, whatever the data set says, and `train_views` leaves so
    many evenly spread views to fit to (see `selection.with_few_views`). `readers` are the formats that are known, in
    the order in which they are asked: with `(*READERS, mine)` a format of one's own. Raises InputError, one line naming
    the file and the field, for anything that cannot be used.
    """
    if max_size is not None and max_size < 1:
        raise ArgumentError("max_size", f"is {max_size}; expected at least 1")
    if len(background) != 3 or not all(0 <= value <= 1 for value in background):
        raise ArgumentError("background", f"is {background}; expected three numbers from 0 to 1")
    reading = Reading(
        format=format,
        masks=masks,
        background=background,
        model=None if model is None else str(model),
        follow_links=follow_links,
        bounds=bounds,
        points=points,
        split=split,
        train_views=train_views,
    )
    capture = _captured(Path(path), reading, readers)
    scene = assemble(
        capture, max_size=max_size, background=background, ignore=masks == "ignore", bounds=bounds
    )
    scene = scene if train_views is None else with_few_views(scene, train_views)
    return replace(scene, reading=reading, read_size=max(scene.size))


def largest_picture(path: str | Path, reading: Reading) -> tuple[int, int]:
    """(width, height) in pixels of the largest picture that `load_scene` would read, as it is stored.

    Raises InputError as `load_scene`, whose warnings are left to it.
    """
    views = _captured_quietly(path, reading).views
    return max(((view.lens.width, view.lens.height) for view in views), key=max)


def scene_kind(path: str | Path, reading: Reading) -> SceneKind:
    """What `Scene.kind` is of the scene that `load_scene` would read. Raises InputError as `largest_picture`."""
    capture = _captured_quietly(path, reading)
    return kind_of(capture, ignore=reading.masks == "ignore", bounds=reading.bounds)


def _captured_quietly(path: str | Path, reading: Reading) -> Capture:
    """What the files of a folder say, without pixels, and without the warnings that `load_scene` gives."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _captured(Path(path), reading, READERS)


def _captured(folder: Path, reading: Reading, readers: Sequence[Reader]) -> Capture:
    """What the files of a folder say, without pixels."""
    folder = located(folder)
    if is_film(folder):
        raise _without_poses(folder, "is a film")
    if not folder.is_dir():
        is_file = folder.is_file()
        raise InputError(
            folder, "is a file; expected a scene's folder" if is_file else "there is no such folder"
        )
    for name, kinds in (("masks", Masks), ("split", Split), ("bounds", ChosenBounds), ("points", Points)):
        if (value := getattr(reading, name)) not in get_args(kinds):
            raise ArgumentError(name, f"is {value!r}; expected {', '.join(get_args(kinds))}")
    links = reading.follow_links
    if reading.model is None:
        reader = find_reader(folder, format=reading.format, readers=readers)
        capture = reader.read(folder, follow_links=links)
    elif reading.format in ("auto", "colmap"):
        capture = colmap.read_colmap(folder, model=located(Path(reading.model)), follow_links=links)
    else:
        raise ArgumentError(
            "model", f"is a folder of COLMAP's; expected the `format` colmap, got {reading.format}"
        )
    if reading.points == "any":
        capture = with_points_beside(capture, follow_links=links)
    with_masks = reading.masks != "none"
    capture = with_folder_masks(capture, follow_links=links) if with_masks else without_masks(capture)
    return with_llff_split(capture) if reading.split == "llff" else capture


def is_scene(folder: Path) -> bool:
    """True for folders that `load_scene` reads, judged by the names of files alone."""
    folder = located(folder)
    return any(reader.recognises(folder) for reader in READERS)


def scene_folders_below(root: Path) -> list[Path]:
    """Folders that hold a scene: `root` itself, or its direct children and what is in shards there, sorted.

    `root` may be a shard. Raises InputError when there are none.
    """
    root = located(root)
    found = [root] if is_scene(root) else _children_with_scenes(root)
    if not found:
        raise InputError(
            root, f"no scenes here; expected a scene, a folder or a shard of them, with {_looks_for(READERS)}"
        )
    return found


def scene_folders(roots: Iterable[Path]) -> list[Path]:
    """`scene_folders_below` each of the folders, one after the other."""
    return [folder for root in roots for folder in scene_folders_below(root)]


def as_scene_folders(scenes: Scenes) -> tuple[Path, ...]:
    """The folders of scenes, or of folders of them: of a scene in memory the one that it was read from.

    Raises InputError for a scene that has no folder.
    """
    items = (scenes,) if isinstance(scenes, Scene | str | Path) else scenes
    return tuple(_folder_of(item) if isinstance(item, Scene) else Path(item) for item in items)


def _folder_of(scene: Scene) -> Path:
    folder = Path(scene.source)
    if not folder.is_dir():
        raise ArgumentError(
            "scenes",
            f"has the scene '{scene.name}', whose folder {folder} is not there; it is read from there",
        )
    return folder


def opened_scenes(scenes: Scenes) -> list[Scene]:
    """The scenes in memory as they are, and those in folders, or in folders of them, as `load_scene` reads them."""
    items = (scenes,) if isinstance(scenes, Scene | str | Path) else scenes
    found: list[Scene] = []
    for item in items:
        found += [item] if isinstance(item, Scene) else map(load_scene, scene_folders_below(Path(item)))
    return found


def find_reader(folder: Path, *, format: str = "auto", readers: Sequence[Reader] = READERS) -> Reader:
    """The reader called `format`, or with "auto" the first that recognises the folder.

    Raises InputError for names of no reader, and for a folder that none recognises.
    """
    for reader in readers:
        if reader.name == format or (format == "auto" and reader.recognises(folder)):
            return reader
    if format != "auto":
        raise ArgumentError("format", f"is {format!r}; expected auto, {', '.join(r.name for r in readers)}")
    if below := _children_with_scenes(folder):
        raise InputError(folder, f"is a folder of scenes; expected one of them, such as {below[0]}")
    if folder.is_dir() and picture_folder(folder) is not None:
        raise _without_poses(folder, "holds photographs")
    unread = unread_in(folder) if folder.is_dir() else ""
    convert = f"; {unread}: convert them to JPEG" if unread else ""
    raise InputError(folder, f"is not a scene; looked for {_looks_for(readers)}{convert}")


def _without_poses(source: Path, kind: str) -> InputError:
    """The error about pictures that are no scene yet, which offers the command that makes one."""
    command = shlex.join(
        ["latentfields", "scenes", "capture", str(source), "--out", f"{source.resolve().stem}-scene"]
    )
    return InputError(source, f"{kind} without poses; find them first, and make a scene: {command}")


def _children_with_scenes(folder: Path) -> list[Path]:
    """The scenes in a folder or a shard, and in the shards in a folder, here or elsewhere."""
    if is_remote(folder) and not isinstance(folder, ShardPath):
        children = remote_shards(folder)
    elif folder.is_dir():
        children = sorted(folder.iterdir())
    else:
        return []
    found = []
    for child in children:
        if is_shard(child):
            found += [scene for scene in located(child).iterdir() if is_scene(scene)]
        elif is_scene(child):
            found.append(child)
    return found


def _looks_for(readers: Sequence[Reader]) -> str:
    *others, last = (reader.looks_for for reader in readers)
    return f"{', '.join(others)} or {last}" if others else last
