"""Radiance fields in the latent space of image autoencoders.

scene = latentfields.load_scene("data/chair")
autoencoder = latentfields.load_autoencoder("base")
run = latentfields.fit(scene, autoencoder, out="runs/chair")
images = run.render(scene.cameras)  # (N, 3, H, W) in [0, 1]
"""

from typing import TYPE_CHECKING

from latentfields.lazy import lazy_attributes

if TYPE_CHECKING:
    from latentfields.autoencoders.autoencoder import Autoencoder
    from latentfields.autoencoders.config import AutoencoderTrainingConfig, PatchAutoencoderConfig
    from latentfields.autoencoders.evaluate import evaluate_autoencoder
    from latentfields.autoencoders.load import load_autoencoder
    from latentfields.autoencoders.score import compare_with_packaged, score_autoencoder
    from latentfields.autoencoders.train import train_autoencoder
    from latentfields.bench.autoencoders import AutoencodersStudyConfig
    from latentfields.bench.captures import CapturesStudyConfig
    from latentfields.bench.collections import CollectionsStudyConfig
    from latentfields.bench.convergence import ConvergenceStudyConfig
    from latentfields.bench.few_views import FewViewsStudyConfig
    from latentfields.bench.fields import FieldsStudyConfig
    from latentfields.bench.generation import GenerationStudyConfig
    from latentfields.bench.igae import IgaeStudyConfig
    from latentfields.bench.leaderboard import leaderboard, write_leaderboard
    from latentfields.bench.lrf import LrfStudyConfig
    from latentfields.bench.reconstruction import ReconstructionStudyConfig
    from latentfields.bench.rgb_vs_latent import RgbVsLatentStudyConfig
    from latentfields.bench.studies import run_study
    from latentfields.camera_path import CameraPath, Keyframe, load_path, save_path
    from latentfields.cameras import Cameras
    from latentfields.correspondences.config import CorrespondenceConfig
    from latentfields.correspondences.make import correspond
    from latentfields.errors import InputError
    from latentfields.export.cameras import export_cameras
    from latentfields.export.config import MeshConfig, PointsConfig
    from latentfields.export.gaussians import export_gaussians
    from latentfields.export.mesh import export_mesh
    from latentfields.export.points import export_points
    from latentfields.export.scene_file import export_scene
    from latentfields.export.views import RenderedDepth, export_views, render_depth
    from latentfields.fused_planes.bake import export_object
    from latentfields.fused_planes.collection import Collection
    from latentfields.fused_planes.config import CollectionConfig
    from latentfields.fused_planes.fit import add_to_collection, fit_collection
    from latentfields.generation.edit import edit
    from latentfields.generation.generate import generate
    from latentfields.igae.config import IgaeConfig
    from latentfields.igae.finetune import finetune_3d
    from latentfields.latent_nerf.config import FitConfig
    from latentfields.latent_nerf.evaluate import evaluate_run
    from latentfields.latent_nerf.fit import fit
    from latentfields.latent_nerf.fleet import Fleet, fit_fleet
    from latentfields.latent_nerf.presets import preset
    from latentfields.latent_nerf.reference_views import ReferenceViews
    from latentfields.latent_nerf.render import chosen_views, orbit
    from latentfields.latent_nerf.rendered_latents import RenderedLatents
    from latentfields.latent_nerf.report import write_run_report
    from latentfields.latent_nerf.run import Run
    from latentfields.latent_nerf.usual import UsualFit
    from latentfields.lrf.decoder.align import align_decoder
    from latentfields.lrf.decoder.config import DecoderTrainingConfig
    from latentfields.lrf.encoder.config import EncoderTrainingConfig
    from latentfields.lrf.encoder.finetune import finetune_encoder
    from latentfields.priors.config import DistillationConfig, FewViewsConfig, PriorTrainingConfig
    from latentfields.priors.prior import LatentPrior, load_prior
    from latentfields.priors.train import train_prior
    from latentfields.scenes.load import load_scene
    from latentfields.scenes.objects.config import RenderConfig
    from latentfields.scenes.objects.mesh_files import load_mesh
    from latentfields.scenes.objects.object_scenes import render_object_scene
    from latentfields.scenes.procedural import generate_object
    from latentfields.scenes.scene import Scene
    from latentfields.structure_from_motion.capture import CaptureSummary, capture
    from latentfields.structure_from_motion.config import CaptureConfig
    from latentfields.training.loop import LoopConfig
    from latentfields.training.ray_cluster import RayCluster
    from latentfields.training.workers import LocalWorkers

__version__ = "0.1.0"

__all__ = [
    "Autoencoder",
    "AutoencoderTrainingConfig",
    "AutoencodersStudyConfig",
    "CameraPath",
    "Cameras",
    "CaptureConfig",
    "CaptureSummary",
    "CapturesStudyConfig",
    "Collection",
    "CollectionConfig",
    "CollectionsStudyConfig",
    "ConvergenceStudyConfig",
    "CorrespondenceConfig",
    "DecoderTrainingConfig",
    "DistillationConfig",
    "EncoderTrainingConfig",
    "FewViewsConfig",
    "FewViewsStudyConfig",
    "FieldsStudyConfig",
    "FitConfig",
    "Fleet",
    "GenerationStudyConfig",
    "IgaeConfig",
    "IgaeStudyConfig",
    "InputError",
    "Keyframe",
    "LatentPrior",
    "LocalWorkers",
    "LoopConfig",
    "LrfStudyConfig",
    "MeshConfig",
    "PatchAutoencoderConfig",
    "PointsConfig",
    "PriorTrainingConfig",
    "RayCluster",
    "ReconstructionStudyConfig",
    "ReferenceViews",
    "RenderConfig",
    "RenderedDepth",
    "RenderedLatents",
    "RgbVsLatentStudyConfig",
    "Run",
    "Scene",
    "UsualFit",
    "add_to_collection",
    "align_decoder",
    "capture",
    "chosen_views",
    "compare_with_packaged",
    "correspond",
    "edit",
    "evaluate_autoencoder",
    "evaluate_run",
    "export_cameras",
    "export_gaussians",
    "export_mesh",
    "export_object",
    "export_points",
    "export_scene",
    "export_views",
    "finetune_3d",
    "finetune_encoder",
    "fit",
    "fit_collection",
    "fit_fleet",
    "generate",
    "generate_object",
    "leaderboard",
    "load_autoencoder",
    "load_mesh",
    "load_path",
    "load_prior",
    "load_scene",
    "orbit",
    "preset",
    "render_depth",
    "render_object_scene",
    "run_study",
    "save_path",
    "score_autoencoder",
    "train_autoencoder",
    "train_prior",
    "write_leaderboard",
    "write_run_report",
]

__getattr__ = lazy_attributes(
    __name__,
    {
        "Autoencoder": "latentfields.autoencoders.autoencoder",
        "AutoencoderTrainingConfig": "latentfields.autoencoders.config",
        "AutoencodersStudyConfig": "latentfields.bench.autoencoders",
        "CameraPath": "latentfields.camera_path",
        "Cameras": "latentfields.cameras",
        "CaptureConfig": "latentfields.structure_from_motion.config",
        "CaptureSummary": "latentfields.structure_from_motion.capture",
        "CapturesStudyConfig": "latentfields.bench.captures",
        "Collection": "latentfields.fused_planes.collection",
        "CollectionConfig": "latentfields.fused_planes.config",
        "CollectionsStudyConfig": "latentfields.bench.collections",
        "ConvergenceStudyConfig": "latentfields.bench.convergence",
        "CorrespondenceConfig": "latentfields.correspondences.config",
        "DecoderTrainingConfig": "latentfields.lrf.decoder.config",
        "DistillationConfig": "latentfields.priors.config",
        "EncoderTrainingConfig": "latentfields.lrf.encoder.config",
        "FewViewsConfig": "latentfields.priors.config",
        "FewViewsStudyConfig": "latentfields.bench.few_views",
        "FieldsStudyConfig": "latentfields.bench.fields",
        "FitConfig": "latentfields.latent_nerf.config",
        "Fleet": "latentfields.latent_nerf.fleet",
        "GenerationStudyConfig": "latentfields.bench.generation",
        "IgaeConfig": "latentfields.igae.config",
        "IgaeStudyConfig": "latentfields.bench.igae",
        "InputError": "latentfields.errors",
        "Keyframe": "latentfields.camera_path",
        "LatentPrior": "latentfields.priors.prior",
        "LocalWorkers": "latentfields.training.workers",
        "LoopConfig": "latentfields.training.loop",
        "LrfStudyConfig": "latentfields.bench.lrf",
        "MeshConfig": "latentfields.export.config",
        "PatchAutoencoderConfig": "latentfields.autoencoders.config",
        "PointsConfig": "latentfields.export.config",
        "PriorTrainingConfig": "latentfields.priors.config",
        "RayCluster": "latentfields.training.ray_cluster",
        "ReconstructionStudyConfig": "latentfields.bench.reconstruction",
        "ReferenceViews": "latentfields.latent_nerf.reference_views",
        "RgbVsLatentStudyConfig": "latentfields.bench.rgb_vs_latent",
        "RenderConfig": "latentfields.scenes.objects.config",
        "RenderedDepth": "latentfields.export.views",
        "RenderedLatents": "latentfields.latent_nerf.rendered_latents",
        "Run": "latentfields.latent_nerf.run",
        "Scene": "latentfields.scenes.scene",
        "UsualFit": "latentfields.latent_nerf.usual",
        "add_to_collection": "latentfields.fused_planes.fit",
        "align_decoder": "latentfields.lrf.decoder.align",
        "capture": "latentfields.structure_from_motion.capture",
        "chosen_views": "latentfields.latent_nerf.render",
        "compare_with_packaged": "latentfields.autoencoders.score",
        "correspond": "latentfields.correspondences.make",
        "edit": "latentfields.generation.edit",
        "evaluate_autoencoder": "latentfields.autoencoders.evaluate",
        "evaluate_run": "latentfields.latent_nerf.evaluate",
        "export_cameras": "latentfields.export.cameras",
        "export_gaussians": "latentfields.export.gaussians",
        "export_mesh": "latentfields.export.mesh",
        "export_object": "latentfields.fused_planes.bake",
        "export_points": "latentfields.export.points",
        "export_scene": "latentfields.export.scene_file",
        "export_views": "latentfields.export.views",
        "finetune_3d": "latentfields.igae.finetune",
        "finetune_encoder": "latentfields.lrf.encoder.finetune",
        "fit": "latentfields.latent_nerf.fit",
        "fit_collection": "latentfields.fused_planes.fit",
        "fit_fleet": "latentfields.latent_nerf.fleet",
        "generate": "latentfields.generation.generate",
        "generate_object": "latentfields.scenes.procedural",
        "leaderboard": "latentfields.bench.leaderboard",
        "load_autoencoder": "latentfields.autoencoders.load",
        "load_mesh": "latentfields.scenes.objects.mesh_files",
        "load_path": "latentfields.camera_path",
        "load_prior": "latentfields.priors.prior",
        "load_scene": "latentfields.scenes.load",
        "orbit": "latentfields.latent_nerf.render",
        "preset": "latentfields.latent_nerf.presets",
        "render_depth": "latentfields.export.views",
        "render_object_scene": "latentfields.scenes.objects.object_scenes",
        "run_study": "latentfields.bench.studies",
        "save_path": "latentfields.camera_path",
        "score_autoencoder": "latentfields.autoencoders.score",
        "train_autoencoder": "latentfields.autoencoders.train",
        "train_prior": "latentfields.priors.train",
        "write_leaderboard": "latentfields.bench.leaderboard",
        "write_run_report": "latentfields.latent_nerf.report",
    },
)
