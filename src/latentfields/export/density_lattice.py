"""A field's density on a regular lattice: what marching cubes needs.

Shape suffixes: X, Y, Z points of the lattice along the axes, P points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from latentfields.errors import InputError
from latentfields.fields.field import DensityField
from latentfields.latent_nerf.model import LatentNerf
from latentfields.latent_nerf.run import Run
from latentfields.progress import watched
from latentfields.rendering.contraction import field_positions
from latentfields.rendering.density_grid import DensityGrid

CHUNK = 131_072
"""Points that a field is asked for at once: bounds the memory."""


@dataclass(frozen=True, eq=False)
class DensityLattice:
    """Densities at the centres of cubic cells, in the normalised frame."""

    density: NDArray[np.float32]
    """(X, Y, Z) per unit length; zero where rendering looks at nothing."""
    lower: NDArray[np.float64]
    """(3,) position of the first point."""
    step: float
    """Distance between neighbouring points."""


def density_model(run: Run) -> LatentNerf:
    """The model of a run that shows its pictures. Raises InputError for fields without a density, such as Gaussians."""
    model = run.model.pictures
    if not isinstance(model, LatentNerf) or not isinstance(model.field, DensityField):
        kind = run.config.fit.field.kind
        raise InputError(
            run.folder, f"has the field {kind}, which has no density to take a mesh from; export points"
        )
    return model


@torch.no_grad()
def density_lattice(run: Run, *, resolution: int) -> DensityLattice:
    """The field's density at the centres of `resolution`^3 cells of [-1, 1]^3, cropped to the box that is occupied.

    Where the sampler has a grid of occupied cells, everything beyond their neighbours is zero, as is what lies outside
    of the visual hull: rendering skips it, and nothing was ever fitted there. What a scene without bounds has outside
    of the box is left out. Raises InputError for a field without a density.
    """
    model = density_model(run)
    grid = next((module for module in run.model.modules() if isinstance(module, DensityGrid)), None)
    cells = torch.ones(1, 1, 1, dtype=torch.bool) if grid is None else _visible_cells(grid)
    first, last = ([0] * 3, [resolution] * 3) if model.contracted else _box(cells, resolution)
    step = 2.0 / resolution
    axes = [-1 + step * (torch.arange(first[axis], last[axis]) + 0.5) for axis in range(3)]
    density = np.zeros([len(axis) for axis in axes], np.float32)
    across = torch.cartesian_prod(axes[1], axes[2])
    for index, x in enumerate(watched(axes[0], "density", total=len(axes[0]), unit="slice")):
        points = torch.cat([x.expand(len(across), 1), across], dim=1)
        visible = _at(cells, field_positions(points) if model.contracted else points)
        slab = torch.zeros(len(points))
        if visible.any():
            chunks = points[visible].to(run.model.device).split(CHUNK)
            slab[visible] = torch.nan_to_num(torch.cat([model.density(chunk) for chunk in chunks])).cpu()
        density[index] = slab.view(len(axes[1]), len(axes[2])).numpy()
    return DensityLattice(density, np.array([float(axis[0]) for axis in axes]), step)


def _visible_cells(grid: DensityGrid) -> Tensor:
    """Occupied cells (G, G, G) and their neighbours, bool, on the CPU.

    The grid looks at random points of its cells: it may have missed the corner of one that a surface cuts.
    """
    cube = (grid.resolution,) * 3
    occupied = (grid.density > grid.threshold).float().view(1, 1, *cube)
    around = torch.nn.functional.max_pool3d(occupied, 3, stride=1, padding=1)[0, 0] > 0
    return (around & grid.candidates.view(cube)).cpu()


def _at(cells: Tensor, points: Tensor) -> Tensor:
    """Values (P,) of the cells (G, G, G) over [-1, 1]^3 that hold the points (P, 3)."""
    count = len(cells)
    x, y, z = ((points + 1) * (count / 2)).long().clamp(0, count - 1).unbind(1)
    return cells[x, y, z]


def _box(cells: Tensor, resolution: int) -> tuple[list[int], list[int]]:
    """First and one past the last lattice cell, by axis, of the box around the cells (G, G, G) that are set."""
    found = cells.nonzero()
    if not len(found):
        return [0] * 3, [1] * 3
    scale = resolution / len(cells)
    lower, upper = found.amin(0).tolist(), found.amax(0).tolist()
    return [math.floor(scale * cell) for cell in lower], [math.ceil(scale * (cell + 1)) for cell in upper]
