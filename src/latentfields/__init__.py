"""Radiance fields in the latent space of image autoencoders.

scene = latentfields.load_scene("data/chair")
autoencoder = latentfields.load_autoencoder("base")
run = latentfields.fit(scene, autoencoder, out="runs/chair")
images = run.render(scene.cameras)  # (N, 3, H, W) in [0, 1]
"""

from typing import TYPE_CHECKING

from latentfields.lazy import lazy_attributes

if TYPE_CHECKING:
    from latentfields.autoencoders.evaluate import evaluate_autoencoder
    from latentfields.autoencoders.load import load_autoencoder
    from latentfields.autoencoders.score import score_autoencoder
    from latentfields.autoencoders.train import train_autoencoder
    from latentfields.bench.autoencoders import AutoencodersStudyConfig
    from latentfields.bench.convergence import ConvergenceStudyConfig
    from latentfields.bench.fields import FieldsStudyConfig
    from latentfields.bench.igae import IgaeStudyConfig
    from latentfields.bench.lrf import LrfStudyConfig
    from latentfields.bench.reconstruction import ReconstructionStudyConfig
    from latentfields.bench.studies import run_study
    from latentfields.cameras import Cameras
    from latentfields.errors import InputError
    from latentfields.generation.edit import edit
    from latentfields.generation.generate import generate
    from latentfields.igae.finetune import finetune_3d
    from latentfields.latent_nerf.config import FitConfig
    from latentfields.latent_nerf.evaluate import evaluate_run
    from latentfields.latent_nerf.fit import fit
    from latentfields.latent_nerf.presets import preset
    from latentfields.latent_nerf.run import Run
    from latentfields.lrf.correspondences.make import correspond
    from latentfields.lrf.decoder.align import align_decoder
    from latentfields.lrf.encoder.finetune import finetune_encoder
    from latentfields.priors.config import DistillationConfig
    from latentfields.priors.prior import load_prior
    from latentfields.priors.train import train_prior
    from latentfields.scenes.load import load_scene
    from latentfields.scenes.scene import Scene
    from latentfields.structure_from_motion.capture import CaptureSummary, capture
    from latentfields.structure_from_motion.config import CaptureConfig

__version__ = "0.1.0"

__all__ = [
    "AutoencodersStudyConfig",
    "Cameras",
    "CaptureConfig",
    "CaptureSummary",
    "ConvergenceStudyConfig",
    "DistillationConfig",
    "FieldsStudyConfig",
    "FitConfig",
    "IgaeStudyConfig",
    "InputError",
    "LrfStudyConfig",
    "ReconstructionStudyConfig",
    "Run",
    "Scene",
    "align_decoder",
    "capture",
    "correspond",
    "edit",
    "evaluate_autoencoder",
    "evaluate_run",
    "finetune_3d",
    "finetune_encoder",
    "fit",
    "generate",
    "load_autoencoder",
    "load_prior",
    "load_scene",
    "preset",
    "run_study",
    "score_autoencoder",
    "train_autoencoder",
    "train_prior",
]

__getattr__ = lazy_attributes(
    __name__,
    {
        "AutoencodersStudyConfig": "latentfields.bench.autoencoders",
        "Cameras": "latentfields.cameras",
        "CaptureConfig": "latentfields.structure_from_motion.config",
        "CaptureSummary": "latentfields.structure_from_motion.capture",
        "ConvergenceStudyConfig": "latentfields.bench.convergence",
        "DistillationConfig": "latentfields.priors.config",
        "FieldsStudyConfig": "latentfields.bench.fields",
        "FitConfig": "latentfields.latent_nerf.config",
        "IgaeStudyConfig": "latentfields.bench.igae",
        "InputError": "latentfields.errors",
        "LrfStudyConfig": "latentfields.bench.lrf",
        "ReconstructionStudyConfig": "latentfields.bench.reconstruction",
        "Run": "latentfields.latent_nerf.run",
        "Scene": "latentfields.scenes.scene",
        "align_decoder": "latentfields.lrf.decoder.align",
        "capture": "latentfields.structure_from_motion.capture",
        "correspond": "latentfields.lrf.correspondences.make",
        "edit": "latentfields.generation.edit",
        "evaluate_autoencoder": "latentfields.autoencoders.evaluate",
        "evaluate_run": "latentfields.latent_nerf.evaluate",
        "finetune_3d": "latentfields.igae.finetune",
        "finetune_encoder": "latentfields.lrf.encoder.finetune",
        "fit": "latentfields.latent_nerf.fit",
        "generate": "latentfields.generation.generate",
        "load_autoencoder": "latentfields.autoencoders.load",
        "load_prior": "latentfields.priors.prior",
        "load_scene": "latentfields.scenes.load",
        "preset": "latentfields.latent_nerf.presets",
        "run_study": "latentfields.bench.studies",
        "score_autoencoder": "latentfields.autoencoders.score",
        "train_autoencoder": "latentfields.autoencoders.train",
        "train_prior": "latentfields.priors.train",
    },
)
