"""A fitted scene as one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latentfields.errors import InputError
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_cameras import SceneCameras


@dataclass(frozen=True)
class SceneSummary:
    """A summary of what was written."""

    file: Path
    bytes: int


def export_scene(run: Run, views: SceneCameras, *, out: Path) -> SceneSummary:
    """Write `run` as one file, replaced in one step, that `Run.load` reads. Raises InputError for other endings."""
    if out.suffix != ".safetensors":
        raise InputError(out, "expected a file that ends in .safetensors")
    run.write_file(out, views)
    return SceneSummary(out, out.stat().st_size)
