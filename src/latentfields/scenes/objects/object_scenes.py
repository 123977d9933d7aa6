"""From a mesh to a scene folder: scale, place cameras, render, check, write."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from latentfields.cameras import Cameras
from latentfields.config.arguments import checked
from latentfields.errors import InputError
from latentfields.scenes.objects.blender_writer import require_absent, write_blender_scene
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.meshes import Mesh, normalised
from latentfields.scenes.objects.placement import framed_radius, sphere_cameras
from latentfields.scenes.objects.rendering import MeshRenderer, RenderedView

_MIN_COVERAGE = 0.005
_BLACK = 12
"""Byte value up to which a pixel counts as black."""


@dataclass(frozen=True)
class RenderSummary:
    """The outcome of rendering one object."""

    views: int
    """Number of views written."""
    coverage: float
    """Mean share of the pixels in which the object is seen."""


def framed(mesh: Mesh, *, options: RenderConfig) -> Mesh:
    """The mesh centred and scaled so that every camera of `options` sees it whole, as large as possible.

    Raises InputError, naming the mesh, when it cannot be rendered (see `meshes.normalised`).
    """
    radius = framed_radius(distance=options.distance, field_of_view=options.field_of_view)
    return normalised(mesh, radius=radius)


def object_cameras(options: RenderConfig, *, seed: int) -> Cameras:
    """The cameras of a scene: the first are for training, see `RenderConfig.split_sizes`."""
    return sphere_cameras(
        options.views,
        distance=options.distance,
        size=options.size,
        field_of_view=options.field_of_view,
        seed=seed,
        min_elevation=options.min_elevation,
        max_elevation=options.max_elevation,
    )


@checked
def render_object_scene(
    mesh: Mesh,
    folder: str | Path,
    *,
    options: RenderConfig | None = None,
    seed: int = 0,
    overwrite: bool = False,
    on_view: Callable[[], object] = lambda: None,
) -> RenderSummary:
    """Render a mesh (z up, any size) to a scene folder in the NeRF-synthetic layout; `seed` places cameras.

    `on_view` is called for every view. The world of the scene is the mesh moved to its box centre and
    scaled, see `framed`. Warns when nearly everything seen is black. Raises InputError when an option is out
    of range, when the folder exists, when the mesh cannot be rendered, and when it hardly shows in most of
    the views.
    """
    folder, options = Path(folder), options or RenderConfig()
    options.check()
    require_absent(folder, overwrite=overwrite)
    scaled = framed(mesh, options=options)
    cameras = object_cameras(options, seed=seed)
    tally = _Tally(mesh.name)
    views = tally.watched(MeshRenderer(scaled).render(cameras, samples=options.samples), on_view)
    write_blender_scene(
        folder,
        views,
        cameras,
        split_sizes=options.split_sizes(),
        farthest=2 * options.distance,
        overwrite=overwrite,
    )
    return RenderSummary(views=len(cameras), coverage=float(np.mean(tally.coverage)))


class _Tally:
    """A count of what the views of one object show, to refuse or warn about objects that do not show."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.coverage: list[float] = []
        self._black: list[float] = []

    def watched(self, views: Iterator[RenderedView], on_view: Callable[[], object]) -> Iterator[RenderedView]:
        """The views, counted as they pass, with a verdict after the last one."""
        for view in views:
            seen = view.rgba[..., 3] > 0
            self.coverage.append(float(seen.mean()))
            self._black.append(
                float((view.rgba[seen][:, :3].max(axis=1) <= _BLACK).mean()) if seen.any() else 0.0
            )
            on_view()
            yield view
        if np.median(self.coverage) < _MIN_COVERAGE:
            raise InputError(
                self._name,
                f"covers less than {_MIN_COVERAGE:.1%} of the pixels in most views; is it a thin line?",
            )
        if np.median(self._black) > 0.95:
            warnings.warn(
                f"{self._name}: nearly all of the object is black; a texture may be missing", stacklevel=2
            )
