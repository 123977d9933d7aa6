"""The cell behind most tables, on its own."""

from __future__ import annotations

from pathlib import Path

from helpers.tiny import TINY_FIT
from latentfields.bench.nvs import FitJob, fit_and_score


def test_a_fit_without_alignment_is_scored_as_it_is_after_supervision(
    scene_folder: Path, autoencoder_folder: Path, tmp_path: Path
) -> None:
    """The `paper` preset of Gaussians has no alignment."""
    job = FitJob(
        scene=scene_folder,
        autoencoder=str(autoencoder_folder),
        config=TINY_FIT.with_steps(supervision=3, alignment=0),
        folder=tmp_path / "fit",
        picture=tmp_path / "picture.png",
    )
    scores = fit_and_score(job)
    assert scores["supervision_psnr"] == scores["psnr"]
    assert 0 < scores["supervision_latent_psnr"] < 60
    assert min(scores["render_milliseconds"], scores["frame_milliseconds"]) > 0
    assert job.picture.exists()
    assert not job.folder.exists()
