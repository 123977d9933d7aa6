from __future__ import annotations

import numpy as np
import pytest
import torch

from latentfields.cameras import look_at
from latentfields.structure_from_motion.mapping import upwards

UP = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)


def found(eyes: torch.Tensor, target: torch.Tensor) -> np.ndarray:
    poses = look_at(eyes, target, UP).numpy()
    return upwards(rights=poses[:, :3, 0], ups=poses[:, :3, 1])


@pytest.mark.parametrize("height", [0.0, 1.0, 4.0])
def test_cameras_held_level_tell_what_is_up(height: float) -> None:
    """However far down they look."""
    turn = torch.linspace(0, 2, 7, dtype=torch.float64)
    eyes = torch.stack([2 * turn.cos(), 2 * turn.sin(), torch.full((7,), height, dtype=torch.float64)], dim=1)
    assert found(eyes, torch.zeros(3, dtype=torch.float64)) == pytest.approx([0, 0, 1], abs=1e-6)


def test_cameras_that_all_look_one_way_tell_their_own() -> None:
    eyes = torch.stack(
        [torch.linspace(-1, 1, 5), torch.full((5,), 2.0), torch.full((5,), 2.0)], dim=1
    ).double()
    target = eyes - torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64)
    assert found(eyes, target) == pytest.approx([0, -(0.5**0.5), 0.5**0.5], abs=1e-6)
