"""`latentfields bench lrf`: does the evidence of LRF (Tables 1 to 5) show here?

Fields are fitted to scenes that neither stage was trained on: in the latent spaces of the plain autoencoder and of its
correspondence-aware version (stage I), each decoded by its own decoder and by one aligned to latent fields (stage III);
and, as baselines, to images of the latents' resolution and above.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from latentfields.autoencoders.image_data import photo_paths
from latentfields.autoencoders.load import load_autoencoder
from latentfields.bench.lrf_claims import claims
from latentfields.bench.lrf_config import ENCODER_OF, FEW, LRF_SCALES, STAGES, LrfBench, views_prefix
from latentfields.bench.lrf_fits import ImageFitJob, LatentFitJob, fit_images, fit_latents
from latentfields.bench.lrf_reconstruction import ReconstructionJob, reconstruct
from latentfields.bench.lrf_scenes import TestScene, captured_scenes, rendered_scenes
from latentfields.bench.lrf_training import (
    DecoderJob,
    EncoderJob,
    require_same_encoder,
    train_decoder,
    train_encoder,
)
from latentfields.bench.objects import bench_objects, rendering_cell
from latentfields.bench.training_data import training_scene_cells
from latentfields.config.typed_json import to_json
from latentfields.errors import InputError
from latentfields.files import write_json
from latentfields.latent_nerf.config import FitConfig
from latentfields.lrf.decoder.config import DecoderRunConfig, latent_field_config
from latentfields.measures.standard import image_measures
from latentfields.scenes.load import scene_folders_below
from latentfields.training.jobs import Cell, run_cells
from latentfields.training.runs import claim_run

RESULTS_FILE = "results.json"
FIRST_SEED = 500
"""Number of the first rendered object of each family."""


def run_lrf_bench(config: LrfBench, out: Path, *, processes: int) -> dict[str, Any]:
    """Run what is missing in the folder `out`, write its results and return them.

    Raises InputError for unusable input, and when `out` holds a benchmark with other settings.
    """
    for option, value in (("--seeds", config.seeds), ("--processes", processes)):
        if value < 1:
            raise InputError(option, f"is {value}; expected at least 1")
    bench = _Bench(config, out, processes)
    claim_run(out, to_json(config))
    autoencoders = bench.autoencoders()
    results = bench.measure(autoencoders)
    results["claims"] = [to_json(claim) for claim in claims(results)]
    write_json(out / RESULTS_FILE, results)
    return results


class _Bench:
    """The cells of one benchmark. Making one checks all input."""

    def __init__(self, config: LrfBench, out: Path, processes: int) -> None:
        self.config, self.out, self.processes = config, out, processes
        self.scale = LRF_SCALES[config.scale]
        self.training = [f for root in config.training_scenes for f in scene_folders_below(root)]
        photo_paths(config.training_photos)
        self.factor = self._factor()
        seeds = range(config.seeds)
        self.objects = bench_objects(
            out / "objects",
            families=self.scale.families,
            meshes=(),
            options=self.scale.views,
            seeds=[FIRST_SEED + seed for seed in seeds],
        )
        captured = captured_scenes(
            config.scenes, training=self.training, seeds=seeds, size=self.scale.size, factor=self.factor
        )
        self.scenes = [*rendered_scenes(self.objects, size=self.scale.size), *captured]

    def _factor(self) -> int:
        given = {role: name for role, name in self.config.given().items() if name is not None}
        for role in given:
            other = ENCODER_OF[role]
            if other != role and other in given:
                require_same_encoder(f"--{role}", given[role], given[other])
        if "both" in given and "encoder" not in given:
            raise InputError("--both", "is given without --encoder, which it was made from")
        factors = {load_autoencoder(name).factor for name in given.values()}
        if len(factors) > 1:
            raise InputError(
                "--encoder", f"and the others have factors {sorted(factors)}; expected one factor"
            )
        return factors.pop()

    def run_cells(self, cells: list[Cell], *, label: str) -> dict[str, dict[str, Any]]:
        """Results by name."""
        return run_cells(cells, self.out, processes=self.processes, label=label)

    def autoencoders(self) -> dict[str, str]:
        """Names or folders by role, trained where they were not given."""
        given = self.config.given()
        folder, scenes = self.out / "training", tuple(self.training)
        if not scenes and None in given.values():
            cells = training_scene_cells(
                folder / "scenes", objects=self.scale.training_objects, options=self.scale.views
            )
            self.run_cells(cells, label="training scenes")
            scenes = (folder / "scenes",)
        if given["encoder"] is None:
            job = EncoderJob(
                self.config.base, scenes, self.config.training_photos, self.scale.encoder, folder / "encoder"
            )
            done = self.run_cells([Cell("train-encoder", train_encoder, job)], label="stage I")
            given["encoder"] = done["train-encoder"]["autoencoder"]
        cells = [
            Cell(f"train-{role}", train_decoder, DecoderJob(self._alignment(name, scenes), folder / role))
            for role in ("decoder", "both")
            if given[role] is None and (name := given[ENCODER_OF[role]]) is not None
        ]
        trained = self.run_cells(cells, label="stage III")
        given |= {name.removeprefix("train-"): done["autoencoder"] for name, done in trained.items()}
        return {role: name for role in STAGES if (name := given[role]) is not None}

    def _alignment(self, autoencoder: str, scenes: tuple[Path, ...]) -> DecoderRunConfig:
        return DecoderRunConfig(
            scenes=scenes,
            autoencoder=autoencoder,
            size=self.scale.size,
            fit=self._fit_config(0),
            training=self.scale.decoder,
            photos=self.config.training_photos,
        )

    def _fit_config(self, seed: int) -> FitConfig:
        return latent_field_config(
            self.config.field,
            self.scale.preset,
            steps=self.scale.fit_steps,
            subpixels=self.config.subpixels,
            seed=seed,
        )

    def measure(self, autoencoders: dict[str, str]) -> dict[str, Any]:
        """`fits` one by one, and the `reconstruction` of each scene's test views by role."""
        self.run_cells([rendering_cell(item) for item in self.objects], label="objects")
        fits = [
            fit
            for scene in self.scenes
            for views in (None, FEW)
            for fit in (*self._latent_fits(scene, views, autoencoders), *self._image_fits(scene, views))
        ]
        reconstruction = {
            role: Cell(f"reconstruction-{role}", reconstruct, ReconstructionJob(name, tuple(self.scenes)))
            for role, name in autoencoders.items()
        }
        cells = [cell for _, cell in fits]
        done = self.run_cells([*reconstruction.values(), *cells], label="measurements")
        return {
            "field": self.config.field,
            "factor": self.factor,
            "autoencoders": autoencoders,
            "fits": [labels | done[cell.name] for labels, cell in fits],
            "reconstruction": {role: done[cell.name]["scenes"] for role, cell in reconstruction.items()},
            "notes": image_measures()[1],
        }

    def _latent_fits(
        self, scene: TestScene, views: int | None, autoencoders: dict[str, str]
    ) -> list[tuple[dict[str, Any], Cell]]:
        """One fit for every encoder, decoded by all decoders that belong to it."""
        fits = []
        for encoder in dict.fromkeys(ENCODER_OF.values()):
            name = f"latents-{encoder}-{views_prefix(views)}{scene.name}"
            job = LatentFitJob(
                scene=scene,
                encoder=autoencoders[encoder],
                training_views=views,
                decoders=tuple((role, autoencoders[role]) for role in STAGES if ENCODER_OF[role] == encoder),
                config=self._fit_config(scene.seed),
                folder=self.out / "fits" / name,
                pictures=self._pictures(scene, views),
            )
            fits.append((_labels(scene, views) | {"encoder": encoder}, Cell(name, fit_latents, job)))
        return fits

    def _image_fits(self, scene: TestScene, views: int | None) -> list[tuple[dict[str, Any], Cell]]:
        """The baseline at the latents' resolution; with all views, also those of higher resolutions."""
        divisors = (self.factor, *self.scale.divisors) if views is None else (self.factor,)
        fits = []
        for divisor in divisors:
            name = f"images-{divisor}-{views_prefix(views)}{scene.name}"
            job = ImageFitJob(
                scene=scene,
                factor=self.factor,
                divisor=divisor,
                training_views=views,
                config=self._fit_config(scene.seed),
                folder=self.out / "fits" / name,
                pictures=self._pictures(scene, views),
            )
            fits.append((_labels(scene, views) | {"divisor": divisor}, Cell(name, fit_images, job)))
        return fits

    def _pictures(self, scene: TestScene, views: int | None) -> Path:
        return self.out / "pictures" / f"{views_prefix(views)}{scene.name}"


def _labels(scene: TestScene, views: int | None) -> dict[str, Any]:
    return {"scene": scene.kind, "seed": scene.seed, "training_views": views}
