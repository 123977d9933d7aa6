"""Scenes from folders, whichever format they are in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, get_args

from latentfields.errors import ArgumentError, InputError
from latentfields.scenes.assemble import assemble
from latentfields.scenes.readers import blender, igae, nerfstudio
from latentfields.scenes.readers.capture import Capture
from latentfields.scenes.readers.colmap import folder as colmap
from latentfields.scenes.readers.masks import with_folder_masks, without_masks
from latentfields.scenes.reading import WHITE, Format, Masks, Reading
from latentfields.scenes.scene import Scene


class ReadCapture(Protocol):
    """Reads a folder of one format."""

    def __call__(self, folder: Path, *, follow_links: bool) -> Capture:
        """As `Reader.read`."""


@dataclass(frozen=True)
class Reader:
    """One format of scene folders. To add one: its reader in `scenes/readers/`, its place in `READERS`, its name in
    `scenes.reading.Format`."""

    name: Format
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


def load_scene(
    path: str | Path,
    *,
    format: Format = "auto",
    max_size: int | None = None,
    masks: Masks = "object",
    background: tuple[float, float, float] = WHITE,
    model: str | Path | None = None,
    follow_links: bool = False,
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
    lead out of the folder are refused unless `follow_links`. Raises InputError, one line naming the file and the
    field, for anything that cannot be used.
    """
    folder = Path(path)
    if max_size is not None and max_size < 1:
        raise ArgumentError("max_size", f"is {max_size}; expected at least 1")
    if len(background) != 3 or not all(0 <= value <= 1 for value in background):
        raise ArgumentError("background", f"is {background}; expected three numbers from 0 to 1")
    if not folder.is_dir():
        raise InputError(folder, "there is no such folder")
    if masks not in get_args(Masks):
        raise InputError("masks", f"expected {', '.join(get_args(Masks))}, got {masks!r}")
    if model is None:
        capture = _reader(folder, format).read(folder, follow_links=follow_links)
    elif format in ("auto", "colmap"):
        capture = colmap.read_colmap(folder, model=Path(model), follow_links=follow_links)
    else:
        raise InputError("model", f"is a folder of COLMAP's; expected the format colmap, got {format}")
    with_masks = masks != "none"
    capture = with_folder_masks(capture, follow_links=follow_links) if with_masks else without_masks(capture)
    scene = assemble(capture, max_size=max_size, background=background, ignore=masks == "ignore")
    reading = Reading(
        format=format,
        masks=masks,
        background=background,
        model=None if model is None else str(model),
        follow_links=follow_links,
    )
    return replace(scene, reading=reading, read_size=max(scene.size))


def is_scene(folder: Path) -> bool:
    """True for folders that `load_scene` reads, judged by the names of files alone."""
    return any(reader.recognises(folder) for reader in READERS)


def scene_folders_below(root: Path) -> list[Path]:
    """Folders that hold a scene: `root` itself, or its direct children, sorted.

    Raises InputError when there are none.
    """
    if is_scene(root):
        return [root]
    found = sorted(child for child in root.iterdir() if is_scene(child)) if root.is_dir() else []
    if not found:
        raise InputError(
            root, f"no scenes here; expected a scene folder or a folder of them, with {_looks_for()}"
        )
    return found


def _looks_for() -> str:
    *others, last = (reader.looks_for for reader in READERS)
    return f"{', '.join(others)} or {last}"


def _reader(folder: Path, format: Format) -> Reader:
    if format == "auto":
        for reader in READERS:
            if reader.recognises(folder):
                return reader
        raise InputError(folder, f"is not a scene; looked for {_looks_for()}")
    for reader in READERS:
        if reader.name == format:
            return reader
    raise ArgumentError("format", f"is {format!r}; expected auto, {', '.join(r.name for r in READERS)}")
