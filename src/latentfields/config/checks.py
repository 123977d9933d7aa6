"""Ranges of the numbers in configurations. Free of heavy imports, for the command line."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from latentfields.errors import InputError


def option_name(path: str) -> str:
    """The command line's name of the field at `path`: joint.learning_rate is --joint.learning-rate."""
    return "--" + path.replace("_", "-")


def check_numbers(
    config: Any, *, lowest: Mapping[str, float] | None = None, name: Callable[[str], str] = option_name
) -> None:
    """Raise InputError unless every number of a dataclass, and of dataclasses in it, is finite and high enough.

    Counts (int) start at 1, rates and weights (float) and the seed at 0; `lowest` gives other lowest values by the
    field's own name. Numbers in tuples count one by one. `name` makes the error's source of a field's path.
    """
    lowest = {"seed": 0} | dict(lowest or {})
    for path, value in _numbers(config, ""):
        least = lowest.get(path.rpartition(".")[2], 1 if isinstance(value, int) else 0)
        require_at_least(name(path), value, least)


def require_at_least(option: str, value: float, lowest: float) -> None:
    """Raise InputError, naming the option, when its value is too low, infinite or NaN."""
    # Comparisons with NaN are false, so NaN never passes.
    if not (lowest <= value and abs(value) < math.inf):
        expected = "a finite number" if lowest == -math.inf else f"at least {lowest}"
        raise InputError(option, f"is {value}; expected {expected}")


def _numbers(config: Any, prefix: str) -> Iterator[tuple[str, float]]:
    """Every number, with the path of its field."""
    for entry in dataclasses.fields(config):
        value, path = getattr(config, entry.name), prefix + entry.name
        if dataclasses.is_dataclass(value):
            yield from _numbers(value, path + ".")
            continue
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, int | float) and not isinstance(item, bool):
                yield path, item
