"""The tables of NeRFs in several spaces, as a user runs them, on one object."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import latentfields
from latentfields import FieldsStudyConfig, run_study
from latentfields.bench.scales import FIELDS_SCALES
from latentfields.cli.main import main
from latentfields.errors import ArgumentError, InputError

OPTIONS = ["--scale", "tiny", "--seeds", "1", "--fields", "triplane", "kplanes", "--families", "vases"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("grid") / "out"
    main(["bench", "fields", "--spaces", "rgb", "base", "--out", str(out), *OPTIONS])
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
    said = capsys.readouterr()
    printed = said.out.split("\n\n")[1].strip().splitlines()
    (told,) = (line for line in said.err.splitlines() if "bench" in line)
    assert told == f"`bench {table}` is now `bench fields`; the next release knows only that name"
    assert (folder / f"{table}.html").read_text().count("data:image/png") >= 2 * 4
    assert [cell.strip() for cell in printed[0].strip("|").split("|")] == columns
    assert len(printed) == 2 + rows


def test_one_command_prints_all_tables_and_writes_a_document(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("latentfields.bench.fits.fit", None)
    main(["bench", "fields", "--out", str(folder), "--spaces", "rgb", "base", *OPTIONS])
    said = capsys.readouterr()
    titles = [line for line in said.out.splitlines() if line.startswith("**")]
    assert titles == [
        "**Decoded novel views: PSNR, dB**",
        "**The same: SSIM**",
        "**Decoded novel views by stage: PSNR, dB**",
        "**Rendered against encoded latents: PSNR, dB**",
        "**Training and rendering time**",
    ]
    assert "next release" not in said.err
    assert (folder / "report.html").read_text().count("data:image/png") >= 2 * 4
    document = (folder / "page.md").read_text()
    assert document.startswith("# Fields in latent and RGB space\n")
    assert f"torch {torch.__version__}, latentfields {latentfields.__version__}" in document
    assert all(title in document for title in titles)
    times = said.out.split("**Training and rendering time**")[1].strip().splitlines()
    columns = ["training, s", "training, CPU s", "rendering, ms", "with decoding, ms", "PSNR, dB"]
    assert [cell.strip() for cell in times[0].strip("|").split("|")] == ["NeRF", "space", *columns]


def test_python_callers_get_the_same_with_typed_arguments(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentfields.bench.fits.fit", None)
    config = FieldsStudyConfig(
        scale="tiny", seeds=1, fields=("triplane", "kplanes"), spaces=("rgb", "base"), families=("vases",)
    )
    findings = run_study(config, out=folder)
    assert len(findings.results) == 4
    assert [table.title for table in findings.tables][-1] == "Training and rendering time"
    assert f"    latentfields.run_study({config!r}, out='{folder}')" in (folder / "page.md").read_text()
    with pytest.raises(ArgumentError, match="seeds: is 0; expected 1 to 1000"):
        run_study(replace(config, seeds=0), out=folder)
    with pytest.raises(InputError, match=r"other settings \(seeds: 1 there, 2 now\)"):
        run_study(replace(config, seeds=2), out=folder)


def test_folders_of_earlier_versions_go_on(folder: Path, tmp_path: Path) -> None:
    """Their settings do not say what kind of run they are of."""
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    settings = json.loads((old / "config.json").read_text())
    assert settings.pop("kind") == "bench fields"
    (old / "config.json").write_text(json.dumps(settings))
    with pytest.raises(SystemExit):
        main(["bench", "fields", "--out", str(old), *OPTIONS, "--spaces", "base"])
    main(["bench", "fields", "--out", str(old), *OPTIONS, "--spaces", "rgb", "base"])
    assert json.loads((old / "config.json").read_text()) == settings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "0"], "--seeds: is 0; expected 1 to 1000"),
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
    main(["bench", "fields", "--spaces", "rgb", "base", "--out", str(old), *OPTIONS])
    assert "| - |" in capsys.readouterr().out
    main(["bench", "convergence", "--out", str(old), *OPTIONS])
    assert "Left out: 4 fits of an earlier version" in capsys.readouterr().out
