"""Measurements of a study as rows, and the tables and claims that are made of them.

Free of heavy imports, for the command line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentfields.pages.report import Table

Record = Mapping[str, Any]
"""A JSON object: the result of a cell, or a part of results.json."""
Curve = Sequence[Mapping[str, float]]
"""Points {step, seconds, cpu_seconds, psnr} of a training, oldest first."""

ALL = "all"
"""Title of the column that takes all rows together."""


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
    def of(cls, record: Record, **labels: object) -> Row:
        """Return the row of a JSON object: its texts and `labels` are labels, its numbers values."""
        texts = {name: value for name, value in record.items() if isinstance(value, str)}
        numbers = {name: value for name, value in record.items() if isinstance(value, int | float)}
        texts |= {name: str(value) for name, value in labels.items()}
        return cls(texts, numbers, record.get("curve", ()))


Measured = Mapping[str, Sequence[Row]]
"""All rows of a study, by kind: fits, photographs and so on."""


def select(rows: Sequence[Row], **labels: str) -> list[Row]:
    """Return the rows that have all these labels, in order."""
    return [row for row in rows if all(row.labels.get(name) == value for name, value in labels.items())]


def values(rows: Sequence[Row], measure: str, **labels: str) -> list[float]:
    """Return a measure of the rows that have all these labels, in order."""
    return [row.values[measure] for row in select(rows, **labels)]


def distinct(rows: Sequence[Row], label: str) -> list[str]:
    """Return the values of a label, in the order of their first rows."""
    return list(dict.fromkeys(row.labels[label] for row in rows if label in row.labels))


def grouped(rows: Sequence[Row], labels: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    """Return the rows by their values of these labels, in the order of their first rows."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.labels[label] for label in labels), []).append(row)
    return groups


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
        mean = math.fsum(numbers) / len(numbers)
        if len(numbers) == 1:
            return cls(mean, 0.0, 1)
        variance = math.fsum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1)
        return cls(mean, math.sqrt(variance), len(numbers))

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
    """Of the column."""
    spec: str = ".2f"
    """Format of a number."""
    spread: bool = True
    """Show the standard deviation beside the mean."""
    unit: float = 1.0
    """What one of the measure is in the column's unit."""
    optional: bool = False
    """Leave out the column where no row has the measure."""

    def text(self, rows: Sequence[Row]) -> str:
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


LPIPS: Mapping[str, str] = MappingProxyType({"lpips": "LPIPS (alex)", "lpips_vgg": "LPIPS (VGG)"})
"""Titles of the measures that are there where LPIPS's weights are on the machine."""


def lpips(spec: str = ".3f") -> tuple[Value, ...]:
    """Return the columns of LPIPS, left out where there are no weights."""
    return tuple(Value(name, title, spec, optional=True) for name, title in LPIPS.items())


@dataclass(frozen=True)
class Pivot:
    """A table of rows that share labels, with means and spreads of what was measured."""

    title: str
    """May name values of the first row: `{images:.0f} images`."""
    rows: Mapping[str, str]
    """The labels that rows of the table share, and the titles of their columns."""
    values: tuple[Value, ...]
    columns: str = ""
    """A label: the one value has a column for each of its values, rather than a column of its own."""
    total: bool = True
    """Add a column over all of `columns`."""
    kind: str = "fits"
    """Which rows of the study the table is made of; those without the measure `needs` are left out."""
    needs: str = ""
    optional: bool = False
    """Leave out the table where no row is left."""
    only_several: tuple[str, ...] = ()
    """Labels of `rows` that are left out where they are the same everywhere."""
    note: str = ""

    def taken(self, measured: Measured) -> list[Row]:
        """Return the rows that the table is made of."""
        return [row for row in measured.get(self.kind, ()) if not self.needs or self.needs in row.values]

    def table(self, measured: Measured) -> Table:
        """Return the table of what was measured."""
        from latentfields.pages.report import Table

        rows = self.taken(measured)
        shown = [v for v in self.values if not v.optional or any(v.name in row.values for row in rows)]
        titles = [value.title for value in shown]
        labels = [
            label for label in self.rows if label not in self.only_several or len(distinct(rows, label)) > 1
        ]
        parts: list[str] = []
        if self.columns:
            parts = distinct(rows, self.columns)
            titles = [*parts, ALL] if self.total else parts
        found = []
        for names, group in grouped(rows, labels).items():
            cells = [shown[0].text(select(group, **{self.columns: part})) for part in parts]
            if not self.columns or self.total:
                cells += [value.text(group) for value in shown]
            found.append((*names, *cells))
        heads = [self.rows[label] for label in labels]
        title = self.title.format_map(rows[0].values if rows else {})
        return Table(title, (*heads, *titles), tuple(found), note=self.note)


def tables_of(pivots: Iterable[Pivot], measured: Measured) -> list[Table]:
    """Return the tables, without those that are optional and have no rows."""
    return [pivot.table(measured) for pivot in pivots if not pivot.optional or pivot.taken(measured)]


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
    holds = spread.mean - spread.error >= bound
    return Claim(statement, f">= {bound:+.2f} dB", f"{spread.text(sign='+')} dB", holds)


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
