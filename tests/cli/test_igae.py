import json
import logging
from pathlib import Path

import pytest

from latentfields.cli.igae import Finetune3D, Score
from latentfields.cli.main import Autoencoders, parse
from latentfields.errors import ArgumentError, InputError
from latentfields.igae import finetune as igae_training
from latentfields.igae.config import SMALL, TINY


def command(*arguments: object) -> Finetune3D | Score:
    parsed = parse(["autoencoder", *map(str, arguments)])
    assert isinstance(parsed, Autoencoders)
    assert isinstance(parsed.command, Finetune3D | Score)
    return parsed.command


def finetune(*arguments: object) -> Finetune3D:
    found = command("finetune-3d", "--out", "run", "--scenes", "scenes", *arguments)
    assert isinstance(found, Finetune3D)
    return found


def test_the_preset_stands_unless_asked_otherwise() -> None:
    assert finetune().configuration() == SMALL
    assert finetune("--preset", "tiny").configuration() == TINY


def test_options_change_the_preset(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"joint": {"weights": {"rgb": 0.5}}, "seed": 4, "ablation": "no-3d"}))
    config = finetune("--settings", settings, "--joint-epochs", 2, "--pretraining-epochs", 3).configuration()
    assert (config.joint.weights.rgb, config.seed, config.ablation) == (0.5, 4, "no-3d")
    assert (config.joint.epochs, config.pretraining.epochs) == (2.0, 3.0)
    config = finetune("--settings", settings, "--seed", 0, "--ablation", "none").configuration()
    assert (config.seed, config.ablation) == (0, "none")
    config = finetune("--preset", "tiny", "--joint.epochs", 2, "--joint.weights.latent", 0.25).configuration()
    assert (config.joint.epochs, config.joint.weights.latent) == (2.0, 0.25)
    assert config.joint.weights.rgb == TINY.joint.weights.rgb


@pytest.mark.parametrize("epochs", [0.0, -1.0, float("nan")])
def test_no_epochs_are_refused(epochs: float) -> None:
    with pytest.raises(ArgumentError, match=f"^joint_epochs: is {epochs}; expected more than 0$"):
        finetune("--joint-epochs", epochs).configuration()
    with pytest.raises(ArgumentError, match=f"^pretraining_epochs: is {epochs}; expected more than 0$"):
        finetune("--pretraining-epochs", epochs).configuration()


def test_several_folders_can_be_named() -> None:
    command = finetune("--photos", "a", "b", "--correspondences", "c", "d", "--device", "cuda")
    assert command.photos == (Path("a"), Path("b"))
    assert command.correspondences == (Path("c"), Path("d"))
    assert command.device == "cuda"


def test_the_end_says_how_to_look_at_the_result_and_to_use_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="latentfields")
    monkeypatch.setattr(igae_training, "finetune_3d", lambda *_, **__: None)
    finetune("--autoencoder", "sd-vae", "--photos", "photos").run()
    look, better, use = (record.getMessage() for record in caplog.records)
    assert look.startswith("Look at run/report.html")
    assert "latentfields autoencoder score sd-vae run/autoencoder --page leaderboard.html" in better
    assert use.endswith("latentfields fit SCENE --autoencoder run/autoencoder")


SMALL_SCORE = ("--objects", 1, "--views", 16, "--size", 64)


@pytest.mark.slow
def test_score_prints_json(autoencoder_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command("score", autoencoder_folder, *SMALL_SCORE, "--no-packaged", "--json").run()
    score = json.loads(capsys.readouterr().out)
    assert score["autoencoder"] == str(autoencoder_folder)
    assert 0 < score["latents"]["inconsistency"] < 2


@pytest.mark.slow
def test_score_ends_with_a_verdict(
    autoencoder_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("latentfields.autoencoders.score.packaged_autoencoders", lambda: {"base-f4": None})
    command("score", autoencoder_folder, *SMALL_SCORE).run()
    assert "those of base-f4 (0." in capsys.readouterr().out


def test_score_refuses_no_objects(autoencoder_folder: Path) -> None:
    with pytest.raises(InputError, match="objects: is 0; expected at least 1"):
        command("score", autoencoder_folder, "--objects", 0).run()


def test_score_refuses_scenes_without_depth(autoencoder_folder: Path, scene_folder: Path) -> None:
    with pytest.raises(InputError, match="no depth maps"):
        command("score", autoencoder_folder, "--scenes", scene_folder).run()
