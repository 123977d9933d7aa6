"""`latentfields fleet`: its options are those of `fit`, and its exit status says what became of the scenes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from helpers.tiny import write_sphere_scene
from latentfields.cli.fit import Fit
from latentfields.cli.fleet import Fleet
from latentfields.cli.main import main, parse
from latentfields.errors import ArgumentError
from latentfields.training.ray_cluster import RayCluster
from latentfields.training.workers import Inline, LocalWorkers

TINY = ["--supervision.steps", "2", "--alignment.steps", "1", "--batch-images", "1"]

OF_ONE_SCENE = {"scene", "model", "more_steps", "viewer", "viewer_port"}
"""Options of `fit` that mean nothing for many scenes."""


@pytest.fixture(autouse=True)
def plain_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTFIELDS_MALLOC", "default")


def test_fleets_have_the_options_of_fits_with_the_same_defaults() -> None:
    words = ["--field", "tensorf", "--preset", "paper", "--space", "rgb", "--size", "400", "--seconds", "5"]
    fit: Any = parse(["fit", "scene", *words])
    fleet: Any = parse(["fleet", "scene", *words])
    assert isinstance(fit, Fit)
    assert isinstance(fleet, Fleet)
    shared = {entry.name for entry in dataclasses.fields(Fit)} - OF_ONE_SCENE
    assert shared <= {entry.name for entry in dataclasses.fields(Fleet)}
    for name in shared - {"out"}:
        assert getattr(fleet, name) == getattr(fit, name), name
    assert fleet.configuration() == fit.configuration()


def test_who_fits_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def engine(*words: str) -> object:
        command: Any = parse(["fleet", "scene", *words])
        return command._engine()

    assert engine("--processes", "3", "--threads", "2") == LocalWorkers(3, threads=2)
    assert engine("--engine", "ray", "--address", "auto") == RayCluster("auto")
    assert engine("--engine", "ray", "--device", "cpu", "--threads", "4") == RayCluster(threads=4, gpus=0)
    with pytest.raises(ArgumentError, match="processes"):
        engine("--engine", "ray", "--processes", "2")
    with pytest.raises(ArgumentError, match="address"):
        engine("--address", "auto")


@pytest.fixture
def scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good scene and a bad one, fitted by this process for the sake of time."""
    write_sphere_scene(tmp_path / "scenes" / "good", views=6)
    (tmp_path / "scenes" / "bad").mkdir()
    (tmp_path / "scenes" / "bad" / "transforms.json").write_text("[]")
    monkeypatch.setattr(Fleet, "_engine", lambda self: Inline())
    monkeypatch.chdir(tmp_path)
    return tmp_path / "scenes"


def test_the_exit_status_says_that_a_scene_was_bad(
    scenes: Path, autoencoder_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["fleet", "scenes", "--autoencoder", str(autoencoder_folder), *TINY]
    with pytest.raises(SystemExit) as caught:
        main(command)
    assert caught.value.code == 3
    printed = capsys.readouterr().out
    assert "| good |" in printed
    assert "| scenes/bad | scenes/bad/transforms.json: expected a JSON object, got [] | 1 |" in printed
    page = Path("runs/fleet.html")
    assert f"Report: {page.resolve()}" in printed
    assert "scenes/bad/transforms.json: expected a JSON object" in page.read_text()

    main(["fleet", "scenes/good", "--autoencoder", str(autoencoder_folder), "--json", *TINY])
    found = json.loads(capsys.readouterr().out)
    assert [fit["run"] for fit in found["fits"]] == ["runs/good"]
    assert not found["failed"]


def test_a_strict_fleet_ends_with_bad_input(
    scenes: Path, autoencoder_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fleet", "scenes", "--strict", "--autoencoder", str(autoencoder_folder), *TINY])
    assert caught.value.code == 2
    assert "error: scenes/bad/transforms.json: expected a JSON object, got []" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_a_fleets_run_is_one_that_fit_goes_on_with(scenes: Path, autoencoder_folder: Path) -> None:
    options = ["--autoencoder", str(autoencoder_folder), *TINY]
    main(["fleet", "scenes/good", *options])
    before = Path("runs/good/model.safetensors").read_bytes()
    main(["fit", "scenes/good", "--out", "runs/good", "--log-level", "error", *options])
    assert Path("runs/good/model.safetensors").read_bytes() == before
