"""Frozen dataclasses to JSON and back, checked."""

from __future__ import annotations

import dataclasses
import functools
import sys
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from latentfields.errors import InputError

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """JSON-serialisable form of a dataclass of numbers, strings, paths, tuples and dataclasses.

    A class attribute `kind: ClassVar[str]`, which tells one of several possible dataclasses, is written as well.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        tag = _tag(type(value))
        values = {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return values if tag is None else {"kind": tag} | values
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_json(kind: type[T], value: Any, *, source: Path, field: str = "", written: bool = True) -> T:
    """Rebuild a dataclass of type `kind`. Raises InputError naming the file and the field that does not fit.

    Where several dataclasses are possible, each has a class attribute `kind: ClassVar[str]` that tells them apart.
    What was `written` to a file may be of an earlier version, and is read by the class's `from_earlier`, if it has one;
    what is asked for today is not.
    """
    if not isinstance(value, dict):
        raise InputError(source, f"field '{field or 'top level'}' should be an object")
    # Absent tags pass: files of earlier versions have none where only one class was possible.
    if (tag := _tag(kind)) is not None:
        _require(value.get("kind", tag) == tag, value.get("kind"), source, _join(field, "kind"), repr(tag))
        value = {name: item for name, item in value.items() if name != "kind"}
    # Classes that were written in another form once know how to read it.
    if written and (earlier := getattr(kind, "from_earlier", None)) is not None:
        value = earlier(value)
    hints = _hints(typing.cast(Any, kind))
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in value:
        if name not in fields:
            raise InputError(source, f"unknown field '{_join(field, name)}'")
    # Absent fields take their defaults, so that files written before a field existed still load.
    made = {
        name: _convert(hints[name], value[name], source, _join(field, name), written)
        for name in fields
        if name in value
    }
    # A field without default that is absent: the class itself says which.
    try:
        return kind(**made)
    except TypeError as error:
        raise InputError(source, f"field '{field or 'top level'}': {error}") from None


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    """The types of the fields of `kind`; to find them takes longer than to read a file."""
    return typing.get_type_hints(kind)


def with_changes(value: T, changes: Any, *, source: Path) -> T:
    """The dataclass `value` with nested `changes`, as in its JSON form, put in their places.

    Raises InputError naming `source` and the field, for fields that do not exist or values that do not fit.
    """
    if not isinstance(changes, Mapping):
        raise InputError(source, "expected a JSON object of settings")
    return from_json(type(value), _merged(to_json(value), changes), source=source, written=False)


def _merged(base: Any, changes: Any) -> Any:
    """`base` with `changes` in their places, where both are objects; otherwise `changes`."""
    if not isinstance(base, Mapping) or not isinstance(changes, Mapping):
        return changes
    if base.get("kind") != changes.get("kind", base.get("kind")):
        return changes  # Of another class, whose fields have nothing to do with those of `base`.
    return {**base, **{name: _merged(base.get(name), value) for name, value in changes.items()}}


def _convert(hint: Any, value: Any, source: Path, field: str, written: bool) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return from_json(typing.cast(Any, hint), value, source=source, field=field, written=written)
    if origin is typing.Literal:
        return _require(value in arguments, value, source, field, f"one of {', '.join(map(str, arguments))}")
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        # Several dataclasses: the tag decides. One: no tag is needed.
        tagged = {_tag(a): a for a in arguments if dataclasses.is_dataclass(a)}
        if len(tagged) > 1:
            tag = value.get("kind") if isinstance(value, dict) else None
            _require(
                isinstance(tag, str) and tag in tagged,
                tag,
                source,
                _join(field, "kind"),
                f"one of {', '.join(map(str, tagged))}",
            )
            return _convert(tagged[tag], value, source, field, written)
        return _convert(next(a for a in arguments if a is not type(None)), value, source, field, written)
    if origin is tuple:
        _require(isinstance(value, list), value, source, field, "a list")
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        _require(len(kinds) == len(value), value, source, field, f"a list of {len(kinds)}")
        return tuple(_convert(k, v, source, field, written) for k, v in zip(kinds, value, strict=True))
    if origin is list:
        _require(isinstance(value, list), value, source, field, "a list")
        return [_convert(arguments[0], item, source, field, written) for item in value]
    if hint is Path:
        return Path(_require(isinstance(value, str), value, source, field, "a path"))
    # JSON writes 1.0 as 1 now and then; a bool is an int in Python, but never a number here.
    if hint is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        # An integer of JSON may be larger than any float.
        fits = fits and (isinstance(value, float) or abs(value) <= sys.float_info.max)
        return float(_require(fits, value, source, field, "a number"))
    if hint is int and type(value) is int:
        # What no tensor could be told; JSON has integers of any length.
        _require(-(2**63) <= value < 2**63, value, source, field, "an integer of 64 bits")
    return _require(type(value) is hint, value, source, field, getattr(hint, "__name__", str(hint)))


def _tag(kind: Any) -> str | None:
    """The value of a dataclass's class attribute `kind`, where it has one that is no field."""
    # A dataclass may have an ordinary field called kind, such as an optimiser's algorithm: that one is no tag.
    is_field = any(f.name == "kind" for f in dataclasses.fields(kind))
    return None if is_field else getattr(kind, "kind", None)


def _require(fits: bool, value: Any, source: Path, field: str, expected: str) -> Any:
    if not fits:
        raise InputError(source, f"field '{field}' is {value!r}; expected {expected}")
    return value


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name
