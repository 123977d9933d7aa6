"""Limits of numbers, stated in the annotation of the field that has them, and the check of a whole configuration.

@dataclass(frozen=True)
class PlanesConfig(Checked):
    resolution: Annotated[int, Range(low=2)] = 64
    learning_rate: float = 1e-2

A number without limits of its own has those that nearly all have: counts (int) are at least 1, rates and weights
(float) at least 0. All numbers are finite. Free of heavy imports, for the command line.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from latentfields.errors import ArgumentError, InputError


@dataclass(frozen=True)
class Range:
    """The limits of a number, or of every number of a tuple."""

    low: float | None = None
    """Lowest value."""
    high: float | None = None
    """Highest value."""
    above: float | None = None
    """What every value is greater than."""
    below: float | None = None
    """What every value is less than."""
    filled: bool = False
    """A tuple, of whatever, has to have something in it."""

    def holds(self, value: float) -> bool:
        """True for finite numbers within the limits."""
        # Comparisons with NaN are false, so NaN never passes.
        return (
            abs(value) < math.inf
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        """The expectation, as an error says it."""
        if self.low is not None and self.high is not None:
            return f"{self.low} to {self.high}"
        words = {"at least": self.low, "more than": self.above, "at most": self.high, "less than": self.below}
        limits = [f"{word} {limit}" for word, limit in words.items() if limit is not None]
        return " and ".join(limits) or "a finite number"


def require_type(name: str, value: object, *types: type) -> None:
    """Raise ArgumentError when the argument `name` is of none of the `types`."""
    if not isinstance(value, types):
        expected = " or ".join(kind.__name__ for kind in types)
        raise ArgumentError(name, f"is of the type {type(value).__name__}; expected {expected}")


def require_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise ArgumentError when the argument `name` is none of the `choices`."""
    known = list(choices)
    if value not in known:
        raise ArgumentError(name, f"is {value!r}; expected {', '.join(known)}")


T = TypeVar("T")

Filled = Annotated[tuple[T, ...], Range(filled=True)]
"""A tuple in which something is."""
ANY = Range()
"""Any finite number."""

NonNegative = Annotated[int, Range(low=0)]
"""A count that may be 0."""
Seed = Annotated[int, Range(low=0)]
"""A seed of pseudo-random numbers."""
Share = Annotated[float, Range(low=0, high=1)]
"""A part of a whole."""
Precision = Literal["auto", "float32", "bfloat16"]
"""Arithmetic of encoder and decoder while they are trained."""


class Checked:
    """Base of configurations, dataclasses that can say whether their values are possible."""

    def check(self, path: str = "") -> None:
        """Raise ArgumentError, naming the field, for a value out of range; fields of a configuration in it, too.

        `path` leads to this configuration: that of a stage may be `supervision`, and the field `supervision.steps`.
        Classes with fields that have to go together extend this method.
        """
        check_fields(self, path)


def check_fields(config: Any, path: str = "") -> None:
    """Raise ArgumentError unless all numbers of a dataclass are in their ranges and all dataclasses in it are right."""
    limits = _limits(typing.cast(Any, type(config)))
    for entry in dataclasses.fields(config):
        value, name = getattr(config, entry.name), joined(path, entry.name)
        if isinstance(value, Checked):
            value.check(name)
        elif dataclasses.is_dataclass(value):
            check_fields(value, name)
        elif value == () and limits[entry.name].filled:
            raise ArgumentError(name, "name at least one")
        else:
            for number in _numbers(value):
                require(name, number, limits[entry.name])


def require(name: str, value: float, limits: Range) -> None:
    """Raise ArgumentError, naming the argument, when its value is out of range, infinite or NaN."""
    if not limits.holds(value):
        raise ArgumentError(name, f"is {value}; expected {limits}")


def require_at_least(name: str, value: float, lowest: float) -> None:
    """Raise ArgumentError, naming the argument, when its value is too low, infinite or NaN."""
    require(name, value, Range(low=lowest))


def check_stored(config: Checked, source: Path, *, field: str = "") -> None:
    """`check` a configuration that was read: raise InputError, naming the file `source` and the field."""
    try:
        config.check(field)
    except ArgumentError as error:
        raise InputError(source, f"field '{error.source}' {error.problem}") from None


def joined(path: str, name: str) -> str:
    """The path of the field `name` of what is at `path`."""
    return f"{path}.{name}" if path else name


def _numbers(value: Any) -> Iterator[float]:
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, int | float) and not isinstance(item, bool):
            yield item


@functools.cache
def _limits(kind: type[Any]) -> Mapping[str, Range]:
    """The limits of every field of a dataclass: those in its annotation, or the usual ones of its type."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {entry.name: _limits_of(hints[entry.name]) for entry in dataclasses.fields(kind)}


def _limits_of(hint: Any) -> Range:
    parts = list(_parts(hint))
    stated = next((part for part in parts if isinstance(part, Range)), None)
    return stated or Range(low=0 if float in parts else 1)


def _parts(hint: Any) -> Iterator[Any]:
    """The types that an annotation is made of, and what it says of them."""
    origin = typing.get_origin(hint)
    if origin in (Annotated, typing.Union, types.UnionType, tuple):
        for part in typing.get_args(hint):
            yield from _parts(part)
    else:
        yield hint
