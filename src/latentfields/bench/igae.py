"""`latentfields bench igae`: does the evidence of IG-AE (Tables 1, 2, 4, 11, 12) show here?

Latent NeRFs are fitted, through the paper's pipeline, to objects that nothing was trained on, in the spaces of the
plain autoencoder, of its 3D-aware version, and of the ablations without L_3D and without L_ae.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latentfields.bench.igae_claims import claims
from latentfields.bench.igae_config import SCALES, IgaeBench, IgaeScale
from latentfields.bench.igae_training import train_roles, trained_folder
from latentfields.bench.jobs import (
    PhotosJob,
    ScoreJob,
    matching_photos,
    reconstruct,
    require_autoencoders,
    score,
)
from latentfields.bench.nvs import FitJob, fit_and_score
from latentfields.bench.objects import BenchObject, bench_objects, rendering_cell, require_objects
from latentfields.bench.training_data import TrainingData, generated_training_data
from latentfields.config.checks import require_at_least
from latentfields.config.typed_json import to_json
from latentfields.files import write_json
from latentfields.igae.data import require_data
from latentfields.scenes.procedural import EVALUATION_FAMILIES
from latentfields.training.jobs import Cell, run_cells
from latentfields.training.runs import claim_run, is_claimed

RESULTS_FILE = "results.json"
FIRST_SEED = 500
"""Number of the first object of each family: none of the score's objects, nor of those in the examples."""


def run_igae_bench(config: IgaeBench, out: Path, *, processes: int) -> dict[str, Any]:
    """Run what is missing in the folder `out`, write its results and return them.

    Raises InputError for unusable input, and when `out` holds a benchmark with other settings.
    """
    for option, value in (("seeds", config.seeds), ("processes", processes)):
        require_at_least(option, value, 1)
    config.fit(seed=0).check()
    scale = SCALES[config.scale]
    # Input is read before the folder is claimed: bad input leaves nothing behind.
    require_autoencoders(filter(None, config.given().values()), size=scale.views.size)
    require_objects((), config.meshes)
    matching_photos(config.test_photos, config.test_pattern)
    data = TrainingData(config.training_scenes, config.training_photos)
    if None in config.given().values() and data.complete and not is_claimed(out):
        require_data(scale.training, data.scenes, data.photos)
    claim_run(out, to_json(config))
    objects = bench_objects(
        out / "objects",
        families=EVALUATION_FAMILIES,
        meshes=config.meshes,
        seeds=range(FIRST_SEED, FIRST_SEED + config.seeds),
        options=scale.views,
    )
    bench = _Bench(config, scale, out, objects, data, processes)
    bench.run_cells([rendering_cell(item) for item in objects], label="objects")
    autoencoders, notes = bench.autoencoders()
    results = bench.measure(autoencoders)
    results |= {"notes": notes, "claims": [to_json(claim) for claim in claims(results)]}
    write_json(out / RESULTS_FILE, results)
    return results


class _Bench:
    """The cells of one benchmark."""

    def __init__(
        self,
        config: IgaeBench,
        scale: IgaeScale,
        out: Path,
        objects: list[BenchObject],
        data: TrainingData,
        processes: int,
    ) -> None:
        self.config, self.scale, self.out = config, scale, out
        self.objects, self.data, self.processes = objects, data, processes

    def run_cells(self, cells: list[Cell], *, label: str) -> dict[str, dict[str, Any]]:
        """Results by name."""
        return run_cells(cells, self.out, processes=self.processes, label=label)

    def autoencoders(self) -> tuple[dict[str, str], list[str]]:
        """Names or folders by role, trained where they were not given; and what is missing, in sentences."""
        given = self.config.given()
        missing = [role for role, name in given.items() if name is None]
        data = self.data
        folder = self.out / "training"
        if missing and self.config.scale == "tiny" and not data.scenes:
            data = generated_training_data(folder, self.scale.views, self.out, processes=self.processes)
        notes = []
        if missing and not data.complete:
            notes = [f"{role} is left out: neither it nor data to train it on was given." for role in missing]
            missing = []
        train_roles(
            missing,
            self.out,
            start=self.config.start,
            config=self.scale.training,
            data=data,
            folder=folder,
            command="latentfields bench igae",
            processes=self.processes,
        )
        folders = {role: trained_folder(folder, role) for role in missing}
        return {role: name for role in given if (name := given[role] or folders.get(role))}, notes

    def measure(self, autoencoders: dict[str, str]) -> dict[str, Any]:
        """Everything about the autoencoders: `fits` one by one, `photos` and `score` by role."""
        fits = {
            (role, item): self._fit(role, name, item)
            for role, name in autoencoders.items()
            for item in self.objects
        }
        photos = {
            role: self._photos(role, name) for role, name in autoencoders.items() if self.config.test_photos
        }
        scores = {role: self._score(role, name) for role, name in autoencoders.items()}
        done = self.run_cells([*photos.values(), *scores.values(), *fits.values()], label="measurements")
        return {
            "autoencoders": autoencoders,
            "fits": [
                {"autoencoder": role, "family": item.family, "seed": item.seed, **done[cell.name]}
                for (role, item), cell in fits.items()
            ],
            "photos": {role: done[cell.name] for role, cell in photos.items()},
            "score": {role: done[cell.name] for role, cell in scores.items()},
        }

    def _fit(self, role: str, autoencoder: str, item: BenchObject) -> Cell:
        name = f"fit-{role}-{item.name}"
        config = self.config.fit(item.seed)
        picture = self.out / "pictures" / f"{name}.png"
        return Cell(
            name, fit_and_score, FitJob(item.scene, autoencoder, config, self.out / "fits" / name, picture)
        )

    def _photos(self, role: str, autoencoder: str) -> Cell:
        options = self.config
        job = PhotosJob(
            autoencoder, options.test_photos, options.test_pattern, self.scale.photos, self.scale.views.size
        )
        return Cell(f"photos-{role}", reconstruct, job)

    def _score(self, role: str, autoencoder: str) -> Cell:
        return Cell(
            f"score-{role}", score, ScoreJob(autoencoder, self.scale.score_objects, self.scale.views.size)
        )
