"""The cells behind most tables, on their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from helpers.tiny import TINY_FIT
from latentfields.bench.fits import fit_and_compare, fit_and_score, quality_curve
from latentfields.bench.scenes import StudyScene
from latentfields.errors import InputError


def test_a_fit_without_alignment_is_scored_as_it_is_after_supervision(
    scene_folder: Path, autoencoder_folder: Path, tmp_path: Path
) -> None:
    """The `paper` preset of Gaussians has no alignment."""
    picture, folder = tmp_path / "picture.png", tmp_path / "fit"
    scores = fit_and_score(
        scene=StudyScene("sphere", 0, scene_folder),
        autoencoder=str(autoencoder_folder),
        config=TINY_FIT.with_steps(supervision=3, alignment=0),
        device="cpu",
        folder=folder,
        picture=picture,
    )
    assert scores["supervision_psnr"] == scores["psnr"]
    assert 0 < scores["supervision_latent_psnr"] < 60
    assert min(scores["render_milliseconds"], scores["frame_milliseconds"]) > 0
    assert picture.exists()
    assert not folder.exists()


def test_images_of_a_lower_resolution_are_enlarged_in_two_ways(scene_folder: Path, tmp_path: Path) -> None:
    scores = fit_and_compare(
        scene=StudyScene("sphere", 0, scene_folder, size=32),
        autoencoder=None,
        config=TINY_FIT.with_steps(supervision=3, alignment=0),
        device="cpu",
        folder=tmp_path / "fit",
        pictures=tmp_path / "pictures",
        factor=2,
        training_views=3,
        divisor=2,
    )
    assert list(scores["methods"]) == ["image/2 upsampled", "image/2 enlarged"]
    assert min(scores["bytes"], scores["seconds"], scores["rendering_milliseconds"]) > 0
    files = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert files == ["image-2 enlarged.png", "image-2 upsampled.png", "truth.png"]
    assert not (tmp_path / "fit").exists()


def test_the_device_reaches_the_fit(scene_folder: Path, tmp_path: Path) -> None:
    scene, folder = StudyScene("sphere", 0, scene_folder), tmp_path / "fit"
    asked = {"scene": scene, "autoencoder": None, "config": TINY_FIT, "folder": folder, "device": "cuda:7"}
    score: Callable[..., object] = partial(fit_and_score, picture=tmp_path / "a.png")
    compare: Callable[..., object] = partial(
        fit_and_compare, pictures=tmp_path, factor=2, training_views=None
    )
    for cell in (score, compare):
        with pytest.raises(InputError, match="device: is 'cuda:7'"):
            cell(**asked)
    assert not (tmp_path / "fit").exists()


def test_a_curve_is_what_was_logged_and_ends_with_all_test_views() -> None:
    records: list[dict[str, Any]] = [
        {"step": 90, "seconds": 9.0, "cpu_seconds": 5.0, "loss": 0.1, "stage": "supervision"},
        {"step": 100, "seconds": 10.0, "cpu_seconds": 6.0, "loss": 0.1, "test_psnr": 21.0},
        {"step": 120, "seconds": 12.0, "cpu_seconds": 7.0, "loss": 0.1},
    ]
    assert quality_curve(records, final_psnr=22.0) == [
        {"step": 100, "seconds": 10.0, "cpu_seconds": 6.0, "psnr": 21.0},
        {"step": 120, "seconds": 12.0, "cpu_seconds": 7.0, "psnr": 22.0},
    ]
