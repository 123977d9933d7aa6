"""The results of `latentfields bench convergence` as tables and charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from latentfields.bench.convergence import FAST, PLAIN, time_to
from latentfields.bench.summary import Spread
from latentfields.pages.charts import Chart, Level, Series
from latentfields.pages.report import Table

Fits = Sequence[Mapping[str, Any]]
TARGET = 1 / 3
"""Share of the plain path's time that the usual one may take."""
X_LABELS = {"cpu_seconds": "CPU seconds of training", "step": "training steps"}


def tables(fits: Fits, *, quality: float) -> list[Table]:
    """When fits reach `quality` dB, and what share of the plain path's time the usual one takes to that."""
    given, fits = len(fits), _with_curves(fits)
    rows = tuple(
        (
            *labels,
            *(_reached(part, quality, measure) for measure in ("step", "seconds", "cpu_seconds")),
            str(Spread.of([fit["psnr"] for fit in part])),
            str(Spread.of([fit["cpu_seconds"] for fit in part])),
        )
        for labels, part in _groups(fits).items()
    )
    columns = (
        "NeRF",
        "space",
        "path",
        "steps",
        "seconds",
        "CPU seconds",
        "in the end, dB",
        "after CPU seconds",
    )
    note = f"Until {quality:g} dB on test views; a dash where not every fit got there."
    if given > len(fits):
        note += f" Left out: {given - len(fits)} fits of an earlier version, which kept no curves."
    found = [Table(f"Training until {quality:g} dB", columns, rows, note=note)]
    shares = _shares(fits, quality)
    return [*found, shares] if shares.rows else found


def _shares(fits: Fits, quality: float) -> Table:
    """CPU time of the usual path as a share of the plain one's, object by object."""
    groups, rows = _groups(fits), []
    for (field, space, path), part in groups.items():
        plain = groups.get((field, space, PLAIN))
        if path != FAST or plain is None or len(plain) != len(part):
            continue
        times = [
            (_time(ours, quality), _time(theirs, quality)) for ours, theirs in zip(part, plain, strict=True)
        ]
        reached = [(ours, theirs) for ours, theirs in times if ours is not None and theirs is not None]
        if len(reached) < len(times):
            rows.append((field, space, "-", "-"))
            continue
        share = Spread.of([ours / theirs for ours, theirs in reached])
        rows.append((field, space, str(share), "yes" if share.mean <= TARGET else "NO"))
    columns = ("NeRF", "space", "share", "at most a third")
    return Table(f"CPU time until {quality:g} dB: share of the plain path's", columns, tuple(rows))


def charts(fits: Fits, *, quality: float) -> list[Chart]:
    """Quality against CPU time and steps, one chart each for every NeRF, curves meaned over objects."""
    groups = _groups(_with_curves(fits))
    found = []
    for field in dict.fromkeys(field for field, _, _ in groups):
        for measure, label in X_LABELS.items():
            series = tuple(
                _mean_curve(f"{space}, {path}", part, measure)
                for (name, space, path), part in groups.items()
                if name == field
            )
            level = Level(f"{quality:g} dB", quality)
            found.append(Chart(field, label, "PSNR of test views, dB", series, levels=(level,)))
    return found


def _mean_curve(label: str, fits: Fits, measure: str) -> Series:
    # Steps are the same for all fits of a group, so that points can be meaned one by one.
    points = list(zip(*(fit["curve"] for fit in fits), strict=True))
    return Series(
        label,
        [fmean(point[measure] for point in column) for column in points],
        [fmean(point["psnr"] for point in column) for column in points],
    )


def _with_curves(fits: Fits) -> Fits:
    """Fits that kept their curves: those of earlier versions did not."""
    return [fit for fit in fits if "curve" in fit]


def _groups(fits: Fits) -> dict[tuple[str, str, str], Fits]:
    keys = dict.fromkeys((fit["field"], fit["space"], fit["path"]) for fit in fits)
    return {key: [fit for fit in fits if (fit["field"], fit["space"], fit["path"]) == key] for key in keys}


def _time(fit: Mapping[str, Any], quality: float) -> float | None:
    return time_to(fit["curve"], quality, measure="cpu_seconds")


def _reached(fits: Fits, quality: float, measure: str) -> str:
    times = [time_to(fit["curve"], quality, measure=measure) for fit in fits]
    found = [time for time in times if time is not None]
    return str(Spread.of(found)) if len(found) == len(times) else "-"
