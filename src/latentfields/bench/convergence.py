"""Quality against training time, with and without what makes training fast."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any, ClassVar

from latentfields.bench.fields import (
    NERF_AND_SPACE,
    FieldsStudyConfig,
    first_pictures,
    fit_cells,
    fit_rows,
    measure_fits,
    read_inputs,
)
from latentfields.bench.rows import Curve, Measured, Pivot, Row, Spread, Value, grouped, select
from latentfields.bench.study import Study, Work, Workplace
from latentfields.latent_nerf.config import FitConfig
from latentfields.rendering.config import EvenSamplingConfig

if TYPE_CHECKING:
    from latentfields.pages.charts import Chart, Series
    from latentfields.pages.report import Table

FAST, PLAIN = "fast", "plain"
"""The usual path, and the one without: plain PyTorch in float32, and even samples of which none is skipped."""
TARGET = 1 / 3
"""Share of the plain path's time that the usual one may take."""
X_LABELS = {"cpu_seconds": "CPU seconds of training", "step": "training steps"}
MEASURES = ("step", "seconds", "cpu_seconds")
GROUP = {**NERF_AND_SPACE, "path": "path"}


@dataclass(frozen=True, kw_only=True)
class ConvergenceStudyConfig(FieldsStudyConfig):
    """Follow quality over training time, and find the time that every NeRF takes to a given quality.

    Curves are PSNRs of four test views, after every hundred steps. CPU seconds are those of the process, which a busy
    machine hardly changes, and include the compilation of kernels where they were never used before.
    """

    kind: ClassVar[str] = "bench convergence"
    spaces: tuple[str, ...] = ("rgb", "base")
    """Names or folders of autoencoders; rgb fits colours."""
    quality: float = 25.0
    """PSNR to be reached, in dB."""
    plain: bool = False
    """Fit everything once more with plain PyTorch and 64 even samples per ray, none skipped, and compare."""


def _measure(config: ConvergenceStudyConfig, place: Workplace) -> list[dict[str, Any]]:
    """Return the scores of fits with the path that was taken; with `plain`, all fits once more on the other path."""
    settings = FieldsStudyConfig.of(config, config.spaces)
    results = [fit | {"path": FAST} for fit in measure_fits(settings, place)]
    if config.plain:
        fits = fit_cells(settings, place, prefix=f"{PLAIN}-", change=_plain)
        cells = {
            name: ({**labels, "path": PLAIN}, partial(call_plainly, fit))
            for name, (labels, fit) in fits.items()
        }
        results += place.measure(cells, label="plain fits")
    return results


def _plain(config: FitConfig) -> FitConfig:
    return replace(config, sampling=EvenSamplingConfig(), decoder_precision="float32")


def call_plainly(work: Work) -> dict[str, Any]:
    """Call with plain-PyTorch kernels: in a new process, as a process keeps to one kind of kernels."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, initializer=_start_plain_worker) as pool:
        return pool.submit(work).result()


def _start_plain_worker() -> None:
    from latentfields.training.jobs import start_worker

    os.environ["LATENTFIELDS_KERNELS"] = "torch"
    start_worker()


def time_to(curve: Curve, quality: float, *, measure: str) -> float | None:
    """Return when a curve first reaches `quality` dB, linearly between its points; None if never.

    `measure` is step, seconds or cpu_seconds. The first point counts as a whole: what was before is not known.
    """
    for index, point in enumerate(curve):
        if point["psnr"] >= quality:
            if index == 0:
                return point[measure]
            before = curve[index - 1]
            share = (quality - before["psnr"]) / (point["psnr"] - before["psnr"])
            return before[measure] + share * (point[measure] - before[measure])
    return None


def _with_curves(fits: Sequence[Row]) -> list[Row]:
    """Fits that kept their curves: those of earlier versions did not."""
    return [fit for fit in fits if fit.curve]


def _times(config: ConvergenceStudyConfig, measured: Measured) -> Table:
    """The times at which fits reach the quality, and where they end."""
    quality, fits = config.quality, _with_curves(measured["fits"])
    rows = []
    for fit in fits:
        times = {f"to_{name}": time_to(fit.curve, quality, measure=name) for name in MEASURES}
        found = {name: time for name, time in times.items() if time is not None}
        rows.append(replace(fit, values={**fit.values, **found}))
    note = f"Until {quality:g} dB on test views; a dash where not every fit got there."
    if left_out := len(measured["fits"]) - len(fits):
        note += f" Left out: {left_out} fits of an earlier version, which kept no curves."
    pivot = Pivot(
        f"Training until {quality:g} dB",
        GROUP,
        (
            Value("to_step", "steps"),
            Value("to_seconds", "seconds"),
            Value("to_cpu_seconds", "CPU seconds"),
            Value("psnr", "in the end, dB"),
            Value("cpu_seconds", "after CPU seconds"),
        ),
        note=note,
    )
    return pivot.table({"fits": rows})


def _shares(config: ConvergenceStudyConfig, measured: Measured) -> Table | None:
    """CPU time of the usual path as a share of the plain one's, object by object."""
    from latentfields.pages.report import Table

    rows = []
    for names, part in grouped(_with_curves(measured["fits"]), ("field", "space")).items():
        fast, plain = (
            [time_to(row.curve, config.quality, measure="cpu_seconds") for row in select(part, path=path)]
            for path in (FAST, PLAIN)
        )
        if plain and len(fast) == len(plain):
            shares = [a / b for a, b in zip(fast, plain, strict=True) if a is not None and b is not None]
            share = Spread.of(shares) if len(shares) == len(plain) else None
            found = ("-", "-") if share is None else (str(share), "yes" if share.mean <= TARGET else "NO")
            rows.append((*names, *found))
    title = f"CPU time until {config.quality:g} dB: share of the plain path's"
    return Table(title, ("NeRF", "space", "share", "at most a third"), tuple(rows)) if rows else None


def _charts(config: ConvergenceStudyConfig, measured: Measured) -> list[Chart]:
    """Quality against CPU time and steps, one chart each for every NeRF, curves meaned over objects."""
    from latentfields.pages.charts import Chart, Level

    level = Level(f"{config.quality:g} dB", config.quality)
    return [
        Chart(
            field,
            label,
            "PSNR of test views, dB",
            tuple(
                _mean_curve(f"{space}, {path}", group, measure)
                for (space, path), group in grouped(part, ("space", "path")).items()
            ),
            levels=(level,),
        )
        for (field,), part in grouped(_with_curves(measured["fits"]), ("field",)).items()
        for measure, label in X_LABELS.items()
    ]


def _mean_curve(label: str, fits: Sequence[Row], measure: str) -> Series:
    from latentfields.pages.charts import Series

    # Steps are the same for all fits of a group, so that points can be meaned one by one.
    points = list(zip(*(fit.curve for fit in fits), strict=True))
    return Series(
        label,
        [fmean(point[measure] for point in column) for column in points],
        [fmean(point["psnr"] for point in column) for column in points],
    )


CONVERGENCE = Study(
    name="convergence",
    config=ConvergenceStudyConfig,
    title="Quality against training time",
    about="Radiance fields of objects that nothing was trained on: how soon they reach a quality.",
    read_inputs=read_inputs,
    settings=lambda config, out: {out: FieldsStudyConfig.of(config, config.spaces)},
    measure=_measure,
    rows=fit_rows,
    tables=(_times, _shares),
    charts=_charts,
    pictures=first_pictures,
    results_file="convergence.json",
    page="convergence",
)
