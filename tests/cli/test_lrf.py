from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from latentfields.cli.lrf import Correspond, FinetuneEncoder
from latentfields.cli.main import LatentRadianceFields, main, parse
from latentfields.correspondences.config import CorrespondenceConfig
from latentfields.lrf.encoder.config import PAPER, SMALL
from latentfields.scenes.objects.config import RenderConfig
from latentfields.scenes.objects.object_scenes import render_object_scene
from latentfields.scenes.procedural import generate_object


@pytest.fixture(autouse=True)
def plain_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTFIELDS_MALLOC", "default")


def command(*arguments: object) -> Correspond | FinetuneEncoder:
    parsed = parse(["lrf", *map(str, arguments)])
    assert isinstance(parsed, LatentRadianceFields)
    assert isinstance(parsed.command, Correspond | FinetuneEncoder)
    return parsed.command


def test_options_of_correspond_reach_their_fields() -> None:
    parsed = command("correspond", "a", "b", "--out", "set", "--source", "colmap", "--min-points", 20)
    expected = replace(CorrespondenceConfig(), source="colmap", min_points=20)
    assert parsed == Correspond(scenes=(Path("a"), Path("b")), out=Path("set"), options=expected)


def test_settings_change_the_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"weights": {"correspondence": 0.5}, "discriminator": {"start": 9}}))
    basic = ("finetune-encoder", "--out", "run", "--correspondences", "set")
    parsed = command(*basic)
    assert isinstance(parsed, FinetuneEncoder)
    assert parsed.training == SMALL
    parsed = command(
        *basic, "--preset", "paper", "--settings", settings, "--weighting", "narrow", "--seed", 3
    )
    assert isinstance(parsed, FinetuneEncoder)
    assert PAPER.discriminator is not None
    assert parsed.training == replace(
        PAPER,
        weights=replace(PAPER.weights, correspondence=0.5),
        discriminator=replace(PAPER.discriminator, start=9),
        weighting="narrow",
        seed=3,
    )
    settings.write_text(json.dumps({"weights": {"corespondence": 0.5}}))
    with pytest.raises(SystemExit):
        command(*basic, "--settings", settings)
    assert f"{settings}: unknown field 'weights.corespondence'" in capsys.readouterr().err


@pytest.mark.slow
def test_from_scenes_to_a_finetuned_autoencoder(
    tmp_path: Path, autoencoder_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = RenderConfig(views=12, size=48, samples=1, min_elevation=20.0, max_elevation=60.0)
    render_object_scene(generate_object("mugs", 0), tmp_path / "mug", options=options, seed=0)
    main(["lrf", "correspond", str(tmp_path / "mug"), "--out", str(tmp_path / "set"), "--spacing", "2"])
    assert capsys.readouterr().out.startswith("mug: ")
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"size": 32, "pairs_per_batch": 1}))
    main(
        [
            "lrf",
            "finetune-encoder",
            "--correspondences",
            str(tmp_path / "set"),
            "--out",
            str(tmp_path / "run"),
            "--autoencoder",
            str(autoencoder_folder),
            "--settings",
            str(settings),
            "--steps",
            "3",
            "--held-out",
            str(tmp_path / "set"),
        ]
    )
    assert capsys.readouterr().out == f"{tmp_path / 'run' / 'autoencoder'}\n"
    assert set(json.loads((tmp_path / "run" / "metrics.json").read_text())) == {
        "training_seconds",
        "device",
        "before",
        "after",
    }


@pytest.mark.parametrize(
    "arguments", [["correspond", "none"], ["finetune-encoder", "--correspondences", "none"]]
)
def test_bad_input_is_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["lrf", *arguments, "--out", str(tmp_path / "out")])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: none: ")
    assert error.count("\n") == 1
