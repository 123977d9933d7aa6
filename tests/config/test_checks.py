from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import pytest

from latentfields.bench.fields import FieldsStudyConfig
from latentfields.bench.lrf import LrfStudyConfig
from latentfields.config.checks import (
    ANY,
    Checked,
    Filled,
    NonNegative,
    Range,
    Seed,
    Share,
    check_stored,
    joined,
    require_at_least,
)
from latentfields.config.typed_json import from_json, to_json
from latentfields.errors import ArgumentError, InputError
from latentfields.fields.config import InstantNgpConfig, TensorfConfig, VanillaConfig


@dataclass(frozen=True)
class Inner(Checked):
    learning_rate: float = 0.0
    widths: tuple[int, ...] = (1, 2)
    shift: Annotated[float, ANY] = -2.0
    share: Share = 0.5
    first: NonNegative = 0
    last: int = 1

    def check(self, path: str = "") -> None:
        super().check(path)
        if self.last < self.first:
            raise ArgumentError(joined(path, "last"), f"is before `{joined(path, 'first')}`")


@dataclass(frozen=True)
class Plain:
    """Without a check of its own."""

    degree: Annotated[int, Range(low=0, high=3)] = 0


@dataclass(frozen=True)
class Outer(Checked):
    steps: int = 1
    seed: Seed = 0
    flag: bool = False
    name: str = "x"
    limit: float | None = None
    count: int | None = None
    size: Annotated[int | None, Range(low=16)] = None
    part: Share | None = None
    opacity: Annotated[float, Range(above=0, below=1)] = 0.5
    bounds: Annotated[tuple[float, ...], Range(above=0)] = (0.5, 2.0)
    inner: Inner = field(default_factory=Inner)
    plain: Plain = field(default_factory=Plain)


def test_numbers_in_range_pass() -> None:
    Outer().check()
    Outer(limit=0.0, count=1, size=16, inner=Inner(share=1.0)).check("outer")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Outer(steps=0), "steps: is 0; expected at least 1"),
        (Outer(seed=-1), "seed: is -1; expected at least 0"),
        (Outer(limit=float("nan")), "limit: is nan; expected at least 0"),
        # The declared type counts, not that of the value.
        (Outer(limit=-1), "limit: is -1; expected at least 0"),
        (Outer(count=0), "count: is 0; expected at least 1"),
        (Outer(size=8), "size: is 8; expected at least 16"),
        (Outer(part=1.5), "part: is 1.5; expected 0 to 1"),
        (Outer(opacity=1.0), "opacity: is 1.0; expected more than 0 and less than 1"),
        (Outer(opacity=0.0), "opacity: is 0.0; expected more than 0 and less than 1"),
        (Outer(bounds=(1.0, 0.0)), "bounds: is 0.0; expected more than 0"),
        (Outer(plain=Plain(degree=4)), "plain.degree: is 4; expected 0 to 3"),
        (
            Outer(inner=Inner(learning_rate=float("inf"))),
            "inner.learning_rate: is inf; expected at least 0",
        ),
        (Outer(inner=Inner(widths=(1, 0))), "inner.widths: is 0; expected at least 1"),
        (Outer(inner=Inner(shift=-float("inf"))), "inner.shift: is -inf; expected a finite number"),
        (Outer(inner=Inner(shift=float("nan"))), "inner.shift: is nan; expected a finite number"),
        (Outer(inner=Inner(share=1.5)), "inner.share: is 1.5; expected 0 to 1"),
        (Outer(inner=Inner(first=2)), "inner.last: is before `inner.first`"),
    ],
)
def test_the_first_value_out_of_range_is_named_by_its_path(config: Outer, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        config.check()
    assert str(caught.value) == message
    with pytest.raises(ArgumentError, match=r"^a\.b\."):
        config.check("a.b")


def test_what_was_read_names_the_file() -> None:
    with pytest.raises(InputError) as caught:
        check_stored(Inner(first=2), Path("config.json"), field="training")
    assert str(caught.value) == "config.json: field 'training.last' is before `training.first`"
    assert not isinstance(caught.value, ArgumentError)


def test_limits_do_not_show_in_files() -> None:
    config = replace(Outer(), size=20)
    assert from_json(Outer, to_json(config), source=Path("config.json")) == config
    with pytest.raises(InputError, match="field 'size' is 'big'; expected int"):
        from_json(Outer, {"size": "big"}, source=Path("config.json"))


def test_single_numbers() -> None:
    require_at_least("views", 3, 3)
    with pytest.raises(ArgumentError, match=r"^views: is 2; expected at least 3$"):
        require_at_least("views", 2, 3)


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (VanillaConfig(layers=2**31), "layers"),
        (VanillaConfig(position_octaves=33), "position_octaves"),
        (VanillaConfig(direction_octaves=2**40), "direction_octaves"),
        (TensorfConfig(feature_octaves=33), "feature_octaves"),
        (InstantNgpConfig(levels=65), "levels"),
        (FieldsStudyConfig(seeds=2**53), "seeds"),
        (LrfStudyConfig(seeds=1001), "seeds"),
    ],
)
def test_counts_that_something_is_done_for_each_of_have_an_end(config: Checked, field: str) -> None:
    with pytest.raises(ArgumentError, match=f"^{field}: is .*; expected .* to "):
        config.check()


@dataclass(frozen=True)
class Named(Checked):
    names: Filled[str] = ("a",)
    paths: Filled[Path] = (Path("x"),)
    more: tuple[str, ...] = ()


@pytest.mark.parametrize("field", ["names", "paths"])
def test_what_has_to_be_filled_is(field: str) -> None:
    Named().check()
    with pytest.raises(ArgumentError, match=f"{field}: name at least one"):
        replace(Named(), **{field: ()}).check()
    assert from_json(Named, to_json(Named(names=("b", "c"))), source=Path("x")).names == ("b", "c")
