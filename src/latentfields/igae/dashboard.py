"""`report.html` of an IG-AE training: rewritten while it trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.igae.config import IgaeConfig
from latentfields.igae.image_cache import Photos
from latentfields.igae.objective import TERM_SYNTHETIC, TERMS_3D, TERMS_PAIRS, TERMS_REAL
from latentfields.igae.pretrain import Observer
from latentfields.igae.scene_training import SceneTraining
from latentfields.igae.watch import scene_scores, watch_photos, watch_scenes
from latentfields.pages.charts import Chart, Series, Stage
from latentfields.pages.pictures import LatentProjection
from latentfields.pages.report import Headline, PictureGroup, Report, write_report
from latentfields.training.loop import read_log
from latentfields.training.runs import require_run

SPREAD = {"view_latent_spread": "held-out views"}
"""Name in the log and in the charts of the contrast of latents."""
Records = Sequence[Mapping[str, Any]]

WORTH_SAYING = 0.01
"""Share of the time that was spent waiting for data, from which it is on the page."""

PSNR_NAMES = {
    "view_rendered_psnr": "decoded renderings",
    "view_autoencoded_psnr": "autoencoded views",
    "photo_autoencoded_psnr": "autoencoded photographs",
}
"""Names in the log and in the charts of PSNR of images."""


class Dashboard:
    """Scores held-out views and photographs, and shows them on the run's page."""

    def __init__(
        self,
        out: Path,
        autoencoder: Autoencoder,
        training: SceneTraining,
        photos: Photos | None,
        config: IgaeConfig,
        *,
        command: str | None,
    ) -> None:
        """`out` is the run's folder; `command`, if there was one, repeats the run."""
        self.out, self.autoencoder, self.training, self.photos = out, autoencoder, training, photos
        self.config, self.command = config, command
        self._before = watch_scenes(autoencoder, training, render=False)
        """As they are before the training, whose start the autoencoder still is."""
        self._photos_before = None if photos is None else watch_photos(autoencoder, photos, training.device)
        self.pretraining_steps = 0
        """Where the joint phase begins on the x axis of the charts."""

    def observer(self, phase: str) -> Observer:
        """The function that a phase's trainer calls now and then."""
        return lambda step: self.write(f"{phase}: step {step}")

    def write(self, status: str) -> dict[str, float]:
        """Replace the page and return the scores that are on it. Raises InputError when the run's folder is gone."""
        watched = watch_scenes(self.autoencoder, self.training, render=self.config.has_3d)
        scores = scene_scores(watched)
        projection = LatentProjection.fit(watched[0].encoded)
        groups = [
            scene.pictures(projection, before) for scene, before in zip(watched, self._before, strict=True)
        ]
        if self.photos is not None and self._photos_before is not None:
            photos = watch_photos(self.autoencoder, self.photos, self.training.device)
            scores |= photos.scores()
            groups.append(photos.pictures(self._photos_before))
        require_run(self.out)
        write_report(self.out / "report.html", self._report(status, scores, groups))
        return scores

    def _report(self, status: str, scores: Mapping[str, float], groups: Sequence[PictureGroup]) -> Report:
        phases = {phase: read_log(self.out / phase) for phase in ("pretraining", "joint")}
        waits = [data_wait_share(records) for records in phases.values() if records]
        headlines = [
            Headline(PSNR_NAMES[name], f"{scores[name]:.2f}", "dB", "PSNR, held out")
            for name in PSNR_NAMES
            if name in scores
        ]
        if "view_latent_psnr" in scores:
            latent = f"{scores['view_latent_psnr']:.2f}"
            headlines.insert(0, Headline("rendered against encoded latents", latent, "dB", "PSNR, held out"))
        if waits and max(waits) >= WORTH_SAYING:
            headlines.append(Headline("waiting for data", f"{100 * max(waits):.1f}", "% of time"))
        return Report(
            title=f"IG-AE from {self.autoencoder.name}",
            subtitle=f"{len(self.training.views)} latent scenes, ablation: {self.config.ablation}",
            command=self.command,
            status=status,
            headlines=tuple(headlines),
            charts=self._charts(phases["pretraining"], phases["joint"]),
            groups=tuple(groups),
            notes=(
                "Latents are normalised with the statistics of the autoencoder that the training started from; "
                "their PSNR takes six standard deviations as the range.",
            ),
            configuration=asdict(self.config),
        )

    def _charts(self, pretraining: Records, joint: Records) -> tuple[Chart, ...]:
        stages = tuple(
            Stage(name, start)
            for name, start, records in (
                ("latent scenes", 0, pretraining),
                ("joint", self.pretraining_steps, joint),
            )
            if records
        )
        parts = ((0, pretraining), (self.pretraining_steps, joint))

        def chart(title: str, unit: str, names: Mapping[str, str], *, losses: bool) -> Chart:
            curves = (series(label, name, parts) for name, label in names.items())
            filled = tuple(curve for curve in curves if len(curve.x))
            return Chart(title, "step", unit, filled, stages, scale="log" if losses else "linear")

        def terms(names: Sequence[str]) -> dict[str, str]:
            return {name: name.replace("_", " ") for name in names}

        charts = (
            chart("Held-out images", "PSNR (dB)", PSNR_NAMES, losses=False),
            chart(
                "Held-out latents",
                "PSNR (dB)",
                {"view_latent_psnr": "rendered against encoded"},
                losses=False,
            ),
            chart("Terms of L_3D", "loss", terms(TERMS_3D), losses=True),
            chart("Terms of L_ae", "loss", terms((TERM_SYNTHETIC, *TERMS_REAL)), losses=True),
            chart("Terms of pairs of views", "loss", terms(TERMS_PAIRS), losses=True),
            chart("Losses", "loss", {"loss": "L_IG-AE", "3d": "L_3D", "ae": "L_ae"}, losses=True),
            chart("Spread of encoded latents on objects", "standard deviation", SPREAD, losses=False),
        )
        return tuple(chart for chart in charts if chart.series)


def series(label: str, name: str, parts: Sequence[tuple[int, Records]]) -> Series:
    """The values called `name` in log records, each part's steps counted from its offset."""
    points = [(offset + r["step"], r[name]) for offset, records in parts for r in records if name in r]
    return Series(label, [x for x, _ in points], [y for _, y in points])


def data_wait_share(records: Records) -> float:
    """Share of the training time that was spent waiting for data, judged by the logged steps."""
    waited = sum(record["data_wait_seconds"] for record in records) / len(records)
    return float(waited * records[-1]["step"] / max(records[-1]["seconds"], 1e-9))
