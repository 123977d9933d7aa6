"""Measurements of a study as rows, and the tables and claims that are made of them.

Free of heavy imports, for the command line.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentfields.pages.report import Table

Record = Mapping[str, Any]
"""A JSON object: the result of a cell, or a part of results.json."""
Curve = Sequence[Mapping[str, float]]
"""Points {step, seconds, cpu_seconds, psnr} of a training, oldest first."""


@dataclass(frozen=True)
class Row:
    """One measurement."""

    labels: Mapping[str, str]
    """What was measured: its field, autoencoder, scene and so on."""
    values: Mapping[str, float]
    """What came out, by the name of the measure. Measures that were not taken are absent."""
    curve: Curve = ()
    """Quality while training, where that was followed."""

    @classmethod
    def of(cls, record: Record, *, numbered: Sequence[str] = ("seed",), **labels: object) -> Row:
        """Return the row of a JSON object: its numbers are values; `labels`, texts and `numbered` numbers labels."""
        texts = {name: value for name, value in record.items() if isinstance(value, str)}
        numbers = {name: value for name, value in record.items() if isinstance(value, int | float)}
        texts |= {name: f"{numbers[name]:g}" for name in numbered if name in numbers}
        texts |= {name: str(value) for name, value in labels.items()}
        return cls(texts, numbers, record.get("curve", ()))

    def plus(self, values: Mapping[str, float]) -> Row:
        """Return the row with more values."""
        return replace(self, values={**self.values, **values})


class Rows(tuple[Row, ...]):
    """Rows of one kind, in order."""

    def select(self, **labels: str) -> Rows:
        """Return the rows that have all these labels."""
        return Rows(
            row for row in self if all(row.labels.get(name) == value for name, value in labels.items())
        )

    def values(self, measure: str, **labels: str) -> list[float]:
        """Return a measure of the rows that have all these labels."""
        return [row.values[measure] for row in self.select(**labels)]

    def gain(self, label: str, ours: str, theirs: str, measure: str = "psnr") -> list[float]:
        """Return what rows with `ours` for a label have more of a measure than those with `theirs`, pair by pair."""
        return gains(self.values(measure, **{label: ours}), self.values(measure, **{label: theirs}))

    def distinct(self, label: str) -> list[str]:
        """Return the values of a label, in the order of their first rows."""
        return list(dict.fromkeys(row.labels[label] for row in self if label in row.labels))

    def grouped(self, *labels: str) -> dict[tuple[str, ...], Rows]:
        """Return the rows by their values of labels, "" where they have none, in the order of their first rows."""
        groups: dict[tuple[str, ...], list[Row]] = {}
        for row in self:
            groups.setdefault(tuple(row.labels.get(label, "") for label in labels), []).append(row)
        return {names: Rows(group) for names, group in groups.items()}

    def mean_curve(self, x: str, y: str) -> tuple[list[float], list[float]]:
        """Return two measures of curves, meaned point by point: all have theirs after the same steps."""
        points = list(zip(*(row.curve for row in self), strict=False))
        first, second = ([fmean(point[name] for point in column) for column in points] for name in (x, y))
        return first, second


Measured = Mapping[str, Rows]
"""All rows of a study, by kind: fits, photographs and so on."""


@dataclass(frozen=True)
class Spread:
    """Mean and spread of numbers that were measured several times."""

    mean: float
    deviation: float
    """Sample standard deviation; 0 for a single measurement."""
    count: int

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Spread:
        """Return the mean and spread of at least one number."""
        return cls(fmean(numbers), stdev(numbers) if len(numbers) > 1 else 0.0, len(numbers))

    @property
    def error(self) -> float:
        """The standard error of the mean; 0 for a single measurement, which has none that is known."""
        return self.deviation / math.sqrt(self.count)

    def text(self, spec: str = ".2f", *, sign: str = "") -> str:
        """Return mean and deviation, if there is one, as the format `spec` writes them."""
        mean = format(self.mean, sign + spec)
        return f"{mean} ± {self.deviation:{spec}}" if self.count > 1 else mean

    def __str__(self) -> str:
        """Such as "26.31 ± 0.42"."""
        return self.text()


def gains(numbers: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Return the differences of measurements of the same things in the same order."""
    return [a - b for a, b in zip(numbers, reference, strict=True)]


@dataclass(frozen=True)
class Value:
    """Presentation of a measure in a column."""

    name: str
    title: str
    """Of the column; where a table has columns by a label, of one over all of them, "" of none."""
    spec: str = ".2f"
    """Format of a number."""
    spread: bool = True
    """Show the standard deviation beside the mean."""
    unit: float = 1.0
    """What one of the measure is in the column's unit."""
    optional: bool = False
    """Leave out the column where no row has the measure."""

    def text(self, rows: Rows) -> str:
        """Return the mean over the rows; a dash where not every row has the measure: cells of earlier versions."""
        measured = [self.unit * row.values[self.name] for row in rows if self.name in row.values]
        if not measured or len(measured) < len(rows):
            return "-"
        spread = Spread.of(measured)
        if not self.spread:
            return format(spread.mean, self.spec)
        # Deviations have no sign.
        spec = self.spec.removeprefix("+")
        return spread.text(spec, sign=self.spec[: len(self.spec) - len(spec)])


LPIPS: Mapping[str, str] = {"lpips": "LPIPS (alex)", "lpips_vgg": "LPIPS (VGG)"}
"""Titles of the measures that are there where LPIPS's weights are on the machine."""


def lpips(spec: str = ".3f") -> tuple[Value, ...]:
    """Return the columns of LPIPS, left out where there are no weights."""
    return tuple(Value(name, title, spec, optional=True) for name, title in LPIPS.items())


QUALITY = (
    Value("psnr", "PSNR, dB"),
    Value("ssim", "SSIM", ".3f", optional=True),
    Value("ms_gmsd", "MS-GMSD", ".4f", optional=True),
    *lpips(),
)
"""All measures of images."""


@dataclass(frozen=True)
class Pivot:
    """A table of rows that share labels, with means and spreads of what was measured."""

    title: str
    """May name values of the first row: `{images:.0f} images`."""
    rows: Mapping[str, str]
    """The labels that rows of the table share, and the titles of their columns."""
    values: tuple[Value, ...]
    columns: str = ""
    """A label: the one value has a column for each of its values."""
    kind: str = "fits"
    """Which rows of the study the table is made of; those without the measure `needs` are left out."""
    needs: str = ""
    only_several: tuple[str, ...] = ()
    """Labels of `rows` that are left out where they are the same everywhere."""
    note: str = ""

    def taken(self, measured: Measured) -> Rows:
        """Return the rows that the table is made of."""
        return Rows(row for row in measured.get(self.kind, ()) if not self.needs or self.needs in row.values)

    def table(self, measured: Measured) -> Table:
        """Return the table of what was measured."""
        from latentfields.pages.report import Table

        rows = self.taken(measured)
        known = {name for row in rows for name in row.values}
        shown = [
            value for value in self.values if value.title and (value.name in known or not value.optional)
        ]
        labels = [
            label for label in self.rows if label not in self.only_several or len(rows.distinct(label)) > 1
        ]
        parts = rows.distinct(self.columns) if self.columns else []
        found = []
        for names, group in rows.grouped(*labels).items():
            cells = [self.values[0].text(group.select(**{self.columns: part})) for part in parts]
            found.append((*names, *cells, *(value.text(group) for value in shown)))
        heads = [*(self.rows[label] for label in labels), *parts, *(value.title for value in shown)]
        title = self.title.format_map(rows[0].values if rows else {})
        return Table(title, tuple(heads), tuple(found), note=self.note)


@dataclass(frozen=True)
class Claim:
    """One claim of a paper, judged by what was measured: it holds where a mean is beyond it by its standard error."""

    statement: str
    required: str
    """Such as ">= 1.50 dB"."""
    measured: str
    holds: bool


def at_least(statement: str, measured: Sequence[float], bound: float) -> Claim:
    """Return the claim that measurements, in dB, are not below a bound: their mean less its standard error is not."""
    spread = Spread.of(measured)
    shown = f"{spread.text(sign='+')} dB"
    return Claim(statement, f">= {bound:+.2f} dB", shown, spread.mean - spread.error >= bound)


def at_most(statement: str, measured: Sequence[float], bound: float) -> Claim:
    """Return the claim that measurements are not above a bound: their mean and its standard error are not."""
    spread = Spread.of(measured)
    return Claim(statement, f"<= {bound:.2f}", str(spread), spread.mean + spread.error <= bound)


def above_zero(statement: str, measured: Sequence[float], *, unit: str = " dB", spec: str = ".2f") -> Claim:
    """Return the claim that measurements are above 0: their mean is, by more than its standard error."""
    spread = Spread.of(measured)
    return Claim(statement, f"> 0{unit}", spread.text(spec, sign="+") + unit, spread.mean > spread.error)


def claims_table(claims: Sequence[Claim], *, title: str = "Claims of the paper") -> Table:
    """Return the claims as a table."""
    from latentfields.pages.report import Table

    rows = tuple((c.statement, c.required, c.measured, "yes" if c.holds else "NO") for c in claims)
    return Table(title, ("claim", "required", "measured", "holds"), rows)
