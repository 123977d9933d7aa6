import numpy as np
import torch
from torch import Tensor

from latentfields.fields.spherical_harmonics import COUNT, spherical_harmonics


def quadrature() -> tuple[Tensor, Tensor]:
    """Directions (Q, 3) and weights (Q,) that integrate polynomials of degree 6 over the sphere exactly."""
    height, weight = (torch.from_numpy(values) for values in np.polynomial.legendre.leggauss(5))
    angle = torch.arange(9, dtype=torch.float64) * (2 * torch.pi / 9)
    around = (1 - height.square()).sqrt()[:, None]
    directions = torch.stack(
        [around * angle.cos(), around * angle.sin(), height[:, None].expand(-1, len(angle))], dim=-1
    )
    return directions.flatten(0, 1), (weight[:, None] * (2 * torch.pi / 9)).expand(-1, len(angle)).flatten()


def test_harmonics_are_orthonormal() -> None:
    directions, weights = quadrature()
    values = spherical_harmonics(directions)
    assert values.shape == (len(directions), COUNT)
    gram = values.T @ (weights[:, None] * values)
    torch.testing.assert_close(gram, torch.eye(COUNT, dtype=torch.float64))


def test_degrees_come_in_order() -> None:
    """A degree keeps or changes its sign when the direction is turned round."""
    directions, _ = quadrature()
    parity = spherical_harmonics(-directions) / spherical_harmonics(directions)
    signs = torch.tensor([1.0] + [-1.0] * 3 + [1.0] * 5 + [-1.0] * 7, dtype=torch.float64)
    torch.testing.assert_close(parity.nanmedian(dim=0).values, signs)
