import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latentfields.autoencoders.config import (
    AutoencoderRunConfig,
    AutoencoderTrainingConfig,
    PatchAutoencoderConfig,
)
from latentfields.config.typed_json import to_json
from latentfields.errors import InputError
from latentfields.fused_planes.config import AdditionRunConfig, CollectionConfig, CollectionRunConfig
from latentfields.igae.config import IgaeConfig, IgaeRunConfig
from latentfields.latent_nerf.generation_config import GenerationRunConfig
from latentfields.latent_nerf.presets import preset
from latentfields.latent_nerf.run import FitRunConfig
from latentfields.lrf.decoder.config import DecoderRunConfig, DecoderTrainingConfig, latent_field_config
from latentfields.lrf.encoder.config import DiscriminatorConfig, EncoderRunConfig, EncoderTrainingConfig
from latentfields.priors.config import DistillationConfig, PriorRunConfig, PriorTrainingConfig
from latentfields.training.runs import CONFIG_FILE, KINDS, RunConfig, claim_run, read_run, run_kind

CONFIG: dict[str, Any] = {"scene": "chair", "fit": {"steps": 10, "rates": (0.1, 0.2)}}


def test_a_new_folder_is_claimed_and_claimed_again(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "chair"
    claim_run(folder, CONFIG)
    assert json.loads((folder / CONFIG_FILE).read_text()) == {
        "scene": "chair",
        "fit": {"steps": 10, "rates": [0.1, 0.2]},
    }
    (folder / "log.jsonl").write_text("")
    claim_run(folder, CONFIG)


def test_an_empty_folder_can_be_claimed(tmp_path: Path) -> None:
    claim_run(tmp_path, CONFIG)
    assert (tmp_path / CONFIG_FILE).is_file()


@pytest.mark.parametrize(
    ("config", "difference"),
    [
        ({**CONFIG, "scene": "table"}, "scene: 'chair' there, 'table' now"),
        ({**CONFIG, "fit": {"steps": 11, "rates": [0.1, 0.2]}}, "fit.steps: 10 there, 11 now"),
        (
            {**CONFIG, "fit": {"steps": 10, "rates": [0.1]}},
            r"fit.rates: \[0.1, 0.2\] there, \[0.1\] now",
        ),
        ({**CONFIG, "seed": 1}, "seed: None there, 1 now"),
        ({"scene": "chair"}, "fit: .* there, None now"),
        ({**CONFIG, "fit": None}, "fit: .* there, None now"),
    ],
)
def test_other_settings_need_another_folder(tmp_path: Path, config: dict[str, Any], difference: str) -> None:
    claim_run(tmp_path / "run", CONFIG)
    before = (tmp_path / "run" / CONFIG_FILE).read_bytes()
    with pytest.raises(InputError, match=rf"run: holds a run with other settings \({difference}\)") as caught:
        claim_run(tmp_path / "run", config)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "run" / CONFIG_FILE).read_bytes() == before


def test_folders_with_something_else_and_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_text("x")
    with pytest.raises(InputError, match="exists and is not a run"):
        claim_run(tmp_path, CONFIG)
    with pytest.raises(InputError, match="exists and is not a run"):
        claim_run(tmp_path / "photo.png", CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_a_damaged_configuration_is_reported(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text("{")
    with pytest.raises(InputError, match=r"config\.json: malformed JSON"):
        claim_run(tmp_path, CONFIG)


FIT = preset("triplane")
RUNS = (
    FitRunConfig(scene=Path("chair"), autoencoder="base", size=64, seconds=None, fit=FIT),
    AutoencoderRunConfig(
        photos=(Path("photos"),),
        scenes=(),
        start=None,
        architecture=PatchAutoencoderConfig(),
        training=AutoencoderTrainingConfig(),
    ),
    IgaeRunConfig(
        autoencoder="base",
        scenes=(Path("a"), Path("b")),
        photos=(Path("photos"),),
        pretrained=Path("other"),
        training=IgaeConfig(),
    ),
    EncoderRunConfig(
        autoencoder="base",
        correspondences=(Path("set"),),
        held_out=(),
        photos=(),
        training=EncoderTrainingConfig(discriminator=DiscriminatorConfig()),
    ),
    DecoderRunConfig(
        scenes=(Path("a"),),
        autoencoder="base",
        size=None,
        fit=latent_field_config("gaussians"),
        training=DecoderTrainingConfig(),
    ),
    PriorRunConfig(scenes=(Path("a"),), autoencoder="igae", seconds=None, training=PriorTrainingConfig()),
    GenerationRunConfig(
        name="mugs-0000",
        prior="objects",
        autoencoder="igae",
        size=128,
        fit=FIT,
        distillation=DistillationConfig(),
    ),
    CollectionRunConfig(scenes=(Path("a"),), autoencoder="base", training=CollectionConfig()),
    AdditionRunConfig(scenes=(Path("a"),), training=CollectionConfig()),
)
"""One of each kind."""


def test_every_kind_of_run_is_known() -> None:
    assert {run.kind for run in RUNS} == set(KINDS)


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.kind)
def test_a_folder_tells_its_run(tmp_path: Path, run: RunConfig) -> None:
    claim_run(tmp_path / "run", run)
    assert read_run(type(run), tmp_path / "run") == run
    assert run_kind(tmp_path / "run") == run.kind
    claim_run(tmp_path / "run", run)
    other = next(other for other in RUNS if other.kind != run.kind)
    with pytest.raises(
        InputError, match=rf"run: is {re.escape(KINDS[run.kind])}; expected {KINDS[other.kind]}"
    ):
        read_run(type(other), tmp_path / "run")
    with pytest.raises(InputError, match="holds a run with other settings"):
        claim_run(tmp_path / "run", other)


@pytest.mark.parametrize("run", [RUNS[0], RUNS[4]], ids=lambda run: run.kind)
def test_runs_that_an_earlier_version_wrote_without_a_kind_are_the_same(
    tmp_path: Path, run: RunConfig
) -> None:
    about = to_json(run)
    del about["kind"]
    assert about.pop("reading" if run.kind == "fit" else "photos") in (None, [])
    (tmp_path / CONFIG_FILE).write_text(json.dumps(about))
    assert run_kind(tmp_path) == run.kind
    assert read_run(type(run), tmp_path) == run
    claim_run(tmp_path, run)
    with pytest.raises(InputError, match=r"\(size: .* there, 63 now\)"):
        claim_run(tmp_path, replace(run, size=63))  # type: ignore[type-var]


def test_folders_without_a_run(tmp_path: Path) -> None:
    assert run_kind(tmp_path) is None
    with pytest.raises(InputError, match=r"is not a run; expected a folder with config\.json"):
        read_run(FitRunConfig, tmp_path)
    (tmp_path / CONFIG_FILE).write_text('{"objects": 3}')
    assert run_kind(tmp_path) is None
    with pytest.raises(InputError, match="unknown field 'objects'"):
        read_run(FitRunConfig, tmp_path)
