"""What an argument may be is what its annotation says, and the message names the argument."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import latentfields
from latentfields.config.arguments import checked, mismatch
from latentfields.errors import ArgumentError

Word = Literal["red", "green"]


@checked
def paint(
    where: str | Path | Sequence[str | Path],
    colour: Word | int = "red",
    *,
    size: float | None = None,
    words: Sequence[Word] = (),
    done: Callable[[], object] = lambda: None,
    **others: object,
) -> str:
    """Paint."""
    return f"{where} {colour}"


def test_what_fits_passes() -> None:
    assert paint("wall") == "wall red"
    assert paint(["wall", Path("door")], 3, size=np.float32(2.0), words=["green"], done=print) != ""
    assert paint("wall", np.int64(4), size=1).endswith("4")
    assert paint.__doc__ == "Paint."
    assert list(inspect.signature(paint).parameters)[:2] == ["where", "colour"]


@pytest.mark.parametrize(
    ("arguments", "options", "problem"),
    [
        ((3,), {}, "where: is of the type int; expected str or Path or a sequence of str or Path"),
        ((["wall", 3],), {}, "where: holds what is of the type int; expected str or Path"),
        (("wall", "blue"), {}, "colour: is 'blue'; expected red, green"),
        (("wall", None), {}, "colour: is of the type NoneType; expected red or green or int"),
        (("wall",), {"size": "big"}, "size: is of the type str; expected float"),
        (("wall",), {"words": ("blue",)}, "words: is 'blue'; expected red, green"),
        (("wall",), {"words": "red"}, "words: is of the type str; expected a sequence of red or green"),
        (("wall",), {"done": 3}, "done: is of the type int; expected Callable"),
    ],
)
def test_what_does_not_is_named(arguments: tuple[Any, ...], options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        paint(*arguments, **options)
    assert str(caught.value) == problem


def test_an_argument_that_there_is_not_is_an_error_of_python() -> None:
    with pytest.raises(TypeError, match="missing a required argument: 'where'"):
        paint()  # type: ignore[call-arg]


PUBLIC = [
    name
    for name in latentfields.__all__
    if callable(getattr(latentfields, name)) and not inspect.isclass(getattr(latentfields, name))
]


def test_functions_are_what_is_looked_at() -> None:
    assert {"fit", "finetune_3d", "train_prior", "align_decoder", "export_mesh", "load_scene"} <= set(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_function_names_whichever_argument_is_wrong(name: str) -> None:
    function = getattr(latentfields, name)
    required = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is inspect.Parameter.empty
    ]
    hints = typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    for parameter in inspect.signature(function).parameters:
        if any(getattr(kind, "_is_protocol", False) for kind in typing.get_args(hints[parameter])):
            continue  # Whatever has its methods will do.
        assert mismatch(object(), hints[parameter]) is not None, parameter
        others = {other: object() for other in required if other != parameter}
        with pytest.raises(ArgumentError) as caught:
            function(**{parameter: object(), **others})
        assert caught.value.source in {parameter, *others}
