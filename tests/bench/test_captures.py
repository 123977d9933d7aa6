"""Captured scenes: what is claimed of them, and the study itself on a small one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latentfields.bench.captures import CapturesStudyConfig
from latentfields.bench.scales import CAPTURES_SCALES, TINY_VIEWS
from latentfields.bench.scenes import StudyScene, render
from latentfields.cli.main import main
from latentfields.errors import ArgumentError
from latentfields.fields.config import GaussiansConfig
from latentfields.rendering.config import SplattingConfig

STUDY = CapturesStudyConfig(scenes=(Path("a"),))


def record(
    field: str, space: str, scene: str, psnr: float, *, limit: float = 180.0, **more: Any
) -> dict[str, Any]:
    factors = {"base-f2": 2, "base-f4": 4, "base": 8}
    factor = {} if space == "rgb" else {"factor": factors[space]}
    point = {"step": 100 * limit, "seconds": 2 * limit, "cpu_seconds": limit, "psnr": psnr}
    values = {
        "field": field,
        "space": space,
        "family": scene,
        "psnr": psnr,
        "ssim": 0.5,
        "seed": 0,
        "size": 256,
    }
    costs = {"cpu_seconds": limit, "frame_milliseconds": 20.0, "picture": f"pictures/{field}.png"}
    return {**values, **factor, **costs, "limit": limit, "curve": [point], **more}


FITS = [
    record("kplanes", "rgb", "fern", 27.0),
    record("kplanes", "rgb", "head", 29.0),
    record("gaussians", "rgb", "fern", 28.5),
    record("gaussians", "rgb", "head", 23.0),
    record("kplanes", "base-f4", "fern", 25.0),
    record("kplanes", "base-f4", "head", 25.5),
    record("kplanes", "base", "head", 20.0),
    record("vanilla", "rgb", "fern", 10.0, limit=60.0),
    record("kplanes", "rgb", "fern", 10.0, size=512),
]


def test_claims_are_of_the_worst_capture_and_the_best_field() -> None:
    finer = record("kplanes", "base-f2", "head", 27.5)
    claims = STUDY.claims(STUDY.rows({"fits": [*FITS, finer]}))
    found = {claim.statement: (claim.required, claim.measured, claim.holds) for claim in claims}
    assert found == {
        "RGB, kplanes, on its worst capture (fern)": (">= +24.00 dB", "+27.00 dB", True),
        "RGB, gaussians, on its worst capture (head)": (">= +24.00 dB", "+23.00 dB", False),
        "RGB, the best field on fern (gaussians)": (">= +28.00 dB", "+28.50 dB", True),
        "RGB, the best field on head (kplanes)": (">= +28.00 dB", "+29.00 dB", True),
        "base-f4, kplanes, against RGB on its worst capture (head)": (">= -3.00 dB", "-3.50 dB", False),
        "base-f2, kplanes, against RGB on its worst capture (head)": (">= -3.00 dB", "-1.50 dB", True),
    }


def test_on_several_grids_the_worst_capture_may_be_another() -> None:
    study = replace(STUDY, grids=2)
    fits = [
        *FITS[:4],
        record("kplanes", "base-f4", "fern", 25.0, grids_psnr=25.2),
        record("kplanes", "base-f4", "head", 25.5, grids_psnr=27.5),
    ]
    *_, plain, on_grids = study.claims(study.rows({"fits": fits}))
    assert (plain.measured, plain.holds) == ("-3.50 dB", False)
    assert on_grids.statement == "base-f4, kplanes, on 4 grids, against RGB on its worst capture (fern)"
    assert (on_grids.measured, on_grids.holds) == ("-1.80 dB", True)


def test_grids_divide_the_latents_of_every_space() -> None:
    study = replace(STUDY, spaces=("rgb", "base-f4", "base"), grids=8)
    with pytest.raises(
        ArgumentError, match="grids: is 8; expected a divisor of the pixels per latent of base-f4, 4"
    ):
        study.factors()


def test_of_other_sizes_and_times_nothing_is_claimed() -> None:
    assert STUDY.claims(STUDY.rows({"fits": FITS[-2:]})) == []
    tables = STUDY.all_tables(STUDY.rows({"fits": FITS[-2:]}))
    assert [table.title for table in tables] == [
        "Decoded test views: PSNR, dB",
        "The same: SSIM",
        "Cost",
    ]


def test_tables_have_a_row_for_every_size_and_time_and_a_column_for_every_capture() -> None:
    claims, psnr, *_, cost = STUDY.all_tables(STUDY.rows({"fits": FITS}))
    assert claims.title == "Claims of this package"
    assert psnr.columns == ("field", "space", "pixels", "CPU s", "fern", "head", "all")
    assert psnr.rows[0] == ("kplanes", "rgb", "256", "180", "27.00", "29.00", "28.00 ± 1.41")
    assert ("kplanes", "rgb", "512", "180", "10.00", "-", "10.00") in psnr.rows
    assert cost.rows[-1] == ("kplanes", "rgb", "512", "180", "18000", "180.0", "20", "10.00")


def test_charts_and_headlines_are_of_means() -> None:
    measured = STUDY.rows({"fits": FITS[:8]})
    chart = next(chart for chart in STUDY.charts(measured) if chart.title == "rgb, 256 pixels")
    assert [(series.label, list(series.x), list(series.y)) for series in chart.series] == [
        ("kplanes", [180.0], [28.0]),
        ("gaussians", [180.0], [25.75]),
        ("vanilla", [60.0], [10.0]),
    ]
    best = STUDY.headlines(STUDY.rows({"fits": FITS[:7]}), [])[0]
    assert (best.label, best.value, best.detail) == ("best in rgb", "28.00", "kplanes, 256 pixels, 180 CPU s")


@pytest.mark.parametrize("name", ["scenes", "fields", "spaces"])
def test_nothing_to_compare_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"{name}: name at least one"):
        CapturesStudyConfig(**{"scenes": (Path("a"),), name: ()}).check()  # type: ignore[arg-type]


def test_fits_end_by_time_and_see_factor_4_by_one_ray() -> None:
    small = CAPTURES_SCALES["small"]
    assert (small.sizes, small.cpu_seconds) == ((256, 512), (60.0, 180.0, 600.0))
    fits = {factor: small.fit("kplanes", factor=factor, seed=3) for factor in (1, 4, 8)}
    assert [fit.space for fit in fits.values()] == ["rgb", "latent", "latent"]
    assert [fit.subpixels for fit in fits.values()] == [1, 1, 2]
    assert {fit.total_steps for fit in fits.values()} == {100_000}
    # Splatted pixels cost little.
    splatted = [
        small.fit("gaussians", factor=factor, rays=small.rays(factor), seed=3) for factor in (2, 4, 8)
    ]
    assert [fit.subpixels for fit in splatted] == [1, 2, 2]
    assert {fit.alignment_grid for fit in splatted} == {"shifted"}
    assert {fit.alignment.learning_rate_factor for fit in splatted} == {0.3}
    assert {fit.decoder_learning_rate for fit in splatted} == {4e-4}
    colors = small.fit("gaussians", factor=1, seed=3)
    assert [fit.sampling for fit in splatted] == [SplattingConfig(blur=0.1)] * 3
    assert colors.sampling == SplattingConfig(blur=0.03)
    assert {fit.supervision.learning_rate_factor for fit in [*splatted, colors]} == {1.0}
    assert isinstance(colors.field, GaussiansConfig)
    assert colors.field.colors_factor == 0.4
    assert fits[1].supervision.learning_rate_factor == 1.0
    assert (
        {fit.supervision.steps for fit in splatted} == {fit.alignment.steps for fit in splatted} == {50_000}
    )
    assert fits[4].alignment_grid == "fixed"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captures")
    render(StudyScene("vases", 0, folder / "vase"), TINY_VIEWS)
    options = [
        "--fields",
        "triplane",
        "gaussians",
        "--spaces",
        "rgb",
        "base-f4",
        "--scale",
        "tiny",
        "--seeds",
        "1",
    ]
    main(["bench", "captures", "--scenes", str(folder / "vase"), "--out", str(folder / "out"), *options])
    return folder / "out"


def test_every_field_is_fitted_in_every_space(finished: Path) -> None:
    fits = json.loads((finished / "results.json").read_text())["fits"]
    assert [(fit["field"], fit["space"], fit["family"], fit["size"]) for fit in fits] == [
        ("triplane", "rgb", "vase", 64),
        ("triplane", "base-f4", "vase", 64),
        ("gaussians", "rgb", "vase", 64),
        ("gaussians", "base-f4", "vase", 64),
    ]
    for fit in fits:
        assert fit["psnr"] > 5
        assert fit["curve"][-1]["step"] <= 8
        assert fit.get("factor") == (4 if fit["space"] == "base-f4" else None)
    assert (finished / "report.html").read_text().count("data:image/png") >= 2 * 4
    assert (finished / "page.md").read_text().startswith("# Captured scenes\n")


def test_scenes_that_are_too_small_are_refused(
    scene_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["bench", "captures", "--scenes", str(scene_folder), "--out", str(tmp_path / "out")])
    assert "expected 128 or more, 16 latents" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
