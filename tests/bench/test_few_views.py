"""The study of fits to a few views: what it asks of the prior, and all of it at its smallest scale."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from latentfields.bench.few_views import IMAGES, LATENTS, SHIFTED, UNTOLD, WITH_PRIOR, FewViewsStudyConfig
from latentfields.cli.main import main

STUDY = FewViewsStudyConfig(scale="tiny", seeds=1, families=("mugs",))


def record(method: str, family: str, psnr: float) -> dict[str, Any]:
    labels = {"method": method, "family": family, "seed": 900, "picture": "pictures/none/none.png"}
    return {**labels, "psnr": psnr, "ssim": 0.8, "ms_gmsd": 0.1, "seconds": 3.0}


def test_what_is_asked_of_the_prior() -> None:
    quality = {WITH_PRIOR: (17.0, 19.0), LATENTS: (14.0, 17.0), IMAGES: (16.5, 18.1)}
    records = [
        record(method, family, psnr)
        for method, found in quality.items()
        for family, psnr in zip(("mugs", "chairs"), found, strict=True)
    ]
    tables = {table.title: table for table in STUDY.all_tables(STUDY.rows(records))}
    asked = tables["What is asked of the prior"].rows
    assert [row[1:] for row in asked] == [
        (">= +1.00 dB", "+2.50 ± 0.71 dB", "yes"),
        (">= +1.00 dB", "+0.70 ± 0.28 dB", "NO"),
    ]
    by_object = tables["The same by object: PSNR, dB"]
    assert by_object.columns == ("method", "mugs", "chairs", "all")
    assert by_object.rows[0] == (WITH_PRIOR, "17.00", "19.00", "18.00 ± 1.41")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("few-views") / "out"
    options = ("--scale", "tiny", "--seeds", "1", "--families", "mugs", "--device", "cpu")
    main(["bench", "few-views", *options, "--out", str(out)])
    return out


def test_the_whole_study_at_its_smallest_scale(folder: Path) -> None:
    found = json.loads((folder / "results.json").read_text())
    assert [fit["method"] for fit in found] == [LATENTS, WITH_PRIOR, IMAGES, UNTOLD, SHIFTED]
    assert len({fit["psnr"] for fit in found}) == 5
    assert all(5 < fit["psnr"] < 30 for fit in found)
    for fit in found:
        assert (folder / fit["picture"]).is_file()
    assert not [*(folder / "fits").glob("*")]
    page = (folder / "report.html").read_text()
    assert "What is asked of the prior" in page
    assert "mugs, 900" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--training-views", "7"), "error: --training-views: is 7; expected 1 to 6"),
        (
            ("--autoencoder", "base"),
            "error: objects: is a prior of the latents of 'igae-smooth', which those of base are",
        ),
        (("--prior", "nosuch"), "error: nosuch: is no prior"),
        (("--families", "dragons"), "error: --families: names dragons; expected some of"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "few-views", *arguments, "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(message)
    assert not (tmp_path / "out").exists()
