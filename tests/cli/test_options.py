"""Options that several commands have mean the same in all of them, and presets are where options start."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from benchmarks.commands import LINES, WITHOUT_DEVICE

from latentfields import preset
from latentfields.autoencoders.config import PRESETS as AUTOENCODER_PRESETS
from latentfields.cli import main as main_module
from latentfields.cli.main import main, parse
from latentfields.cli.options import EngineName, cluster
from latentfields.config.typed_json import to_json
from latentfields.errors import ArgumentError
from latentfields.fused_planes.config import PRESETS as COLLECTION_PRESETS
from latentfields.igae.config import PRESETS as IGAE_PRESETS
from latentfields.latent_nerf.usual import HABITS
from latentfields.lrf.decoder.config import PRESETS as DECODER_PRESETS
from latentfields.lrf.encoder.config import PRESETS as ENCODER_PRESETS
from latentfields.priors.config import PRESETS as PRIOR_PRESETS
from latentfields.priors.config import TEXT, DistillationConfig
from latentfields.training.ray_cluster import RayCluster

SCENE = "scene"
TRAININGS: dict[str, list[str]] = {
    "fit": [SCENE],
    "fleet": [SCENE],
    "autoencoder train": ["--out", "run"],
    "autoencoder finetune-3d": ["--out", "run", "--scenes", SCENE],
    "lrf finetune-encoder": ["--out", "run", "--correspondences", "set"],
    "lrf align-decoder": [SCENE, "--out", "run"],
    "prior train": [SCENE, "--out", "run"],
    "collection fit": [SCENE, "--out", "run"],
}
"""Training commands, with the arguments that they need."""
COMPUTING: dict[str, list[str]] = TRAININGS | {
    "demo": [],
    "autoencoder evaluate": ["base", "--scenes", SCENE],
    "autoencoder score": ["base"],
    "evaluate": ["run"],
    "render": ["run"],
    "view": ["run"],
    "prior sample": ["objects", "mugs", "--out", "run"],
    "generate": ["mugs"],
    "edit": ["run", "--to", "mugs"],
    **{f"export {kind}": ["run"] for kind in ("mesh", "points", "gaussians", "cameras", "scene")},
}
"""Commands that compute with a network or a field."""
HELP = {
    "--device STR": "Where to compute: cpu, cuda, cuda:1, or auto: the first GPU if there is one. (default: auto)",
    "--threads INT": "Threads inside tensor operations. (default: 1)",
    "--settings {None}|PATH": "JSON file of settings that differ from the preset's, as under `training` in a run's "
    "config.json (under `fit` for fits). Options on the command line come last. (default: None)",
    "--checkpoint-seconds FLOAT": "Seconds between checkpoints. (default: ",
    "--tensorboard, --no-tensorboard": "Write what is logged as TensorBoard's events, too, into folders",
}


@pytest.fixture(autouse=True)
def plain_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTFIELDS_MALLOC", "default")


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The help of a command, its frames and line breaks gone."""
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", capsys.readouterr().out).split())


def parsed(*arguments: object) -> Any:
    command: Any = parse([str(argument) for argument in arguments])
    return getattr(command, "command", command)


@pytest.mark.parametrize("command", COMPUTING)
def test_device_means_the_same_everywhere(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"--device STR {HELP['--device STR']}" in help_of(command, capsys)


def test_every_command_that_computes_is_tried_on_a_gpu() -> None:
    for command in COMPUTING.keys() - {"demo", "view"}:
        assert any(line.startswith(f"{command} ") for line in LINES.values()), command
    for name, line in LINES.items():
        parse([*line.split(), *([] if name in WITHOUT_DEVICE else ["--device", "cuda"])])


@pytest.mark.parametrize("command", TRAININGS)
def test_trainings_have_the_same_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of(command, capsys)
    assert "--preset {" in text
    assert "--seed INT" in text
    for option, words in HELP.items():
        assert f"{option} {words}" in text


@pytest.mark.parametrize("command", COMPUTING)
def test_a_device_that_does_not_exist_is_one_line(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), *COMPUTING[command], "--device", "abacus"])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert re.fullmatch(r"error: --device: is 'abacus'; expected auto or one of .*\n", error), error
    assert not list(tmp_path.iterdir())


def test_presets_and_settings_are_where_options_start(tmp_path: Path) -> None:
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({"seed": 7}))
    starts: dict[str, tuple[Any, Any]] = {
        "autoencoder train": (AUTOENCODER_PRESETS["tiny"], AUTOENCODER_PRESETS["small"]),
        "autoencoder finetune-3d": (IGAE_PRESETS["tiny"], IGAE_PRESETS["small"]),
        "lrf finetune-encoder": (ENCODER_PRESETS["tiny"], ENCODER_PRESETS["small"]),
        "lrf align-decoder": (DECODER_PRESETS["paper"], DECODER_PRESETS["small"]),
        "prior train": (PRIOR_PRESETS["tiny"], PRIOR_PRESETS["small"]),
        "collection fit": (COLLECTION_PRESETS["tiny"], COLLECTION_PRESETS["small"]),
        "fit": (preset("tensorf", "paper"), HABITS["object"].for_latents(preset(), factor=2)),
    }
    choice = {"fit": ["--field", "tensorf", "--preset", "paper"], "lrf align-decoder": ["--preset", "paper"]}
    for name, (other, usual) in starts.items():
        field = "config" if name == "fit" else "training"
        line = [*name.split(), *TRAININGS[name]]
        assert getattr(parsed(*line), field) == usual
        line += choice.get(name, ["--preset", "tiny"])
        assert getattr(parsed(*line), field) == other
        assert to_json(getattr(parsed(*line, "--settings", settings), field)) == to_json(other) | {"seed": 7}
        # What is asked for on the command line comes last.
        assert getattr(parsed(*line, "--settings", settings, "--seed", 8), field).seed == 8


def test_settings_may_name_another_field(tmp_path: Path) -> None:
    stored = preset("vanilla", "paper")
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(to_json(stored)))
    assert parsed("fit", "scene", "--settings", settings).config == stored


@pytest.mark.parametrize("command", TRAININGS)
@pytest.mark.parametrize(
    ("text", "problem"),
    [("[]", "expected a JSON object of settings"), ('{"speed": 1}', "unknown field 'speed'"), (None, "")],
)
def test_bad_settings_are_one_line(
    command: str, text: str | None, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = tmp_path / "settings.json"
    if text is not None:
        settings.write_text(text)
    with pytest.raises(SystemExit) as stop:
        main([*command.split(), *TRAININGS[command], "--settings", str(settings)])
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {settings}: {problem}")
    assert error.count("\n") == 1


def test_errors_show_the_flags_of_the_command(
    tmp_path: Path, scene_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = {
        ("lrf", "align-decoder", str(scene_folder), "--crop", "3"): "--crop: is 3; expected at least the",
        ("lrf", "align-decoder", str(scene_folder), "--steps", "0"): "--steps: is 0; expected at least 1",
        ("lrf", "align-decoder", str(scene_folder), "--fit-steps", "0"): "--fit-steps: is 0; expected at",
        ("fit", str(scene_folder), "--supervision.steps", "-1"): "--supervision.steps: is -1; expected at",
        ("fit", str(scene_folder), "--seconds", "0"): "--seconds: is 0.0; expected more than 0",
        ("autoencoder", "train", "--architecture.patch", "0"): "--architecture.patch: is 0; expected 1 to 64",
        ("autoencoder", "train"): "--photos: is empty, and so is --scenes; name at least one folder",
        (
            "autoencoder",
            "train",
            "--checkpoint-seconds",
            "nan",
        ): "--checkpoint-seconds: is nan; expected at least 0",
        ("autoencoder", "train", "--threads", "0"): "--threads: is 0; expected at least 1",
        ("scenes", "generate", "vases", "--views", "1"): "--views: is 1; expected 2 to 100000",
    }
    for line, message in lines.items():
        with pytest.raises(SystemExit) as stop:
            main([*line, "--out", str(tmp_path / "out")])
        assert stop.value.code == 2
        assert capsys.readouterr().err.startswith(f"error: {message}"), line


def test_the_groups_know_the_trainings() -> None:
    groups = (main_module.AUTOENCODER_TRAININGS, main_module.LRF_TRAININGS, main_module.PRIOR_TRAININGS)
    known = {"fit", "fleet"}.union(*groups)
    assert known == {command.split()[-1] for command in TRAININGS}


def test_a_training_is_that_of_its_group() -> None:
    """Two groups have one that is called train."""
    assert parsed("prior", "train", SCENE, "--out", "run").autoencoder == "igae-smooth"
    assert parsed("autoencoder", "train", "--out", "run").start is None


def test_a_prompt_changes_where_options_start() -> None:
    plain, text = parsed("generate", "mugs"), parsed("generate", "--prior", "a/b", "--prompt", "a red mug")
    assert (plain.steps, plain.distillation) == (400, DistillationConfig())
    assert (text.steps, text.distillation) == (5000, TEXT)
    assert (
        parsed("generate", "--prompt", "a red mug", "--steps", 7, "--guidance", 20).distillation.guidance
        == 20
    )


def test_a_cluster_is_had_where_one_is_asked_for() -> None:
    def found(engine: EngineName, address: str | None, **options: Any) -> RayCluster | None:
        return cluster(engine, address, **{"chosen": False, "threads": 1, "device": "auto", **options})

    assert found("local", None) is None
    assert found("local", None, chosen=True) is None
    assert found("ray", "auto", threads=2) == RayCluster("auto", threads=2)
    assert found("ray", None, device="cpu") == RayCluster(gpus=0)
    with pytest.raises(ArgumentError, match="processes: is for the `engine` local"):
        found("ray", None, chosen=True)
    with pytest.raises(ArgumentError, match="address: is that of a cluster"):
        found("local", "auto")


@pytest.mark.parametrize(
    ("words", "function"),
    [
        (["bench", "fields"], "latentfields.bench.study.Study.run"),
        (["lrf", "align-decoder", "scenes"], "latentfields.lrf.decoder.align.align_decoder"),
    ],
    ids=["bench", "align-decoder"],
)
def test_studies_and_decoders_take_a_cluster(
    words: list[str], function: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def note(*arguments: Any, **options: Any) -> None:
        given.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr(function, note)
    engines = []
    for more in (["--engine", "ray", "--address", "auto", "--device", "cpu"], []):
        with pytest.raises(KeyboardInterrupt):
            parse([*words, "--out", "out", *more]).run()
        engines.append(given["engine"])
    assert engines == [RayCluster("auto", gpus=0), None]
