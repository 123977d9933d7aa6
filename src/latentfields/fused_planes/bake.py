"""An object of a collection as an ordinary run, or as one portable file: every tool that knows runs knows it then."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from latentfields.errors import InputError
from latentfields.fused_planes.collection import Collection
from latentfields.latent_nerf.fingerprint import Fingerprint
from latentfields.latent_nerf.places import ScenePlaces
from latentfields.latent_nerf.render import load_run_scene, run_views
from latentfields.latent_nerf.run import FitRunConfig, Run


def export_object(
    collection: Collection, name: str, *, out: str | Path, scene_folder: str | Path | None = None
) -> Run:
    """Write an object, its planes fused, as a run's folder, or as one file where `out` ends in .safetensors.

    `scene_folder` says where the object's scene is now. Where there is none, the run cannot be scored, and is seen from
    the collection's cameras. Raises InputError when the collection has no such object, when the scene is another one,
    and when `out` holds something else.
    """
    out, run = Path(out), collection.run(name)
    folder = None if scene_folder is None else Path(scene_folder)
    if out.suffix == ".safetensors":
        run.write_file(out, run_views(run, folder))
        return Run.load(out, device=str(collection.device))
    assert isinstance(run.config, FitRunConfig)
    if folder is None and run.views is not None:
        raise InputError(
            run.config.scene,
            "there is no such folder; say with `scene` where the scene is now, or export a file",
        )
    scene = load_run_scene(run, folder)
    run.frame = replace(run.frame, fingerprint=Fingerprint.of(scene, run.model.autoencoder))
    place = Path(scene.source)
    run.config = replace(run.config, scene=place, places=ScenePlaces.of(place, out))
    return run.saved_in(out)
