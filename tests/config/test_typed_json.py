import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfields.config.typed_json import from_json, to_json, with_changes
from latentfields.errors import InputError
from latentfields.latent_nerf.config import FitConfig

FILE = Path("config.json")


@dataclass(frozen=True)
class Inner:
    rate: float
    widths: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Outer:
    name: str
    count: int
    kind: Literal["a", "b"]
    folder: Path
    inner: Inner
    flag: bool = False
    limit: float | None = None
    pair: tuple[float, str] = (0.0, "")
    rows: list[list[float]] = field(default_factory=list)


GOOD = Outer(
    name="n",
    count=3,
    kind="b",
    folder=Path("some/where"),
    inner=Inner(rate=0.1, widths=()),
    flag=True,
    limit=2.0,
    pair=(1.5, "z"),
    rows=[[1.0, 2.0], []],
)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(to_json(value)))


def test_a_dataclass_comes_back_equal() -> None:
    back = from_json(Outer, through_json(GOOD), source=FILE)
    assert back == GOOD
    assert isinstance(back.folder, Path)
    assert isinstance(back.inner.widths, tuple)
    assert from_json(Outer, through_json(replace(GOOD, limit=None)), source=FILE).limit is None


def test_changes_go_to_their_places_and_lists_are_replaced() -> None:
    changed = with_changes(GOOD, {"inner": {"widths": [7]}, "count": 4}, source=FILE)
    assert changed == replace(GOOD, inner=Inner(rate=0.1, widths=(7,)), count=4)
    assert with_changes(GOOD, {}, source=FILE) == GOOD


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([], "JSON object"),
        ({"inner": {"width": 1}}, "unknown field 'inner.width'"),
        ({"inner": 3}, "'inner'"),
    ],
)
def test_changes_that_do_not_fit_are_refused(changes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        with_changes(GOOD, changes, source=FILE)


@settings(deadline=None, max_examples=30)
@given(rate=st.floats(allow_nan=False, allow_infinity=False), widths=st.lists(st.integers(-(2**60), 2**60)))
def test_numbers_come_back_exactly(rate: float, widths: list[int]) -> None:
    inner = Inner(rate=rate, widths=tuple(widths))
    assert from_json(Inner, through_json(inner), source=FILE) == inner


def test_the_whole_fit_configuration_comes_back() -> None:
    config = FitConfig(space="rgb", seed=7)
    assert from_json(FitConfig, through_json(config), source=FILE) == config


def test_integers_are_good_numbers_and_absent_fields_have_defaults() -> None:
    value = from_json(Inner, {"rate": 2}, source=FILE)
    assert value == Inner(rate=2.0)
    assert isinstance(value.rate, float)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": 3}, "field 'name' is 3; expected str"),
        ({"count": 1.0}, "field 'count' is 1.0; expected int"),
        ({"count": True}, "field 'count' is True; expected int"),
        ({"count": None}, "field 'count' is None; expected int"),
        ({"flag": 1}, "field 'flag' is 1; expected bool"),
        ({"kind": "c"}, "field 'kind' is 'c'; expected one of a, b"),
        ({"kind": ["a"]}, r"field 'kind' is \['a'\]; expected one of a, b"),
        ({"folder": 3}, "field 'folder' is 3; expected a path"),
        ({"limit": "2"}, "field 'limit' is '2'; expected a number"),
        ({"limit": False}, "field 'limit' is False; expected a number"),
        ({"pair": [1.0]}, r"field 'pair' is \[1.0\]; expected a list of 2"),
        ({"pair": [1.0, 2.0]}, "field 'pair' is 2.0; expected str"),
        ({"pair": "ab"}, "field 'pair' is 'ab'; expected a list"),
        ({"rows": [[1.0], 2.0]}, "field 'rows' is 2.0; expected a list"),
        ({"rows": [[None]]}, "field 'rows' is None; expected a number"),
        ({"inner": 3}, "field 'inner' should be an object"),
        ({"inner": {"rate": "x"}}, "field 'inner.rate' is 'x'; expected a number"),
        ({"inner": {"rate": 1, "widths": [1, "x"]}}, "field 'inner.widths' is 'x'; expected int"),
        ({"inner": {"rate": 1, "depth": 2}}, "unknown field 'inner.depth'"),
        ({"inner": {}}, "field 'inner': .*'rate'"),
        ({"surplus": 1}, "unknown field 'surplus'"),
    ],
)
def test_every_bad_field_is_named(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=f"config.json: {problem}") as caught:
        from_json(Outer, {**through_json(GOOD), **change}, source=FILE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_a_file_that_is_no_object_is_reported(value: Any) -> None:
    with pytest.raises(InputError, match="field 'top level' should be an object"):
        from_json(Inner, value, source=FILE)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InputError, match=r"top level.*'rate'"):
        from_json(Inner, {}, source=FILE)


@dataclass(frozen=True)
class Circle:
    kind: ClassVar[str] = "circle"
    radius: float = 1.0


@dataclass(frozen=True)
class Square:
    kind: ClassVar[str] = "square"
    side: float = 1.0


@dataclass(frozen=True)
class Drawing:
    shape: Circle | Square = field(default_factory=Circle)


@pytest.mark.parametrize("shape", [Circle(2.0), Square(3.0)])
def test_one_of_several_dataclasses_comes_back_as_itself(shape: Circle | Square) -> None:
    drawing = Drawing(shape)
    assert through_json(drawing)["shape"]["kind"] == shape.kind
    assert from_json(Drawing, through_json(drawing), source=FILE) == drawing
    assert from_json(type(shape), through_json(shape), source=FILE) == shape


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"shape": {"radius": 2.0}}, "field 'shape.kind' is None; expected one of circle, square"),
        ({"shape": {"kind": "line"}}, "field 'shape.kind' is 'line'; expected one of circle, square"),
        ({"shape": {"kind": "square", "radius": 2.0}}, "unknown field 'shape.radius'"),
        ({"shape": 3}, "field 'shape.kind' is None"),
    ],
)
def test_the_wrong_one_of_several_dataclasses_is_named(value: Any, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        from_json(Drawing, value, source=FILE)
    assert problem in str(caught.value)
