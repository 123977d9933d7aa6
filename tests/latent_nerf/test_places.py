"""Runs and scenes that are moved find each other, and say in one line when they do not."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.tiny import TINY_FIT, write_sphere_scene
from latentfields.errors import InputError
from latentfields.latent_nerf.fit import fit_folder
from latentfields.latent_nerf.places import ScenePlaces
from latentfields.latent_nerf.render import load_run_scene
from latentfields.latent_nerf.run import FitRunConfig, Run

QUICK = TINY_FIT.with_steps(supervision=2, alignment=0)


def config(scene: str | Path) -> FitRunConfig:
    return FitRunConfig(
        scene=Path(scene), autoencoder=None, size=None, seconds=None, fit=replace(QUICK, space="rgb")
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a scene and a run that was fitted to it by a relative path."""
    folder = tmp_path / "project"
    write_sphere_scene(folder / "data" / "sphere")
    monkeypatch.chdir(folder)
    fit_folder(config("data/sphere"), out=Path("runs/sphere"))
    monkeypatch.chdir(tmp_path)
    return folder


def test_places_are_said_in_two_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    places = ScenePlaces.of(Path("data/chair"), Path("runs/chair"))
    assert places == ScenePlaces(tmp_path / "data" / "chair", Path("../../data/chair"))
    elsewhere = tmp_path / "elsewhere" / "runs" / "chair"
    assert places.folders(elsewhere) == (tmp_path / "elsewhere/data/chair", tmp_path / "data/chair")


def test_a_run_opens_from_any_folder(project: Path) -> None:
    assert len(load_run_scene(Run.load("project/runs/sphere"))) == 15


def test_a_run_that_was_moved_alone_knows_its_scene(project: Path, tmp_path: Path) -> None:
    shutil.move(project / "runs" / "sphere", tmp_path / "far" / "away" / "run")
    scene = load_run_scene(Run.load(tmp_path / "far" / "away" / "run"))
    assert Path(scene.source).resolve() == project / "data" / "sphere"


def test_what_is_moved_together_stays_together(project: Path, tmp_path: Path) -> None:
    shutil.move(project, tmp_path / "renamed")
    scene = load_run_scene(Run.load(tmp_path / "renamed" / "runs" / "sphere"))
    assert Path(scene.source) == tmp_path / "renamed" / "data" / "sphere"


def test_the_fingerprint_decides(project: Path, tmp_path: Path) -> None:
    """Another scene that lies where the run would look first is passed over."""
    write_sphere_scene(tmp_path / "data" / "sphere", views=9)
    scene = load_run_scene(Run.load(project / "runs" / "sphere"))
    assert Path(scene.source) == project / "data" / "sphere"
    shutil.rmtree(project / "data")
    with pytest.raises(InputError, match="is not the scene that the run was fitted to: it has 9 views"):
        load_run_scene(Run.load(project / "runs" / "sphere"))


def test_a_scene_that_is_gone_is_said_in_one_line(project: Path) -> None:
    shutil.rmtree(project / "data")
    with pytest.raises(InputError) as caught:
        load_run_scene(Run.load(project / "runs" / "sphere"))
    assert (
        str(caught.value) == "data/sphere: there is no such folder; say with `scene` where the scene is now"
    )


def test_the_same_scene_by_another_name_is_the_same_run(project: Path) -> None:
    before = (project / "runs/sphere/model.safetensors").stat().st_mtime_ns
    fit_folder(config(project / "data" / "sphere"), out=project / "runs" / "sphere")
    assert (project / "runs/sphere/model.safetensors").stat().st_mtime_ns == before
    write_sphere_scene(project / "data" / "other", views=9)
    with pytest.raises(InputError, match="holds a run with other settings \\(scene: 'data/sphere' there"):
        fit_folder(config(project / "data" / "other"), out=project / "runs" / "sphere")


def test_runs_of_earlier_versions_have_no_places(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = project / "runs" / "sphere" / "config.json"
    about = json.loads(file.read_text())
    del about["places"], about["longer"]
    file.write_text(json.dumps(about))
    monkeypatch.chdir(project)
    assert len(load_run_scene(Run.load("runs/sphere"))) == 15
    again = fit_folder(config("data/sphere"), out=Path("runs/sphere")).config
    assert isinstance(again, FitRunConfig)
    assert again.places is None
