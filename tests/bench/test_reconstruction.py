import json
from pathlib import Path

import pytest

from latentfields.bench.trainings import paint_pictures
from latentfields.cli.main import main


@pytest.mark.slow
def test_a_table_of_photographs_and_of_generated_objects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paint_pictures(tmp_path / "pictures")
    options = ["--photos", str(tmp_path / "pictures"), "--limit", "3", "--objects", "1", "--size", "32"]
    main(["bench", "reconstruction", "base", "--out", str(tmp_path / "out"), *options])
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["photographs"]["base"]["images"] == 3
    assert results["generated objects"]["base"]["images"] == 72
    assert 15 < results["generated objects"]["base"]["psnr"] < 50
    assert "**photographs: 3 images**" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["base", "--size", "60"], "base: has the factor 8, of which images of 60 pixels are no multiple"),
        (["base", "--size", "8"], "--size: is 8; expected at least 16"),
        (["base", "--size", "4096"], "--size: is 4096; expected 8 to 2048"),
        (["base", "--processes", "0"], "--processes: is 0; expected at least 1"),
        (["base", "--objects", "0"], "--objects: is 0; expected at least 1"),
        (["base", "--limit", "0"], "--limit: is 0; expected at least 1"),
        (["base", "igea"], "igea: no such autoencoder"),
        (["base", "--photos", "nosuch"], "nosuch: no photographs here"),
        (["base", "--scenes", "nosuch"], "nosuch: no scenes here"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "reconstruction", *arguments, "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()


def test_no_autoencoder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "reconstruction", "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: autoencoders: name at least one\n"
    assert not (tmp_path / "out").exists()
