"""Typed access to the fields of a JSON file; every failure names the file and the field."""

from __future__ import annotations

import json
import math
from collections import ChainMap
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from latentfields.errors import InputError
from latentfields.files import json_text
from latentfields.scenes.readers.capture import Array


class JsonObject:
    """One object of a JSON file; entries of a list fall back on the fields of the object around them."""

    def __init__(self, source: Path, values: Mapping[str, object], *, where: str = "") -> None:
        """`where` names the object in messages, as in "frames[3]"; it is empty for the whole file."""
        self.source = source
        self.where = where
        self._values = values

    def __contains__(self, name: str) -> bool:
        """True when the field is there and not null."""
        return self._values.get(name) is not None

    def place(self, name: str) -> str:
        """The full name of a field, for messages."""
        return f"{self.where}.{name}" if self.where else name

    def fail(self, name: str, problem: str) -> InputError:
        """The error to raise about a field."""
        return InputError(self.source, f"{self.place(name)}: {problem}")

    def number(self, name: str, *, default: float | None = None) -> float:
        """A finite number. Without a default the field must be there."""
        if name not in self and default is not None:
            return default
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(name, f"expected a number, got {_shown(value)}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.fail(name, f"expected a finite number, got {number}")
        return number

    def integer(self, name: str) -> int:
        """A whole number; the field must be there."""
        number = self.number(name)
        if number != round(number):
            raise self.fail(name, f"expected a whole number, got {number:g}")
        return round(number)

    def flag(self, name: str) -> bool:
        """A truth value, or 0 or 1; false when the field is not there."""
        value = self._values.get(name, False)
        if isinstance(value, int) and value in (0, 1):
            return bool(value)
        if not isinstance(value, bool):
            raise self.fail(name, f"expected true or false, got {_shown(value)}")
        return value

    def text(self, name: str) -> str:
        """A text that is not empty."""
        value = self._values.get(name)
        if not isinstance(value, str) or not value:
            raise self.fail(name, f"expected a text, got {_shown(value)}")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts that is not empty."""
        value = self._values.get(name)
        if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
            raise self.fail(name, f"expected a list of texts, got {_shown(value)}")
        return value

    def matrix(self, name: str) -> Array:
        """A matrix of float64, written as a list of rows of equal length."""
        value = self._values.get(name)
        rows = value if isinstance(value, list) else []
        numbers = [item for row in rows if isinstance(row, list) for item in row]
        lengths = {len(row) if isinstance(row, list) else 0 for row in rows}
        if (
            len(lengths) != 1
            or not numbers
            or not all(isinstance(item, int | float) and not isinstance(item, bool) for item in numbers)
        ):
            raise self.fail(name, f"expected a matrix of numbers, got {_shown(value)}")
        try:
            return np.array(rows, dtype=np.float64)
        except OverflowError as error:
            raise self.fail(name, "expected finite numbers") from error

    def objects(self, name: str) -> list[JsonObject]:
        """A list of objects that is not empty; each falls back on the fields of this object."""
        value = self._values.get(name)
        if not isinstance(value, list) or not value:
            raise self.fail(name, f"expected a list with at least one entry, got {_shown(value)}")
        found, around = [], dict(self._values)
        for index, item in enumerate(value):
            if not isinstance(item, dict):
                raise self.fail(f"{name}[{index}]", f"expected an object, got {_shown(item)}")
            chain: ChainMap[str, object] = ChainMap(item, around)
            found.append(JsonObject(self.source, chain, where=f"{self.place(name)}[{index}]"))
        return found


def read_json(path: Path) -> JsonObject:
    """The object in a JSON file. Raises InputError when the file is not JSON or holds something else."""
    try:
        value = json.loads(json_text(path, encoding="utf-8-sig"))
    except InputError:
        raise
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"is not valid JSON ({error})") from error
    if not isinstance(value, dict):
        raise InputError(path, f"expected a JSON object, got {_shown(value)}")
    return JsonObject(path, value)


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
