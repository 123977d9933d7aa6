"""The contraction of unbounded space into a cube (Barron et al. 2022, mip-NeRF 360, Eq. 10).

Shape suffix: P points, in any arrangement.
"""

from __future__ import annotations

from torch import Tensor

CONTRACTED_RADIUS = 2.0
"""Everything lies nearer to the origin than this after the contraction."""


def contract(points: Tensor) -> Tensor:
    """Contract points (P, 3) of all space into the cube [-2, 2]^3; those of [-1, 1]^3 stay where they are. Eq. 10.

    contract(x) = x where |x| <= 1, else (2 - 1 / |x|) x / |x|: distance becomes inverse distance. |x| is the largest
    coordinate, as in Nerfstudio, and not the paper's length: a box stays a box, and no corner of a grid is wasted.
    """
    size = _size(points).clamp(min=1.0)
    return points * ((CONTRACTED_RADIUS - 1 / size) / size)


def uncontract(points: Tensor) -> Tensor:
    """The inverse of `contract`, of points (P, 3) inside of [-2, 2]^3: x where |x| <= 1, else x / (|x| (2 - |x|))."""
    size = _size(points).clamp(min=1.0)
    return points / (size * (CONTRACTED_RADIUS - size))


def _size(points: Tensor) -> Tensor:
    return points.abs().amax(dim=-1, keepdim=True)


def contract_distance(distance: Tensor) -> Tensor:
    """`contract` of numbers, each by itself: the distance from a place along a line, of either sign."""
    return contract(distance[..., None])[..., 0]


def uncontract_distance(distance: Tensor) -> Tensor:
    """The inverse of `contract_distance`, of numbers between -2 and 2."""
    return uncontract(distance[..., None])[..., 0]


def field_positions(points: Tensor) -> Tensor:
    """Where a field that covers all space is looked at for points (P, 3): contracted, and that cube made [-1, 1]^3."""
    return contract(points) / CONTRACTED_RADIUS


def world_positions(positions: Tensor) -> Tensor:
    """The inverse of `field_positions`, of positions (P, 3) inside of [-1, 1]^3."""
    return uncontract(positions * CONTRACTED_RADIUS)
