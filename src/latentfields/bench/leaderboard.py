"""Several autoencoders side by side on the same objects: consistency, equivariance, spectrum, noise, reconstruction,
and how good a field is whose decoder nobody aligned. A table, and a page with pictures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.awareness import NOISE, SCALE, SHIFTS, AwarenessScore, score_awareness
from latentfields.autoencoders.load import opened
from latentfields.autoencoders.score import FIRST_SEED, generated_scenes
from latentfields.config.arguments import checked
from latentfields.config.checks import require_at_least
from latentfields.errors import ArgumentError
from latentfields.latent_nerf.fit import fit
from latentfields.latent_nerf.presets import preset, rays_per_side
from latentfields.measures.metrics import psnr
from latentfields.pages.charts import Chart, Series
from latentfields.pages.pictures import LatentProjection, Pixels, to_pixels
from latentfields.pages.report import Headline, Picture, PictureGroup, PictureRow, Report, Table, write_report
from latentfields.process import choose_device
from latentfields.progress import watched
from latentfields.scenes.load import Scenes, load_scene, opened_scenes
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import EVALUATION_FAMILIES, generate_object
from latentfields.scenes.scene import Scene

FIT_STEPS = 200
"""Steps of Latent Supervision of the field that is fitted in every space."""
FIT_VIEWS = 40
"""Views of the object that it is fitted to."""


@dataclass(frozen=True, eq=False)
class Standing:
    """One autoencoder of the leaderboard."""

    score: AwarenessScore
    """How 3D-aware its latents are."""
    reconstruction_psnr: float
    """PSNR in dB of the scored views through the autoencoder alone."""
    unaligned_psnr: float | None
    """PSNR in dB of test views of K-Planes fitted to latents alone, decoded by the decoder as it is; or None."""
    pictures: tuple[tuple[str, Pixels], ...]
    """What each picture is called, and the picture."""

    @property
    def name(self) -> str:
        """Name or folder."""
        return self.score.autoencoder

    def to_json(self) -> dict[str, Any]:
        """Plain values, without pictures."""
        return {
            **self.score.to_json(),
            "reconstruction_psnr": self.reconstruction_psnr,
            "unaligned_psnr": self.unaligned_psnr,
        }


@checked
def leaderboard(
    names: Sequence[Autoencoder | str | Path],
    *,
    scenes: Scenes = (),
    objects: int = 2,
    views: int = 24,
    size: int = 128,
    fit_steps: int = FIT_STEPS,
    device: str = "auto",
) -> tuple[Standing, ...]:
    """Score autoencoders, in memory, by name or by folder, on the same objects; the most consistent comes first.

    `scenes`, `objects`, `views`, `size` and `device` are as for `score_autoencoder`. Where `fit_steps` is more than 0,
    K-Planes are fitted with so many steps to each one's latents of one object, four pixels to a ray, and rendered
    without RGB Alignment. Raises InputError for unusable input, and when `size` is no multiple of some factor.
    """
    require_at_least("fit_steps", fit_steps, 0)
    if not names:
        raise ArgumentError("names", "is empty; expected one autoencoder or more")
    target = choose_device(device)
    autoencoders = [opened(name) for name in names]
    for autoencoder in autoencoders:
        if not scenes and size % autoencoder.factor:
            problem = (
                f"is {size}; expected a multiple of {autoencoder.factor}, the factor of {autoencoder.name}"
            )
            raise ArgumentError("size", problem)
    looked_at = opened_scenes(scenes) or generated_scenes(objects=objects, views=views, size=size)
    found = []
    with tempfile.TemporaryDirectory(prefix="latentfields-") as folder:
        fitted = _object_to_fit(Path(folder), size) if fit_steps else None
        for autoencoder in watched(autoencoders, "autoencoders", total=len(autoencoders), unit="autoencoder"):
            score = score_awareness(autoencoder.to(target), looked_at)
            found.append(_standing(autoencoder, score, looked_at, fitted, Path(folder), fit_steps, device))
    return tuple(sorted(found, key=lambda standing: standing.score.latents.inconsistency))


def _object_to_fit(folder: Path, size: int) -> Scene:
    family = EVALUATION_FAMILIES[0]
    options = RenderConfig(views=FIT_VIEWS, size=size)
    render_object_scene(
        generate_object(family, FIRST_SEED), folder / "object", options=options, seed=FIRST_SEED
    )
    return load_scene(folder / "object")


@torch.no_grad()
def _through(autoencoder: Autoencoder, images: Tensor) -> Tensor:
    latents = autoencoder.encode_batches(images.to(autoencoder.device))
    return autoencoder.decode_batches(latents).cpu()


def _standing(
    autoencoder: Autoencoder,
    score: AwarenessScore,
    looked_at: Sequence[Scene],
    fitted: Scene | None,
    folder: Path,
    fit_steps: int,
    device: str,
) -> Standing:
    values = []
    for scene in looked_at:
        images = scene.cropped_to_multiple(autoencoder.factor).images(torch.arange(len(scene)))
        values.append(psnr(_through(autoencoder, images), images))
    truth = (looked_at[0] if fitted is None else fitted).cropped_to_multiple(autoencoder.factor)
    index = truth.indices("train" if fitted is None else "test")[:1]
    shown = truth.images(index)
    encoded = autoencoder.encode_batches(shown.to(autoencoder.device)).cpu()
    projection = LatentProjection.fit(encoded)
    pictures = [
        ("photograph", to_pixels(shown)[0]),
        ("its latents", projection.pixels(encoded)[0]),
        ("reconstruction", to_pixels(_through(autoencoder, shown))[0]),
    ]
    unaligned = None
    if fitted is not None:
        steps = preset("kplanes").with_steps(supervision=fit_steps, alignment=0)
        config = replace(steps, subpixels=rays_per_side(autoencoder.factor), alignment_kind="none")
        out = folder / f"run-{len(list(folder.iterdir()))}"
        run = fit(truth, autoencoder.cpu(), out=out, config=config, device=device)
        unaligned = float(run.metrics["test"]["images"]["mean"]["psnr"])
        with torch.no_grad():
            latents = run.render_latents(truth.cameras[index]).latents.cpu()
        pictures.append(("latents as rendered", projection.pixels(latents)[0]))
        pictures.append(("rendered and decoded, not aligned", to_pixels(run.render(truth.cameras[index]))[0]))
    return Standing(score, float(torch.cat(values).mean()), unaligned, tuple(pictures))


COLUMNS = (
    "autoencoder",
    "inconsistency",
    f"shift by {SHIFTS[-1]:g}",
    f"scale by {SCALE:g}",
    "low frequencies",
    "high frequencies",
    "noise, dB",
    "reconstruction, dB",
    "not aligned, dB",
)


def rows(standings: Sequence[Standing]) -> list[tuple[str, ...]]:
    """The cells below `COLUMNS`."""
    return [
        (
            standing.name,
            f"{standing.score.latents.inconsistency:.3f}",
            f"{standing.score.latents.shift_errors[-1]:.3f}",
            f"{standing.score.latents.scale_error:.3f}",
            f"{standing.score.latents.spectrum[0].inconsistency:.3f}",
            f"{standing.score.latents.spectrum[-1].inconsistency:.3f}",
            f"{standing.score.noise_psnr:.1f}",
            f"{standing.reconstruction_psnr:.1f}",
            "-" if standing.unaligned_psnr is None else f"{standing.unaligned_psnr:.1f}",
        )
        for standing in standings
    ]


NOTE = (
    "Inconsistency, shift, scale and frequencies: 0 is perfect, 1 is chance. Noise: what noise of "
    f"{NOISE:g} on latents leaves of a decoded image; reconstruction: views through the autoencoder alone; not "
    "aligned: test views of a field of latents, decoded as they are. An encoder that blurs everything is consistent, "
    "too: read consistency beside reconstruction."
)


def table_lines(standings: Sequence[Standing]) -> list[str]:
    """The table as text."""
    table = [COLUMNS, *rows(standings)]
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))])
        for row in table
    ]


def frontier(standings: Sequence[Standing]) -> tuple[Chart, Chart]:
    """What consistency costs: reconstruction, and what noise leaves of decoded images, against inconsistency."""
    values = [
        (
            "Reconstruction against consistency",
            "reconstruction, dB",
            [s.reconstruction_psnr for s in standings],
        ),
        ("Robustness against consistency", "decoded with noise, dB", [s.score.noise_psnr for s in standings]),
    ]
    first, second = (
        Chart(
            title,
            "inconsistency (0 is perfect)",
            label,
            tuple(
                Series(standing.name, [standing.score.latents.inconsistency], [value])
                for standing, value in zip(standings, column, strict=True)
            ),
            marks="points",
        )
        for title, label, column in values
    )
    return first, second


@checked
def write_leaderboard(path: str | Path, standings: Sequence[Standing], *, command: str | None = None) -> Path:
    """Write the leaderboard as one self-contained page; `command` is what repeats it."""
    best = standings[0]
    spectra = Chart(
        "Inconsistency by frequency",
        "cycles per latent",
        "0 is perfect, 1 is chance",
        tuple(
            Series(
                standing.name,
                [(band.low + band.high) / 2 for band in standing.score.latents.spectrum],
                [band.inconsistency for band in standing.score.latents.spectrum],
            )
            for standing in standings
        ),
    )
    report = Report(
        title="Autoencoders, compared",
        subtitle=f"{best.score.scenes} objects, the same for all; those whose views agree best come first",
        command=command,
        headlines=tuple(
            Headline(
                standing.name, f"{standing.score.latents.inconsistency:.3f}", "", "inconsistency of views"
            )
            for standing in standings[:6]
        ),
        charts=(spectra, *frontier(standings)),
        groups=(
            PictureGroup(
                "One view",
                tuple(
                    PictureRow(standing.name, tuple(Picture(*picture) for picture in standing.pictures))
                    for standing in standings
                ),
            ),
        ),
        tables=(Table("All measures", COLUMNS, tuple(rows(standings)), NOTE),),
        configuration={standing.name: asdict(standing.score) for standing in standings},
    )
    write_report(Path(path), report)
    return Path(path)
