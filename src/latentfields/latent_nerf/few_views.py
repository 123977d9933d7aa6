"""Fits to few views, regularised by a prior: it judges views that no photograph was taken of.

The distillation is that of `priors.guidance`; what is known of the object are its training views. Shape suffixes: V
training views, B views that the prior judges, C latent channels, h, w latent size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentfields.autoencoders.autoencoder import Autoencoder
from latentfields.cameras import Cameras
from latentfields.devices import upload
from latentfields.errors import ArgumentError, InputError
from latentfields.latent_nerf.config import Space
from latentfields.latent_nerf.scene_model import SceneModel
from latentfields.priors.conditions import camera_directions
from latentfields.priors.config import RECOGNISED, FewViewsConfig
from latentfields.priors.distillation import surrogate
from latentfields.priors.guidance import Distil, Pull, ViewedFrom, ViewsGuidance
from latentfields.priors.prior import LatentPrior, Rig, load_prior
from latentfields.priors.recognition import recognised
from latentfields.scenes.reading import WHITE
from latentfields.scenes.scene import Scene

_LEAST_OPACITY = 0.05
"""Where less is in front of the background, what it looks like is not known."""
_SEED = 0
"""Of the noise by which the object's class is recognised."""
_AXES_PULL = 1e-3
"""Weight of the origin beside optical axes, where these leave open how far away it is that cameras look at."""


def require_prior(name: str, *, space: Space) -> LatentPrior:
    """Return the prior of that name or in that folder, for a fit in that space.

    Raises InputError when there is none, and for spaces of which none knows anything.
    """
    if space != "latent":
        raise ArgumentError("prior", f"is {name}; fits in the space {space} have none, expected latent")
    return load_prior(name)


@dataclass(frozen=True, eq=False)
class UnseenViews:
    """What a prior believes of views of a scene that it was not photographed from."""

    pull: Pull
    """What moves their latents."""
    rig: Rig
    """Where they are taken from."""
    centre: Tensor
    """(3,) the point that they look at."""
    size: int
    """Their side in pixels."""
    autoencoder: Autoencoder
    """The one that the prior knows, on the CPU: its statistics are those of the prior's latents."""
    background: Tensor
    """(C,) its code of white, normalised per channel."""
    config: FewViewsConfig

    @classmethod
    def of(
        cls, prior: LatentPrior, scene: Scene, autoencoder: Autoencoder, config: FewViewsConfig
    ) -> UnseenViews:
        """Return those of `scene`, of whose training views the prior is told; it is on the device to compute on.

        Raises InputError when the prior is of other latents than `autoencoder`, or cannot know such a scene.
        """
        prior.check_space(autoencoder)
        size = prior.config.side * autoencoder.factor
        _require_known_kind(scene, prior, size=size)
        train, category = scene.indices("train"), config.category
        cameras = scene.cameras[train]
        rig, centre = rig_of(cameras, known=prior.config.rig)
        known, directions = autoencoder.encode_batches(scene.images(train)), camera_directions(cameras)
        if category == RECOGNISED:
            category = recognised(prior, known, directions, generator=torch.Generator().manual_seed(_SEED))
        guidance = ViewsGuidance(
            prior,
            known=known,
            known_directions=directions,
            references=config.references,
            class_index=None
            if category is None
            else prior.class_index(category, argument="few_views.category"),
        )
        white = autoencoder.background_latent(WHITE).detach()
        return cls(Distil(guidance, config), rig, centre, size, autoencoder, white, config)

    def loss(self, model: SceneModel, *, progress: float, generator: torch.Generator) -> Tensor:
        """A loss, a scalar, whose gradient pulls views from random directions towards what the prior believes.

        `progress` in [0, 1] lowers the levels of noise. Numbers are drawn on the CPU.
        """
        directions = self.rig.random_directions(self.config.views, generator)
        cameras = self.rig.cameras(directions, size=self.size, centre=self.centre)
        seen = model.render_features(cameras, generator=generator)
        latents = self._known_latents(seen.features, model)
        gradient = self.pull(latents.detach(), ViewedFrom(directions), progress=progress, generator=generator)
        pulled = surrogate(self.moved(latents, seen.opacity), gradient)
        # In the units of Eq. 2, a mean of squares.
        loss = self.config.weight * pulled * (2 / latents.numel())
        return loss if seen.loss is None else loss + seen.loss.mean()

    def moved(self, latents: Tensor, opacity: Tensor) -> Tensor:
        """Return the same latents (B, C, h, w), through which pulls reach the opacity (B, 1, h, w) whole.

        z = o f + (1 - o) b of surfaces f before the background b: what f gets of a pull is the configured share.
        """
        behind = upload(self.background, latents.device).view(1, -1, 1, 1)
        from_surface = ((latents - behind) / opacity.clamp(min=_LEAST_OPACITY)).detach()
        held = latents.detach() + (opacity - opacity.detach()) * from_surface
        return self.config.appearance * latents + (1 - self.config.appearance) * held

    def _known_latents(self, features: Tensor, model: SceneModel) -> Tensor:
        """Features (B, C, h, w) of a field as the prior knows latents: by the autoencoder's own statistics."""
        assert model.autoencoder is not None
        raw = model.autoencoder.raw(model.space.latents(features))
        mean, std = (
            upload(values, raw.device).view(1, -1, 1, 1)
            for values in (self.autoencoder.latent_mean, self.autoencoder.latent_std)
        )
        return (raw - mean) / std


def rig_of(cameras: Cameras, *, known: Rig) -> tuple[Rig, Tensor]:
    """Return where views may be taken from, and the point (3,) that they look at, as training `cameras` do.

    Their distance and lens are those of the cameras, their elevations those that the prior has `known`.
    """
    centre = looked_at(cameras)
    distance = float((cameras.centers - centre).norm(dim=1).mean())
    focal = float(cameras.focal.mean()) / cameras.width
    return replace(known, distance=distance, focal=focal), centre


def looked_at(cameras: Cameras) -> Tensor:
    """Return the point (3,) nearest to all optical axes; along axes that leave it open, that nearest to the origin."""
    forward = cameras.forward
    # I - f f^T takes the part across an axis, see `scenes.normalise.look_similarity`.
    across = torch.eye(3) - forward[:, :, None] * forward[:, None, :]
    offsets = (across @ cameras.centers[:, :, None])[..., 0].mean(0)
    point: Tensor = torch.linalg.solve(across.mean(0) + _AXES_PULL * torch.eye(3), offsets)
    return point


def _require_known_kind(scene: Scene, prior: LatentPrior, *, size: int) -> None:
    """Raise InputError for scenes that are none of single objects on white, as large as the prior has seen them."""
    if scene.bounds == "scene":
        raise InputError(
            scene.source,
            f"has no bounds; the prior {prior.name} knows single objects: expected one, with alpha or masks",
        )
    if scene.alpha is None:
        raise InputError(
            scene.source,
            f"has no alpha; the prior {prior.name} knows objects on white: expected alpha or masks",
        )
    if tuple(map(float, scene.background)) != WHITE:
        raise InputError(
            scene.source, f"has the background {scene.background}; the prior {prior.name} knows white"
        )
    height, width = scene.size
    if (height, width) != (size, size):
        raise InputError(
            scene.source,
            f"has views of {width}x{height}; the prior {prior.name} knows {size}x{size}: see `size`",
        )
