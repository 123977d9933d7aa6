"""Priors, generations and edits as commands, one after the other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.priors import write_classes
from latentfields.cli.main import main
from latentfields.files import read_json

pytestmark = pytest.mark.slow

TINY = ("--preset", "tiny", "--size", "32", "--steps", "3", "--batch", "2", "--network.widths", "16", "16")
SMALL = ("--network.head-width", "8", "--timesteps", "50", "--device", "cpu")


@pytest.fixture(scope="module")
def prior(autoencoder_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prior")
    classes = write_classes(folder / "classes")
    command = ("prior", "train", str(classes), "--autoencoder", str(autoencoder_folder))
    main([*command, "--out", str(folder / "run"), *TINY, *SMALL])
    return folder / "run"


def test_from_a_prior_to_an_edited_scene(
    prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert read_json(prior / "prior" / "config.json")["classes"] == ["ball", "marble"]
    known = ("--prior", str(prior), "--device", "cpu", "--steps", "2", "--json")
    main(["generate", "ball", "--out", str(tmp_path / "ball"), *known])
    said = capsys.readouterr()
    made = json.loads(said.out)
    assert f"or: latentfields view {tmp_path / 'ball'}" in said.err
    assert ">before<" not in Path(made["report"]).read_text()
    assert made["run"] == str(tmp_path / "ball")
    assert Path(made["report"]).is_file()
    assert (tmp_path / "ball" / "orbit.mp4").is_file()
    main(["edit", str(tmp_path / "ball"), "--to", "marble", *known])
    edited = json.loads(capsys.readouterr().out)
    assert edited["run"] == str(tmp_path / "ball-0000-to-marble")
    page = Path(edited["report"]).read_text()
    assert "ball changed to marble" in page
    assert ">before<" in page
    main(["render", str(tmp_path / "ball-0000-to-marble"), "--out", str(tmp_path / "pictures")])
    assert len([*(tmp_path / "pictures").glob("turn_*.png")]) == 8


def test_samples_are_pictures(prior: Path, tmp_path: Path) -> None:
    options = ("--count", "2", "--views", "3", "--device", "cpu")
    main(["prior", "sample", str(prior), "marble", "--out", str(tmp_path / "pictures"), *options])
    names = sorted(file.name for file in (tmp_path / "pictures").iterdir())
    expected = [*(f"sample_{i:04d}.png" for i in range(2)), *(f"turn_{i:04d}.png" for i in range(3))]
    assert names == expected


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (("generate", "dragon"), "error: category: is 'dragon'; the prior"),
        (("generate",), "category: is missing; expected one of ball, marble, or --image"),
        (("generate", "ball", "--guidance", "nan"), "--guidance: is nan; expected -1000 to 1000"),
        (("generate", "ball", "--prompt", "a ball"), "--prompt: is of no use for the prior"),
        (("generate", "ball", "--steps", "0"), "--steps: is 0; expected at least 1"),
    ],
)
def test_bad_input_is_one_line(
    prior: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*line, "--prior", str(prior), "--out", str(tmp_path / "run")])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert problem in error
    assert not (tmp_path / "run").exists()


FEW = ("--train-views", "2", "--subpixels", "1", "--alignment", "none", "--supervision.steps", "2")


def test_a_fit_to_few_views_tells_its_prior(
    prior: Path,
    scene_folder: Path,
    autoencoder_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = ("fit", str(scene_folder), "--autoencoder", str(autoencoder_folder), *FEW, "--device", "cpu")
    known = ("--prior", str(prior), "--few-views.views", "1", "--few-views.category", "ball")
    main([*line, *known, "--out", str(tmp_path / "run"), "--json"])
    assert json.loads(capsys.readouterr().out)["test"]["images"]["psnr"] > 0
    stored = read_json(tmp_path / "run" / "config.json")
    assert stored["prior"] == str(prior.resolve())
    assert (stored["few_views"]["views"], stored["few_views"]["category"]) == (1, "ball")
    for wrong, problem in (
        (("--few-views.category", "dragon"), "--few-views.category: is 'dragon'; the prior"),
        (("--few-views.weight", "-1"), "--few-views.weight: is -1.0; expected at least 0"),
        (("--space", "rgb"), "--prior: is "),
    ):
        with pytest.raises(SystemExit) as stop:
            main([*line, *known, *wrong, "--out", str(tmp_path / "other")])
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert error.startswith(f"error: {problem}")
    assert not (tmp_path / "other").exists()
