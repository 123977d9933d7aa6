"""What becomes of a command's result: exit codes and the last line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from latentfields import preset
from latentfields.cli import main as main_module
from latentfields.cli.evaluate import Evaluate
from latentfields.cli.fit import Fit
from latentfields.cli.main import main, parse
from latentfields.cli.reporting import LogLevel
from latentfields.errors import InputError
from latentfields.fields.config import KPlanesConfig
from latentfields.latent_nerf.usual import HABITS
from latentfields.rendering.config import (
    GridSamplingConfig,
    HierarchicalSamplingConfig,
    ProposalSamplingConfig,
)
from latentfields.training.loop import Interrupted

AN_OBJECT = HABITS["object"].for_latents(preset(), factor=2)
"""How an object is fitted where nothing is asked for."""


@dataclass
class Command:
    problem: BaseException | None = None

    def run(self) -> None:
        if self.problem is not None:
            raise self.problem


@dataclass
class Line:
    command: Command
    log_level: LogLevel = "info"


@pytest.fixture(autouse=True)
def plain_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTFIELDS_MALLOC", "default")


@pytest.mark.parametrize(
    ("problem", "status", "line"),
    [
        (InputError("x.json", "field 'a' is 1"), 2, "error: x.json: field 'a' is 1\n"),
        (KeyboardInterrupt(), 130, "\ninterrupted\n"),
        (PermissionError(13, "Permission denied", "out/x"), 2, "error: out/x: Permission denied\n"),
        (OSError(28, "No space left on device"), 2, "error: No space left on device\n"),
        (
            ZeroDivisionError("in\ntwo lines"),
            1,
            "error: a defect: ZeroDivisionError: in two lines; --log-level debug shows the traceback\n",
        ),
        (
            Interrupted(Path("runs/a"), 7),
            130,
            "\ninterrupted at step 7; run the same command again to resume runs/a\n",
        ),
    ],
)
def test_expected_ends_have_a_status_and_a_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problem: BaseException,
    status: int,
    line: str,
) -> None:
    monkeypatch.setattr(main_module, "parse_line", lambda _: Line(Command(problem)))
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == status
    assert capsys.readouterr().err == line


def test_defects_show_their_traceback_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    defect = Command(ZeroDivisionError("a defect"))
    monkeypatch.setattr(main_module, "parse_line", lambda _: Line(defect, "debug"))
    with pytest.raises(ZeroDivisionError, match="a defect"):
        main([])
    monkeypatch.setattr(main_module, "parse_line", lambda _: Line(Command()))
    main([])


def test_options_reach_their_fields() -> None:
    command = parse(
        [
            "fit",
            "data/chair",
            "--out",
            "runs/x",
            "--space",
            "rgb",
            "--supervision.steps",
            "7",
            "--field.view-dependent",
            "--sampling.samples",
            "9",
            "--seconds",
            "2.5",
            "--size",
            "64",
        ]
    )
    assert isinstance(command, Fit)
    assert (command.scene, command.out) == (Path("data/chair"), Path("runs/x"))
    assert (command.seconds, command.size) == (2.5, 64)
    assert command.config.space == "rgb"
    assert command.config.supervision.steps == 7
    field, usual = command.config.field, preset(space="rgb").field
    assert isinstance(field, KPlanesConfig)
    assert isinstance(usual, KPlanesConfig)
    assert isinstance(command.config.sampling, GridSamplingConfig)
    assert field.view_dependent
    assert command.config.sampling.samples == 9
    assert field == replace(usual, view_dependent=True)
    command = parse(["evaluate", "runs/x", "--json"])
    assert isinstance(command, Evaluate)
    assert command.json


def test_field_preset_and_sampler_are_where_the_options_start() -> None:
    command = parse(
        [
            "fit",
            "data/chair",
            "--field=kplanes",
            "--preset",
            "paper",
            "--field.scales",
            "1",
            "3",
            "--sampling.samples",
            "9",
            "--field.optimizer.kind",
            "radam",
            "--device",
            "cpu",
        ]
    )
    assert isinstance(command, Fit)
    paper = preset("kplanes", "paper")
    assert isinstance(paper.field, KPlanesConfig)
    assert isinstance(paper.sampling, ProposalSamplingConfig)
    optimizer = replace(paper.field.optimizer, kind="radam")
    assert command.config == replace(
        paper,
        field=replace(paper.field, scales=(1, 3), optimizer=optimizer),
        sampling=replace(paper.sampling, samples=9),
    )
    assert command.device == "cpu"
    command = parse(["fit", "a", "--sampler", "hierarchical", "--sampling.coarse-network", "shared"])
    assert isinstance(command, Fit)
    rays = HierarchicalSamplingConfig(coarse_network="shared")
    assert command.config == replace(AN_OBJECT, sampling=rays)


def test_the_kind_of_alignment_is_an_option_beside_its_schedule() -> None:
    command = parse(["fit", "a", "--alignment", "scene", "--alignment.steps", "7"])
    assert isinstance(command, Fit)
    config = command.configuration()
    assert (config.alignment_kind, config.alignment.steps) == ("scene", 7)
    same = parse(["fit", "a", "--alignment-kind", "scene", "--alignment.steps", "7"])
    assert isinstance(same, Fit)
    assert same.configuration() == config
    plain = parse(["fit", "a"])
    assert isinstance(plain, Fit)
    assert plain.configuration() == AN_OBJECT


def test_densification_without_gaussians_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", "data/chair", "--densification", "mcmc"])
    assert stop.value.code == 2
    message = "--densification: is mcmc for the field kplanes; expected the field gaussians"
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["fit"],
        ["fit", "a", "--supervision.steps", "many"],
        ["fit", "a", "--space", "lab"],
        ["fit", "a", "--field", "mesh"],
        ["fit", "a", "--field"],
        ["fit", "a", "--preset", "huge"],
        ["fit", "a", "--field", "vanilla", "--field.resolution", "8"],
        ["fit", "a", "--sampler", "grid", "--sampling.fine-samples", "8"],
    ],
)
def test_wrong_arguments_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(arguments)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", [["lrf", "correspond"], ["bench", "table1"], ["autoencoder", "train"]])
def test_help_of_nested_commands_has_one_list_of_options(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*command, "--help"])
    text = capsys.readouterr().out
    assert "command options" not in text
    assert "--out" in text


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ((), 2000),
        (("--supervision.steps", "30"), 30),
        (("--supervision.steps", "400", "--alignment.steps", "600"), 1000),
        (("--supervision.steps", "20000", "--alignment.steps", "80000"), 100_000),
    ],
)
def test_a_fit_in_rgb_takes_the_steps_that_are_asked_for(options: tuple[str, ...], steps: int) -> None:
    command = parse(["fit", "scene", "--space", "rgb", *options])
    assert isinstance(command, Fit)
    stages = command.config.supervision.steps, command.config.alignment.steps
    assert sum(stages) == steps
    latent = parse(["fit", "scene", *options])
    assert isinstance(latent, Fit)
    assert latent.config.alignment.steps == (int(options[3]) if len(options) > 2 else 1600)


@pytest.mark.parametrize(
    ("options", "subpixels"),
    [
        ((), 1),
        (("--autoencoder", "base-f4"), 1),
        (("--field", "tensorf", "--autoencoder", "base-f4"), 1),
        (("--autoencoder", "base"), 2),
        (("--autoencoder", "OWNER/NAME"), 2),
        (("--autoencoder", "base", "--subpixels", "4"), 4),
        (("--autoencoder", "base", "--preset", "paper"), 1),
        (("--space", "rgb"), 2),
        (("--space", "both", "--field", "gaussians"), 1),
    ],
)
def test_rays_are_four_pixels_apart_or_one_a_latent_where_a_field_is_named(
    options: tuple[str, ...], subpixels: int
) -> None:
    command = parse(["fit", "scene", *options])
    assert isinstance(command, Fit)
    assert command.config.subpixels == subpixels
    plain = parse(["fit", "scene"])
    assert isinstance(plain, Fit)
    assert plain.autoencoder == "base-f2"


@pytest.mark.parametrize(
    ("options", "grid", "smoothness"),
    [
        ((), "shifted", 1e-3),
        (("--alignment", "full"), "shifted", 1e-3),
        (("--alignment-kind", "scene"), "shifted", 2e-2),
        (("--alignment=none",), "fixed", 2e-2),
        (("--alignment_kind=none",), "fixed", 2e-2),
        (("--alignment", "none", "--field.tv-weight", "0.5"), "fixed", 0.5),
        (("--alignment-grid", "fixed"), "fixed", 1e-3),
        (("--preset", "paper"), "fixed", 1e-2),
        (("--space", "rgb"), "fixed", 1e-3),
    ],
)
def test_planes_are_as_smooth_as_those_of_colours_where_the_grid_moves_and_the_decoder_learns(
    options: tuple[str, ...], grid: str, smoothness: float
) -> None:
    command = parse(["fit", "scene", *options])
    assert isinstance(command, Fit)
    fit = command.configuration()
    assert isinstance(fit.field, KPlanesConfig)
    assert (fit.alignment_grid, fit.field.tv_weight) == (grid, smoothness)
