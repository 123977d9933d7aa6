"""An exported object is an ordinary run: it is loaded, scored, rendered and written as one file like any other."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from latentfields.errors import InputError
from latentfields.export.scene_file import export_scene
from latentfields.fused_planes.bake import export_object
from latentfields.fused_planes.collection import Collection
from latentfields.latent_nerf.evaluate import evaluate_run
from latentfields.latent_nerf.render import render_run
from latentfields.latent_nerf.run import Run


def test_a_run_of_its_own(collection: Collection, tmp_path: Path) -> None:
    run = export_object(collection, "mug-1", out=tmp_path / "mug")
    loaded = Run.load(tmp_path / "mug", device="cpu")
    cameras = collection.views().cameras[:2]
    assert torch.equal(loaded.render(cameras), collection.run("mug-1").render(cameras))
    assert json.loads((tmp_path / "mug" / "config.json").read_text())["kind"] == "fit"
    assert run.frame.fingerprint is not None
    scores = evaluate_run(loaded)
    assert set(scores["test"]) == {"images", "latents", "against_autoencoded", "autoencoder"}
    assert render_run(loaded, out=tmp_path / "views", views="test", frames=1, fps=20).is_dir()
    assert len(list((tmp_path / "views").iterdir())) == 2
    assert export_scene(loaded, out=tmp_path / "mug.safetensors").bytes > 0


def test_the_scene_of_another_object_is_noticed(collection: Collection, data: Path, tmp_path: Path) -> None:
    export_object(collection, "mug-1", out=tmp_path / "mug")
    with pytest.raises(InputError, match="is not the scene that the run was fitted to"):
        evaluate_run(tmp_path / "mug", scene_folder=data / "scenes" / "mug-2")


def test_one_file(collection: Collection, tmp_path: Path) -> None:
    export_object(collection, "mug-2", out=tmp_path / "mug.safetensors")
    loaded = Run.load(tmp_path / "mug.safetensors", device="cpu")
    assert loaded.views is not None
    cameras = loaded.views.cameras[:2]
    assert torch.equal(loaded.render(cameras), collection.run("mug-2").render(cameras))


def test_a_run_without_its_scene_asks_where_that_is(fitted: Path, data: Path, tmp_path: Path) -> None:
    own = Collection.open(shutil.copytree(fitted, tmp_path / "own"), device="cpu")
    item, gone = own.object("mug-1"), Path("/nowhere/mug-1")
    places = replace(item.header.places, absolute=gone, from_run=None)
    own.add(replace(item, header=replace(item.header, scene=gone, places=places)))
    with pytest.raises(InputError, match="say with `scene` where the scene is now"):
        export_object(own, "mug-1", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    export_object(own, "mug-1", out=tmp_path / "run", scene_folder=data / "scenes" / "mug-1")
    assert evaluate_run(tmp_path / "run")["test"]
    export_object(own, "mug-1", out=tmp_path / "mug.safetensors")


def test_folders_of_something_else_stay(collection: Collection, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "diary.txt").write_text("mine")
    with pytest.raises(InputError, match="exists and is not a run"):
        export_object(collection, "mug-1", out=tmp_path / "full")
