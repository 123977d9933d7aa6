"""A cached grid of densities: it tells where space is empty and where along a ray to sample.

The idea of Instant-NGP's occupancy grid (Mueller et al. 2022, App. C) used twice: samples in cells that are nearly
empty are skipped, and the cached densities serve as the coarse pass of hierarchical sampling, without a second network.

Shape suffixes: R rays, K bins, S intervals, G cells per side.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from latentfields.cameras import Rays
from latentfields.devices import Kept, upload
from latentfields.rendering.volume import transmittance_and_weights

EXPLORATION = 0.01
"""Weight added to every bin, as a fraction of the total, so that the grid's mistakes can be corrected."""

HIGHEST_OPTICAL_DEPTH = 0.2
"""Largest optical depth that the coarse pass assumes over one cell. A cell is as dense as its densest point: without
this bound, a ray through the empty part of a cell that a surface cuts would get no samples behind that cell."""

BLOCK = 4
"""Cells per side of the blocks that rays are tested against first; with a margin of one cell around them."""

SIDE = 2.0
"""Of the box [-1, 1]^3 that the grid divides."""

CELLS_PER_PROBE = 2
"""Cells between the points at which a ray is tested: a ray through an occupied cell spends as much in its margin."""

UNKNOWN = 2.0
"""Density of cells before the field was looked at, in units of the highest threshold: nothing is skipped at first."""

POINTS_PER_CHUNK = 65_536
"""Points whose densities are looked at at a time: bounds the memory that a field takes for them."""

SMALLEST_WEIGHT = 1e-6
"""Added to every bin's weight: a ray on which nothing is dense is sampled evenly, instead of dividing by zero."""


class DensityGrid(nn.Module):
    """Running maximum of densities on a G^3 grid over [-1, 1]^3."""

    density: Tensor
    candidates: Tensor

    def __init__(self, *, resolution: int = 64, decay: float = 0.9, skip_below: float = 0.01) -> None:
        """`skip_below` is the opacity over one cell under which a cell counts as empty."""
        super().__init__()
        self.resolution = resolution
        self.decay = decay
        cell = SIDE / resolution
        # Thin media: the opacity over a length is the density times it.
        self.highest_threshold = skip_below / cell
        self.register_buffer("density", torch.full((resolution**3,), self.highest_threshold * UNKNOWN))
        self.register_buffer("candidates", torch.ones(resolution**3, dtype=torch.bool))
        # Both are asked for several times in every render, and mean waiting for the device.
        self._cells: Kept[Tensor] = Kept()
        self._threshold: Kept[Tensor] = Kept()
        self._blocks: Kept[Tensor] = Kept()
        self._coarse: Kept[Tensor] = Kept()

    @property
    def cells(self) -> Tensor:
        """Indices (M,) of the cells that are not empty for good."""
        return self._cells.get(lambda: self.candidates.nonzero()[:, 0], self.candidates)

    @property
    def threshold(self) -> Tensor:
        """Density under which a cell counts as empty: never above the mean, so that thin fog is not all skipped."""
        return self._threshold.get(
            lambda: self.density[self.cells].mean().clamp(max=self.highest_threshold),
            self.density,
            self.candidates,
        )

    @property
    def blocks(self) -> Tensor:
        """Mask (B, B, B) of the blocks of cells that are not all nearly empty, with their margins."""
        return self._blocks.get(self._occupied_blocks, self.density, self.candidates)

    def _occupied_blocks(self) -> Tensor:
        # Blocks instead of cells: a ray meets few of them, so few probes find all. The pooling's window is a block and
        # its margin, which lets probes fall beside a cell that the ray only touches.
        cube = (self.resolution,) * 3
        occupied = (self.density > self.threshold).float().view(1, 1, *cube)
        pool = torch.nn.functional.max_pool3d(occupied, BLOCK + 2, stride=BLOCK, padding=1, ceil_mode=True)
        return pool[0, 0] > 0

    def adopt(self, density: Tensor, candidates: Tensor, cells: Tensor) -> None:
        """Take over tensors of one device, shared with whoever else has them: both buffers, and `cells` (M,)."""
        self.density, self.candidates = density, candidates
        self._cells.keep(cells, candidates)

    def restrict(self, candidates: Tensor) -> None:
        """Declare cells empty for good: `candidates` (G^3,) bool, x slowest, such as an object's visual hull."""
        self.candidates.copy_(candidates)
        self.density[~self.candidates] = 0.0

    @torch.no_grad()
    def update(
        self, density: Callable[[Tensor], Tensor], *, share: float, generator: torch.Generator
    ) -> None:
        """Look at a random position in a random `share` of the cells; keep decaying maxima."""
        cells = self.cells
        count = max(1, round(len(cells) * share))
        chosen = torch.randperm(len(cells), generator=generator)[:count]
        cells = cells[upload(chosen, cells.device)]
        index = torch.stack(
            [
                cells // self.resolution**2,
                cells // self.resolution % self.resolution,
                cells % self.resolution,
            ],
            -1,
        )
        jitter = upload(torch.rand(count, 3, generator=generator), self.density.device)
        points = (index + jitter) * (SIDE / self.resolution) - 1.0
        values = torch.cat([density(chunk) for chunk in points.split(POINTS_PER_CHUNK)])
        # A random position may miss what is dense in a cell: the maximum remembers it, and the decay lets a field that
        # has become thinner be seen as such after some looks.
        self.density[cells] = torch.maximum(self.density[cells] * self.decay, values)

    @property
    def coarse(self) -> Tensor:
        """Densities (G^3,) that the coarse pass sees: none in cells that are nearly empty, bounded in the others."""
        return self._coarse.get(self._coarse_density, self.density, self.candidates)

    def _coarse_density(self) -> Tensor:
        density = torch.where(self.density > self.threshold, self.density, torch.zeros_like(self.density))
        return density.clamp(max=HIGHEST_OPTICAL_DEPTH * self.resolution / SIDE)

    @torch.no_grad()
    def at(self, points: Tensor, values: Tensor) -> Tensor:
        """What `values` (G^3,) of the cells are at points (..., 3): (...)."""
        flat = torch.zeros(points.shape[:-1], dtype=torch.int32, device=points.device)
        for along in points.unbind(-1):
            cells = (along + 1.0).mul_(self.resolution / SIDE).int().clamp_(0, self.resolution - 1)
            flat.mul_(self.resolution).add_(cells)
        return values.index_select(0, flat.flatten()).view(flat.shape)

    def occupied(self, points: Tensor) -> Tensor:
        """Mask of the points (..., 3) that lie in cells that are not nearly empty."""
        return self.at(points, self.coarse) > 0

    @torch.no_grad()
    def occupied_range(self, rays: Rays, enter: Tensor, leave: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The part of every ray's segment between its first and last occupied block of cells.

        Returns the indices (A,) of the rays that meet a block at all, and where they enter and leave, (A,) each.
        """
        blocks = self.blocks
        # As many probes as the box's diagonal needs.
        probes = math.ceil(self.resolution * 3**0.5 / CELLS_PER_PROBE)
        step = (leave - enter) / probes
        probe = torch.arange(probes, device=enter.device) + 0.5
        distance = enter[:, None] + step[:, None] * probe
        index = self._block_of(rays, distance, count=len(blocks))
        hit = blocks.flatten().index_select(0, index.flatten()).view(index.shape)
        active = hit.any(dim=1).nonzero()[:, 0]
        hit, step = hit[active].byte(), step[active]
        first, last = hit.argmax(dim=1), probes - 1 - hit.flip(1).argmax(dim=1)
        # One probe further on both sides: a block may have been entered just after the probe before.
        nearest, farthest = enter[active], leave[active]
        entering = torch.maximum(nearest, nearest + step * (first - 1))
        return active, entering, torch.minimum(farthest, nearest + step * (last + 2))

    def _block_of(self, rays: Rays, distance: Tensor, *, count: int) -> Tensor:
        """Indices (R, K) of the blocks, `count` along each side, at distances (R, K) along rays.

        Axis by axis, and in the smaller integers: this is done for many more points than a field is looked at in.
        """
        flat = torch.zeros_like(distance, dtype=torch.int32)
        for origin, direction in zip(rays.origins.unbind(-1), rays.directions.unbind(-1), strict=True):
            along = (distance * direction[:, None]).add_(origin[:, None]).add_(1.0)
            cells = along.mul_(self.resolution / SIDE / BLOCK).int().clamp_(0, count - 1)
            flat.mul_(count).add_(cells)
        return flat

    @torch.no_grad()
    def sampling_weights(self, positions: Tensor, lengths: Tensor) -> Tensor:
        """Positive weights (R, K) that say in which of K bins a ray should be sampled.

        `positions` (R, K, 3) are the bins' centres, `lengths` (R, K) theirs. Rendering weights of the cached densities
        there, blurred over neighbours (the cells are coarse), plus a floor for exploration.
        """
        _, weights = transmittance_and_weights(self.at(positions, self.coarse), lengths)
        # The largest of three neighbours, at the ends of two.
        blurred = torch.nn.functional.max_pool1d(weights, 3, stride=1, padding=1)
        return blurred + EXPLORATION * blurred.sum(dim=1, keepdim=True) / lengths.shape[1] + SMALLEST_WEIGHT
