"""A reader of one's own: posed photographs whose cameras are rows of a table, read and fitted like any other scene.

    python examples/03_own_reader.py [FOLDER]   # ten seconds of one CPU core, offline

A reader says what the files mean, without opening pictures; resizing, masks, lens distortion and the normalised frame
are there. To make it part of the package, for every command: docs/architecture.md, "To add a reader".
"""

import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

import latentfields
from latentfields.errors import InputError
from latentfields.scenes.images import image_size
from latentfields.scenes.load import READERS, Reader
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object
from latentfields.scenes.readers.capture import (
    Capture,
    Lens,
    PosedImage,
    checked_lens,
    every_eighth,
    existing_file,
    rigid_pose,
)

TABLE = "cameras.csv"
"""A row per picture: its file, the focal length in pixels, the 12 numbers of the camera-to-world matrix by rows."""


def read_table(folder: Path, *, follow_links: bool = False) -> Capture:
    """Return the capture that the table describes; every eighth view is for testing.

    Poses are in OpenGL axes: x right, y up, z towards the viewer. Raises InputError, naming the table and the row.
    """
    table = folder / TABLE
    with open(table, newline="") as file:
        rows = list(csv.reader(file))
    views = [
        _posed(folder, table, f"row {number}", row, follow_links=follow_links)
        for number, row in enumerate(rows, start=1)
    ]
    return Capture(folder=folder, views=views, splits=every_eighth(table, len(views)))


def _posed(folder: Path, table: Path, where: str, row: list[str], *, follow_links: bool) -> PosedImage:
    try:
        name, focal, *numbers = row
        fx, pose = float(focal), np.array(numbers, dtype=np.float64).reshape(3, 4)
    except ValueError:
        raise InputError(table, f"{where}: expected a file, a focal length and 12 numbers") from None
    # Files are looked for inside of the folder alone: tables come from anywhere.
    image = existing_file(folder, table, where, name, follow_links=follow_links)
    width, height = image_size(image)
    lens = Lens(width=width, height=height, fx=fx, fy=fx, cx=width / 2, cy=height / 2)
    return PosedImage(
        name=name,
        image=image,
        pose=rigid_pose(table, where, pose),
        lens=checked_lens(table, where, lens),
    )


CSV = Reader("csv", looks_for=TABLE, recognises=lambda folder: (folder / TABLE).is_file(), read=read_table)


def main(out: Path) -> float:
    """Write a scene in the new format, read it and fit Gaussians to it; return the PSNR of the test views in dB."""
    if not (out / "mug").exists():
        render_object_scene(generate_object("mugs", 0), out / "mug", options=RenderConfig(views=24, size=64))
    write_table(latentfields.load_scene(out / "mug"), out / "mug")

    # The new format is asked first, since this folder has two. A format may be chosen by its name, too: format="csv".
    scene = latentfields.load_scene(out / "mug", readers=(CSV, *READERS))
    config = replace(latentfields.preset("gaussians"), subpixels=1).with_steps(supervision=100, alignment=100)
    autoencoder = latentfields.load_autoencoder("base-f4")
    run = latentfields.fit(scene, autoencoder, out=out / "run", config=config)

    # What is not given the scene would look for it by the formats of the package.
    scores = latentfields.evaluate_run(run, scene=scene)
    psnr = float(scores["test"]["images"]["mean"]["psnr"])
    print(f"{len(scene.cameras)} views from {TABLE}; {psnr:.2f} dB on views that the fit has not seen")
    return psnr


def write_table(scene: latentfields.Scene, folder: Path) -> None:
    """Write the pictures' names and cameras of `scene`, in its normalised frame, as a table into its folder."""
    cameras = scene.cameras
    with open(folder / TABLE, "w", newline="") as file:
        for name, focal, pose in zip(
            scene.image_names, cameras.focal[:, 0].tolist(), cameras.camera_to_world.tolist(), strict=True
        ):
            csv.writer(file).writerow([name, focal, *pose[0], *pose[1], *pose[2]])


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/example-own-reader"))
