"""A few damaged inputs of every kind, the same ones every time; `make fuzz` reads many more."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from fuzz.driver import READ, REFUSED, Originals, Tally, cases_here, fuzz
from fuzz.kinds import KINDS
from fuzz.trees import Tree

CASES = 35
SLOW_CASES = 5
"""Of kinds that are read by going on with a training."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_inputs_are_read_or_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    count = SLOW_CASES if kind.startswith("checkpoint") else CASES
    original = tmp_path / "original"
    original.mkdir()
    KINDS[kind].write(original)
    cases = cases_here(
        kind, range(count), seed=0, out=tmp_path / "failed", original=original, work=tmp_path / "work"
    )
    verdicts = [case.verdict for case in cases]
    assert len(verdicts) == count
    assert [verdict for verdict in verdicts if verdict not in (READ, REFUSED)] == []
    assert REFUSED in verdicts


@pytest.mark.slow
def test_what_a_process_of_its_own_finds_is_counted(tmp_path: Path) -> None:
    tally = Tally()
    originals = Originals(tmp_path / "originals")
    for case in fuzz("camera-path", range(5, 35), seed=0, out=tmp_path / "failed", originals=originals):
        tally.add(case)
    assert tally.cases == tally.read + tally.refused == 30
    assert tally.failures == []
    assert 0 < len(tally.refusals) <= tally.refused
    assert tally.slowest_case.startswith("camera-path ")
    assert [path.name for path in (tmp_path / "originals").iterdir()] == ["camera-path"]


def test_a_damaged_tree_is_put_back(tmp_path: Path) -> None:
    original, folder = tmp_path / "original", tmp_path / "folder"
    (original / "inner").mkdir(parents=True)
    for name in ("a.json", "inner/b.png"):
        (original / name).write_text(name)
    tree, changed = Tree.copied(original, folder), 0
    for seed in range(60):
        tree.damage([folder / "a.json", folder / "inner" / "b.png"], Random(seed))
        changed += not tree.is_whole()
        tree.restore()
        assert tree.is_whole()
        assert {path.relative_to(folder).as_posix() for path in folder.rglob("*")} == {
            "a.json",
            "inner",
            "inner/b.png",
        }
    # Damage that is none, such as a link to a file of the same size, is rare.
    assert changed > 45
    assert (original / "a.json").read_text() == "a.json"
