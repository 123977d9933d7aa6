"""A few steps of every training there is, on any device: what all devices have to do alike."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from helpers.autoencoders import scene_autoencoder, small_autoencoder
from helpers.collections_data import COLLECTION
from helpers.correspondence_data import CONFIG as ENCODER
from helpers.correspondence_data import make_dataset
from helpers.igae_data import CONFIG as IGAE
from helpers.igae_data import SIZE, write_scenes
from helpers.photo_files import write_photos
from helpers.priors import TINY_GENERATION, TINY_PRIOR
from helpers.tiny import TINY_FIT, write_sphere_scene
from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.autoencoders.config import AutoencoderTrainingConfig, PatchAutoencoderConfig
from latentfields.autoencoders.image_data import load_training_images
from latentfields.autoencoders.losses import perceptual_loss
from latentfields.autoencoders.train import AutoencoderTrainer, new_network, starting_images
from latentfields.correspondences.files import open_dataset
from latentfields.correspondences.pair_batches import PairImages
from latentfields.fields.config import (
    GaussiansConfig,
    InstantNgpConfig,
    KPlanesConfig,
    OptimizerConfig,
    TensorfConfig,
    VanillaConfig,
)
from latentfields.fields.densification import GradientDensificationConfig, McmcDensificationConfig
from latentfields.fused_planes.collection import new_shared
from latentfields.fused_planes.store import ObjectStore
from latentfields.fused_planes.trainer import PhaseTrainer, Training
from latentfields.generation.generate import generated_frame, new_scene
from latentfields.generation.trainer import Anchor, SceneDistillation, generated_views
from latentfields.igae.image_cache import cache_photos, cache_scenes
from latentfields.igae.joint import JointTrainer
from latentfields.igae.pretrain import ScenePretrainer, cache_latents, open_latents
from latentfields.igae.scene_training import WHITE, SceneTraining
from latentfields.latent_nerf.build import new_model
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.feature_trainer import new_trainer
from latentfields.lrf.decoder.config import DecoderTrainingConfig
from latentfields.lrf.decoder.pairs import Pairs
from latentfields.lrf.decoder.trainer import DecoderAlignment
from latentfields.lrf.encoder.config import DiscriminatorConfig, EncoderTrainingConfig
from latentfields.lrf.encoder.trainer import EncoderTrainer
from latentfields.priors.conditions import direction
from latentfields.priors.config import DistillationConfig, PriorRunConfig
from latentfields.priors.data import PriorData, load_data
from latentfields.priors.guidance import Distil, ObjectGuidance
from latentfields.priors.prior import LatentPrior
from latentfields.priors.train import PriorTrainer, new_prior
from latentfields.rendering.config import (
    EvenSamplingConfig,
    HierarchicalSamplingConfig,
    MipSplattingConfig,
    ProposalSamplingConfig,
    SplattingConfig,
)
from latentfields.scenes.load import load_scene
from latentfields.scenes.scene import Scene
from latentfields.training.distributed import Processes
from latentfields.training.loop import Trainable

SHORT = replace(TINY_FIT, decoder_precision="float32").with_steps(supervision=6, alignment=4)
TINY_GAUSSIANS = GaussiansConfig(
    initial=60,
    degree=2,
    degree_every=0.3,
    densification=GradientDensificationConfig(
        refinements=3, start=0.2, end=0.9, opacity_resets=1, threshold=1e-6
    ),
)
FITS: Mapping[str, FitConfig] = {
    "tri-planes": SHORT,
    "one ray per latent": replace(SHORT, subpixels=1),
    "instant-ngp": replace(SHORT, field=InstantNgpConfig(levels=4, log2_table_size=10, view_dependent=True)),
    "k-planes, proposals": replace(
        SHORT,
        field=KPlanesConfig(resolution=8, scales=(1, 2), features=4, hidden=8),
        sampling=ProposalSamplingConfig(
            samples=6, proposal_samples=(10, 8), resolutions=(4, 8), features=2, hidden=4, anneal_steps=8
        ),
    ),
    "vanilla, coarse network": replace(
        SHORT,
        field=VanillaConfig(layers=2, width=8, skip_after=1, optimizer=OptimizerConfig(kind="radam")),
        sampling=HierarchicalSamplingConfig(coarse_samples=6, fine_samples=6),
    ),
    "tensorf, coarse pass": replace(
        SHORT,
        field=TensorfConfig(initial_resolution=6, final_resolution=12, upsample_at=(0.1, 0.5)),
        sampling=HierarchicalSamplingConfig(coarse_samples=6, fine_samples=6, coarse_network="shared"),
    ),
    "even samples": replace(SHORT, sampling=EvenSamplingConfig(samples=8)),
    "squashed latents": replace(SHORT, normalizer="tanh"),
    "rgb": replace(SHORT, space="rgb"),
    "gaussians": replace(SHORT, field=TINY_GAUSSIANS, sampling=SplattingConfig()),
    "gaussians by mcmc": replace(
        SHORT,
        field=replace(
            TINY_GAUSSIANS, densification=McmcDensificationConfig(refinements=3, start=0.2, end=0.9)
        ),
        sampling=SplattingConfig(antialiased=True),
    ),
    "gaussians in rgb": replace(SHORT, field=TINY_GAUSSIANS, sampling=SplattingConfig(), space="rgb"),
    "both": replace(SHORT, space="both", geometry_from_latents=0.5),
    "gaussians of both": replace(SHORT, field=TINY_GAUSSIANS, sampling=MipSplattingConfig(), space="both"),
}
"""Every field and every sampler, and what else changes a step."""

ENCODERS: Mapping[str, tuple[EncoderTrainingConfig, bool]] = {
    "encoder": (ENCODER, False),
    "encoder of a vae, discriminator": (
        replace(ENCODER, discriminator=DiscriminatorConfig(start=2, width=4)),
        True,
    ),
}
"""LRF's stage I, of deterministic and variational autoencoders."""

IGAE_PHASES = ("igae pretraining", "igae joint")
COLLECTION_PHASES = ("collection warmup", "collection joint")
OTHERS = ("decoder", "autoencoder", "prior", "generation")
TRAININGS = (*FITS, *IGAE_PHASES, *COLLECTION_PHASES, *ENCODERS, *OTHERS)


@dataclass(frozen=True)
class Materials:
    """What trainings are about; made once."""

    folder: Path
    scene: Scene
    autoencoder: Autoencoder

    @classmethod
    def write(cls, folder: Path) -> Materials:
        """Scenes, photographs, correspondences and latent-image pairs below `folder`."""
        scene = load_scene(write_sphere_scene(folder / "sphere"))
        write_scenes(folder / "scenes")
        write_photos(folder / "photos")
        make_dataset(folder / "lrf")
        generator = torch.Generator().manual_seed(0)
        latents = torch.randn(2, 6, 4, 8, 8, generator=generator).half()
        images = torch.randint(256, (6, 3, 32, 32), generator=generator, dtype=torch.uint8)
        save_file(
            {"rendered": latents[0], "encoded": latents[1], "images": images, "novel": torch.arange(6) >= 4},
            folder / "pairs.safetensors",
        )
        return cls(folder, scene, scene_autoencoder(scene))


@contextlib.contextmanager
def training(name: str, materials: Materials, device: torch.device) -> Iterator[tuple[Trainable, int]]:
    """The training called `name`, and its number of steps."""
    if name in FITS:
        config = FITS[name]
        autoencoder = None if config.space == "rgb" else materials.autoencoder
        model = new_model(materials.scene, autoencoder, config).to(device)
        fit = new_trainer(model, materials.scene, config)
        yield fit, fit.total_steps
    elif name in ENCODERS:
        options, variational = ENCODERS[name]
        pairs = PairImages(open_dataset(materials.folder / "lrf" / "correspondences"), size=32, factor=4)
        yield EncoderTrainer(small_autoencoder(variational=variational).to(device), pairs, options), 6
    elif name in IGAE_PHASES:
        with _igae(name, materials, device) as trainer:
            yield trainer, 6
    elif name in COLLECTION_PHASES:
        with _collection(name, materials, device) as phase:
            yield phase, 6
    else:
        make: dict[str, Callable[[Materials, torch.device], Trainable]] = {
            "decoder": _decoder,
            "autoencoder": _autoencoder,
            "prior": _prior,
            "generation": _generation,
        }
        yield make[name](materials, device), 6


@contextlib.contextmanager
def _igae(name: str, materials: Materials, device: torch.device) -> Iterator[ScenePretrainer | JointTrainer]:
    folder = materials.folder
    cache = folder / "cache"
    views = cache_scenes([folder / "scenes"], size=SIZE, background=WHITE, grid_resolution=8, cache=cache)
    autoencoder = small_autoencoder().to(device)
    scenes = SceneTraining(IGAE, views, autoencoder, device=device)
    trainer: ScenePretrainer | JointTrainer
    if name == "igae pretraining":
        latents = folder / "latents.f16"
        cache_latents(autoencoder, views, latents)
        opened = open_latents(autoencoder, views, latents)
        trainer = ScenePretrainer(scenes, opened, IGAE, processes=Processes(), observer=None)
    else:
        trainer = JointTrainer(
            autoencoder,
            scenes,
            cache_photos([folder / "photos"], size=SIZE, cache=cache),
            IGAE,
            perceptual=perceptual_loss(IGAE.perceptual, device),
            processes=Processes(),
            observer=None,
        )
    try:
        yield trainer
    finally:
        trainer.batches.close()


@contextlib.contextmanager
def _collection(name: str, materials: Materials, device: torch.device) -> Iterator[PhaseTrainer]:
    folder = materials.folder
    views = cache_scenes(
        [folder / "scenes"], size=SIZE, background=WHITE, grid_resolution=8, cache=folder / "cache"
    )
    autoencoder = small_autoencoder().to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        background = autoencoder.background_latent(WHITE).detach().cpu()
        shared = new_shared(COLLECTION, background, latent=True).to(device)
    latents = folder / "latents.f16"
    cache_latents(autoencoder, views, latents)
    place = folder / f"{name}-{device.type}" / "objects.f32"
    place.unlink(missing_ok=True)
    store = ObjectStore(place, views.hulls, COLLECTION.planes, seed=0, device=device)
    everything = Training(COLLECTION, views, shared, store, autoencoder)
    phase = COLLECTION.warmup if name == "collection warmup" else COLLECTION.joint
    with contextlib.closing(store):
        yield PhaseTrainer(everything, phase, number=1, latents=open_latents(autoencoder, views, latents))


def _decoder(materials: Materials, device: torch.device) -> Trainable:
    pairs = Pairs([materials.folder / "pairs.safetensors"], factor=4, crop=24)
    photos = load_training_images((materials.folder / "photos",), (), size=24)
    options = DecoderTrainingConfig(steps=6, training_views=2, novel_views=2, crop=24, perceptual_weight=0.1)
    return DecoderAlignment(small_autoencoder().to(device), pairs, options, photos=photos)


def _autoencoder(materials: Materials, device: torch.device) -> Trainable:
    architecture = PatchAutoencoderConfig(channels=4, patch=2, widths=(8, 12), blocks=(1, 1))
    options = AutoencoderTrainingConfig(
        steps=6, photos_per_batch=2, renders_per_batch=1, size=32, learning_rate=1e-3, warmup_steps=2
    )
    data = load_training_images((materials.folder / "photos",), (materials.folder / "sphere",), size=32)
    network = new_network(architecture, seed=0)
    network.initialise(starting_images(data, seed=0))
    return AutoencoderTrainer(network.to(device), data, options)


def _prior_data(materials: Materials) -> PriorData:
    cache = materials.folder / "views.safetensors"
    return load_data([materials.folder / "sphere"], materials.autoencoder, TINY_PRIOR, cache=cache)


def _new_priors(materials: Materials, device: torch.device) -> tuple[LatentPrior, LatentPrior]:
    run = PriorRunConfig(scenes=(), autoencoder="linear", seconds=None, training=TINY_PRIOR)
    data = _prior_data(materials)
    return new_prior(run, data, "space").to(device), new_prior(run, data, "space").to(device)


def _prior(materials: Materials, device: torch.device) -> Trainable:
    prior, averaged = _new_priors(materials, device)
    return PriorTrainer(prior, averaged.requires_grad_(False), _prior_data(materials), TINY_PRIOR)


def _generation(materials: Materials, device: torch.device) -> Trainable:
    prior = _new_priors(materials, device)[0].requires_grad_(False)
    rig, config = prior.config.rig, TINY_GENERATION.with_steps(supervision=6, alignment=0)
    model = new_scene(config, materials.autoencoder, generated_frame(rig, 32)).to(device)
    seen_from = direction(elevation=20, azimuth=30)
    first = materials.autoencoder.encode_batches(materials.scene.images(torch.tensor([0])))[0]
    pull = Distil(ObjectGuidance(prior, 0, first, seen_from), DistillationConfig())
    views = generated_views(rig, size=32)
    anchor = Anchor(seen_from, first, 1.0)
    return SceneDistillation(model, pull, rig, config, views, name="sphere", anchor=anchor)
