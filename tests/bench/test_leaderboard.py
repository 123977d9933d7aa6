"""Autoencoders side by side: what is measured of each, and the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.autoencoders import small_autoencoder
from helpers.sphere_scene import sphere_scene
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.bench.leaderboard import (
    COLUMNS,
    Standing,
    frontier,
    leaderboard,
    rows,
    table_lines,
    write_leaderboard,
)
from latentfields.cli.main import parse
from latentfields.errors import ArgumentError


@pytest.fixture(scope="module")
def standings(autoencoder: Autoencoder) -> tuple[Standing, ...]:
    """A linear codec of these very pictures, and random weights."""
    return leaderboard([small_autoencoder(), autoencoder], scenes=sphere_scene(), fit_steps=0)


def test_the_better_one_comes_first(standings: tuple[Standing, ...]) -> None:
    values = [standing.score.latents.inconsistency for standing in standings]
    assert values == sorted(values)
    psnr = {standing.name: standing.reconstruction_psnr for standing in standings}
    assert psnr["linear"] > psnr["small"] + 5


def test_the_table_has_a_row_for_each(standings: tuple[Standing, ...]) -> None:
    cells = rows(standings)
    assert {len(row) for row in cells} == {len(COLUMNS)}
    assert [row[-1] for row in cells] == ["-", "-"]
    lines = table_lines(standings)
    assert len({len(line) for line in lines}) == 1
    assert lines[1].startswith(standings[0].name)


def test_the_page_shows_all_of_it(standings: tuple[Standing, ...], tmp_path: Path) -> None:
    page = write_leaderboard(tmp_path / "board.html", standings, command="latentfields autoencoder score a b")
    text = page.read_text()
    words = (
        "linear",
        "small",
        "Inconsistency by frequency",
        "Reconstruction against consistency",
        "Robustness against consistency",
        "reconstruction",
        "its latents",
        "<span>score</span>",
    )
    assert [word for word in words if word not in text] == []


def test_the_frontier_has_a_point_for_each(standings: tuple[Standing, ...]) -> None:
    reconstruction, robustness = frontier(standings)
    for chart, values in (
        (reconstruction, [standing.reconstruction_psnr for standing in standings]),
        (robustness, [standing.score.noise_psnr for standing in standings]),
    ):
        assert chart.marks == "points"
        assert [series.label for series in chart.series] == [standing.name for standing in standings]
        assert [list(series.x) for series in chart.series] == [
            [standing.score.latents.inconsistency] for standing in standings
        ]
        assert [list(series.y) for series in chart.series] == [[value] for value in values]


@pytest.mark.slow
def test_the_command_ranks_several_and_fits_a_field(
    autoencoder_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_autoencoder().save(tmp_path / "small")
    names = [str(autoencoder_folder), str(tmp_path / "small")]
    options = ["--objects", "1", "--views", "16", "--size", "64", "--fit-steps", "3", "--json"]
    parse(["autoencoder", "score", *names, *options, "--page", str(tmp_path / "board.html")]).run()
    found = json.loads(capsys.readouterr().out)
    assert {record["autoencoder"] for record in found} == set(names)
    linear, random = (next(r["unaligned_psnr"] for r in found if r["autoencoder"] == name) for name in names)
    assert linear > random > 0
    assert "rendered and decoded, not aligned" in (tmp_path / "board.html").read_text()


def test_unusable_requests_are_named() -> None:
    with pytest.raises(ArgumentError, match="names: is empty"):
        leaderboard([])
    with pytest.raises(ArgumentError, match="size: is 30; expected a multiple of 4, the factor of small"):
        leaderboard([small_autoencoder()], size=30)
    with pytest.raises(ArgumentError, match="names: holds what is of the type int"):
        leaderboard([3])  # type: ignore[list-item]
    with pytest.raises(ArgumentError, match="names: is empty"):
        parse(["autoencoder", "score"]).run()
