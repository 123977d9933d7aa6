"""All studies, and what their commands have in common."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from latentfields import run_study
from latentfields.bench.autoencoders import AutoencodersStudyConfig
from latentfields.bench.fields import FieldsStudyConfig
from latentfields.bench.igae import IgaeStudyConfig
from latentfields.bench.lrf import LrfStudyConfig
from latentfields.bench.reconstruction import ReconstructionStudyConfig
from latentfields.bench.studies import ALIASES, STUDIES
from latentfields.bench.study import Work, Workplace
from latentfields.cli.main import parse
from latentfields.errors import ArgumentError
from latentfields.training.workers import Inline


def test_eleven_commands_and_the_names_that_they_had() -> None:
    names = [
        "fields",
        "igae",
        "autoencoders",
        "convergence",
        "reconstruction",
        "lrf",
        "generation",
        "few-views",
        "captures",
        "rgb-vs-latent",
        "collections",
    ]
    assert list(STUDIES) == names
    former = ["table1", "table4", "latent-nvs", "ablations"]
    assert list(ALIASES) == former
    assert {alias.now for alias in ALIASES.values()} <= set(names)


def parsed(*arguments: str) -> Any:
    command: Any = parse(["bench", *arguments, "--out", "runs/x"])
    return command.command


@pytest.mark.parametrize("name", [*STUDIES, *ALIASES])
def test_every_command_has_the_options_that_all_share(name: str) -> None:
    command = parsed(name, "--processes", "2", "--device", "cpu", "--json")
    assert (command.out, command.processes, command.device, command.json) == (Path("runs/x"), 2, "cpu", True)
    command = parsed(name)
    assert (command.processes, command.device, command.json) == (1, "auto", False)


def test_options_are_the_fields_of_the_configuration() -> None:
    igae = parsed("igae", "--scale", "tiny", "--no-3d", "a", "--field", "tensorf").settings
    assert igae == IgaeStudyConfig(scale="tiny", no_3d="a", fields=("tensorf",))
    assert parsed("igae", "--fields", "tensorf", "kplanes").settings.fields == ("tensorf", "kplanes")
    assert parsed("igae", "--alignment", "scene").settings == IgaeStudyConfig(regimes=("scene",))
    lrf = parsed("lrf", "--training-scenes", "a", "b", "--subpixels", "2").settings
    assert lrf == LrfStudyConfig(training_scenes=(Path("a"), Path("b")), subpixels=2)
    reconstruction = parsed("reconstruction", "base", "igae", "--size", "64").settings
    assert reconstruction == ReconstructionStudyConfig(autoencoders=("base", "igae"), size=64)
    assert parsed("autoencoders").settings == AutoencodersStudyConfig()


@pytest.mark.parametrize(
    ("name", "spaces"),
    [
        ("fields", ("rgb", "base", "igae")),
        ("table1", ("base", "igae")),
        ("table4", ("base", "igae")),
        ("latent-nvs", ("base", "igae")),
        ("rgb-vs-latent", ("rgb", "base-f2", "base-f4")),
        ("convergence", ("rgb", "base")),
    ],
)
def test_former_names_keep_their_defaults(name: str, spaces: tuple[str, ...]) -> None:
    assert parsed(name).settings.spaces == spaces
    assert parsed(name, "--spaces", "a").settings.spaces == ("a",)


def test_what_is_no_study_is_a_defect_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="study: is of the type str; expected Study"):
        run_study("igae", out=tmp_path)  # type: ignore[arg-type]


class Recorder(Workplace):
    """Runs nothing."""

    def run(self, cells: dict[str, Work], *, label: str) -> dict[str, dict[str, Any]]:  # type: ignore[override]
        RECORDED.update(cells)
        return {name: {"autoencoder": name} for name in cells}


RECORDED: dict[str, Work] = {}


def test_trainings_and_fits_take_the_device_that_was_asked_for(tmp_path: Path) -> None:
    RECORDED.clear()
    place = Recorder(tmp_path, Inline(), "cuda:3")
    roles = IgaeStudyConfig(scale="tiny").train(place, tmp_path)
    assert roles == {"base": "base"} | {
        role: f"train-{role}" for role in ("igae", "no-3d", "no-preservation")
    }
    LrfStudyConfig(scale="tiny").train(place)
    fits = FieldsStudyConfig(scale="tiny", seeds=1).fit_cells(place)
    RECORDED.update({name: work for name, (_, work) in fits.items()})
    trained = {name: work for name, work in RECORDED.items() if name.startswith(("train-", "fit-"))}
    assert len(trained) == 3 + 3 + 4 * 3 * 3
    for work in trained.values():
        assert isinstance(work, partial)
        (inner,) = [argument for argument in work.args if isinstance(argument, partial)] or [work]
        assert inner.keywords["device"] == "cuda:3"
