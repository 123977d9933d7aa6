"""A fitted scene as one file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latentfields.config.arguments import checked
from latentfields.errors import InputError
from latentfields.latent_nerf.render import run_views
from latentfields.latent_nerf.run import Run
from latentfields.latent_nerf.scene_cameras import SceneCameras


@dataclass(frozen=True)
class SceneSummary:
    """A summary of what was written."""

    file: Path
    bytes: int


@checked
def export_scene(
    run: Run | str | Path, views: SceneCameras | None = None, *, out: str | Path
) -> SceneSummary:
    """Write a run as one file, replaced in one step, that `Run.load` reads. Raises InputError for other endings.

    `run` is a run or its folder; `views` are by default the cameras of its scene, `run_views`.
    """
    run, out = Run.opened(run), Path(out)
    if out.suffix != ".safetensors":
        raise InputError(out, "expected a file that ends in .safetensors")
    run.write_file(out, run_views(run) if views is None else views)
    return SceneSummary(out, out.stat().st_size)
