"""The page about a capture: what was found, from where it was seen, and which photographs were lost and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from latentfields.pages.pictures import Pixels
from latentfields.pages.report import (
    Headline,
    Picture,
    PictureGroup,
    PictureRow,
    Report,
    Table,
    write_report,
)
from latentfields.scenes.images import read_image
from latentfields.structure_from_motion.diagnosis import Lost
from latentfields.structure_from_motion.mapping import registered
from latentfields.structure_from_motion.photographs import Photograph

Array = npt.NDArray[np.float64]

SHOWN_LOST = 12
_COLUMNS = 4
_SIDE = 240
_INCHES, _DPI = 5.0, 100
_MOST_POINTS = 20_000
_VIEWS = {"From above": (0, 1), "From the front": (0, 2), "From the side": (1, 2)}
"""Which axes of the world lie to the right and upwards in a picture."""


@dataclass(frozen=True)
class CapturePage:
    """What the page says beside what was found."""

    name: str
    film: bool
    command: str | None
    configuration: Mapping[str, object]


class Found(Protocol):
    """What was found: the fields of a summary that the page shows."""

    @property
    def photographs(self) -> int:
        """Number of photographs."""
        ...

    @property
    def registered(self) -> tuple[str, ...]:
        """Names of those with a pose."""
        ...

    @property
    def lost(self) -> tuple[Lost, ...]:
        """Those without one."""
        ...

    @property
    def points(self) -> int:
        """Number of points."""
        ...

    @property
    def reprojection_error(self) -> float:
        """Mean, in pixels."""
        ...

    @property
    def matching(self) -> str:
        """How pairs were chosen."""
        ...

    @property
    def seconds(self) -> float:
        """Time that it took."""
        ...


def write_page(
    path: Path,
    page: CapturePage,
    found: Found,
    *,
    model: Any,
    photographs: Sequence[Photograph],
    images: Path,
) -> None:
    """Write the page about a `model` of the `photographs`, whose files lie in the folder `images`."""
    kind = "frames" if page.film else "photographs"
    report = Report(
        title=f"Capture: {page.name}",
        subtitle=f"Poses of {found.photographs} {kind}",
        command=page.command,
        status=f"finished after {found.seconds:.0f} s",
        headlines=(
            Headline(
                "Registered",
                f"{len(found.registered)}",
                f"of {found.photographs}",
                f"{kind} that have a pose",
            ),
            Headline(
                "Reprojection error", f"{found.reprojection_error:.2f}", "pixels", "mean over all points"
            ),
            Headline("Points", f"{found.points:,}", "", "seen in two photographs or more"),
        ),
        groups=(_scene_group(model), *_lost_groups(found.lost, images)),
        tables=(*_lost_tables(found.lost), _camera_table(model, photographs)),
        notes=_notes(found, kind),
        configuration=page.configuration,
    )
    write_report(path, report)


def _scene_group(model: Any) -> PictureGroup:
    pictures = tuple(Picture(label, pixels) for label, pixels in scene_pictures(model).items())
    return PictureGroup("Points and cameras", (PictureRow("", pictures),))


def scene_pictures(model: Any) -> dict[str, Pixels]:
    """Return pictures of the points of a model in their colours, and of its cameras, from three sides."""
    points, colours = _points(model)
    poses = [image.cam_from_world().inverse() for image in registered(model)]
    centres = np.array([pose.translation for pose in poses])
    looks = np.array([pose.rotation.matrix()[:, 2] for pose in poses])
    if len(points):
        # Few points lie far away; they would make the rest tiny.
        low, high = np.percentile(points, (2, 98), axis=0)
        low, high = np.minimum(low, centres.min(axis=0)), np.maximum(high, centres.max(axis=0))
    else:
        low, high = centres.min(axis=0), centres.max(axis=0)
    return {label: _drawn(points, colours, centres, looks, axes, low, high) for label, axes in _VIEWS.items()}


def _points(model: Any) -> tuple[Array, Array]:
    """(P, 3) positions and (P, 3) colours in [0, 1] of points that are seen well."""
    found = [point for point in model.points3D.values() if point.track.length() >= 3]
    found = found or list(model.points3D.values())
    found = found[:: max(1, len(found) // _MOST_POINTS)]
    positions = np.array([point.xyz for point in found], dtype=np.float64).reshape(-1, 3)
    colours = np.array([point.color for point in found], dtype=np.float64).reshape(-1, 3) / 255
    return positions, colours


def _drawn(
    points: Array,
    colours: Array,
    centres: Array,
    looks: Array,
    axes: tuple[int, int],
    low: Array,
    high: Array,
) -> Pixels:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # slow to import, and only pages need it
    from matplotlib.figure import Figure

    right, up = axes
    (depth,) = {0, 1, 2} - {right, up}
    figure = Figure(figsize=(_INCHES, _INCHES), dpi=_DPI, facecolor="white")
    canvas: Any = FigureCanvasAgg(figure)
    plot: Any = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    plot.set_axis_off()
    # What is nearer is drawn later: from above the highest, from the front and the side the lowest coordinate.
    order = np.argsort(points[:, depth] if depth == 2 else -points[:, depth] * (1 if depth == 1 else -1))
    plot.scatter(points[order, right], points[order, up], c=colours[order], s=2.0, linewidths=0)
    reach = 0.06 * float(np.max(high - low))
    ends = centres + reach * looks
    for centre, end in zip(centres, ends, strict=True):
        plot.plot((centre[right], end[right]), (centre[up], end[up]), color="#4f46e5", linewidth=1.0)
    plot.scatter(centres[:, right], centres[:, up], c="#4f46e5", s=12.0, linewidths=0)
    middle, half = (low + high) / 2, 0.55 * float(np.max((high - low)[[right, up]])) + reach
    plot.set_xlim(middle[right] - half, middle[right] + half)
    plot.set_ylim(middle[up] - half, middle[up] + half)
    canvas.draw()
    pixels: Pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return pixels


def _lost_groups(lost: Sequence[Lost], images: Path) -> list[PictureGroup]:
    """Pictures of the first of the photographs that were lost."""
    shown = [Picture(f"{one.name}: {one.reason}", _thumbnail(images / one.name)) for one in lost[:SHOWN_LOST]]
    if not shown:
        return []
    lines = [shown[start : start + _COLUMNS] for start in range(0, len(shown), _COLUMNS)]
    rows = [PictureRow("", (*line, *[None] * (_COLUMNS - len(line)))) for line in lines]
    return [PictureGroup("Photographs without a pose", tuple(rows))]


def _thumbnail(path: Path) -> Pixels:
    pixels = read_image(path)[..., :3]
    step = max(1, max(pixels.shape[:2]) // _SIDE)
    return np.ascontiguousarray(pixels[::step, ::step])


def _lost_tables(lost: Sequence[Lost]) -> list[Table]:
    if not lost:
        return []
    rows = tuple((one.name, one.reason) for one in lost)
    return [Table("Photographs without a pose", ("photograph", "likely reason"), rows)]


def _camera_table(model: Any, photographs: Sequence[Photograph]) -> Table:
    devices = {photograph.name: photograph.device for photograph in photographs}
    rows = []
    for identifier, camera in sorted(model.cameras.items()):
        names = [str(image.name) for image in registered(model) if image.camera_id == identifier]
        if not names:
            continue
        focal = camera.focal_length_x if len(camera.focal_length_idxs()) > 1 else camera.focal_length
        view = 2 * np.degrees(np.arctan(camera.width / 2 / focal))
        others = [f"{camera.params[index]:.4f}" for index in camera.extra_params_idxs()]
        rows.append(
            (
                devices[names[0]] or "unknown",
                str(len(names)),
                f"{camera.width}x{camera.height}",
                f"{focal:.1f}",
                f"{view:.1f}",
                camera.model.name,
                " ".join(others) or "-",
            )
        )
    columns = (
        "camera",
        "photographs",
        "size",
        "focal length, pixels",
        "view, degrees",
        "model",
        "distortion",
    )
    return Table("Cameras", columns, tuple(rows), note="Readers remove the distortion.")


def _notes(found: Found, kind: str) -> tuple[str, ...]:
    how = {
        "exhaustive": f"All {kind} were matched with all others.",
        "sequential": f"The {kind} were matched in the order of their names, and with those that look most like them "
        "(loops), by visual words made from these very pictures.",
    }[found.matching]
    notes = [how, "The scene's z axis points up as far as the pictures are upright; its scale is not known."]
    if 2 * len(found.registered) < found.photographs:
        notes.insert(
            0, f"More than half of the {kind} have no pose: this shows a part of what was photographed."
        )
    return tuple(notes)
