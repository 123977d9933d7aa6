import json
from pathlib import Path

import pytest

from latentfields.bench.training_data import paint_pictures
from latentfields.cli.main import main


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


def test_no_autoencoder_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "reconstruction", "--out", str(tmp_path / "out")])
    assert stop.value.code == 2
    assert not (tmp_path / "out").exists()
