"""Cameras as a Nerfstudio `transforms.json`, in the capture's own coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from latentfields.cameras import Cameras
from latentfields.config.arguments import checked
from latentfields.errors import ArgumentError, InputError
from latentfields.export.world import cameras_to_world
from latentfields.files import write_json
from latentfields.latent_nerf.render import load_run_scene, orbit, orbit_frames, run_views
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.pages.pictures import picture_files, save_png, save_rgba
from latentfields.scenes.readers.nerfstudio import FILE
from latentfields.scenes.scene import Scene

PICTURES = "images"


@dataclass(frozen=True)
class CameraSummary:
    """A summary of what was written."""

    file: Path
    cameras: int
    pictures: int
    """How many were written beside it."""


@checked
def export_cameras(
    run: Run | str | Path,
    views: SceneCameras | None = None,
    *,
    out: str | Path,
    path: Literal["capture", "orbit"] = "capture",
    frames: int = 60,
    pictures: bool = False,
    photographs: bool = True,
) -> CameraSummary:
    """Write OUT/transforms.json: the cameras that the run knows, with their splits, or an orbit of `frames` views.

    Poses are camera-to-world in OpenGL axes and intrinsics are those of the run's pictures: undistorted, resized and
    cropped as the scene was for the fit. The folder is a data set that loads: of the capture, as it was fitted, with
    `photographs`, which are left out where they are not to be had, as beside a single file; or of the fitted scene,
    with `pictures`, which renders each view to the file that the JSON names. Raises InputError for unusable options.
    """
    run, out = Run.opened(run), Path(out)
    views = run_views(run) if views is None else views
    if out.exists() and not out.is_dir():
        raise InputError(out, f"expected a folder for {FILE}, found a file")
    if path == "orbit":
        if frames < 1:
            raise ArgumentError("frames", f"is {frames}; expected at least 1")
        cameras = orbit(views.training_cameras, frames=frames)
        names = tuple(f"orbit_{index:04d}" for index in range(frames))
        splits = {"train": torch.arange(frames)}
    else:
        cameras, names, splits = views.cameras, views.names, dict(views.splits)
    files = [f"{PICTURES}/{file}" for file in picture_files(names)]
    contents = transforms_json(cameras_to_world(run.frame, cameras), files)
    for name, indices in splits.items():
        if len(indices):
            contents[f"{name}_filenames"] = [files[int(index)] for index in indices]
    written = len(files) if pictures else 0
    scene = _photographs(run, views) if photographs and not pictures and path == "capture" else None
    if scene is not None:
        for index, file in enumerate(files):
            save_rgba(out / file, scene.pixels[index], None if scene.alpha is None else scene.alpha[index])
        written = len(files)
    if pictures:
        for file, pixels in zip(files, orbit_frames(run, cameras), strict=True):
            save_png(out / file, pixels)
    write_json(out / FILE, contents)
    return CameraSummary(out / FILE, len(cameras), written)


def _photographs(run: Run, views: SceneCameras) -> Scene | None:
    """The scene of the run, if it is where it was and its cameras are `views`; None otherwise."""
    try:
        scene = load_run_scene(run)
    except InputError:
        return None
    return scene if scene.image_names == views.names else None


def transforms_json(cameras: Cameras, files: list[str]) -> dict[str, Any]:
    """Nerfstudio's description of N cameras in the world whose pictures are in `files`."""
    frames = [
        {
            "file_path": file,
            "fl_x": focal[0],
            "fl_y": focal[1],
            "cx": principal[0],
            "cy": principal[1],
            "transform_matrix": pose,
        }
        for file, focal, principal, pose in zip(
            files,
            cameras.focal.tolist(),
            cameras.principal.tolist(),
            cameras.camera_to_world.tolist(),
            strict=True,
        )
    ]
    return {"camera_model": "PINHOLE", "w": cameras.width, "h": cameras.height, "frames": frames}
