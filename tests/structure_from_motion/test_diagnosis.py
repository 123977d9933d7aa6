from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from latentfields.structure_from_motion.diagnosis import PairMatches, moved, why_lost, why_none
from latentfields.structure_from_motion.photographs import Photograph

PHOTOS = Path("photos")
FEATURES = dict.fromkeys("abcd", 1000)


def pair(first: str, second: str, matches: int, inliers: int, *, turned: bool = False) -> PairMatches:
    return PairMatches(first, second, matches, inliers, turned)


def photograph(name: str) -> Photograph:
    return Photograph(name=name, width=4, height=3, device="", camera=0, sharpness=0.1)


SET = [photograph(name) for name in "abcd"]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "no two photographs overlap: the best pair has 0 matches"),
        (
            [pair("a", "b", 20, 0), pair("a", "c", 31, 0)],
            "no two photographs overlap: the best pair has 31 matches",
        ),
        (
            [
                pair("a", "b", 400, 390, turned=True),
                pair("b", "c", 300, 290, turned=True),
                pair("a", "c", 90, 80),
            ],
            "the camera only turned in its place",
        ),
        (
            [pair("a", "b", 400, 100), pair("b", "c", 300, 0), pair("a", "c", 20, 18)],
            "things moved between the photographs: of 400 matches between a and b only 100 agree",
        ),
        (
            [pair("a", "b", 40, 38), pair("c", "d", 30, 25)],
            "no three photographs can be joined: the best pair, a and b, has 38 points",
        ),
    ],
)
def test_the_reason_why_nothing_can_be_joined(pairs: list[PairMatches], message: str) -> None:
    assert str(why_none(PHOTOS, pairs)).startswith(f"photos: {message}")


def test_what_moved_is_told_by_photographs_with_many_matches() -> None:
    still = [pair("a", "b", 500, 450), pair("b", "c", 400, 300), pair("c", "d", 300, 60)]
    assert moved(PHOTOS, still) is None
    assert moved(PHOTOS, [pair("a", "b", 59, 0)]) is None
    assert moved(PHOTOS, [pair("a", "b", 60, 0)]) is not None


def reason(
    *,
    sharpness: float = 0.1,
    features: int = 1000,
    camera: int = 0,
    pairs: list[PairMatches] | None = None,
    models: list[set[str]] | None = None,
) -> str:
    photographs = [*SET[:3], replace(SET[3], sharpness=sharpness, camera=camera, device="PHONE, 4 mm")]
    found = why_lost(
        photographs,
        {**FEATURES, "d": features},
        [pair("a", "b", 400, 390), *(pairs or [])],
        models or [{"a", "b", "c"}],
    )
    assert [one.name for one in found] == ["d"]
    return found[0].reason


def test_a_photograph_is_lost_for_a_reason() -> None:
    joined = [pair("b", "d", 50, 44), pair("c", "d", 30, 0)]
    assert reason(sharpness=0.03, pairs=joined) == "blurred: 30% of the usual sharpness"
    assert reason(features=100, pairs=joined) == "hardly any texture, or too dark: 100 features, usually 1000"
    assert reason() == "no overlap: at most 0 matches with a photograph that has a pose"
    assert reason(pairs=[pair("b", "d", 22, 0)]).startswith("no overlap: at most 22 matches")
    assert reason(pairs=[pair("b", "d", 220, 30)]) == (
        "something moved: of 220 matches with a photograph 30 agree"
    )
    assert reason(pairs=joined).startswith("too little overlap: at most 44 points in common")
    assert reason(pairs=joined, camera=1) == (
        "another camera (PHONE, 4 mm), of which no photograph could be joined"
    )


def test_photographs_of_another_model_are_named_as_such() -> None:
    photographs = [*SET, photograph("e"), photograph("f")]
    features = {**FEATURES, "e": 900, "f": 900}
    found = why_lost(photographs, features, [], [{"a", "b", "c"}, {"d", "e", "f"}])
    assert [one.name for one in found] == ["d", "e", "f"]
    assert {one.reason for one in found} == {
        "joined with 2 others that have too little in common with the rest"
    }


def test_all_have_poses() -> None:
    assert why_lost(SET, FEATURES, [], [set("abcd")]) == []
