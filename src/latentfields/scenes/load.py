"""Reading a scene from a folder, whichever format it is in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from latentfields.errors import InputError
from latentfields.scenes import blender, colmap, igae, nerfstudio
from latentfields.scenes.assemble import assemble
from latentfields.scenes.capture import Capture
from latentfields.scenes.masks import with_folder_masks, without_masks
from latentfields.scenes.reading import WHITE, Format, Reading
from latentfields.scenes.scene import Scene

_READERS: dict[str, Callable[[Path], Capture]] = {
    "blender": blender.read_blender,
    "igae": igae.read_igae,
    "nerfstudio": nerfstudio.read_nerfstudio,
    "colmap": colmap.read_colmap,
}


def load_scene(
    path: str | Path,
    *,
    format: Format = "auto",
    max_size: int | None = None,
    use_masks: bool = True,
    background: tuple[float, float, float] = WHITE,
) -> Scene:
    """Read the posed images in a folder and bring them into the normalised frame, [-1, 1]^3.

    The format is recognised by these files, in this order; `format` chooses where a folder has several:
    transforms_train.json ("blender": NeRF-synthetic), transforms_opencv.json ("igae"), transforms.json
    ("nerfstudio"), and a sparse model in sparse/0, sparse or colmap/sparse/0 beside images/ ("colmap").

    `max_size` shrinks images so that their longer side has at most so many pixels; depth maps are read only
    where images keep their size. Masks named by the data set or lying in masks/ take the place of the alpha
    channel unless `use_masks` is off. `background` is the colour in [0, 1] behind images with alpha. Lens
    distortion is removed. Raises InputError, one line naming the file and the field, for anything that cannot
    be used.
    """
    folder = Path(path)
    if max_size is not None and max_size < 1:
        raise InputError("max_size", f"expected at least 1 pixel, got {max_size}")
    if len(background) != 3 or not all(0 <= value <= 1 for value in background):
        raise InputError("background", f"expected three numbers between 0 and 1, got {background}")
    if not folder.is_dir():
        raise InputError(folder, "there is no such folder")
    capture = _READERS[_recognised(folder) if format == "auto" else _known(format)](folder)
    capture = with_folder_masks(capture) if use_masks else without_masks(capture)
    scene = assemble(capture, max_size=max_size, background=background)
    reading = Reading(format=format, use_masks=use_masks, background=background)
    return replace(scene, reading=reading, read_size=max(scene.size))


def _recognised(folder: Path) -> str:
    for file, name in ((blender.TRAIN_FILE, "blender"), (igae.FILE, "igae"), (nerfstudio.FILE, "nerfstudio")):
        if (folder / file).is_file():
            return name
    if colmap.model_folder(folder) is not None:
        return "colmap"
    raise InputError(
        folder,
        f"is not a scene; looked for {blender.TRAIN_FILE}, {igae.FILE}, {nerfstudio.FILE} and cameras.bin or "
        f".txt in {', '.join(colmap.MODEL_FOLDERS)}",
    )


def _known(format: str) -> str:
    if format not in _READERS:
        raise InputError("format", f"expected auto, {', '.join(_READERS)}, got {format!r}")
    return format
