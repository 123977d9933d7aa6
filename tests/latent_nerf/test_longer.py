"""Finished runs that are trained longer."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from helpers.tiny import TINY_FIT, TINY_GAUSSIANS
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras
from latentfields.errors import ArgumentError
from latentfields.latent_nerf import latent_gaussians
from latentfields.latent_nerf.fit import fit
from latentfields.latent_nerf.latent_gaussians import LatentGaussians
from latentfields.latent_nerf.run import Run
from latentfields.rendering.rendering import Rendering
from latentfields.scenes.scene import Scene
from latentfields.training.loop import read_log

QUICK = TINY_FIT.with_steps(supervision=10, alignment=10)


def steps(out: Path) -> list[tuple[int, str]]:
    return [(record["step"], record["stage"]) for record in read_log(out)]


def more(scene: Scene, autoencoder: Autoencoder | None, out: Path, count: int) -> Run:
    return fit(scene, autoencoder, out=out, config=QUICK, more_steps=count)


@pytest.mark.slow
def test_the_last_stage_goes_on(scene: Scene, autoencoder: Autoencoder, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = fit(scene, autoencoder, out=out, config=QUICK).metrics
    longer = more(scene, autoencoder, out, 10)
    assert steps(out) == [(10, "supervision"), (20, "alignment"), (30, "alignment")]
    assert longer.metrics["after_supervision"] == first["after_supervision"]
    assert longer.metrics["training_seconds"] > first["training_seconds"]
    assert longer.metrics["test"] != first["test"]
    # The same command without the option loads it; with the option it goes on again.
    again = fit(scene, autoencoder, out=out, config=QUICK)
    assert again.metrics == longer.metrics
    more(scene, autoencoder, out, 10)
    assert steps(out)[-1] == (40, "alignment")
    assert json.loads((out / "config.json").read_text())["longer"] == {"supervision": 10, "alignment": 30}


def test_the_first_stage_goes_on_where_it_is_the_only_one(scene: Scene, tmp_path: Path) -> None:
    fit(scene, None, out=tmp_path, config=QUICK)
    more(scene, None, tmp_path, 10)
    assert steps(tmp_path) == [(10, "supervision"), (20, "supervision"), (30, "supervision")]


def test_views_keep_their_whole_size(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latent_gaussians, "LOWEST_SIDE", 8)
    sides = []
    render = LatentGaussians.render_pixels

    def counted(self: LatentGaussians, cameras: Cameras, *more: Any) -> Rendering:
        if torch.is_grad_enabled():
            sides.append(cameras.width)
        return render(self, cameras, *more)

    monkeypatch.setattr(LatentGaussians, "render_pixels", counted)
    config = TINY_GAUSSIANS.with_steps(supervision=10, alignment=0)
    fit(scene, None, out=tmp_path, config=config)
    assert sides == [8] * 3 + [16] * 3 + [32] * 4
    fit(scene, None, out=tmp_path, config=config, more_steps=30)
    assert sides[10:] == [32] * 30
    assert Run.load(tmp_path).config.fit == replace(config, space="rgb")


def test_added_steps_that_were_interrupted_are_not_added_twice(scene: Scene, tmp_path: Path) -> None:
    """Killed after the last step, before it was scored: the command adds nothing to what it asked for."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    fit(scene, None, out=whole, config=QUICK)
    shutil.copytree(whole, broken)
    more(scene, None, whole, 10)
    more(scene, None, broken, 10)
    (broken / "metrics.json").unlink()
    more(scene, None, broken, 10)
    assert steps(broken) == steps(whole)
    assert (broken / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_limit_of_time_counts_no_more(scene: Scene, autoencoder: Autoencoder, tmp_path: Path) -> None:
    long = QUICK.with_steps(supervision=5000, alignment=5000)
    fit(scene, autoencoder, out=tmp_path, config=long, seconds=0.4)
    done = steps(tmp_path)[-1][0]
    fit(scene, autoencoder, out=tmp_path, config=long, seconds=0.4, more_steps=7)
    assert steps(tmp_path)[-1] == (done + 7, "alignment")


def test_only_finished_runs_have_more(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"more_steps: is for a finished run; .*run holds none"):
        more(scene, None, tmp_path / "run", 5)
    assert not (tmp_path / "run").exists()
    fit(scene, None, out=tmp_path / "run", config=QUICK)
    with pytest.raises(ArgumentError, match="more_steps: is -5; expected at least 1"):
        more(scene, None, tmp_path / "run", -5)
    assert (tmp_path / "run" / "metrics.json").is_file()
    shutil.rmtree(tmp_path / "run" / "state")
    with pytest.raises(ArgumentError, match="more_steps: needs the state of the run"):
        more(scene, None, tmp_path / "run", 5)
