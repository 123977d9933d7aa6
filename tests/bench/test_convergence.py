"""Quality against time: when curves cross a level, what the plain path is compared with, and the command itself."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentfields import ConvergenceStudyConfig
from latentfields.bench.convergence import time_to
from latentfields.cli.main import main
from latentfields.pages.charts import Chart
from latentfields.pages.report import Table


def curve(*psnrs: float, cpu: float = 2.0) -> list[dict[str, float]]:
    """A point every 100 steps, every 10 seconds, and every `cpu` CPU seconds."""
    return [
        {"step": 100 * n, "seconds": 10.0 * n, "cpu_seconds": cpu * n, "psnr": psnr}
        for n, psnr in enumerate(psnrs, start=1)
    ]


@settings(deadline=None, max_examples=30)
@given(slope=st.floats(0.5, 5), quality=st.floats(21, 24))
def test_on_a_straight_line_the_time_is_where_the_line_is(slope: float, quality: float) -> None:
    points = curve(*(20 + slope * n for n in range(10)))
    expected = 1 + (quality - 20) / slope
    if expected <= 10:
        assert time_to(points, quality, measure="step") == pytest.approx(100 * expected)
        assert time_to(points, quality, measure="cpu_seconds") == pytest.approx(2 * expected)
    else:
        assert time_to(points, quality, measure="step") is None


def test_the_first_crossing_counts() -> None:
    assert time_to(curve(20, 26, 22, 27), 25, measure="seconds") == pytest.approx(10 + 10 * 5 / 6)
    assert time_to(curve(25, 26), 25, measure="seconds") == 10
    assert time_to(curve(20, 24.9), 25, measure="seconds") is None


def fits(*, plain_cpu: float) -> list[dict[str, Any]]:
    """Two objects, of which the second takes one step longer."""
    found: list[dict[str, Any]] = []
    for path, cpu in (("fast", 2.0), ("plain", plain_cpu)):
        for psnrs in ((20.0, 26.0, 27.0), (20.0, 22.0, 28.0)):
            points = curve(*psnrs, cpu=cpu)
            found.append(
                {
                    "field": "kplanes",
                    "space": "base",
                    "seed": len(found) % 2,
                    "path": path,
                    "curve": points,
                    "psnr": psnrs[-1],
                    "cpu_seconds": points[-1]["cpu_seconds"],
                }
            )
    return found


def tables(fits: list[dict[str, Any]], *, quality: float) -> list[Table]:
    study = ConvergenceStudyConfig(quality=quality)
    return study.all_tables(study.rows(fits))


def charts(fits: list[dict[str, Any]], *, quality: float) -> list[Chart]:
    study = ConvergenceStudyConfig(quality=quality)
    return study.charts(study.rows(fits))


@pytest.mark.parametrize(("plain_cpu", "share", "holds"), [(7.0, "0.29", "yes"), (5.0, "0.40", "NO")])
def test_the_share_of_the_plain_paths_time_is_judged(plain_cpu: float, share: str, holds: str) -> None:
    reached, shares = tables(fits(plain_cpu=plain_cpu), quality=25)
    assert shares.rows == (("kplanes", "base", f"{share} ± 0.00", holds),)
    assert reached.rows[0][:4] == ("kplanes", "base", "fast", "216.67 ± 47.14")
    assert reached.rows[1][5] == f"{plain_cpu * 2.1667:.2f} ± {plain_cpu * 0.4714:.2f}"


def test_a_quality_that_one_fit_never_reaches_has_no_time() -> None:
    reached, shares = tables(fits(plain_cpu=7.0), quality=27.5)
    assert reached.rows[0][3:6] == ("-", "-", "-")
    assert shares.rows == (("kplanes", "base", "-", "-"),)


def test_without_the_plain_path_there_is_one_table() -> None:
    (reached,) = tables(fits(plain_cpu=7.0)[:2], quality=25)
    assert len(reached.rows) == 1


def test_curves_are_means_over_objects_point_by_point() -> None:
    by_time, by_step = charts(fits(plain_cpu=7.0), quality=25)
    assert [series.label for series in by_time.series] == ["base, fast", "base, plain"]
    assert by_time.series[1].x == [7, 14, 21]
    assert by_step.series[0].x == [100, 200, 300]
    assert by_step.series[0].y == [20, 24, 27.5]
    assert by_step.levels[0].value == 25


@pytest.mark.slow
def test_the_command_fits_on_both_paths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    main(
        [
            "bench",
            "convergence",
            "--out",
            str(out),
            "--scale",
            "tiny",
            "--seeds",
            "1",
            "--fields",
            "kplanes",
            "--spaces",
            "base",
            "--families",
            "vases",
            "--plain",
            "--quality",
            "8",
        ]
    )
    fast, plain = json.loads((out / "convergence.json").read_text())
    assert (fast["path"], plain["path"]) == ("fast", "plain")
    assert plain["kernels"] == "torch"
    # The same steps from the same weights, through other samples.
    assert plain["psnr"] == pytest.approx(fast["psnr"], abs=3)
    assert fast["psnr"] != plain["psnr"]
    printed = capsys.readouterr().out
    assert "share of the plain path's" in printed
    page = (out / "convergence.html").read_text()
    assert "kplanes, base, plain" in page
    assert page.count("<svg") >= 2
