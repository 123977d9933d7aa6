"""The study of collections, as a user runs it at its smallest, and its arithmetic."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from latentfields.bench.collections import (
    ADDED,
    FUSED,
    LIGHT,
    SINGLE,
    SINGLE_SHARED,
    CollectionsStudyConfig,
    break_even,
    steps_within,
    within_budget,
)
from latentfields.bench.rows import Row, Rows
from latentfields.cli.main import main
from latentfields.errors import ArgumentError
from latentfields.fused_planes.config import SMALL

TINY = ["--scale", "tiny", "--seeds", "2", "--added", "1", "--mixed", "--spaces", "rgb"]


@pytest.fixture(scope="module")
def folder(plain_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("collections") / "out"
    main(["bench", "collections", "--out", str(out), *TINY, str(plain_folder)])
    return out


def test_every_object_is_scored_by_every_method(folder: Path, plain_folder: Path) -> None:
    results = json.loads((folder / "results.json").read_text())["objects"]
    counts: dict[tuple[str, str], int] = {}
    for row in results:
        counts[row["space"], row["method"]] = counts.get((row["space"], row["method"]), 0) + 1
        assert row["set"] == "vases"
        assert row["psnr"] > 5
        assert row["cpu_seconds"] > 0
        assert row["bytes"] > 100
    plain, in_base = str(plain_folder), {SINGLE: 2, SINGLE_SHARED: 2, FUSED: 2, LIGHT: 2, ADDED: 1}
    assert {method: n for (space, method), n in counts.items() if space == plain} == in_base
    assert {method: n for (space, method), n in counts.items() if space == "rgb"} == {
        method: n for method, n in in_base.items() if method != SINGLE_SHARED
    }
    # A decoder of one's own is megabytes, weights are hundreds of bytes.
    size = {row["method"]: row["bytes"] for row in results if row["space"] == plain}
    assert size[SINGLE] > size[SINGLE_SHARED] > size[FUSED] > size[LIGHT]


def test_the_page_has_claims_totals_and_pictures(folder: Path, plain_folder: Path) -> None:
    page = (folder / "page.md").read_text()
    for words in (
        f"Fused objects against the better single ones (vases, {plain_folder})",
        "Totals",
        "| N = 1 | N = 2 | N = 10 | N = 100 | N = 1000 | break-even |",
    ):
        assert words in page
    assert (folder / "pictures" / "fused-1-0" / "vases-0700.png").is_file()
    assert not list((folder / "collections").iterdir())


def test_it_goes_on_where_it_was(folder: Path, plain_folder: Path) -> None:
    before = (folder / "results.json").read_bytes()
    main(["bench", "collections", "--out", str(folder), *TINY, str(plain_folder)])
    assert (folder / "results.json").read_bytes() == before


def test_steps_take_the_budget_in_their_proportions() -> None:
    steps = steps_within(
        10.0, {"supervision": 0.01, "alignment": 0.04}, {"supervision": 0.4, "alignment": 0.6}
    )
    assert steps["supervision"] * 0.01 + steps["alignment"] * 0.04 == pytest.approx(10.0, rel=0.01)
    assert steps["alignment"] / steps["supervision"] == pytest.approx(1.5, rel=0.02)


def test_epochs_take_the_budget_in_their_proportions() -> None:
    pace = {"warmup": 0.1, "joint": 0.3}
    scaled = within_budget(SMALL, 100.0, pace, ("warmup", "joint"), objects=8, views=24)
    per_epoch = 8 * 24 / 4
    assert per_epoch * (scaled.warmup.epochs * 0.1 + scaled.joint.epochs * 0.3) == pytest.approx(
        100.0, rel=1e-3
    )
    assert scaled.warmup.epochs / scaled.joint.epochs == pytest.approx(
        SMALL.warmup.epochs / SMALL.joint.epochs, rel=1e-3
    )
    assert scaled.latent == SMALL.latent
    # A batch of one object takes half of the time of one of two.
    one = within_budget(SMALL, 100.0, pace, ("warmup", "joint"), objects=1, views=24)
    assert one.warmup.epochs == pytest.approx(8 * scaled.warmup.epochs, rel=1e-3)


@pytest.mark.parametrize(
    ("shared", "own", "single", "expected"),
    [(1000.0, 10.0, 110.0, 11), (0.0, 10.0, 110.0, 1), (50.0, 10.0, 110.0, 1), (1.0, 110.0, 110.0, None)],
)
def test_break_even(shared: float, own: float, single: float, expected: int | None) -> None:
    found = break_even(shared, own, single)
    assert found == expected
    if found is not None:
        assert shared + found * own < found * single
        assert found == 1 or shared + (found - 1) * own >= (found - 1) * single


def made(method: str, *, gain: float, size: float) -> list[Row]:
    labels = {"set": "vases", "space": "base", "method": method}
    objects = range(4) if method != ADDED else range(2, 4)
    return [
        Row(
            {**labels, "object": f"vases-{number}"},
            {
                "psnr": 20.0 + number + gain,
                "ssim": 0.5,
                "bytes": size,
                "cpu_seconds": 1.0,
                "shared_bytes": 1e6,
            },
        )
        for number in objects
    ]


def test_claims_compare_object_by_object() -> None:
    study = CollectionsStudyConfig(spaces=("base",))
    rows = [
        *made(SINGLE, gain=0.0, size=3e6),
        *made(SINGLE_SHARED, gain=0.2, size=6e5),
        *made(FUSED, gain=0.9, size=2e5),
        *made(ADDED, gain=0.6, size=2e5),
    ]
    gain, share, later = study.claims({"fits": Rows(rows)})
    assert gain.holds
    assert gain.measured == "+0.70 ± 0.00 dB"
    assert share.holds
    assert later.holds
    assert later.measured == "-0.30 ± 0.00 dB"
    worse = [*rows[:8], *made(FUSED, gain=0.5, size=4e5), *made(ADDED, gain=-0.5, size=2e5)]
    assert [claim.holds for claim in study.claims({"fits": Rows(worse)})] == [False, False, False]


def test_more_objects_than_there_are_cannot_be_added() -> None:
    with pytest.raises(ArgumentError, match="added: is 24; expected less than `seeds`"):
        replace(CollectionsStudyConfig(), added=24).check()
