"""Pictures and videos of a finished run."""

from __future__ import annotations

import mimetypes
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from latentfields.camera_path import CameraPath, path_through
from latentfields.cameras import Cameras, look_at
from latentfields.errors import ArgumentError, InputError
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_cameras import SceneCameras
from latentfields.pages.pictures import Pixels, picture_files, save_png, to_pixels
from latentfields.pages.video import write_gif, write_mp4
from latentfields.scenes.reading import Bounds
from latentfields.scenes.scene import Scene

ORBIT_DISTANCE = 1.15
"""A little farther away than the training cameras, so that nothing is cut while the object turns."""

FILMS = {".mp4": write_mp4, ".gif": write_gif}
"""Writers of films, by the end of the file's name."""

ONE_SIDED = 0.7
"""Length of the mean direction towards the cameras above which they count as standing on one side."""


def orbit(cameras: Cameras, *, frames: int) -> Cameras:
    """A closed path that looks at the origin, with the mean intrinsics of `cameras`.

    Around an object: a circle at a typical height and a little more than the typical distance, looking down by 20
    degrees or more. For cameras that all stand on one side: a small circle around their mean position, as wide as
    they are spread. The up direction is the mean of theirs.
    """
    up = cameras.mean_up
    angle = (torch.arange(frames) * (2 * torch.pi / frames))[:, None]
    around = torch.nn.functional.normalize(cameras.centers, dim=-1)
    one_sided = around.mean(0).norm() > ONE_SIDED
    axis = torch.nn.functional.normalize(around.mean(0), dim=0) if one_sided else up
    first = torch.nn.functional.normalize(torch.linalg.cross(axis, axis.roll(1)), dim=0)
    circle = angle.cos() * first + angle.sin() * torch.linalg.cross(axis, first)
    if one_sided:
        eye = cameras.centers.mean(0) + cameras.centers.std(0, correction=0).mean() * circle
    else:
        height = (around @ up).median().clamp(0.34, 0.7)
        distance = ORBIT_DISTANCE * cameras.centers.norm(dim=-1).median()
        eye = distance * (height * up + (1 - height.square()).sqrt() * circle)
    return Cameras(
        camera_to_world=look_at(eye, torch.zeros(3), up),
        focal=cameras.focal.mean(0).expand(frames, 2),
        principal=torch.tensor([cameras.width / 2, cameras.height / 2]).expand(frames, 2),
        width=cameras.width,
        height=cameras.height,
    )


def orbit_frames(run: Run, cameras: Cameras, *, batch_size: int = 8) -> Iterator[Pixels]:
    """Decoded frames (H, W, 3) uint8 of the cameras, a few at a time."""
    for start in range(0, len(cameras), batch_size):
        yield from to_pixels(run.render(cameras[start : start + batch_size]))


def load_run_scene(run: Run, folder: Path | None = None) -> Scene:
    """The scene a run was fitted to, at the run's resolution; `folder` says where it is now.

    Raises InputError when what is there has other pixels, cameras or splits than the run was fitted to.
    """
    config = run.config if folder is None else replace(run.config, scene=folder)
    if not config.scene.is_dir():
        raise InputError(config.scene, "there is no such folder; say with `scene` where the scene is now")
    return run.check_scene(config.load_scene())


def run_views(run: Run, folder: Path | None = None) -> SceneCameras:
    """The cameras of the scene that a run was fitted to.

    They are in the run where it is a single file, otherwise with the scene; `folder` says where that is now. Raises
    InputError as `load_run_scene`.
    """
    if run.views is not None and folder is None:
        return run.views
    return SceneCameras.of(load_run_scene(run, folder))


def film_cameras(cameras: Cameras, *, frames: int, bounds: Bounds) -> Cameras:
    """The cameras of a film: around an object, or through a scene without bounds, where the training `cameras` were."""
    if bounds == "object":
        return orbit(cameras, frames=frames)
    return path_through(cameras, frames=frames).cameras(width=cameras.width, height=cameras.height)


Views = Literal["test", "orbit", "path"]
"""What is rendered: test views, a circle around the scene, or a path through the training cameras."""


def render_run(
    run: Run,
    *,
    out: Path,
    views: Views | None = None,
    frames: int,
    fps: int,
    scene_folder: Path | None = None,
) -> Path:
    """Write renders of a run as PNG files into the folder `out`, or as a film when `out` ends in .mp4 or .gif.

    Without `views` a film of a scene without bounds is the path through its cameras; all else are test views. Pictures
    of those are called as in the capture, within their folders where names repeat. `scene_folder` says where the scene
    is now. Raises InputError when it, `out`, `frames` or `fps` cannot be used.
    """
    kind = mimetypes.guess_type(out.name)[0] or ""
    if kind.startswith(("video/", "image/")) and out.suffix not in FILMS:
        raise InputError(out, f"expected a folder, or a file that ends in {' or '.join(FILMS)}")
    if fps < 1:
        raise ArgumentError("fps", f"is {fps}; expected at least 1")
    known = run_views(run, scene_folder)
    if views is None:
        views = "path" if run.frame.bounds == "scene" and out.suffix in FILMS else "test"
    if views != "test":
        if frames < 1:
            raise ArgumentError("frames", f"is {frames}; expected at least 1")
        bounds: Bounds = "object" if views == "orbit" else "scene"
        cameras = film_cameras(known.training_cameras, frames=frames, bounds=bounds)
        names = [f"{views}_{index:04d}.png" for index in range(frames)]
    else:
        test = known.splits["test"]
        if len(test) == 0:
            raise ArgumentError(
                "views", f"is test, but the scene of {run.folder} has no test views; expected orbit or path"
            )
        cameras = known.cameras[test]
        names = picture_files([known.names[int(index)] for index in test], flat=True)
    return _write_pictures(run, cameras, names, out=out, fps=fps)


def render_path(run: Run, path: CameraPath, *, out: Path) -> Path:
    """As `render_run`, for the cameras of a path in the run's normalised frame, at the run's image size."""
    cameras = path.cameras(width=run.frame.width, height=run.frame.height)
    names = [f"path_{index:04d}.png" for index in range(len(cameras))]
    return _write_pictures(run, cameras, names, out=out, fps=path.fps)


def _write_pictures(run: Run, cameras: Cameras, names: Sequence[str], *, out: Path, fps: int) -> Path:
    pixels = orbit_frames(run, cameras)
    if out.suffix in FILMS:
        FILMS[out.suffix](out, pixels, fps=fps)
    else:
        out.mkdir(parents=True, exist_ok=True)
        for name, picture in zip(names, pixels, strict=True):
            save_png(out / name, picture)
    return out
