"""The report of a run: its film."""

from __future__ import annotations

import shutil
from pathlib import Path

from latentfields.latent_nerf.report import write_run_report


def test_a_film_is_made_once_for_what_a_run_came_to(latent_run: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(latent_run, tmp_path / "run"))
    film = folder / "orbit.mp4"
    write_run_report(folder)
    made = film.stat().st_mtime_ns
    write_run_report(folder)
    assert film.stat().st_mtime_ns == made
    (folder / "metrics.json").touch()
    write_run_report(folder)
    assert film.stat().st_mtime_ns > made
