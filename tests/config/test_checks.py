from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from latentfields.config.checks import check_numbers, require_at_least
from latentfields.errors import InputError


@dataclass(frozen=True)
class Inner:
    learning_rate: float = 0.0
    widths: tuple[int, ...] = (1, 2)
    shift: float = -2.0


@dataclass(frozen=True)
class Outer:
    steps: int = 1
    seed: int = 0
    flag: bool = False
    name: str = "x"
    limit: float | None = None
    inner: Inner = field(default_factory=Inner)


LOWEST = {"shift": -float("inf")}


def test_numbers_in_range_pass() -> None:
    check_numbers(Outer(), lowest=LOWEST)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Outer(steps=0), "--steps: is 0; expected at least 1"),
        (Outer(seed=-1), "--seed: is -1; expected at least 0"),
        (Outer(limit=float("nan")), "--limit: is nan; expected at least 0"),
        (
            Outer(inner=Inner(learning_rate=float("inf"))),
            "--inner.learning-rate: is inf; expected at least 0",
        ),
        (Outer(inner=Inner(widths=(1, 0))), "--inner.widths: is 0; expected at least 1"),
        (Outer(inner=Inner(shift=-float("inf"))), "--inner.shift: is -inf; expected a finite number"),
        (Outer(inner=Inner(shift=float("nan"))), "--inner.shift: is nan; expected a finite number"),
    ],
)
def test_the_first_number_out_of_range_is_named(config: Outer, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_numbers(config, lowest=LOWEST)
    assert str(caught.value) == message


def test_paths_can_be_named_as_in_a_file() -> None:
    with pytest.raises(InputError, match=r"^inner\.learning_rate: is -1.0"):
        check_numbers(Outer(inner=Inner(learning_rate=-1.0)), name=str)


def test_single_numbers() -> None:
    require_at_least("--views", 3, 3)
    with pytest.raises(InputError, match=r"^--views: is 2; expected at least 3$"):
        require_at_least("--views", 2, 3)
