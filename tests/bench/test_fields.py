"""The tables of NeRFs in several spaces, as a user runs them, on one object."""

import json
import shutil
from pathlib import Path

import pytest

from latentfields.bench.scales import FIELDS_SCALES
from latentfields.cli.main import main

OPTIONS = ["--scale", "tiny", "--seeds", "1", "--fields", "triplane", "kplanes", "--families", "vases"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("grid") / "out"
    main(["bench", "rgb-vs-latent", "--out", str(out), *OPTIONS])
    return out


def test_every_field_is_fitted_in_every_space(folder: Path) -> None:
    fits = json.loads((folder / "results.json").read_text())
    labels = [(fit["field"], fit["space"]) for fit in fits]
    assert labels == [("triplane", "rgb"), ("triplane", "base"), ("kplanes", "rgb"), ("kplanes", "base")]
    for fit in fits:
        assert fit["psnr"] > 8
        assert fit["frame_milliseconds"] > 0
        assert fit["cpu_seconds"] > 0
        assert fit["curve"][-1] == {
            "step": 20,
            "seconds": pytest.approx(fit["seconds"], abs=0.01),
            "cpu_seconds": fit["cpu_seconds"],
            "psnr": fit["psnr"],
        }
        assert ("supervision_psnr" in fit) == (fit["space"] == "base")


@pytest.mark.parametrize(
    ("table", "rows", "columns"),
    [
        ("table1", 4, ["NeRF", "space", "vases", "all"]),
        ("table4", 2, ["NeRF", "space", "after Latent Supervision", "after RGB Alignment"]),
        ("latent-nvs", 2, ["NeRF", "space", "vases", "all"]),
        (
            "rgb-vs-latent",
            4,
            [
                "NeRF",
                "space",
                "training, s",
                "training, CPU s",
                "rendering, ms",
                "with decoding, ms",
                "PSNR, dB",
            ],
        ),
    ],
)
def test_tables_share_the_fits(
    folder: Path,
    table: str,
    rows: int,
    columns: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("latentfields.bench.fits.fit", None)
    main(["bench", table, "--out", str(folder), "--spaces", "rgb", "base", *OPTIONS])
    printed = capsys.readouterr().out.split("\n\n")[1].strip().splitlines()
    assert (folder / f"{table}.html").read_text().count("data:image/png") >= 2 * 4
    assert [cell.strip() for cell in printed[0].strip("|").split("|")] == columns
    assert len(printed) == 2 + rows


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "0"], "--seeds: is 0; expected at least 1"),
        (["--processes", "0"], "--processes: is 0; expected at least 1"),
        (["--families", "--seeds", "1"], "--families: name at least one family, or meshes"),
        (["--families", "vases", "hat"], "--families: names hat; expected some of animals, bags, books"),
        (["--spaces", "base", "igea"], "igea: no such autoencoder; packaged: 'base'"),
        (["--meshes", "nosuch.obj"], "nosuch.obj: no such file"),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "table1", "--out", str(tmp_path / "out"), *options])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()


def test_the_paper_scale_is_table_16() -> None:
    config = FIELDS_SCALES["paper"].fit("kplanes", space="igae", seed=3)
    assert (config.supervision.steps, config.alignment.steps) == (10_000, 15_000)
    assert (config.batch_images, config.subpixels, config.seed) == (4, 1, 3)
    assert config.decoder_learning_rate == 1e-4


def test_cells_of_an_earlier_version_go_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Versions that measured no CPU time and kept no curve left cells that are read all the same."""
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    for cell in (old / "cells").glob("fit-*.json"):
        result = json.loads(cell.read_text())
        for measure in ("cpu_seconds", "curve", "kernels"):
            del result[measure]
        cell.write_text(json.dumps(result))
    main(["bench", "rgb-vs-latent", "--out", str(old), *OPTIONS])
    assert "| - |" in capsys.readouterr().out
    main(["bench", "convergence", "--out", str(old), *OPTIONS])
    assert "Left out: 4 fits of an earlier version" in capsys.readouterr().out
