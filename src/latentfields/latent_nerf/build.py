"""From a scene, an autoencoder and a configuration to an untrained model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.fields.config import GaussiansConfig, RayFieldConfig
from latentfields.fields.field import Head
from latentfields.fields.gaussians.field import GaussianField, GaussianValues
from latentfields.fields.gaussians.initialisation import initialise
from latentfields.fields.kplanes import KPlanesProposal
from latentfields.fields.registry import new_field
from latentfields.fields.vanilla import Vanilla
from latentfields.latent_nerf.config import FitConfig
from latentfields.latent_nerf.feature_scene import FeatureGaussians, FeatureNerf, FeatureScene
from latentfields.latent_nerf.fingerprint import Fingerprint
from latentfields.latent_nerf.latent_gaussians import LatentGaussians
from latentfields.latent_nerf.latent_space import ExtentNormalizer, LatentSpace, TanhNormalizer
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.latent_nerf.subpixel import SubpixelProjection
from latentfields.rendering.config import (
    EvenSamplingConfig,
    GridSamplingConfig,
    HierarchicalSamplingConfig,
    ProposalSamplingConfig,
    RaySampling,
    SplattingConfig,
)
from latentfields.rendering.even_sampler import EvenSampler
from latentfields.rendering.grid_sampler import GridSampler
from latentfields.rendering.hierarchical import HierarchicalSampler
from latentfields.rendering.proposal import ProposalSampler
from latentfields.rendering.sampler import Sampler
from latentfields.scenes.reading import Bounds
from latentfields.scenes.scene import Scene
from latentfields.scenes.visual_hull import visual_hull_cells


@dataclass(frozen=True)
class SceneFrame:
    """The facts of a scene that rendering needs, and a fingerprint that tells it from others."""

    near: float
    far: float
    width: int
    height: int
    learn_background: bool
    world_to_scene: list[list[float]]
    fingerprint: Fingerprint | None = None
    """Absent from runs of earlier versions."""
    bounds: Bounds = "object"
    """What the field covers."""

    @classmethod
    def of(cls, scene: Scene) -> SceneFrame:
        """The frame of `scene`, without a fingerprint."""
        return cls(
            near=scene.near,
            far=scene.far,
            width=scene.cameras.width,
            height=scene.cameras.height,
            learn_background=scene.alpha is None,
            world_to_scene=scene.world_to_scene.tolist(),
            bounds=scene.bounds,
        )


def new_model(scene: Scene, autoencoder: Autoencoder | None, config: FitConfig) -> SceneModel:
    """An untrained model for `scene`, on the CPU; `autoencoder` is copied, its decoder will be aligned."""
    space = new_space(config, None if autoencoder is None else autoencoder.clone().cpu())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        background = space.background(scene.background)
        color = LatentSpace().background(scene.background)
        model = build_model(config, space, background, SceneFrame.of(scene), color=color)
    shapes = model.pictures
    if isinstance(shapes, LatentGaussians):
        initialise(shapes.field, scene, generator=torch.Generator().manual_seed(config.seed))
        shapes.begin_smoothing(scene.cameras[scene.indices("train")])
    elif isinstance(shapes, LatentNerf) and isinstance(shapes.sampler, GridSampler):
        restricted = _restrict_to_hull(shapes.sampler, scene)
        if restricted and isinstance(shapes.field, Vanilla):
            shapes.field.begin_in_hull()
    return model


def _restrict_to_hull(sampler: GridSampler, scene: Scene) -> bool:
    """Empty the space that no training view shows, for latents as for pixels. Returns False if none is known."""
    if scene.alpha is None or scene.bounds == "scene":
        return False
    train, resolution = scene.indices("train"), sampler.grid.resolution
    cells = visual_hull_cells(scene.cameras, scene.alpha, views=train, resolution=resolution)
    if not cells.any():
        return False
    sampler.grid.restrict(cells)
    return True


def new_space(config: FitConfig, autoencoder: Autoencoder | None) -> LatentSpace:
    """The space of `autoencoder`, or of colours, without a projection, which has weights of its own."""
    if autoencoder is None:
        return LatentSpace()
    if config.normalizer == "tanh":
        return LatentSpace(autoencoder, normalizer=TanhNormalizer())
    extent = config.statistics == "scene-min-max"
    return LatentSpace(autoencoder, normalizer=ExtentNormalizer() if extent else None)


def build_model(
    config: FitConfig,
    space: LatentSpace,
    background: Tensor,
    frame: SceneFrame,
    *,
    color: Tensor | None = None,
) -> SceneModel:
    """A model with weights from torch's global generator; `background` (C,) is in the field's space.

    `color` (3,) is the same as a colour, for scenes in the space both. `config` has been checked: Gaussians are
    splatted, all other fields are looked at along rays.
    """
    if config.space == "both":
        assert color is not None
        colors = build_model(config.of_colors(), LatentSpace(), color, frame)
        return _with_latents(colors, config, space, background, frame)
    channels, head, background = _features(config, space, background, frame)
    # The field before the projection before the sampler: seeded weights are drawn one after the other.
    if isinstance(config.field, GaussiansConfig):
        assert isinstance(config.sampling, SplattingConfig)
        gaussians = GaussianField(config.field, channels=channels, head=head)
        space = _with_projection(space, config, channels)
        return LatentGaussians(
            gaussians,
            config.sampling,
            space=space,
            background=background,
            near=frame.near,
            far=frame.far,
            bounds=frame.bounds,
        )
    assert not isinstance(config.sampling, SplattingConfig)
    shape, sampling = config.field, config.sampling
    if frame.bounds == "scene":
        shape, sampling = shape.unbounded(), shape.unbounded_sampling(sampling)
    field = new_field(shape, channels=channels, head=head)
    space = _with_projection(space, config, channels)
    sampler = new_sampler(sampling, shape, channels, head)
    return LatentNerf(
        field,
        sampler,
        space=space,
        background=background,
        near=frame.near,
        far=frame.far,
        bounds=frame.bounds,
    )


def _with_latents(
    colors: SceneModel, config: FitConfig, space: LatentSpace, background: Tensor, frame: SceneFrame
) -> FeatureScene:
    """A scene of `colors` with latents."""
    channels, head, background = _features(config, space, background, frame)
    weight = config.geometry_from_latents
    if isinstance(config.field, GaussiansConfig):
        assert isinstance(colors, LatentGaussians)
        values = GaussianValues(config.field, channels=channels, head=head)
        space = _with_projection(space, config, channels)
        return FeatureGaussians(colors, values, space=space, background=background, geometry_weight=weight)
    assert isinstance(colors, LatentNerf)
    shape = config.field.unbounded() if frame.bounds == "scene" else config.field
    field = new_field(shape, channels=channels, head=head)
    space = _with_projection(space, config, channels)
    return FeatureNerf(colors, field, space=space, background=background, geometry_weight=weight)


def _features(
    config: FitConfig, space: LatentSpace, background: Tensor, frame: SceneFrame
) -> tuple[int, Head, Tensor]:
    """Channels and head of what is rendered, and the background, a parameter where it is learned."""
    latent = space.autoencoder is not None
    channels = len(background)
    # Squashed latents, those of one extent, and colours lie in [0, 1].
    head: Head = "linear" if latent and space.normalizer is None else "sigmoid"
    # Before a projection, the background is a feature that only the projection makes a latent of.
    if frame.learn_background or (latent and config.subpixels > 1):
        background = nn.Parameter(background)
    return channels, head, background


def _with_projection(space: LatentSpace, config: FitConfig, channels: int) -> LatentSpace:
    """The space with a new projection, where latents are rendered finer than they are."""
    if space.autoencoder is None or config.subpixels == 1:
        return space
    width = config.subpixel_width
    return replace(space, projection=SubpixelProjection(channels, subpixels=config.subpixels, width=width))


def new_sampler(options: RaySampling, field: RayFieldConfig, channels: int, head: Head) -> Sampler:
    """The configured sampler for a `field` with `channels` outputs; a coarse network of its own has the same head."""
    if isinstance(options, GridSamplingConfig):
        return GridSampler(options)
    if isinstance(options, EvenSamplingConfig):
        return EvenSampler(options)
    if isinstance(options, HierarchicalSamplingConfig):
        own = options.coarse_network == "own"
        return HierarchicalSampler(options, new_field(field, channels=channels, head=head) if own else None)
    return ProposalSampler(
        options, [_new_proposal(options, resolution) for resolution in options.resolutions]
    )


def _new_proposal(options: ProposalSamplingConfig, resolution: int) -> KPlanesProposal:
    return KPlanesProposal(
        resolution=resolution,
        features=options.features,
        hidden=options.hidden,
        learning_rate=options.learning_rate,
        tv_weight=options.tv_weight,
        initial_range=options.initial_range,
    )
