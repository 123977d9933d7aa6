"""The whole benchmark at its smallest scale, as a user runs it: it trains, fits, judges, and goes on where it was."""

import json
from pathlib import Path

import pytest

from latentfields.cli.main import main

COMMAND = ["bench", "igae", "--scale", "tiny", "--seeds", "1", "--processes", "2", "--out"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "igae"
    main([*COMMAND, str(folder)])
    return folder


def test_every_autoencoder_is_trained_and_measured_on_every_family(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    assert list(results["autoencoders"]) == ["base", "igae", "no-3d", "no-preservation"]
    assert len(results["fits"]) == 4 * 3
    assert {fit["family"] for fit in results["fits"]} == {"vases", "hats", "bags"}
    assert all(fit["psnr"] > fit["supervision_psnr"] - 1 > 8 for fit in results["fits"])
    assert list(results["score"]) == list(results["autoencoders"])
    assert len(results["claims"]) == 8
    assert results["notes"] == []


def test_the_page_shows_every_fit(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert page.count("data:image/png") >= 2 * 4 * 3
    assert not list((finished / "fits").glob("*"))


def test_run_again_it_reads_its_cells(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished / "results.json").read_bytes()
    monkeypatch.setattr("latentfields.bench.nvs.fit", None)
    main([*COMMAND, str(finished)])
    assert (finished / "results.json").read_bytes() == before
    assert "| no-preservation |" in capsys.readouterr().out


def test_other_settings_need_another_folder(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*COMMAND, str(finished), "--base", "igae"])
    assert stop.value.code == 2
    assert "holds a run with other settings (start: 'base' there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "0"], "--seeds: is 0; expected at least 1\n"),
        (["--igae", "igea"], "igea: no such autoencoder"),
        (["--meshes", "nosuch.obj"], "nosuch.obj: no such file"),
        (["--test-photos", "nosuch"], "nosuch: no photographs here"),
        (["--training-scenes", "nosuch", "--training-photos", "nosuch"], "nosuch: no photographs here"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "igae", "--out", str(tmp_path / "bench"), *options])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not (tmp_path / "bench").exists()
