"""`report.html` of a prior's training: rewritten while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.config.typed_json import to_json
from latentfields.pages.charts import Chart, Series
from latentfields.pages.pictures import to_pixels
from latentfields.pages.report import Headline, Picture, PictureGroup, PictureRow, Report, write_report
from latentfields.priors.config import PriorRunConfig
from latentfields.priors.draw import GUIDANCE, STEPS, draw_class, draw_turn
from latentfields.priors.prior import LatentPrior
from latentfields.training.loop import read_log
from latentfields.training.runs import require_run

SHOWN_CLASSES = 4
"""Classes on the page, the first ones by name."""
SHOWN_SAMPLES = 4
TURN_VIEWS = 6


class Dashboard:
    """Draws samples and shows them on the run's page."""

    def __init__(
        self, out: Path, run: PriorRunConfig, autoencoder: Autoencoder, *, command: str | None
    ) -> None:
        """`out` is the run's folder, `autoencoder` on the prior's device; `command`, if any, repeats the run."""
        self.out, self.run, self.autoencoder, self.command = out, run, autoencoder, command

    def observe(self, prior: LatentPrior, steps: int) -> None:
        """Replace the page of a training that goes on."""
        self.write(prior, f"step {steps} of {self.run.training.steps}")

    def write(self, prior: LatentPrior, status: str) -> None:
        """Replace the page. Raises InputError when the run's folder is gone."""
        names = prior.config.classes
        groups = [self._class_group(prior, name) for name in names[:SHOWN_CLASSES]]
        require_run(self.out)
        write_report(self.out / "report.html", self._report(prior, status, groups))

    def _class_group(self, prior: LatentPrior, name: str) -> PictureGroup:
        """Samples of a class, and the first of them from all around."""
        index = prior.class_index(name)
        samples = draw_class(prior, index, count=SHOWN_SAMPLES, seed=self.run.training.seed)
        turn = draw_turn(prior, index, samples[0], views=TURN_VIEWS, seed=self.run.training.seed)
        return PictureGroup(
            name,
            (
                PictureRow("samples", self._pictures(samples, [f"sample {i}" for i in range(len(samples))])),
                PictureRow(
                    "a turn around sample 0, view by view",
                    self._pictures(turn, [f"{360 * i // len(turn)}°" for i in range(len(turn))]),
                ),
            ),
        )

    def _pictures(self, latents: Tensor, labels: Sequence[str]) -> tuple[Picture, ...]:
        images = to_pixels(self.autoencoder.decode_batches(latents))
        return tuple(Picture(label, pixels) for label, pixels in zip(labels, images, strict=True))

    def _report(self, prior: LatentPrior, status: str, groups: Sequence[PictureGroup]) -> Report:
        records = read_log(self.out)
        held_out = [record for record in records if "held_out_loss" in record]
        curves = (
            Series("training", [r["step"] for r in records], [r["loss"] for r in records]),
            Series(
                "held-out views, averaged weights",
                [r["step"] for r in held_out],
                [r["held_out_loss"] for r in held_out],
            ),
        )
        headlines = [
            Headline("classes", str(len(prior.config.classes))),
            Headline("parameters", f"{sum(p.numel() for p in prior.parameters()) / 1e6:.2f}", "M"),
        ]
        if held_out:
            headlines.insert(0, Headline("held-out loss", f"{held_out[-1]['held_out_loss']:.4f}"))
        return Report(
            title=f"Prior of the latents of {self.autoencoder.name}",
            subtitle=f"{prior.shape[1]}x{prior.shape[2]} latents of {prior.shape[0]} channels; "
            + ", ".join(prior.config.classes),
            command=self.command,
            status=status,
            headlines=tuple(headlines),
            charts=(
                Chart(
                    "Loss", "step", "mean squared error", tuple(c for c in curves if len(c.x)), scale="log"
                ),
            ),
            groups=tuple(groups),
            notes=(
                f"Samples: {STEPS} steps of DDIM, guidance scale {GUIDANCE:g} (1 is none). Views of a turn are "
                "drawn independently of each other, each under the sample as its reference: what they agree about is "
                "what the prior knows of the object.",
            ),
            configuration=to_json(self.run),
        )
