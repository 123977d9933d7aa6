"""Quality against training time, with and without what makes training fast."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from latentfields.bench.fields import FieldsStudyConfig
from latentfields.bench.objects import NERF_AND_SPACE
from latentfields.bench.rows import Curve, Measured, Pivot, Rows, Spread, Value
from latentfields.bench.study import Cells, Work, Workplace, call_work
from latentfields.config.checks import Filled
from latentfields.latent_nerf.config import FitConfig
from latentfields.rendering.config import EvenSamplingConfig

if TYPE_CHECKING:
    from pathlib import Path

    from latentfields.pages.charts import Chart
    from latentfields.pages.report import Table

FAST, PLAIN = "fast", "plain"
"""The usual path, and the one without: plain PyTorch in float32, and even samples of which none is skipped."""
TARGET = 1 / 3
"""Share of the plain path's time that the usual one may take."""
X_LABELS = {"cpu_seconds": "CPU seconds of training", "step": "training steps"}


@dataclass(frozen=True, kw_only=True)
class ConvergenceStudyConfig(FieldsStudyConfig):
    """Follow quality over training time, and find the time that every NeRF takes to a given quality.

    Curves are PSNRs of four test views, after every hundred steps. CPU seconds are those of the process, which a busy
    machine hardly changes, and include the compilation of kernels where they were never used before.
    """

    kind: ClassVar[str] = "bench convergence"
    title = "Quality against training time"
    about = "Radiance fields of objects that nothing was trained on: how soon they reach a quality."
    results_file = "convergence.json"
    page = "convergence"
    tables = ()
    of_images = False

    spaces: Filled[str] = ("rgb", "base")
    """Names or folders of autoencoders; rgb fits colours."""
    quality: float = 25.0
    """PSNR to be reached, in dB."""
    plain: bool = False
    """Fit everything once more with plain PyTorch and 64 even samples per ray, none skipped, and compare."""

    def settings(self, out: Path) -> dict[Path, Any]:
        """Return what determines the usual fits; the others are named after what they change."""
        return {out: FieldsStudyConfig.of(self, self.spaces)}

    def measure(self, place: Workplace) -> list[dict[str, Any]]:
        """Return the scores of fits with the path that was taken; with `plain`, of all fits on both paths."""
        results = [fit | {"path": FAST} for fit in super().measure(place)]
        if self.plain:
            cells: Cells = {
                name: ({**labels, "path": PLAIN}, partial(call_plainly, fit))
                for name, (labels, fit) in self.fit_cells(place, prefix=f"{PLAIN}-", change=_plain).items()
            }
            results += place.measure(cells, label="plain fits")
        return results

    def rows(self, results: Any) -> Measured:
        """Return the rows of fits, and as "timed" those of the fits with curves, with the times to the quality."""
        fits, timed = self.rows_of(results), []
        for fit in fits:
            if fit.curve:
                times = {f"to_{name}": time_to(fit.curve, self.quality, measure=name) for name in MEASURES}
                timed.append(fit.plus({name: time for name, time in times.items() if time is not None}))
        return {"fits": fits, "timed": Rows(timed)}

    def more_tables(self, measured: Measured) -> list[Table]:
        """Return the times at which fits reach the quality, and where they end; and the share of the plain path's."""
        note = f"Until {self.quality:g} dB on test views; a dash where not every fit got there."
        if left_out := len(measured["fits"]) - len(measured["timed"]):
            note += f" Left out: {left_out} fits of an earlier version, which kept no curves."
        columns = tuple(Value(f"to_{name}", title) for name, title in MEASURES.items())
        end = Value("psnr", "in the end, dB"), Value("cpu_seconds", "after CPU seconds")
        labels = {**NERF_AND_SPACE, "path": "path"}
        title = f"Training until {self.quality:g} dB"
        times = Pivot(title, labels, (*columns, *end), kind="timed", note=note)
        return [times.table(measured), *self._shares(measured["timed"])]

    def _shares(self, fits: Rows) -> list[Table]:
        """CPU time of the usual path as a share of the plain one's, object by object; none without plain fits."""
        from latentfields.pages.report import Table

        rows = []
        for names, part in fits.grouped("field", "space").items():
            fast, plain = (
                [row.values.get("to_cpu_seconds") for row in part.select(path=path)] for path in (FAST, PLAIN)
            )
            if plain and len(fast) == len(plain):
                shares = [a / b for a, b in zip(fast, plain, strict=True) if a is not None and b is not None]
                share = Spread.of(shares) if len(shares) == len(plain) else None
                found = ("-", "-") if share is None else (str(share), "yes" if share.mean <= TARGET else "NO")
                rows.append((*names, *found))
        title = f"CPU time until {self.quality:g} dB: share of the plain path's"
        return [Table(title, ("NeRF", "space", "share", "at most a third"), tuple(rows))] if rows else []

    def charts(self, measured: Measured) -> list[Chart]:
        """Return quality against CPU time and steps, one chart each for every NeRF, curves meaned over objects."""
        from latentfields.pages.charts import Chart, Level, Series

        charts, levels = [], (Level(f"{self.quality:g} dB", self.quality),)
        for (field,), part in measured["timed"].grouped("field").items():
            paths = part.grouped("space", "path").items()
            for measure, label in X_LABELS.items():
                curves = [
                    Series(", ".join(names), *fits.mean_curve(measure, "psnr")) for names, fits in paths
                ]
                charts.append(Chart(field, label, "PSNR of test views, dB", tuple(curves), levels=levels))
        return charts


MEASURES = {"step": "steps", "seconds": "seconds", "cpu_seconds": "CPU seconds"}
"""Measures of how long a training takes, and their titles."""


def time_to(curve: Curve, quality: float, *, measure: str) -> float | None:
    """Return when a curve first reaches `quality` dB, linearly between its points; None if never.

    `measure` is one of `MEASURES`. The first point counts as a whole: what was before is not known.
    """
    for index, point in enumerate(curve):
        if point["psnr"] >= quality:
            if index == 0:
                return point[measure]
            before = curve[index - 1]
            share = (quality - before["psnr"]) / (point["psnr"] - before["psnr"])
            return before[measure] + share * (point[measure] - before[measure])
    return None


def _plain(config: FitConfig) -> FitConfig:
    return replace(config, sampling=EvenSamplingConfig(), decoder_precision="float32")


def call_plainly(work: Work) -> dict[str, Any]:
    """Call with plain-PyTorch kernels: in a new process, as a process keeps to one kind of kernels."""
    from latentfields.training.workers import call_alone

    found: dict[str, Any] = call_alone(call_work, work, environment={"LATENTFIELDS_KERNELS": "torch"})
    return found
