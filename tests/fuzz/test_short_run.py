"""A few damaged inputs of every kind, the same ones every time; `make fuzz` reads many more."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.driver import READ, READY, REFUSED, fuzz, verdicts_here
from fuzz.kinds import KINDS

CASES = 40
SLOW_CASES = 8
"""Of kinds that are read by going on with a training."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_inputs_are_read_or_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    count = SLOW_CASES if kind.startswith("checkpoint") else CASES
    ready, *verdicts = verdicts_here(kind, range(count), seed=0, out=tmp_path)
    assert ready == READY
    assert len(verdicts) == count
    assert [verdict for verdict in verdicts if verdict not in (READ, REFUSED)] == []
    assert REFUSED in verdicts


@pytest.mark.slow
def test_what_a_process_of_its_own_finds_is_counted(tmp_path: Path) -> None:
    tally = fuzz("camera-path", count=30, seed=0, start=5, out=tmp_path)
    assert tally.read + tally.refused == 30
    assert tally.failures == []
