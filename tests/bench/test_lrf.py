"""The whole benchmark at its smallest scale, as a user runs it: it trains, fits, judges, and goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from helpers.tiny import write_sphere_scene
from latentfields.bench.lrf_training import require_same_encoder
from latentfields.cli.main import main
from latentfields.errors import InputError

IMAGE = ["image/8 upsampled", "image/8 enlarged"]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """All but the folder."""
    photos = tmp_path_factory.mktemp("photos")
    for number in range(3):
        Image.linear_gradient("L").rotate(90 * number).convert("RGB").save(photos / f"{number}.png")
    options = ["--seeds", "1", "--field", "triplane", "--training-photos", str(photos)]
    return ["bench", "lrf", "--scale", "tiny", *options, "--out"]


@pytest.fixture(scope="module")
def finished(command: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "lrf"
    main([*command, str(folder)])
    return folder


def test_every_method_is_measured_with_all_and_with_few_views(finished: Path) -> None:
    results = json.loads((finished / "results.json").read_text())
    assert list(results["autoencoders"]) == ["base", "encoder", "decoder", "both"]
    methods: dict[int | None, list[str]] = {views: [] for views in (None, 3)}
    for fit in results["fits"]:
        methods[fit["training_views"]] += fit["methods"]
        assert fit["bytes"] > 100_000
        assert min(fit["seconds"], fit["rendering_milliseconds"]) > 0
        assert all(8 < scores["psnr"] < 40 for scores in fit["methods"].values())
    assert methods[None] == ["base", "decoder", "encoder", "both", *IMAGE, "image/1"]
    assert methods[3] == ["base", "decoder", "encoder", "both", *IMAGE]
    reconstruction = results["reconstruction"]
    assert all(25 < reconstruction[role][0]["psnr"] < 40 for role in results["autoencoders"])
    assert len(results["claims"]) == 11


def test_both_stages_are_trained_on_the_photographs(finished: Path, command: list[str]) -> None:
    photos = [command[command.index("--training-photos") + 1]]
    for folder in ("encoder/training", "decoder", "both"):
        assert json.loads((finished / "training" / folder / "config.json").read_text())["photos"] == photos


def test_stages_share_their_encoders(finished: Path) -> None:
    autoencoders = json.loads((finished / "results.json").read_text())["autoencoders"]
    require_same_encoder("--decoder", autoencoders["decoder"], "base")
    require_same_encoder("--both", autoencoders["both"], autoencoders["encoder"])
    with pytest.raises(InputError, match=r"--both: '.*' has another encoder than 'base'"):
        require_same_encoder("--both", autoencoders["both"], "base")


def test_the_page_shows_every_method(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert page.count("data:image") == 1 + 7 + 1 + 6
    assert "both (LRF)" in page
    assert not list((finished / "fits").glob("*"))


def test_run_again_it_reads_its_cells(
    finished: Path, command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (finished / "results.json").read_bytes()
    monkeypatch.setattr("latentfields.bench.lrf_fits.fit", None)
    monkeypatch.setattr("latentfields.bench.lrf_fits.fit_latent_field", None)
    main([*command, str(finished)])
    assert (finished / "results.json").read_bytes() == before
    assert "| both (LRF) |" in capsys.readouterr().out


@pytest.fixture
def problem(command: list[str], capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the command says of unusable arguments."""

    def said(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main([*command, *arguments])
        assert stop.value.code == 2
        return capsys.readouterr().err

    return said


def test_bad_input_is_one_line_and_leaves_nothing_behind(
    tmp_path: Path, finished: Path, scene_folder: Path, autoencoder_folder: Path, problem: Callable[..., str]
) -> None:
    out = str(tmp_path / "bench")
    encoder = str(finished / "training" / "encoder" / "training" / "autoencoder")
    single = write_sphere_scene(tmp_path / "single", views=4)
    (single / "transforms_test.json").unlink()
    assert problem(out, "--seeds", "0") == "error: --seeds: is 0; expected at least 1\n"
    assert "images of 32x32; expected 128 or more" in problem(out, "--scenes", str(scene_folder))
    assert "single" in problem(out, "--scenes", str(single))
    assert "no scenes here" in problem(out, "--scenes", str(tmp_path / "nowhere"))
    assert "no scenes here" in problem(out, "--training-scenes", str(tmp_path / "nowhere"))
    assert "nowhere: no photographs here" in problem(out, "--training-photos", str(tmp_path / "nowhere"))
    both = ("--scenes", str(scene_folder), "--training-scenes", str(scene_folder))
    assert "is among --training-scenes" in problem(out, *both)
    assert "given without --encoder" in problem(out, "--both", encoder)
    assert "has another encoder than 'base'" in problem(out, "--decoder", encoder)
    assert "have factors [4, 8]" in problem(out, "--encoder", str(autoencoder_folder))
    assert not Path(out).exists()


def test_other_settings_need_another_folder(finished: Path, problem: Callable[..., str]) -> None:
    message = problem(str(finished), "--field", "kplanes")
    assert "holds a run with other settings (field: 'triplane' there, 'kplanes' now)" in message
