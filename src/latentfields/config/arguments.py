"""Arguments of the functions that people call from Python: of the wrong type, they are named in one line.

@checked
def fit(scene: Scene | str | Path, *, seconds: float | None = None) -> Run: ...

fit(3)  # ArgumentError: scene: is of the type int; expected Scene or str or Path

Annotations are what is looked at, so that there is one place that says what an argument may be. Free of heavy imports.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import numbers
import os
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from latentfields.errors import ArgumentError

P = ParamSpec("P")
R = TypeVar("R")

_UNIONS = (typing.Union, types.UnionType)
_SEQUENCES = (collections.abc.Sequence, tuple, list)
_ALSO: Mapping[type, tuple[type, ...]] = types.MappingProxyType(
    {float: (numbers.Real,), int: (numbers.Integral,), Path: (os.PathLike,)}
)
"""What goes as well where a type is annotated: NumPy's numbers, and whatever is a path."""


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Let `function` raise ArgumentError, naming the argument, for a value that is nothing its annotation names."""
    signature = inspect.signature(function)
    hints = functools.cache(lambda: typing.get_type_hints(function, include_extras=True))

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # An argument that there is not is Python's own TypeError.
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            if (problem := mismatch(value, hints()[name])) is not None:
                raise ArgumentError(name, problem)
        return function(*args, **kwargs)

    return call


def mismatch(value: object, hint: Any) -> str | None:
    """What is wrong with a value where `hint` is the annotation; None where nothing is.

    Sequences are looked into. Names that a Literal does not have are wrong; numbers out of range are not looked at.
    """
    kinds = list(_alternatives(hint))
    if any(_fits(value, kind) for kind in kinds):
        return None
    if isinstance(value, str) and (names := [name for kind in kinds for name in _literals(kind)]):
        return f"is {value!r}; expected {', '.join(names)}"
    items = [kind for kind in kinds if typing.get_origin(kind) in _SEQUENCES]
    if items and isinstance(value, Sequence) and not isinstance(value, str):
        problem = next(filter(None, (mismatch(item, _item(items[0])) for item in value)), None)
        if problem is not None:
            return problem if problem.startswith("is '") else f"holds what {problem}"
    expected = dict.fromkeys(name for kind in kinds if kind is not types.NoneType for name in _names(kind))
    return f"is of the type {type(value).__name__}; expected {' or '.join(expected)}"


def _alternatives(hint: Any) -> typing.Iterator[Any]:
    """The types that an annotation is a choice of."""
    origin = typing.get_origin(hint)
    if origin is typing.Annotated:
        yield from _alternatives(typing.get_args(hint)[0])
    elif origin in _UNIONS:
        for part in typing.get_args(hint):
            yield from _alternatives(part)
    else:
        yield hint


def _fits(value: object, kind: Any) -> bool:
    """True for a value of the kind, one alternative of an annotation; of kinds that say too little, all values are."""
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return value in typing.get_args(kind)
    if origin in _SEQUENCES:
        if not isinstance(value, origin) or isinstance(value, str):
            return False
        return all(mismatch(item, _item(kind)) is None for item in value)
    if origin is collections.abc.Callable:
        return callable(value)
    plain = origin or kind
    if not isinstance(plain, type) or getattr(plain, "_is_protocol", False):
        return True
    return isinstance(value, (plain, *_ALSO.get(plain, ())))


def _item(kind: Any) -> Any:
    """The annotation of the items of a sequence."""
    return next(iter(typing.get_args(kind)), Any)


def _literals(kind: Any) -> list[str]:
    return [str(name) for name in typing.get_args(kind)] if typing.get_origin(kind) is typing.Literal else []


def _names(kind: Any) -> list[str]:
    """What an alternative is called in a message."""
    if typing.get_origin(kind) is typing.Literal:
        return _literals(kind)
    if typing.get_origin(kind) in _SEQUENCES:
        items = dict.fromkeys(name for part in _alternatives(_item(kind)) for name in _names(part))
        return [f"a sequence of {' or '.join(items)}"]
    return [getattr(typing.get_origin(kind) or kind, "__name__", str(kind))]
