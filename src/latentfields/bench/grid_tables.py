"""Tables of IG-AE from fits of NeRFs (`bench.grid`): quality by stage and space, and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from latentfields.bench.summary import Spread
from latentfields.pages.report import Table

Fits = Sequence[Mapping[str, Any]]


def novel_views(fits: Fits) -> list[Table]:
    """Tables 1 and 5 to 10: decoded novel views, by NeRF and space, on every family."""
    return [
        by_family(fits, "psnr", "Decoded novel views: PSNR, dB"),
        by_family(fits, "ssim", "The same: SSIM"),
    ]


def stages(fits: Fits) -> list[Table]:
    """Table 4: decoded novel views after each stage."""
    latent = [fit for fit in fits if "supervision_psnr" in fit]
    rows = tuple(
        (*labels, _spread(part, "supervision_psnr"), _spread(part, "psnr"))
        for labels, part in _groups(latent).items()
    )
    columns = ("NeRF", "space", "after Latent Supervision", "after RGB Alignment")
    return [Table("Decoded novel views: PSNR, dB", columns, rows)]


def latent_novel_views(fits: Fits) -> list[Table]:
    """Table 11: rendered against encoded latents of the test views, after Latent Supervision."""
    latent = [fit for fit in fits if "supervision_latent_psnr" in fit]
    return [by_family(latent, "supervision_latent_psnr", "Rendered against encoded latents: PSNR, dB")]


def against_rgb(fits: Fits) -> list[Table]:
    """Table 13: time and quality beside the same NeRF fitted to colours, by the same steps."""
    rows = tuple(
        (
            *labels,
            _spread(part, "seconds"),
            _spread(part, "cpu_seconds"),
            _spread(part, "render_milliseconds"),
            _spread(part, "frame_milliseconds"),
            _spread(part, "psnr"),
        )
        for labels, part in _groups(fits).items()
    )
    columns = (
        "NeRF",
        "space",
        "training, s",
        "training, CPU s",
        "rendering, ms",
        "with decoding, ms",
        "PSNR, dB",
    )
    return [Table("Training and rendering time", columns, rows)]


def by_autoencoder(fits: Fits) -> list[Table]:
    """Table 14: quality and time by autoencoder; these fits have its `factor` and `channels`, too."""
    rows = tuple(
        (
            *labels,
            f"{part[0]['factor']}",
            f"{part[0]['channels']}",
            _spread(part, "autoencoder_psnr"),
            _spread(part, "supervision_psnr"),
            _spread(part, "psnr"),
            _spread(part, "cpu_seconds"),
            _spread(part, "render_milliseconds"),
            _spread(part, "frame_milliseconds"),
        )
        for labels, part in _groups(fits).items()
    )
    columns = (
        "NeRF",
        "space",
        "factor",
        "channels",
        "autoencoder alone, dB",
        "after Latent Supervision, dB",
        "after RGB Alignment, dB",
        "training, CPU s",
        "rendering, ms",
        "with decoding, ms",
    )
    return [Table("Decoded novel views (PSNR) and times, by autoencoder", columns, rows)]


def _groups(fits: Fits) -> dict[tuple[str, str], Fits]:
    """Fits by field and space, in order."""
    keys = dict.fromkeys((fit["field"], fit["space"]) for fit in fits)
    return {key: [fit for fit in fits if (fit["field"], fit["space"]) == key] for key in keys}


def by_family(fits: Fits, measure: str, title: str) -> Table:
    """A measure of fits: a row for every NeRF and space, a column for every family, and one for all."""
    families = list(dict.fromkeys(fit["family"] for fit in fits))
    rows = tuple(
        (
            *labels,
            *(_spread([fit for fit in part if fit["family"] == family], measure) for family in families),
            _spread(part, measure),
        )
        for labels, part in _groups(fits).items()
    )
    return Table(title, ("NeRF", "space", *families, "all"), rows)


def _spread(fits: Fits, measure: str) -> str:
    """A dash where not every fit was measured: colours have no autoencoder, older cells no CPU time."""
    if not all(measure in fit for fit in fits):
        return "-"
    return str(Spread.of([fit[measure] for fit in fits]))
