"""The parts of rays that a field is looked at on, and where they lie in the cube [-1, 1]^3 that is the field's.

In a bounded scene the cube is the scene's, and rays are straight. In an unbounded one all space is contracted into it,
and rays become curves: a field's density is per unit of their length there, as in the normalised device coordinates of
NeRF (Mildenhall et al. 2020, App. C), so that all that is known of densities, of cells and of thresholds holds in both.

Shape suffixes: R rays, S intervals, K bins.
"""

from __future__ import annotations

import abc
from dataclasses import dataclass

import torch
from torch import Tensor

from latentfields.cameras import Rays
from latentfields.rendering.contraction import contract_distance, field_positions, uncontract_distance
from latentfields.rendering.sampling import box_segment

ENDLESS = 50.0
"""Length of the last interval of a contracted ray, which has no end: what is there is opaque at any density worth the
name. Otherwise the background's one colour would stand for floors and walls of that colour, and nothing would be there.
"""


@dataclass(frozen=True)
class Intervals:
    """Intervals along R rays."""

    positions: Tensor
    """(R, S, 3) their middles, in the field's cube."""
    lengths: Tensor
    """(R, S) in units of the field's cube."""
    distances: Tensor
    """(R, S) of their middles along the rays, in the normalised frame."""


class Span(abc.ABC):
    """A part of each of R rays, from 0 at its start to 1 at its end."""

    end: Tensor
    """(R,) distance along the rays at which it ends, in the normalised frame."""

    @abc.abstractmethod
    def intervals(self, edges: Tensor) -> Intervals:
        """The intervals between `edges` (R, S + 1) in [0, 1], which ascend."""

    @abc.abstractmethod
    def bins(self, count: int) -> tuple[Tensor, Tensor]:
        """Positions (R, K, 3) of the middles, and lengths (R, K), of `count` even bins, in the field's cube."""


class BoxSpan(Span):
    """Straight parts of rays, inside of the cube."""

    def __init__(self, rays: Rays, start: Tensor, end: Tensor) -> None:
        """Distances `start` and `end` are (R,)."""
        self.rays, self.start, self.end = rays, start, end

    @classmethod
    def of(cls, rays: Rays, *, near: float, far: float) -> BoxSpan:
        """The parts inside of [-1, 1]^3, within [near, far]; without length for rays that miss it."""
        return cls(rays, *box_segment(rays, near=near, far=far))

    def intervals(self, edges: Tensor) -> Intervals:
        """As `Span.intervals`."""
        distances = self.start[:, None] + (self.end - self.start)[:, None] * edges
        middle = (distances[:, 1:] + distances[:, :-1]) / 2
        return Intervals(self._at(middle), distances.diff(dim=1), middle)

    def bins(self, count: int) -> tuple[Tensor, Tensor]:
        """As `Span.bins`."""
        middle = (torch.arange(count, device=self.start.device) + 0.5) / count
        length = (self.end - self.start)[:, None]
        positions = self._at(self.start[:, None] + length * middle)
        return positions, (length / count).expand(positions.shape[:-1])

    def _at(self, distances: Tensor) -> Tensor:
        # Each axis is contiguous: whoever looks cells up goes over them axis by axis.
        origins, directions = (vectors.T[:, :, None] for vectors in (self.rays.origins, self.rays.directions))
        return (origins + directions * distances).movedim(0, -1)


class ContractedSpan(Span):
    """Parts of rays from `near` to `far`, contracted with the space around them.

    Even edges are even in distance near the scene's middle, and in inverse distance from it farther away: distances are
    contracted around the point of the ray that is nearest to the middle, in units of how far that point is, at least 1.
    """

    def __init__(self, rays: Rays, *, near: float, far: float) -> None:
        """Distances in the normalised frame; `far` is finite."""
        self.rays = rays
        self._nearest = -(rays.origins * rays.directions).sum(dim=-1, keepdim=True)
        self._unit = (rays.origins + rays.directions * self._nearest).norm(dim=-1, keepdim=True).clamp(min=1)
        self._first = contract_distance((near - self._nearest) / self._unit)
        self._last = contract_distance((far - self._nearest) / self._unit)
        self.end = torch.full_like(self._nearest[:, 0], far)

    def distances(self, edges: Tensor) -> Tensor:
        """Distances along the rays of `edges` (R, S) in [0, 1]."""
        contracted = self._first + (self._last - self._first) * edges
        distances: Tensor = self._nearest + self._unit * uncontract_distance(contracted)
        return distances

    def intervals(self, edges: Tensor) -> Intervals:
        """As `Span.intervals`; lengths and middles are those of chords, but the last interval is endless."""
        ends = self._at(edges)
        middles = self.distances((edges[:, 1:] + edges[:, :-1]) / 2)
        lengths = ends.diff(dim=1).norm(dim=-1)
        lengths = torch.cat([lengths[:, :-1], torch.full_like(lengths[:, -1:], ENDLESS)], dim=1)
        return Intervals((ends[:, 1:] + ends[:, :-1]) / 2, lengths, middles)

    def bins(self, count: int) -> tuple[Tensor, Tensor]:
        """As `Span.bins`."""
        edges = torch.linspace(0, 1, count + 1, device=self.end.device).expand(len(self.end), -1)
        ends = self._at(edges)
        return (ends[:, 1:] + ends[:, :-1]) / 2, ends.diff(dim=1).norm(dim=-1)

    def _at(self, edges: Tensor) -> Tensor:
        """Positions (R, S, 3) in the field's cube."""
        distances = self.distances(edges)
        points = self.rays.origins[:, None] + self.rays.directions[:, None] * distances[..., None]
        return field_positions(points)
