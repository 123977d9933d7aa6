"""The results of `latentfields bench igae` as tables, and as a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from latentfields.bench.claims import claims_table
from latentfields.bench.grid_page import picture_row
from latentfields.bench.igae_claims import families, values
from latentfields.bench.reconstruction import reconstruction_table
from latentfields.bench.summary import Spread
from latentfields.pages.report import (
    Headline,
    PictureGroup,
    Report,
    Table,
    write_report,
)

NOVEL_VIEWS: Mapping[str, str] = {
    "psnr": "Decoded novel views after RGB Alignment (PSNR, dB)",
    "supervision_psnr": "Decoded novel views after Latent Supervision (PSNR, dB)",
    "supervision_latent_psnr": "Rendered against encoded latents after Latent Supervision (PSNR, dB)",
    "autoencoder_psnr": "The same views through the autoencoder alone (PSNR, dB)",
}
"""Measures of the fits, and the titles of their tables."""


def tables(results: Mapping[str, Any]) -> list[Table]:
    """Everything that was measured: mean and spread over objects, by autoencoder and family."""
    found = [claims_table(results["claims"])]
    found += [_novel_views(results, measure, title) for measure, title in NOVEL_VIEWS.items()]
    if results["photos"]:
        found.append(reconstruction_table("photographs", results["photos"]))
    scores = tuple(
        (role, f"{score['latents']['inconsistency']:.4f}", f"{score['noise_psnr']:.2f}")
        for role, score in results["score"].items()
    )
    columns = ("autoencoder", "inconsistency (lower is better)", "decoded with noise (PSNR, dB)")
    found.append(Table("3D-awareness score", columns, scores))
    return found


def _novel_views(results: Mapping[str, Any], measure: str, title: str) -> Table:
    names = families(results)
    rows = []
    for role in results["autoencoders"]:
        cells = [str(Spread.of(values(results, role, measure, family=family))) for family in names]
        rows.append((role, *cells, str(Spread.of(values(results, role, measure)))))
    return Table(title, ("autoencoder", *names, "all"), tuple(rows))


def write_page(results: Mapping[str, Any], folder: Path, *, command: str) -> Path:
    """Write `report.html` into the benchmark's folder, with the first test view of every fit."""
    path = folder / "report.html"
    gained = next((claim for claim in results["claims"]), None)
    headlines = (
        () if gained is None else (Headline(gained["statement"], gained["measured"].split()[0], "dB"),)
    )
    write_report(
        path,
        Report(
            title="Benchmark: IG-AE",
            subtitle="Latent NeRFs of objects that nothing was trained on.",
            command=command,
            headlines=headlines,
            groups=tuple(_pictures(results, folder)),
            tables=tuple(tables(results)),
            notes=tuple(results["notes"]),
        ),
    )
    return path


def _pictures(results: Mapping[str, Any], folder: Path) -> list[PictureGroup]:
    groups = []
    for item in dict.fromkeys((fit["family"], fit["seed"]) for fit in results["fits"]):
        name = f"{item[0]}-{item[1]:04d}"
        rows = tuple(
            picture_row(role, folder / "pictures" / f"fit-{role}-{name}.png")
            for role in results["autoencoders"]
        )
        groups.append(PictureGroup(name, rows))
    return groups
