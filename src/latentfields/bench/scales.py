"""Sizes of the studies: what `tiny`, `small` and `paper` stand for. Free of heavy imports, for the command line.

`paper` is unmeasured: it needs a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from latentfields.autoencoders.config import AutoencoderTrainingConfig
from latentfields.fields.config import FieldName, GaussiansConfig
from latentfields.fused_planes import config as fused_planes
from latentfields.fused_planes.config import CollectionConfig
from latentfields.igae import config as igae
from latentfields.igae.config import IgaeConfig
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.presets import PresetName, preset, rays_per_side
from latentfields.latent_nerf.usual import HABITS
from latentfields.lrf.decoder import config as decoder
from latentfields.lrf.decoder.config import DecoderTrainingConfig, latent_field_config
from latentfields.lrf.encoder import config as encoder
from latentfields.lrf.encoder.config import EncoderTrainingConfig
from latentfields.priors.config import PRESETS as PRIORS
from latentfields.priors.config import PriorTrainingConfig
from latentfields.scenes.objects.config import RenderConfig

Scale = Literal["tiny", "small", "paper"]

FAMILIES = ("vases", "hats", "bags")
"""Families of generated objects that no packaged autoencoder was trained on (`procedural.EVALUATION_FAMILIES`)."""

TINY_VIEWS = RenderConfig(views=16, size=64, samples=2, test_fraction=0.25, val_fraction=0.0)
"""Pictures of an object that render in a second."""


@dataclass(frozen=True)
class FitScale:
    """The scale of fits to generated objects, through both stages of IG-AE."""

    views: RenderConfig = field(default_factory=RenderConfig)
    """How the objects are rendered."""
    preset: PresetName = "small"
    """Which settings of a field are taken."""
    steps: tuple[int, int] | None = None
    """Steps of Latent Supervision and RGB Alignment; None takes the preset's."""
    batch_images: int = 2
    """Whole latent images per step."""
    subpixels: int = 1
    """Rays per latent along one side."""

    def fit(self, field: FieldName, *, space: str = "latent", seed: int) -> FitConfig:
        """Return how one field is fitted; every `space` but "rgb" is a latent one."""
        config = preset(field, self.preset, space="rgb" if space == "rgb" else "latent")
        if self.steps is not None:
            config = config.with_steps(supervision=self.steps[0], alignment=self.steps[1])
        return replace(config, batch_images=self.batch_images, subpixels=self.subpixels, seed=seed)


FIELDS_SCALES: Mapping[Scale, FitScale] = {
    "tiny": FitScale(TINY_VIEWS, steps=(10, 10)),
    "small": FitScale(steps=(400, 600), subpixels=2),
    "paper": FitScale(RenderConfig(views=300), "paper", batch_images=4),
}
"""Fields in several spaces: `small` fits as `latentfields fit` does, `paper` as in Table 16."""


@dataclass(frozen=True)
class EqualTimeScale:
    """The scale of fits in colours and in latents that take the same CPU time."""

    sizes: tuple[int, ...]
    """Longer sides of the pictures."""
    cpu_seconds: tuple[float, ...]
    """Times of training."""
    steps: tuple[int, int]
    """Steps of Latent Supervision and RGB Alignment at most: time ends the fits before, in proportion to these."""
    batch_images: int = 4
    """Whole latent images per step."""
    views: RenderConfig = field(default_factory=RenderConfig)
    """How objects are rendered, where the scenes are no captures."""

    def rays(self, factor: int) -> int:
        """Return the rays along one side of a latent of so many pixels."""
        return rays_per_side(factor)

    def fit(self, field: FieldName, *, factor: int, seed: int, rays: int | None = None) -> FitConfig:
        """Return how one field is fitted to colours (factor 1), or to latents of so many pixels per side."""
        config = preset(field, "small", space="rgb" if factor == 1 else "latent")
        config = config.with_steps(supervision=self.steps[0], alignment=self.steps[1])
        if factor > 1 and not isinstance(config.field, GaussiansConfig):
            config = replace(config, batch_images=self.batch_images)
        return replace(config, subpixels=self.rays(factor) if rays is None else rays, seed=seed)


@dataclass(frozen=True)
class ObjectsScale(EqualTimeScale):
    """The same of objects."""

    def rays(self, factor: int) -> int:
        """As `EqualTimeScale.rays`."""
        usual = HABITS["object"].seen(preset(), factor=factor)
        return 1 if factor == 1 else usual.subpixels

    def fit(self, field: FieldName, *, factor: int, seed: int, rays: int | None = None) -> FitConfig:
        """As `EqualTimeScale.fit`, as objects are fitted where nobody says otherwise."""
        config, habit = super().fit(field, factor=factor, seed=seed, rays=rays), HABITS["object"]
        return config if factor == 1 else habit.for_latents(config, factor=factor, subpixels=rays)


@dataclass(frozen=True)
class CapturesScale(EqualTimeScale):
    """The same of captured scenes."""

    def fit(self, field: FieldName, *, factor: int, seed: int, rays: int | None = None) -> FitConfig:
        """As `EqualTimeScale.fit`; Gaussians as captures are fitted with them where nobody says otherwise."""
        config = super().fit(field, factor=factor, seed=seed, rays=rays)
        if field != "gaussians":
            return config
        half, habit = config.total_steps // 2, HABITS["capture"]
        config = habit.tuned(config.with_steps(supervision=half, alignment=half))
        # Splatted pixels cost little: never fewer than habit has them.
        usual = habit.seen(config, factor=factor)
        return config if factor == 1 else replace(usual, subpixels=max(rays or 1, usual.subpixels))


CAPTURES_SCALES: Mapping[Literal["tiny", "small"], CapturesScale] = {
    "tiny": CapturesScale(sizes=(64,), cpu_seconds=(1.0,), steps=(4, 4)),
    "small": CapturesScale(sizes=(256, 512), cpu_seconds=(60.0, 180.0, 600.0), steps=(20_000, 80_000)),
}
"""Captures: `tiny` ends by its steps."""

RGB_VS_LATENT_SCALES: Mapping[Literal["tiny", "small"], ObjectsScale] = {
    "tiny": ObjectsScale(sizes=(64,), cpu_seconds=(1.0,), steps=(4, 4), views=TINY_VIEWS),
    "small": ObjectsScale(
        sizes=(128,),
        cpu_seconds=(75.0, 300.0),
        steps=(20_000, 80_000),
        views=RenderConfig(views=120),
    ),
}
"""Objects: `tiny` ends by its steps."""

AUTOENCODER_TRAININGS: Mapping[Scale, AutoencoderTrainingConfig] = {
    "tiny": AutoencoderTrainingConfig(steps=6, photos_per_batch=2, renders_per_batch=2, size=32),
    "small": AutoencoderTrainingConfig(steps=3000),
    "paper": AutoencoderTrainingConfig(),
}
"""Autoencoders of several factors. The paper takes trained ones (kl-f4, kl-f8, kl-f16), which can be named instead."""


@dataclass(frozen=True)
class IgaeScale:
    """The scale of training and comparing IG-AEs."""

    training: IgaeConfig
    """How autoencoders are trained that are not given."""
    fits: FitScale
    score_objects: int
    """Objects per family of the 3D-awareness score."""
    photos: int
    """Photographs that reconstruction is measured on, at most."""


_TINY_TRAINING = replace(
    igae.TINY,
    pretraining=replace(igae.TINY.pretraining, epochs=0.5),
    joint=replace(igae.TINY.joint, epochs=0.5),
)

IGAE_SCALES: Mapping[Scale, IgaeScale] = {
    "tiny": IgaeScale(_TINY_TRAINING, FitScale(TINY_VIEWS, steps=(10, 10)), score_objects=1, photos=16),
    "small": IgaeScale(igae.SMALL, FitScale(steps=(400, 600)), score_objects=2, photos=100),
    "paper": IgaeScale(
        igae.PAPER,
        FitScale(RenderConfig(views=178), "paper", batch_images=4),
        score_objects=4,
        photos=5000,
    ),
}


@dataclass(frozen=True)
class LrfScale:
    """The scale of training and comparing LRF's stages."""

    training_objects: int
    """Rendered objects to train on, of a family each, where no training scenes are given."""
    encoder: EncoderTrainingConfig
    """Stage I."""
    decoder: DecoderTrainingConfig = field(default_factory=DecoderTrainingConfig)
    """Stage III."""
    views: RenderConfig = field(default_factory=RenderConfig)
    """How objects are rendered, to test on and to train on."""
    size: int = 256
    """Longer side of the images of captured scenes, in pixels, at most."""
    families: tuple[str, ...] = FAMILIES
    """Families of rendered objects that are tested on."""
    preset: PresetName = "small"
    """Settings of every fit."""
    fit_steps: int | None = None
    """Steps of every fit; None takes the preset's."""
    divisors: tuple[int, ...] = (4, 2, 1)
    """Image-space fits beside the one at the latents' resolution: the full resolution by these."""

    def fit(self, field: FieldName, *, subpixels: int, seed: int) -> FitConfig:
        """Return how one field is fitted, to latents or images."""
        return latent_field_config(field, self.preset, steps=self.fit_steps, subpixels=subpixels, seed=seed)


LRF_SCALES: Mapping[Scale, LrfScale] = {
    "tiny": LrfScale(
        training_objects=1,
        encoder=replace(encoder.TINY, steps=4),
        decoder=DecoderTrainingConfig(steps=4, training_views=2, novel_views=2, crop=64, photos_per_batch=2),
        views=replace(TINY_VIEWS, views=10, size=128, samples=1, test_fraction=0.2),
        families=FAMILIES[:1],
        fit_steps=6,
        divisors=(1,),
    ),
    "small": LrfScale(training_objects=8, encoder=encoder.SMALL),
    "paper": LrfScale(
        training_objects=11,
        encoder=encoder.PAPER,
        decoder=decoder.PAPER,
        views=RenderConfig(views=200, size=512),
        size=512,
        preset="paper",
    ),
}
"""The paper gives neither steps nor batches of stage III."""


PRIOR_VIEWS = RenderConfig(
    views=40, samples=2, min_elevation=-30, max_elevation=80, test_fraction=0.4, val_fraction=0.0
)
"""Objects as the packaged prior has seen them, with many views to test on."""


@dataclass(frozen=True)
class FewViewsScale:
    """The scale of fits to a few views."""

    fits: FitScale = field(default_factory=lambda: FitScale(PRIOR_VIEWS, steps=(150, 0), batch_images=4))
    """How objects are rendered, and latents fitted."""
    image_steps: int = 800
    """Steps of fits to images."""
    image_rays: int = 1024
    """Rays of each of these steps: there are hardly as many pixels."""


FEW_VIEWS_SCALES: Mapping[Scale, FewViewsScale] = {
    "tiny": FewViewsScale(
        FitScale(replace(PRIOR_VIEWS, views=8, samples=1), steps=(4, 0), batch_images=2), image_steps=4
    ),
    "small": FewViewsScale(),
    "paper": FewViewsScale(
        FitScale(PRIOR_VIEWS, steps=(2000, 0), batch_images=4), image_steps=4000, image_rays=4096
    ),
}
"""No paper has this: `paper` is five times as long, and was not measured."""


@dataclass(frozen=True)
class GenerationScale:
    """The scale of training priors and of generating objects with them."""

    objects: int = 24
    """Rendered objects per family to train on."""
    held_out: int = 6
    """Rendered objects per family that generated ones are compared with."""
    views: RenderConfig = field(
        default_factory=lambda: RenderConfig(
            views=20, samples=2, min_elevation=-30, max_elevation=80, test_fraction=0.05, val_fraction=0.0
        )
    )
    """How they are rendered."""
    pixels: int = 64
    """Side of the pictures that a prior of pixels is trained on, and generates."""
    training: PriorTrainingConfig = PRIORS["small"]
    """How priors are trained; in all spaces for the same CPU time, whatever number of steps this has."""
    seconds: float = 1680.0
    """That time, in CPU seconds."""
    judge_steps: int = 1500
    """Steps of the classifier's training."""
    samples: int = 32
    """Views of each family that are drawn from a prior."""
    steps: int = 400
    """Steps of generating an object in latents."""
    pixel_steps: int = 400
    """Steps of generating one in pixels."""
    compared: int = 64
    """Side of the pictures by which views of a scene are compared with each other."""
    measured_every: int = 10
    """Steps between looks at an object while it is generated."""


GENERATION_SCALES: Mapping[Scale, GenerationScale] = {
    "tiny": GenerationScale(
        objects=2,
        held_out=1,
        views=replace(TINY_VIEWS, views=8, size=32, samples=1, test_fraction=0.25),
        pixels=16,
        training=replace(
            PRIORS["tiny"],
            size=32,
            network=replace(PRIORS["tiny"].network, widths=(16, 16), head_width=8),
        ),
        seconds=1.0,
        judge_steps=8,
        samples=3,
        steps=10,
        pixel_steps=10,
        compared=24,
    ),
    "small": GenerationScale(
        objects=10,
        held_out=3,
        views=RenderConfig(
            views=16,
            samples=2,
            min_elevation=-30,
            max_elevation=80,
            test_fraction=0.0625,
            val_fraction=0.0,
        ),
        pixels=32,
        seconds=120.0,
        judge_steps=500,
        samples=16,
        steps=150,
        pixel_steps=150,
    ),
    "paper": GenerationScale(objects=48),
}
"""Neither paper measures what is generated: `paper` is as the packaged prior was trained, with more objects."""


@dataclass(frozen=True)
class CollectionScale:
    """The scale of collections, and of what they are compared with."""

    training: CollectionConfig
    """How collections are fitted; epochs are scaled to the processor time."""
    views: RenderConfig
    """How objects are rendered."""
    cpu_seconds: float
    """Processor time of every object, in seconds."""
    pace_steps: int = 12
    """Steps of each phase that are timed, after as many that are not."""

    @property
    def training_views(self) -> int:
        """Training views of every object."""
        return self.views.split_sizes()["train"]


COLLECTION_SCALES: Mapping[Scale, CollectionScale] = {
    "tiny": CollectionScale(
        fused_planes.TINY,
        RenderConfig(views=8, size=64, samples=1, test_fraction=0.25, val_fraction=0.0),
        cpu_seconds=0.25,
        pace_steps=1,
    ),
    "small": CollectionScale(
        fused_planes.SMALL, RenderConfig(views=32, test_fraction=0.25, val_fraction=0.0), cpu_seconds=12.0
    ),
    "paper": CollectionScale(
        fused_planes.PAPER,
        RenderConfig(views=178, test_fraction=0.1, val_fraction=0.0),
        cpu_seconds=600.0,
        pace_steps=100,
    ),
}
"""24 training views each for `small`, 160 for `paper`, as the paper's cars have."""
