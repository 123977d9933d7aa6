"""Curves over training, and points to compare, as inline SVG whose colours follow the page, drawn by matplotlib."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_POINTS = 240  # more than a chart has pixels to show; longer series are summarised
_SIZE = (5.8, 3.0)  # inches of 72 points, the unit of the SVG
# Shares of the size: room for ticks of six characters, for both labels, and for names of stages above, in two rows
# where they are many. To let matplotlib measure what they need takes longer than to draw them.
_MARGINS = {"left": 0.14, "right": 0.975, "bottom": 0.17}
_TOP, _TOP_OF_TWO_ROWS = 0.92, 0.875

_STAGES_OF_A_ROW = 3
"""As many stages have their names side by side; of more, every other one is higher."""

# Colours that stand for the page's: matplotlib writes them, `_themed` replaces them.
_INK, _LINE = "#abcde0", "#abcde1"
_SERIES = tuple(f"#c0ffe{index}" for index in range(6))


@dataclass(frozen=True)
class Series:
    """One curve. Values that are not finite are left out."""

    label: str
    x: Sequence[float]
    """Positions, ascending: steps or seconds, as the chart's `x_label` says."""
    y: Sequence[float]
    """One value per position."""


@dataclass(frozen=True)
class Stage:
    """A named part of training."""

    name: str
    start: float
    """Where it begins on the x axis."""


@dataclass(frozen=True)
class Level:
    """A horizontal line to compare with, such as the autoencoder's own PSNR."""

    label: str
    value: float


@dataclass(frozen=True)
class Chart:
    """Curves that share their axes."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    stages: tuple[Stage, ...] = ()
    """In order; each lasts until the next one starts."""
    levels: tuple[Level, ...] = ()
    scale: Literal["linear", "log"] = "linear"
    """Of the y axis; "log" leaves out values that are not positive."""
    marks: Literal["curves", "points"] = "curves"
    """What series are drawn as: "points" stand alone, with the label of their series beside them."""


def series_colours(charts: Sequence[Chart]) -> dict[str, int]:
    """A colour index for every label, by first appearance: equal labels look the same in all charts."""
    labels = dict.fromkeys(series.label for chart in charts for series in chart.series)
    return {label: index % len(_SERIES) for index, label in enumerate(labels)}


def chart_svg(chart: Chart, colours: Mapping[str, int]) -> str:
    """An <svg> element that uses the CSS variables --ink, --line and --series-0 to --series-5.

    Equal charts give equal text. All text in it is escaped.
    """
    import matplotlib  # slow to import, and only reports need it
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a user's own style would show
        matplotlib.rcParams.update(
            {
                "svg.hashsalt": "latentfields",
                "svg.fonttype": "none",
                "text.parse_math": False,
                "font.family": "DejaVu Sans",  # comes with matplotlib, so that layouts agree
                "font.size": 9,
                "axes.edgecolor": _LINE,
                **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), _INK),
            }
        )
        figure = Figure(figsize=_SIZE)
        figure.subplots_adjust(
            **_MARGINS, top=_TOP if len(chart.stages) <= _STAGES_OF_A_ROW else _TOP_OF_TWO_ROWS
        )
        canvas: Any = FigureCanvasSVG(figure)
        _draw(figure.add_subplot(), chart, colours)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        canvas.print_svg(buffer, metadata=nothing)
    return _themed(buffer.getvalue())


def _draw(axes: Any, chart: Chart, colours: Mapping[str, int]) -> None:
    figure = axes.get_figure()
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    axes.set(xlabel=chart.x_label, ylabel=chart.y_label, yscale=chart.scale)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=_LINE, linewidth=0.6)
    axes.tick_params(length=0)
    named = chart.marks == "points"
    axes.margins(x=0.14 if named else 0.01, y=0.14 if named else 0.08)
    for series in chart.series:
        x, y = _drawable(series, chart.scale)
        colour = _SERIES[colours[series.label]]
        if named:
            _draw_points(axes, series.label, x, y, colour)
            continue
        if len(x) > _POINTS:
            x, y, low, high = _summary(x, y)
            axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
        # A marker shows the only point of a run that has just begun.
        axes.plot(x, y, color=colour, linewidth=1.6, marker="o" if len(x) < 40 else None, markersize=3)
    for level in chart.levels:
        axes.axhline(level.value, color=_INK, linewidth=1.0, linestyle=(0, (4, 3)))
    _mark_stages(axes, chart.stages)
    _label_ticks(axes, chart.scale)


def _draw_points(axes: Any, label: str, x: NDArray[np.float64], y: NDArray[np.float64], colour: str) -> None:
    axes.plot(x, y, color=colour, linewidth=0, marker="o", markersize=6)
    for place in zip(x, y, strict=True):
        axes.annotate(
            label,
            place,
            xytext=(0, 6),
            textcoords="offset points",
            horizontalalignment="center",
            fontsize=8,
        )


def _drawable(series: Series, scale: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.asarray(series.x, dtype=np.float64), np.asarray(series.y, dtype=np.float64)
    if x.shape != y.shape:
        raise ValueError(f"series '{series.label}' has {len(x)} positions and {len(y)} values")
    keep = np.isfinite(x) & np.isfinite(y)
    if scale == "log":
        keep &= y > 0
    return x[keep], y[keep]


def _summary(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Mean position, and mean, lowest and highest value, of consecutive groups of points."""
    starts = np.linspace(0, len(x), _POINTS, endpoint=False).astype(int)
    counts = np.diff([*starts, len(x)])
    means = [np.add.reduceat(values, starts) / counts for values in (x, y)]
    return means[0], means[1], np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)


def _mark_stages(axes: Any, stages: Sequence[Stage]) -> None:
    left, right = axes.get_xlim()
    bounds = [*(stage.start for stage in stages), right]
    for index, (stage, end) in enumerate(zip(stages, bounds[1:], strict=True)):
        start = max(stage.start, left)
        if start >= right:
            break  # a stage that is still to come
        if end <= left:
            continue  # one that was over before the first point
        if index > 0:
            axes.axvline(start, color=_INK, linewidth=0.8, alpha=0.5)
        axes.annotate(
            stage.name,
            ((start + min(end, right)) / 2, 1),
            xycoords=axes.get_xaxis_transform(),
            xytext=(0, 3 + 10 * (index % 2 if len(stages) > _STAGES_OF_A_ROW else 0)),
            textcoords="offset points",
            horizontalalignment="center",
            fontsize=8,
        )
    axes.set_xlim(left, right)


def _label_ticks(axes: Any, scale: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    if scale == "log":
        low, high = axes.get_ylim()
        subdivisions = (1, 2, 5) if high < 50 * low else (1, 3) if high < 2000 * low else (1,)
        axes.yaxis.set_major_locator(LogLocator(subs=subdivisions))
        axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if abs(value) >= 10_000 else f"{value:g}"


def _themed(svg: str) -> str:
    """The bare <svg> element, scalable, in the page's colours, without the ids that charts would share."""
    head, _, body = svg[svg.index("<svg") :].partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    svg = head + ">" + re.sub(r'<g id="[^"]*"', "<g", body)
    variables = {_INK: "ink", _LINE: "line"} | {c: f"series-{index}" for index, c in enumerate(_SERIES)}
    for colour, variable in variables.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg
