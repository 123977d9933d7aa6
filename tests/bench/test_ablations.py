"""`latentfields bench ablations` at its smallest scale: it trains what is missing, fits, reconstructs, and goes on."""

import json
import shutil
from pathlib import Path

import pytest

from latentfields.bench.trainings import paint_pictures
from latentfields.cli.main import main

FITS = ["--scale", "tiny", "--seeds", "1", "--fields", "triplane", "--families", "vases"]


def command(folder: Path) -> list[str]:
    """Of four roles, one is trained here; copies of the plain one stand in for two others."""
    given = ["--base", str(folder / "plain")]
    given += ["--igae", str(folder / "aware"), "--no-preservation", str(folder / "copy")]
    photos = ["--test-photos", str(folder / "photos")]
    return ["bench", "ablations", "--out", str(folder / "out"), *FITS, *given, *photos]


@pytest.fixture(scope="module")
def finished(plain_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablations")
    paint_pictures(folder / "photos")
    for name in ("plain", "aware", "copy"):
        shutil.copytree(plain_folder, folder / name)
    main(command(folder))
    return folder / "out"


def test_every_role_has_fits_and_reconstructions(finished: Path) -> None:
    results = json.loads((finished / "ablations" / "results.json").read_text())
    roles = ["base", "igae", "no-3d", "no-preservation"]
    assert [fit["space"] for fit in results["fits"]] == roles
    assert list(results["photos"]) == roles
    assert all(fit["psnr"] > 8 for fit in results["fits"])
    alone = {fit["space"]: fit["autoencoder_psnr"] for fit in results["fits"]}
    assert alone["no-3d"] != alone["base"] == alone["no-preservation"]
    page = (finished / "ablations.html").read_text()
    assert "triplane, no-preservation" in page


def test_what_is_done_is_printed_again_and_other_tables_share_it(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("latentfields.bench.fits.fit", None)
    monkeypatch.setattr(
        "latentfields.igae.finetune.finetune_3d", lambda *_, **__: pytest.fail("trains again")
    )
    main(command(finished.parent))
    printed = capsys.readouterr().out
    titles = [line for line in printed.splitlines() if line.startswith("**")]
    assert [title.split(":")[0].strip("*") for title in titles] == [
        "Decoded novel views",
        "The same",
        "Reconstruction by the autoencoder alone",
        "photographs",
    ]
    spaces = [
        str(finished.parent / "plain"),
        str(finished.parent / "aware"),
        str(finished / "ablations" / "no-3d" / "autoencoder"),
        str(finished.parent / "copy"),
    ]
    main(["bench", "table4", "--out", str(finished), *FITS, "--spaces", *spaces])
    assert "after Latent Supervision" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--scale", "small", "--igae", "igae"],
            "--no-3d: give it, or --training-scenes and --training-photos to train it on",
        ),
        (["--igae", "base"], "autoencoders: are base, base, "),
        (["--seeds", "0"], "--seeds: is 0; expected 1 to 1000"),
        (["--igae", "igea"], "igea: no such autoencoder"),
        (["--families", "hat"], "--families: names hat"),
        (["--test-photos", "nosuch"], "nosuch: no photographs here"),
        (["--training-scenes", "nosuch", "--training-photos", "nosuch"], "nosuch: no photographs here"),
    ],
)
def test_bad_options_are_refused(
    tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "ablations", "--out", str(tmp_path / "out"), "--scale", "tiny", *options])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()
