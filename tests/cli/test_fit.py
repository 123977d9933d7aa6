"""The last lines of a fit: how good it is, what is wrong, and what to do next."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from latentfields.cli.fit import closing_lines
from latentfields.errors import InputError
from latentfields.latent_nerf.capture_check import SHARES
from latentfields.latent_nerf.run import Run
from latentfields.scenes.reading import Bounds


def with_metrics(run: Path, folder: Path, *, bounds: Bounds = "object", **changes: Any) -> Run:
    """The run as one of a scene with these bounds, whose metrics.json has changes."""
    metrics = json.loads((run / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics | changes))
    own = Run.load(run)
    return Run(folder, own.config, own.model, replace(own.frame, bounds=bounds))


def test_the_end_says_scores_and_what_to_do_next(latent_run: Path, tmp_path: Path) -> None:
    scores, look, elsewhere, more = closing_lines(with_metrics(latent_run, tmp_path), Path("report.html"))
    assert scores.startswith("PSNR ")
    assert "before alignment, the autoencoder alone" in scores
    assert look == f"Open report.html in a browser, or: latentfields view {tmp_path}"
    assert f"latentfields render {tmp_path} --views orbit --out film.mp4" in elsewhere
    assert "--more-steps" in more


def test_the_end_names_the_fog_of_a_capture_and_the_way_of_its_cameras(
    latent_run: Path, tmp_path: Path
) -> None:
    shares = dict.fromkeys(SHARES, 0.0)
    run = with_metrics(latent_run, tmp_path, bounds="scene", capture=shares | {"points_in_fog": 0.3})
    lines = closing_lines(run, Path("report.html"))
    assert sum(line.startswith("Fog: before 30% of the sparse points") for line in lines) == 1
    assert any("--views path --out film.mp4" in line for line in lines)
    clear = with_metrics(latent_run, tmp_path, capture=shares)
    assert not any("Fog" in line for line in closing_lines(clear, Path("report.html")))


def test_the_end_has_the_colours_of_a_scene_that_has_both(latent_run: Path, tmp_path: Path) -> None:
    metrics = json.loads((latent_run / "metrics.json").read_text())
    colors = {"mean": {**metrics["test"]["images"]["mean"], "psnr": 30.456}, "per_image": {}}
    run = with_metrics(latent_run, tmp_path, test={**metrics["test"], "colors": colors})
    assert closing_lines(run, Path("r"))[0].startswith("PSNR 30.46 dB of colours, ")


@pytest.mark.parametrize("wrong", [3, {}, {"points_in_fog": 0.1}, dict.fromkeys(SHARES, "a")])
def test_shares_that_no_fit_wrote_are_refused(latent_run: Path, tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(
        InputError, match="field 'capture': expected an object with the numbers cameras_inside"
    ):
        closing_lines(with_metrics(latent_run, tmp_path, capture=wrong), Path("r"))
