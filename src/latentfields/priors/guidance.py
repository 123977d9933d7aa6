"""What pulls rendered latents: a prior that knows what it should see from each direction.

Shape suffixes: B views, C latent channels, h, w latent size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

from latentfields.priors.conditions import Condition, condition
from latentfields.priors.config import ScoreConfig
from latentfields.priors.distillation import Draw, delta, distilled
from latentfields.priors.prior import LatentPrior
from latentfields.priors.sampling import Denoiser
from latentfields.priors.schedule import NoiseSchedule

G = TypeVar("G")

SHARPNESS = 4.0
"""How fast known views count less with the angle: a reference has the weight exp(SHARPNESS cos(angle))."""


class Guidance(Protocol[G]):
    """A denoiser, and what it is told of a view."""

    @property
    def denoiser(self) -> Denoiser[G]:
        """The prior."""
        ...

    def conditions(self, directions: Tensor) -> tuple[G, G]:
        """What views from `directions` (B, 3) should show, and what guidance leads away from."""
        ...


@dataclass(frozen=True, eq=False)
class ObjectGuidance:
    """A `LatentPrior` that is told a class, a view of the object, or both; a `Guidance`."""

    denoiser: LatentPrior
    class_index: int | None = None
    reference: Tensor | None = None
    """(C, h, w) latents, normalised per channel, of a view of the object."""
    reference_direction: Tensor | None = None
    """(3,) unit vector towards the camera of that view."""

    def conditions(self, directions: Tensor) -> tuple[Condition, Condition]:
        """Class, direction and reference; nothing at all to lead away from."""
        given = condition(
            directions,
            shape=(len(directions), *self.denoiser.shape),
            class_index=self.class_index,
            reference=self.reference,
            reference_direction=self.reference_direction,
        ).to(self.denoiser.device)
        return given, given.unknown()


@dataclass(frozen=True, eq=False)
class Blend:
    """Conditions of B views by K references each, and how much each of these counts."""

    parts: Condition
    """Of K B views: all by their first references, then all by their second ones, and so on."""
    shares: Tensor
    """(K, B), which sum to 1 for every view."""


@dataclass(frozen=True, eq=False)
class BlendedPrior:
    """A prior whose predictions under several conditions are meaned; a `Denoiser`."""

    prior: LatentPrior

    @property
    def schedule(self) -> NoiseSchedule:
        """That of the prior."""
        return self.prior.schedule

    def noise(self, noisy: Tensor, times: Tensor, given: Blend) -> Tensor:
        """The noise, (B, C, h, w), in noisy latents (B, C, h, w) at levels `times` (B,)."""
        count = len(given.shares)
        each = self.prior.noise(noisy.repeat(count, 1, 1, 1), times.repeat(count), given.parts)
        shares = given.shares[:, :, None, None, None]
        return (shares * each.view(count, *noisy.shape)).sum(dim=0)


@dataclass(frozen=True, eq=False)
class ViewsGuidance:
    """A `LatentPrior` that is told the known views of an object which are nearest to each view; a `Guidance`."""

    prior: LatentPrior
    known: Tensor
    """(V, C, h, w) latents, normalised per channel, of views of the object, on the CPU."""
    known_directions: Tensor
    """(V, 3) unit vectors towards their cameras."""
    references: int = 1
    """How many of them each view is judged by, at most."""
    class_index: int | None = None

    @property
    def denoiser(self) -> BlendedPrior:
        """The prior, by all references of a view."""
        return BlendedPrior(self.prior)

    def conditions(self, directions: Tensor) -> tuple[Blend, Blend]:
        """The nearest known views; nothing at all to lead away from."""
        count = min(self.references, len(self.known))
        closeness, nearest = (directions @ self.known_directions.T).topk(count, dim=1)
        shares = (SHARPNESS * closeness).softmax(dim=1).T.to(self.prior.device)
        order = nearest.T.flatten()
        parts = condition(
            directions.repeat(count, 1),
            shape=(len(order), *self.prior.shape),
            class_index=self.class_index,
            reference=self.known[order],
            reference_direction=self.known_directions[order],
        ).to(self.prior.device)
        nothing = parts[: len(directions)].unknown()
        return Blend(parts, shares), Blend(nothing, torch.ones_like(shares[:1]))


class Pull(Protocol):
    """Gives rendered latents a gradient."""

    def __call__(
        self, latents: Tensor, views: ViewedFrom, *, progress: float, generator: torch.Generator
    ) -> Tensor:
        """The gradient (B, C, h, w) for latents (B, C, h, w) at `progress` in [0, 1]; they carry no graph."""
        ...


@dataclass(frozen=True, eq=False)
class ViewedFrom:
    """What a step rendered, beside its latents."""

    directions: Tensor
    """(B, 3) unit vectors towards the cameras."""
    source: Tensor | None = None
    """(B, C, h, w) latents of the scene before an edit; None where nothing is edited."""


@dataclass(frozen=True, eq=False)
class Distil(Generic[G]):
    """Score distillation of a prior; a `Pull`."""

    guidance: Guidance[G]
    config: ScoreConfig

    def __call__(
        self, latents: Tensor, views: ViewedFrom, *, progress: float, generator: torch.Generator
    ) -> Tensor:
        """As `Pull`."""
        given, against = self.guidance.conditions(views.directions)
        denoiser = self.guidance.denoiser
        draw = Draw.random(
            latents, self.config, levels=len(denoiser.schedule), progress=progress, generator=generator
        )
        return distilled(denoiser, latents, given, against, draw, self.config)


@dataclass(frozen=True, eq=False)
class Delta(Generic[G]):
    """Delta denoising from what was there to what is wanted; a `Pull`."""

    to: Guidance[G]
    origin: Guidance[G]
    """Of the same prior."""
    config: ScoreConfig

    def __call__(
        self, latents: Tensor, views: ViewedFrom, *, progress: float, generator: torch.Generator
    ) -> Tensor:
        """As `Pull`."""
        assert views.source is not None
        denoiser = self.to.denoiser
        wanted, against = self.to.conditions(views.directions)
        there, _ = self.origin.conditions(views.directions)
        draw = Draw.random(
            latents, self.config, levels=len(denoiser.schedule), progress=progress, generator=generator
        )
        return delta(denoiser, latents, views.source, wanted, there, against, draw, self.config)
