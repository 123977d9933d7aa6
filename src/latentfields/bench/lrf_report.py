"""The results of `latentfields bench lrf` as tables, and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from latentfields.bench.claims import claims_table
from latentfields.bench.lrf_claims import image_baseline, values
from latentfields.bench.lrf_config import FEW, STAGES, views_prefix
from latentfields.bench.summary import Spread
from latentfields.pages.report import (
    Headline,
    Picture,
    PictureGroup,
    PictureRow,
    Report,
    Table,
    write_report,
)

MEASURES: Mapping[str, tuple[str, int]] = {
    "psnr": ("PSNR, dB", 2),
    "ssim": ("SSIM", 3),
    "ms_gmsd": ("MS-GMSD", 4),
    "lpips": ("LPIPS", 3),
}
"""Titles and digits."""


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Everything that was measured: means and spreads over scenes and seeds."""
    return [
        claims_table(results["claims"]),
        _novel_views(results, None),
        _by_scene(results),
        _novel_views(results, FEW),
        _reconstruction(results),
        _costs(results),
    ]


def _methods(results: Mapping[str, Any], views: int | None) -> dict[str, str]:
    """Titles of the methods that were fitted to so many views, image space first."""
    found = dict.fromkeys(
        method for fit in results["fits"] if fit["training_views"] == views for method in fit["methods"]
    )
    image = [method for method in found if method not in STAGES]
    return {method: method for method in image} | {role: STAGES[role] for role in STAGES if role in found}


def _novel_views(results: Mapping[str, Any], views: int | None) -> Table:
    """Tables 1 and 3; with few views, Table 2."""
    measures = [name for name in MEASURES if name in results["fits"][0]["methods"]["base"]]
    rows = tuple(
        (title, *(_spread(values(results, method, name, views=views), name) for name in measures))
        for method, title in _methods(results, views).items()
    )
    title = "Decoded novel views" if views is None else f"Decoded novel views of fits to {views} views"
    return Table(
        title,
        ("method", *(MEASURES[name][0] for name in measures)),
        rows,
        note="image/N: a field fitted to images of 1/N of the resolution. Upsampled: rendered there, interpolated; "
        "enlarged: rendered at the full resolution.",
    )


def _by_scene(results: Mapping[str, Any]) -> Table:
    scenes = list(dict.fromkeys(fit["scene"] for fit in results["fits"]))
    rows = []
    for method, title in _methods(results, None).items():
        cells = []
        for scene in scenes:
            part = {**results, "fits": [fit for fit in results["fits"] if fit["scene"] == scene]}
            cells.append(_spread(values(part, method, "psnr"), "psnr"))
        rows.append((title, *cells))
    return Table("Decoded novel views by scene (PSNR, dB)", ("method", *scenes), tuple(rows))


def _reconstruction(results: Mapping[str, Any]) -> Table:
    """Table 4."""
    measures = [name for name in MEASURES if name in results["reconstruction"]["base"][0]]
    rows = tuple(
        (STAGES[role], *(_spread([scene[name] for scene in scenes], name) for name in measures))
        for role, scenes in results["reconstruction"].items()
    )
    columns = ("autoencoder", *(MEASURES[name][0] for name in measures))
    return Table("Test views through the autoencoder alone", columns, rows)


def _costs(results: Mapping[str, Any]) -> Table:
    """Table 5, of the fits to all views."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for fit in results["fits"]:
        if fit["training_views"] is None:
            name = f"image/{fit['divisor']}" if "divisor" in fit else f"latents of {STAGES[fit['encoder']]}"
            groups.setdefault(name, []).append(fit)
    rows = tuple(
        (
            name,
            _mean(fits, "seconds", 1.0, 1),
            _mean(fits, "memory", 1.0, 0),
            _mean(fits, "bytes", 1e-6, 2),
            _mean(fits, "rendering_milliseconds", 1.0, 1),
            _mean(fits, "decoding_milliseconds", 1.0, 1),
        )
        for name, fits in groups.items()
    )
    columns = ("fitted to", "training, s", "memory, MiB", "storage, MB", "rendering, ms", "decoding, ms")
    return Table(
        "What a scene costs",
        columns,
        rows,
        note="Memory: peak during the fit and its scoring, less that before. Storage: the scene's own file; the "
        "decoder is stored once for all scenes. Times are per view.",
    )


def _mean(fits: Sequence[Mapping[str, Any]], name: str, unit: float, digits: int) -> str:
    measured = [unit * fit[name] for fit in fits if fit.get(name) is not None]
    return f"{Spread.of(measured).mean:.{digits}f}" if measured else "-"


def _spread(measured: Sequence[float], name: str) -> str:
    spread, digits = Spread.of(measured), MEASURES[name][1]
    deviation = f" ± {spread.deviation:.{digits}f}" if spread.count > 1 else ""
    return f"{spread.mean:.{digits}f}{deviation}"


def write_page(results: Mapping[str, Any], folder: Path, *, command: str) -> Path:
    """Write `report.html` into the benchmark's folder, with the first test view of every scene by every method."""
    path = folder / "report.html"
    means = {
        "LRF": values(results, "both", "psnr"),
        STAGES["base"]: values(results, "base", "psnr"),
        "images of the latents' resolution": image_baseline(results, "psnr"),
    }
    write_report(
        path,
        Report(
            title="Benchmark: LRF",
            subtitle=f"Latent radiance fields ({results['field']}) of scenes that nothing was trained on.",
            command=command,
            groups=tuple(_pictures(results, folder)),
            tables=tuple(tables(results)),
            headlines=tuple(
                Headline(name, f"{Spread.of(measured).mean:.2f}", "dB", "novel views")
                for name, measured in means.items()
            ),
            notes=tuple(results["notes"]),
        ),
    )
    return path


def _pictures(results: Mapping[str, Any], folder: Path) -> list[PictureGroup]:
    groups = []
    for name, seed in dict.fromkeys((fit["scene"], fit["seed"]) for fit in results["fits"]):
        rows = []
        for views in (None, FEW):
            place = folder / "pictures" / f"{views_prefix(views)}{name}-{seed:04d}"
            named = {"truth": "truth"} | _methods(results, views)
            pictures = tuple(
                _picture(title, place / f"{method.replace('/', '-')}.png") for method, title in named.items()
            )
            rows.append(PictureRow("all views" if views is None else f"{views} views", pictures))
        groups.append(PictureGroup(f"{name}, seed {seed}", tuple(rows)))
    return groups


def _picture(label: str, path: Path) -> Picture:
    with Image.open(path) as image:
        return Picture(label, np.asarray(image.convert("RGB")))
