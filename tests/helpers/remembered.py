"""Pure functions that tests ask for the same again and again, such as where a scene of theirs lies."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import pytest
from torch import Tensor

from latentfields.scenes import normalise


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which computes nothing twice for arguments whose values are equal to the bit."""
    answers: dict[Hashable, Any] = {}

    def answer(*arguments: object, **named: object) -> Any:
        asked = (_value(arguments), _value(sorted(named.items())))
        if asked not in answers:
            answers[asked] = function(*arguments, **named)
        return deepcopy(answers[asked])

    return answer


@contextmanager
def scenes_are_placed_once() -> Iterator[None]:
    """Carve no hull and sweep no planes again for cameras and pictures that were there before."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("visual_hull_box", "shared_points"):
            patch.setattr(normalise, name, remembered(getattr(normalise, name)))
        yield


def _value(argument: object) -> Hashable:
    """All that an argument holds, of tensors a digest."""
    if isinstance(argument, Tensor):
        content = hashlib.sha256(argument.contiguous().numpy().tobytes()).digest()
        return (str(argument.dtype), tuple(argument.shape), content)
    if dataclasses.is_dataclass(argument):
        return tuple(_value(getattr(argument, field.name)) for field in dataclasses.fields(argument))
    if isinstance(argument, list | tuple):
        return tuple(map(_value, argument))
    assert isinstance(argument, Hashable), f"{type(argument)} is not known to be compared by value"
    return argument
