import json
from pathlib import Path
from typing import Annotated

import pytest
import tyro

from latentfields.cli.igae import Finetune3D, Score
from latentfields.errors import InputError
from latentfields.igae.config import SMALL, TINY

Commands = (
    Annotated[Finetune3D, tyro.conf.subcommand("finetune-3d")]
    | Annotated[Score, tyro.conf.subcommand("score")]
)


def parse(*arguments: object) -> Finetune3D | Score:
    return tyro.cli(Commands, args=[str(argument) for argument in arguments])


def finetune(*arguments: object) -> Finetune3D:
    command = parse("finetune-3d", "--out", "run", "--scenes", "scenes", *arguments)
    assert isinstance(command, Finetune3D)
    return command


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


def test_bad_settings_name_their_file(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text("[]")
    with pytest.raises(InputError, match="JSON object"):
        finetune("--settings", settings).configuration()


def test_several_folders_can_be_named() -> None:
    command = finetune("--photos", "a", "b", "--device", "cuda")
    assert command.photos == (Path("a"), Path("b"))
    assert command.device == "cuda"


@pytest.mark.slow
def test_score_prints_json(autoencoder_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parse("score", autoencoder_folder, "--objects", 1, "--views", 16, "--size", 64, "--json").run()
    score = json.loads(capsys.readouterr().out)
    assert score["autoencoder"] == str(autoencoder_folder)
    assert 0 < score["latents"]["inconsistency"] < 2


def test_score_refuses_no_objects(autoencoder_folder: Path) -> None:
    with pytest.raises(InputError, match="--objects: is 0; expected at least 1"):
        parse("score", autoencoder_folder, "--objects", 0).run()


def test_score_refuses_scenes_without_depth(autoencoder_folder: Path, scene_folder: Path) -> None:
    with pytest.raises(InputError, match="no depth maps"):
        parse("score", autoencoder_folder, "--scenes", scene_folder).run()
