"""The study of generation: what it shows of what was measured, and all of it at its smallest scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from latentfields.bench.generation import GenerationStudyConfig, mean_course, time_until
from latentfields.bench.rows import Row, Rows
from latentfields.cli.main import main

TINY = ("--scale", "tiny", "--seeds", "1", "--families", "mugs", "--spaces", "igae", "pixels")


def scene(
    space: str, family: str, *, accuracy: float, inconsistency: float, seconds: float = 10.0
) -> dict[str, Any]:
    """A scene that is recognised from half of its time on."""
    points = [
        {
            "step": step,
            "cpu_seconds": share * seconds,
            "accuracy": found,
            "right_class": 1.0,
            "right_view": 1.0,
        }
        for step, share, found in ((10, 0.25, 0.0), (20, 0.5, accuracy), (30, 1.0, accuracy))
    ]
    measures = {"accuracy": accuracy, "right_class": 1.0, "right_view": accuracy, "distance": 2.0}
    labels = {"space": space, "family": family, "seed": 0, "picture": "none.png"}
    return {**labels, **measures, "inconsistency": inconsistency, "cpu_seconds": seconds, "curve": points}


def results(scenes: list[dict[str, Any]]) -> dict[str, Any]:
    real = {"right_class": 0.9, "right_view": 0.8, "accuracy": 0.7, "distance": 0.5, "diversity": 3.0}
    spaces = dict.fromkeys(entry["space"] for entry in scenes)
    return {
        "real": [{"pictures": "real renderings", **real}],
        "priors": [{"space": space, "steps": 9, "cpu_seconds": 4.0, "parameters": 2e6} for space in spaces],
        "samples": [
            {**real, "space": space, "family": "mugs", "cpu_seconds": 0.1, "picture": "x"} for space in spaces
        ],
        "scenes": scenes,
    }


STUDY = GenerationStudyConfig(scale="tiny", accuracy=0.5)


def tables_of(scenes: list[dict[str, Any]]) -> dict[str, tuple[tuple[str, ...], ...]]:
    return {table.title: table.rows for table in STUDY.all_tables(STUDY.rows(results(scenes)))}


def test_what_is_asked_of_latents_is_judged() -> None:
    scenes = [
        scene("base", "mugs", accuracy=0.6, inconsistency=0.3),
        scene("base", "chairs", accuracy=0.8, inconsistency=0.3),
        scene("igae", "mugs", accuracy=0.9, inconsistency=0.1),
        scene("igae", "chairs", accuracy=0.7, inconsistency=0.2),
        scene("pixels", "mugs", accuracy=0.5, inconsistency=0.1, seconds=90.0),
        scene("pixels", "chairs", accuracy=0.2, inconsistency=0.1, seconds=110.0),
    ]
    found = tables_of(scenes)
    # Both scenes of a space together: of pixels 0.35 of the views in the end, after 100 s.
    times = "CPU seconds until class and azimuth are recognised in so many views of all scenes"
    assert found[times] == (
        ("base", "5.0", "5.0", "5.0", "5.0", "5.0"),
        ("igae", "5.0", "5.0", "5.0", "5.0", "5.0"),
        ("pixels", "50.0", "50.0", "50.0", "50.0", "> 100.0"),
    )
    asked = found["What is asked of latents"]
    assert [row[2:] for row in asked] == [
        ("at least 20.0, as pixels are not after 100 s", "yes"),
        ("at least 20.0, as pixels are not after 100 s", "yes"),
        ("on 2 of 2", "yes"),
        ("on 1 of 2", "NO"),
    ]


def test_pixels_that_get_there_are_counted_until_then() -> None:
    scenes = [
        scene("igae", "mugs", accuracy=0.9, inconsistency=0.1),
        scene("pixels", "mugs", accuracy=0.6, inconsistency=0.1, seconds=60.0),
    ]
    (row,) = tables_of(scenes)["What is asked of latents"]
    assert row[2:] == ("6.0", "NO")


def test_latents_that_do_not_get_there_are_not_faster() -> None:
    scenes = [
        scene("igae", "mugs", accuracy=0.2, inconsistency=0.1),
        scene("pixels", "mugs", accuracy=0.2, inconsistency=0.1, seconds=500.0),
    ]
    (row,) = tables_of(scenes)["What is asked of latents"]
    assert row[2:] == ("never are", "NO")


def test_times_are_those_of_the_first_point_that_is_good_enough() -> None:
    course = mean_course(Rows([Row.of(scene("igae", "mugs", accuracy=0.5, inconsistency=0.1))]))
    assert course == [(2.5, 0.0), (5.0, 0.5), (10.0, 0.5)]
    assert time_until(course, 0.5) == 5.0
    assert time_until(course, 0.6) is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generation") / "out"
    main(["bench", "generation", *TINY, "--out", str(out), "--device", "cpu"])
    return out


def test_the_whole_study_at_its_smallest_scale(folder: Path) -> None:
    found = json.loads((folder / "results.json").read_text())
    assert [prior["space"] for prior in found["priors"]] == ["igae", "pixels"]
    assert all(prior["steps"] >= 1 for prior in found["priors"])
    assert len(found["samples"]) == len(found["scenes"]) == 2
    for record in found["scenes"]:
        assert 0 <= record["accuracy"] <= min(record["right_class"], record["right_view"]) <= 1
        assert [point["step"] for point in record["curve"]] == [10]
    assert not [*(folder / "scenes").glob("*")]
    page = (folder / "report.html").read_text()
    for text in (
        "What is asked of latents",
        "pixels: a scene",
        "igae: drawn",
        "Scenes while they are generated",
    ):
        assert text in page
    assert "| igae |" in (folder / "page.md").read_text()


def test_a_finished_study_is_read_not_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("latentfields.bench.generations.generate_run", lambda *_, **__: 1 / 0)
    main(["bench", "generation", *TINY, "--out", str(folder), "--device", "cpu"])
    assert "Generated scenes" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--families", "dragons"), "error: --families: names dragons; expected some of"),
        (("--spaces", "igea"), "error: igea: no such autoencoder"),
        (("--seeds", "0"), "error: --seeds: is 0; expected 1 to 1000"),
        (("--priors", "nosuch"), "error: nosuch: is no prior"),
        (
            ("--priors", "objects", "--families", "vases"),
            "error: --families: is 'vases'; the prior objects knows",
        ),
        (("--spaces", "--priors"), "error: --spaces: is empty, and so is --priors; expected at least one"),
        (("--accuracy", "2"), "error: --accuracy: is 2.0; expected 0 to 1"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "generation", *arguments, "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(message)
    assert not (tmp_path / "out").exists()
